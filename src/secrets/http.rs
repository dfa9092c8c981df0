//! One request to a store: bounded in time and size, tried again where that may help.

use std::{fmt, path::PathBuf, time::Duration};

use reqwest::{
    Client, RequestBuilder, StatusCode,
    header::{HeaderValue, InvalidHeaderValue},
};
use url::Url;
use zeroize::Zeroizing;

use super::{Unresolved, local::MAX_VALUE};
use crate::{
    fetch,
    tls::{self, ClientCertificate, TrustedAuthorities},
};

/// The pause before the second try; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// How a store is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Its address, as it is written.
    pub address: String,
    /// How long one request may take.
    pub timeout: Duration,
    /// How often a request is tried again that got no answer, or one with a status of 500 and above.
    pub max_retries: u32,
    /// Who may vouch for it; whom the system trusts, if nothing is said.
    pub trusted: Option<TrustedAuthorities>,
    /// The certificate that it is shown, if it asks for one.
    pub certificate: Option<ClientCertificate>,
    /// The file of the key of that.
    pub key_file: Option<PathBuf>,
}

impl Connection {
    /// How long one request may take if nothing else is said, as in Tyk.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
    /// How often a request is tried again if nothing else is said, as in Tyk.
    pub const DEFAULT_RETRIES: u32 = 2;

    /// The store at this address.
    #[must_use]
    pub fn new(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            timeout: Self::DEFAULT_TIMEOUT,
            max_retries: Self::DEFAULT_RETRIES,
            trusted: None,
            certificate: None,
            key_file: None,
        }
    }
}

/// Why a store gives no value.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    /// It is not there, or not able: others of its values need not be asked for.
    Down(Unresolved),
    /// It has not this one, or refuses it.
    Refused(Unresolved),
}

impl Fault {
    pub(super) fn down(reason: impl Into<String>) -> Self {
        Self::Down(Unresolved::new(reason))
    }

    pub(super) fn refused(reason: impl Into<String>) -> Self {
        Self::Refused(Unresolved::new(reason))
    }
}

/// The status and the body of an answer.
pub(super) type Answer = (StatusCode, Zeroizing<Vec<u8>>);

/// A store that is spoken to over HTTP.
pub(super) struct Http {
    /// What it is called in sentences: `Consul at http://127.0.0.1:8500`.
    pub(super) name: String,
    client: Client,
    base: Url,
    max_retries: u32,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Http {
    /// # Errors
    /// A sentence that says what is wrong with the settings.
    pub(super) fn new(kind: &str, connection: &Connection) -> Result<Self, String> {
        let base = Url::parse(&connection.address)
            .ok()
            .filter(|url| {
                matches!(url.scheme(), "http" | "https") && url.host_str().is_some_and(|h| !h.is_empty())
            })
            .filter(|url| matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none())
            .ok_or("an address is a URL such as https://host:8200, without a path; correct it")?;
        if !base.username().is_empty() || base.password().is_some() {
            return Err("an address must not hold a user name or password; remove it".into());
        }
        let tls = tls::client_config_with(connection.trusted.as_ref(), connection.certificate.as_ref());
        let builder = fetch::client(tls, connection.timeout);
        let builder = if fetch::is_loopback(&base) { builder.no_proxy() } else { builder };
        let client = builder.build().map_err(|e| format!("the client cannot be set up: {e}"))?;
        let name = format!("{kind} at {}", base.as_str().trim_end_matches('/'));
        Ok(Self { name, client, base, max_retries: connection.max_retries })
    }

    /// Whether values come in the clear from another machine.
    pub(super) fn is_exposed(&self) -> bool {
        self.base.scheme() == "http" && !fetch::is_loopback(&self.base)
    }

    /// The URL of a path below `/v1/`; its segments are escaped.
    pub(super) fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.clear().push("v1").extend(path.split('/'));
        }
        url
    }

    /// Sends a request, and tries again while nobody answers or the store is not able.
    pub(super) async fn send(&self, make: impl Fn(&Client) -> RequestBuilder) -> Result<Answer, Fault> {
        let mut pause = FIRST_PAUSE;
        for _ in 0..self.max_retries {
            match self.send_once(make(&self.client)).await {
                Ok((status, _)) if status.is_server_error() => {}
                Err(Fault::Down(_)) => {}
                settled => return settled,
            }
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2);
        }
        self.send_once(make(&self.client)).await
    }

    async fn send_once(&self, request: RequestBuilder) -> Result<Answer, Fault> {
        let down = |reason: String| Fault::down(format!("{} cannot be asked: {reason}", self.name));
        let response = request.send().await.map_err(|e| down(fetch::failure(&e)))?;
        let status = response.status();
        if status.is_redirection() {
            return Err(down(format!(
                "it answered {status}; redirects are not followed, configure the final address"
            )));
        }
        Ok((status, fetch::body(response, MAX_VALUE).await.map_err(down)?))
    }
}

/// A header value that is not shown.
pub(super) fn hidden(value: &str) -> Result<HeaderValue, Fault> {
    let value: Result<HeaderValue, InvalidHeaderValue> = value.try_into();
    let mut value =
        value.map_err(|_| Fault::refused("the token has characters that no token has; correct it"))?;
    value.set_sensitive(true);
    Ok(value)
}
