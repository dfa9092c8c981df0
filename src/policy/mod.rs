//! Security policies: what callers are granted, and which policies a token selects.
//!
//! [`load()`] reads policy documents into a [`PolicySet`]. A [`Selection`] is how an API chooses
//! policies for a token: by a claim that names them, by rules about other claims, by scopes, or by
//! default. Several policies make one [`Grant`], merged once for each combination and kept: what it
//! allows, and how often.

mod document;
mod entry;
mod grant;
mod limits;
mod load;
#[cfg(test)]
mod merge_laws;
mod methods;
mod raw;
mod rules;
mod select;
mod set;

pub use document::parse_nameless;
pub use entry::{Entry, entries, is_empty, with_one_more};
pub use grant::{Grant, Partitions, Policy};
pub use limits::{ApiEntry, PolicyLimits};
pub use load::{Read, load};
pub use rules::{NoMatch, PolicyRule, PolicyRules};
pub use select::{By, Choice, Client, Scopes, Selection};
pub use set::PolicySet;
