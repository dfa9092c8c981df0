//! Where a key set is.

use std::{fmt, time::Duration};

use url::Url;

use crate::fetch::is_loopback;

/// A key set URL, and how long a set is good.
#[derive(Clone, PartialEq, Eq)]
pub struct RemoteSource {
    url: Url,
    time_to_live: Duration,
}

/// Why a text is no key set URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UrlError {
    /// It is no absolute HTTP or HTTPS URL.
    Shape,
    /// It has a user name or password.
    Credentials,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shape => "a key set URL is an absolute http or https URL; correct it",
            Self::Credentials => "a key set URL must not hold a user name or password; remove it",
        })
    }
}

impl std::error::Error for UrlError {}

impl RemoteSource {
    /// How long a set is used if nothing else is said, as in Tyk.
    pub const DEFAULT_TIME_TO_LIVE: Duration = Duration::from_secs(240);

    /// The key set at this URL.
    ///
    /// # Errors
    /// [`UrlError`] when it is none.
    pub fn new(url: &str) -> Result<Self, UrlError> {
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
        Ok(Self { url, time_to_live: Self::DEFAULT_TIME_TO_LIVE })
    }

    /// How long a set is used before it is fetched again. Less than a second counts as nothing said,
    /// as in Tyk.
    #[must_use]
    pub fn with_time_to_live(self, time: Duration) -> Self {
        let time_to_live = if time < Duration::from_secs(1) { Self::DEFAULT_TIME_TO_LIVE } else { time };
        Self { time_to_live, ..self }
    }

    /// The URL.
    #[must_use]
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// How long a set is used before it is fetched again.
    #[must_use]
    pub const fn time_to_live(&self) -> Duration {
        self.time_to_live
    }

    /// What logs call it: without the query, which may hold a credential.
    #[must_use]
    pub fn name(&self) -> String {
        let mut url = self.url.clone();
        url.set_query(None);
        url.set_fragment(None);
        url.into()
    }

    /// Whether the set comes in the clear from another machine.
    #[must_use]
    pub fn is_exposed(&self) -> bool {
        self.url.scheme() == "http" && !is_loopback(&self.url)
    }
}

impl fmt::Debug for RemoteSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteSource")
            .field("url", &self.name())
            .field("time_to_live", &self.time_to_live)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for bad in
            ["", "idp.example/jwks", "ftp://idp.example/", "https://", "https://idp.example/a b", "http://\n"]
        {
            assert_eq!(RemoteSource::new(bad), Err(UrlError::Shape), "{bad}");
        }
        assert_eq!(RemoteSource::new("https://user:pass@idp.example/"), Err(UrlError::Credentials));
        let remote = RemoteSource::new("https://idp.example/jwks?apikey=secret#x").unwrap();
        assert_eq!(remote.url(), "https://idp.example/jwks?apikey=secret#x");
        assert_eq!(remote.name(), "https://idp.example/jwks");
        assert!(!format!("{remote:?}").contains("secret"));
    }

    #[test]
    fn what_goes_in_the_clear() {
        for (url, exposed) in [
            ("http://idp.example/", true),
            ("http://127.0.0.1:9000/", false),
            ("http://[::1]/", false),
            ("http://localhost/", false),
            ("https://idp.example/", false),
        ] {
            assert_eq!(RemoteSource::new(url).unwrap().is_exposed(), exposed, "{url}");
        }
    }

    #[test]
    fn times_to_live() {
        let of = |time| RemoteSource::new("https://x/").unwrap().with_time_to_live(time).time_to_live();
        assert_eq!(of(Duration::from_secs(5)), Duration::from_secs(5));
        assert_eq!(of(Duration::from_millis(5)), RemoteSource::DEFAULT_TIME_TO_LIVE);
    }
}
