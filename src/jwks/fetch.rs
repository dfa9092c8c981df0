//! One download of a key set.

use std::{error::Error as _, fmt, pin::Pin, time::Duration};

use super::remote::is_loopback;
use crate::tls;

/// The largest key set document.
const MAX_BODY: usize = 1024 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
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
        let builder = || {
            reqwest::Client::builder()
                .tls_backend_preconfigured(tls::client_config())
                .redirect(reqwest::redirect::Policy::none())
                .connect_timeout(CONNECT_TIMEOUT)
                .timeout(TOTAL_TIMEOUT)
                .user_agent(concat!("claimgate/", env!("CARGO_PKG_VERSION")))
        };
        let failed = |e| FetchError(format!("the client for key sets cannot be set up: {e}"));
        let usual = builder().build().map_err(failed)?;
        let direct = builder().no_proxy().build().map_err(failed)?;
        Ok(Self { usual, direct })
    }

    async fn get(&self, url: &str) -> Result<Vec<u8>, FetchError> {
        let client =
            if url::Url::parse(url).is_ok_and(|url| is_loopback(&url)) { &self.direct } else { &self.usual };
        let request = client.get(url).header("accept", "application/jwk-set+json, application/json");
        let mut response = request.send().await.map_err(|e| failed(&e))?;
        let status = response.status();
        if status.is_redirection() {
            return Err(FetchError(format!(
                "answered {status}; redirects are not followed, configure the final URL"
            )));
        }
        if status != reqwest::StatusCode::OK {
            return Err(FetchError(format!("answered {status}")));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| failed(&e))? {
            if body.len().saturating_add(chunk.len()) > MAX_BODY {
                return Err(FetchError(format!("the answer is larger than {} KiB", MAX_BODY / 1024)));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

impl Fetch for HttpFetch {
    fn fetch<'a>(&'a self, url: &'a str) -> Fetched<'a> {
        Box::pin(self.get(url))
    }
}

/// The error with its causes, without the URL: it may hold a credential.
fn failed(error: &reqwest::Error) -> FetchError {
    if error.is_timeout() {
        return FetchError("did not answer in time".into());
    }
    let mut cause = error.source();
    let mut text = None;
    while let Some(error) = cause {
        text = Some(error.to_string());
        cause = error.source();
    }
    FetchError(text.map_or_else(|| "the request failed".into(), |text| format!("the request failed: {text}")))
}
