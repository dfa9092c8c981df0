//! What limits the callers who have several policies.
//!
//! The order of the policies does not matter: of limits for the same, the one that allows more
//! counts. Which counter is asked follows from the policies as well: see [`names`].

use std::{collections::HashMap, sync::Arc};

use super::Policy;
use crate::limits::{
    CountBy, CountKey, CountedBy, Endpoints, FailureRule, Limits, Plan, PlanFailure, Quota, Rate,
};

/// What a policy limits.
#[derive(Clone, Debug, Default)]
pub struct PolicyLimits {
    /// Its rate; nothing when its partitions say that it has none to give.
    pub rate: Option<Rate>,
    /// Its quota; nothing when its partitions say so.
    pub quota: Option<Quota>,
    /// Each of its APIs is counted on its own (the partition `per_api`).
    pub per_api: bool,
    /// The APIs of its access rights.
    pub apis: Vec<ApiEntry>,
    /// By what claims rates are counted, if not by the caller.
    pub rate_key: Option<CountKey>,
    /// And the quota.
    pub quota_key: Option<CountKey>,
    /// What becomes of the rates while Redis cannot be asked.
    pub rate_on_failure: FailureRule,
    /// And of the quota.
    pub quota_on_failure: FailureRule,
}

/// What a policy limits on one API.
#[derive(Clone, Debug)]
pub struct ApiEntry {
    /// The API's id.
    pub api: Arc<str>,
    /// The limits of the API alone, with `per_api`; else those of the policy count.
    pub limits: Option<Box<Limits>>,
    /// The limits of its endpoints.
    pub endpoints: Endpoints,
}

/// One policy's word on an API.
type Word<'p> = (&'p Policy, &'p ApiEntry);

/// What limits callers with these policies, by the APIs that they grant.
pub(super) fn plans(policies: &[Arc<Policy>]) -> HashMap<Arc<str>, Plan> {
    let mut words: HashMap<&Arc<str>, Vec<Word<'_>>> = HashMap::new();
    for policy in policies {
        for entry in &policy.limits.apis {
            words.entry(&entry.api).or_default().push((policy, entry));
        }
    }
    words.retain(|_, words| words.iter().any(|(policy, _)| policy.grants_anything()));
    // For APIs about whose limits no policy that names them says anything.
    let general = || policies.iter().map(|policy| &policy.limits).filter(|limits| !limits.per_api);
    let inherited = Limits {
        rate: general().filter_map(|limits| limits.rate).reduce(Rate::or_more).unwrap_or_default(),
        quota: general().filter_map(|limits| limits.quota).reduce(Quota::or_more).unwrap_or_default(),
    };
    let mut owners = words.values().filter(|words| !is_per_api(words)).map(|words| owners(words));
    let first = owners.next();
    let shared = owners.all(|others| Some(others) == first);
    let plan = |api: &Arc<str>, words: &[Word<'_>]| {
        // A limit of 0 says nothing either.
        let rate = words.iter().filter_map(rate).reduce(Rate::or_more);
        let quota = words.iter().filter_map(quota).reduce(Quota::or_more);
        let limits = Limits {
            rate: rate.filter(|rate| rate.allowance.is_some()).unwrap_or(inherited.rate),
            quota: quota.filter(|quota| *quota != Quota::Unset).unwrap_or(inherited.quota),
        };
        let mut endpoints = Endpoints::default();
        for (_, entry) in words {
            endpoints.join(&entry.endpoints);
        }
        let (of_rate, of_quota) =
            (bring_rate(policies, words, limits.rate), bring_quota(policies, words, limits.quota));
        let by = CountBy {
            rate: counted_by(&of_rate, |own| own.rate_key.as_ref()),
            endpoints: endpoints_by(words),
            quota: counted_by(&of_quota, |own| own.quota_key.as_ref()),
        };
        let on_failure = PlanFailure {
            rate: of_rate.policies().map(|policy| policy.limits.rate_on_failure).collect(),
            endpoints: with_endpoints(words).map(|policy| policy.limits.rate_on_failure).collect(),
            quota: of_quota.policies().map(|policy| policy.limits.quota_on_failure).collect(),
        };
        Plan::new(limits, endpoints, api, &names(api, words, shared)).counted_by(by, api).failing(on_failure)
    };
    words.iter().map(|(api, words)| (Arc::clone(api), plan(api, words))).collect()
}

fn rate((policy, entry): &Word<'_>) -> Option<Rate> {
    entry.limits.as_ref().map(|limits| limits.rate).or(policy.limits.rate)
}

fn quota((policy, entry): &Word<'_>) -> Option<Quota> {
    entry.limits.as_ref().map(|limits| limits.quota).or(policy.limits.quota)
}

/// The policies that have a limit which came out: those that name the API, and if there is none the others.
enum Bringing<'p> {
    Naming(Vec<Word<'p>>),
    Others(Vec<&'p Policy>),
}

impl<'p> Bringing<'p> {
    fn new(naming: impl Iterator<Item = Word<'p>>, others: impl Iterator<Item = &'p Arc<Policy>>) -> Self {
        let naming: Vec<Word<'p>> = naming.collect();
        if naming.is_empty() {
            Self::Others(others.map(|policy| &**policy).collect())
        } else {
            Self::Naming(naming)
        }
    }

    fn policies(&self) -> impl Iterator<Item = &'p Policy> {
        let (naming, others) = match self {
            Self::Naming(words) => (words.as_slice(), [].as_slice()),
            Self::Others(policies) => ([].as_slice(), policies.as_slice()),
        };
        naming.iter().map(|(policy, _)| *policy).chain(others.iter().copied())
    }
}

fn bring_rate<'p>(policies: &'p [Arc<Policy>], words: &[Word<'p>], merged: Rate) -> Bringing<'p> {
    let has = |rate: Option<Rate>| rate.is_some_and(|rate| rate.allowance == merged.allowance);
    let naming = words.iter().copied().filter(|word| has(rate(word)));
    Bringing::new(naming, policies.iter().filter(|policy| !policy.limits.per_api && has(policy.limits.rate)))
}

fn bring_quota<'p>(policies: &'p [Arc<Policy>], words: &[Word<'p>], merged: Quota) -> Bringing<'p> {
    let has = |own: Option<Quota>| own.is_some_and(|own| own.requests() == merged.requests());
    let naming = words.iter().copied().filter(|word| has(quota(word)));
    Bringing::new(naming, policies.iter().filter(|policy| !policy.limits.per_api && has(policy.limits.quota)))
}

/// One key of several policies that have a limit: the caller alone, if one of them says so, for that
/// allows more. The counter is that of the first policy with this key.
fn counted_by<'p>(
    bringing: &Bringing<'p>,
    key: impl Fn(&'p PolicyLimits) -> Option<&'p CountKey>,
) -> Option<CountedBy> {
    let rank = |policy: &'p Policy| (key(&policy.limits), &*policy.id);
    let (policy, own) = match bringing {
        Bringing::Naming(words) => {
            let (policy, entry) = words.iter().copied().min_by_key(|(policy, _)| rank(policy))?;
            (policy, entry.limits.is_some().then_some(&*entry.api))
        }
        Bringing::Others(policies) => (policies.iter().copied().min_by_key(|policy| rank(policy))?, None),
    };
    let key = key(&policy.limits)?.clone();
    let owners = match own {
        Some(api) => vec!["api", &policy.org_id, api, &policy.id],
        None => vec!["policy", &policy.org_id, &policy.id],
    };
    Some(CountedBy { key, owners: owners.into_iter().map(str::to_owned).collect() })
}

/// The policies that limit endpoints of an API.
fn with_endpoints<'p>(words: &[Word<'p>]) -> impl Iterator<Item = &'p Policy> {
    words.iter().filter(|(_, entry)| !entry.endpoints.is_empty()).map(|(policy, _)| *policy)
}

/// The same for the rates of endpoints, which belong to all policies that have some for the API.
fn endpoints_by(words: &[Word<'_>]) -> Option<CountedBy> {
    let mut naming: Vec<&Policy> = with_endpoints(words).collect();
    naming.sort_unstable_by_key(|policy| &*policy.id);
    let key = naming.iter().map(|policy| &policy.limits.rate_key).min()?.clone()?;
    let org_id = naming.first().map(|policy| &*policy.org_id);
    let names = ["policies"].into_iter().chain(org_id).chain(naming.iter().map(|policy| &*policy.id));
    Some(CountedBy { key, owners: names.map(str::to_owned).collect() })
}

fn is_per_api(words: &[Word<'_>]) -> bool {
    words.iter().any(|(policy, _)| policy.limits.per_api)
}

/// The policies that grant an API, in the order of their ids.
fn owners<'p>(words: &[Word<'p>]) -> Vec<&'p str> {
    let granting = words.iter().filter(|(policy, _)| policy.grants_anything());
    let mut ids: Vec<&str> = granting.map(|(policy, _)| &*policy.id).collect();
    ids.sort_unstable();
    ids
}

/// The names of the counter of an API. APIs with the same names share it: all APIs of a session that
/// are granted by the same policies; with `per_api` those that have no limit of their own, by policy.
fn names<'p>(api: &'p str, words: &[Word<'p>], shared: bool) -> Vec<&'p str> {
    let org_id = words.first().map_or("", |(policy, _)| &*policy.org_id);
    if words.iter().any(|(_, entry)| entry.limits.is_some()) {
        return vec!["api", org_id, api];
    }
    if let Some(id) = words.iter().filter(|(policy, _)| policy.limits.per_api).map(|(p, _)| &*p.id).min() {
        return vec!["policy", org_id, id];
    }
    if shared {
        return vec!["session", org_id];
    }
    let mut names = vec!["policies", org_id];
    names.extend(owners(words));
    names
}

#[cfg(test)]
mod tests {
    use super::{super::Partitions, *};
    use crate::{
        access::ApiRight,
        limits::{Allowance, ApiLimits, Asking, Caller, Counted, Limiter, at_once},
    };

    /// A policy of these APIs; numbers are requests in an hour, 0 for none.
    struct Made(Policy);

    fn limits(rate: f64, quota: i64) -> Limits {
        Limits {
            rate: Rate { allowance: Allowance::rate(rate, 3600.0), throttle: None },
            quota: Quota::new(quota, 3600),
        }
    }

    impl Made {
        fn whole(id: &str, apis: &[&str], rate: f64, quota: i64) -> Self {
            let limits = limits(rate, quota);
            let entry =
                |api: &&str| ApiEntry { api: (*api).into(), limits: None, endpoints: Endpoints::default() };
            Self(Policy {
                file: "p.json".into(),
                at: crate::document::FieldPath::top(),
                id: id.into(),
                org_id: "org".into(),
                active: true,
                rights: apis.iter().map(|api| ((*api).into(), ApiRight::Whole)).collect(),
                tags: Vec::new(),
                meta_data: serde_json::Map::new(),
                limits: PolicyLimits {
                    rate: Some(limits.rate),
                    quota: Some(limits.quota),
                    per_api: false,
                    apis: apis.iter().map(entry).collect(),
                    rate_on_failure: FailureRule::default(),
                    quota_on_failure: FailureRule::default(),
                    rate_key: None,
                    quota_key: None,
                },
                partitions: Partitions::default(),
            })
        }

        fn only_rights(mut self) -> Self {
            (self.0.limits.rate, self.0.limits.quota) = (None, None);
            self
        }

        fn only_rate(mut self) -> Self {
            self.0.limits.quota = None;
            self.0.rights.clear();
            self
        }

        fn only_quota(mut self) -> Self {
            self.0.limits.rate = None;
            self.0.rights.clear();
            self
        }

        fn per_api(mut self, own: &[(&str, f64, i64)]) -> Self {
            self.0.limits.per_api = true;
            for entry in &mut self.0.limits.apis {
                let own = own.iter().find(|(api, ..)| *api == &*entry.api);
                entry.limits = own.map(|(_, rate, quota)| Box::new(limits(*rate, *quota)));
            }
            self
        }

        fn arc(&self) -> Arc<Policy> {
            Arc::new(self.0.clone())
        }
    }

    /// The limits on each API, whatever the order of the policies.
    fn merged(policies: &[&Made]) -> Vec<(String, Limits)> {
        let policies: Vec<_> = policies.iter().map(|made| made.arc()).collect();
        let mut reversed = policies.clone();
        reversed.reverse();
        let [one, other] = [policies, reversed].map(|policies| {
            let plans = plans(&policies);
            let mut limits: Vec<_> =
                plans.iter().map(|(api, plan)| (api.to_string(), plan.limits())).collect();
            limits.sort_by(|a, b| a.0.cmp(&b.0));
            limits
        });
        assert_eq!(one, other);
        one
    }

    #[test]
    fn of_several_limits_the_more_generous_counts_in_any_order() {
        let whole = |id: &str, rate, quota| Made::whole(id, &["a"], rate, quota);
        for (policies, expected) in [
            (vec![whole("p", 3.0, 5)], limits(3.0, 5)),
            (vec![whole("p", 3.0, 5), whole("q", 4.0, 2)], limits(4.0, 5)),
            (vec![whole("p", 3.0, 5), whole("q", 0.0, 0)], limits(3.0, 5)),
            (vec![whole("p", 3.0, 5), whole("q", 0.0, -1)], limits(3.0, -1)),
            (vec![whole("p", 3.0, 5), whole("q", 9.0, 9).only_rights()], limits(3.0, 5)),
            (vec![whole("p", 9.0, 9).only_rights()], limits(0.0, 0)),
            (
                vec![
                    whole("p", 9.0, 9).only_rights(),
                    whole("q", 2.0, 9).only_rate(),
                    whole("r", 9.0, 7).only_quota(),
                ],
                limits(2.0, 7),
            ),
            (vec![whole("p", 3.0, 5).per_api(&[("a", 2.0, 1)]), whole("q", 1.0, 4)], limits(2.0, 4)),
            (vec![whole("p", 3.0, 5).per_api(&[])], limits(3.0, 5)),
            (vec![whole("p", 3.0, 5).per_api(&[("a", 0.0, 1)]), whole("q", 1.0, 0)], limits(1.0, 1)),
        ] {
            let policies: Vec<_> = policies.iter().collect();
            assert_eq!(merged(&policies), [("a".to_owned(), expected)]);
        }
    }

    #[test]
    fn a_part_without_rights_limits_only_what_has_no_limit_of_its_own() {
        let (whole, rights) =
            (Made::whole("w", &["a"], 3.0, 0), Made::whole("r", &["b"], 9.0, 9).only_rights());
        let rate = Made::whole("x", &[], 8.0, 0).only_rate();
        let expected = [("a".to_owned(), limits(3.0, 0)), ("b".to_owned(), limits(8.0, 0))];
        assert_eq!(merged(&[&whole, &rights, &rate]), expected);
        // A limit of 0 is none of its own.
        let silent = Made::whole("s", &["b"], 0.0, 0);
        let limited = Made::whole("l", &["a"], 3.0, 5);
        let expected = [("a".to_owned(), limits(3.0, 5)), ("b".to_owned(), limits(3.0, 5))];
        assert_eq!(merged(&[&silent, &limited]), expected);
        // What only limits does not grant, and so has no plan.
        assert_eq!(merged(&[&rate]), []);
    }

    /// Which of these APIs share a counter of one caller.
    fn shared(policies: &[&Made], one: &str, other: &str) -> bool {
        let policies: Vec<_> = policies.iter().map(|made| made.arc()).collect();
        let (plans, api) = (plans(&policies), ApiLimits::default());
        let now = std::time::Instant::now();
        let limiter = Limiter::in_memory(now);
        let remaining = |id: &str| {
            let caller = Some((Caller::new(None, "c").into(), &plans[id]));
            let asking = Asking {
                caller,
                api: &api,
                operation: None,
                among: Caller::EVERYBODY,
                method: &http::Method::GET,
                paths: ["/", "/"],
                ambiguous: false,
                counted: &Counted::default(),
            };
            at_once(limiter.admit(&asking, || now)).unwrap().rate.unwrap().remaining
        };
        assert_eq!(remaining(one), 8);
        remaining(other) == 7
    }

    #[test]
    fn which_apis_share_a_counter() {
        let whole = |id: &str, apis: &[&str]| Made::whole(id, apis, 9.0, 0);
        let (ab, ba) = (whole("p", &["a", "b"]), whole("q", &["a", "b"]));
        assert!(shared(&[&ab], "a", "b"));
        assert!(shared(&[&ab, &ba], "a", "b"));
        let (a, b) = (whole("p", &["a"]), whole("q", &["b"]));
        assert!(!shared(&[&a, &b], "a", "b"));
        assert!(!shared(&[&ab, &b], "a", "b"));
        assert!(!shared(&[&whole("p", &["a", "b"]).per_api(&[("a", 9.0, 0), ("b", 9.0, 0)])], "a", "b"));
        assert!(shared(&[&whole("p", &["a", "b"]).per_api(&[])], "a", "b"));
        assert!(!shared(&[&whole("p", &["a", "b"]).per_api(&[("a", 9.0, 0)])], "a", "b"));
    }
}
