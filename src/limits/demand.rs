//! Which counters a request asks, and what follows from what they say.

use std::time::Duration;

use super::{
    Allowance, Asking, Caller, Callers, Exceeded, FailureRule, Pass, Plan, Quota, Scope, Standing, Throttle,
    Which, key::Key,
};

/// One of each kind of limit, in the order in which they are asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Each<T> {
    pub(super) rate: T,
    pub(super) quota: T,
    pub(super) api: T,
}

/// What follows from what counters say, one after the other.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) pass: Pass,
    throttle: Option<Throttle>,
}

/// A counter that a request asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counter {
    /// The limit's name in the field `RateLimit`.
    pub(super) name: &'static str,
    pub(super) key: Key,
    pub(super) allowance: Allowance,
    /// What becomes of the limit while Redis cannot be asked.
    pub(super) on_failure: FailureRule,
}

/// What a counter says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tally {
    /// Requests that were let through in this window.
    pub(super) used: u64,
    /// When the window ends; nothing for never.
    pub(super) renewed_in: Option<Duration>,
    /// Whether this request is one of them.
    pub(super) counted: bool,
}

impl<T> Each<Option<T>> {
    /// Those that there are, in the order in which they are asked.
    pub(super) fn present(&self) -> impl Iterator<Item = (Which, &T)> {
        Which::ALL.into_iter().filter_map(|which| Some((which, self.of(which).as_ref()?)))
    }
}

impl<T> Each<T> {
    /// What there is for each kind.
    pub(super) fn new(mut of: impl FnMut(Which) -> T) -> Self {
        Self { rate: of(Which::Rate), quota: of(Which::Quota), api: of(Which::Api) }
    }

    pub(super) const fn of(&self, which: Which) -> &T {
        match which {
            Which::Rate => &self.rate,
            Which::Quota => &self.quota,
            Which::Api => &self.api,
        }
    }

    pub(super) const fn of_mut(&mut self, which: Which) -> &mut T {
        match which {
            Which::Rate => &mut self.rate,
            Which::Quota => &mut self.quota,
            Which::Api => &mut self.api,
        }
    }
}

impl Asking<'_> {
    /// Whether any counter is asked at all.
    pub(super) fn is_limited(&self) -> bool {
        let is_limited = |(_, plan): &(Callers, &Plan)| plan.limits_anything();
        self.caller.as_ref().is_some_and(is_limited) || self.api.shared(self.operation).is_some()
    }

    /// The counter that is asked for a limit of this kind.
    #[inline]
    pub(super) fn counter(&self, which: Which) -> Option<Counter> {
        let counter = match (which, &self.caller) {
            (Which::Api, _) => self.api.rate(self.operation, self.among),
            (Which::Rate, Some((callers, plan))) if !self.api.skips_rate() => {
                plan.rate(&self.place(), callers)
            }
            (Which::Quota, Some((callers, plan))) if !self.api.skips_quota() => plan.quota(callers),
            (Which::Rate | Which::Quota, _) => None,
        };
        counter.filter(|counter| !self.counted.contains(&counter.key))
    }
}

impl Verdict {
    /// Nothing has refused the request yet.
    pub(super) fn of(asking: &Asking<'_>) -> Self {
        let quota = asking.caller.map_or(Quota::Unset, |(_, plan)| plan.limits().quota);
        let throttle = asking.caller.and_then(|(_, plan)| plan.throttle());
        Self { pass: Pass { quota, ..Pass::default() }, throttle }
    }

    /// One more counter has been asked.
    #[inline]
    pub(super) fn add(
        &mut self,
        which: Which,
        counter: &Counter,
        tally: &Tally,
    ) -> Result<(), Box<Exceeded>> {
        let standing = counter.standing(tally);
        match which {
            Which::Rate => self.pass.rate = Some(standing),
            Which::Quota => self.pass.quota_left = Some(standing),
            Which::Api => {}
        }
        if tally.counted {
            return Ok(());
        }
        let throttle = self.throttle.filter(|_| which == Which::Rate);
        Err(Box::new(Exceeded { which, renewed_in: standing.renewed_in, throttle, left: self.pass }))
    }
}

impl Counter {
    pub(super) const fn new(name: &'static str, caller: Caller, scope: Scope, allowance: Allowance) -> Self {
        Self { name, key: Key::new(caller, scope, allowance), allowance, on_failure: FailureRule::new(None) }
    }

    /// The same, where this becomes of the limit while Redis cannot be asked.
    pub(super) const fn failing(self, on_failure: FailureRule) -> Self {
        Self { on_failure, ..self }
    }

    fn standing(&self, tally: &Tally) -> Standing {
        Standing {
            name: self.name,
            allowance: self.allowance,
            remaining: self.allowance.requests().saturating_sub(tally.used),
            renewed_in: tally.renewed_in,
        }
    }
}
