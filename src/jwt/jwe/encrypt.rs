//! Making keys and encrypted tokens: for the command line's test tokens and tests, as
//! [`sign`](crate::jwt::sign) does for signed ones.
//!
//! A gateway never encrypts; nothing on the path of a request uses this.

use aws_lc_rs::{
    aead::{Aad, Nonce},
    agreement::PrivateKey,
    encoding::{AsDer, PublicKeyX509Der},
    rand::{SecureRandom, SystemRandom},
    rsa::{
        OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey,
        PublicKeyComponents,
    },
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Map, Value as Json, json};
use zeroize::Zeroizing;

use super::{
    AesSize, ContentEncryption, KeyManagement,
    agreement::{Curve, PartyInfo, agree},
    content::{gcm_key, seal},
    import_decryption_keys, key_wrap,
};
use crate::jwt::{
    Algorithm, KeyError,
    json::{self, Object, Value},
    sign::SigningKey,
};

/// What a token is encrypted with: a public key or a shared one, for one algorithm.
pub struct EncryptionKey {
    algorithm: KeyManagement,
    kid: Option<String>,
    material: Material,
}

enum Material {
    Rsa(OaepPublicEncryptingKey),
    Agreement { curve: Curve, point: Vec<u8> },
    Secret(Zeroizing<Vec<u8>>),
}

/// A new key as text: PKCS#8 in PEM of an RSA key of 2048 bits or a P-256 key, or base64 of a shared
/// key, for `dir` of 32 octets.
///
/// # Errors
/// [`KeyError`] when the system gives no randomness.
pub fn generate(algorithm: KeyManagement) -> Result<String, KeyError> {
    let octets = match algorithm {
        KeyManagement::RsaOaep | KeyManagement::RsaOaep256 => {
            return SigningKey::generate(Algorithm::RS256)?.to_text();
        }
        KeyManagement::EcdhEs | KeyManagement::EcdhEsKw(_) => {
            return SigningKey::generate(Algorithm::ES256)?.to_text();
        }
        KeyManagement::Kw(size) | KeyManagement::GcmKw(size) => size.octets(),
        KeyManagement::Dir => AesSize::A256.octets(),
    };
    Ok(STANDARD.encode(random(octets)?) + "\n")
}

impl EncryptionKey {
    /// The public half of a key that [`import_decryption_keys`] reads, or a public key as a JWK, or the
    /// first of a JWK set; a shared key is base64. Without an algorithm that of the JWK, else the usual
    /// one of the key's kind.
    ///
    /// # Errors
    /// [`KeyError`] when the text is none of these, or cannot do the algorithm.
    pub fn from_text(
        text: &str,
        kid: Option<&str>,
        algorithm: Option<KeyManagement>,
    ) -> Result<Self, KeyError> {
        if let Ok(value) = json::parse(text.as_bytes()).map(|parsed| Zeroizing::new(parsed.value)) {
            return Self::from_json(&value, kid, algorithm);
        }
        let octets = if text.contains("-----BEGIN") {
            Zeroizing::new(text.as_bytes().to_vec())
        } else {
            let compact: Zeroizing<String> = Zeroizing::new(text.split_ascii_whitespace().collect());
            let octets = STANDARD.decode(&*compact);
            Zeroizing::new(octets.map_err(|_| KeyError::new("it is neither PEM, nor a JWK, nor base64"))?)
        };
        let algorithm = algorithm.or_else(|| usual_of_secret(octets.len()));
        let private = import_decryption_keys(&octets, kid, None)
            .or_else(|_| import_decryption_keys(&octets, kid, algorithm))?;
        let key = private.first().ok_or_else(|| KeyError::new("there is no key"))?;
        match key.public_jwk() {
            Some(jwk) => {
                let jwk =
                    json::parse(jwk.to_string().as_bytes()).map_err(|e| KeyError::new(e.to_string()))?;
                Self::from_json(&jwk.value, kid, algorithm)
            }
            None => Self::secret(octets, kid.map(Into::into), algorithm),
        }
    }

    fn from_json(
        value: &Value,
        kid: Option<&str>,
        algorithm: Option<KeyManagement>,
    ) -> Result<Self, KeyError> {
        let first =
            |value: &Value| value.as_array().and_then(<[_]>::first).and_then(Value::as_object).cloned();
        let object = value.as_object().ok_or_else(|| KeyError::new("it is no JWK"))?;
        let jwk = object.get("keys").and_then(first).unwrap_or_else(|| object.clone());
        let text = |name| jwk.get(name).and_then(Value::as_str);
        let algorithm = algorithm.or_else(|| text("alg").and_then(KeyManagement::from_name));
        let kid = kid.or_else(|| text("kid")).map(String::from);
        match text("kty") {
            Some("RSA") => Ok(Self {
                algorithm: algorithm.unwrap_or(KeyManagement::RsaOaep256),
                kid,
                material: Material::Rsa(rsa(&jwk)?),
            }),
            Some("oct") => {
                let key = octets(&jwk, "k")?;
                let algorithm = algorithm.or_else(|| usual_of_secret(key.len()));
                Self::secret(Zeroizing::new(key), kid, algorithm)
            }
            _ => {
                let curve =
                    Curve::of_jwk(&jwk).ok_or_else(|| KeyError::new("nobody encrypts with such a JWK"))?;
                let point = curve.point(&jwk).ok_or_else(|| KeyError::new("the JWK has no public key"))?;
                let algorithm = algorithm.unwrap_or(KeyManagement::EcdhEsKw(AesSize::A256));
                Ok(Self { algorithm, kid, material: Material::Agreement { curve, point } })
            }
        }
    }

    fn secret(
        key: Zeroizing<Vec<u8>>,
        kid: Option<String>,
        algorithm: Option<KeyManagement>,
    ) -> Result<Self, KeyError> {
        let algorithm = algorithm
            .ok_or_else(|| KeyError::new("nothing says what the shared key is for; name an algorithm"))?;
        Ok(Self { algorithm, kid, material: Material::Secret(key) })
    }

    /// A compact JWE around a signed token; `header` is added to `alg`, `enc`, `cty` and `kid`, and
    /// replaces them.
    ///
    /// # Errors
    /// [`KeyError`] when the key cannot do its algorithm.
    pub fn encrypt(
        &self,
        encryption: ContentEncryption,
        header: &Json,
        signed: &str,
    ) -> Result<String, KeyError> {
        let mut whole = Map::new();
        whole.insert("alg".into(), self.algorithm.name().into());
        whole.insert("enc".into(), encryption.name().into());
        whole.insert("cty".into(), "JWT".into());
        if let Some(kid) = &self.kid {
            whole.insert("kid".into(), kid.as_str().into());
        }
        let unfit = || KeyError::new(format!("the key cannot do {}", self.algorithm));
        let fresh = random(encryption.key_len())?;
        let (content_key, encrypted_key) = self.wrap(encryption, &mut whole, fresh).ok_or_else(unfit)?;
        whole.extend(header.as_object().cloned().unwrap_or_default());
        let aad = URL_SAFE_NO_PAD.encode(Json::Object(whole).to_string());
        let iv = random(encryption.iv_len())?.to_vec();
        let sealed =
            seal(encryption, &content_key, aad.as_bytes(), iv, signed.as_bytes()).ok_or_else(unfit)?;
        let [key, iv, text, tag] = [&encrypted_key, &sealed.iv, &sealed.ciphertext, &sealed.tag]
            .map(|part| URL_SAFE_NO_PAD.encode(part));
        Ok(format!("{aad}.{key}.{iv}.{text}.{tag}"))
    }

    /// The content encryption key, `fresh` where it can be chosen, and what is sent of it.
    fn wrap(
        &self,
        encryption: ContentEncryption,
        header: &mut Map<String, Json>,
        fresh: Zeroizing<Vec<u8>>,
    ) -> Option<(Zeroizing<Vec<u8>>, Vec<u8>)> {
        let encode = |octets: &[u8]| Json::from(URL_SAFE_NO_PAD.encode(octets));
        let encrypted = match (&self.material, self.algorithm) {
            (Material::Rsa(key), KeyManagement::RsaOaep | KeyManagement::RsaOaep256) => {
                let sha1 = self.algorithm == KeyManagement::RsaOaep;
                let hash = if sha1 { &OAEP_SHA1_MGF1SHA1 } else { &OAEP_SHA256_MGF1SHA256 };
                let mut encrypted = vec![0; key.ciphertext_size()];
                key.encrypt(hash, &fresh, &mut encrypted, None).ok()?.to_vec()
            }
            (Material::Agreement { curve, point }, KeyManagement::EcdhEs | KeyManagement::EcdhEsKw(_)) => {
                let own = PrivateKey::generate(curve.algorithm()).ok()?;
                let mut epk = json!({ "kty": curve.kty() });
                let members = curve.members(own.compute_public_key().ok()?.as_ref());
                epk.as_object_mut()?
                    .extend(members.into_iter().map(|(name, value)| (name.into(), value.into())));
                header.insert("epk".into(), epk);
                let agreed = agree(&own, point, self.algorithm, encryption, &PartyInfo::default())?;
                match self.algorithm {
                    KeyManagement::EcdhEsKw(size) => key_wrap::wrap(size, &agreed, &fresh)?,
                    _ => return Some((agreed, Vec::new())),
                }
            }
            (Material::Secret(key), KeyManagement::Kw(size)) => key_wrap::wrap(size, key, &fresh)?,
            (Material::Secret(key), KeyManagement::GcmKw(size)) => {
                let iv = random(size.gcm().nonce_len()).ok()?;
                let nonce = Nonce::try_assume_unique_for_key(&iv).ok()?;
                let mut encrypted = fresh.to_vec();
                let tag = gcm_key(size, key)?
                    .seal_in_place_separate_tag(nonce, Aad::empty(), &mut encrypted)
                    .ok()?;
                header.insert("iv".into(), encode(&iv));
                header.insert("tag".into(), encode(tag.as_ref()));
                encrypted
            }
            (Material::Secret(key), KeyManagement::Dir) => return Some((key.clone(), Vec::new())),
            _ => return None,
        };
        Some((fresh, encrypted))
    }
}

impl std::fmt::Debug for EncryptionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EncryptionKey")
            .field("algorithm", &self.algorithm)
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

/// What a shared key of this length is for if nothing is said.
const fn usual_of_secret(octets: usize) -> Option<KeyManagement> {
    match octets {
        16 => Some(KeyManagement::Kw(AesSize::A128)),
        24 => Some(KeyManagement::Kw(AesSize::A192)),
        32 => Some(KeyManagement::Kw(AesSize::A256)),
        _ => None,
    }
}

fn rsa(jwk: &Object) -> Result<OaepPublicEncryptingKey, KeyError> {
    let (n, e) = (octets(jwk, "n")?, octets(jwk, "e")?);
    let unusable = || KeyError::new("it is not a usable RSA key");
    let der: PublicKeyX509Der<'_> = PublicKeyComponents { n, e }.as_der().map_err(|_| unusable())?;
    let key = PublicEncryptingKey::from_der(der.as_ref()).map_err(|_| unusable())?;
    OaepPublicEncryptingKey::new(key).map_err(|_| unusable())
}

fn octets(jwk: &Object, name: &str) -> Result<Vec<u8>, KeyError> {
    jwk.get(name)
        .and_then(Value::as_str)
        .and_then(|text| URL_SAFE_NO_PAD.decode(text).ok())
        .ok_or_else(|| KeyError::new(format!("{name} is not a base64url text")))
}

fn random(octets: usize) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let mut random = Zeroizing::new(vec![0; octets]);
    SystemRandom::new().fill(&mut random).map_err(|_| KeyError::new("no key could be made"))?;
    Ok(random)
}
