//! The algorithms of encrypted tokens (RFC 7518 sections 4.1 and 5.1).

use std::fmt;

use aws_lc_rs::{aead, cipher, hmac};

/// The size of an AES key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AesSize {
    /// 128 bits.
    A128,
    /// 192 bits.
    A192,
    /// 256 bits.
    A256,
}

impl AesSize {
    /// The size in octets.
    #[must_use]
    pub const fn octets(self) -> usize {
        match self {
            Self::A128 => 16,
            Self::A192 => 24,
            Self::A256 => 32,
        }
    }

    pub(super) const fn cipher(self) -> &'static cipher::Algorithm {
        match self {
            Self::A128 => &cipher::AES_128,
            Self::A192 => &cipher::AES_192,
            Self::A256 => &cipher::AES_256,
        }
    }

    pub(super) const fn gcm(self) -> &'static aead::Algorithm {
        match self {
            Self::A128 => &aead::AES_128_GCM,
            Self::A192 => &aead::AES_192_GCM,
            Self::A256 => &aead::AES_256_GCM,
        }
    }
}

/// `alg` of an encrypted token: how its content encryption key is had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyManagement {
    /// RSAES OAEP with SHA-1, as the RFC's defaults have it.
    RsaOaep,
    /// RSAES OAEP with SHA-256.
    RsaOaep256,
    /// Diffie-Hellman with an ephemeral key; the agreed key encrypts the content.
    EcdhEs,
    /// The same; the agreed key wraps the content encryption key.
    EcdhEsKw(AesSize),
    /// AES key wrap with a shared key.
    Kw(AesSize),
    /// AES-GCM as a key wrap, with a shared key.
    GcmKw(AesSize),
    /// A shared key encrypts the content.
    Dir,
}

impl KeyManagement {
    /// Every algorithm, in the order of RFC 7518.
    pub const ALL: [Self; 13] = [
        Self::RsaOaep,
        Self::RsaOaep256,
        Self::Kw(AesSize::A128),
        Self::Kw(AesSize::A192),
        Self::Kw(AesSize::A256),
        Self::Dir,
        Self::EcdhEs,
        Self::EcdhEsKw(AesSize::A128),
        Self::EcdhEsKw(AesSize::A192),
        Self::EcdhEsKw(AesSize::A256),
        Self::GcmKw(AesSize::A128),
        Self::GcmKw(AesSize::A192),
        Self::GcmKw(AesSize::A256),
    ];

    /// The algorithm with this `alg` name, compared exactly.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// Whether both sides have the same key, so that none of it is public.
    #[must_use]
    pub const fn is_shared(self) -> bool {
        matches!(self, Self::Kw(_) | Self::GcmKw(_) | Self::Dir)
    }

    /// The `alg` value.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RsaOaep => "RSA-OAEP",
            Self::RsaOaep256 => "RSA-OAEP-256",
            Self::EcdhEs => "ECDH-ES",
            Self::EcdhEsKw(AesSize::A128) => "ECDH-ES+A128KW",
            Self::EcdhEsKw(AesSize::A192) => "ECDH-ES+A192KW",
            Self::EcdhEsKw(AesSize::A256) => "ECDH-ES+A256KW",
            Self::Kw(AesSize::A128) => "A128KW",
            Self::Kw(AesSize::A192) => "A192KW",
            Self::Kw(AesSize::A256) => "A256KW",
            Self::GcmKw(AesSize::A128) => "A128GCMKW",
            Self::GcmKw(AesSize::A192) => "A192GCMKW",
            Self::GcmKw(AesSize::A256) => "A256GCMKW",
            Self::Dir => "dir",
        }
    }
}

impl fmt::Display for KeyManagement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// `enc` of an encrypted token: how its content is encrypted. Every one is authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContentEncryption {
    /// AES-GCM.
    Gcm(AesSize),
    /// AES-CBC with an HMAC over it: with SHA-256, SHA-384 or SHA-512, by the size.
    CbcHmac(AesSize),
}

impl ContentEncryption {
    /// Every one, in the order of RFC 7518.
    pub const ALL: [Self; 6] = [
        Self::CbcHmac(AesSize::A128),
        Self::CbcHmac(AesSize::A192),
        Self::CbcHmac(AesSize::A256),
        Self::Gcm(AesSize::A128),
        Self::Gcm(AesSize::A192),
        Self::Gcm(AesSize::A256),
    ];

    /// The one with this `enc` name, compared exactly.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|encryption| encryption.name() == name)
    }

    /// The `enc` value.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gcm(AesSize::A128) => "A128GCM",
            Self::Gcm(AesSize::A192) => "A192GCM",
            Self::Gcm(AesSize::A256) => "A256GCM",
            Self::CbcHmac(AesSize::A128) => "A128CBC-HS256",
            Self::CbcHmac(AesSize::A192) => "A192CBC-HS384",
            Self::CbcHmac(AesSize::A256) => "A256CBC-HS512",
        }
    }

    /// The length of the content encryption key in octets.
    #[must_use]
    pub const fn key_len(self) -> usize {
        match self {
            Self::Gcm(size) => size.octets(),
            // One half authenticates, the other encrypts.
            Self::CbcHmac(size) => size.octets().saturating_mul(2),
        }
    }

    /// The length of the initialization vector in octets.
    #[must_use]
    pub const fn iv_len(self) -> usize {
        match self {
            Self::Gcm(_) => aead::NONCE_LEN,
            Self::CbcHmac(_) => cipher::AES_CBC_IV_LEN,
        }
    }
}

/// The HMAC of AES-CBC: its hash is twice as long as the key.
pub(super) const fn hash(size: AesSize) -> hmac::Algorithm {
    match size {
        AesSize::A128 => hmac::HMAC_SHA256,
        AesSize::A192 => hmac::HMAC_SHA384,
        AesSize::A256 => hmac::HMAC_SHA512,
    }
}

impl fmt::Display for ContentEncryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_exact() {
        for algorithm in KeyManagement::ALL {
            assert_eq!(KeyManagement::from_name(algorithm.name()), Some(algorithm));
        }
        for encryption in ContentEncryption::ALL {
            assert_eq!(ContentEncryption::from_name(encryption.name()), Some(encryption));
        }
        for odd in ["RSA1_5", "PBES2-HS256+A128KW", "RSA-OAEP-512", "rsa-oaep", "none", "", "RS256"] {
            assert_eq!(KeyManagement::from_name(odd), None, "{odd}");
        }
        assert_eq!(ContentEncryption::from_name("A256CBC"), None);
    }
}
