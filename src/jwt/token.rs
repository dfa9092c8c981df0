//! A compact JWS, taken apart (RFC 7515 section 7.1).

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{
    Algorithm, Claims, Error, Key,
    json::{self, Object, Value},
};

/// A token whose header was read and whose signature was not checked yet.
pub struct Token<'a> {
    header: Object,
    alg: Alg,
    signing_input: &'a str,
    payload: &'a str,
    signature: Vec<u8>,
}

/// Without what could be used: the payload and the signature.
impl fmt::Debug for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("alg", &self.alg).field("kid", &self.kid()).finish_non_exhaustive()
    }
}

/// What `alg` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Alg {
    Known(Algorithm),
    None,
    Unknown,
}

/// What `kid` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kid<'a> {
    /// The header has no `kid`.
    Absent,
    /// `kid` is there and not a text.
    NotText,
    /// The key id.
    Text(&'a str),
}

impl<'h> Kid<'h> {
    /// The `kid` of a header.
    pub(super) fn of_header(header: &'h Object) -> Self {
        match header.get("kid") {
            None => Self::Absent,
            Some(Value::String(kid)) => Self::Text(kid),
            Some(_) => Self::NotText,
        }
    }
}

impl<'a> Token<'a> {
    /// Takes a token apart: three segments of unpadded base64url, the first of them a JSON object
    /// with unique members. An encrypted token (five segments) is [`Error::Malformed`] like any
    /// other text, and so is one that another spelling of base64 would read alike.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Malformed`] or [`Error::Critical`].
    pub fn parse(text: &'a str, max_bytes: usize) -> Result<Self, Error> {
        if text.len() > max_bytes {
            return Err(Error::TooLarge);
        }
        let (signing_input, signature) = text.rsplit_once('.').ok_or(Error::Malformed)?;
        let (header, payload) = signing_input.split_once('.').ok_or(Error::Malformed)?;
        if payload.contains('.') {
            return Err(Error::Malformed);
        }
        let Value::Object(header) = json::parse(&decode(header)?).map_err(|_| Error::Malformed)?.value else {
            return Err(Error::Malformed);
        };
        if header.get("crit").is_some() || header.get("b64").is_some() {
            return Err(Error::Critical);
        }
        let alg = match header.get("alg").and_then(Value::as_str) {
            Some("none") => Alg::None,
            Some(name) => Algorithm::from_name(name).map_or(Alg::Unknown, Alg::Known),
            None => Alg::Unknown,
        };
        Ok(Self { header, alg, signing_input, payload, signature: decode(signature)? })
    }

    /// The header.
    #[must_use]
    pub const fn header(&self) -> &Object {
        &self.header
    }

    /// The algorithm that the header names.
    ///
    /// # Errors
    /// [`Error::AlgorithmUnknown`], or [`Error::AlgorithmNotAllowed`] for `none`.
    pub const fn algorithm(&self) -> Result<Algorithm, Error> {
        match self.alg {
            Alg::Known(algorithm) => Ok(algorithm),
            Alg::None => Err(Error::AlgorithmNotAllowed),
            Alg::Unknown => Err(Error::AlgorithmUnknown),
        }
    }

    /// The key that the header names.
    #[must_use]
    pub fn kid(&self) -> Kid<'_> {
        Kid::of_header(&self.header)
    }

    /// The payload as it was signed, in base64url.
    #[must_use]
    pub const fn encoded_payload(&self) -> &'a str {
        self.payload
    }

    /// Checks the signature with `key` and gives the claims.
    ///
    /// # Errors
    /// [`Error::Signature`] when the signature is not one of the key under the token's algorithm,
    /// then [`Error::ClaimsMalformed`] or [`Error::ClaimsNull`].
    pub fn verify(&self, key: &Key) -> Result<Claims, Error> {
        let algorithm = self.algorithm()?;
        if !key.verify(algorithm, self.signing_input.as_bytes(), &self.signature) {
            return Err(Error::Signature);
        }
        let parsed = self.payload()?;
        match parsed.value {
            Value::Object(members) => Ok(Claims::new(members, parsed.replaced_surrogate)),
            Value::Null => Err(Error::ClaimsNull),
            _ => Err(Error::ClaimsMalformed),
        }
    }

    /// What the token says before anybody has verified it: good for choosing a key, and for nothing
    /// else. A payload that is no object says nothing.
    ///
    /// # Errors
    /// [`Error::Malformed`] for a payload that no key would make acceptable.
    pub fn unverified_claims(&self) -> Result<Object, Error> {
        match self.payload().map_err(|_| Error::Malformed)?.value {
            Value::Object(members) => Ok(members),
            _ => Ok(Object::default()),
        }
    }

    fn payload(&self) -> Result<json::Parsed, Error> {
        let payload = decode(self.payload).map_err(|_| Error::ClaimsMalformed)?;
        json::parse(&payload).map_err(|_| Error::ClaimsMalformed)
    }
}

fn decode(segment: &str) -> Result<Vec<u8>, Error> {
    URL_SAFE_NO_PAD.decode(segment).map_err(|_| Error::Malformed)
}
