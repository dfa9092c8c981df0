//! One download.

use std::{fmt, mem, pin::Pin, time::Duration};

use http::{
    HeaderMap,
    header::{ACCEPT, AGE, CACHE_CONTROL},
};
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::{Client, StatusCode};
use url::Url;

use super::{
    FetchOptions, Proxy,
    address::{NamedBy, Rule},
};
use crate::{
    fetch::{self, failure, is_loopback},
    tls,
};

/// A document that is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'w> {
    /// Where it is.
    pub url: &'w Url,
    /// Who says so.
    pub named_by: NamedBy,
    /// How it is fetched.
    pub options: &'w FetchOptions,
}

/// A document that was fetched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// What it says.
    pub body: Vec<u8>,
    /// How long it is fresh, if the server says so (RFC 9111 section 4.2.1).
    pub max_age: Option<Duration>,
}

/// What a fetch gives.
pub type Fetched<'a> = Pin<Box<dyn Future<Output = Result<Document, FetchError>> + Send + 'a>>;

/// Something that can download a document.
pub trait Fetch: Send + Sync + fmt::Debug {
    /// The document, if the answer was 200. Whoever asks bounds the time.
    fn fetch<'a>(&'a self, wanted: Wanted<'a>) -> Fetched<'a>;
}

/// Why there is no document; a sentence for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchError {
    reason: String,
    is_absent: bool,
}

impl FetchError {
    /// For this reason, which repeats no URL and no credential.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), is_absent: false }
    }

    /// The server says that there is no such document here.
    pub fn absent(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), is_absent: true }
    }

    /// Whether the document may be elsewhere.
    pub(super) const fn is_absent(&self) -> bool {
        self.is_absent
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for FetchError {}

/// Downloads over HTTP and HTTPS: no redirects, bounded in size, and never from where
/// [`PrivateNetworks`](super::PrivateNetworks) does not allow.
///
/// Each fetch has a client of its own: they are minutes apart, and what a source is told to use may
/// change with any of them.
#[derive(Debug)]
pub struct HttpFetch {
    proxies: Matcher,
}

impl HttpFetch {
    /// Takes proxies from the environment, as far as options do not say otherwise.
    ///
    /// # Errors
    /// [`FetchError`] when TLS cannot be set up.
    pub fn new() -> Result<Self, FetchError> {
        let fetch = Self { proxies: Matcher::from_env() };
        // Told now rather than with the first fetch.
        build(fetch::client(tls::client_config(), FetchOptions::default().timeout))?;
        Ok(fetch)
    }

    fn client(&self, wanted: Wanted<'_>) -> Result<Client, FetchError> {
        let Wanted { url, named_by, options } = wanted;
        let tls = tls::client_config_with(options.trusted.as_ref(), options.certificate.as_ref());
        let builder = fetch::client(tls, options.timeout).pool_max_idle_per_host(0);
        // A proxy looks names up by itself; where it is itself is for the operator to say.
        let builder = match &options.proxy {
            Proxy::Url(proxy) => {
                let proxy = reqwest::Proxy::all(proxy.clone());
                builder.proxy(proxy.map_err(|e| FetchError::new(failure(&e)))?)
            }
            Proxy::Environment if self.is_proxied(url) => builder,
            Proxy::Environment | Proxy::None => {
                builder.no_proxy().dns_resolver(Rule::new(url, named_by, options.private_networks))
            }
        };
        build(builder)
    }

    fn is_proxied(&self, url: &Url) -> bool {
        let is_matched = |url: http::Uri| self.proxies.intercept(&url).is_some();
        !is_loopback(url) && url.as_str().parse().is_ok_and(is_matched)
    }

    async fn get(&self, wanted: Wanted<'_>) -> Result<Document, FetchError> {
        let Wanted { url, named_by, options } = wanted;
        Rule::new(url, named_by, options.private_networks).check(url)?;
        let mut request = self.client(wanted)?.get(url.clone());
        if named_by == NamedBy::Operator {
            request = request.headers(options.headers.iter().cloned().collect());
        }
        let accept = "application/jwk-set+json, application/json";
        let response = request.header(ACCEPT, accept).send().await;
        let response = response.map_err(|e| FetchError::new(failure(&e)))?;
        check_status(response.status())?;
        let max_age = max_age(response.headers());
        let mut body = fetch::body(response, options.max_bytes).await.map_err(FetchError::new)?;
        Ok(Document { body: mem::take(&mut body), max_age })
    }
}

impl Fetch for HttpFetch {
    fn fetch<'a>(&'a self, wanted: Wanted<'a>) -> Fetched<'a> {
        Box::pin(self.get(wanted))
    }
}

fn build(builder: reqwest::ClientBuilder) -> Result<Client, FetchError> {
    builder.build().map_err(|e| FetchError::new(format!("the client for key sets cannot be set up: {e}")))
}

fn check_status(status: StatusCode) -> Result<(), FetchError> {
    if status == StatusCode::OK {
        Ok(())
    } else if status.is_redirection() {
        let reason = format!("answered {status}; redirects are not followed, configure the final URL");
        // Often to a page to log in, from a path that the server does not know.
        Err(FetchError::absent(reason))
    } else if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS {
        Err(FetchError::absent(format!("answered {status}")))
    } else {
        Err(FetchError::new(format!("answered {status}")))
    }
}

/// `max-age` of `Cache-Control`, less what the answer has aged in caches on its way.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all(CACHE_CONTROL).iter();
    let directives = values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let seconds = directives.filter_map(|directive| {
        let (name, value) = directive.trim().split_once('=')?;
        name.trim().eq_ignore_ascii_case("max-age").then(|| value.trim().trim_matches('"').parse().ok())?
    });
    // The shortest, if a confused server says several.
    let seconds: u64 = seconds.min()?;
    let age = headers.get(AGE).and_then(|age| age.to_str().ok()?.trim().parse().ok());
    Some(Duration::from_secs(seconds.saturating_sub(age.unwrap_or(0))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_document_may_be_elsewhere() {
        for (status, is_absent) in [(200, None), (302, Some(true)), (404, Some(true)), (401, Some(true))]
            .into_iter()
            .chain([(429, Some(false)), (500, Some(false)), (204, Some(false))])
        {
            let checked = check_status(StatusCode::from_u16(status).unwrap());
            assert_eq!(checked.err().map(|error| error.is_absent()), is_absent, "{status}");
        }
    }

    #[test]
    fn how_long_servers_call_sets_fresh() {
        for (fields, seconds) in [
            (&[][..], None),
            (&[("cache-control", "public, max-age=60")], Some(60)),
            (&[("cache-control", "Max-Age = \"60\"")], Some(60)),
            (&[("cache-control", "max-age=60"), ("age", "50")], Some(10)),
            (&[("cache-control", "max-age=60"), ("age", "70")], Some(0)),
            (&[("cache-control", "max-age=60"), ("age", "old")], Some(60)),
            (&[("cache-control", "max-age=60"), ("cache-control", "max-age=30")], Some(30)),
            // What says nothing about how long keys are good.
            (&[("cache-control", "no-store, no-cache")], None),
            (&[("cache-control", "s-maxage=60")], None),
            (&[("cache-control", "max-age=-1")], None),
            (&[("cache-control", "max-age=soon")], None),
            (&[("cache-control", "max-age=0")], Some(0)),
            (&[("cache-control", "max-age=18446744073709551615")], Some(u64::MAX)),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(*name, value.parse().unwrap());
            }
            assert_eq!(max_age(&headers), seconds.map(Duration::from_secs), "{fields:?}");
        }
    }
}
