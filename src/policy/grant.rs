//! A policy, and what several of them grant together.

use std::{collections::HashMap, path::PathBuf, sync::Arc};

use serde_json::Value;

use super::{PolicyLimits, limits};
use crate::{
    access::{ApiRight, Rights, Together},
    document::FieldPath,
    limits::{Plan, Quota},
};

/// A security policy.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The file it was read from.
    pub file: PathBuf,
    /// Where it is in the file.
    pub at: FieldPath,
    /// Its id.
    pub id: Arc<str>,
    /// The organisation it belongs to; APIs of others do not see it.
    pub org_id: Box<str>,
    /// Whether it may be used at all.
    pub active: bool,
    /// What it grants, by API; empty when its partitions say that it grants nothing.
    pub rights: Vec<(Arc<str>, ApiRight)>,
    /// Labels for logs.
    pub tags: Vec<String>,
    /// Values for header templates (`$tyk_meta.name`).
    pub meta_data: serde_json::Map<String, Value>,
    /// How often its callers may.
    pub limits: PolicyLimits,
    /// Which partitions it names.
    pub partitions: Partitions,
}

/// Which partitions a policy names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Partitions {
    /// `per_api`.
    pub per_api: bool,
    /// Another one.
    pub others: bool,
}

/// Whether one policy counts for each API, and one in parts, be it the same: Tyk refuses whoever has them.
fn mix_partitions(policies: &[Arc<Policy>]) -> bool {
    policies.iter().any(|policy| policy.partitions.per_api)
        && policies.iter().any(|policy| policy.partitions.others)
}

impl Policy {
    /// Whether it grants anything; if not, only its limits count, together with other policies.
    #[must_use]
    pub const fn grants_anything(&self) -> bool {
        !self.rights.is_empty()
    }
}

/// What a combination of policies grants.
#[derive(Debug, Default)]
pub struct Grant {
    /// The policies, in the order they were selected.
    pub policies: Vec<Arc<Policy>>,
    /// The union of their rights.
    pub rights: Rights,
    /// Whether all of them are active.
    pub active: bool,
    /// The union of their labels, sorted.
    pub tags: Vec<String>,
    /// Their values; a later policy wins.
    pub meta_data: serde_json::Map<String, Value>,
    /// What limits callers, by the APIs that are granted.
    pub plans: HashMap<Arc<str>, Plan>,
    /// About what it takes in memory.
    pub octets: usize,
}

impl Grant {
    /// What these policies grant together, with their rights joined in this way. Their order decides
    /// nothing but which of two values of one name counts.
    #[must_use]
    pub fn merge(policies: Vec<Arc<Policy>>, together: Together) -> Self {
        let rights = Rights::joined(together);
        let mut grant = Self { active: true, rights, ..Self::default() };
        let nothing = together == Together::Listed && mix_partitions(&policies);
        for policy in &policies {
            grant.active &= policy.active;
            for (api, right) in policy.rights.iter().filter(|_| !nothing) {
                grant.rights.grant(api, right);
            }
            grant.tags.extend_from_slice(&policy.tags);
            grant.meta_data.extend(policy.meta_data.clone());
        }
        grant.tags.sort_unstable();
        grant.tags.dedup();
        if !nothing {
            grant.plans = limits::plans(&policies);
        }
        grant.policies = policies;
        grant.octets = grant.measured();
        grant
    }

    /// What these policies grant to a key that has labels, values, and perhaps rights of its own. Its
    /// rights count when no policy gives any; a policy's value wins over its own.
    #[must_use]
    pub fn of_key(own: &Policy, mut policies: Vec<Arc<Policy>>, together: Together) -> Self {
        if !policies.iter().any(|policy| policy.grants_anything()) {
            let mut own = own.clone();
            // A limit that a policy has counts instead of the key's; one of 0 says nothing, and lifts none.
            let limits = || policies.iter().map(|policy| &policy.limits);
            if limits().any(|limits| limits.rate.is_some_and(|rate| rate.allowance.is_some())) {
                own.limits.rate = None;
            }
            if limits().any(|limits| limits.quota.is_some_and(|quota| quota != Quota::Unset)) {
                own.limits.quota = None;
            }
            policies.insert(0, Arc::new(own));
            return Self::merge(policies, together);
        }
        let mut grant = Self::merge(policies, together);
        grant.tags.extend_from_slice(&own.tags);
        grant.tags.sort_unstable();
        grant.tags.dedup();
        for (name, value) in &own.meta_data {
            grant.meta_data.entry(name.clone()).or_insert_with(|| value.clone());
        }
        grant
    }

    fn measured(&self) -> usize {
        // An entry of a map and what it owns, generously.
        const RIGHT: usize = 96;
        const PLAN: usize = 64 + size_of::<Plan>();
        const TAG: usize = 64;
        let plans: usize = self.plans.values().map(|plan| PLAN.saturating_add(plan.octets())).sum();
        let rights = self.rights.apis().count().saturating_mul(RIGHT);
        let tags = self.tags.len().saturating_mul(TAG);
        let values = self.meta_data.iter().map(|(name, value)| name.len().saturating_add(octets(value)));
        values.fold(plans.saturating_add(rights).saturating_add(tags), usize::saturating_add)
    }
}

/// About what a value takes in memory.
fn octets(value: &Value) -> usize {
    const VALUE: usize = 64;
    let inside: usize = match value {
        Value::Array(elements) => elements.iter().map(octets).sum(),
        Value::Object(members) => {
            members.iter().map(|(name, value)| name.len().saturating_add(octets(value))).sum()
        }
        Value::String(text) => text.len(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    };
    inside.saturating_add(VALUE)
}
