//! TLS towards upstreams, where it is not as everywhere.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use rustls::{
    ClientConfig, SupportedCipherSuite, SupportedProtocolVersion,
    crypto::aws_lc_rs,
    version::{TLS12, TLS13},
};
use tokio_rustls::TlsConnector;

use crate::tls;

/// What is spoken over a connection.
pub(super) const PROTOCOL: &[u8] = b"http/1.1";

/// TLS with settings of its own. Connections that were made with others are not used for it.
#[derive(Clone)]
pub struct UpstreamTls(Arc<Inner>);

struct Inner {
    settings: TlsSettings,
    config: Arc<ClientConfig>,
}

/// What TLS is allowed to be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TlsSettings {
    /// Certificates are checked.
    pub verify: bool,
    /// The lowest version.
    pub lowest: TlsVersion,
    /// The highest version.
    pub highest: TlsVersion,
    /// The names of the cipher suites. Those of TLS 1.3 can be used if none of its suites is named, those
    /// of TLS 1.2 if none at all is.
    pub ciphers: Vec<String>,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

/// Why settings cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsError {
    /// There is no cipher suite of this name; the number of it in the list.
    Cipher(usize),
    /// No version is left that has a cipher suite.
    Nothing,
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cipher(_) => {
                let names: Vec<String> = suites().into_iter().map(name).collect();
                write!(f, "this cipher suite cannot be used; write some of {}", names.join(", "))
            }
            Self::Nothing => f.write_str(
                "minVersion, maxVersion and ciphers leave nothing that can be spoken; raise maxVersion, or name ciphers of a version that is allowed",
            ),
        }
    }
}

impl Default for TlsSettings {
    fn default() -> Self {
        Self { verify: true, lowest: TlsVersion::Tls12, highest: TlsVersion::Tls13, ciphers: Vec::new() }
    }
}

impl UpstreamTls {
    /// TLS with these settings; nothing if they are those of every upstream.
    ///
    /// # Errors
    /// [`TlsError`] when they contradict each other or name what is not there.
    pub fn new(settings: TlsSettings) -> Result<Option<Self>, TlsError> {
        if settings == TlsSettings::default() {
            return Ok(None);
        }
        let named: Vec<SupportedCipherSuite> =
            settings.ciphers.iter().enumerate().map(suite).collect::<Result<_, _>>()?;
        let is_allowed = |suite: &SupportedCipherSuite| {
            let of_13 = suite.tls13().is_some();
            let version = if of_13 { TlsVersion::Tls13 } else { TlsVersion::Tls12 };
            let any_named =
                if of_13 { named.iter().any(|own| own.tls13().is_some()) } else { !named.is_empty() };
            (settings.lowest..=settings.highest).contains(&version) && (!any_named || named.contains(suite))
        };
        let mut provider = aws_lc_rs::default_provider();
        provider.cipher_suites = suites().into_iter().filter(is_allowed).collect();
        let has = |of_13: bool| provider.cipher_suites.iter().any(|suite| suite.tls13().is_some() == of_13);
        let versions: Vec<&'static SupportedProtocolVersion> = [(&TLS13, true), (&TLS12, false)]
            .into_iter()
            .filter_map(|(version, of_13)| has(of_13).then_some(version))
            .collect();
        let config = tls::client_config_of(provider, &versions, settings.verify);
        let mut config = config.map_err(|_| TlsError::Nothing)?;
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        Ok(Some(Self(Arc::new(Inner { settings, config: Arc::new(config) }))))
    }

    pub(super) fn connector(&self) -> TlsConnector {
        TlsConnector::from(Arc::clone(&self.0.config))
    }
}

/// By the settings: two that were made of the same are the same.
impl PartialEq for UpstreamTls {
    fn eq(&self, other: &Self) -> bool {
        self.0.settings == other.0.settings
    }
}

impl Eq for UpstreamTls {}

impl Hash for UpstreamTls {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.settings.hash(state);
    }
}

impl fmt::Debug for UpstreamTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.settings.fmt(f)
    }
}

fn suites() -> Vec<SupportedCipherSuite> {
    aws_lc_rs::default_provider().cipher_suites
}

/// The name of a suite, as IANA and Tyk write it.
fn name(suite: SupportedCipherSuite) -> String {
    format!("{:?}", suite.suite()).replace("TLS13_", "TLS_")
}

fn suite((n, written): (usize, &String)) -> Result<SupportedCipherSuite, TlsError> {
    // Go has names without their hash as well.
    let is_it = |own: &str| {
        own == written || (written.ends_with("_POLY1305") && own.strip_suffix("_SHA256") == Some(written))
    };
    suites().into_iter().find(|suite| is_it(&name(*suite))).ok_or(TlsError::Cipher(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings() {
        let tls = |lowest, highest, ciphers: &[&str]| {
            let ciphers = ciphers.iter().map(|cipher| (*cipher).to_owned()).collect();
            UpstreamTls::new(TlsSettings { verify: true, lowest, highest, ciphers })
        };
        let (v12, v13) = (TlsVersion::Tls12, TlsVersion::Tls13);
        let (of_12, of_13) = ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384");
        assert_eq!(tls(v12, v13, &[]), Ok(None));
        let allowed = |lowest, highest, ciphers: &[&str]| {
            let tls = tls(lowest, highest, ciphers).unwrap().unwrap();
            tls.0.config.crypto_provider().cipher_suites.iter().map(|suite| name(*suite)).collect::<Vec<_>>()
        };
        assert_eq!(allowed(v12, v12, &[of_12]), [of_12]);
        assert_eq!(allowed(v13, v13, &[of_13]), [of_13]);
        assert_eq!(allowed(v12, v13, &[of_13]), [of_13]);
        assert_eq!(allowed(v12, v13, &[of_12]).len(), 4);
        assert_eq!(allowed(v13, v13, &[of_12]).len(), 3);
        assert_eq!(allowed(v12, v12, &["TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305"]).len(), 1);
        assert_eq!(tls(v12, v12, &[of_13]), Err(TlsError::Nothing));
        assert_eq!(tls(v13, v12, &[]), Err(TlsError::Nothing));
        assert_eq!(tls(v12, v13, &[of_12, "TLS_RSA_WITH_RC4_128_SHA"]), Err(TlsError::Cipher(1)));
        assert_eq!(tls(v12, v12, &[of_12]), tls(v12, v12, &[of_12]));
        assert_ne!(tls(v12, v12, &[of_12]), tls(v12, v12, &[]));
    }
}
