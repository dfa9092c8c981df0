//! The check of one API key scheme.

use std::sync::Arc;

use http::HeaderMap;

use super::place::{Credential, Places};
use crate::{
    api_keys::ApiKeys,
    policy::PolicySet,
    refusal::{Reason, Refusal},
    session::Session,
};

/// Decides whose API key a request has.
#[derive(Debug)]
pub struct KeyAuthenticator {
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
        Self { places, keys, org_id: org_id.into(), policies }
    }

    /// Where keys are looked for.
    #[must_use]
    pub const fn places(&self) -> &Places {
        &self.places
    }

    /// The session of the caller of a request with these headers and this query, at this second.
    ///
    /// # Errors
    /// The [`Refusal`] of a request without a good key, or one that is granted nothing.
    pub fn authenticate_at(
        &self,
        now: i64,
        headers: &HeaderMap,
        query: Option<&str>,
    ) -> Result<Session, Refusal> {
        let presented = match self.places.locate(headers, query) {
            Credential::Token(presented) => presented,
            Credential::Nothing => return Err(Reason::ApiKeyMissing.into()),
            Credential::Unreadable => return Err(Reason::ApiKeyUnknown.into()),
            Credential::Several => return Err(Reason::ApiKeyAmbiguous.into()),
        };
        // A key with a secret stands in every token that names it: knowing it proves nothing.
        let key = self.keys.find(&self.org_id, &presented).filter(|key| key.secret().is_none());
        let key = key.ok_or(Reason::ApiKeyUnknown)?;
        key.check(now)?;
        key.session(&self.policies)
    }
}
