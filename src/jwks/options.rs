//! How a key set is fetched.

use std::{fmt, time::Duration};

use http::{HeaderName, HeaderValue};
use url::Url;

use crate::tls::{ClientCertificate, TrustedAuthorities};

/// How a key set is fetched, and how long it outlives an outage. Sources with the same location and
/// the same options are one.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct FetchOptions {
    /// Who signs the certificates of servers; whom the system trusts, if nothing is said.
    pub trusted: Option<TrustedAuthorities>,
    /// What is shown to servers that ask for a certificate.
    pub certificate: Option<ClientCertificate>,
    /// The way out.
    pub proxy: Proxy,
    /// Fields that each request carries, to the host of the configured URL only.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Whether keys may come in the clear from another machine.
    pub plain_http: bool,
    /// Which hosts may be at private addresses.
    pub private_networks: PrivateNetworks,
    /// For a whole fetch, discovery included.
    pub timeout: Duration,
    /// The largest answer.
    pub max_bytes: usize,
    /// How many members of a set are looked at.
    pub max_keys: usize,
    /// How long the last good set is used while the source fails.
    pub max_stale: Duration,
}

/// The way to key sets.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub enum Proxy {
    /// What `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` say; never to this machine itself.
    #[default]
    Environment,
    /// None, whatever the environment says.
    None,
    /// This one.
    Url(Url),
}

/// Which hosts may be at private addresses. A host is looked up once for a connection, and what is
/// connected to is what was looked at: a name that leads elsewhere later leads nowhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PrivateNetworks {
    /// Those that the configuration names, not those that a discovery document names.
    #[default]
    Configured,
    /// All.
    Allow,
    /// None.
    Refuse,
}

impl FetchOptions {
    /// How long the last good set is used while a source fails, if nothing else is said.
    pub const DEFAULT_MAX_STALE: Duration = Duration::from_secs(24 * 60 * 60);

    /// Whether what was fetched with these options would also have been taken with the others: the same
    /// hosts are believed, for the same reasons.
    pub(super) fn trust_as(&self, other: &Self) -> bool {
        self.trusted == other.trusted
            && self.plain_http == other.plain_http
            && self.private_networks == other.private_networks
    }
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self {
            trusted: None,
            certificate: None,
            proxy: Proxy::default(),
            headers: Vec::new(),
            plain_http: false,
            private_networks: PrivateNetworks::default(),
            timeout: Duration::from_secs(5),
            max_bytes: 1024 * 1024,
            max_keys: 1000,
            max_stale: Self::DEFAULT_MAX_STALE,
        }
    }
}

/// Without the values of fields, which may be credentials.
impl fmt::Debug for FetchOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<&HeaderName> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("FetchOptions")
            .field("trusted", &self.trusted)
            .field("certificate", &self.certificate)
            .field("proxy", &self.proxy)
            .field("headers", &headers)
            .field("plain_http", &self.plain_http)
            .field("private_networks", &self.private_networks)
            .field("timeout", &self.timeout)
            .field("max_bytes", &self.max_bytes)
            .field("max_keys", &self.max_keys)
            .field("max_stale", &self.max_stale)
            .finish()
    }
}

/// Without the user of a proxy.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment => f.write_str("Environment"),
            Self::None => f.write_str("None"),
            Self::Url(url) => write!(f, "Url({:?})", url.host_str().unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_holds_no_secret() {
        let options = FetchOptions {
            headers: vec![(HeaderName::from_static("x-key"), HeaderValue::from_static("hush"))],
            proxy: Proxy::Url(Url::parse("http://user:hush@proxy.test/").unwrap()),
            ..FetchOptions::default()
        };
        let shown = format!("{options:?}");
        assert!(
            !shown.contains("hush") && shown.contains("x-key") && shown.contains("proxy.test"),
            "{shown}"
        );
    }
}
