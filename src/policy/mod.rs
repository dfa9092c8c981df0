//! Security policies: what callers are granted, and which policies a token selects.
//!
//! [`load`] reads policy documents into a [`PolicySet`]. A [`Selection`] is how an API chooses
//! policies for a token: by a claim, by scopes, or by default. Several policies make one [`Grant`],
//! merged once for each combination and kept.
//!
//! Rates, quotas and throttles are read and kept with each policy; enforcing them is not this
//! module's work.

mod document;
mod grant;
mod raw;
mod select;
mod set;

pub use document::load;
pub use grant::{Grant, Limits, Policy};
pub use select::{Scopes, Selection};
pub use set::PolicySet;
