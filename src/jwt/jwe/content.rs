//! Encrypting and decrypting content (RFC 7518 sections 5.2 and 5.3).

use aws_lc_rs::{
    aead::{Aad, LessSafeKey, Nonce, UnboundKey},
    cipher::{
        DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey, PaddedBlockEncryptingKey,
        UnboundCipherKey,
    },
    constant_time::verify_slices_are_equal,
    hmac,
    iv::FixedLength,
};
use zeroize::Zeroizing;

use super::algorithm::{AesSize, ContentEncryption, hash};

/// What was encrypted, and what proves it.
pub(super) struct Sealed {
    pub(super) iv: Vec<u8>,
    pub(super) ciphertext: Vec<u8>,
    pub(super) tag: Vec<u8>,
}

/// The plaintext; nothing if key, text and tag do not belong together. Nothing is decrypted before
/// the tag was found good, so padding tells nobody anything.
pub(super) fn open(
    encryption: ContentEncryption,
    key: &[u8],
    aad: &[u8],
    sealed: &Sealed,
) -> Option<Vec<u8>> {
    match encryption {
        ContentEncryption::Gcm(size) => open_gcm(size, key, aad, sealed),
        ContentEncryption::CbcHmac(size) => {
            let (mac_key, cipher_key) = key.split_at_checked(size.octets())?;
            let tag = cbc_tag(size, mac_key, aad, sealed)?;
            verify_slices_are_equal(&tag, &sealed.tag).ok()?;
            let cipher_key = UnboundCipherKey::new(size.cipher(), cipher_key).ok()?;
            let iv = FixedLength::try_from(sealed.iv.as_slice()).ok()?;
            let mut text = sealed.ciphertext.clone();
            let plain = PaddedBlockDecryptingKey::cbc_pkcs7(cipher_key)
                .ok()?
                .decrypt(&mut text, DecryptionContext::Iv128(iv))
                .ok()?
                .len();
            text.truncate(plain);
            Some(text)
        }
    }
}

/// The other way, with this initialization vector.
pub(super) fn seal(
    encryption: ContentEncryption,
    key: &[u8],
    aad: &[u8],
    iv: Vec<u8>,
    plaintext: &[u8],
) -> Option<Sealed> {
    let mut ciphertext = plaintext.to_vec();
    match encryption {
        ContentEncryption::Gcm(size) => {
            let nonce = Nonce::try_assume_unique_for_key(&iv).ok()?;
            let tag = gcm_key(size, key)?
                .seal_in_place_separate_tag(nonce, Aad::from(aad), &mut ciphertext)
                .ok()?;
            Some(Sealed { iv, ciphertext, tag: tag.as_ref().to_vec() })
        }
        ContentEncryption::CbcHmac(size) => {
            let (mac_key, cipher_key) = key.split_at_checked(size.octets())?;
            let cipher_key = UnboundCipherKey::new(size.cipher(), cipher_key).ok()?;
            let fixed = FixedLength::try_from(iv.as_slice()).ok()?;
            PaddedBlockEncryptingKey::cbc_pkcs7(cipher_key)
                .ok()?
                .less_safe_encrypt(&mut ciphertext, EncryptionContext::Iv128(fixed))
                .ok()?;
            let mut sealed = Sealed { iv, ciphertext, tag: Vec::new() };
            sealed.tag = cbc_tag(size, mac_key, aad, &sealed)?.to_vec();
            Some(sealed)
        }
    }
}

pub(super) fn gcm_key(size: AesSize, key: &[u8]) -> Option<LessSafeKey> {
    UnboundKey::new(size.gcm(), key).ok().map(LessSafeKey::new)
}

pub(super) fn open_gcm(size: AesSize, key: &[u8], aad: &[u8], sealed: &Sealed) -> Option<Vec<u8>> {
    // A shorter tag would be easier to guess.
    if sealed.tag.len() != size.gcm().tag_len() {
        return None;
    }
    let nonce = Nonce::try_assume_unique_for_key(&sealed.iv).ok()?;
    let mut text = [sealed.ciphertext.as_slice(), &sealed.tag].concat();
    let plain = gcm_key(size, key)?.open_in_place(nonce, Aad::from(aad), &mut text).ok()?.len();
    text.truncate(plain);
    Some(text)
}

/// The first half of an HMAC over header, vector, text, and the length of the header in bits.
fn cbc_tag(size: AesSize, key: &[u8], aad: &[u8], sealed: &Sealed) -> Option<Zeroizing<Vec<u8>>> {
    let bits = u64::try_from(aad.len()).ok()?.checked_mul(8)?;
    let mut mac = hmac::Context::with_key(&hmac::Key::new(hash(size), key));
    for part in [aad, &sealed.iv, &sealed.ciphertext, &bits.to_be_bytes()] {
        mac.update(part);
    }
    let tag = mac.sign();
    tag.as_ref().get(..size.octets()).map(|half| Zeroizing::new(half.to_vec()))
}
