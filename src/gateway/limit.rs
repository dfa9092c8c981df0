//! A request before its limits: held while it is over a rate with a throttle, refused if it stays so.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use http::HeaderMap;
use tokio::time::sleep;

use crate::{
    limits::{Asking, Denied, Exceeded, Limiter, Pass, Which, rate_limit_fields, tyk_fields},
    refusal::{Profile, Reason, Refusal},
};

/// How many requests a thread holds at most; one more is refused at once.
const MAX_HELD: usize = 1024;

/// How many requests a thread holds.
#[derive(Default)]
struct Held(AtomicUsize);

/// One of them. Dropped when it is held no longer, be it that its client has left.
struct Place<'h>(&'h Held);

impl Held {
    fn enter(&self) -> Option<Place<'_>> {
        let place = Place(self);
        (self.0.fetch_add(1, Ordering::Relaxed) < MAX_HELD).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What requests of one thread pass last.
pub(super) struct Gate {
    limiter: Limiter,
    held: Held,
}

impl Gate {
    pub(super) const fn new(limiter: Limiter) -> Self {
        Self { limiter, held: Held(AtomicUsize::new(0)) }
    }

    /// Counts a request that is within its limits.
    pub(super) async fn admit(&self, asking: &Asking<'_>) -> Result<Pass, Refusal> {
        let mut exceeded = match self.limiter.admit(asking, Instant::now).await {
            Ok(pass) => return Ok(pass),
            Err(Denied::Exceeded(exceeded)) => exceeded,
            Err(denied) => return Err(refused(&denied)),
        };
        let (Some(throttle), Some(_place)) = (exceeded.throttle, self.held.enter()) else {
            return Err(refusal(&exceeded));
        };
        for _ in 0..throttle.retries {
            sleep(throttle.interval).await;
            exceeded = match self.limiter.admit(asking, Instant::now).await {
                Ok(pass) => return Ok(pass),
                Err(Denied::Exceeded(exceeded)) => exceeded,
                Err(denied) => return Err(refused(&denied)),
            };
            // Over another limit now, which holds nobody.
            if exceeded.throttle.is_none() {
                break;
            }
        }
        Err(refusal(&exceeded))
    }

    /// Whether a request would be within its limits right now. None is counted, none is held.
    pub(super) async fn look(&self, asking: &Asking<'_>) -> Result<Pass, Refusal> {
        self.limiter.look(asking, Instant::now).await.map_err(|denied| refused(&denied))
    }
}

/// Says in an answer what is left.
pub(super) fn tell(pass: &Pass, profile: Profile, headers: &mut HeaderMap) {
    match profile {
        Profile::Rfc => rate_limit_fields(pass, headers),
        Profile::Tyk => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            tyk_fields(pass, now, headers);
        }
    }
}

fn refused(denied: &Denied) -> Refusal {
    match denied {
        Denied::Exceeded(exceeded) => refusal(exceeded),
        Denied::Unavailable(_) => Reason::LimitsUnavailable.into(),
    }
}

fn refusal(exceeded: &Exceeded) -> Refusal {
    let reason = match exceeded.which {
        Which::Rate => Reason::RateExceeded,
        Which::Quota => Reason::QuotaExceeded,
        Which::Api => Reason::ApiRateExceeded,
    };
    let mut fields = HeaderMap::new();
    rate_limit_fields(&exceeded.left, &mut fields);
    let refusal = Refusal::with_fields(reason, fields);
    match exceeded.renewed_in {
        Some(time) => refusal.retry_after(time),
        None => refusal,
    }
}
