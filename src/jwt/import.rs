//! A configured key in whatever form its owner has it.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    AlgorithmSet, Family, Key, KeyError, KeySet,
    der::{self, PublicKey},
    json::{self, Value},
    jwk,
};

/// The key or keys in `material`: a PEM block (SubjectPublicKeyInfo, PKCS#1 or certificate), the
/// same as DER, a JWK or a JWK set; or, where `allowed` has an HMAC algorithm, a shared secret.
/// Of several PEM blocks the first counts.
///
/// # Errors
/// [`KeyError`] when nothing in it can do one of the `allowed` algorithms.
pub fn import_key(material: &[u8], allowed: AlgorithmSet) -> Result<KeySet, KeyError> {
    if let Some(set) = jwk::parse_local(material) {
        return fitting_set(set?, allowed);
    }
    let key = match public_key(material)? {
        Some(key) => key,
        None if allowed.iter().any(|algorithm| algorithm.family() == Family::Hmac) => Key::hmac(material)?,
        None => {
            return Err(KeyError::new(
                "it is neither a PEM or DER public key, nor a certificate, nor a JWK; put one of these there",
            ));
        }
    };
    let can = key.algorithms();
    let key = key.restricted_to(allowed);
    if key.algorithms().is_empty() {
        return Err(unfit(can, allowed));
    }
    Ok(KeySet::single(key))
}

/// Whether octets are a key or certificate of an asymmetric algorithm, be it usable or not, or a JWK set.
pub(super) fn is_asymmetric(octets: &[u8]) -> bool {
    let is_jwk = || {
        let value = json::parse_tolerant(octets).ok();
        value.as_ref().and_then(Value::as_object).is_some_and(|object| {
            let kty = object.get("kty").and_then(Value::as_str);
            object.get("keys").is_some() || kty.is_some_and(|kty| kty != "oct")
        })
    };
    !matches!(public_key(octets), Ok(None)) || is_jwk()
}

fn fitting_set(set: KeySet, allowed: AlgorithmSet) -> Result<KeySet, KeyError> {
    if set.fits(allowed) {
        return Ok(set);
    }
    match (set.rejected().first(), set.keys().first()) {
        (Some(rejected), None) => Err(KeyError::new(format!("the key set has no usable key ({rejected})"))),
        (_, Some(key)) => Err(unfit(key.algorithms(), allowed)),
        (None, None) => Err(KeyError::new("the key set is empty")),
    }
}

fn unfit(can: AlgorithmSet, allowed: AlgorithmSet) -> KeyError {
    KeyError::new(format!("the key is one for {can}, but only {allowed} may be used here"))
}

fn public_key(material: &[u8]) -> Result<Option<Key>, KeyError> {
    let Some((label, der)) = pem(material)? else {
        return der::public_key(material).map(from_der).transpose();
    };
    match label {
        "PUBLIC KEY" | "RSA PUBLIC KEY" | "CERTIFICATE" => {}
        label if label.ends_with("PRIVATE KEY") => {
            return Err(KeyError::new(
                "it is a private key; a gateway needs the public key alone (openssl pkey -pubout)",
            ));
        }
        _ => return Err(KeyError::new("the PEM block is not a public key or certificate")),
    }
    let key = der::public_key(&der)
        .ok_or_else(|| KeyError::new("the PEM block does not hold what its header says"))?;
    from_der(key).map(Some)
}

/// The label and content of the first PEM block (RFC 7468), whatever stands around it; nothing if
/// the octets do not look like PEM at all.
pub(super) fn pem(material: &[u8]) -> Result<Option<(&str, Vec<u8>)>, KeyError> {
    const BEGIN: &str = "-----BEGIN ";
    let Ok(text) = std::str::from_utf8(material) else { return Ok(None) };
    let Some((_, block)) = text.split_once(BEGIN) else { return Ok(None) };
    let incomplete = || KeyError::new("its PEM block is not complete");
    let (label, rest) = block.split_once("-----").ok_or_else(incomplete)?;
    let (body, _) = rest.split_once(&format!("-----END {label}-----")).ok_or_else(incomplete)?;
    let body: String = body.split_ascii_whitespace().collect();
    let der = STANDARD.decode(body).map_err(|_| KeyError::new("its PEM block is not valid base64"))?;
    Ok(Some((label, der)))
}

fn from_der(key: PublicKey<'_>) -> Result<Key, KeyError> {
    match key {
        PublicKey::Rsa { n, e, pss } => {
            let key = Key::rsa(n, e)?;
            Ok(if pss { key.restricted_to(jwk::PSS.into_iter().collect()) } else { key })
        }
        PublicKey::Ec { curve, point } => Key::ec(curve, point),
        PublicKey::Ed25519(key) => Key::ed25519(key),
        PublicKey::Other => Err(KeyError::new("no JWS algorithm works with this kind of key")),
    }
}
