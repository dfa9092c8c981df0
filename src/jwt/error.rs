//! Why a token is refused.

use std::fmt;

use super::SubjectError;

/// Why a token is refused: the one check that decided.
///
/// Values of the token that a variant carries are for answers that must repeat them (Tyk's do) and
/// for the owner's eyes; they come from an unverified caller unless the variant is one of a claim
/// rule, which is reached only behind a good signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The text is longer than allowed.
    TooLarge,
    /// The text is not a compact JWS with a JSON header.
    Malformed,
    /// The token is signed only, and must be encrypted.
    NotEncrypted,
    /// The content of an encrypted token is compressed (`zip`), which is never undone: a short token
    /// could grow without limit.
    Compressed,
    /// An encrypted token does not hold a signed one, or its header does not say so (`cty`).
    NotNested,
    /// The token could not be decrypted, for whatever reason.
    Decryption,
    /// The header of an encrypted token repeats `iss`, `sub` or `aud` with another value.
    HeaderClaim,
    /// The claims are no JSON object, or are JSON that two readers may read differently.
    ClaimsMalformed,
    /// The claims are the JSON value `null`.
    ClaimsNull,
    /// `crit` names an extension; none is implemented (RFC 7515 section 4.1.11).
    Critical,
    /// `alg` is absent, not a text, or not an algorithm that is known for such a token; or `enc` is.
    AlgorithmUnknown,
    /// `alg` is a known algorithm (or `none`) that is not allowed here; or `enc` is.
    AlgorithmNotAllowed,
    /// No configured key fits `kid` and `alg`.
    KeyUnknown,
    /// No key could be had from any source yet.
    KeysUnavailable,
    /// The signature is not one of the key.
    Signature,
    /// `exp` is not in the future.
    Expired,
    /// `iat` is in the future.
    IssuedInFuture,
    /// `nbf` is in the future.
    NotYetValid,
    /// A claim that the owner requires is absent.
    RequiredClaimMissing {
        /// Its path.
        claim: Box<str>,
    },
    /// `typ` is absent, or not one that is allowed.
    TypeNotAllowed {
        /// What it is, if it is a text.
        typ: Option<Box<str>>,
    },
    /// `iat` is longer ago than allowed.
    TooOld,
    /// `exp` and `iat` are further apart than allowed.
    LivesTooLong,
    /// `iss` is absent.
    IssuerMissing,
    /// `iss` is not a text.
    IssuerNotText,
    /// `iss` is not in the list.
    IssuerNotAllowed {
        /// What it is.
        issuer: Box<str>,
    },
    /// `aud` is absent.
    AudienceMissing,
    /// `aud` is neither a text nor a list.
    AudienceMalformed,
    /// `aud` and the list have no value in common.
    AudienceNotAllowed {
        /// Its texts.
        audiences: Box<[Box<str>]>,
    },
    /// Neither `azp` nor `client_id` is there.
    PartyMissing,
    /// The party that the token was issued to is not in the list.
    PartyNotAllowed {
        /// What it is, as JSON.
        party: Box<str>,
    },
    /// `jti` is absent.
    JtiMissing,
    /// `allowedSubjects` is set, and the token names nobody.
    SubjectMissing(SubjectError),
    /// The subject is not in the list.
    SubjectNotAllowed {
        /// What it is.
        subject: Box<str>,
    },
    /// A rule: the claim is absent.
    ClaimMissing {
        /// Its path.
        claim: Box<str>,
    },
    /// A rule: the claim is there and must not be.
    ClaimPresent {
        /// Its path.
        claim: Box<str>,
    },
    /// A rule: the claim is `null`.
    ClaimNull {
        /// Its path.
        claim: Box<str>,
    },
    /// A rule: the claim contains no allowed value.
    ClaimNotContaining {
        /// Its path.
        claim: Box<str>,
    },
    /// A rule: the claim is not what is allowed.
    ClaimNotMatching {
        /// Its path.
        claim: Box<str>,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => f.write_str("the token is larger than allowed"),
            Self::Malformed => f.write_str("the token is not a compact JWS"),
            Self::NotEncrypted => f.write_str("the token is not encrypted"),
            Self::Compressed => f.write_str("the header names a compression"),
            Self::NotNested => f.write_str("the encrypted token does not hold a signed one"),
            Self::Decryption => f.write_str("the token cannot be decrypted"),
            Self::HeaderClaim => f.write_str("the header repeats a claim with another value"),
            Self::ClaimsMalformed => f.write_str("the claims are not one unambiguous JSON object"),
            Self::ClaimsNull => f.write_str("the claims are null"),
            Self::Critical => f.write_str("the header names a critical extension"),
            Self::AlgorithmUnknown => f.write_str("alg is not a signature algorithm"),
            Self::AlgorithmNotAllowed => f.write_str("alg is not allowed here"),
            Self::KeyUnknown => f.write_str("no configured key fits kid and alg"),
            Self::KeysUnavailable => f.write_str("no key could be had yet"),
            Self::Signature => f.write_str("the signature does not verify"),
            Self::Expired => f.write_str("the token has expired"),
            Self::IssuedInFuture => f.write_str("the token was issued in the future"),
            Self::NotYetValid => f.write_str("the token is not valid yet"),
            Self::RequiredClaimMissing { claim } => write!(f, "the required claim {claim} is absent"),
            Self::TypeNotAllowed { .. } => f.write_str("typ is not allowed"),
            Self::TooOld => f.write_str("the token was issued too long ago"),
            Self::LivesTooLong => f.write_str("the token lives longer than allowed"),
            Self::IssuerMissing => f.write_str("iss is absent"),
            Self::IssuerNotText => f.write_str("iss is not a text"),
            Self::IssuerNotAllowed { .. } => f.write_str("iss is not allowed"),
            Self::AudienceMissing => f.write_str("aud is absent"),
            Self::AudienceMalformed => f.write_str("aud is neither a text nor a list"),
            Self::AudienceNotAllowed { .. } => f.write_str("no audience is allowed"),
            Self::PartyMissing => f.write_str("neither azp nor client_id is there"),
            Self::PartyNotAllowed { .. } => f.write_str("the authorized party is not allowed"),
            Self::JtiMissing => f.write_str("jti is absent"),
            Self::SubjectMissing(reason) => reason.fmt(f),
            Self::SubjectNotAllowed { .. } => f.write_str("the subject is not allowed"),
            Self::ClaimMissing { claim } => write!(f, "the claim {claim} is absent"),
            Self::ClaimPresent { claim } => write!(f, "the claim {claim} is present"),
            Self::ClaimNull { claim } => write!(f, "the claim {claim} is null"),
            Self::ClaimNotContaining { claim } => write!(f, "the claim {claim} contains no allowed value"),
            Self::ClaimNotMatching { claim } => write!(f, "the claim {claim} is not as a rule says"),
        }
    }
}

impl std::error::Error for Error {}
