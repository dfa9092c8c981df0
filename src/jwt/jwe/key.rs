//! A key that tokens are decrypted with: imported once, for the algorithms of its kind.

use std::fmt;

use aws_lc_rs::{
    agreement::PrivateKey,
    rsa::{OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value as Json;
use zeroize::Zeroizing;

use super::{
    ContentEncryption, KeyManagement,
    agreement::{Curve, PartyInfo, agree},
    content::{Sealed, open_gcm},
    key_wrap,
    token::EncryptedToken,
};
use crate::jwt::{
    json::{Object, Value},
    jwk::{PublicMembers, public_jwk},
};

/// A private key or shared secret that decrypts.
///
/// As with [`Key`](crate::jwt::Key), one that exists is usable: weak and malformed ones are refused
/// when they are imported. What it holds is wiped when it is dropped.
pub struct DecryptionKey {
    pub(super) kid: Option<Box<str>>,
    /// What it may be used for; never empty.
    pub(super) algorithms: Vec<KeyManagement>,
    /// The content encryptions of a shared key that is used directly.
    pub(super) direct: Vec<ContentEncryption>,
    pub(super) material: Material,
}

pub(super) enum Material {
    Rsa { key: OaepPrivateDecryptingKey, public: PublicMembers },
    Agreement { key: PrivateKey, curve: Curve },
    Secret(Zeroizing<Vec<u8>>),
}

impl DecryptionKey {
    /// The key id.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// What it decrypts.
    #[must_use]
    pub fn algorithms(&self) -> &[KeyManagement] {
        &self.algorithms
    }

    /// The public key as a JWK with `use` and `kid`, which issuers encrypt with; without a `kid` it has
    /// its thumbprint (RFC 7638), and `alg` if there is only one. A shared secret has no public form.
    #[must_use]
    pub fn public_jwk(&self) -> Option<Json> {
        let public = match &self.material {
            Material::Secret(_) => return None,
            Material::Rsa { public, .. } => public.clone(),
            Material::Agreement { key, curve } => {
                let point = key.compute_public_key().ok()?;
                PublicMembers { kty: curve.kty(), members: curve.members(point.as_ref()) }
            }
        };
        let alg = match *self.algorithms {
            [only] => Some(only.name()),
            _ => None,
        };
        Some(public_jwk(&public, self.kid(), "enc", alg))
    }

    /// Whether this key could be meant by a token.
    pub(super) fn fits(&self, token: &EncryptedToken<'_>) -> bool {
        let right_kind = match (&self.material, token.algorithm) {
            (_, KeyManagement::Dir) => self.direct.contains(&token.encryption),
            (Material::Agreement { curve, .. }, _) => epk(token).and_then(Curve::of_jwk) == Some(*curve),
            _ => true,
        };
        right_kind && self.algorithms.contains(&token.algorithm)
    }

    /// The content encryption key of a token, of whatever length; nothing if it was not made for
    /// this key.
    pub(super) fn content_key(&self, token: &EncryptedToken<'_>) -> Option<Zeroizing<Vec<u8>>> {
        let encrypted = token.encrypted_key.as_slice();
        match (&self.material, token.algorithm) {
            (Material::Rsa { key, .. }, KeyManagement::RsaOaep | KeyManagement::RsaOaep256) => {
                let hash = if token.algorithm == KeyManagement::RsaOaep {
                    &OAEP_SHA1_MGF1SHA1
                } else {
                    &OAEP_SHA256_MGF1SHA256
                };
                let mut plain = Zeroizing::new(vec![0; key.min_output_size()]);
                let len = key.decrypt(hash, encrypted, &mut plain, None).ok()?.len();
                plain.truncate(len);
                Some(plain)
            }
            (Material::Agreement { key, curve }, KeyManagement::EcdhEs | KeyManagement::EcdhEsKw(_)) => {
                let parties = PartyInfo::of_header(&token.header)?;
                let point = curve.point(epk(token)?)?;
                let agreed = agree(key, &point, token.algorithm, token.encryption, &parties)?;
                match token.algorithm {
                    KeyManagement::EcdhEsKw(size) => key_wrap::unwrap(size, &agreed, encrypted),
                    _ => encrypted.is_empty().then_some(agreed),
                }
            }
            (Material::Secret(key), KeyManagement::Kw(size)) => key_wrap::unwrap(size, key, encrypted),
            (Material::Secret(key), KeyManagement::GcmKw(size)) => {
                let octets = |name| URL_SAFE_NO_PAD.decode(token.header.get(name)?.as_str()?).ok();
                let sealed =
                    Sealed { iv: octets("iv")?, ciphertext: encrypted.to_vec(), tag: octets("tag")? };
                open_gcm(size, key, b"", &sealed).map(Zeroizing::new)
            }
            (Material::Secret(key), KeyManagement::Dir) => encrypted.is_empty().then(|| key.clone()),
            _ => None,
        }
    }
}

/// The ephemeral public key of the sender.
fn epk<'t>(token: &'t EncryptedToken<'_>) -> Option<&'t Object> {
    token.header.get("epk").and_then(Value::as_object)
}

impl fmt::Debug for DecryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecryptionKey")
            .field("kid", &self.kid)
            .field("algorithms", &self.algorithms)
            .finish_non_exhaustive()
    }
}
