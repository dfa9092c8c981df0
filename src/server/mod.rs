//! Listeners and connections.
//!
//! Each worker is one thread with a runtime of its own and a socket of its own on every address; the
//! kernel spreads connections over them (`SO_REUSEPORT`). Nothing is handed from one worker to
//! another.

mod client;
mod closing;
mod connection;
mod listen;
mod secure;
mod serve;

pub use listen::bind;
pub use secure::{Plain, Secure};
pub use serve::{Limits, serve};
