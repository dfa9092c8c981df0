//! One API, compiled: everything about it that can be decided before a request comes.

use std::{borrow::Cow, collections::HashMap, iter, sync::Arc, time::Duration};

use http::HeaderName;

use super::expiry::Expiry;
use crate::{
    access::MissingScopes,
    api_keys::ApiKeys,
    auth::{
        Authentication, Authenticator, Grants, KeyAuthenticator, Keys, Method, Places, Security,
        StoredSecrets, VerifiedTokens,
    },
    definition::{Definition, JwtScheme, KeySource, SchemeKeys, SecurityScheme},
    jwks::{Endpoint, KeySources, Registry, Source},
    jwt::Reading,
    middleware::{Cors, HeaderRules, NeedsToken, Operation, Said},
    policy::PolicySet,
    refusal::{Overrides, Profile, Reason, Refusal},
    session::{ScopeCheck, Session},
};

/// The longest token in profile `tyk`, where only the head of a request bounds it.
const TYK_TOKEN_SIZE: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct Api {
    /// What is written, which needs no other document to be understood. Snapshots share it as long as it stays
    /// the same.
    pub(super) definition: Arc<Definition>,
    pub(super) expiry: Option<Expiry>,
    pub(super) authentication: Option<Authentication>,
    /// Whether Tyk would refuse every token, since to it nothing selects a policy.
    nothing_selects_in_tyk: bool,
    /// Whether a template reads the headers of the request.
    pub(super) reads_headers: bool,
    /// Fields that tell the upstream about the caller, on any operation: nobody else sets them, for a
    /// path could be one operation to us and another to the upstream.
    pub(super) about_caller: Vec<HeaderName>,
    pub(super) cors: Option<Cors>,
    /// What its errors look like, and those of its upstream.
    pub(super) overrides: Overrides,
}

/// What APIs are compiled with.
pub(super) struct Context<'c> {
    pub(super) profile: Profile,
    pub(super) registry: &'c Registry,
    pub(super) policies: &'c Arc<PolicySet>,
    pub(super) api_keys: &'c Arc<ApiKeys>,
    pub(super) verified: &'c Arc<VerifiedTokens>,
    /// What errors of all APIs look like.
    pub(super) overrides: &'c Overrides,
    /// How long key sets are used.
    pub(super) lives: &'c HashMap<Endpoint, Duration>,
}

impl Api {
    pub(super) fn new(definition: Arc<Definition>, context: &Context<'_>) -> Self {
        let of_operations = |rules: fn(&Operation) -> &HeaderRules| definition.operations.iter().map(rules);
        let request_rules =
            || iter::once(&definition.request_headers).chain(of_operations(|o| &o.request_headers));
        let response_rules =
            || iter::once(&definition.response_headers).chain(of_operations(|o| &o.response_headers));
        let reads_headers = request_rules().chain(response_rules()).any(HeaderRules::read_headers);
        let mut about_caller: Vec<_> = request_rules().flat_map(HeaderRules::about_caller).cloned().collect();
        about_caller.extend(definition.claim_headers.names().cloned());
        about_caller.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        about_caller.dedup();
        let unused = || Places::bare(definition.unused_places.clone(), context.profile);
        let security = definition.security.as_ref();
        Self {
            authentication: security
                .map(|security| authentication(security, &definition, context).also_strip(unused())),
            expiry: definition.expiration.map(|expiration| Expiry::new(expiration, context.profile)),
            nothing_selects_in_tyk: nothing_selects_in_tyk(&definition),
            reads_headers,
            about_caller,
            cors: definition.cors.as_ref().map(|policy| Cors::new(policy, context.profile)),
            overrides: definition.overrides.clone().followed_by(context.overrides),
            definition,
        }
    }

    /// Its id: what policies grant.
    pub(super) fn id(&self) -> &Arc<str> {
        &self.definition.id
    }

    /// A refusal in the words that Tyk has for it on this API.
    pub(super) fn worded<'f>(&self, refusal: &'f Refusal) -> Cow<'f, Refusal> {
        if self.nothing_selects_in_tyk && refusal.reason().is_about_rights() {
            return Cow::Owned(refusal.clone().with_tyk_reason(Reason::PolicyNone));
        }
        Cow::Borrowed(refusal)
    }

    /// What is said of a request for a path below the listen path, which may be `ambiguous`.
    pub(super) fn said(&self, method: &http::Method, path: &str, ambiguous: bool) -> Said<'_> {
        self.definition.operations.said(method, path, ambiguous)
    }

    /// Whether such a request needs a token, of which this is said.
    pub(super) fn needs_token(
        &self,
        said: &Said<'_>,
        method: &http::Method,
        path: &str,
        ambiguous: bool,
    ) -> NeedsToken {
        if ambiguous {
            NeedsToken::Always
        } else {
            self.definition.operations.needs_token(said.exact, method, path)
        }
    }

    /// Whether the token of a caller has the scopes for such a request.
    pub(super) fn check_scopes(
        &self,
        session: &Session,
        method: &http::Method,
        path: &str,
        ambiguous: bool,
    ) -> Result<(), MissingScopes> {
        let Some(check) = session.scope_check() else { return Ok(()) };
        let has = |scope: &str| check.claims.contain(session.claims(), scope);
        let mut asked = self.definition.operations.scopes(method, path, ambiguous);
        asked.try_for_each(|scopes| scopes.check(&check.scheme, has))
    }
}

/// Whether tokens are the only way in, and nothing in them selects a policy as Tyk reads the definition.
fn nothing_selects_in_tyk(definition: &Definition) -> bool {
    let needs_policy =
        |jwt: &JwtScheme| matches!(jwt.keys, SchemeKeys::Sources(_)) && jwt.selection.is_nothing_to_tyk();
    definition.jwt_schemes().next().is_some()
        && definition.jwt_schemes().all(needs_policy)
        && definition.api_key_schemes().next().is_none()
}

fn authentication(
    security: &Security<Arc<SecurityScheme>>,
    definition: &Definition,
    context: &Context<'_>,
) -> Authentication {
    // A scheme of several requirements is checked by one method: a token is verified once for all.
    let mut methods: Vec<(Arc<SecurityScheme>, Arc<Method>)> = Vec::new();
    let security = security.map(|scheme| {
        if let Some((_, known)) = methods.iter().find(|(own, _)| Arc::ptr_eq(own, scheme)) {
            return Arc::clone(known);
        }
        let new = Arc::new(method(scheme, definition, context));
        methods.push((Arc::clone(scheme), Arc::clone(&new)));
        new
    });
    let authentication = Authentication::new(security, context.profile, &definition.name);
    match context.profile {
        // In Tyk the rights of other credentials than the one that gives the session are not looked at.
        Profile::Tyk => authentication,
        Profile::Rfc => authentication.each_good_for(&definition.id),
    }
}

fn method(scheme: &SecurityScheme, definition: &Definition, context: &Context<'_>) -> Method {
    match scheme {
        SecurityScheme::Jwt(jwt) => {
            let mut authenticator = authenticator(jwt, definition, context);
            if let Some(claims) = jwt.scope_check.clone() {
                authenticator =
                    authenticator.checking_scopes(ScopeCheck { scheme: jwt.name.clone(), claims });
            }
            Method::Jwt(Box::new(if definition.claim_headers.payload.is_some() {
                authenticator.keeping_payloads()
            } else {
                authenticator
            }))
        }
        SecurityScheme::ApiKey(scheme) => {
            let places = Places::bare(scheme.places.clone(), context.profile);
            let (keys, policies) = (Arc::clone(context.api_keys), Arc::clone(context.policies));
            let authenticator = KeyAuthenticator::new(places, keys, &scheme.org_id, policies);
            Method::ApiKey(authenticator.named(&scheme.name))
        }
    }
}

fn authenticator(jwt: &JwtScheme, definition: &Definition, context: &Context<'_>) -> Authenticator {
    let mut rules = jwt.rules.clone();
    if context.profile == Profile::Tyk {
        rules.reading = Reading::Tyk;
        if !jwt.bounds_token_size {
            rules.max_bytes = TYK_TOKEN_SIZE;
        }
    }
    let source = |source: &KeySource| match source {
        KeySource::Remote(remote) => {
            let life = context.lives.get(remote.endpoint()).copied().unwrap_or_else(|| remote.time_to_live());
            context.registry.remote(&remote.clone().with_time_to_live(life))
        }
        KeySource::Fixed(keys) => {
            Arc::new(Source::fixed(format!("the keys of {}", definition.id), Arc::clone(keys)))
        }
    };
    let stored = || Arc::clone(context.api_keys);
    let policies = || Arc::clone(context.policies);
    let keys = match &jwt.keys {
        SchemeKeys::Sources(sources) => {
            let sources = sources.iter().map(|(own, binding)| (source(own), binding.clone()));
            Keys::from(KeySources::new(sources.collect()))
        }
        SchemeKeys::Stored { by_kid } => {
            Keys::Stored(StoredSecrets::new(stored(), &jwt.selection.org_id, policies(), *by_kid))
        }
    };
    let clients = jwt.selection.client_claim.is_some().then(stored);
    let grants = Grants { selection: Arc::clone(&jwt.selection), policies: policies(), clients };
    Authenticator::new(
        Places::new(jwt.places.clone(), context.profile),
        rules,
        keys,
        Some(grants),
        context.profile,
        &definition.name,
        Arc::clone(context.verified),
    )
    .named(&jwt.name)
    .with_decryption(jwt.decryption.clone())
}
