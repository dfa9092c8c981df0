//! Tokens that name the stored key whose secret verifies them, instead of a key source.

use std::sync::Arc;

use crate::{
    api_keys::{ApiKeys, StoredKey, Unfound},
    jwt::{AlgorithmSet, Ambiguity, Claims, Error, Kid, SubjectClaims, Token, Window},
    policy::PolicySet,
    refusal::Refusal,
    session::Session,
};

/// The stored keys of an organisation, each of which may have a secret for tokens.
#[derive(Debug)]
pub struct StoredSecrets {
    keys: Arc<ApiKeys>,
    org_id: Box<str>,
    policies: Arc<PolicySet>,
    /// Whether a `kid` names the key, before the claims that name the caller do.
    by_kid: bool,
}

impl StoredSecrets {
    /// The secrets of `keys` of an organisation. Tokens name a key by `kid`, if `by_kid`, else by the
    /// claims that name the caller; the rights of the key, with `policies`, are those of the token.
    #[must_use]
    pub fn new(keys: Arc<ApiKeys>, org_id: &str, policies: Arc<PolicySet>, by_kid: bool) -> Self {
        Self { keys, org_id: org_id.into(), policies, by_kid }
    }

    /// Changes with every key that is changed or taken away.
    pub(super) fn generation(&self) -> u64 {
        self.keys.generation()
    }

    /// Who has the key that a token names. What it says is not verified yet, and can do no harm: the
    /// secret of this very key must verify it.
    pub(super) fn named_by(
        &self,
        token: &Token<'_>,
        subject_claims: &SubjectClaims,
    ) -> Result<SecretHolder<'_>, Error> {
        let found = match token.kid() {
            Kid::Text(kid) if self.by_kid => self.keys.find(&self.org_id, kid),
            Kid::NotText if self.by_kid => Err(Unfound::Unknown),
            _ => {
                let claims = token.unverified_claims()?;
                let name = subject_claims.resolve_in(&claims).map_err(|_| Error::KeyUnknown)?;
                self.keys.find(&self.org_id, name)
            }
        };
        let key = found.map_err(|unfound| match unfound {
            Unfound::Unknown => Error::KeyUnknown,
            Unfound::Unavailable => Error::KeysUnavailable,
        })?;
        Ok(SecretHolder { key, policies: &self.policies })
    }
}

/// A stored key that a token names.
pub(super) struct SecretHolder<'s> {
    key: Arc<StoredKey>,
    policies: &'s Arc<PolicySet>,
}

impl SecretHolder<'_> {
    /// The claims of a token that the secret verifies. A key without a secret verifies nothing, and
    /// neither does one whose secret is too short for the algorithm, or none at all.
    pub(super) fn verify(&self, token: &Token<'_>, allowed: AlgorithmSet) -> Result<Claims, Error> {
        let keys = self.key.token_keys(allowed).ok_or(Error::KeyUnknown)?;
        // The `kid` of the token named the stored key, not one of a set that its secret may be.
        let key = keys.find(Kid::Absent, token.algorithm()?, allowed, Ambiguity::Refuse);
        token.verify(key.map_err(|_| Error::KeyUnknown)?)
    }

    /// The session of the key, if it is accepted at this second.
    pub(super) fn session(&self, now: i64) -> Result<Session, Refusal> {
        self.key.check(now)?;
        self.key.session(self.policies)
    }

    /// The time in which it is accepted.
    pub(super) fn window(&self) -> Window {
        self.key.window()
    }
}
