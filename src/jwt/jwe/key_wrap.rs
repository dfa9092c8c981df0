//! AES key wrap (RFC 3394). The crypto library wraps with keys of 128 and 256 bits and not with those
//! of 192; this does all three in one way, over the library's AES.

use aws_lc_rs::{
    cipher::{DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext, UnboundCipherKey},
    constant_time::verify_slices_are_equal,
};
use zeroize::Zeroizing;

use super::AesSize;

/// What stands before an unwrapped key, and proves it (RFC 3394 section 2.2.3.1).
const INITIAL: Half = [0xA6; 8];
/// Half a block of AES.
type Half = [u8; 8];
/// The longest content encryption key is that of A256CBC-HS512.
const MAX_HALVES: usize = 8;

/// The key that was wrapped; nothing if this key did not wrap it.
pub(super) fn unwrap(size: AesSize, key: &[u8], wrapped: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let cipher = DecryptingKey::ecb(UnboundCipherKey::new(size.cipher(), key).ok()?).ok()?;
    let mut halves = halves(wrapped)?;
    let (check, rest) = halves.split_first_mut()?;
    let count = rest.len();
    for step in (1..=count.checked_mul(6)?).rev() {
        let half = rest.get_mut(step.checked_sub(1)?.checked_rem(count)?)?;
        let mut block = block(&stepped(check, step)?, half);
        cipher.decrypt(&mut block, DecryptionContext::None).ok()?;
        (*check, *half) = parts(&block)?;
    }
    // Made before the check, so that a wrong key takes as long as a right one.
    let unwrapped = Zeroizing::new(rest.concat());
    verify_slices_are_equal(check, &INITIAL).ok()?;
    Some(unwrapped)
}

/// The other way.
pub(super) fn wrap(size: AesSize, key: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
    let cipher = EncryptingKey::ecb(UnboundCipherKey::new(size.cipher(), key).ok()?).ok()?;
    let mut halves = halves(&[&INITIAL, plain].concat())?;
    let (check, rest) = halves.split_first_mut()?;
    let count = rest.len();
    for step in 1..=count.checked_mul(6)? {
        let half = rest.get_mut(step.checked_sub(1)?.checked_rem(count)?)?;
        let mut block = block(check, half);
        cipher.less_safe_encrypt(&mut block, EncryptionContext::None).ok()?;
        (*check, *half) = parts(&block)?;
        *check = stepped(check, step)?;
    }
    Some(halves.concat())
}

/// The text in halves of a block; nothing if it does not divide, or is no wrapped key for its length.
fn halves(text: &[u8]) -> Option<Zeroizing<Vec<Half>>> {
    let (halves, []) = text.as_chunks::<8>() else { return None };
    (3..=MAX_HALVES.saturating_add(1)).contains(&halves.len()).then(|| Zeroizing::new(halves.to_vec()))
}

fn block(first: &Half, second: &Half) -> Zeroizing<Vec<u8>> {
    Zeroizing::new([first.as_slice(), second].concat())
}

fn parts(block: &[u8]) -> Option<(Half, Half)> {
    let (first, second) = block.split_at_checked(8)?;
    Some((first.try_into().ok()?, second.try_into().ok()?))
}

/// The check value with the number of the step mixed in.
fn stepped(check: &Half, step: usize) -> Option<Half> {
    Some((u64::from_be_bytes(*check) ^ u64::try_from(step).ok()?).to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3394 sections 4.1 to 4.6: the key is 00 01 02 …, what is wrapped 00 11 22 … FF 00 01 ….
    #[test]
    fn vectors_of_the_rfc() {
        let kek: Vec<u8> = (0..32).collect();
        let plain: Vec<u8> = (0..16_u8).map(|n| n * 0x11).chain(0..16).collect();
        for (size, octets, wrapped) in [
            (AesSize::A128, 16, "1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5"),
            (AesSize::A192, 16, "96778b25ae6ca435f92b5b97c050aed2468ab8a17ad84e5d"),
            (AesSize::A256, 16, "64e8c3f9ce0f5ba263e9777905818a2a93c8191e7d6e8ae7"),
            (AesSize::A192, 24, "031d33264e15d33268f24ec260743edce1c6c7ddee725a936ba814915c6762d2"),
            (AesSize::A256, 24, "a8f9bc1612c68b3ff6e6f4fbe30e71e4769c8b80a32cb8958cd5d17d6b254da1"),
            (
                AesSize::A256,
                32,
                "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21",
            ),
        ] {
            let (kek, plain) = (&kek[..size.octets()], &plain[..octets]);
            let own = wrap(size, kek, plain).unwrap();
            let hex: String = own.iter().map(|octet| format!("{octet:02x}")).collect();
            assert_eq!(hex, wrapped, "{size:?}");
            assert_eq!(**unwrap(size, kek, &own).unwrap(), *plain);
            for n in 0..own.len() {
                let mut changed = own.clone();
                changed[n] ^= 1;
                assert_eq!(unwrap(size, kek, &changed), None, "octet {n}");
            }
        }
    }

    #[test]
    fn lengths_that_no_key_has() {
        for octets in [0, 8, 16, 23, 25, 72, 80, 1024] {
            let expected = octets == 72;
            let text = vec![0; octets];
            assert_eq!(halves(&text).is_some(), expected, "{octets}");
        }
    }
}
