//! Keyed hashes of keys: what the store finds them by.

use std::fmt;

use aws_lc_rs::hmac;

use super::KeyName;

/// A hash of a key under the salt of its store.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Digest(pub(super) [u8; 32]);

/// Whoever has the salt can try guesses against a hash.
impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(…)")
    }
}

/// Makes the hashes of one store: HMAC with SHA-256 (RFC 2104) under a random salt of its own, so that
/// tables of common keys fit no store.
pub(super) struct Hasher(hmac::Key);

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher(…)")
    }
}

impl Hasher {
    pub(super) fn new(salt: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, salt))
    }

    /// Of the text of organisation and id.
    pub(super) fn of_text(&self, text: &str) -> Digest {
        self.of(&[b"text", text.as_bytes()])
    }

    /// Of an id within an organisation.
    pub(super) fn of_id(&self, org_id: &str, id: &str) -> Digest {
        self.of(&[b"id", org_id.as_bytes(), id.as_bytes()])
    }

    /// Both hashes by which a key is found.
    pub(super) fn of_name(&self, name: &KeyName) -> [Digest; 2] {
        [self.of_id(&name.org_id, &name.id), self.of_text(&name.to_text())]
    }

    /// Each part with its length before it, so that no two lists of parts are hashed alike.
    fn of(&self, parts: &[&[u8]]) -> Digest {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            context.update(part);
        }
        let mut digest = Digest([0; 32]);
        for (octet, own) in digest.0.iter_mut().zip(context.sign().as_ref()) {
            *octet = *own;
        }
        digest
    }
}
