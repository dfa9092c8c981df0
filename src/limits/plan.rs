//! What limits the callers of an API.

use super::{
    Allowance, Caller, Callers, CountKey, Endpoints, FailureRule, Quota, Scope, Throttle,
    demand::Counter,
    endpoints::{CountedEndpoints, Place},
};
use crate::jwt::Claims;

/// What a policy allows its callers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// In a short time.
    pub rate: Rate,
    /// In a long time.
    pub quota: Quota,
}

/// A rate, and what becomes of requests over it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    /// The rate; nothing is said without one: no limit, and none is lifted.
    pub allowance: Option<Allowance>,
    /// How requests over the rate are held.
    pub throttle: Option<Throttle>,
}

impl Rate {
    /// Both together: the rate that allows more, and the greater of each number of the throttle.
    #[must_use]
    pub fn or_more(self, other: Self) -> Self {
        let throttle = |one: Throttle, other: Throttle| Throttle {
            interval: one.interval.max(other.interval),
            retries: one.retries.max(other.retries),
        };
        Self {
            allowance: either(self.allowance, other.allowance, Allowance::or_more),
            throttle: either(self.throttle, other.throttle, throttle),
        }
    }
}

/// What there is of two, or both joined.
fn either<T>(one: Option<T>, other: Option<T>, join: impl FnOnce(T, T) -> T) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(join(one, other)),
        (one, other) => one.or(other),
    }
}

/// What limits one caller on one API, and which counters are asked.
#[derive(Clone, Debug)]
pub struct Plan {
    limits: Limits,
    rate_scope: Scope,
    quota_scope: Scope,
    endpoints: CountedEndpoints,
    /// By what claims requests are counted, if not by their caller.
    by: Option<Box<CountBy>>,
    on_failure: PlanFailure,
}

/// What becomes of each limit of a caller while Redis cannot be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlanFailure {
    /// Of the rate.
    pub rate: FailureRule,
    /// Of the rates of endpoints.
    pub endpoints: FailureRule,
    /// Of the quota.
    pub quota: FailureRule,
}

/// By what claims each limit is counted; by the caller where there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CountBy {
    /// The rate.
    pub rate: Option<CountedBy>,
    /// The rates of endpoints.
    pub endpoints: Option<CountedBy>,
    /// The quota.
    pub quota: Option<CountedBy>,
}

/// Claims that make a counter, and to whom it belongs. Callers who share a tenant and not their policies
/// must not share a counter: those with the lower limit would pay for what the others use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedBy {
    /// The claims.
    pub key: CountKey,
    /// The names of the counter but for the values of the claims: whose limit it is.
    pub owners: Vec<String>,
}

impl CountedBy {
    fn names<'n>(&'n self, first: &'n str) -> Vec<&'n str> {
        std::iter::once(first).chain(self.owners.iter().map(String::as_str)).collect()
    }
}

/// See [`Plan::facts`].
#[cfg(test)]
#[derive(Debug, PartialEq)]
pub(crate) struct PlanFacts {
    limits: Limits,
    scopes: [Scope; 2],
    endpoints: Vec<(String, Allowance, Scope)>,
    by: Option<CountBy>,
    on_failure: PlanFailure,
}

impl Plan {
    /// These limits, counted below the scope of these names. APIs with the same names share a
    /// counter; endpoints are counted on their own, and for each API.
    #[must_use]
    pub fn new(limits: Limits, endpoints: Endpoints, api: &str, names: &[&str]) -> Self {
        Self {
            limits,
            rate_scope: Scope::new(&[&["rate"], names].concat()),
            quota_scope: Scope::new(&[&["quota"], names].concat()),
            endpoints: endpoints.counted_in(&[&[api], names].concat()),
            by: None,
            on_failure: PlanFailure::default(),
        }
    }

    /// The same, of which this becomes while Redis cannot be asked.
    #[must_use]
    pub const fn failing(mut self, on_failure: PlanFailure) -> Self {
        self.on_failure = on_failure;
        self
    }

    /// The same, counted by these claims, each in counters of its owners: see [`Plan::callers`].
    #[must_use]
    pub fn counted_by(mut self, by: CountBy, api: &str) -> Self {
        if let Some(by) = &by.rate {
            self.rate_scope = Scope::new(&by.names("rate"));
        }
        if let Some(by) = &by.quota {
            self.quota_scope = Scope::new(&by.names("quota"));
        }
        if let Some(by) = &by.endpoints {
            self.endpoints.count_in(&by.names(api));
        }
        self.by = (by != CountBy::default()).then(|| Box::new(by));
        self
    }

    /// By what claims requests are counted, if not by their caller.
    #[must_use]
    pub fn by(&self) -> Option<&CountBy> {
        self.by.as_deref()
    }

    /// For whom the requests of a caller are counted whose token has these claims.
    #[must_use]
    pub fn callers(&self, caller: Caller, claims: &Claims) -> Callers {
        let Some(by) = self.by() else { return caller.into() };
        let of = |by: &Option<CountedBy>| by.as_ref().and_then(|by| by.key.caller(claims)).unwrap_or(caller);
        Callers { rate: of(&by.rate), endpoints: of(&by.endpoints), quota: of(&by.quota) }
    }

    /// All that decides about requests, to be compared.
    #[cfg(test)]
    pub(crate) fn facts(&self) -> PlanFacts {
        let (scopes, endpoints) = ([self.rate_scope, self.quota_scope], self.endpoints.facts());
        let (by, on_failure) = (self.by().cloned(), self.on_failure);
        PlanFacts { limits: self.limits, scopes, endpoints, by, on_failure }
    }

    /// Whether anything is limited.
    #[must_use]
    pub const fn limits_anything(&self) -> bool {
        self.limits.rate.allowance.is_some()
            || matches!(self.limits.quota, Quota::Limited(_))
            || !self.endpoints.is_empty()
    }

    /// About what it takes in memory besides its own size.
    #[must_use]
    pub fn octets(&self) -> usize {
        self.endpoints.octets()
    }

    /// The limits, but for those of endpoints.
    #[must_use]
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    /// The counter of the rate that counts for a request: that of the endpoint, else the general.
    pub(super) fn rate(&self, place: &Place<'_>, callers: &Callers) -> Option<Counter> {
        if let Some((allowance, scope)) = self.endpoints.find(place) {
            let counter = Counter::new("endpoint", callers.endpoints, scope, allowance);
            return Some(counter.failing(self.on_failure.endpoints));
        }
        let counter = |rate| Counter::new("rate", callers.rate, self.rate_scope, rate);
        self.limits.rate.allowance.map(|rate| counter(rate).failing(self.on_failure.rate))
    }

    /// The counter of the quota, if it is limited.
    pub(super) fn quota(&self, callers: &Callers) -> Option<Counter> {
        let Quota::Limited(allowance) = self.limits.quota else { return None };
        let counter = Counter::new("quota", callers.quota, self.quota_scope, allowance);
        Some(counter.failing(self.on_failure.quota))
    }

    /// What the counter of the rate is about.
    #[must_use]
    pub const fn rate_scope(&self) -> Scope {
        self.rate_scope
    }

    pub(super) const fn throttle(&self) -> Option<Throttle> {
        self.limits.rate.throttle
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn rates_together() {
        let throttle =
            |interval, retries| Some(Throttle { interval: Duration::from_secs(interval), retries });
        let rate = |requests, throttle| Rate { allowance: Allowance::rate(requests, 60.0), throttle };
        for (one, other, both) in [
            (rate(2.0, None), rate(4.0, None), rate(4.0, None)),
            (rate(2.0, None), rate(0.0, None), rate(2.0, None)),
            (rate(0.0, None), rate(0.0, None), rate(0.0, None)),
            (rate(2.0, throttle(1, 9)), rate(4.0, throttle(5, 2)), rate(4.0, throttle(5, 9))),
            (rate(2.0, throttle(1, 9)), rate(4.0, None), rate(4.0, throttle(1, 9))),
        ] {
            assert_eq!((one.or_more(other), other.or_more(one)), (both, both));
        }
    }
}
