//! What an API demands of its callers.

use std::{sync::Arc, time::SystemTime};

use http::HeaderMap;

use super::{
    Authenticator, Credential, KeyAuthenticator, Place, Places, Requirement, Security,
    authenticator::seconds, explained,
};
use crate::{
    explain::{Observer, Unobserved},
    jwks::Source,
    refusal::{Profile, Reason, Refusal, Space, api_key_challenge},
    session::Session,
};

/// Decides who a request is from: one of several requirements must be met, and of a requirement every
/// scheme.
///
/// Requirements are tried in order, and the first that is met decides. What comes after is not looked
/// at: another credential can neither add to a session nor take it away.
#[derive(Debug)]
pub struct Authentication {
    security: Security<Arc<Method>>,
    /// Where the credentials of all schemes are.
    places: Vec<Places>,
    /// Whether a bearer token is asked for.
    asks_for_tokens: bool,
    /// The challenges that ask for API keys.
    api_key_challenges: Vec<Box<str>>,
    profile: Profile,
    realm: Box<str>,
    /// The API that each credential must be good for, also where another one gives the session.
    for_api: Option<Arc<str>>,
}

/// The check of one security scheme.
#[derive(Debug)]
pub enum Method {
    /// A JSON Web Token.
    Jwt(Box<Authenticator>),
    /// A stored key.
    ApiKey(KeyAuthenticator),
}

impl Method {
    async fn authenticate(
        &self,
        Presented { time, headers, query }: Presented<'_>,
        observer: impl Observer,
    ) -> Result<Session, Refusal> {
        match self {
            Self::Jwt(authenticator) => authenticator.decide(time, headers, query, observer).await,
            Self::ApiKey(authenticator) => authenticator.decide(seconds(time), headers, query, observer),
        }
    }

    /// What its scheme is called.
    const fn name(&self) -> &str {
        match self {
            Self::Jwt(authenticator) => authenticator.name(),
            Self::ApiKey(authenticator) => authenticator.name(),
        }
    }

    /// Where its credential is looked for.
    const fn places(&self) -> &Places {
        match self {
            Self::Jwt(authenticator) => authenticator.places(),
            Self::ApiKey(authenticator) => authenticator.places(),
        }
    }

    /// The challenges that ask for its API key, one for each place.
    fn api_key_challenges(&self, realm: &str) -> Vec<Box<str>> {
        let Self::ApiKey(authenticator) = self else { return Vec::new() };
        let challenge = |place: &Place| match place {
            Place::Header(name) => api_key_challenge(realm, "header", name.as_str()),
            Place::Query(name) => api_key_challenge(realm, "query", name),
            Place::Cookie(name) => api_key_challenge(realm, "cookie", name),
        };
        authenticator.places().as_slice().iter().map(challenge).collect()
    }

    /// Where the keys that it verifies with come from.
    fn sources(&self) -> impl Iterator<Item = &Arc<Source>> {
        let of_tokens = match self {
            Self::Jwt(authenticator) => Some(authenticator.sources()),
            Self::ApiKey(_) => None,
        };
        of_tokens.into_iter().flatten()
    }
}

/// One scheme alone.
impl From<Authenticator> for Authentication {
    fn from(authenticator: Authenticator) -> Self {
        let (profile, realm) = (authenticator.profile(), authenticator.realm().to_owned());
        Self::new(Security::from(Arc::new(Method::Jwt(Box::new(authenticator)))), profile, &realm)
    }
}

impl Authentication {
    /// Demands `security`; answers in the words of `profile` and names the protection space `realm`.
    #[must_use]
    pub fn new(security: Security<Arc<Method>>, profile: Profile, realm: &str) -> Self {
        let methods = security.distinct_schemes();
        let places = methods.iter().map(|method| method.places().clone()).collect();
        let asks_for_tokens = methods.iter().any(|method| matches!(***method, Method::Jwt(_)));
        let challenges = methods.iter().flat_map(|method| method.api_key_challenges(realm));
        let api_key_challenges = challenges.collect();
        let (realm, for_api) = (realm.into(), None);
        Self { security, places, asks_for_tokens, api_key_challenges, profile, realm, for_api }
    }

    /// Of several credentials that a requirement asks for, those that do not give the session must be granted
    /// something on this API as well; without this they must be good, and no more. What the one may do that
    /// gives the session is asked of the [`Session`].
    #[must_use]
    pub fn each_good_for(self, api: &Arc<str>) -> Self {
        Self { for_api: Some(Arc::clone(api)), ..self }
    }

    /// Strips what is in these places as well: credentials of schemes that are not demanded.
    #[must_use]
    pub fn also_strip(mut self, places: Places) -> Self {
        self.places.push(places);
        self
    }

    /// Where keys come from; a source may come more than once.
    pub fn sources(&self) -> impl Iterator<Item = &Arc<Source>> {
        self.security.distinct_schemes().into_iter().flat_map(|method| method.sources())
    }

    /// In whose words requests are refused.
    #[must_use]
    pub const fn profile(&self) -> Profile {
        self.profile
    }

    /// What challenges tell of, with the URL of the API's metadata if it has any.
    #[must_use]
    pub fn space<'s>(&'s self, metadata: Option<&'s str>) -> Space<'s> {
        Space {
            realm: &self.realm,
            metadata,
            bearer: self.asks_for_tokens,
            api_keys: &self.api_key_challenges,
        }
    }

    /// The session of the caller of a request with these headers and this query.
    ///
    /// # Errors
    /// The [`Refusal`] of a request that meets no requirement, or whose caller is granted nothing. Of
    /// those of several requirements it is in profile `tyk` the last, and in profile `rfc` that of the
    /// credential that came furthest.
    pub async fn authenticate(&self, headers: &HeaderMap, query: Option<&str>) -> Result<Session, Refusal> {
        self.decide(headers, query, Unobserved).await
    }

    /// The same, before an observer.
    pub(crate) async fn decide(
        &self,
        headers: &HeaderMap,
        query: Option<&str>,
        observer: impl Observer,
    ) -> Result<Session, Refusal> {
        let presented = Presented { time: observer.now(), headers, query };
        let first = self.meet((1, &self.security.first), presented, observer).await;
        self.note(1, &first, observer);
        let mut refused = match first {
            Ok(session) => return Ok(session),
            Err(refusal) => refusal,
        };
        for (n, requirement) in (2..).zip(&self.security.others) {
            let met = self.meet((n, requirement), presented, observer).await;
            self.note(n, &met, observer);
            match met {
                Ok(session) => return Ok(session),
                Err(later) if self.profile == Profile::Tyk || progress(&later) > progress(&refused) => {
                    observer.settle(n);
                    refused = later;
                }
                Err(_) => {}
            }
        }
        Err(refused)
    }

    async fn meet(
        &self,
        (place, requirement): (usize, &Requirement<Arc<Method>>),
        presented: Presented<'_>,
        observer: impl Observer,
    ) -> Result<Session, Refusal> {
        let mut warnings = Vec::new();
        for method in &requirement.before {
            observer.enter(place, method.name());
            warnings.extend_from_slice(self.pass(method, presented, observer).await?.warnings());
        }
        observer.enter(place, requirement.session.name());
        let session = requirement.session.authenticate(presented, observer).await?;
        for method in &requirement.after {
            observer.enter(place, method.name());
            warnings.extend_from_slice(self.pass(method, presented, observer).await?.warnings());
        }
        Ok(session.with_warnings(&warnings))
    }

    /// Asks for a credential that does not give the session.
    async fn pass(
        &self,
        method: &Method,
        presented: Presented<'_>,
        observer: impl Observer,
    ) -> Result<Session, Refusal> {
        let session = method.authenticate(presented, observer).await?;
        if let Some(api) = &self.for_api {
            observer.note(|| explained::api_right(api, &session));
            session.rights().on(api)?;
        }
        Ok(session)
    }

    /// Tells what came of the requirement at this place, where there are others, and which are not
    /// looked at any more.
    fn note<O: Observer>(&self, place: usize, met: &Result<Session, Refusal>, observer: O) {
        if O::WATCHES && !self.security.others.is_empty() {
            for (n, requirement) in (1..).zip(self.security.requirements()).skip(place.saturating_sub(1)) {
                let names: Vec<&str> = requirement.schemes().map(|method| method.name()).collect();
                observer.enter(n, &names.join(" and "));
                if n == place {
                    observer.note(|| explained::requirement(met));
                } else if met.is_ok() {
                    observer.note(explained::not_needed);
                }
            }
        }
        observer.leave();
    }

    /// Whether a request carries anything where one of the schemes looks, be it good or not: whoever
    /// shows something does not come in as nobody.
    #[must_use]
    pub fn has_credential(&self, headers: &HeaderMap, query: Option<&str>) -> bool {
        let carries = |method: &Arc<Method>| method.places().has_anything(headers, query);
        self.security.distinct_schemes().into_iter().any(carries)
    }

    /// Puts a token where the JWT schemes look for one, each place once; gives the query with it, if that is
    /// such a place.
    pub(crate) fn put(&self, token: &str, headers: &mut HeaderMap, query: Option<&str>) -> Option<String> {
        let mut changed: Option<String> = None;
        for method in self.security.distinct_schemes() {
            let query = changed.as_deref().or(query);
            if matches!(**method, Method::Jwt(_))
                && method.places().locate(headers, query) == Credential::Nothing
            {
                let with_token = method.places().put(token, headers, query);
                changed = with_token.or(changed);
            }
        }
        changed
    }

    /// Takes the credentials of all schemes out of the headers.
    pub fn strip_headers(&self, headers: &mut HeaderMap) {
        for places in &self.places {
            places.strip_headers(headers);
        }
    }

    /// The query without the credentials of any scheme; nothing if it has none.
    #[must_use]
    pub fn strip_query(&self, query: &str) -> Option<String> {
        let mut stripped = None;
        for places in &self.places {
            let rest = places.strip_query(stripped.as_deref().unwrap_or(query));
            stripped = rest.or(stripped);
        }
        stripped
    }
}

/// What a request shows, and when.
#[derive(Clone, Copy)]
struct Presented<'r> {
    time: SystemTime,
    headers: &'r HeaderMap,
    query: Option<&'r str>,
}

/// How far a credential came before it was refused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Progress {
    /// There is none.
    Absent,
    /// It is not one of this scheme.
    Unverified,
    /// It may be one of this scheme: nobody can tell at the moment.
    Undecided,
    /// It is one of this scheme, and not good for this.
    Verified,
}

fn progress(refusal: &Refusal) -> Progress {
    match refusal.reason() {
        Reason::TokenMissing | Reason::ApiKeyMissing => Progress::Absent,
        Reason::KeysUnavailable | Reason::ApiKeysUnavailable => Progress::Undecided,
        Reason::TokenAmbiguous | Reason::ApiKeyAmbiguous | Reason::ApiKeyUnknown => Progress::Unverified,
        reason if reason.needs_no_signature() => Progress::Unverified,
        _ => Progress::Verified,
    }
}
