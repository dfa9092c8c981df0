//! TLS towards others: which certificates are trusted.

use std::sync::{Arc, OnceLock};

use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tracing::warn;

/// Trusts what the system trusts. Where the system has no certificates at all, as in a small
/// container, nothing is trusted: connections over TLS fail, those in the clear work.
pub(crate) fn client_config() -> ClientConfig {
    static CONFIG: OnceLock<ClientConfig> = OnceLock::new();
    CONFIG.get_or_init(new_config).clone()
}

#[expect(clippy::expect_used, reason = "the versions are those of the provider itself")]
fn new_config() -> ClientConfig {
    let builder = || {
        ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has the versions that rustls has")
    };
    match builder().with_platform_verifier() {
        Ok(builder) => builder.with_no_client_auth(),
        Err(error) => {
            warn!(
                %error,
                "the certificates that this system trusts cannot be read, TLS connections will fail; \
                install them (ca-certificates), or name them in SSL_CERT_FILE"
            );
            builder().with_root_certificates(RootCertStore::empty()).with_no_client_auth()
        }
    }
}
