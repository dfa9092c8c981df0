//! JSON Web Keys and sets of them (RFC 7517, RFC 7518 section 6, RFC 8037).

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{
    Algorithm, Key, KeyError, KeySet, RejectedKey,
    der::Curve,
    json::{self, Object, Value},
};

/// How many members of a set in the configuration are looked at.
const MAX_KEYS: usize = 1000;

pub(super) const PSS: [Algorithm; 3] = [Algorithm::PS256, Algorithm::PS384, Algorithm::PS512];

/// The usable keys of a JWK set that was fetched. A member that cannot be used, of an unknown `kty`
/// for instance, costs only itself (RFC 7517 section 5). The first `max_keys` members are looked at;
/// the rest of a longer set is left out, as rejected.
///
/// # Errors
/// [`KeyError`] when the octets are not a JWK set at all.
pub fn parse_jwks(octets: &[u8], max_keys: usize) -> Result<KeySet, KeyError> {
    let value = json::parse_tolerant(octets).map_err(|e| KeyError::new(e.to_string()))?;
    let object = value.as_object().ok_or_else(|| KeyError::new("it is no JSON object"))?;
    set(object, max_keys, Key::fetched)
}

/// A JWK or a JWK set in the configuration; nothing, if the octets are neither.
pub(super) fn parse_local(octets: &[u8]) -> Option<Result<KeySet, KeyError>> {
    let value = json::parse_tolerant(octets).ok()?;
    let object = value.as_object()?;
    if object.get("keys").is_some() {
        return Some(set(object, MAX_KEYS, |key| key));
    }
    object.get("kty")?;
    Some(key(object).map(|key| match key.kid() {
        Some(_) => KeySet::new(vec![key], Vec::new()),
        // Like a PEM, which has no name either.
        None => KeySet::single(key),
    }))
}

fn set(object: &Object, max_keys: usize, origin: fn(Key) -> Key) -> Result<KeySet, KeyError> {
    if object.is_ambiguous() {
        return Err(KeyError::new(json::JsonError::Duplicate.to_string()));
    }
    let members =
        object.get("keys").and_then(Value::as_array).ok_or_else(|| KeyError::new("it has no list `keys`"))?;
    let (mut keys, mut rejected) = (Vec::new(), Vec::new());
    for (n, member) in members.iter().enumerate().take(max_keys) {
        let imported = member.as_object().ok_or_else(|| KeyError::new("it is no JSON object")).and_then(key);
        match imported {
            Ok(key) => keys.push(origin(key)),
            Err(reason) => rejected.push(RejectedKey { name: name(n, member), reason: reason.0 }),
        }
    }
    if members.len() > max_keys {
        let name = format!("from key {max_keys} on");
        rejected.push(RejectedKey { name, reason: "the set is too long".into() });
    }
    Ok(KeySet::new(keys, rejected))
}

fn name(n: usize, member: &Value) -> String {
    let kid = member.as_object().and_then(|object| object.get("kid")).and_then(Value::as_str);
    kid.map_or_else(
        || format!("key {n}"),
        |kid| format!("key {n} (kid {:?})", kid.chars().take(128).collect::<String>()),
    )
}

fn key(object: &Object) -> Result<Key, KeyError> {
    if object.is_ambiguous() {
        return Err(KeyError::new(json::JsonError::Duplicate.to_string()));
    }
    let kid = match object.get("kid") {
        None => None,
        Some(kid) => Some(kid.as_str().ok_or_else(|| KeyError::new("kid is not a text"))?),
    };
    check_purpose(object)?;
    let key = material(object)?.with_kid(kid);
    let Some(alg) = object.get("alg") else { return Ok(key) };
    let algorithm = alg
        .as_str()
        .and_then(Algorithm::from_name)
        .ok_or_else(|| KeyError::new("alg is not a signature algorithm that is supported"))?;
    if !key.algorithms().contains(algorithm) {
        return Err(KeyError::new(format!("the key cannot do its alg, {algorithm}")));
    }
    Ok(key.restricted_to(algorithm.into()))
}

/// `use` and `key_ops` (RFC 7517 sections 4.2 and 4.3): a key that was published for something else
/// does not verify signatures.
fn check_purpose(object: &Object) -> Result<(), KeyError> {
    if object.get("use").is_some_and(|purpose| purpose.as_str() != Some("sig")) {
        return Err(KeyError::new("use is not sig"));
    }
    let verifies =
        |ops: &Value| ops.as_array().is_some_and(|ops| ops.iter().any(|op| op.as_str() == Some("verify")));
    if object.get("key_ops").is_some_and(|ops| !verifies(ops)) {
        return Err(KeyError::new("key_ops does not list verify"));
    }
    Ok(())
}

fn material(object: &Object) -> Result<Key, KeyError> {
    let text = |name: &str| object.get(name).and_then(Value::as_str);
    match text("kty") {
        Some("RSA") => Key::rsa(&octets(object, "n")?, &octets(object, "e")?),
        Some("EC") => {
            let (curve, size) = match text("crv") {
                Some("P-256") => (Curve::P256, 32),
                Some("P-384") => (Curve::P384, 48),
                Some("P-521") => (Curve::P521, 66),
                _ => return Err(KeyError::new("crv is not P-256, P-384 or P-521")),
            };
            let (x, y) = (octets(object, "x")?, octets(object, "y")?);
            if x.len() != size || y.len() != size {
                return Err(KeyError::new(format!("x and y must have {size} octets each")));
            }
            Key::ec(curve, &[&[4], x.as_slice(), y.as_slice()].concat())
        }
        Some("OKP") => match text("crv") {
            Some("Ed25519") => Key::ed25519(&octets(object, "x")?),
            _ => Err(KeyError::new("crv is not Ed25519")),
        },
        Some("oct") => Key::hmac(&octets(object, "k")?),
        _ => Err(KeyError::new("kty is not RSA, EC, OKP or oct")),
    }
}

fn octets(object: &Object, name: &str) -> Result<Vec<u8>, KeyError> {
    object
        .get(name)
        .and_then(Value::as_str)
        .and_then(|text| URL_SAFE_NO_PAD.decode(text).ok())
        .ok_or_else(|| KeyError::new(format!("{name} is not a base64url text")))
}

/// The members of a JWK that are the public key itself.
#[derive(Clone)]
pub(super) struct PublicMembers {
    pub(super) kty: &'static str,
    /// The others, as text.
    pub(super) members: Vec<(&'static str, String)>,
}

impl PublicMembers {
    /// Those of an RSA key, of its numbers without leading zeros.
    pub(super) fn rsa(n: &[u8], e: &[u8]) -> Self {
        let members = vec![("n", URL_SAFE_NO_PAD.encode(n)), ("e", URL_SAFE_NO_PAD.encode(e))];
        Self { kty: "RSA", members }
    }

    /// The thumbprint (RFC 7638 section 3).
    pub(super) fn thumbprint(&self) -> String {
        let mut all: Vec<(&str, &str)> =
            self.members.iter().map(|(name, value)| (*name, value.as_str())).collect();
        all.push(("kty", self.kty));
        all.sort_unstable();
        let body: Vec<String> = all.iter().map(|(name, value)| format!("\"{name}\":\"{value}\"")).collect();
        let text = format!("{{{}}}", body.join(","));
        URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, text.as_bytes()))
    }
}

/// A public key as a JWK; without a `kid` it is named by its thumbprint.
pub(super) fn public_jwk(
    public: &PublicMembers,
    kid: Option<&str>,
    purpose: &str,
    alg: Option<&str>,
) -> serde_json::Value {
    let kid = kid.map_or_else(|| public.thumbprint(), String::from);
    let mut jwk = serde_json::Map::new();
    jwk.insert("kty".into(), public.kty.into());
    jwk.insert("kid".into(), kid.into());
    jwk.insert("use".into(), purpose.into());
    jwk.extend(alg.map(|alg| ("alg".into(), alg.into())));
    jwk.extend(public.members.iter().map(|(name, value)| ((*name).into(), value.as_str().into())));
    jwk.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwt::AlgorithmSet;

    const N: &str = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";

    fn set_of(members: &str) -> KeySet {
        parse_jwks(format!("{{\"keys\":[{members}]}}").as_bytes(), 10).unwrap()
    }

    #[test]
    fn one_odd_key_costs_only_itself() {
        let good = format!(r#"{{"kty":"RSA","kid":"good","n":"{N}","e":"AQAB","alg":"RS256","use":"sig"}}"#);
        let odd = [
            "null",
            "1",
            "\"x\"",
            "[]",
            "{}",
            r#"{"kty":"XYZ"}"#,
            r#"{"kty":"AKP","alg":"ML-DSA-44"}"#,
            r#"{"kty":"EC","crv":"secp256k1","x":"AAAA","y":"AAAA"}"#,
            r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#,
            r#"{"kty":"RSA","kid":7,"n":"AQAB","e":"AQAB"}"#,
            r#"{"kty":"OKP","crv":"Ed25519","x":""}"#,
            r#"{"kty":"OKP","crv":"X25519","x":"AAAA"}"#,
            r#"{"kty":"oct","k":""}"#,
            r#"{"kty":"oct","k":null}"#,
            r#"{"kty":"oct","kty":"RSA"}"#,
        ];
        for odd in odd {
            let set = set_of(&format!("{odd},{good}"));
            assert_eq!((set.keys().len(), set.rejected().len()), (1, 1), "{odd}");
            assert_eq!(set.keys()[0].kid(), Some("good"));
        }
    }

    #[test]
    fn a_key_does_what_it_says() {
        let with = |extra: &str| set_of(&format!(r#"{{"kty":"RSA","n":"{N}","e":"AQAB"{extra}}}"#));
        assert_eq!(with("").keys()[0].algorithms(), AlgorithmSet::of_family(crate::jwt::Family::Rsa));
        assert_eq!(with(r#","alg":"PS384""#).keys()[0].algorithms(), Algorithm::PS384.into());
        assert_eq!(with(r#","key_ops":["verify"]"#).keys().len(), 1);
        for extra in [
            r#","use":"enc""#,
            r#","use":7"#,
            r#","key_ops":["encrypt"]"#,
            r#","key_ops":[]"#,
            r#","key_ops":"verify""#,
            r#","alg":"ES256""#,
            r#","alg":"RSA-OAEP""#,
            r#","alg":null"#,
        ] {
            assert_eq!(with(extra).keys().len(), 0, "{extra}");
        }
    }

    #[test]
    fn weak_and_malicious_keys_never_load() {
        let short = &N[..300];
        for member in [
            format!(r#"{{"kty":"RSA","n":"{N}","e":"AQ"}}"#),
            format!(r#"{{"kty":"RSA","n":"{N}","e":"Aw"}}"#),
            format!(r#"{{"kty":"RSA","n":"{N}","e":"AQAA"}}"#),
            format!(r#"{{"kty":"RSA","n":"{short}","e":"AQAB"}}"#),
            r#"{"kty":"OKP","crv":"Ed25519","x":"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#.into(),
            r#"{"kty":"OKP","crv":"Ed25519","x":"7P_______________________________________38"}"#.into(),
            r#"{"kty":"EC","crv":"P-256","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","y":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#.into(),
            r#"{"kty":"oct","k":"c2hvcnQ"}"#.into(),
        ] {
            assert_eq!(set_of(&member).keys().len(), 0, "{member}");
        }
    }

    #[test]
    fn not_a_set() {
        for text in [
            "",
            "{}",
            "[]",
            "null",
            r#"{"keys":{}}"#,
            r#"{"error":"x"}"#,
            "<html>",
            r#"{"keys":[],"keys":[]}"#,
        ] {
            assert!(parse_jwks(text.as_bytes(), 10).is_err(), "{text}");
        }
        assert_eq!(set_of("").keys().len(), 0);
    }
}
