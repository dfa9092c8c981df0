//! All policies, and the combinations that were asked for.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::{Grant, Policy};

/// How many combinations of several policies are kept.
const MAX_COMBINATIONS: usize = 10_000;

/// The policies that were loaded.
#[derive(Debug, Default)]
pub struct PolicySet {
    by_id: HashMap<Arc<str>, Vec<Entry>>,
    combinations: Mutex<HashMap<Box<[Combined]>, Arc<Grant>>>,
}

#[derive(Debug)]
struct Entry {
    policy: Arc<Policy>,
    /// What the policy grants alone: nearly every caller has one policy.
    alone: Arc<Grant>,
}

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

    /// Whether some organisation has a policy with this id.
    #[must_use]
    pub fn knows(&self, id: &str) -> bool {
        self.by_id.contains_key(id)
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
        let key: Box<[Combined]> =
            policies.iter().map(|policy| (policy.org_id.clone(), Arc::clone(&policy.id))).collect();
        let mut combinations = self.combinations.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(grant) = combinations.get(&key) {
            return Arc::clone(grant);
        }
        let grant = Arc::new(Grant::merge(policies.iter().map(|policy| Arc::clone(policy)).collect()));
        // Tokens choose the combinations, so their number must have an end.
        if combinations.len() >= MAX_COMBINATIONS {
            combinations.clear();
        }
        combinations.insert(key, Arc::clone(&grant));
        grant
    }
}
