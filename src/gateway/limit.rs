//! A request before its limits: held while it is over a rate with a throttle, refused if it stays so.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use http::HeaderMap;
use tokio::time::sleep;

use crate::{
    limits::{Asking, Caller, Denied, Exceeded, Limiter, Pass, Scope, Which, XRateLimit, rate_limit_fields},
    refusal::{Profile, Reason, Refusal},
};

/// How many requests a thread holds at most; one more is refused at once.
const MAX_HELD: usize = 1024;

/// And how many of them are counted by one counter: one caller must not take the places of all others.
const MAX_HELD_OF_ONE: usize = 64;

/// What a held request is over: the counter of a caller, or of all who share it.
type Over = (Caller, Scope);

/// The requests that a thread holds.
#[derive(Default)]
struct Held(Mutex<Places>);

#[derive(Default)]
struct Places {
    taken: usize,
    by_counter: HashMap<Over, usize>,
}

/// One of them. Dropped when it is held no longer, be it that its client has left.
struct Place<'h>(&'h Held, Over);

impl Held {
    fn enter(&self, over: Over) -> Option<Place<'_>> {
        let mut places = self.places();
        let of_one = places.by_counter.get(&over).copied().unwrap_or_default();
        if places.taken >= MAX_HELD || of_one >= MAX_HELD_OF_ONE {
            return None;
        }
        places.taken = places.taken.saturating_add(1);
        places.by_counter.insert(over, of_one.saturating_add(1));
        Some(Place(self, over))
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut places = self.0.places();
        places.taken = places.taken.saturating_sub(1);
        if let Some(of_one) = places.by_counter.get_mut(&self.1) {
            *of_one = of_one.saturating_sub(1);
            if *of_one == 0 {
                places.by_counter.remove(&self.1);
            }
        }
    }
}

/// What requests of one thread pass last.
pub(super) struct Gate {
    limiter: Limiter,
    held: Held,
}

impl Gate {
    pub(super) fn new(limiter: Limiter) -> Self {
        Self { limiter, held: Held::default() }
    }

    /// Counts a request that is within its limits.
    pub(super) async fn admit(&self, asking: &Asking<'_>, told: Told) -> Result<Pass, Refusal> {
        let mut exceeded = match self.limiter.admit(asking, Instant::now).await {
            Ok(pass) => return Ok(pass),
            Err(Denied::Exceeded(exceeded)) => exceeded,
            Err(denied) => return Err(refused(&denied, told)),
        };
        let over = asking.caller.map(|(callers, plan)| (callers.rate, plan.rate_scope()));
        let (Some(throttle), Some(over)) = (exceeded.throttle, over) else {
            return Err(refusal(&exceeded, told));
        };
        let Some(_place) = self.held.enter(over) else { return Err(refusal(&exceeded, told)) };
        for _ in 0..throttle.retries {
            sleep(throttle.interval).await;
            exceeded = match self.limiter.admit(asking, Instant::now).await {
                Ok(pass) => return Ok(pass),
                Err(Denied::Exceeded(exceeded)) => exceeded,
                Err(denied) => return Err(refused(&denied, told)),
            };
            // Over another limit now, which holds nobody.
            if exceeded.throttle.is_none() {
                break;
            }
        }
        Err(refusal(&exceeded, told))
    }

    /// Whether a request would be within its limits right now. None is counted, none is held.
    pub(super) async fn look(&self, asking: &Asking<'_>, told: Told) -> Result<Pass, Refusal> {
        self.limiter.look(asking, Instant::now).await.map_err(|denied| refused(&denied, told))
    }

    /// Counts that a caller asks for what is left of its limits, which it may not do too often.
    pub(super) fn ask(&self, caller: Caller, told: Told) -> Result<(), Refusal> {
        self.limiter.ask(caller, Instant::now()).map_err(|exceeded| refusal(&exceeded, told))
    }

    /// What is left of the limits that are asked, also of those that nothing is left of.
    pub(super) async fn left(&self, asking: &Asking<'_>) -> Result<Pass, Refusal> {
        match self.limiter.look(asking, Instant::now).await {
            Ok(pass) => Ok(pass),
            Err(Denied::Exceeded(exceeded)) => Ok(exceeded.left),
            Err(Denied::Unavailable(_)) => Err(Reason::LimitsUnavailable.into()),
        }
    }
}

/// What answers say of limits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    profile: Profile,
    /// What `X-RateLimit-*` are about, if there are any.
    x_rate_limit: Option<XRateLimit>,
}

impl Told {
    /// As this profile does, unless it is said what `X-RateLimit-*` are about.
    pub(super) const fn new(profile: Profile, x_rate_limit: Option<XRateLimit>) -> Self {
        let x_rate_limit = match (profile, x_rate_limit) {
            (Profile::Tyk, None) => Some(XRateLimit::Quotas),
            (Profile::Tyk | Profile::Rfc, said) => said,
        };
        Self { profile, x_rate_limit }
    }

    /// Says in an answer what is left.
    pub(super) fn tell(self, pass: &Pass, headers: &mut HeaderMap) {
        if self.profile == Profile::Rfc {
            rate_limit_fields(pass, headers);
        }
        if let Some(about) = self.x_rate_limit {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            about.tell(pass, now, headers);
        }
    }

    /// What is left of the limits of a caller who is over one of them. In Tyk a refusal does not tell of the
    /// quota.
    fn of_refusal(self, left: &Pass) -> HeaderMap {
        let mut fields = HeaderMap::new();
        if self.profile == Profile::Rfc || self.x_rate_limit == Some(XRateLimit::RateLimits) {
            self.tell(left, &mut fields);
        }
        fields
    }
}

fn refused(denied: &Denied, told: Told) -> Refusal {
    match denied {
        Denied::Exceeded(exceeded) => refusal(exceeded, told),
        Denied::Unavailable(_) => Reason::LimitsUnavailable.into(),
    }
}

fn refusal(exceeded: &Exceeded, told: Told) -> Refusal {
    let reason = match exceeded.which {
        Which::Rate => Reason::RateExceeded,
        Which::Quota => Reason::QuotaExceeded,
        Which::Api => Reason::ApiRateExceeded,
    };
    let refusal = Refusal::with_fields(reason, told.of_refusal(&exceeded.left));
    match exceeded.renewed_in {
        Some(time) => refusal.retry_after(time),
        None => refusal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_caller_does_not_take_the_places_of_all() {
        let held = Held::default();
        let over = |name: &str| (Caller::new(None, name), Scope::new(&["rate"]));
        let mut places: Vec<Place<'_>> =
            (0..MAX_HELD_OF_ONE).map(|_| held.enter(over("a")).unwrap()).collect();
        assert!(held.enter(over("a")).is_none());
        let other = held.enter(over("b")).unwrap();
        places.pop();
        let again = held.enter(over("a")).unwrap();
        assert!(held.enter(over("a")).is_none());
        drop((places, other, again));
        let places = held.places();
        assert_eq!((places.taken, places.by_counter.len()), (0, 0), "who leaves leaves nothing");
    }

    #[test]
    fn a_thread_holds_so_many() {
        let held = Held::default();
        let of = |n: usize| held.enter((Caller::new(None, &n.to_string()), Scope::new(&["rate"])));
        let places: Vec<_> = (0..MAX_HELD).map(|n| of(n).unwrap()).collect();
        assert!(of(MAX_HELD).is_none());
        drop(places);
        assert!(of(MAX_HELD).is_some());
    }
}
