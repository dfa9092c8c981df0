//! Which policies apply to a token.

use std::{collections::HashSet, sync::Arc};

use super::{Grant, NoMatch, Policy, PolicyRules, PolicySet};
use crate::{
    jwt::{ClaimPath, Claims, ScopeClaims, json::Value},
    refusal::{Reason, Refusal},
};

/// How an API chooses policies for a token.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// The organisation of the API.
    pub org_id: Box<str>,
    /// The claims that name a policy, in order (`basePolicyClaims`, older: `policyFieldName`).
    pub base_claims: Vec<ClaimPath>,
    /// Whether Tyk reads these claims: it does only beside `policyFieldName`.
    pub tyk_reads_base_claims: bool,
    /// How other claims become policies.
    pub rules: Option<PolicyRules>,
    /// The claim that names a stored key, whose first policy counts as named by the token where
    /// `base_claims` is empty (`clientBaseField`): see [`Client`].
    pub client_claim: Option<ClaimPath>,
    /// How scopes become policies.
    pub scopes: Option<Scopes>,
    /// What applies when the token names nothing (`defaultPolicies`).
    pub defaults: Vec<Arc<str>>,
}

/// Policies that are chosen for a token, and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice<'c> {
    /// By what.
    pub by: By<'c>,
    /// Their ids.
    pub ids: Vec<&'c str>,
}

/// The client that a token names, where policies are chosen by clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Client<'c> {
    /// None, or policies are not chosen by clients.
    #[default]
    Unnamed,
    /// One that has this policy.
    With(&'c str),
    /// One that has no policy, or is not known: the defaults are for those who name none.
    WithoutPolicy,
}

/// What chooses policies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By<'c> {
    /// The claim at this path, which names them.
    Claim(&'c str),
    /// The client that the token names.
    Client,
    /// Rules about other claims.
    Rules,
    /// These scopes of the token.
    Scopes(Vec<&'c str>),
    /// Nothing that the token says: they are the defaults of the API.
    Default,
}

/// The mapping of scopes to policies.
#[derive(Clone, Debug)]
pub struct Scopes {
    claims: ScopeClaims,
    /// The policy of each scope, in the order of the configuration.
    mapping: Box<[(Box<str>, Arc<str>)]>,
    /// Places in it, sorted by their scopes. It takes half of the memory of a hash table, and there may be
    /// thousands of APIs with twenty scopes each.
    by_scope: Box<[u32]>,
}

impl Scopes {
    /// The policies of the scopes in these claims. A scope that is mapped twice has the later policy.
    #[must_use]
    pub fn new(claims: ScopeClaims, mapping: Vec<(String, Arc<str>)>) -> Self {
        let mapping: Box<[(Box<str>, Arc<str>)]> =
            mapping.into_iter().map(|(scope, id)| (scope.into(), id)).collect();
        let mut by_scope: Vec<u32> = (0..).zip(&mapping).map(|(n, _)| n).collect();
        let scope = |n: &u32| Self::entry(&mapping, *n).map(|(scope, _)| scope);
        by_scope.sort_by(|a, b| (scope(a), a).cmp(&(scope(b), b)));
        Self { claims, by_scope: by_scope.into(), mapping }
    }

    /// The policies that are named, in the order of the configuration.
    pub fn policies(&self) -> impl Iterator<Item = &Arc<str>> {
        self.mapping.iter().map(|(_, id)| id)
    }

    fn entry(mapping: &[(Box<str>, Arc<str>)], n: u32) -> Option<&(Box<str>, Arc<str>)> {
        mapping.get(usize::try_from(n).ok()?)
    }

    /// The policy of a scope, and its place in the configuration.
    fn policy_of(&self, scope: &str) -> Option<(u32, &Arc<str>)> {
        let is_before = |n: &u32| Self::entry(&self.mapping, *n).is_some_and(|(own, _)| **own <= *scope);
        // The last one of this scope.
        let n = *self.by_scope.get(self.by_scope.partition_point(is_before).checked_sub(1)?)?;
        let (_, id) = Self::entry(&self.mapping, n).filter(|(own, _)| **own == *scope)?;
        Some((n, id))
    }

    /// The policies of these scopes, in the order of the configuration, each once.
    fn policies_of(&self, scopes: &[&str]) -> Vec<&Arc<str>> {
        let mut found: Vec<_> = scopes.iter().filter_map(|scope| self.policy_of(scope)).collect();
        found.sort_by_key(|(n, _)| *n);
        let mut seen = HashSet::new();
        found.into_iter().map(|(_, id)| id).filter(|id| seen.insert(&***id)).collect()
    }
}

/// These policies in this order, each where it comes first.
fn each_once(policies: Vec<&Arc<Policy>>) -> Vec<&Arc<Policy>> {
    let mut seen = HashSet::with_capacity(policies.len());
    policies.into_iter().filter(|policy| seen.insert(Arc::as_ptr(policy))).collect()
}

impl Selection {
    /// Whether anything at all could select a policy.
    #[must_use]
    pub fn is_configured(&self) -> bool {
        let of_token = !self.base_claims.is_empty() || self.rules.is_some() || self.scopes.is_some();
        of_token || self.client_claim.is_some() || !self.defaults.is_empty()
    }

    /// Whether Tyk would find nothing that selects a policy, and so refuse everybody, where claims do.
    #[must_use]
    pub const fn is_nothing_to_tyk(&self) -> bool {
        let reads_none = self.base_claims.is_empty() || !self.tyk_reads_base_claims;
        reads_none && self.client_claim.is_none() && self.scopes.is_none() && self.defaults.is_empty()
    }

    /// Whether a token without a scope may select nothing.
    #[must_use]
    pub const fn needs_scopes(&self) -> bool {
        self.scopes.is_some() && self.defaults.is_empty()
    }

    /// What the policies that apply to a token grant.
    ///
    /// What the token names by itself, by rules and by scopes applies together, in this order, and
    /// replaces the defaults. A policy that is not active refuses, whatever the others grant.
    ///
    /// # Errors
    /// The [`Refusal`] that says why nothing is granted.
    pub fn grant(&self, claims: &Claims, set: &PolicySet) -> Result<Arc<Grant>, Refusal> {
        self.grant_to(claims, Client::Unnamed, set)
    }

    /// What names the client of a token, where that counts: where no claims name policies. What is `null`
    /// is not there.
    #[must_use]
    pub fn client<'c>(&self, claims: &'c Claims) -> Option<&'c Value> {
        let claim = self.client_claim.as_ref().filter(|_| self.base_claims.is_empty())?;
        claim.find(claims).filter(|named| !matches!(named, Value::Null))
    }

    /// The same, where the token names this client.
    ///
    /// # Errors
    /// The [`Refusal`] that says why nothing is granted.
    pub fn grant_to(
        &self,
        claims: &Claims,
        client: Client<'_>,
        set: &PolicySet,
    ) -> Result<Arc<Grant>, Refusal> {
        let mut named = self.base_policies(claims, client, set)?;
        named.extend(self.rule_policies(claims, set)?);
        let named = each_once(named);
        let scopes = self.scopes.as_ref().map(|scopes| (scopes, scopes.claims.of(claims)));
        let (policies, without_rights) = match scopes {
            Some((scopes, of_token)) if !of_token.is_empty() => {
                (self.with_scopes(named, &scopes.policies_of(&of_token), set)?, Reason::ScopePolicyUnknown)
            }
            _ if !named.is_empty() => (named, Reason::PolicyWithoutRights),
            _ if self.rules.as_ref().is_some_and(|rules| rules.no_match == NoMatch::Deny) => {
                return Err(Reason::PolicyRuleUnmatched.into());
            }
            _ if client == Client::WithoutPolicy => return Err(Reason::PolicyNone.into()),
            _ => (self.default_policies(set)?, Reason::PolicyWithoutRights),
        };
        let grant = set.grant(&policies);
        if grant.rights.is_empty() {
            return Err(without_rights.into());
        }
        if !grant.active {
            return Err(Reason::PolicyInactive.into());
        }
        Ok(grant)
    }

    /// Which policies are chosen for a token, and why; whether there are such policies is another
    /// question.
    #[must_use]
    pub fn choices<'s>(&'s self, claims: &'s Claims, client: Client<'s>) -> Vec<Choice<'s>> {
        let by_client = match client {
            Client::With(id) => Some(Choice { by: By::Client, ids: vec![id] }),
            Client::Unnamed | Client::WithoutPolicy => None,
        };
        let by_claim =
            || self.base_ids(claims).map(|(path, ids)| Choice { by: By::Claim(path.as_str()), ids });
        let named = by_client.or_else(by_claim);
        let ids = |ids: Vec<&'s Arc<str>>| ids.into_iter().map(AsRef::as_ref).collect::<Vec<&str>>();
        let by_rules = self.rules.as_ref().map(|rules| ids(rules.policies_of(claims)));
        let by_rules = by_rules.filter(|ids| !ids.is_empty()).map(|ids| Choice { by: By::Rules, ids });
        let of_token = self.scopes.as_ref().map(|scopes| (scopes, scopes.claims.of(claims)));
        let by_scopes = of_token.filter(|(_, of_token)| !of_token.is_empty()).map(|(scopes, of_token)| {
            let ids = ids(scopes.policies_of(&of_token));
            Choice { by: By::Scopes(of_token), ids }
        });
        let mut choices: Vec<Choice<'_>> = [named, by_rules, by_scopes].into_iter().flatten().collect();
        let denies = self.rules.as_ref().is_some_and(|rules| rules.no_match == NoMatch::Deny);
        let has_defaults = client != Client::WithoutPolicy && !self.defaults.is_empty();
        if choices.is_empty() && !denies && has_defaults {
            choices.push(Choice { by: By::Default, ids: ids(self.defaults.iter().collect()) });
        }
        choices
    }

    /// The policies that the token names, by a text or a list of texts, and the claim that does.
    fn base_ids<'c>(&'c self, claims: &'c Claims) -> Option<(&'c ClaimPath, Vec<&'c str>)> {
        self.base_claims.iter().find_map(|path| match path.find(claims)? {
            Value::String(id) if !id.is_empty() => Some((path, vec![id.as_str()])),
            Value::Array(ids) => {
                let ids: Vec<&str> =
                    ids.iter().filter_map(Value::as_str).filter(|id| !id.is_empty()).collect();
                Some((path, ids)).filter(|(_, ids)| !ids.is_empty())
            }
            _ => None,
        })
    }

    /// The policies that the token names; all of them must be known.
    fn base_policies<'s>(
        &self,
        claims: &Claims,
        client: Client<'_>,
        set: &'s PolicySet,
    ) -> Result<Vec<&'s Arc<Policy>>, Refusal> {
        if let Client::With(id) = client {
            return Ok(vec![set.get(&self.org_id, id).ok_or(Reason::PolicyUnknown)?]);
        }
        let Some((_, ids)) = self.base_ids(claims) else { return Ok(Vec::new()) };
        let known = ids.iter().map(|id| set.get(&self.org_id, id)).collect::<Option<Vec<_>>>();
        known.map(each_once).ok_or_else(|| Reason::PolicyUnknown.into())
    }

    /// The policies of the rules that match; nothing if none does. Of those one must be known.
    fn rule_policies<'s>(
        &self,
        claims: &Claims,
        set: &'s PolicySet,
    ) -> Result<Vec<&'s Arc<Policy>>, Refusal> {
        let ids = self.rules.as_ref().map(|rules| rules.policies_of(claims)).unwrap_or_default();
        let known: Vec<_> = ids.iter().filter_map(|id| set.get(&self.org_id, id)).collect();
        if known.is_empty() && !ids.is_empty() { Err(Reason::PolicyUnknown.into()) } else { Ok(known) }
    }

    fn with_scopes<'s>(
        &self,
        mut policies: Vec<&'s Arc<Policy>>,
        ids: &[&Arc<str>],
        set: &'s PolicySet,
    ) -> Result<Vec<&'s Arc<Policy>>, Refusal> {
        if ids.is_empty() && policies.is_empty() {
            return Err(Reason::ScopeUnmapped.into());
        }
        policies.extend(ids.iter().filter_map(|id| set.get(&self.org_id, id)));
        let policies = each_once(policies);
        if policies.is_empty() { Err(Reason::ScopePolicyUnknown.into()) } else { Ok(policies) }
    }

    fn default_policies<'s>(&self, set: &'s PolicySet) -> Result<Vec<&'s Arc<Policy>>, Refusal> {
        let Some(first) = self.defaults.first() else {
            let reason = if self.scopes.is_some() { Reason::ScopeMissing } else { Reason::PolicyNone };
            return Err(reason.into());
        };
        let known: Vec<_> = self.defaults.iter().filter_map(|id| set.get(&self.org_id, id)).collect();
        match (known.is_empty(), set.get(&self.org_id, first)) {
            (false, Some(_)) => Ok(each_once(known)),
            // Without its first default an API has lost what it was meant to grant.
            (false, None) => Err(Reason::PolicyUnknown.into()),
            (true, _) if self.defaults.len() == 1 => {
                Err(Refusal::with_detail(Reason::DefaultPolicyUnknown, first.as_ref()))
            }
            (true, _) => Err(Reason::PolicyWithoutRights.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        access::ApiRight,
        jwt::{Algorithm, Locator, Token, import_key, json, sign::SigningKey},
        policy::{Partitions, PolicyLimits, PolicyRule},
    };

    fn policy(id: &str, active: bool, apis: &[&str]) -> Policy {
        Policy {
            file: "p.json".into(),
            at: crate::document::FieldPath::top(),
            id: id.into(),
            org_id: "".into(),
            active,
            rights: apis.iter().map(|api| ((*api).into(), ApiRight::Whole)).collect(),
            tags: vec![id.into(), "all".into()],
            meta_data: [("plan".into(), id.into())].into_iter().collect(),
            limits: PolicyLimits::default(),
            partitions: Partitions::default(),
        }
    }

    fn set() -> PolicySet {
        PolicySet::new([
            policy("gold", true, &["orders"]),
            policy("silver", true, &["catalog"]),
            policy("off", false, &["orders"]),
            policy("empty", true, &[]),
        ])
    }

    fn claims(claims: &serde_json::Value) -> Claims {
        let key = SigningKey::generate(Algorithm::EdDSA).unwrap();
        let jwk = key.public_jwk(None).unwrap().to_string();
        let keys = import_key(jwk.as_bytes(), Algorithm::EdDSA.into()).unwrap();
        let token = key.sign(&serde_json::json!({}), claims).unwrap();
        Token::parse(&token, 10_000).unwrap().verify(&keys.keys()[0]).unwrap()
    }

    fn selection() -> Selection {
        let mapping = [("write", "silver"), ("read", "gold"), ("old", "off"), ("lost", "unknown")];
        Selection {
            org_id: "".into(),
            base_claims: vec![ClaimPath::lenient("pol")],
            tyk_reads_base_claims: true,
            client_claim: None,
            rules: None,
            scopes: Some(Scopes::new(
                ScopeClaims::new(["scope"]),
                mapping.iter().map(|(scope, id)| ((*scope).into(), (*id).into())).collect(),
            )),
            defaults: vec!["gold".into()],
        }
    }

    /// The policies that apply, or why none does.
    fn select(selection: &Selection, token: &serde_json::Value) -> Result<Vec<String>, Reason> {
        let grant = selection.grant(&claims(token), &set()).map_err(|refusal| refusal.reason())?;
        Ok(grant.policies.iter().map(|policy| policy.id.to_string()).collect())
    }

    #[test]
    fn what_a_token_selects() {
        use serde_json::json;
        for (token, expected) in [
            (json!({}), Ok(vec!["gold"])),
            (json!({ "pol": "silver" }), Ok(vec!["silver"])),
            (json!({ "pol": ["silver", "gold", "silver"] }), Ok(vec!["silver", "gold"])),
            (json!({ "pol": ["silver", "unknown"] }), Err(Reason::PolicyUnknown)),
            (json!({ "pol": "off" }), Err(Reason::PolicyInactive)),
            (json!({ "pol": ["gold", "off"] }), Err(Reason::PolicyInactive)),
            (json!({ "pol": "empty" }), Err(Reason::PolicyWithoutRights)),
            // The order of the configuration, whatever that of the token.
            (json!({ "scope": "read write read" }), Ok(vec!["silver", "gold"])),
            (json!({ "scope": "other" }), Err(Reason::ScopeUnmapped)),
            (json!({ "scope": "lost" }), Err(Reason::ScopePolicyUnknown)),
            (json!({ "scope": "read old" }), Err(Reason::PolicyInactive)),
            (json!({ "scope": "write", "pol": "gold" }), Ok(vec!["gold", "silver"])),
        ] {
            let expected = expected.map(|ids| ids.into_iter().map(String::from).collect());
            assert_eq!(select(&selection(), &token), expected, "{token}");
        }
    }

    fn rules(no_match: NoMatch) -> PolicyRules {
        let rule = |claim: &str, values: &str, policies: &[&str]| {
            let Value::Array(values) = json::parse(values.as_bytes()).unwrap().value else { panic!() };
            let policies = policies.iter().map(|id| (*id).into()).collect();
            PolicyRule { claim: Locator::parse(claim).unwrap(), values, policies }
        };
        let rules = vec![
            rule("realm.roles", r#"["admin", "operator"]"#, &["silver", "gold"]),
            rule("realm.roles", r#"["reader"]"#, &["gold"]),
            rule("level", "[3, true]", &["gold", "unknown"]),
            rule("lost", r#"["x"]"#, &["unknown"]),
        ];
        PolicyRules { rules, no_match }
    }

    #[test]
    fn what_rules_about_claims_select() {
        use serde_json::json;
        let deny = Selection { rules: Some(rules(NoMatch::Deny)), ..selection() };
        let roles = |roles| json!({ "realm": { "roles": roles } });
        for (token, expected) in [
            (roles(json!("operator")), Ok(vec!["silver", "gold"])),
            (roles(json!(["x", "reader"])), Ok(vec!["gold"])),
            (roles(json!(["reader", "admin"])), Ok(vec!["silver", "gold"])),
            (json!({ "level": 3.0 }), Ok(vec!["gold"])),
            (json!({ "level": true }), Ok(vec!["gold"])),
            (json!({ "level": "3" }), Err(Reason::PolicyRuleUnmatched)),
            (roles(json!(["Reader", "admin operator", ["reader"]])), Err(Reason::PolicyRuleUnmatched)),
            (json!({}), Err(Reason::PolicyRuleUnmatched)),
            (json!({ "lost": "x" }), Err(Reason::PolicyUnknown)),
            // What else the token names applies with them.
            (json!({ "pol": "silver", "level": 3 }), Ok(vec!["silver", "gold"])),
            (json!({ "pol": "silver" }), Ok(vec!["silver"])),
            (json!({ "scope": "write", "level": 3 }), Ok(vec!["gold", "silver"])),
            (json!({ "scope": "openid", "level": 3 }), Ok(vec!["gold"])),
            (json!({ "pol": "off", "level": 3 }), Err(Reason::PolicyInactive)),
        ] {
            let expected = expected.map(|ids| ids.into_iter().map(String::from).collect());
            assert_eq!(select(&deny, &token), expected, "{token}");
        }
        let defaults = Selection { rules: Some(rules(NoMatch::Defaults)), ..selection() };
        assert_eq!(select(&defaults, &json!({})), Ok(vec!["gold".into()]));
        assert_eq!(select(&defaults, &json!({ "lost": "x" })), Err(Reason::PolicyUnknown));
    }

    #[test]
    fn defaults_that_are_lost() {
        for (defaults, expected) in [
            (vec!["gold", "silver", "gold"], Ok(vec!["gold", "silver"])),
            (vec!["gold", "unknown"], Ok(vec!["gold"])),
            (vec!["unknown", "gold"], Err(Reason::PolicyUnknown)),
            (vec!["unknown"], Err(Reason::DefaultPolicyUnknown)),
            (vec!["unknown", "unknown2"], Err(Reason::PolicyWithoutRights)),
            (vec![], Err(Reason::ScopeMissing)),
        ] {
            let selection =
                Selection { defaults: defaults.iter().map(|id| (*id).into()).collect(), ..selection() };
            let expected = expected.map(|ids| ids.into_iter().map(String::from).collect());
            assert_eq!(select(&selection, &serde_json::json!({})), expected, "{defaults:?}");
        }
    }

    #[test]
    fn what_several_policies_say_together() {
        let grant =
            selection().grant(&claims(&serde_json::json!({ "scope": "read write" })), &set()).unwrap();
        assert_eq!(grant.tags, ["all", "gold", "silver"]);
        assert_eq!(grant.meta_data["plan"], "gold", "the later one wins");
        let mut apis: Vec<&str> = grant.rights.apis().collect();
        apis.sort_unstable();
        assert_eq!(apis, ["catalog", "orders"]);
    }

    #[test]
    fn a_token_cannot_make_the_merge_expensive() {
        let many: Vec<Policy> = (0..200).map(|n| policy(&format!("p{n}"), true, &["orders"])).collect();
        let set = PolicySet::new(many);
        let selection = Selection { base_claims: vec![ClaimPath::lenient("pol")], ..Selection::default() };
        let ids: Vec<String> = (0..1_000).map(|n| format!("p{}", n % 200)).collect();
        let token = claims(&serde_json::json!({ "pol": ids }));
        let (first, second) =
            (selection.grant(&token, &set).unwrap(), selection.grant(&token, &set).unwrap());
        assert_eq!(first.policies.len(), 200);
        assert!(!Arc::ptr_eq(&first, &second), "long combinations are not kept");
        let few = claims(&serde_json::json!({ "pol": ["p1", "p2", "p1"] }));
        let (first, second) = (selection.grant(&few, &set).unwrap(), selection.grant(&few, &set).unwrap());
        assert!(Arc::ptr_eq(&first, &second));
    }
}
