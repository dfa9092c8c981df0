//! What the gateway tells about itself: its log on standard error, and a line for each request on
//! standard output.
//!
//! **Invariant:** no token, no secret and no query is ever written; a token may stand in a query.

mod access_log;
mod log;

pub use access_log::{AccessLog, Line, Lines, Writer};
pub use log::{LogGuard, init_log};
