//! The check of one API key scheme.

use std::sync::Arc;

use http::HeaderMap;

use super::{
    explained,
    place::{Credential, Places},
};
use crate::{
    api_keys::{ApiKeys, Unfound},
    explain::Observer,
    policy::PolicySet,
    refusal::{Reason, Refusal},
    session::Session,
};

/// Decides whose API key a request has.
#[derive(Debug)]
pub struct KeyAuthenticator {
    /// What its scheme is called, where somebody asks why.
    name: Box<str>,
    places: Places,
    keys: Arc<ApiKeys>,
    /// The organisation of the API: keys of others are unknown to it.
    org_id: Box<str>,
    policies: Arc<PolicySet>,
}

impl KeyAuthenticator {
    /// Looks for keys of an organisation in `places`; what they may do is in `keys`, and in `policies`.
    #[must_use]
    pub fn new(places: Places, keys: Arc<ApiKeys>, org_id: &str, policies: Arc<PolicySet>) -> Self {
        Self { name: "apiKey".into(), places, keys, org_id: org_id.into(), policies }
    }

    /// Its scheme is called so, where somebody asks why.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self { name: name.into(), ..self }
    }

    /// What its scheme is called.
    #[must_use]
    pub const fn name(&self) -> &str {
        &self.name
    }

    /// Where keys are looked for.
    #[must_use]
    pub const fn places(&self) -> &Places {
        &self.places
    }

    /// The session of the caller of a request with these headers and this query, at this second, before an
    /// observer; else the [`Refusal`] of a request without a good key, or one that is granted nothing.
    pub(super) fn decide(
        &self,
        now: i64,
        headers: &HeaderMap,
        query: Option<&str>,
        observer: impl Observer,
    ) -> Result<Session, Refusal> {
        let located = match self.places.locate(headers, query) {
            Credential::Token(presented) => Ok(presented),
            Credential::Nothing => Err(Reason::ApiKeyMissing),
            Credential::Unreadable => Err(Reason::ApiKeyUnknown),
            Credential::Several => Err(Reason::ApiKeyAmbiguous),
        };
        observer.note(|| explained::api_key(&self.places, &located.as_deref().map_err(|reason| *reason)));
        let session = self.session(&located?, now);
        observer.note(|| explained::owner(&session));
        session
    }

    /// The session of whoever has this key.
    fn session(&self, presented: &str, now: i64) -> Result<Session, Refusal> {
        let key = self.keys.find(&self.org_id, presented).map_err(|unfound| match unfound {
            Unfound::Unknown => Reason::ApiKeyUnknown,
            Unfound::Unavailable => Reason::ApiKeysUnavailable,
        })?;
        // Knowing the id of a key that tokens name proves nothing.
        if key.is_for_tokens() {
            return Err(Reason::ApiKeyUnknown.into());
        }
        key.check(now)?;
        key.session(&self.policies)
    }
}
