//! What keeps entries in Redis from whoever can read it, and from being made by whoever can write to it.

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    hmac,
};

use super::digest::Hasher;

/// The shortest secret.
const MIN_SECRET: usize = 32;
/// The first octet of what is sealed in this way.
const VERSION: u8 = 1;

/// Seals entries with AES-256-GCM, each to its place.
pub(super) struct Seal(RandomizedNonceKey);

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal(…)")
    }
}

/// What of a sealed entry is another one each time that it is sealed.
pub(super) type Mark = [u8; NONCE_LEN];

/// What makes entries of one and the same store of several nodes.
#[derive(Debug)]
pub struct SharedSecret {
    pub(super) seal: Seal,
    pub(super) hasher: Hasher,
}

impl SharedSecret {
    /// Made of a text that all nodes have.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it, without repeating it.
    pub fn new(secret: &[u8]) -> Result<Self, String> {
        if secret.len() < MIN_SECRET {
            return Err(format!(
                "entries are sealed with this, so it must be hard to guess; write at least {MIN_SECRET} random characters"
            ));
        }
        let seal = Seal::new(secret).ok_or("entries cannot be sealed with this; write another one")?;
        Ok(Self { seal, hasher: Hasher::new(derive(secret, "claimgate keys: names").as_ref()) })
    }
}

/// A secret for one purpose.
fn derive(secret: &[u8], purpose: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), purpose.as_bytes())
}

impl Seal {
    /// Nothing if the library refuses, which it does not.
    fn new(secret: &[u8]) -> Option<Self> {
        RandomizedNonceKey::new(&AES_256_GCM, derive(secret, "claimgate keys: seal").as_ref()).ok().map(Self)
    }

    /// An entry, sealed to its place.
    pub(super) fn seal(&self, place: &str, mut entry: Vec<u8>) -> Option<Vec<u8>> {
        let nonce = self.0.seal_in_place_append_tag(Aad::from(place), &mut entry).ok()?;
        Some([&[VERSION][..], nonce.as_ref(), &entry].concat())
    }

    /// The entry that was sealed to this place by a node with the same secret.
    pub(super) fn open(&self, place: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let mark = mark(sealed)?;
        let mut entry = sealed.get(1 + NONCE_LEN..)?.to_vec();
        let length = self.0.open_in_place(Nonce::from(&mark), Aad::from(place), &mut entry).ok()?.len();
        entry.truncate(length);
        Some(entry)
    }
}

/// The mark of what is sealed; nothing for what is not.
pub(super) fn mark(sealed: &[u8]) -> Option<Mark> {
    let (version, rest) = sealed.split_first()?;
    rest.first_chunk::<NONCE_LEN>().filter(|_| *version == VERSION).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_sealed_there_with_the_secret_opens() {
        let seal = Seal::new(b"a secret of all nodes").unwrap();
        let sealed = seal.seal("here", b"entry".to_vec()).unwrap();
        assert_eq!(seal.open("here", &sealed).as_deref(), Some(&b"entry"[..]));
        assert!(!sealed.windows(5).any(|part| part == b"entry"));
        assert_ne!(mark(&sealed), mark(&seal.seal("here", b"entry".to_vec()).unwrap()));
        assert_eq!(seal.open("there", &sealed), None);
        assert_eq!(Seal::new(b"another").unwrap().open("here", &sealed), None);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(seal.open("here", &changed), None, "{at}");
            assert_eq!(seal.open("here", &sealed[..at]), None, "{at}");
        }
    }
}
