//! A verification key: parsed once, for one algorithm family.

use std::fmt;

use aws_lc_rs::{
    digest, hmac,
    signature::{self, ParsedPublicKey, RsaPublicKeyComponents},
};

use super::{Algorithm, AlgorithmSet, Family, der::Curve, weak};

/// The shortest shared secret in octets: as long as the shortest hash (RFC 7518 section 3.2).
const MIN_SECRET: usize = 32;

/// A key that verifies signatures.
///
/// A key that exists is usable: weak, malicious and malformed ones are refused when they are
/// imported. What a key can do is fixed then, too.
pub struct Key {
    kid: Option<Box<str>>,
    algorithms: AlgorithmSet,
    material: Material,
    /// SHA-256 of the key material, to tell keys apart; it never leaves the process.
    fingerprint: [u8; 32],
    fetched_secret: bool,
}

enum Material {
    Secret(Vec<(Algorithm, hmac::Key)>),
    Public(Vec<(Algorithm, ParsedPublicKey)>),
}

/// Why a key is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyError(pub(super) String);

impl KeyError {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for KeyError {}

impl Key {
    /// A shared secret. It does HS256 from 32 octets on, HS384 from 48 and HS512 from 64: a
    /// shorter secret than the hash can be guessed offline (RFC 7518 section 3.2).
    ///
    /// # Errors
    /// [`KeyError`] when the secret is too short, or everybody may know it, because it is a public key or
    /// base64 of one.
    pub fn hmac(secret: &[u8]) -> Result<Self, KeyError> {
        if let Some(reason) = weak::secret(secret) {
            return Err(KeyError::new(reason));
        }
        let sizes = [
            (Algorithm::HS256, hmac::HMAC_SHA256, MIN_SECRET),
            (Algorithm::HS384, hmac::HMAC_SHA384, 48),
            (Algorithm::HS512, hmac::HMAC_SHA512, 64),
        ];
        if secret.len() < MIN_SECRET {
            return Err(KeyError::new(format!(
                "the shared secret has {} octets; at least {MIN_SECRET} are needed for HS256, 48 for HS384, 64 for HS512",
                secret.len()
            )));
        }
        let keys = sizes
            .into_iter()
            .filter(|(_, _, size)| secret.len() >= *size)
            .map(|(algorithm, hash, _)| (algorithm, hmac::Key::new(hash, secret)))
            .collect();
        Ok(Self::new(Material::Secret(keys), &[b"oct", secret]))
    }

    /// An RSA public key by its modulus and exponent, big-endian.
    ///
    /// # Errors
    /// [`KeyError`] for a modulus outside 2048 to 8192 bits and an exponent outside 65537 to 2^33.
    pub fn rsa(n: &[u8], e: &[u8]) -> Result<Self, KeyError> {
        let (n, e) = (without_zeros(n), without_zeros(e));
        if let Some(reason) = weak::rsa(n, e) {
            return Err(KeyError::new(reason));
        }
        let parse = |algorithm: Algorithm| {
            let parameters = match algorithm {
                Algorithm::RS256 => &signature::RSA_PKCS1_2048_8192_SHA256,
                Algorithm::RS384 => &signature::RSA_PKCS1_2048_8192_SHA384,
                Algorithm::RS512 => &signature::RSA_PKCS1_2048_8192_SHA512,
                Algorithm::PS256 => &signature::RSA_PSS_2048_8192_SHA256,
                Algorithm::PS384 => &signature::RSA_PSS_2048_8192_SHA384,
                _ => &signature::RSA_PSS_2048_8192_SHA512,
            };
            let key = RsaPublicKeyComponents { n, e }
                .to_parsed_public_key(parameters)
                .map_err(|_| KeyError::new("it is not a usable RSA key"))?;
            Ok((algorithm, key))
        };
        let keys = AlgorithmSet::of_family(Family::Rsa).iter().map(parse).collect::<Result<_, _>>()?;
        Ok(Self::new(Material::Public(keys), &[b"RSA", n, b"\0", e]))
    }

    /// A key on a NIST curve by its uncompressed point (`04`, x, y).
    ///
    /// # Errors
    /// [`KeyError`] when the point is not on the curve.
    pub(super) fn ec(curve: Curve, point: &[u8]) -> Result<Self, KeyError> {
        let (algorithm, parameters) = match curve {
            Curve::P256 => (Algorithm::ES256, &signature::ECDSA_P256_SHA256_FIXED),
            Curve::P384 => (Algorithm::ES384, &signature::ECDSA_P384_SHA384_FIXED),
            Curve::P521 => (Algorithm::ES512, &signature::ECDSA_P521_SHA512_FIXED),
        };
        if point.first() != Some(&4) {
            return Err(KeyError::new("the point of the EC key is not in uncompressed form"));
        }
        let key = ParsedPublicKey::new(parameters, point)
            .map_err(|_| KeyError::new("the point of the EC key is not on its curve"))?;
        Ok(Self::new(Material::Public(vec![(algorithm, key)]), &[b"EC", point]))
    }

    /// An Ed25519 public key.
    ///
    /// # Errors
    /// [`KeyError`] when it is not 32 octets in canonical form, or has small order.
    pub fn ed25519(key: &[u8]) -> Result<Self, KeyError> {
        let key: &[u8; 32] = key.try_into().map_err(|_| KeyError::new("an Ed25519 key has 32 octets"))?;
        if let Some(reason) = weak::ed25519(key) {
            return Err(KeyError::new(reason));
        }
        let parsed = ParsedPublicKey::new(&signature::ED25519, key)
            .map_err(|_| KeyError::new("it is not a point on Curve25519"))?;
        Ok(Self::new(Material::Public(vec![(Algorithm::EdDSA, parsed)]), &[b"OKP", key]))
    }

    fn new(material: Material, identity: &[&[u8]]) -> Self {
        let mut hash = digest::Context::new(&digest::SHA256);
        identity.iter().for_each(|part| hash.update(part));
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(hash.finish().as_ref());
        let algorithms = match &material {
            Material::Secret(keys) => keys.iter().map(|(algorithm, _)| *algorithm).collect(),
            Material::Public(keys) => keys.iter().map(|(algorithm, _)| *algorithm).collect(),
        };
        Self { kid: None, algorithms, material, fingerprint, fetched_secret: false }
    }

    /// The same key with this `kid`.
    #[must_use]
    pub fn with_kid(self, kid: Option<&str>) -> Self {
        Self { kid: kid.map(Into::into), ..self }
    }

    /// The same key, able to do only what is in `algorithms`; nothing, perhaps.
    #[must_use]
    pub fn restricted_to(mut self, algorithms: AlgorithmSet) -> Self {
        self.algorithms = self.algorithms.intersection(algorithms);
        match &mut self.material {
            Material::Secret(keys) => keys.retain(|(algorithm, _)| algorithms.contains(*algorithm)),
            Material::Public(keys) => keys.retain(|(algorithm, _)| algorithms.contains(*algorithm)),
        }
        self
    }

    pub(super) fn fetched(self) -> Self {
        let fetched_secret = matches!(self.material, Material::Secret(_));
        Self { fetched_secret, ..self }
    }

    /// The key id.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// What this key can do.
    #[must_use]
    pub const fn algorithms(&self) -> AlgorithmSet {
        self.algorithms
    }

    /// Whether this is a shared secret that came from a key set URL.
    #[must_use]
    pub const fn is_fetched_secret(&self) -> bool {
        self.fetched_secret
    }

    /// Whether `signature` is this key's over `message`. False for an algorithm of another key.
    #[must_use]
    pub(super) fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Secret(keys) => for_algorithm(keys, algorithm)
                .is_some_and(|key| hmac::verify(key, message, signature).is_ok()),
            Material::Public(keys) => {
                for_algorithm(keys, algorithm).is_some_and(|key| key.verify_sig(message, signature).is_ok())
            }
        }
    }
}

fn for_algorithm<K>(keys: &[(Algorithm, K)], algorithm: Algorithm) -> Option<&K> {
    keys.iter().find(|(own, _)| *own == algorithm).map(|(_, key)| key)
}

pub(super) fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|octet| **octet == 0).count();
    number.get(zeros..).unwrap_or_default()
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint && self.kid == other.kid && self.algorithms == other.algorithms
    }
}

impl Eq for Key {}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("kid", &self.kid)
            .field("algorithms", &self.algorithms)
            .finish_non_exhaustive()
    }
}
