//! Where keys come from, and how they stay fresh.
//!
//! A [`Source`] is one place: a key in the configuration, or a key set URL. The [`Registry`] keeps
//! one source for each URL and refreshes it in the background, off the path of requests: a request
//! reads whatever set is there. [`KeySources`] is what an API is configured with, its sources in
//! order.
//!
//! **Invariant:** a set is replaced only by a set with a usable key in it. A fault (an error status,
//! a page in HTML, an empty set, a redirect, a time-out) leaves the last good set in use for up to
//! [`MAX_AGE`], and is told once.
//!
//! **Invariant:** there is at most one fetch in flight for a source, and unknown key ids cause at
//! most one in [`COOL_DOWN`].

mod binding;
mod fetch;
mod refresh;
mod registry;
mod remote;
mod source;
mod sources;

pub use binding::{Binding, Parties};
pub use fetch::{Fetch, FetchError, Fetched, HttpFetch};
pub use registry::Registry;
pub use remote::{RemoteSource, UrlError};
pub use source::{COOL_DOWN, MAX_AGE, Source};
pub use sources::{Found, KeySources, Missing};

#[cfg(test)]
mod tests;
