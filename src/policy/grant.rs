//! A policy, and what several of them grant together.

use std::{collections::HashSet, path::PathBuf, sync::Arc};

use serde_json::Value;

use crate::access::{ApiRight, Rights};

/// A security policy.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Where it was read.
    pub file: PathBuf,
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
    /// Rate, quota and throttle.
    pub limits: Limits,
}

/// The limits of a policy as they were written. A value of 0 or less means no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// Requests in each `per`.
    pub rate: f64,
    /// Seconds.
    pub per: f64,
    /// Requests in each renewal period; -1 for any number.
    pub quota_max: i64,
    /// Seconds.
    pub quota_renewal_rate: i64,
    /// Seconds between tries of a request that is held.
    pub throttle_interval: f64,
    /// How often a request that is held is tried.
    pub throttle_retry_limit: i64,
    /// Seconds after which a session ends.
    pub key_expires_in: i64,
}

impl Limits {
    /// Whether anything is limited.
    #[must_use]
    pub fn limit_anything(&self) -> bool {
        (self.rate > 0.0 && self.per > 0.0) || self.quota_max > 0 || self.throttle_retry_limit > 0
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
    /// The union of their labels.
    pub tags: Vec<String>,
    /// Their values; a later policy wins.
    pub meta_data: serde_json::Map<String, Value>,
}

impl Grant {
    /// What these policies grant together.
    #[must_use]
    pub fn merge(policies: Vec<Arc<Policy>>) -> Self {
        let mut grant = Self { active: true, ..Self::default() };
        let mut tags = HashSet::new();
        for policy in &policies {
            grant.active &= policy.active;
            for (api, right) in &policy.rights {
                grant.rights.grant(api, right);
            }
            grant.tags.extend(policy.tags.iter().filter(|tag| tags.insert(tag.as_str())).cloned());
            grant.meta_data.extend(policy.meta_data.clone());
        }
        grant.policies = policies;
        grant
    }
}
