//! Which policies apply to a token.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{Grant, Policy, PolicySet};
use crate::{
    jwt::{ClaimPath, Claims, json::Value},
    refusal::{Reason, Refusal},
};

/// How an API chooses policies for a token.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// The organisation of the API.
    pub org_id: Box<str>,
    /// The claims that name a policy, in order (`basePolicyClaims`, older: `policyFieldName`).
    pub base_claims: Vec<ClaimPath>,
    /// How scopes become policies.
    pub scopes: Option<Scopes>,
    /// What applies when the token names nothing (`defaultPolicies`).
    pub defaults: Vec<Arc<str>>,
}

/// The mapping of scopes to policies.
#[derive(Clone, Debug)]
pub struct Scopes {
    claims: Vec<ClaimPath>,
    /// The policy and its place in the configuration, by scope.
    mapping: HashMap<Box<str>, (usize, Arc<str>)>,
}

impl Scopes {
    /// Scopes are read from the first of `claims` that exists, else from `scope`. A scope that is
    /// mapped twice has the later policy.
    #[must_use]
    pub fn new(mut claims: Vec<ClaimPath>, mapping: Vec<(String, Arc<str>)>) -> Self {
        claims.push(ClaimPath::lenient("scope"));
        let numbered = mapping.into_iter().enumerate();
        Self { claims, mapping: numbered.map(|(n, (scope, id))| (scope.into(), (n, id))).collect() }
    }

    /// The policies that the mapping names.
    pub fn policies(&self) -> impl Iterator<Item = &Arc<str>> {
        self.mapping.values().map(|(_, id)| id)
    }

    /// The scopes of a token; nothing if it has no claim for them.
    fn of_token<'c>(&self, claims: &'c Claims) -> Vec<Cow<'c, str>> {
        let mut scopes = Vec::new();
        match self.claims.iter().find_map(|path| path.find(claims)) {
            // One scope for each single space, as in Tyk: the empty text is one empty scope.
            Some(Value::String(text)) => scopes.extend(text.split(' ').map(Cow::Borrowed)),
            Some(value @ Value::Array(_)) => flatten(value, &mut scopes),
            _ => {}
        }
        scopes
    }

    /// The policies of these scopes, in the order of the configuration, each once.
    fn policies_of(&self, scopes: &[Cow<'_, str>]) -> Vec<&Arc<str>> {
        let mut found: Vec<_> = scopes.iter().filter_map(|scope| self.mapping.get(&**scope)).collect();
        found.sort_by_key(|(n, _)| *n);
        let mut seen = HashSet::new();
        found.into_iter().map(|(_, id)| id).filter(|id| seen.insert(&***id)).collect()
    }
}

fn flatten<'c>(value: &'c Value, scopes: &mut Vec<Cow<'c, str>>) {
    match value {
        Value::String(scope) => scopes.push(scope.into()),
        Value::Array(elements) => elements.iter().for_each(|element| flatten(element, scopes)),
        _ => {}
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
        !self.base_claims.is_empty() || self.scopes.is_some() || !self.defaults.is_empty()
    }

    /// What the policies that apply to a token grant.
    ///
    /// Scopes come first and replace the defaults; a policy that the token names applies with them.
    /// A policy that is not active refuses, whatever the others grant.
    ///
    /// # Errors
    /// The [`Refusal`] that says why nothing is granted.
    pub fn grant(&self, claims: &Claims, set: &PolicySet) -> Result<Arc<Grant>, Refusal> {
        let base = self.base_policies(claims, set)?;
        let scopes = self.scopes.as_ref().map(|scopes| (scopes, scopes.of_token(claims)));
        let (policies, without_rights) = match scopes {
            Some((scopes, of_token)) if !of_token.is_empty() => {
                (self.with_scopes(base, &scopes.policies_of(&of_token), set)?, Reason::ScopePolicyUnknown)
            }
            _ if !base.is_empty() => (base, Reason::PolicyWithoutRights),
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

    /// The policies that the token names, by a text or a list of texts; all of them must be known.
    fn base_policies<'s>(
        &self,
        claims: &Claims,
        set: &'s PolicySet,
    ) -> Result<Vec<&'s Arc<Policy>>, Refusal> {
        let ids = self.base_claims.iter().find_map(|path| match path.find(claims)? {
            Value::String(id) if !id.is_empty() => Some(vec![id.as_str()]),
            Value::Array(ids) => {
                let ids: Vec<&str> =
                    ids.iter().filter_map(Value::as_str).filter(|id| !id.is_empty()).collect();
                Some(ids).filter(|ids| !ids.is_empty())
            }
            _ => None,
        });
        let Some(ids) = ids else { return Ok(Vec::new()) };
        let known = ids.iter().map(|id| set.get(&self.org_id, id)).collect::<Option<Vec<_>>>();
        known.map(each_once).ok_or_else(|| Reason::PolicyUnknown.into())
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
