//! API definitions: OpenAPI 3.0 documents with the extension `x-tyk-api-gateway`.
//!
//! This is the only module that knows the extension's field names. A document goes one way: the
//! tables in `fields` say of each field whether it is honoured, ignored, named in a warning or
//! refused; what is left is read into a mirror (`raw`), and the mirror is parsed into the types of
//! the modules that it configures. All problems of all documents are reported together.
//!
//! Our own extension, `x-claimgate`, mirrors the place in `x-tyk-api-gateway` that it refines.

mod claim_headers;
mod api_key;
mod checks;
mod context;
mod decryption;
mod duration;
mod fetching;
mod fields;
mod limits;
mod middleware;
mod load;
mod mock;
mod operations;
mod overrides;
mod parse;
mod places;
mod raw;
mod restrictions;
mod rewrite;
mod scheme;
mod scopes;
mod security;
mod selection;
mod source;
mod sources;
mod templates;
mod transform;
mod versions;
mod upstream;
mod variables;
pub mod view;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use crate::{
    api_address::{ApiName, ApiUpstream},
    auth::{Place, Security},
    document::FieldPath,
    jwks::{Binding, FetchOptions, RemoteSource},
    jwt::{KeySet, Rules, ScopeClaims, jwe::Decryption},
    limits::ApiLimits,
    listen::{ListenAt, ListenHost},
    middleware::{ClaimHeaders, CorsPolicy, HeaderRules, Operations, ResourceMetadata, Restrictions},
    policy::Selection,
    proxy::Upstreams,
    refusal::Overrides,
    versioning::Versions,
};

pub use duration::parse as parse_duration;
pub use fetching::{BadSetting, FetchSettings};
pub use load::{Given, Loaded, Read, load};
pub use overrides::gateway_overrides;
pub use selection::{NamedPolicy, Naming};
pub use templates::Templates;

/// One API.
#[derive(Debug)]
pub struct Definition {
    /// Where it was read.
    pub file: PathBuf,
    /// Its id: what policies grant.
    pub id: Arc<str>,
    /// What people call it.
    pub name: String,
    /// Who reaches it.
    pub state: State,
    /// When it ends, if it does.
    pub expiration: Option<Expiration>,
    /// Its versions, if it has others.
    pub versions: Option<Versions>,
    /// The host it answers on; every host, if it has none.
    pub domain: Option<ListenHost>,
    /// The path it answers on.
    pub listen_path: ListenPath,
    /// Where its requests go.
    pub destination: Destination,
    /// The other APIs that it leads requests to, each with its place in the document.
    pub leads_to: Vec<(ApiName, FieldPath)>,
    /// Who may come in; nothing for everybody.
    pub security: Option<Security<Arc<SecurityScheme>>>,
    /// The credentials do not reach the upstream.
    pub strip_authorization_data: bool,
    /// Where credentials may be of schemes that are configured, and not required.
    pub unused_places: Vec<Place>,
    /// Templates may use `$tyk_context`.
    pub context_variables: bool,
    /// Changes to the headers of requests.
    pub request_headers: HeaderRules,
    /// Changes to the headers of answers.
    pub response_headers: HeaderRules,
    /// What the upstream learns of the claims.
    pub claim_headers: ClaimHeaders,
    /// What it tells about who issues its tokens.
    pub metadata: Option<ResourceMetadata>,
    /// Which pages of other origins may use it.
    pub cors: Option<CorsPolicy>,
    /// Operations that are configured on their own.
    pub operations: Operations,
    /// Patterns of paths are about paths that have what they are about anywhere in them.
    pub unanchored_paths: bool,
    /// What it lets pass before it asks for a token.
    pub restrictions: Restrictions,
    /// What errors look like instead.
    pub overrides: Overrides,
    /// What limits all callers together.
    pub limits: ApiLimits,
}

/// Who reaches an API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nobody: it is switched off, or served by gateways with other tags.
    Inactive,
    /// Only other APIs that lead requests to it.
    Internal,
    /// Requests from outside as well.
    Public,
}

/// When an API ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiration {
    /// Then.
    At(SystemTime),
    /// At a time that cannot be read: nobody knows whether it has passed.
    Unreadable,
}

/// Where the requests of an API go.
#[derive(Debug)]
pub enum Destination {
    /// To a server, or to several that take turns.
    Upstreams(Upstreams),
    /// To another API of the gateway.
    Api(ApiUpstream),
}

/// Where an API listens.
#[derive(Clone, Debug)]
pub struct ListenPath {
    /// The paths.
    pub at: ListenAt,
    /// The upstream sees the path without what it takes of it.
    pub strip: bool,
}

/// A way to tell who a caller is.
#[derive(Debug)]
pub enum SecurityScheme {
    /// By a JSON Web Token.
    Jwt(Box<JwtScheme>),
    /// By a stored key.
    ApiKey(ApiKeyScheme),
}

impl SecurityScheme {
    /// Its name in the document.
    fn name(&self) -> &str {
        match self {
            Self::Jwt(scheme) => &scheme.name,
            Self::ApiKey(scheme) => &scheme.name,
        }
    }
}

/// An API key scheme.
#[derive(Debug)]
pub struct ApiKeyScheme {
    /// Its name in the document.
    pub name: Box<str>,
    /// Where the key is looked for, in Tyk's order.
    pub places: Vec<Place>,
    /// The organisation whose keys are accepted.
    pub org_id: Box<str>,
}

/// A JWT scheme: where tokens are, what they must be, and what they give.
#[derive(Debug)]
pub struct JwtScheme {
    /// Its name in the document.
    pub name: Box<str>,
    /// Where the token is looked for, in Tyk's order.
    pub places: Vec<Place>,
    /// What the token must be. How strictly it is read is the gateway's choice, not the definition's.
    pub rules: Rules,
    /// Whether the definition bounds the size of a token.
    pub bounds_token_size: bool,
    /// What verifies the token.
    pub keys: SchemeKeys,
    /// How tokens are decrypted; nothing, if they are only signed.
    pub decryption: Option<Arc<Decryption>>,
    /// Which policies apply.
    pub selection: Arc<Selection>,
    /// Where the definition names them.
    pub(super) naming: Naming,
    /// Where the scopes are that operations ask for, if they are checked.
    pub scope_check: Option<ScopeClaims>,
}

/// How key sets are fetched where a definition does not say otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetching {
    /// How.
    pub options: Arc<FetchOptions>,
    /// How long a set is used before it is fetched again.
    pub time_to_live: Duration,
}

impl Default for Fetching {
    fn default() -> Self {
        Self { options: Arc::default(), time_to_live: RemoteSource::DEFAULT_TIME_TO_LIVE }
    }
}

/// What verifies the tokens of a scheme.
#[derive(Debug)]
pub enum SchemeKeys {
    /// The keys of these sources, in order; never empty.
    Sources(Vec<(KeySource, Binding)>),
    /// The secret of the stored key that a token names: by its `kid`, where that counts, else by the
    /// claims that name the caller.
    Stored {
        /// Whether a `kid` counts.
        by_kid: bool,
    },
}

impl SchemeKeys {
    /// The sources, if keys come from any.
    #[must_use]
    pub fn sources(&self) -> &[(KeySource, Binding)] {
        match self {
            Self::Sources(sources) => sources,
            Self::Stored { .. } => &[],
        }
    }
}

/// One place where keys come from.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// A key set URL.
    Remote(RemoteSource),
    /// Keys in the definition, or where it refers to.
    Fixed(Arc<KeySet>),
}

impl Definition {
    /// Where the time stands at which it ends, if nobody can read it.
    #[must_use]
    pub fn unreadable_expiration(&self) -> Option<FieldPath> {
        let is_unreadable = self.expiration == Some(Expiration::Unreadable);
        is_unreadable.then(|| FieldPath::top().members(&["x-tyk-api-gateway", "info", "expiration"]))
    }

    /// Whether any request reaches it.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.state != State::Inactive
    }

    /// The JWT schemes that are required.
    pub fn jwt_schemes(&self) -> impl Iterator<Item = &JwtScheme> {
        self.security.iter().flat_map(jwt_schemes)
    }

    /// The API key schemes that are required.
    pub fn api_key_schemes(&self) -> impl Iterator<Item = &ApiKeyScheme> {
        let schemes = self.security.iter().flat_map(Security::distinct_schemes);
        schemes.filter_map(|scheme| match &**scheme {
            SecurityScheme::Jwt(_) => None,
            SecurityScheme::ApiKey(key) => Some(key),
        })
    }
}

fn jwt_schemes(security: &Security<Arc<SecurityScheme>>) -> impl Iterator<Item = &JwtScheme> {
    security.distinct_schemes().into_iter().filter_map(|scheme| match &**scheme {
        SecurityScheme::Jwt(jwt) => Some(&**jwt),
        SecurityScheme::ApiKey(_) => None,
    })
}
