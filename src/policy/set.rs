//! All policies, and the combinations that were asked for.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{Grant, Policy};

/// How many combinations of several policies are kept.
const MAX_COMBINATIONS: usize = 10_000;
/// And of how many policies at most.
const MAX_COMBINED: usize = 32;

/// The policies that were loaded.
#[derive(Debug, Default)]
pub struct PolicySet {
    by_id: HashMap<Arc<str>, Vec<Entry>>,
    combinations: Mutex<Combinations>,
}

#[derive(Debug)]
struct Entry {
    policy: Arc<Policy>,
    /// What the policy grants alone: nearly every caller has one policy.
    alone: Arc<Grant>,
}

type Combinations = HashMap<Box<[Combined]>, Arc<Grant>>;

/// Organisation and id of one policy of a combination.
type Combined = (Box<str>, Arc<str>);

impl PolicySet {
    /// These policies. Of two with the same organisation and id the first counts.
    #[must_use]
    pub fn new(policies: impl IntoIterator<Item = Policy>) -> Self {
        let mut set = Self::default();
        for policy in policies {
            if set.get(&policy.org_id, &policy.id).is_none() {
                let policy = Arc::new(policy);
                let alone = Arc::new(Grant::merge(vec![Arc::clone(&policy)]));
                set.by_id.entry(Arc::clone(&policy.id)).or_default().push(Entry { policy, alone });
            }
        }
        set
    }

    fn entry(&self, org_id: &str, id: &str) -> Option<&Entry> {
        self.by_id.get(id)?.iter().find(|entry| *entry.policy.org_id == *org_id)
    }

    /// The policy with this id that APIs of this organisation may use.
    #[must_use]
    pub fn get(&self, org_id: &str, id: &str) -> Option<&Arc<Policy>> {
        self.entry(org_id, id).map(|entry| &entry.policy)
    }

    /// The organisations that have a policy with this id; the empty text for none.
    pub fn organisations(&self, id: &str) -> impl Iterator<Item = &str> {
        self.by_id.get(id).into_iter().flatten().map(|entry| &*entry.policy.org_id)
    }

    /// All policies.
    pub fn iter(&self) -> impl Iterator<Item = &Policy> {
        self.by_id.values().flatten().map(|entry| &*entry.policy)
    }

    /// What these policies grant together.
    #[must_use]
    pub fn grant(&self, policies: &[&Arc<Policy>]) -> Arc<Grant> {
        if let [policy] = policies
            && let Some(entry) = self.entry(&policy.org_id, &policy.id)
        {
            return Arc::clone(&entry.alone);
        }
        // Tokens choose the combinations: their number and their size must have an end.
        if policies.len() > MAX_COMBINED {
            return Arc::new(merge(policies));
        }
        let key: Box<[Combined]> =
            policies.iter().map(|policy| (policy.org_id.clone(), Arc::clone(&policy.id))).collect();
        if let Some(grant) = self.combinations().get(&key) {
            return Arc::clone(grant);
        }
        // Outside of the lock, which all threads share.
        let grant = Arc::new(merge(policies));
        let mut combinations = self.combinations();
        if combinations.len() >= MAX_COMBINATIONS {
            combinations.clear();
        }
        combinations.insert(key, Arc::clone(&grant));
        grant
    }

    fn combinations(&self) -> MutexGuard<'_, Combinations> {
        self.combinations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn merge(policies: &[&Arc<Policy>]) -> Grant {
    Grant::merge(policies.iter().map(|policy| Arc::clone(policy)).collect())
}
