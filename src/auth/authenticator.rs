//! The check of one JWT scheme.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use http::HeaderMap;
use tracing::warn;

use super::{
    StoredSecrets,
    cache::VerifiedTokens,
    explained,
    known::KnownCallers,
    place::{Credential, Places},
    refused::without_identity,
    stored_secrets::SecretHolder,
};
use crate::{
    api_keys::{ApiKeys, StoredKey, Unfound},
    explain::{Observer, Unobserved},
    jwks::{Found, KeySources, Missing, Parties, Source},
    jwt::{
        Algorithm, Ambiguity, Claims, Error, Evidence, Key, Outcome, Reading, Rules, Token, TokenType,
        Window, json::Value, jwe::Decryption,
    },
    policy::{Client, Grant, PolicySet, Selection},
    refusal::{Profile, Reason, Refusal},
    session::{Identity, ScopeCheck, Session},
};

/// Decides who the token of a request is from.
#[derive(Debug)]
pub struct Authenticator {
    /// Tells verdicts of different authenticators apart; never used twice.
    id: u64,
    /// What its scheme is called, where somebody asks why.
    name: Box<str>,
    places: Places,
    /// Nothing, if tokens are only signed.
    decryption: Option<Arc<Decryption>>,
    rules: Rules,
    keys: Keys,
    grants: Option<Grants>,
    /// Where the words of a refusal depend on it.
    known: Option<KnownCallers>,
    profile: Profile,
    realm: Box<str>,
    keeps_payloads: bool,
    scope_check: Option<Arc<ScopeCheck>>,
    verified: Arc<VerifiedTokens>,
}

/// What verifies tokens.
#[derive(Debug)]
pub enum Keys {
    /// The keys of these sources.
    Sources(KeySources),
    /// The secret of the stored key that a token names, whose rights the token has then.
    Stored(StoredSecrets),
}

impl From<KeySources> for Keys {
    fn from(sources: KeySources) -> Self {
        Self::Sources(sources)
    }
}

/// What a verdict rests on, beside the token and the time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Basis {
    /// The key of a source.
    found: Option<Found>,
    /// A state of the stored keys.
    stored: Option<u64>,
}

/// Where the rights of callers come from.
#[derive(Clone, Debug)]
pub struct Grants {
    /// How policies are chosen.
    pub selection: Arc<Selection>,
    /// The policies there are.
    pub policies: Arc<PolicySet>,
    /// The stored keys, where the selection looks at them.
    pub clients: Option<Arc<ApiKeys>>,
}

impl Grants {
    /// What a token is granted, and the time for which that holds; else why it is granted nothing, in the
    /// words that `worded` finds for it.
    fn grant(
        &self,
        claims: &Claims,
        now: i64,
        profile: Profile,
        worded: impl FnOnce(Refusal) -> Refusal,
        observer: impl Observer,
    ) -> Result<(Arc<Grant>, Window), Refusal> {
        let named = self.selection.client(claims);
        let key = named.map(|named| self.key_of(named)).transpose();
        let window = key.as_ref().ok().and_then(|key| key.as_ref()?.as_ref());
        let window = window.map_or(Window::ALWAYS, |key| key.window());
        let client = key.as_ref().map_err(|reason| *reason);
        let client = client.and_then(|key| client_of(key.as_ref().map(Option::as_deref), now, profile));
        let granted = client.map_err(Refusal::from);
        let granted = granted.and_then(|client| self.selection.grant_to(claims, client, &self.policies));
        let granted = granted.map_err(worded);
        let choices = || client.map(|client| self.selection.choices(claims, client)).unwrap_or_default();
        observer.note(|| explained::policies(&choices(), &granted));
        Ok((granted?, window))
    }

    /// The stored key that a claim names, if there is one; it is not known while the stored keys are not.
    fn key_of(&self, named: &Value) -> Result<Option<Arc<StoredKey>>, Reason> {
        let (Some(keys), Some(name)) = (&self.clients, named.as_str()) else { return Ok(None) };
        match keys.find(&self.selection.org_id, name) {
            Ok(key) => Ok(Some(key)),
            Err(Unfound::Unknown) => Ok(None),
            Err(Unfound::Unavailable) => Err(Reason::ApiKeysUnavailable),
        }
    }
}

/// The client that a token names, by the stored key of this name, if there is one. A key that is switched
/// off must not give its client the defaults, which may be wider; and neither must one that was deleted,
/// but in Tyk it does.
fn client_of(named: Option<Option<&StoredKey>>, now: i64, profile: Profile) -> Result<Client<'_>, Reason> {
    let Some(key) = named else { return Ok(Client::Unnamed) };
    if let Some(key) = key {
        key.check(now)?;
    }
    Ok(match (key.and_then(|key| key.policies().first()), profile) {
        (Some(id), _) => Client::With(id),
        (None, Profile::Rfc) => Client::WithoutPolicy,
        (None, Profile::Tyk) => Client::Unnamed,
    })
}

impl Authenticator {
    /// Looks for tokens in `places`, checks them by `rules` with `keys`, and derives sessions with
    /// the rights that `grants` gives; without it a session has no policies. Verdicts are kept in `verified`,
    /// which authenticators share.
    #[must_use]
    pub fn new(
        places: Places,
        rules: Rules,
        keys: impl Into<Keys>,
        grants: Option<Grants>,
        profile: Profile,
        realm: &str,
        verified: Arc<VerifiedTokens>,
    ) -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        let known = profile == Profile::Tyk && grants.as_ref().is_some_and(|g| g.selection.needs_scopes());
        Self {
            known: known.then(KnownCallers::default),
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            name: "jwt".into(),
            places,
            decryption: None,
            rules,
            keys: keys.into(),
            grants,
            profile,
            realm: realm.into(),
            keeps_payloads: false,
            scope_check: None,
            verified,
        }
    }

    /// Takes encrypted tokens; with nothing they are malformed.
    #[must_use]
    pub fn with_decryption(self, decryption: Option<Arc<Decryption>>) -> Self {
        Self { decryption, ..self }
    }

    /// Its scheme is called so, where somebody asks why.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self { name: name.into(), ..self }
    }

    /// Sessions have the payload of their token as well.
    #[must_use]
    pub const fn keeping_payloads(mut self) -> Self {
        self.keeps_payloads = true;
        self
    }

    /// Sessions check the scopes of their token like this.
    #[must_use]
    pub fn checking_scopes(self, check: ScopeCheck) -> Self {
        Self { scope_check: Some(Arc::new(check)), ..self }
    }

    /// What its scheme is called.
    #[must_use]
    pub const fn name(&self) -> &str {
        &self.name
    }

    /// Where tokens are looked for.
    #[must_use]
    pub const fn places(&self) -> &Places {
        &self.places
    }

    /// Where keys come from, if not from what is stored.
    pub fn sources(&self) -> impl Iterator<Item = &Arc<Source>> {
        let sources = match &self.keys {
            Keys::Sources(sources) => Some(sources.iter()),
            Keys::Stored(_) => None,
        };
        sources.into_iter().flatten()
    }

    /// In whose words requests are refused.
    #[must_use]
    pub const fn profile(&self) -> Profile {
        self.profile
    }

    /// The protection space that challenges name.
    #[must_use]
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// The session of the caller of a request with these headers and this query.
    ///
    /// # Errors
    /// The [`Refusal`] of a request without a good token, or one that is granted nothing.
    pub async fn authenticate(&self, headers: &HeaderMap, query: Option<&str>) -> Result<Session, Refusal> {
        self.authenticate_at(SystemTime::now(), headers, query).await
    }

    /// The same, at this time.
    ///
    /// # Errors
    /// The [`Refusal`] of a request without a good token, or one that is granted nothing.
    pub async fn authenticate_at(
        &self,
        time: SystemTime,
        headers: &HeaderMap,
        query: Option<&str>,
    ) -> Result<Session, Refusal> {
        self.decide(time, headers, query, Unobserved).await
    }

    /// The same, before an observer.
    pub(super) async fn decide(
        &self,
        time: SystemTime,
        headers: &HeaderMap,
        query: Option<&str>,
        observer: impl Observer,
    ) -> Result<Session, Refusal> {
        let located = match self.places.locate(headers, query) {
            Credential::Token(token) => Ok(token),
            Credential::Nothing => Err(Reason::TokenMissing),
            Credential::Unreadable => Err(Reason::TokenMalformed),
            Credential::Several => Err(Reason::TokenAmbiguous),
        };
        observer.note(|| explained::token(&self.places, &located.as_deref().map_err(|reason| *reason)));
        let token = located?;
        let now = seconds(time);
        match self.recall(&token, now, observer) {
            Some(session) => Ok(session),
            None => self.verify(&token, now, observer).await,
        }
    }

    /// The session of a token that was found good before, if it still is.
    fn recall<O: Observer>(&self, token: &str, now: i64, _: O) -> Option<Session> {
        if O::WATCHES {
            return None;
        }
        let verdict = self.verified.get(self.id, token)?;
        if self.still(verdict.basis) && verdict.holds.contains(now) {
            return Some(verdict.session.clone());
        }
        self.verified.remove(self.id, token);
        None
    }

    fn still(&self, basis: Basis) -> bool {
        let found = match &self.keys {
            Keys::Sources(sources) => basis.found.is_some_and(|found| sources.still(found)),
            Keys::Stored(secrets) => basis.stored == Some(secrets.generation()),
        };
        found && self.clients().is_none_or(|clients| basis.stored == Some(clients.generation()))
    }

    /// The stored keys that give tokens their policies, if any do.
    fn clients(&self) -> Option<&Arc<ApiKeys>> {
        self.grants.as_ref()?.clients.as_ref()
    }

    async fn verify<O: Observer>(&self, text: &str, now: i64, observer: O) -> Result<Session, Refusal> {
        let signed = match &self.decryption {
            Some(decryption) => {
                let opened = decryption.open(text, self.rules.max_bytes);
                observer.note(|| explained::decryption(text, &opened));
                opened?
            }
            None => text.into(),
        };
        let parsed = Token::parse(&signed, self.rules.max_bytes);
        observer.note(|| explained::header(&self.rules, &parsed));
        let token = parsed?;
        let algorithm = self.algorithm(&token);
        observer.note(|| explained::algorithm(&self.rules, &token, &algorithm));
        if algorithm.is_err() {
            observer.note(|| explained::unverified(&token));
        }
        let (basis, claims, holder) = self.verified(&token, algorithm?, observer).await?;
        let (warnings, holds) =
            self.check(Evidence { header: token.header(), claims: &claims, now }, observer)?;
        let (session, ends) = match holder {
            None => self.session(&token, claims, now, observer)?,
            Some(holder) => {
                let (header, payload) = (token.header().clone(), self.payload(&token));
                let session = holder.session(now);
                observer.note(|| explained::owner(&session));
                let scope_check = self.scope_check.clone();
                (session?.with_token(header, claims, payload, scope_check), holder.window())
            }
        };
        let session = session.with_warnings(&warnings);
        if !O::WATCHES {
            self.verified.insert(self.id, text, session.clone(), basis, holds.and(ends));
        }
        Ok(session)
    }

    /// The algorithm of a token, if it is allowed.
    fn algorithm(&self, token: &Token<'_>) -> Result<Algorithm, Error> {
        let algorithm = token.algorithm()?;
        if self.rules.algorithms.contains(algorithm) {
            Ok(algorithm)
        } else {
            Err(Error::AlgorithmNotAllowed)
        }
    }

    /// Makes the checks; gives the names of those that only warned, and the time for which all that holds.
    fn check<O: Observer>(
        &self,
        evidence: Evidence<'_>,
        observer: O,
    ) -> Result<(Vec<Arc<str>>, Window), Error> {
        if O::WATCHES {
            // Also those behind the one that refuses.
            self.rules.walk(evidence).for_each(|checked| observer.note(|| explained::check(&checked)));
        }
        let mut warnings = Vec::new();
        let holds = self.rules.check(evidence, |checked| {
            if let Outcome::Warned(error) = checked.outcome() {
                let name = checked.check().name();
                if !O::WATCHES {
                    warn!(realm = %self.realm, check = &**name, "a check that only warns failed: {error}");
                }
                warnings.push(Arc::clone(name));
            }
        })?;
        Ok((warnings, holds))
    }

    /// The claims of a token with a good signature, what that rests on, and whose secret made it, if the
    /// token names a stored key.
    async fn verified(
        &self,
        token: &Token<'_>,
        algorithm: Algorithm,
        observer: impl Observer,
    ) -> Result<(Basis, Claims, Option<SecretHolder<'_>>), Refusal> {
        // Generations are read before the keys: if they change in between, the verdict is stale at once.
        let (basis, claims, holder) = match &self.keys {
            Keys::Sources(sources) => {
                let stored = self.clients().map(|clients| clients.generation());
                let (found, claims) = self.claims(sources, token, algorithm, observer).await?;
                (Basis { found: Some(found), stored }, claims, None)
            }
            Keys::Stored(secrets) => {
                let basis = Basis { found: None, stored: Some(secrets.generation()) };
                let holder = secrets.named_by(token, &self.rules.subject_claims);
                observer.note(|| explained::stored_secret(&holder));
                if holder.is_err() {
                    observer.note(|| explained::unverified(token));
                }
                let holder = holder?;
                (basis, holder.verify(token, self.rules.algorithms), Some(holder))
            }
        };
        observer.note(|| explained::signature(algorithm, &claims));
        observer.note(|| explained::claims(token, &claims));
        Ok((basis, claims?, holder))
    }

    /// The key that fits a token, and what it makes of it. A key that no source knows is asked for once.
    async fn claims(
        &self,
        sources: &KeySources,
        token: &Token<'_>,
        algorithm: Algorithm,
        observer: impl Observer,
    ) -> Result<(Found, Result<Claims, Error>), Refusal> {
        let parties = if sources.are_bound() { parties(token) } else { Ok(Parties::default()) };
        if let Err(error) = &parties {
            observer.note(|| explained::no_parties(error));
            observer.note(|| explained::unverified(token));
        }
        let parties = parties?;
        let mut result = self.claims_with_known_keys(sources, token, algorithm, &parties);
        if matches!(result, Err(Missing::Unknown | Missing::Unavailable))
            && sources.refetch(&parties, algorithm).await
        {
            result = self.claims_with_known_keys(sources, token, algorithm, &parties);
        }
        let found = result.as_ref().map(|(found, _)| *found).map_err(|missing| *missing);
        observer.note(|| explained::key(sources, token, algorithm, found));
        if found.is_err() {
            observer.note(|| explained::unverified(token));
        }
        result.map_err(|missing| match missing {
            Missing::Unavailable => {
                let wait = sources.until_next_try(&parties, algorithm);
                Refusal::from(Error::KeysUnavailable).retry_after(wait)
            }
            Missing::Unknown | Missing::Unfit => Error::KeyUnknown.into(),
        })
    }

    fn claims_with_known_keys(
        &self,
        sources: &KeySources,
        token: &Token<'_>,
        algorithm: Algorithm,
        parties: &Parties,
    ) -> Result<(Found, Result<Claims, Error>), Missing> {
        let ambiguity = match self.rules.reading {
            Reading::Strict => Ambiguity::Refuse,
            Reading::Tyk => Ambiguity::FirstKey,
        };
        let allowed = self.rules.algorithms;
        let verify = |key: &Key| token.verify(key);
        let (found, claims) =
            sources.with_key(parties, token.kid(), algorithm, allowed, ambiguity, verify)?;
        match (found.otherwise(), &claims) {
            (Some(missing), Err(Error::Signature)) => Err(missing),
            _ => Ok((found, claims)),
        }
    }

    /// The session of a token, and the time for which what it is granted holds.
    fn session<O: Observer>(
        &self,
        token: &Token<'_>,
        claims: Claims,
        now: i64,
        observer: O,
    ) -> Result<(Session, Window), Refusal> {
        let subject = self.rules.subject(&claims);
        observer.note(|| explained::subject(&subject));
        let subject = subject.map_err(without_identity)?.to_owned();
        let caller = Identity::Subject { issuer: claims.issuer(), subject: &subject };
        let (grant, holds) = match &self.grants {
            Some(grants) => grants.grant(
                &claims,
                now,
                self.profile,
                |refusal| self.to_a_known(&caller, refusal),
                observer,
            )?,
            None => (Arc::new(Grant::default()), Window::ALWAYS),
        };
        if let (Some(known), false) = (&self.known, O::WATCHES) {
            known.insert(&caller);
        }
        let (header, payload) = (token.header().clone(), self.payload(token));
        let session = Session::new(&subject, header, claims, grant, payload, self.scope_check.clone());
        Ok((session, holds))
    }

    fn payload<'t>(&self, token: &Token<'t>) -> Option<&'t str> {
        self.keeps_payloads.then(|| token.encoded_payload())
    }

    /// The refusal in the words for this caller.
    fn to_a_known(&self, caller: &Identity<'_>, refusal: Refusal) -> Refusal {
        let known = || self.known.as_ref().is_some_and(|known| known.contains(caller));
        if refusal.reason() == Reason::ScopeMissing && known() {
            return Reason::ScopeMissingAgain.into();
        }
        refusal
    }
}

/// A time in seconds since the epoch.
pub(super) fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// What a token says of itself: who it is from and for, and what it is.
fn parties(token: &Token<'_>) -> Result<Parties, Error> {
    let claims = token.unverified_claims()?;
    let text = |value: &Value| value.as_str().map(String::from);
    // What is no text could still become one on its way upstream.
    if claims.get("iss").is_some_and(|issuer| issuer.as_str().is_none()) {
        return Err(Error::KeyUnknown);
    }
    let audiences = match claims.get("aud") {
        Some(Value::Array(audiences)) => audiences.iter().filter_map(text).collect(),
        audience => audience.and_then(text).into_iter().collect(),
    };
    let token_type = token.header().get("typ").and_then(Value::as_str).map(TokenType::new);
    Ok(Parties { issuer: claims.get("iss").and_then(text), audiences, token_type })
}
