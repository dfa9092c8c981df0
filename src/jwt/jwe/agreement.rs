//! ECDH-ES (RFC 7518 section 4.6; X25519 by RFC 8037 section 3.2).

use aws_lc_rs::{
    agreement::{self, PrivateKey, UnparsedPublicKey},
    digest,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use super::{ContentEncryption, KeyManagement};
use crate::jwt::json::{Object, Value};

/// A curve that keys are agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Curve {
    P256,
    P384,
    P521,
    X25519,
}

impl Curve {
    pub(super) const ALL: [Self; 4] = [Self::P256, Self::P384, Self::P521, Self::X25519];

    /// `crv`
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
            Self::X25519 => "X25519",
        }
    }

    /// `kty`
    pub(super) const fn kty(self) -> &'static str {
        if matches!(self, Self::X25519) { "OKP" } else { "EC" }
    }

    pub(super) const fn algorithm(self) -> &'static agreement::Algorithm {
        match self {
            Self::P256 => &agreement::ECDH_P256,
            Self::P384 => &agreement::ECDH_P384,
            Self::P521 => &agreement::ECDH_P521,
            Self::X25519 => &agreement::X25519,
        }
    }

    /// How many octets a coordinate has, and a private key.
    pub(super) const fn octets(self) -> usize {
        match self {
            Self::P256 | Self::X25519 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    /// The curve of a JWK; nothing if `kty` and `crv` do not say one.
    pub(super) fn of_jwk(jwk: &Object) -> Option<Self> {
        let text = |name| jwk.get(name).and_then(Value::as_str);
        Self::ALL
            .into_iter()
            .find(|curve| text("crv") == Some(curve.name()) && text("kty") == Some(curve.kty()))
    }

    /// The public key of a JWK on this curve, as the library takes it. Whether it is on the curve is
    /// checked when it is used.
    pub(super) fn point(self, jwk: &Object) -> Option<Vec<u8>> {
        let coordinate = |name| {
            let octets = URL_SAFE_NO_PAD.decode(jwk.get(name)?.as_str()?).ok()?;
            (octets.len() == self.octets()).then_some(octets)
        };
        let x = coordinate("x")?;
        if self == Self::X25519 {
            return Some(x);
        }
        let y = coordinate("y")?;
        Some([&[4], x.as_slice(), &y].concat())
    }

    /// The members of the JWK of a public key.
    pub(super) fn members(self, point: &[u8]) -> Vec<(&'static str, String)> {
        let encode = |octets: &[u8]| URL_SAFE_NO_PAD.encode(octets);
        let crv = ("crv", self.name().to_owned());
        if self == Self::X25519 {
            return vec![crv, ("x", encode(point))];
        }
        let (x, y) = point.get(1..).and_then(|both| both.split_at_checked(self.octets())).unwrap_or_default();
        vec![crv, ("x", encode(x)), ("y", encode(y))]
    }
}

/// Who the parties say they are, octets that go into the key (`apu` and `apv`).
#[derive(Default)]
pub(super) struct PartyInfo {
    pub(super) producer: Vec<u8>,
    pub(super) recipient: Vec<u8>,
}

impl PartyInfo {
    /// Nothing if one of them is there and not base64url.
    pub(super) fn of_header(header: &Object) -> Option<Self> {
        let octets = |name| match header.get(name) {
            None => Some(Vec::new()),
            Some(value) => URL_SAFE_NO_PAD.decode(value.as_str()?).ok(),
        };
        Some(Self { producer: octets("apu")?, recipient: octets("apv")? })
    }
}

/// The key that both sides agree on: the content encryption key, or the one that wraps it. Nothing if
/// the public key is not a good point of the private key's curve.
pub(super) fn agree(
    own: &PrivateKey,
    point: &[u8],
    algorithm: KeyManagement,
    encryption: ContentEncryption,
    parties: &PartyInfo,
) -> Option<Zeroizing<Vec<u8>>> {
    // A direct agreement is for the content encryption, the other for the wrapping.
    let (purpose, len) = match algorithm {
        KeyManagement::EcdhEs => (encryption.name(), encryption.key_len()),
        KeyManagement::EcdhEsKw(size) => (algorithm.name(), size.octets()),
        _ => return None,
    };
    let peer = UnparsedPublicKey::new(own.algorithm(), point);
    agreement::agree(own, peer, (), |secret| concat_kdf(secret, purpose, len, parties).ok_or(())).ok()
}

/// The key derivation of NIST SP 800-56A section 5.8.1 with SHA-256.
fn concat_kdf(secret: &[u8], purpose: &str, len: usize, parties: &PartyInfo) -> Option<Zeroizing<Vec<u8>>> {
    let number = |n: usize| u32::try_from(n).ok().map(u32::to_be_bytes);
    let bits = number(len.checked_mul(8)?)?;
    let mut key = Zeroizing::new(Vec::with_capacity(len.next_multiple_of(digest::SHA256_OUTPUT_LEN)));
    for round in 1_u32.. {
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(&round.to_be_bytes());
        hash.update(secret);
        for field in [purpose.as_bytes(), &parties.producer, &parties.recipient] {
            hash.update(&number(field.len())?);
            hash.update(field);
        }
        hash.update(&bits);
        key.extend_from_slice(hash.finish().as_ref());
        if key.len() >= len {
            break;
        }
    }
    key.truncate(len);
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwt::{json, jwe::AesSize};

    /// RFC 7518 appendix C.
    #[test]
    fn the_example_of_the_rfc() {
        let ephemeral = br#"{"kty":"EC","crv":"P-256","x":"gI0GAILBdu7T53akrFmMyGcsF3n5dO7MmwNBHKW5SV0","y":"SLW_xSffzlPWrHEVI30DHM_4egVwt3NQqeUD7nMFpps"}"#;
        let ephemeral = json::parse(ephemeral).unwrap().value;
        let point = Curve::P256.point(ephemeral.as_object().unwrap()).unwrap();
        let bob = URL_SAFE_NO_PAD.decode("VEmDZpDXXK8p8N0Cndsxs924q6nS1RXFASRl6BfUqdw").unwrap();
        let bob = PrivateKey::from_private_key(Curve::P256.algorithm(), &bob).unwrap();
        let parties = PartyInfo { producer: b"Alice".to_vec(), recipient: b"Bob".to_vec() };
        let gcm = ContentEncryption::Gcm(AesSize::A128);
        let key = agree(&bob, &point, KeyManagement::EcdhEs, gcm, &parties).unwrap();
        assert_eq!(URL_SAFE_NO_PAD.encode(&*key), "VqqN6vgjbSBcIijNcacQGg");
    }
}
