//! Which counters a request asks, and what follows from what they say.

use std::time::Duration;

use super::{Allowance, Asking, Caller, Exceeded, Pass, Plan, Quota, Standing, Throttle, Which, key::Key};

/// One of each kind of limit, in the order in which they are asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Each<T> {
    pub(super) rate: T,
    pub(super) quota: T,
    pub(super) api: T,
}

/// The counters that a request asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Demand {
    pub(super) counters: Each<Option<Counter>>,
    throttle: Option<Throttle>,
    quota: Quota,
}

/// One of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counter {
    /// The limit's name in the field `RateLimit`.
    pub(super) name: &'static str,
    pub(super) key: Key,
    pub(super) allowance: Allowance,
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

impl<T> Each<T> {
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

impl Demand {
    /// What a request asks; nothing where nothing is limited.
    #[inline]
    pub(super) fn of(asking: &Asking<'_>) -> Option<Self> {
        let limited = |(_, plan): &(Caller, &Plan)| plan.limits_anything();
        if !asking.caller.as_ref().is_some_and(limited) && !asking.api.limits_everybody() {
            return None;
        }
        let mut demand = Self { counters: Each::default(), throttle: None, quota: quota(asking) };
        let counter = |name, caller, scope, allowance| Counter {
            name,
            key: Key::new(caller, scope, allowance),
            allowance,
        };
        if let Some((caller, plan)) = asking.caller {
            let counts = |scope| !asking.counted.contains(caller, scope);
            let rate = plan.rate(&asking.place());
            let rate = rate.filter(|(_, _, scope)| !asking.api.skips_rate() && counts(*scope));
            demand.counters.rate =
                rate.map(|(name, allowance, scope)| counter(name, caller, scope, allowance));
            demand.throttle = plan.throttle();
            if let (Quota::Limited(allowance), scope) = plan.quota()
                && !asking.api.skips_quota()
                && counts(scope)
            {
                demand.counters.quota = Some(counter("quota", caller, scope, allowance));
            }
        }
        demand.counters.api = asking
            .rate_of_everybody()
            .map(|(allowance, scope)| counter("api", Caller::EVERYBODY, scope, allowance));
        Some(demand)
    }

    /// What becomes of the request. A counter that was not asked does not refuse it.
    #[inline]
    pub(super) fn verdict(&self, tallies: &Each<Option<Tally>>) -> Result<Pass, Box<Exceeded>> {
        let mut pass = Pass { quota: self.quota, ..Pass::default() };
        for which in Which::ALL {
            let (Some(counter), Some(tally)) = (self.counters.of(which), tallies.of(which)) else { continue };
            let standing = counter.standing(tally);
            match which {
                Which::Rate => pass.rate = Some(standing),
                Which::Quota => pass.quota_left = Some(standing),
                Which::Api => {}
            }
            if !tally.counted {
                let throttle = self.throttle.filter(|_| which == Which::Rate);
                return Err(Box::new(Exceeded {
                    which,
                    renewed_in: standing.renewed_in,
                    throttle,
                    left: pass,
                }));
            }
        }
        Ok(pass)
    }
}

/// The quota of whoever asks, whether or not it is counted.
pub(super) fn quota(asking: &Asking<'_>) -> Quota {
    asking.caller.map_or(Quota::Unset, |(_, plan)| plan.quota().0)
}

impl Counter {
    fn standing(&self, tally: &Tally) -> Standing {
        Standing {
            name: self.name,
            allowance: self.allowance,
            remaining: self.allowance.requests().saturating_sub(tally.used),
            renewed_in: tally.renewed_in,
        }
    }
}
