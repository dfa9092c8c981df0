//! What the gateway tells about itself: its log on standard error, a line for each request on
//! standard output, one for each change of the control API, and what it counts for whoever asks.
//!
//! **Invariant:** no token, no secret and no query is ever written; a token may stand in a query.

mod access_log;
mod audit_log;
mod exposition;
mod log;
mod metrics;

pub use access_log::{AccessLog, Line, Lines, Writer};
pub use audit_log::{AuditEntry, AuditLog};
pub use exposition::{CONTENT_TYPE, Exposition, Family};
pub use log::{LogGuard, init_log};
pub use metrics::{Counters, Metrics};
