//! How often: rates, quotas and throttles.
//!
//! A [`Plan`] says what limits one caller on one API; policies make it, and it is merged when they
//! are. [`ApiLimits`] are those of an API, which all its callers share. The [`Limiter`] decides: may
//! this request pass, and what is left? It counts in the memory of a process, exactly, over all its
//! threads, or in Redis, over all nodes; what was counted outlives a reload of the documents.
//!
//! All limits work alike: the first request opens a window, so many pass until it ends, and the next
//! one after that opens another. What is refused is not counted and does not lengthen a window.

mod allowance;
mod api;
mod count_key;
mod counters;
mod demand;
mod endpoints;
mod failure;
mod fields;
mod key;
mod limiter;
#[cfg(test)]
mod model;
mod plan;
mod reservations;
mod shared;

pub use allowance::{Allowance, Quota, Throttle};
pub use api::{ApiLimits, SharedRate};
pub use count_key::CountKey;
pub use endpoints::Endpoints;
pub use failure::{Choice, FailureRule, OnFailure};
pub use fields::{XRateLimit, rate_limit_fields};
pub use key::{Caller, Callers, Scope};
pub use limiter::{Asking, Counted, Denied, Exceeded, Ledger, Limiter, Pass, Standing, Which};
#[cfg(test)]
pub(crate) use plan::PlanFacts;
pub use plan::{CountBy, CountedBy, Limits, Plan, PlanFailure, Rate};
pub use shared::SharedFigures;

/// What is decided without waiting, as all that is counted in memory.
#[cfg(test)]
pub(crate) fn at_once<T>(deciding: impl Future<Output = T>) -> T {
    use std::task::{Context, Poll, Waker};
    match std::pin::pin!(deciding).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(decided) => decided,
        Poll::Pending => panic!("it waits"),
    }
}
