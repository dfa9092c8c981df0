//! Which policies the claims of a token select.

use std::sync::Arc;

use serde_json::Value;

use super::{JwtScheme, checks::claim_value, raw, scheme::SchemeParser};
use crate::{
    document::FieldPath,
    jwt::{ClaimPath, ScopeClaims},
    policy::{NoMatch, PolicyRule, PolicyRules, Scopes, Selection},
};

/// Where a definition names policies.
#[derive(Debug)]
pub struct Naming {
    /// By default and by rules, with whether it is by default.
    listed: Box<[(Arc<str>, FieldPath, bool)]>,
    /// The list of those that scopes select. What is in it is known from the selection.
    at_scopes: FieldPath,
}

/// A policy that a definition names.
#[derive(Clone, Copy, Debug)]
pub struct NamedPolicy<'s> {
    /// Its id.
    pub id: &'s Arc<str>,
    /// It is for tokens that select nothing, and not for some of those that do.
    pub is_default: bool,
    at: Place<'s>,
}

#[derive(Clone, Copy, Debug)]
enum Place<'s> {
    Listed(&'s FieldPath),
    /// The entry of a list of scopes with this number.
    Mapped(&'s FieldPath, usize),
}

impl NamedPolicy<'_> {
    /// Where it is named.
    #[must_use]
    pub fn at(&self) -> FieldPath {
        match self.at {
            Place::Listed(at) => at.clone(),
            Place::Mapped(at, n) => at.element(n).member("policyId"),
        }
    }
}

impl JwtScheme {
    /// The policies that the definition names.
    pub fn named_policies(&self) -> impl Iterator<Item = NamedPolicy<'_>> {
        let Naming { listed, at_scopes } = &self.naming;
        let of = |by_default: bool| {
            let listed = listed.iter().filter(move |(.., is_default)| *is_default == by_default);
            listed.map(move |(id, at, _)| NamedPolicy { id, is_default: by_default, at: Place::Listed(at) })
        };
        let mapped = self.selection.scopes.iter().flat_map(Scopes::policies).enumerate();
        let mapped =
            mapped.map(|(n, id)| NamedPolicy { id, is_default: false, at: Place::Mapped(at_scopes, n) });
        of(true).chain(mapped).chain(of(false))
    }
}

impl SchemeParser<'_, '_> {
    pub(super) fn selection(&mut self, scheme: &raw::Scheme, refined: &raw::ClaimgateScheme) -> Selection {
        let base = if scheme.base_policy_claims.is_empty() {
            std::slice::from_ref(&scheme.policy_field_name)
        } else {
            &scheme.base_policy_claims
        };
        Selection {
            org_id: self.org_id.into(),
            base_claims: base
                .iter()
                .filter(|claim| !claim.is_empty())
                .map(|claim| ClaimPath::lenient(claim))
                .collect(),
            tyk_reads_base_claims: !scheme.policy_field_name.is_empty(),
            client_claim: Some(&scheme.client_base_field)
                .filter(|claim| !claim.is_empty())
                .map(|claim| ClaimPath::lenient(claim)),
            rules: refined.claims_to_policies.as_ref().map(|raw| self.policy_rules(raw)),
            scopes: self.scopes(&scheme.scopes),
            defaults: scheme
                .default_policies
                .iter()
                .filter(|id| !id.is_empty())
                .map(|id| id.as_str().into())
                .collect(),
        }
    }

    /// Where policies are named.
    pub(super) fn naming(&self, scheme: &raw::Scheme, refined: &raw::ClaimgateScheme) -> Naming {
        let at_defaults = self.at.member("defaultPolicies");
        let defaults = scheme.default_policies.iter().enumerate();
        let defaults = defaults.map(|(n, id)| (id, at_defaults.element(n), true));
        let at_rules = self.at_claimgate.members(&["claimsToPolicies", "rules"]);
        let rules = refined.claims_to_policies.iter().flat_map(|raw| raw.rules.iter().enumerate());
        let rules = rules.flat_map(|(n, rule)| {
            let at = at_rules.element(n).member("policies");
            rule.policies.iter().enumerate().map(move |(m, id)| (id, at.element(m), false))
        });
        let listed = defaults.chain(rules).filter(|(id, ..)| !id.is_empty());
        Naming {
            listed: listed.map(|(id, at, is_default)| (id.as_str().into(), at, is_default)).collect(),
            at_scopes: self.at.members(&["scopes", "scopeToPolicyMapping"]),
        }
    }

    fn policy_rules(&mut self, raw: &raw::ClaimsToPolicies) -> PolicyRules {
        let at = self.at_claimgate.member("claimsToPolicies");
        if raw.rules.is_empty() {
            self.context.error(&at, "there is no rule, so no token could match one; add rules");
        }
        let no_match = match raw.no_match.as_deref() {
            None | Some("deny") => NoMatch::Deny,
            Some("defaults") => NoMatch::Defaults,
            Some(_) => {
                self.context.error(&at.member("noMatch"), "write deny or defaults");
                NoMatch::Deny
            }
        };
        let at = at.member("rules");
        let rules = raw.rules.iter().enumerate().map(|(n, rule)| self.policy_rule(&at.element(n), rule));
        PolicyRules { rules: rules.flatten().collect(), no_match }
    }

    fn policy_rule(&mut self, at: &FieldPath, raw: &raw::PolicyRule) -> Option<PolicyRule> {
        for (is_missing, message) in [
            (raw.values.is_empty(), "the rule names no values, so no token could match it; add some"),
            (raw.policies.is_empty(), "the rule selects nothing; name policies"),
        ] {
            if is_missing {
                self.context.error(at, message);
            }
        }
        for (n, _) in raw.policies.iter().enumerate().filter(|(_, id)| id.is_empty()) {
            self.context.error(&at.member("policies").element(n), "a policy has an id; write it");
        }
        for (n, value) in raw.values.iter().enumerate() {
            let message = match value {
                Value::String(text) if text.is_empty() || text.trim() != text => {
                    "values are compared exactly, and this one is empty, or begins or ends with a space; correct it"
                }
                Value::String(_) | Value::Number(_) | Value::Bool(_) => continue,
                Value::Null | Value::Array(_) | Value::Object(_) => {
                    "a value is a text, a number, true or false; correct it"
                }
            };
            self.context.error(&at.member("values").element(n), message);
        }
        Some(PolicyRule {
            claim: self.context.locator(&at.member("claim"), &raw.claim)?,
            values: raw.values.iter().map(claim_value).collect(),
            policies: raw.policies.iter().map(|id| Arc::from(id.as_str())).collect(),
        })
    }

    fn scopes(&mut self, scopes: &raw::ScopesBlock) -> Option<Scopes> {
        if scopes.scope_to_policy_mapping.is_empty() {
            return None;
        }
        let mut mapping = Vec::new();
        for (n, entry) in scopes.scope_to_policy_mapping.iter().enumerate() {
            if entry.scope.is_empty() || entry.policy_id.is_empty() {
                let at = self.at.members(&["scopes", "scopeToPolicyMapping"]).element(n);
                self.context.error(&at, "an entry needs a scope and a policyId; add what is missing");
            }
            mapping.push((entry.scope.clone(), Arc::from(entry.policy_id.as_str())));
        }
        let named = scopes.claims.iter().chain(Some(&scopes.claim_name)).filter(|name| !name.is_empty());
        let claims = ScopeClaims::new(named.map(String::as_str).chain(["scope"]));
        Some(Scopes::new(claims, mapping))
    }
}
