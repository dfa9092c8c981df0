//! Encrypted tokens: a compact JWE (RFC 7516) around a signed token (RFC 7519 section 11.2).
//!
//! Reading order: [`Decryption::open`] is the whole path of an encrypted token; `token` takes it
//! apart, `key` gets the content encryption key out of it, `content` decrypts with that.
//!
//! **Invariant:** what comes out is a compact JWS and nothing else. Encryption says nothing about who
//! made a token, for everybody may have a public key: what was inside is verified like any other.
//!
//! **Invariant:** a token that cannot be decrypted is [`Error::Decryption`](super::Error::Decryption),
//! whatever the reason, and takes the same work: an unknown `kid`, a key that does not unwrap and a
//! wrong tag all end at the tag (RFC 7516 section 11.5).
//!
//! Left out on purpose, and refused whatever the configuration says: RSA1_5 (padding oracles, RFC 8725
//! section 3.2), PBES2 (the sender chooses the cost), and `zip` (a token that grows).

mod agreement;
mod algorithm;
mod content;
mod decryption;
pub mod encrypt;
mod import;
mod key;
mod key_wrap;
mod token;

pub use algorithm::{AesSize, ContentEncryption, KeyManagement};
pub use decryption::Decryption;
pub use import::import_decryption_keys;
pub use key::DecryptionKey;
#[cfg(test)]
pub(super) use token::EncryptedToken;
