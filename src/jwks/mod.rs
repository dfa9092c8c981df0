//! Where keys come from, and how they stay fresh.
//!
//! A [`Source`] is one place: a key in the configuration, a key set URL, or an issuer whose metadata
//! names one. The [`Registry`] keeps one source for each place and refreshes it in the background, off
//! the path of requests: a request reads whatever set is there. [`KeySources`] is what an API is
//! configured with, its sources in order, each with the [`Binding`] that says for which tokens it counts.
//!
//! **Invariant:** a set is replaced only by a set with a usable key in it. A fault (an error status,
//! a page in HTML, an empty set, a redirect, a time-out) leaves the last good set in use for up to
//! [`FetchOptions::max_stale`], and is told once.
//!
//! **Invariant:** there is at most one fetch in flight for a source, and unknown key ids cause at
//! most one in [`COOL_DOWN`].
//!
//! **Invariant:** nothing that a token says is ever part of a URL, and nothing that a provider says leads
//! to a host inside, unless the configuration allows it.

mod address;
mod binding;
mod discovery;
mod fetch;
mod options;
mod refresh;
mod registry;
mod remote;
mod source;
mod sources;

pub use crate::tls::{ClientCertificate, PemError, TrustedAuthorities};
pub use address::NamedBy;
pub use binding::{Binding, Parties};
pub use fetch::{Document, Fetch, FetchError, Fetched, HttpFetch, Wanted};
pub use options::{FetchOptions, PrivateNetworks, Proxy};
pub use registry::Registry;
pub use remote::{Endpoint, RemoteSource, UrlError};
pub use source::{COOL_DOWN, Source, SourceState, SourceStatus};
pub use sources::{Found, KeySources, Missing};

#[cfg(test)]
mod tests;
