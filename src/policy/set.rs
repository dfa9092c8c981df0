//! All policies, and the combinations that were asked for.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use foldhash::quality::RandomState;
use moka::sync::Cache;

use super::{Grant, Policy};
use crate::access::Together;

/// How much memory combinations of several policies may take.
const MAX_OCTETS: u64 = 64 * 1024 * 1024;
/// Of how many policies a combination is kept.
const MAX_COMBINED: usize = 32;

/// The policies that were loaded.
#[derive(Debug)]
pub struct PolicySet {
    by_id: HashMap<Arc<str>, Vec<Entry>, RandomState>,
    together: Together,
    /// By the places of their policies in memory, which are theirs as long as the set is.
    combinations: Cache<Box<[usize]>, Arc<Grant>>,
}

#[derive(Debug)]
struct Entry {
    policy: Arc<Policy>,
    /// What the policy grants alone, once somebody has it alone: nearly every caller has one policy, and of
    /// thousands of policies most have no caller.
    alone: OnceLock<Arc<Grant>>,
}

impl Default for PolicySet {
    fn default() -> Self {
        let combinations = Cache::builder()
            .max_capacity(MAX_OCTETS)
            .weigher(|_, grant: &Arc<Grant>| u32::try_from(grant.octets).unwrap_or(u32::MAX))
            .build();
        Self { by_id: HashMap::default(), together: Together::default(), combinations }
    }
}

impl PolicySet {
    /// These policies. Of two with the same organisation and id the first counts.
    #[must_use]
    pub fn new(policies: impl IntoIterator<Item = impl Into<Arc<Policy>>>) -> Self {
        let mut set = Self::default();
        for policy in policies.into_iter().map(Into::into) {
            if set.get(&policy.org_id, &policy.id).is_none() {
                let of_id = set.by_id.entry(Arc::clone(&policy.id)).or_default();
                of_id.push(Entry { policy, alone: OnceLock::new() });
            }
        }
        set
    }

    /// The same policies, whose rights are joined in this way.
    #[must_use]
    pub fn joined(self, together: Together) -> Self {
        // What was joined otherwise must not be found any more.
        Self { by_id: self.by_id, together, ..Self::default() }
    }

    /// How the rights of several policies are joined.
    #[must_use]
    pub const fn together(&self) -> Together {
        self.together
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

    /// What these policies of the set grant together.
    #[must_use]
    pub fn grant(&self, policies: &[&Arc<Policy>]) -> Arc<Grant> {
        if let [policy] = policies
            && let Some(entry) = self.entry(&policy.org_id, &policy.id)
        {
            return Arc::clone(entry.alone());
        }
        let merged = || {
            let policies = policies.iter().map(|policy| Arc::clone(policy)).collect();
            Arc::new(Grant::merge(policies, self.together))
        };
        // Tokens choose the combinations: their number and their size must have an end.
        if policies.len() > MAX_COMBINED {
            return merged();
        }
        let places: Box<[usize]> = policies.iter().map(|policy| Arc::as_ptr(policy).addr()).collect();
        self.combinations.get_with(places, merged)
    }
}

impl Entry {
    fn alone(&self) -> &Arc<Grant> {
        let merged = || Grant::merge(vec![Arc::clone(&self.policy)], Together::default());
        self.alone.get_or_init(|| Arc::new(merged()))
    }
}
