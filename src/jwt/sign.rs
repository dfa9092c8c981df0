//! Making keys and tokens: for the command line's test tokens, the demo and tests.
//!
//! A gateway never signs; nothing on the path of a request uses this.

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    hmac,
    rand::{SecureRandom, SystemRandom},
    rsa::KeySize,
    signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};

use super::{
    Algorithm, Family, KeyError,
    der::{PublicKey, public_key},
    jwk::{PublicMembers, public_jwk},
};

/// A private key or shared secret that signs with one algorithm.
pub struct SigningKey {
    algorithm: Algorithm,
    material: Material,
}

enum Material {
    Secret(Vec<u8>),
    Rsa(RsaKeyPair),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl SigningKey {
    /// A new key: 2048 bits for RSA, 64 octets for a secret.
    ///
    /// # Errors
    /// [`KeyError`] when the system gives no randomness.
    pub fn generate(algorithm: Algorithm) -> Result<Self, KeyError> {
        let failed = |_| KeyError::new("no key could be made");
        let material = match algorithm.family() {
            Family::Hmac => {
                let mut secret = vec![0; 64];
                SystemRandom::new().fill(&mut secret).map_err(failed)?;
                Material::Secret(secret)
            }
            Family::Rsa => Material::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).map_err(failed)?),
            Family::Ecdsa => Material::Ecdsa(EcdsaKeyPair::generate(curve(algorithm)).map_err(failed)?),
            Family::Eddsa => Material::Ed25519(Ed25519KeyPair::generate().map_err(failed)?),
        };
        Ok(Self { algorithm, material })
    }

    /// A shared secret.
    ///
    /// # Errors
    /// [`KeyError`] when the algorithm is not one for secrets.
    pub fn from_secret(algorithm: Algorithm, secret: &[u8]) -> Result<Self, KeyError> {
        if algorithm.family() != Family::Hmac {
            return Err(KeyError::new(format!("{algorithm} does not sign with a shared secret")));
        }
        Ok(Self { algorithm, material: Material::Secret(secret.to_vec()) })
    }

    /// A private key as PKCS#8 in PEM, or a shared secret as base64. Without an algorithm the
    /// usual one of the key's kind: RS256, ES256/384/512 by curve, EdDSA, HS256.
    ///
    /// # Errors
    /// [`KeyError`] when the text is neither, or the key cannot do the algorithm.
    pub fn from_text(text: &str, algorithm: Option<Algorithm>) -> Result<Self, KeyError> {
        let body: String = text.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect();
        let is_pem = text.contains("-----BEGIN");
        let octets = STANDARD.decode(body).map_err(|_| {
            KeyError::new(if is_pem {
                unreadable(text, false)
            } else {
                "the key file is neither PEM nor base64"
            })
        })?;
        if !is_pem {
            return Self::from_secret(algorithm.unwrap_or(Algorithm::HS256), &octets);
        }
        let candidates = algorithm.map_or_else(
            || vec![Algorithm::RS256, Algorithm::ES256, Algorithm::ES384, Algorithm::ES512, Algorithm::EdDSA],
            |algorithm| vec![algorithm],
        );
        candidates
            .into_iter()
            .find_map(|algorithm| Self::from_pkcs8(algorithm, &octets))
            .ok_or_else(|| KeyError::new(unreadable(text, algorithm.is_some())))
    }

    fn from_pkcs8(algorithm: Algorithm, der: &[u8]) -> Option<Self> {
        let material = match algorithm.family() {
            Family::Hmac => return None,
            Family::Rsa => Material::Rsa(RsaKeyPair::from_pkcs8(der).ok()?),
            Family::Ecdsa => Material::Ecdsa(EcdsaKeyPair::from_pkcs8(curve(algorithm), der).ok()?),
            Family::Eddsa => Material::Ed25519(Ed25519KeyPair::from_pkcs8(der).ok()?),
        };
        Some(Self { algorithm, material })
    }

    /// The key as text: PKCS#8 in PEM, or base64 of a shared secret.
    ///
    /// # Errors
    /// [`KeyError`] when the key cannot be written.
    pub fn to_text(&self) -> Result<String, KeyError> {
        let failed = |_| KeyError::new("the key cannot be written");
        let der = match &self.material {
            Material::Secret(secret) => return Ok(STANDARD.encode(secret) + "\n"),
            Material::Rsa(key) => {
                let der: Pkcs8V1Der<'_> = key.as_der().map_err(failed)?;
                der.as_ref().to_vec()
            }
            Material::Ecdsa(key) => key.to_pkcs8v1().map_err(failed)?.as_ref().to_vec(),
            Material::Ed25519(key) => key.to_pkcs8v1().map_err(failed)?.as_ref().to_vec(),
        };
        let body = STANDARD.encode(der);
        let mut pem = String::from("-----BEGIN PRIVATE KEY-----\n");
        for (n, c) in body.chars().enumerate() {
            if n > 0 && n % 64 == 0 {
                pem.push('\n');
            }
            pem.push(c);
        }
        Ok(pem + "\n-----END PRIVATE KEY-----\n")
    }

    /// The algorithm this key signs with.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The public key as a JWK with `alg`, `use` and `kid`; without a `kid` its thumbprint
    /// (RFC 7638). A shared secret has no public form.
    #[must_use]
    pub fn public_jwk(&self, kid: Option<&str>) -> Option<Value> {
        let encode = |octets: &[u8]| URL_SAFE_NO_PAD.encode(octets);
        let public = match &self.material {
            Material::Secret(_) => return None,
            Material::Rsa(key) => {
                let Some(PublicKey::Rsa { n, e, .. }) = public_key(key.public_key().as_ref()) else {
                    return None;
                };
                PublicMembers::rsa(n.strip_prefix(&[0]).unwrap_or(n), e)
            }
            Material::Ecdsa(key) => {
                let point = key.public_key().as_ref().get(1..).unwrap_or_default();
                let (x, y) = point.split_at(point.len() / 2);
                let crv = match self.algorithm {
                    Algorithm::ES256 => "P-256",
                    Algorithm::ES384 => "P-384",
                    _ => "P-521",
                };
                let members = vec![("crv", crv.into()), ("x", encode(x)), ("y", encode(y))];
                PublicMembers { kty: "EC", members }
            }
            Material::Ed25519(key) => {
                let members = vec![("crv", "Ed25519".into()), ("x", encode(key.public_key().as_ref()))];
                PublicMembers { kty: "OKP", members }
            }
        };
        Some(public_jwk(&public, kid, "sig", Some(self.algorithm.name())))
    }

    /// A compact JWS with these claims; `header` is added to `alg` and `typ`.
    ///
    /// # Errors
    /// [`KeyError`] when signing fails.
    pub fn sign(&self, header: &Value, claims: &Value) -> Result<String, KeyError> {
        let mut whole = json!({ "alg": self.algorithm.name(), "typ": "JWT" });
        if let (Value::Object(whole), Value::Object(header)) = (&mut whole, header) {
            whole.extend(header.clone());
        }
        let [header, claims] =
            [whole.to_string(), claims.to_string()].map(|part| URL_SAFE_NO_PAD.encode(part));
        let input = format!("{header}.{claims}");
        let signature = self.signature(input.as_bytes()).map_err(|_| KeyError::new("signing failed"))?;
        Ok(format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    fn signature(&self, message: &[u8]) -> Result<Vec<u8>, aws_lc_rs::error::Unspecified> {
        let rng = SystemRandom::new();
        match &self.material {
            Material::Secret(secret) => {
                let hash = match self.algorithm {
                    Algorithm::HS256 => hmac::HMAC_SHA256,
                    Algorithm::HS384 => hmac::HMAC_SHA384,
                    _ => hmac::HMAC_SHA512,
                };
                Ok(hmac::sign(&hmac::Key::new(hash, secret), message).as_ref().to_vec())
            }
            Material::Rsa(key) => {
                let encoding: &'static dyn signature::RsaEncoding = match self.algorithm {
                    Algorithm::RS256 => &signature::RSA_PKCS1_SHA256,
                    Algorithm::RS384 => &signature::RSA_PKCS1_SHA384,
                    Algorithm::RS512 => &signature::RSA_PKCS1_SHA512,
                    Algorithm::PS256 => &signature::RSA_PSS_SHA256,
                    Algorithm::PS384 => &signature::RSA_PSS_SHA384,
                    _ => &signature::RSA_PSS_SHA512,
                };
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(encoding, &rng, message, &mut signature)?;
                Ok(signature)
            }
            Material::Ecdsa(key) => Ok(key.sign(&rng, message)?.as_ref().to_vec()),
            Material::Ed25519(key) => Ok(key.sign(message).as_ref().to_vec()),
        }
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

fn curve(algorithm: Algorithm) -> &'static signature::EcdsaSigningAlgorithm {
    match algorithm {
        Algorithm::ES384 => &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
        Algorithm::ES512 => &signature::ECDSA_P521_SHA512_FIXED_SIGNING,
        _ => &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
    }
}

/// Why a text is no key to sign with, as its PEM label tells.
fn unreadable(text: &str, for_algorithm: bool) -> &'static str {
    let label = text.split("-----BEGIN ").nth(1).and_then(|rest| rest.split("-----").next());
    match label {
        Some(label) if label.contains("PUBLIC KEY") || label == "CERTIFICATE" => {
            "this is a public key, which cannot sign; name the private key"
        }
        Some("RSA PRIVATE KEY" | "EC PRIVATE KEY" | "EC PARAMETERS") => {
            "the private key is not in PKCS#8 form; convert it with openssl pkcs8 -topk8 -nocrypt"
        }
        Some("ENCRYPTED PRIVATE KEY") => "the private key is encrypted; decrypt it with openssl pkey",
        _ if for_algorithm => "the private key is too weak, or not one for this algorithm",
        _ => {
            "the text is no private key that can sign (PKCS#8 in PEM: RSA from 2048 bits, P-256, P-384, P-521, Ed25519)"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwt::{Ambiguity, Error, Token, import_key, parse_jwks};

    fn verify(token: &str, set: &crate::jwt::KeySet, algorithm: Algorithm) -> Result<(), Error> {
        let token = Token::parse(token, 16 * 1024)?;
        let key = set
            .find(token.kid(), algorithm, algorithm.into(), Ambiguity::Refuse)
            .map_err(|_| Error::KeyUnknown)?;
        token.verify(key).map(|_| ())
    }

    #[test]
    fn every_algorithm_signs_and_verifies() {
        for algorithm in Algorithm::ALL {
            let key = SigningKey::generate(algorithm).unwrap();
            let text = key.to_text().unwrap();
            let again = SigningKey::from_text(&text, Some(algorithm)).unwrap();
            let token = again.sign(&json!({}), &json!({ "sub": "alice" })).unwrap();
            let set = match key.public_jwk(None) {
                Some(jwk) => parse_jwks(json!({ "keys": [jwk] }).to_string().as_bytes(), 1).unwrap(),
                None => import_key(&STANDARD.decode(text.trim()).unwrap(), algorithm.into()).unwrap(),
            };
            assert_eq!(verify(&token, &set, algorithm), Ok(()), "{algorithm}");
            let (input, signature) = token.rsplit_once('.').unwrap();
            let flipped =
                format!("{input}.{}{}", if signature.starts_with('A') { 'B' } else { 'A' }, &signature[1..]);
            assert_eq!(verify(&flipped, &set, algorithm), Err(Error::Signature), "{algorithm}");
        }
    }

    #[test]
    fn the_usual_algorithm_of_a_key() {
        for algorithm in
            [Algorithm::RS256, Algorithm::ES256, Algorithm::ES384, Algorithm::ES512, Algorithm::EdDSA]
        {
            let text = SigningKey::generate(algorithm).unwrap().to_text().unwrap();
            assert_eq!(SigningKey::from_text(&text, None).unwrap().algorithm(), algorithm);
        }
        assert!(SigningKey::from_text("no key", None).is_err());
    }
}
