//! What the verdicts of [`jwt`](crate::jwt) are called in answers.

use crate::{
    jwt::{Error, SubjectError},
    refusal::{Reason, Refusal},
};

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let reason = match error {
            Error::TooLarge => Reason::TokenTooLarge,
            Error::Malformed => Reason::TokenMalformed,
            Error::NotEncrypted => Reason::TokenNotEncrypted,
            Error::Compressed => Reason::TokenCompressed,
            Error::NotNested => Reason::TokenNotNested,
            Error::Decryption => Reason::DecryptionFailed,
            Error::HeaderClaim => Reason::HeaderClaimDiffers,
            Error::ClaimsMalformed => Reason::ClaimsMalformed,
            Error::ClaimsNull => Reason::ClaimsNull,
            Error::Critical => Reason::TokenCritical,
            Error::AlgorithmUnknown => Reason::AlgorithmUnknown,
            Error::AlgorithmNotAllowed => Reason::AlgorithmNotAllowed,
            Error::KeyUnknown => Reason::KeyUnknown,
            Error::KeysUnavailable => Reason::KeysUnavailable,
            Error::Signature => Reason::SignatureInvalid,
            Error::Expired => Reason::TokenExpired,
            Error::IssuedInFuture => Reason::TokenIssuedInFuture,
            Error::NotYetValid => Reason::TokenNotYetValid,
            Error::TooOld => Reason::TokenTooOld,
            Error::LivesTooLong => Reason::TokenLivesTooLong,
            Error::PartyMissing => Reason::PartyMissing,
            Error::IssuerMissing => Reason::IssuerMissing,
            Error::IssuerNotText => Reason::IssuerNotText,
            Error::AudienceMissing => Reason::AudienceMissing,
            Error::AudienceMalformed => Reason::AudienceMalformed,
            Error::JtiMissing => Reason::JtiMissing,
            Error::RequiredClaimMissing { claim } => {
                return Self::with_detail(Reason::RequiredClaimMissing, claim);
            }
            Error::TypeNotAllowed { typ } => {
                return Self::with_detail(Reason::TypeNotAllowed, typ.unwrap_or_default());
            }
            Error::PartyNotAllowed { party } => return Self::with_detail(Reason::PartyNotAllowed, party),
            Error::IssuerNotAllowed { issuer } => return Self::with_detail(Reason::IssuerNotAllowed, issuer),
            Error::AudienceNotAllowed { audiences } => {
                return Self::with_detail(Reason::AudienceNotAllowed, audiences.join(" "));
            }
            Error::SubjectMissing(SubjectError::Missing) => Reason::SubjectMissing,
            Error::SubjectMissing(SubjectError::Empty { claim }) => {
                return Self::with_detail(Reason::SubjectEmpty, claim);
            }
            Error::SubjectNotAllowed { subject } => {
                return Self::with_detail(Reason::SubjectNotAllowed, subject);
            }
            Error::ClaimMissing { claim } => return Self::with_detail(Reason::ClaimMissing, claim),
            Error::ClaimPresent { claim } => return Self::with_detail(Reason::ClaimPresent, claim),
            Error::ClaimNull { claim } => return Self::with_detail(Reason::ClaimNull, claim),
            Error::ClaimNotContaining { claim } => {
                return Self::with_detail(Reason::ClaimNotContaining, claim);
            }
            Error::ClaimNotMatching { claim } => return Self::with_detail(Reason::ClaimNotMatching, claim),
        };
        reason.into()
    }
}

/// A token without a subject, where a session needs one.
pub(super) fn without_identity(error: SubjectError) -> Refusal {
    match error {
        SubjectError::Missing => Reason::IdentityMissing.into(),
        SubjectError::Empty { claim } => Refusal::with_detail(Reason::IdentityEmpty, claim),
    }
}
