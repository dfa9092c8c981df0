//! As much DER as it takes to get a public key out of a SubjectPublicKeyInfo (RFC 5280 section
//! 4.1), an X.509 certificate or a PKCS#1 public key (RFC 8017 appendix A.1.1), and the one kind of
//! private key that the crypto library does not read itself.

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OID: u8 = 0x06;
/// The explicit version of a certificate.
const CONTEXT_0: u8 = 0xA0;

const RSA_ENCRYPTION: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01];
const RSASSA_PSS: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x0A];
const EC_PUBLIC_KEY: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01];
const P256: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x2B, 0x81, 0x04, 0x00, 0x22];
const P521: &[u8] = &[0x2B, 0x81, 0x04, 0x00, 0x23];
const ED25519: &[u8] = &[0x2B, 0x65, 0x70];
const X25519: &[u8] = &[0x2B, 0x65, 0x6E];

/// What a DER structure says about a public key. Nothing is checked yet but the structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PublicKey<'a> {
    Rsa {
        n: &'a [u8],
        e: &'a [u8],
        /// The key is for PSS alone.
        pss: bool,
    },
    Ec {
        curve: Curve,
        point: &'a [u8],
    },
    Ed25519(&'a [u8]),
    /// An algorithm that no JWS algorithm works with.
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Curve {
    P256,
    P384,
    P521,
}

/// A SubjectPublicKeyInfo, a certificate or a PKCS#1 public key, whichever the octets are.
pub(super) fn public_key(der: &[u8]) -> Option<PublicKey<'_>> {
    spki(der).or_else(|| certificate(der)).or_else(|| pkcs1(der, false))
}

fn certificate(der: &[u8]) -> Option<PublicKey<'_>> {
    let (certificate, rest) = take(der, SEQUENCE)?;
    if !rest.is_empty() {
        return None;
    }
    let (mut tbs, _) = take(certificate, SEQUENCE)?;
    if let Some((_, rest)) = take(tbs, CONTEXT_0) {
        tbs = rest;
    }
    let (_serial, tbs) = take(tbs, INTEGER)?;
    // signature algorithm, issuer, validity, subject
    let tbs = (0..4).try_fold(tbs, |tbs, _| Some(take(tbs, SEQUENCE)?.1))?;
    let (key, _) = take(tbs, SEQUENCE)?;
    spki_fields(key)
}

fn spki(der: &[u8]) -> Option<PublicKey<'_>> {
    match take(der, SEQUENCE)? {
        (fields, []) => spki_fields(fields),
        _ => None,
    }
}

fn spki_fields(fields: &[u8]) -> Option<PublicKey<'_>> {
    let (algorithm, rest) = take(fields, SEQUENCE)?;
    let (bits, _) = take(rest, BIT_STRING)?;
    let key = bits.strip_prefix(&[0])?;
    let (oid, parameters) = take(algorithm, OID)?;
    match oid {
        RSA_ENCRYPTION => pkcs1(key, false),
        RSASSA_PSS => pkcs1(key, true),
        ED25519 => Some(PublicKey::Ed25519(key)),
        EC_PUBLIC_KEY => {
            let curve = match take(parameters, OID)?.0 {
                P256 => Curve::P256,
                P384 => Curve::P384,
                P521 => Curve::P521,
                _ => return Some(PublicKey::Other),
            };
            Some(PublicKey::Ec { curve, point: key })
        }
        _ => Some(PublicKey::Other),
    }
}

fn pkcs1(der: &[u8], pss: bool) -> Option<PublicKey<'_>> {
    let (fields, []) = take(der, SEQUENCE)? else { return None };
    let (n, fields) = take(fields, INTEGER)?;
    let (e, []) = take(fields, INTEGER)? else { return None };
    Some(PublicKey::Rsa { n, e, pss })
}

/// The key in the PKCS#8 of an X25519 private key (RFC 8410 section 7).
pub(super) fn x25519_private_key(der: &[u8]) -> Option<&[u8]> {
    let (fields, []) = take(der, SEQUENCE)? else { return None };
    let (_version, fields) = take(fields, INTEGER)?;
    let (algorithm, fields) = take(fields, SEQUENCE)?;
    let (X25519, []) = take(algorithm, OID)? else { return None };
    let (key, _attributes) = take(fields, OCTET_STRING)?;
    match take(key, OCTET_STRING)? {
        (key, []) => Some(key),
        _ => None,
    }
}

/// The content of the element with this tag at the start of `der`, and what follows it.
fn take(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let rest = der.strip_prefix(&[tag])?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (octets, rest) = rest.split_at_checked(usize::from(first & 0x7F))?;
        if octets.is_empty() || octets.len() > 3 {
            return None;
        }
        (octets.iter().fold(0, |length, octet| length << 8 | usize::from(*octet)), rest)
    };
    rest.split_at_checked(length)
}
