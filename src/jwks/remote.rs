//! Where a key set is.

use std::{fmt, sync::Arc, time::Duration};

use url::Url;

use super::FetchOptions;
use crate::fetch::is_loopback;

/// A key set that is fetched: where it is, how it is fetched, and how long it is good.
#[derive(Clone, PartialEq, Eq)]
pub struct RemoteSource {
    endpoint: Endpoint,
    time_to_live: Duration,
    /// What it is called, if its URL is not to be shown.
    alias: Option<Box<str>>,
}

/// Where a key set is and how it is fetched: what makes a source the same for all who use it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    pub(super) location: Location,
    pub(super) options: Arc<FetchOptions>,
}

/// Where a key set is said to be.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Location {
    /// At this URL.
    KeySet(Url),
    /// Where the metadata of this issuer says.
    Issuer(Issuer),
}

/// An issuer identifier (RFC 8414 section 2, OpenID Connect Discovery section 3), which is compared
/// as it is written.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Issuer {
    pub(super) text: String,
    pub(super) url: Url,
}

/// Why a text is no key set URL, or no issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UrlError {
    /// It is no absolute HTTP or HTTPS URL.
    Shape,
    /// It has a user name or password.
    Credentials,
    /// An issuer has a query or a fragment.
    Query,
    /// Keys would come in the clear from another machine.
    Exposed,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shape => "a key set URL is an absolute http or https URL; correct it",
            Self::Credentials => "a key set URL must not hold a user name or password; remove it",
            Self::Query => "an issuer has no query and no fragment (RFC 8414 section 2); write it as tokens have it in iss",
            Self::Exposed => "keys would be fetched in the clear, and whoever is on the way could replace them; use https, or set plainHttp to allow",
        })
    }
}

impl std::error::Error for UrlError {}

impl Endpoint {
    /// Whether keys that were fetched by one are as good as those fetched by the other: they are those of
    /// the same place, and that it is the right one was made sure of in the same way.
    pub(super) fn is_as_good_as(&self, other: &Self) -> bool {
        self.location == other.location && self.options.trust_as(&other.options)
    }
}

impl RemoteSource {
    /// How long a set is used if nothing else is said, as in Tyk.
    pub const DEFAULT_TIME_TO_LIVE: Duration = Duration::from_secs(240);

    /// The key set at this URL.
    ///
    /// # Errors
    /// [`UrlError`] when it is none, or one that the options do not allow.
    pub fn key_set(url: &str, options: impl Into<Arc<FetchOptions>>) -> Result<Self, UrlError> {
        Self::new(Location::KeySet(parse(url)?), options.into())
    }

    /// The key set that the metadata of an issuer names (RFC 8414, OpenID Connect Discovery).
    ///
    /// # Errors
    /// [`UrlError`] when it is no issuer, or one that the options do not allow.
    pub fn issuer(issuer: &str, options: impl Into<Arc<FetchOptions>>) -> Result<Self, UrlError> {
        let url = parse(issuer)?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err(UrlError::Query);
        }
        Self::new(Location::Issuer(Issuer { text: issuer.to_owned(), url }), options.into())
    }

    fn new(location: Location, options: Arc<FetchOptions>) -> Result<Self, UrlError> {
        let plain_http = options.plain_http;
        let endpoint = Endpoint { location, options };
        let remote = Self { endpoint, time_to_live: Self::DEFAULT_TIME_TO_LIVE, alias: None };
        if remote.is_exposed() && !plain_http { Err(UrlError::Exposed) } else { Ok(remote) }
    }

    /// How long a set is used before it is fetched again. Less than a second counts as nothing said,
    /// as in Tyk.
    #[must_use]
    pub fn with_time_to_live(self, time: Duration) -> Self {
        let time_to_live = if time < Duration::from_secs(1) { Self::DEFAULT_TIME_TO_LIVE } else { time };
        Self { time_to_live, ..self }
    }

    /// Called by this, for its URL holds what is not to be shown; after its origin, unless that is not to be shown
    /// either.
    #[must_use]
    pub fn called(self, alias: &str, shows_origin: bool) -> Self {
        let origin = self.url().origin().ascii_serialization();
        let alias = if shows_origin { format!("{origin} ({alias})") } else { alias.to_owned() };
        Self { alias: Some(alias.into()), ..self }
    }

    /// How it is fetched.
    #[must_use]
    pub fn options(&self) -> &FetchOptions {
        &self.endpoint.options
    }

    /// What tells it from other sources.
    #[must_use]
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The URL in the configuration: that of the key set, or the issuer.
    #[must_use]
    pub const fn url(&self) -> &Url {
        match &self.endpoint.location {
            Location::KeySet(url) => url,
            Location::Issuer(issuer) => &issuer.url,
        }
    }

    /// How long a set is used before it is fetched again.
    #[must_use]
    pub const fn time_to_live(&self) -> Duration {
        self.time_to_live
    }

    /// What logs call it: without the query, which may hold a credential.
    #[must_use]
    pub fn name(&self) -> String {
        if let Some(alias) = &self.alias {
            return alias.to_string();
        }
        match &self.endpoint.location {
            Location::KeySet(url) => {
                let mut url = url.clone();
                url.set_query(None);
                url.set_fragment(None);
                url.into()
            }
            Location::Issuer(issuer) => issuer.text.clone(),
        }
    }

    /// Whether the set comes in the clear from another machine.
    #[must_use]
    pub fn is_exposed(&self) -> bool {
        is_exposed(self.url())
    }
}

/// Whether what is at a URL comes in the clear from another machine.
pub(super) fn is_exposed(url: &Url) -> bool {
    url.scheme() == "http" && !is_loopback(url)
}

/// An absolute HTTP or HTTPS URL without a user.
pub(super) fn parse(url: &str) -> Result<Url, UrlError> {
    if url.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(UrlError::Shape);
    }
    let url = Url::parse(url).map_err(|_| UrlError::Shape)?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(UrlError::Shape);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(UrlError::Credentials);
    }
    Ok(url)
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("options", &self.options).finish_non_exhaustive()
    }
}

impl fmt::Debug for RemoteSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteSource")
            .field("url", &self.name())
            .field("time_to_live", &self.time_to_live)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_set(url: &str) -> Result<RemoteSource, UrlError> {
        RemoteSource::key_set(url, FetchOptions::default())
    }

    #[test]
    fn urls() {
        for bad in
            ["", "idp.example/jwks", "ftp://idp.example/", "https://", "https://idp.example/a b", "http://\n"]
        {
            assert_eq!(key_set(bad), Err(UrlError::Shape), "{bad}");
        }
        assert_eq!(key_set("https://user:pass@idp.example/"), Err(UrlError::Credentials));
        let remote = key_set("https://idp.example/jwks?apikey=secret#x").unwrap();
        assert_eq!(remote.url().as_str(), "https://idp.example/jwks?apikey=secret#x");
        assert_eq!(remote.name(), "https://idp.example/jwks");
        assert_eq!(remote.clone().called("env://JWKS", true).name(), "https://idp.example (env://JWKS)");
        assert_eq!(remote.clone().called("env://JWKS", false).name(), "env://JWKS");
        assert!(!format!("{remote:?}").contains("secret"));
    }

    #[test]
    fn issuers() {
        let issuer = |text| RemoteSource::issuer(text, FetchOptions::default()).map(|source| source.name());
        // As it is written: a slash more would be another issuer.
        assert_eq!(issuer("https://idp.example").as_deref(), Ok("https://idp.example"));
        assert_eq!(issuer("https://idp.example/").as_deref(), Ok("https://idp.example/"));
        assert_eq!(issuer("https://idp.example/?a=b"), Err(UrlError::Query));
        assert_eq!(issuer("https://idp.example/#a"), Err(UrlError::Query));
        assert_eq!(issuer("http://idp.example/"), Err(UrlError::Exposed));
        assert_eq!(issuer("idp"), Err(UrlError::Shape));
    }

    #[test]
    fn what_goes_in_the_clear() {
        let allowed = FetchOptions { plain_http: true, ..FetchOptions::default() };
        for (url, exposed) in [
            ("http://idp.example/", true),
            ("http://127.0.0.1:9000/", false),
            ("http://[::1]/", false),
            ("http://localhost/", false),
            ("https://idp.example/", false),
        ] {
            assert_eq!(key_set(url).is_err(), exposed, "{url}");
            let remote = RemoteSource::key_set(url, allowed.clone()).unwrap();
            assert_eq!(remote.is_exposed(), exposed, "{url}");
        }
    }

    #[test]
    fn times_to_live() {
        let of = |time| key_set("https://x/").unwrap().with_time_to_live(time).time_to_live();
        assert_eq!(of(Duration::from_secs(5)), Duration::from_secs(5));
        assert_eq!(of(Duration::from_millis(5)), RemoteSource::DEFAULT_TIME_TO_LIVE);
    }
}
