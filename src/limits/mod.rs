//! How often: rates, quotas and throttles.
//!
//! A [`Plan`] says what limits one caller on one API; policies make it, and it is merged when they
//! are. [`ApiLimits`] are those of an API, which all its callers share. The [`Limiter`] decides: may
//! this request pass, and what is left? It counts in memory, exactly, over all threads of a process;
//! its counters outlive a reload of the documents, not the process.
//!
//! All limits work alike: the first request opens a window, so many pass until it ends, and the next
//! one after that opens another. What is refused is not counted and does not lengthen a window.

mod allowance;
mod counters;
mod endpoints;
mod fields;
mod key;
mod limiter;
mod plan;

pub use allowance::{Allowance, Quota, Throttle};
pub use endpoints::Endpoints;
pub use fields::{rate_limit_fields, tyk_fields};
pub use key::{Caller, Scope};
pub use limiter::{Asking, Counted, Exceeded, Limiter, Pass, Standing, Which};
pub use plan::{ApiLimits, Limits, Plan, Rate};
