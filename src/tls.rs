//! TLS: which certificates are trusted, and which one is shown.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::{Arc, OnceLock},
};

use ::aws_lc_rs::digest;
use rustls::{
    ClientConfig, ConfigBuilder, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme,
    SupportedProtocolVersion, WantsVerifier,
    client::{
        WantsClientCert,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{
        CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature,
    },
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
    server::WebPkiClientVerifier,
    sign::{CertifiedKey, SingleCertAndKey},
};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tracing::warn;

/// Certificate authorities that are trusted instead of those of the system.
#[derive(Clone)]
pub struct TrustedAuthorities {
    roots: Arc<RootCertStore>,
    digest: [u8; 32],
}

/// A certificate that is shown to servers that ask for one, with its key.
#[derive(Clone)]
pub struct ClientCertificate {
    certified: Arc<SingleCertAndKey>,
    digest: [u8; 32],
}

/// What a server shows its clients, and whether it wants a certificate of theirs.
#[derive(Clone)]
pub(crate) struct ServerIdentity {
    config: Arc<ServerConfig>,
    digest: [u8; 32],
}

/// Why a text is no certificate or key; a sentence that does not repeat it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PemError(String);

impl fmt::Display for PemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PemError {}

impl TrustedAuthorities {
    /// The certificates in a PEM text.
    ///
    /// # Errors
    /// [`PemError`] when there is none in it, or one that cannot be trusted as an authority.
    pub fn from_pem(pem: &str) -> Result<Self, PemError> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(pem)? {
            roots
                .add(certificate)
                .map_err(|e| PemError(format!("a certificate in it cannot be trusted: {e}")))?;
        }
        Ok(Self { roots: Arc::new(roots), digest: sha256(&[pem]) })
    }
}

impl ClientCertificate {
    /// A certificate, its chain after it, and its key, each in PEM.
    ///
    /// # Errors
    /// [`PemError`] when they cannot be read, or the key is not that of the certificate.
    pub fn from_pem(chain: &str, key: &str) -> Result<Self, PemError> {
        let private = PrivateKeyDer::from_pem_slice(key.as_bytes())
            .map_err(|_| PemError("there is no private key in PEM in the key".into()))?;
        let certified = CertifiedKey::from_der(certificates(chain)?, private, &aws_lc_rs::default_provider())
            .map_err(|e| PemError(format!("the certificate and its key cannot be used together: {e}")))?;
        Ok(Self { certified: Arc::new(certified.into()), digest: sha256(&[chain, key]) })
    }
}

impl ServerIdentity {
    /// A certificate, its chain after it, and its key, each in PEM; with the authorities of clients, one of which
    /// every client must have a certificate of then.
    ///
    /// # Errors
    /// [`PemError`] when they cannot be read, or the key is not that of the certificate.
    pub(crate) fn from_pem(
        chain: &str,
        key: &str,
        clients: Option<&TrustedAuthorities>,
    ) -> Result<Self, PemError> {
        let shown = ClientCertificate::from_pem(chain, key)?;
        let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|e| PemError(e.to_string()))?;
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(clients) => {
                let provider = Arc::new(aws_lc_rs::default_provider());
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::clone(&clients.roots), provider).build();
                let verifier = verifier.map_err(|e| {
                    PemError(format!("clients cannot be told apart by these authorities: {e}"))
                })?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let certified: Arc<SingleCertAndKey> = shown.certified;
        let mut config = builder.with_cert_resolver(certified);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let clients = clients.map(|clients| clients.digest);
        let digest = sha256(&[chain, key, &format!("{clients:?}")]);
        Ok(Self { config: Arc::new(config), digest })
    }

    /// The configuration of the library.
    pub(crate) const fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match read {
        Ok(certificates) if certificates.is_empty() => {
            Err(PemError("there is no certificate in PEM in it".into()))
        }
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(PemError(format!("it cannot be read as PEM: {error}"))),
    }
}

fn sha256(texts: &[&str]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for text in texts {
        context.update(&text.len().to_be_bytes());
        context.update(text.as_bytes());
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

/// Compared, found and shown by a digest of what was written.
macro_rules! known_by_digest {
    ($($name:ident)*) => { $(
        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.digest == other.digest
            }
        }

        impl Eq for $name {}

        impl Hash for $name {
            fn hash<H: Hasher>(&self, state: &mut H) {
                self.digest.hash(state);
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )* };
}

known_by_digest!(TrustedAuthorities ClientCertificate ServerIdentity);

/// Trusts what the system trusts. Where the system has no certificates at all, as in a small
/// container, nothing is trusted: connections over TLS fail, those in the clear work.
pub(crate) fn client_config() -> ClientConfig {
    static CONFIG: OnceLock<ClientConfig> = OnceLock::new();
    CONFIG.get_or_init(|| trusting_the_system().with_no_client_auth()).clone()
}

/// Trusts these authorities alone, if there are any, and shows this certificate, if there is one.
pub(crate) fn client_config_with(
    trusted: Option<&TrustedAuthorities>,
    certificate: Option<&ClientCertificate>,
) -> ClientConfig {
    let builder = match (trusted, certificate) {
        (None, None) => return client_config(),
        (None, Some(_)) => trusting_the_system(),
        (Some(trusted), _) => builder().with_root_certificates(Arc::clone(&trusted.roots)),
    };
    match certificate {
        Some(certificate) => {
            let certified: Arc<SingleCertAndKey> = Arc::clone(&certificate.certified);
            builder.with_client_cert_resolver(certified)
        }
        None => builder.with_no_client_auth(),
    }
}

/// Speaks these versions, with the cipher suites of this provider. Unless it verifies, whoever is on the way can
/// be the server.
///
/// # Errors
/// When no version is left that has a cipher suite.
pub(crate) fn client_config_of(
    provider: CryptoProvider,
    versions: &[&'static SupportedProtocolVersion],
    verify: bool,
) -> Result<ClientConfig, rustls::Error> {
    let algorithms = provider.signature_verification_algorithms;
    let builder = ClientConfig::builder_with_provider(Arc::new(provider)).with_protocol_versions(versions)?;
    Ok(if verify {
        trusting(builder).with_no_client_auth()
    } else {
        let verifier = Arc::new(AnyCertificate(algorithms));
        builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
    })
}

/// Takes every certificate, from whoever has its key.
#[derive(Debug)]
struct AnyCertificate(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

#[expect(clippy::expect_used, reason = "the versions are those of the provider itself")]
fn builder() -> ConfigBuilder<ClientConfig, WantsVerifier> {
    ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has the versions that rustls has")
}

fn trusting_the_system() -> ConfigBuilder<ClientConfig, WantsClientCert> {
    trusting(builder())
}

/// With the authorities that the system trusts.
fn trusting(
    builder: ConfigBuilder<ClientConfig, WantsVerifier>,
) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    match builder.clone().with_platform_verifier() {
        Ok(builder) => builder,
        Err(error) => {
            warn!(
                %error,
                "the certificates that this system trusts cannot be read, TLS connections will fail; \
                install them (ca-certificates), or name them in SSL_CERT_FILE"
            );
            builder.with_root_certificates(RootCertStore::empty())
        }
    }
}
