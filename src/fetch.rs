//! Requests of our own, to the peers that hold keys and secrets: no redirects, bounded in time and size.

use std::{error::Error as _, time::Duration};

use reqwest::{Client, ClientBuilder, Response, redirect::Policy};
use rustls::ClientConfig;
use url::Url;
use zeroize::Zeroizing;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A client with these certificates; `total` is from the first octet sent to the last one received.
/// Proxies are taken from the environment (`HTTPS_PROXY`, `NO_PROXY`).
pub(crate) fn client(tls: ClientConfig, total: Duration) -> ClientBuilder {
    Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(Policy::none())
        .connect_timeout(CONNECT_TIMEOUT.min(total))
        .timeout(total)
        .user_agent(concat!("claimgate/", env!("CARGO_PKG_VERSION")))
}

/// The body of an answer.
///
/// # Errors
/// A sentence, when it is larger than `max` octets or breaks off.
pub(crate) async fn body(mut response: Response, max: usize) -> Result<Zeroizing<Vec<u8>>, String> {
    let mut body = Zeroizing::new(Vec::new());
    while let Some(chunk) = response.chunk().await.map_err(|e| failure(&e))? {
        if body.len().saturating_add(chunk.len()) > max {
            return Err(format!("the answer is larger than {} KiB", max / 1024));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The error with its causes, without the URL: it may hold a credential.
pub(crate) fn failure(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "did not answer in time".into();
    }
    let mut cause = error.source();
    let mut text = None;
    while let Some(error) = cause {
        text = Some(error.to_string());
        cause = error.source();
    }
    text.map_or_else(|| "the request failed".into(), |text| format!("the request failed: {text}"))
}

/// Whether a URL names this machine itself.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}
