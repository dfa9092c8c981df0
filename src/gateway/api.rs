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
    definition::{Definition, Destination, JwtScheme, KeySource, ListenPath, SchemeKeys, SecurityScheme},
    jwks::{Endpoint, KeySources, Registry, Source},
    jwt::Reading,
    limits::ApiLimits,
    middleware::{
        ClaimHeaders, Cors, HeaderRules, NeedsToken, Operation, Operations, ResourceMetadata, Restrictions,
        Said,
    },
    policy::PolicySet,
    refusal::{Overrides, Profile, Reason, Refusal},
    session::{ScopeCheck, Session},
    versioning::Versions,
};

/// The longest token in profile `tyk`, where only the head of a request bounds it.
const TYK_TOKEN_SIZE: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct Api {
    pub(super) id: Arc<str>,
    pub(super) listen_path: ListenPath,
    pub(super) expiry: Option<Expiry>,
    pub(super) versions: Option<Versions>,
    pub(super) authentication: Option<Authentication>,
    pub(super) strip_credentials: bool,
    pub(super) context_variables: bool,
    /// Whether Tyk would refuse every token, since to it nothing selects a policy.
    nothing_selects_in_tyk: bool,
    /// Whether a template reads the headers of the request.
    pub(super) reads_headers: bool,
    /// Fields that tell the upstream about the caller, on any operation: nobody else sets them, for a
    /// path could be one operation to us and another to the upstream.
    pub(super) about_caller: Vec<HeaderName>,
    pub(super) request_headers: HeaderRules,
    pub(super) claim_headers: ClaimHeaders,
    pub(super) response_headers: HeaderRules,
    pub(super) cors: Option<Cors>,
    /// What the API tells about who issues its tokens.
    pub(super) metadata: Option<ResourceMetadata>,
    operations: Operations,
    /// Rights to paths are about paths that have theirs anywhere in them.
    pub(super) unanchored_paths: bool,
    /// What it lets pass before it asks for a token.
    pub(super) restrictions: Restrictions,
    /// What its errors look like, and those of its upstream.
    pub(super) overrides: Overrides,
    /// What limits all its callers.
    pub(super) limits: ApiLimits,
    pub(super) destination: Destination,
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
    pub(super) fn new(definition: Definition, context: &Context<'_>) -> Self {
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
        let nothing_selects_in_tyk = nothing_selects_in_tyk(&definition);
        let realm = definition.name;
        let keeps_payloads = definition.claim_headers.payload.is_some();
        Self {
            authentication: definition
                .security
                .map(|security| authentication(&security, &definition.id, &realm, keeps_payloads, context))
                .map(|all| all.also_strip(Places::bare(definition.unused_places, context.profile))),
            id: definition.id,
            listen_path: definition.listen_path,
            expiry: definition.expiration.map(|expiration| Expiry::new(expiration, context.profile)),
            versions: definition.versions,
            strip_credentials: definition.strip_authorization_data,
            context_variables: definition.context_variables,
            nothing_selects_in_tyk,
            reads_headers,
            about_caller,
            request_headers: definition.request_headers,
            claim_headers: definition.claim_headers,
            response_headers: definition.response_headers,
            metadata: definition.metadata,
            cors: definition.cors.map(|policy| Cors::new(&policy, context.profile)),
            operations: definition.operations,
            unanchored_paths: definition.unanchored_paths,
            restrictions: definition.restrictions,
            overrides: definition.overrides.followed_by(context.overrides),
            limits: definition.limits,
            destination: definition.destination,
        }
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
        self.operations.said(method, path, ambiguous)
    }

    /// Whether such a request needs a token, of which this is said.
    pub(super) fn needs_token(
        &self,
        said: &Said<'_>,
        method: &http::Method,
        path: &str,
        ambiguous: bool,
    ) -> NeedsToken {
        if ambiguous { NeedsToken::Always } else { self.operations.needs_token(said.exact, method, path) }
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
        let mut asked = self.operations.scopes(method, path, ambiguous);
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
    id: &Arc<str>,
    realm: &str,
    keeps_payloads: bool,
    context: &Context<'_>,
) -> Authentication {
    // A scheme of several requirements is checked by one method: a token is verified once for all.
    let mut methods: Vec<(Arc<SecurityScheme>, Arc<Method>)> = Vec::new();
    let security = security.map(|scheme| {
        if let Some((_, known)) = methods.iter().find(|(own, _)| Arc::ptr_eq(own, scheme)) {
            return Arc::clone(known);
        }
        let new = Arc::new(method(scheme, id, realm, keeps_payloads, context));
        methods.push((Arc::clone(scheme), Arc::clone(&new)));
        new
    });
    let authentication = Authentication::new(security, context.profile, realm);
    match context.profile {
        // In Tyk the rights of other credentials than the one that gives the session are not looked at.
        Profile::Tyk => authentication,
        Profile::Rfc => authentication.each_good_for(id),
    }
}

fn method(
    scheme: &SecurityScheme,
    id: &Arc<str>,
    realm: &str,
    keeps_payloads: bool,
    context: &Context<'_>,
) -> Method {
    match scheme {
        SecurityScheme::Jwt(jwt) => {
            let mut authenticator = authenticator(jwt, id, realm, context);
            if let Some(claims) = jwt.scope_check.clone() {
                authenticator =
                    authenticator.checking_scopes(ScopeCheck { scheme: jwt.name.clone(), claims });
            }
            Method::Jwt(Box::new(if keeps_payloads {
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

fn authenticator(jwt: &JwtScheme, id: &Arc<str>, realm: &str, context: &Context<'_>) -> Authenticator {
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
        KeySource::Fixed(keys) => Arc::new(Source::fixed(format!("the keys of {id}"), Arc::clone(keys))),
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
    let grants = Grants { selection: jwt.selection.clone(), policies: policies(), clients };
    Authenticator::new(
        Places::new(jwt.places.clone(), context.profile),
        rules,
        keys,
        Some(grants),
        context.profile,
        realm,
    )
    .named(&jwt.name)
    .with_decryption(jwt.decryption.clone())
    .with_cache(Arc::clone(context.verified))
}
