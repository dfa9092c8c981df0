//! Keys that look like keys and are not: whoever knows their trick can sign.

use zeroize::Zeroizing;

use super::import;
use crate::lenient_base64;

/// Why a shared secret is not used.
pub(super) fn secret(secret: &[u8]) -> Option<&'static str> {
    /// Base64 in base64 in base64 is nobody's mistake.
    const DEPTH: usize = 3;
    let mut octets = Zeroizing::new(secret.to_vec());
    for _ in 0..DEPTH {
        if import::is_asymmetric(&octets) {
            return Some(
                "this is a public key, or base64 of one, which everybody may know, and no shared secret; put the public key itself there, such as its PEM",
            );
        }
        octets = lenient_base64::decode(std::str::from_utf8(&octets).ok()?)?;
    }
    None
}

/// The smallest RSA modulus in bits (RFC 7518 section 3.3).
const MIN_MODULUS_BITS: usize = 2048;
/// The largest: beyond it one verification costs a noticeable part of a second.
const MAX_MODULUS_BITS: usize = 8192;
/// The largest public exponent in bits: a long one makes every verification slow.
const MAX_EXPONENT_BITS: usize = 33;

/// Why an RSA key is not used; `n` and `e` are big-endian without leading zeros.
pub(super) fn rsa(n: &[u8], e: &[u8]) -> Option<&'static str> {
    let odd = |number: &[u8]| number.last().is_some_and(|octet| octet & 1 == 1);
    if !(MIN_MODULUS_BITS..=MAX_MODULUS_BITS).contains(&bits(n)) {
        return Some("an RSA modulus must have 2048 to 8192 bits");
    }
    // With e = 1 everybody can sign, with e = 3 careless verifiers were fooled; 65537 is the
    // smallest exponent in use.
    if bits(e) > MAX_EXPONENT_BITS || !odd(e) || bits(e) < 17 {
        return Some("an RSA exponent must be odd, at least 65537 and at most 33 bits long");
    }
    if !odd(n) {
        return Some("the RSA modulus is even");
    }
    if is_roca(n) {
        return Some("the RSA key was made by a faulty chip and can be factored (ROCA, CVE-2017-15361)");
    }
    None
}

fn bits(number: &[u8]) -> usize {
    let zeros = number.first().map_or(0, |octet| octet.leading_zeros() as usize);
    number.len().saturating_mul(8).saturating_sub(zeros)
}

/// The moduli of the faulty library are powers of 65537 modulo every small prime; another modulus
/// is one modulo all of these with a chance of less than 2^-27.
fn is_roca(n: &[u8]) -> bool {
    const PRIMES: [u32; 17] = [11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157];
    PRIMES.iter().all(|&prime| {
        let residue = n.iter().fold(0, |r, &octet| (r * 256 + u32::from(octet)) % prime);
        let mut power = 1;
        (0..prime).any(|_| {
            power = power * (65537 % prime) % prime;
            power == residue
        })
    })
}

/// The points of small order on Curve25519 by their y, little-endian, sign bit cleared. A
/// signature under such a key can be made by anybody (RFC 8032 section 8.9 leaves the check open).
const SMALL_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5,
        0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a,
        0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
    [
        0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
    ],
];

/// Why an Ed25519 public key is not used.
pub(super) fn ed25519(key: &[u8; 32]) -> Option<&'static str> {
    let mut y = *key;
    if let Some(last) = y.last_mut() {
        *last &= 0x7F;
    }
    // y >= 2^255 - 19 is a second spelling of a smaller number.
    let [first, middle @ .., last] = y;
    if last == 0x7F && first >= 0xED && middle.iter().all(|octet| *octet == 0xFF) {
        return Some("the Ed25519 key is not in canonical form");
    }
    if SMALL_ORDER.contains(&y) {
        return Some("the Ed25519 key has small order: anybody can sign for it");
    }
    None
}

#[cfg(test)]
mod tests {
    use base64::{
        Engine as _,
        engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
    };

    use super::*;

    const E: [u8; 3] = [1, 0, 1];

    #[test]
    fn secrets_that_everybody_may_know() {
        const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/");
        let read = |name: &str| std::fs::read_to_string(format!("{DATA}{name}")).unwrap();
        let [spki, pkcs1, certificate] =
            ["partner-public.pem", "partner-public-pkcs1.pem", "partner-certificate.pem"].map(read);
        let der = |pem: &str| import::pem(pem.as_bytes()).unwrap().unwrap().1;
        let jwk = r#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}"#;
        let jwks = format!("{{\"keys\":[{jwk}]}}");
        let ders = [der(&spki), der(&pkcs1), der(&certificate)];
        let texts = [spki, pkcs1, certificate, jwk.into(), jwks].map(String::into_bytes);
        for octets in texts.into_iter().chain(ders) {
            let once = STANDARD.encode(&octets);
            let lines: Vec<&str> = once.as_bytes().chunks(64).map(|l| str::from_utf8(l).unwrap()).collect();
            let url_safe = URL_SAFE_NO_PAD.encode(&octets);
            let (twice, lines) = (STANDARD.encode(&once), lines.join("\n"));
            for text in [octets, once.into(), twice.into(), lines.into(), url_safe.into()] {
                assert!(secret(&text).is_some(), "{}", String::from_utf8_lossy(&text));
            }
        }
        let oct = STANDARD.encode(r#"{"kty":"oct","k":"AA"}"#);
        let random = STANDARD.encode([0xA5; 64]);
        for good in
            ["the secret of a partner, long enough", "0123456789abcdef0123456789abcdef", &oct, &random]
        {
            assert_eq!(secret(good.as_bytes()), None, "{good}");
        }
        assert_eq!(secret(&[0x30; 64]), None);
    }

    /// A product of these factors, big-endian.
    fn product(factors: impl IntoIterator<Item = u32>) -> Vec<u8> {
        let mut number = vec![1_u8];
        for factor in factors {
            let mut carry = 0;
            for octet in number.iter_mut().rev() {
                let digit = u32::from(*octet) * factor + carry;
                *octet = digit.to_le_bytes()[0];
                carry = digit >> 8;
            }
            while carry > 0 {
                number.insert(0, carry.to_le_bytes()[0]);
                carry >>= 8;
            }
        }
        number
    }

    #[test]
    fn moduli_of_the_faulty_chip() {
        let faulty = product([65537; 128]);
        assert!(rsa(&faulty, &E).is_some_and(|reason| reason.contains("ROCA")));
        // 65539 is no power of 65537 modulo 13.
        let other = product([65537; 127].into_iter().chain([65539]));
        assert_eq!(rsa(&other, &E), None);
    }

    #[test]
    fn sizes_and_exponents() {
        let good = product([65539; 128]);
        assert_eq!(rsa(&good, &E), None);
        for (n, e) in [
            (product([65539; 127]), &E[..]),
            (product([65539; 513]), &E[..]),
            (product([65539; 128].into_iter().chain([2])), &E[..]),
            (good.clone(), &[3][..]),
            (good.clone(), &[1, 0, 0][..]),
            (good.clone(), &[0xFF, 0xFF][..]),
            (good.clone(), &[2, 0, 0, 0, 1][..]),
            (good, &[][..]),
        ] {
            assert!(rsa(&n, e).is_some(), "{} {e:?}", bits(&n));
        }
    }
}
