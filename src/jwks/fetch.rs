//! One download of a key set.

use std::{fmt, pin::Pin, time::Duration};

use crate::{fetch, tls};

/// The largest key set document.
const MAX_BODY: usize = 1024 * 1024;
/// From the first to the last octet.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(5);

/// What a fetch gives.
pub type Fetched<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>, FetchError>> + Send + 'a>>;

/// Something that can download a key set.
pub trait Fetch: Send + Sync + fmt::Debug {
    /// The body at `url`, if the answer was 200.
    fn fetch<'a>(&'a self, url: &'a str) -> Fetched<'a>;
}

/// Why there is no key set; a sentence for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchError(pub String);

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for FetchError {}

/// Downloads over HTTP and HTTPS: no redirects, bounded in time and size. Proxies are taken from
/// the environment (`HTTPS_PROXY`, `NO_PROXY`), except for this machine's own addresses.
#[derive(Clone, Debug)]
pub struct HttpFetch {
    usual: reqwest::Client,
    direct: reqwest::Client,
}

impl HttpFetch {
    /// A client of its own.
    ///
    /// # Errors
    /// [`FetchError`] when TLS cannot be set up.
    pub fn new() -> Result<Self, FetchError> {
        let builder = || fetch::client(tls::client_config(), TOTAL_TIMEOUT);
        let failed = |e| FetchError(format!("the client for key sets cannot be set up: {e}"));
        let usual = builder().build().map_err(failed)?;
        let direct = builder().no_proxy().build().map_err(failed)?;
        Ok(Self { usual, direct })
    }

    async fn get(&self, url: &str) -> Result<Vec<u8>, FetchError> {
        let is_direct = url::Url::parse(url).is_ok_and(|url| fetch::is_loopback(&url));
        let client = if is_direct { &self.direct } else { &self.usual };
        let request = client.get(url).header("accept", "application/jwk-set+json, application/json");
        let response = request.send().await.map_err(|e| FetchError(fetch::failure(&e)))?;
        let status = response.status();
        if status.is_redirection() {
            return Err(FetchError(format!(
                "answered {status}; redirects are not followed, configure the final URL"
            )));
        }
        if status != reqwest::StatusCode::OK {
            return Err(FetchError(format!("answered {status}")));
        }
        let body = fetch::body(response, MAX_BODY).await.map_err(FetchError)?;
        Ok(body.to_vec())
    }
}

impl Fetch for HttpFetch {
    fn fetch<'a>(&'a self, url: &'a str) -> Fetched<'a> {
        Box::pin(self.get(url))
    }
}
