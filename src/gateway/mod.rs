//! The gateway: definitions and policies compiled into a [`Snapshot`], served by workers.
//!
//! This is the composition root, and the only place where the order of the steps of a request is
//! visible: see `Worker::serve`, `Guide::turn` and `Admission::run`.

mod admission;
mod api;
mod change;
mod compile;
mod control;
mod difference;
mod directory;
mod documents;
mod explain;
mod explained;
mod expiry;
mod journey;
mod key_figures;
mod limit;
mod loaded;
mod outgoing;
mod peers;
mod question;
mod rate_limits;
mod redis_figures;
mod references;
mod reload;
mod rights;
mod router;
mod target;
mod turns;
mod watched;
mod worker;

pub use crate::calendar::parse_time;
pub use change::{Change, ChangeError, Changed, Unsynced};
pub use compile::{KeySourceInUse, Snapshot};
pub use control::Control;
pub(crate) use control::tell;
pub use difference::Difference;
pub use documents::{Documents, check};
pub use explain::{End, Explanation};
pub(crate) use peers::follow;
pub use peers::{Errand, Untold};
pub use question::{Asked, Question, QuestionError};
pub use references::ReferenceState;
pub use reload::{Attempt, Cause, DryRun, Reloads};
pub use router::Router;
#[cfg(any(fuzzing, test))]
pub(crate) use target::fuzz as fuzz_target;
pub use turns::Awaited;
pub(crate) use watched::Hints;
pub(crate) use worker::Worker;
