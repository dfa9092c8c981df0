//! Policies by what a claim holds: roles, groups and the like (`claimsToPolicies`).

use std::{collections::HashSet, sync::Arc};

use crate::jwt::{Claims, Locator, json::Value};

/// Rules that choose policies; each that matches adds its own.
#[derive(Clone, Debug)]
pub struct PolicyRules {
    /// The rules, in order.
    pub rules: Vec<PolicyRule>,
    /// What becomes of a token that no rule matches, and that names no policy otherwise.
    pub no_match: NoMatch,
}

/// One rule.
#[derive(Clone, Debug)]
pub struct PolicyRule {
    /// The claim that decides: a value, or a list of values.
    pub claim: Locator,
    /// It matches when the claim is one of these, or has one of them as an element: the whole value,
    /// type and all.
    pub values: Vec<Value>,
    /// The policies that it chooses.
    pub policies: Vec<Arc<str>>,
}

/// What becomes of a token that no rule matches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NoMatch {
    /// It is refused.
    #[default]
    Deny,
    /// The default policies apply.
    Defaults,
}

impl PolicyRules {
    /// The policies of the rules that match, in their order, each once.
    pub(super) fn policies_of(&self, claims: &Claims) -> Vec<&Arc<str>> {
        let mut seen = HashSet::new();
        let matching = self.rules.iter().filter(|rule| rule.matches(claims));
        matching.flat_map(|rule| &rule.policies).filter(|id| seen.insert(&***id)).collect()
    }
}

impl PolicyRule {
    fn matches(&self, claims: &Claims) -> bool {
        match self.claim.find(claims) {
            None => false,
            Some(Value::Array(elements)) => elements.iter().any(|element| self.values.contains(element)),
            Some(value) => self.values.contains(value),
        }
    }
}
