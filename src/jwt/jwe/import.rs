//! A key to decrypt with in whatever form its owner has it.

use aws_lc_rs::{
    agreement::PrivateKey,
    encoding::{AsDer, Pkcs8V1Der},
    rsa::{KeyPairComponents, OaepPrivateDecryptingKey, PrivateDecryptingKey, PublicKeyComponents},
    signature::{KeyPair as _, RsaKeyPair},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use super::{AesSize, ContentEncryption, DecryptionKey, KeyManagement, agreement::Curve, key::Material};
use crate::jwt::{
    KeyError,
    der::{self, PublicKey},
    import::pem,
    json::{self, Object, Value},
    jwk::PublicMembers,
    key::without_zeros,
    weak,
};

const ECDH: [KeyManagement; 4] = [
    KeyManagement::EcdhEs,
    KeyManagement::EcdhEsKw(AesSize::A128),
    KeyManagement::EcdhEsKw(AesSize::A192),
    KeyManagement::EcdhEsKw(AesSize::A256),
];

/// What the owner says about a key, beside the key itself.
#[derive(Clone, Copy, Default)]
struct Said<'s> {
    kid: Option<&'s str>,
    algorithm: Option<KeyManagement>,
    /// For a shared key that is used directly: the content encryption.
    encryption: Option<ContentEncryption>,
}

/// The key or keys in `material`: a private key in PEM or DER (PKCS#8, PKCS#1, SEC 1), a private JWK or
/// a set of them, or a shared key. `kid` names a single key; `algorithm` is the only one it is for. A
/// shared key must say its own, there or in its JWK: nothing else shows what it is for.
///
/// # Errors
/// [`KeyError`] when a key is none that decrypts, or is weak.
pub fn import_decryption_keys(
    material: &[u8],
    kid: Option<&str>,
    algorithm: Option<KeyManagement>,
) -> Result<Vec<DecryptionKey>, KeyError> {
    let said = Said { kid, algorithm, encryption: None };
    if let Ok(value) = json::parse_tolerant(material).map(Zeroizing::new)
        && let Some(object) = value.as_object()
    {
        let Some(keys) = object.get("keys") else { return Ok(vec![jwk(object, said)?]) };
        if kid.is_some() {
            return Err(KeyError::new("the keys of a set have names of their own; remove the kid beside it"));
        }
        if object.is_ambiguous() {
            return Err(KeyError::new(json::JsonError::Duplicate.to_string()));
        }
        let members = keys.as_array().ok_or_else(|| KeyError::new("its `keys` is not a list"))?;
        let key = |member: &Value| match member.as_object() {
            Some(object) => jwk(object, said),
            None => Err(KeyError::new("a member of the set is no JSON object")),
        };
        return members.iter().map(key).collect();
    }
    let private = match pem(material)? {
        Some((label, der)) => {
            let der = Zeroizing::new(der);
            Some(private_key(&der).ok_or_else(|| KeyError::new(unreadable(label)))?)
        }
        None => private_key(material),
    };
    let key = match private {
        Some(material) => said.key(material?)?,
        None => said.secret(material)?,
    };
    Ok(vec![key])
}

impl Said<'_> {
    /// A private key, for what its kind can do.
    fn key(self, material: Material) -> Result<DecryptionKey, KeyError> {
        let can: &[KeyManagement] = match &material {
            Material::Rsa { .. } => &[KeyManagement::RsaOaep, KeyManagement::RsaOaep256],
            Material::Agreement { .. } => &ECDH,
            Material::Secret(_) => &[],
        };
        let algorithms: Vec<KeyManagement> =
            can.iter().copied().filter(|can| self.algorithm.is_none_or(|said| *can == said)).collect();
        if let (true, Some(said)) = (algorithms.is_empty(), self.algorithm) {
            let can: Vec<&str> = can.iter().map(|can| can.name()).collect();
            return Err(KeyError::new(format!("the key is one for {}, not for {said}", can.join(", "))));
        }
        Ok(DecryptionKey { kid: self.kid.map(Into::into), algorithms, direct: Vec::new(), material })
    }

    fn secret(self, key: &[u8]) -> Result<DecryptionKey, KeyError> {
        let algorithm = self.algorithm.ok_or_else(|| {
            KeyError::new(
                "it is no private key; for a shared key say its algorithm: dir, A128KW, A192KW, A256KW, A128GCMKW, A192GCMKW or A256GCMKW",
            )
        })?;
        let mut direct = Vec::new();
        match algorithm {
            KeyManagement::Kw(size) | KeyManagement::GcmKw(size) if key.len() != size.octets() => {
                let (is, needed) = (key.len(), size.octets());
                return Err(KeyError::new(format!(
                    "the shared key has {is} octets; {algorithm} takes {needed}"
                )));
            }
            KeyManagement::Kw(_) | KeyManagement::GcmKw(_) => {}
            KeyManagement::Dir => {
                direct.extend(ContentEncryption::ALL.into_iter().filter(|own| own.key_len() == key.len()));
                direct.retain(|own| self.encryption.is_none_or(|said| *own == said));
                if direct.is_empty() {
                    let is = key.len();
                    return Err(KeyError::new(format!(
                        "the shared key has {is} octets; content is encrypted with 16 (A128GCM), 24 (A192GCM), 32 (A256GCM, A128CBC-HS256), 48 (A192CBC-HS384) or 64 (A256CBC-HS512)"
                    )));
                }
            }
            _ => {
                return Err(KeyError::new(format!(
                    "{algorithm} needs a private key, and this is none (PKCS#8 in PEM, or a JWK)"
                )));
            }
        }
        let material = Material::Secret(Zeroizing::new(key.to_vec()));
        Ok(DecryptionKey { kid: self.kid.map(Into::into), algorithms: vec![algorithm], direct, material })
    }
}

fn jwk(object: &Object, said: Said<'_>) -> Result<DecryptionKey, KeyError> {
    if object.is_ambiguous() {
        return Err(KeyError::new(json::JsonError::Duplicate.to_string()));
    }
    check_purpose(object)?;
    let own_kid = match object.get("kid") {
        None => None,
        Some(kid) => Some(kid.as_str().ok_or_else(|| KeyError::new("kid is not a text"))?),
    };
    let said = with_alg(object, Said { kid: said.kid.or(own_kid), ..said })?;
    match object.get("kty").and_then(Value::as_str) {
        Some("RSA") => said.key(rsa_jwk(object)?),
        Some("EC" | "OKP") => said.key(agreement_jwk(object)?),
        Some("oct") => said.secret(&octets(object, "k")?),
        _ => Err(KeyError::new("kty is not RSA, EC, OKP or oct")),
    }
}

/// `alg` of a JWK (RFC 7517 section 4.4); that of a shared key may be the content encryption that it
/// is used for directly.
fn with_alg<'s>(object: &Object, said: Said<'s>) -> Result<Said<'s>, KeyError> {
    let Some(alg) = object.get("alg") else { return Ok(said) };
    let name = alg.as_str().unwrap_or_default();
    let encryption = ContentEncryption::from_name(name);
    let own = KeyManagement::from_name(name).or_else(|| encryption.map(|_| KeyManagement::Dir));
    let own = own.ok_or_else(|| KeyError::new("alg is not one that decrypts and is supported"))?;
    if said.algorithm.is_some_and(|said| said != own) {
        return Err(KeyError::new(format!(
            "the key says that it is for {name}, which is not what is said here"
        )));
    }
    Ok(Said { algorithm: Some(own), encryption, ..said })
}

/// `use` and `key_ops`: a key that was made for signatures does not decrypt (RFC 7517 section 4.2).
fn check_purpose(object: &Object) -> Result<(), KeyError> {
    if object.get("use").is_some_and(|purpose| purpose.as_str() != Some("enc")) {
        return Err(KeyError::new("use is not enc"));
    }
    let decrypts =
        |op: &Value| matches!(op.as_str(), Some("decrypt" | "unwrapKey" | "deriveKey" | "deriveBits"));
    if object.get("key_ops").is_some_and(|ops| !ops.as_array().is_some_and(|ops| ops.iter().any(decrypts))) {
        return Err(KeyError::new(
            "key_ops lists neither decrypt, nor unwrapKey, nor deriveKey, nor deriveBits",
        ));
    }
    Ok(())
}

fn rsa_jwk(object: &Object) -> Result<Material, KeyError> {
    if object.get("d").is_none() {
        return Err(KeyError::new(PUBLIC));
    }
    let [n, e, d, p, q, dp, dq, qi] =
        ["n", "e", "d", "p", "q", "dp", "dq", "qi"].map(|name| octets(object, name));
    let (n, e) = (n?, e?);
    let components = KeyPairComponents {
        public_key: PublicKeyComponents { n: without_zeros(&n), e: without_zeros(&e) },
        d: d?,
        p: p?,
        q: q?,
        dP: dp?,
        dQ: dq?,
        qInv: qi?,
    };
    check_rsa(components.public_key.n, components.public_key.e)?;
    let pair = RsaKeyPair::from_components(&components)
        .map_err(|_| KeyError::new("the members of the RSA key do not belong together"))?;
    rsa(&pair)
}

fn check_rsa(n: &[u8], e: &[u8]) -> Result<(), KeyError> {
    weak::rsa(n, e).map_or(Ok(()), |reason| Err(KeyError::new(reason)))
}

fn rsa(pair: &RsaKeyPair) -> Result<Material, KeyError> {
    let unusable = || KeyError::new("it is not a usable RSA key");
    let Some(PublicKey::Rsa { n, e, .. }) = der::public_key(pair.public_key().as_ref()) else {
        return Err(unusable());
    };
    let (n, e) = (without_zeros(n), without_zeros(e));
    check_rsa(n, e)?;
    let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| unusable())?;
    let key = PrivateDecryptingKey::from_pkcs8(der.as_ref()).map_err(|_| unusable())?;
    let key = OaepPrivateDecryptingKey::new(key).map_err(|_| unusable())?;
    Ok(Material::Rsa { key, public: PublicMembers::rsa(n, e) })
}

fn agreement_jwk(object: &Object) -> Result<Material, KeyError> {
    let curve = Curve::of_jwk(object).ok_or_else(|| {
        KeyError::new("kty and crv are not EC with P-256, P-384 or P-521, nor OKP with X25519")
    })?;
    if object.get("d").is_none() {
        return Err(KeyError::new(PUBLIC));
    }
    let point =
        curve.point(object).ok_or_else(|| KeyError::new("x and y are not the coordinates of its curve"))?;
    let key = PrivateKey::from_private_key(curve.algorithm(), &octets(object, "d")?)
        .map_err(|_| KeyError::new("d is not a private key of its curve"))?;
    // A wrong public half is a mix-up of keys, or an attempt at one.
    if key.compute_public_key().is_ok_and(|own| own.as_ref() == point) {
        Ok(Material::Agreement { key, curve })
    } else {
        Err(KeyError::new("x and y are not the public key of d"))
    }
}

fn octets(object: &Object, name: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    object
        .get(name)
        .and_then(Value::as_str)
        .and_then(|text| URL_SAFE_NO_PAD.decode(text).ok())
        .map(Zeroizing::new)
        .ok_or_else(|| KeyError::new(format!("{name} is not a base64url text")))
}

/// A private key as DER, whichever it is; nothing if it is none that can be used.
fn private_key(der: &[u8]) -> Option<Result<Material, KeyError>> {
    if let Ok(pair) = RsaKeyPair::from_pkcs8(der).or_else(|_| RsaKeyPair::from_der(der)) {
        return Some(rsa(&pair));
    }
    if let Some(key) = der::x25519_private_key(der) {
        let curve = Curve::X25519;
        let key = PrivateKey::from_private_key(curve.algorithm(), key).ok()?;
        return Some(Ok(Material::Agreement { key, curve }));
    }
    [Curve::P256, Curve::P384, Curve::P521].into_iter().find_map(|curve| {
        let key = PrivateKey::from_private_key_der(curve.algorithm(), der).ok()?;
        Some(Ok(Material::Agreement { key, curve }))
    })
}

const PUBLIC: &str = "it is a public key; tokens are decrypted with the private one";

/// Why a PEM block is no key to decrypt with.
fn unreadable(label: &str) -> &'static str {
    match label {
        label if label.contains("PUBLIC KEY") || label == "CERTIFICATE" => PUBLIC,
        "ENCRYPTED PRIVATE KEY" => "the private key is itself encrypted; decrypt it with openssl pkey",
        _ => {
            "the PEM block is no private key that decrypts (RSA from 2048 bits, P-256, P-384, P-521, X25519)"
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;
    use serde_json::json;

    use super::*;
    use crate::jwt::{Algorithm, sign::SigningKey};

    /// RFC 7517 appendix C.1 and RFC 8037 appendix A.6.
    const EC: &str = r#"{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","d":"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE"}"#;
    const X25519: &str = r#"{"kty":"OKP","crv":"X25519","x":"hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo","d":"dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo"}"#;

    fn import(text: &str) -> Result<DecryptionKey, String> {
        import_decryption_keys(text.as_bytes(), None, None).map(|mut keys| keys.remove(0)).map_err(|e| e.0)
    }

    fn changed(jwk: &str, name: &str, value: serde_json::Value) -> String {
        let mut jwk: serde_json::Value = serde_json::from_str(jwk).unwrap();
        jwk[name] = value;
        jwk.to_string()
    }

    #[test]
    fn private_keys_in_every_form() {
        for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::ES384, Algorithm::ES512] {
            let pem = SigningKey::generate(algorithm).unwrap().to_text().unwrap();
            let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
            let der = STANDARD.decode(body).unwrap();
            for material in [pem.as_bytes(), &der] {
                let keys = import_decryption_keys(material, Some("k"), None).unwrap();
                let [key] = &keys[..] else { panic!("one key") };
                assert_eq!(key.kid(), Some("k"));
                let jwk = key.public_jwk().unwrap();
                assert_eq!((&jwk["kid"], &jwk["use"], &jwk["d"]), (&"k".into(), &"enc".into(), &json!(null)));
            }
        }
        for jwk in [EC, X25519] {
            let public = import(jwk).unwrap().public_jwk().unwrap();
            let own: serde_json::Value = serde_json::from_str(jwk).unwrap();
            assert_eq!((&public["x"], &public["y"]), (&own["x"], &own["y"]));
        }
        let x25519 = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VuBCIEIHcHbQpzGKV9PBbBclGyZkXfTC+H68CZKrF3+6UduSwq\n-----END PRIVATE KEY-----\n";
        let from_pem = import(x25519).unwrap().public_jwk().unwrap();
        assert_eq!(from_pem, import(X25519).unwrap().public_jwk().unwrap());
    }

    #[test]
    fn what_a_key_says_about_itself() {
        let can = |jwk: &str| import(jwk).map(|key| key.algorithms().to_vec());
        assert_eq!(can(EC), Ok(ECDH.to_vec()));
        assert_eq!(can(&changed(EC, "alg", json!("ECDH-ES"))), Ok(vec![KeyManagement::EcdhEs]));
        assert_eq!(can(&changed(EC, "key_ops", json!(["deriveBits"]))), Ok(ECDH.to_vec()));
        for (name, value, reason) in [
            ("alg", json!("RSA-OAEP"), "is one for ECDH-ES"),
            ("alg", json!("ES256"), "alg is not one that decrypts"),
            ("alg", json!("RSA1_5"), "alg is not one that decrypts"),
            ("alg", json!(null), "alg is not one that decrypts"),
            ("use", json!("sig"), "use is not enc"),
            ("key_ops", json!(["sign"]), "key_ops"),
            ("key_ops", json!("deriveBits"), "key_ops"),
            ("kid", json!(7), "kid is not a text"),
            ("crv", json!("P-384"), "coordinates"),
            ("crv", json!("secp256k1"), "kty and crv"),
            ("x", json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), "not the public key of d"),
            ("d", json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), "private key of its curve"),
            ("kty", json!("OKP"), "kty and crv"),
            ("kty", json!("AKP"), "kty is not"),
        ] {
            let error = can(&changed(EC, name, value)).unwrap_err();
            assert!(error.contains(reason), "{name}: {error}");
        }
        let mut public: serde_json::Value = serde_json::from_str(EC).unwrap();
        public.as_object_mut().unwrap().remove("d");
        assert!(import(&public.to_string()).unwrap_err().contains("public key"));
        assert!(import(r#"{"kty":"EC","kty":"EC"}"#).unwrap_err().contains("two members"));
    }

    #[test]
    fn shared_keys_say_what_they_are_for() {
        let jwk = |octets: usize, alg: &str| {
            let k = URL_SAFE_NO_PAD.encode(vec![7; octets]);
            import(&json!({ "kty": "oct", "k": k, "alg": alg }).to_string())
        };
        for (octets, alg) in
            [(16, "A128KW"), (24, "A192GCMKW"), (32, "A256KW"), (32, "dir"), (48, "dir"), (64, "dir")]
        {
            assert_eq!(
                jwk(octets, alg).map(|key| key.algorithms().to_vec()),
                Ok(vec![KeyManagement::from_name(alg).unwrap()])
            );
        }
        assert_eq!(jwk(32, "A128CBC-HS256").unwrap().direct, [ContentEncryption::CbcHmac(AesSize::A128)]);
        for (octets, alg) in [
            (15, "A128KW"),
            (16, "A256KW"),
            (20, "dir"),
            (32, "A128GCM"),
            (32, "RSA-OAEP"),
            (32, "HS256"),
            (0, "dir"),
        ] {
            assert!(jwk(octets, alg).is_err(), "{octets} {alg}");
        }
        let unsaid = import_decryption_keys(&[7; 32], None, None).unwrap_err();
        assert!(unsaid.0.contains("say its algorithm"), "{unsaid}");
    }

    #[test]
    fn weak_and_mixed_up_keys_never_load() {
        let small = "-----BEGIN PRIVATE KEY-----\nMIICdwIBADANBgkqhkiG9w0BAQEFAASCAmEwggJdAgEAAoGBAK\n-----END PRIVATE KEY-----\n";
        assert!(import(small).is_err());
        let pem = SigningKey::generate(Algorithm::EdDSA).unwrap().to_text().unwrap();
        assert!(import(&pem).unwrap_err().contains("no private key that decrypts"));
        for (label, reason) in [
            ("PUBLIC KEY", "public key"),
            ("CERTIFICATE", "public key"),
            ("ENCRYPTED PRIVATE KEY", "openssl pkey"),
        ] {
            let error =
                import(&format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n")).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn sets() {
        let set = json!({ "keys": [
            serde_json::from_str::<serde_json::Value>(&changed(EC, "kid", json!("a"))).unwrap(),
            serde_json::from_str::<serde_json::Value>(&changed(X25519, "kid", json!("b"))).unwrap(),
        ] })
        .to_string();
        let keys = import_decryption_keys(set.as_bytes(), None, None).unwrap();
        assert_eq!(keys.iter().map(DecryptionKey::kid).collect::<Vec<_>>(), [Some("a"), Some("b")]);
        assert!(import_decryption_keys(set.as_bytes(), Some("c"), None).is_err());
        assert!(import(r#"{"keys":[7]}"#).is_err() && import(r#"{"keys":7}"#).is_err());
    }

    #[test]
    fn nothing_of_a_key_is_shown() {
        let shown = format!("{:?}", import(EC).unwrap());
        assert!(shown.contains("DecryptionKey") && !shown.contains("870MB6gf"), "{shown}");
    }
}
