//! What the documents say, into a snapshot.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use http::Response;

use super::{
    api::{Api, Context},
    directory::Directory,
    documents::Parsed,
    limit::Told,
    router::Router,
};
use crate::{
    api_address::ApiName,
    api_keys::ApiKeys,
    auth::{Authentication, VerifiedTokens},
    config::{AdminKey, Config},
    definition::{Definition, KeySource, State},
    jwks::{Endpoint, Registry, Source},
    listen::ListenAt,
    middleware::ResourceMetadata,
    refusal::{Asked, Manner, Overrides, Profile, Reason, Refusal, Space},
    secrets::Withheld,
    tls::ServerIdentity,
};

/// Everything that the definitions and policies say, compiled. Immutable; a reload makes another.
#[derive(Debug)]
pub struct Snapshot {
    pub(super) router: Router<Route>,
    apis: Vec<Arc<Api>>,
    directory: Directory,
    pub(super) profile: Profile,
    /// What answers say of limits.
    pub(super) told: Told,
    /// What errors look like where no API answers. In Tyk rules do not reach so far.
    pub(super) overrides: Overrides,
    /// What opens the control API.
    admin_keys: Vec<AdminKey>,
    /// How the control API is reached over TLS, if it is.
    admin_tls: Option<ServerIdentity>,
    /// What references stand for in all this.
    pub(super) withheld: Withheld,
}

/// A key source, and the APIs that use it.
#[derive(Debug)]
pub struct KeySourceInUse {
    /// The source.
    pub source: Arc<Source>,
    /// Their ids.
    pub apis: Vec<Arc<str>>,
}

/// What answers at a path.
#[derive(Debug)]
pub(super) enum Route {
    Api(Arc<Api>),
    /// The metadata of an API, where RFC 9728 section 3.1 looks for it.
    Metadata(Arc<Api>),
}

impl Snapshot {
    /// Compiles what the documents say. Key sets are fetched in the background from here on.
    pub(super) fn compile(
        parsed: Parsed,
        config: &Config,
        registry: &Registry,
        verified: &Arc<VerifiedTokens>,
        api_keys: &Arc<ApiKeys>,
    ) -> Self {
        let policies = Arc::new(parsed.policies);
        let lives = times_to_live(&parsed.definitions);
        let context = Context {
            profile: config.errors,
            registry,
            policies: &policies,
            api_keys,
            verified,
            overrides: &config.error_overrides,
            lives: &lives,
        };
        let definitions: Vec<_> = parsed.definitions.into_iter().filter(|own| own.is_active()).collect();
        let directory = Directory::new(definitions.iter().map(|d| (&d.id, &*d.name)));
        let mut apis = Vec::with_capacity(definitions.len());
        let mut public = Vec::with_capacity(definitions.len());
        for definition in definitions {
            let api = Arc::new(Api::new(definition, &context));
            if api.definition.state == State::Public {
                public.push(Arc::clone(&api));
            }
            apis.push(api);
        }
        let overrides = match config.errors {
            Profile::Rfc => config.error_overrides.clone(),
            Profile::Tyk => Overrides::default(),
        };
        Self {
            router: router(&public),
            apis,
            directory,
            profile: config.errors,
            told: Told::new(config.errors, config.x_rate_limit),
            overrides,
            admin_keys: parsed.admin_keys,
            admin_tls: parsed.admin_tls,
            withheld: parsed.withheld,
        }
    }

    /// The API with this id.
    pub(super) fn api(&self, id: &str) -> Option<&Api> {
        self.at(self.directory.by_id(id)?)
    }

    /// The API that is referred to so.
    pub(super) fn find(&self, name: &ApiName) -> Option<&Api> {
        self.at(self.directory.find(name)?)
    }

    fn at(&self, place: usize) -> Option<&Api> {
        self.apis.get(place).map(AsRef::as_ref)
    }

    /// The ids of the APIs.
    pub(super) fn ids(&self) -> impl Iterator<Item = &str> {
        self.apis.iter().map(|api| &**api.id())
    }

    /// The answer to a request that no API answers.
    pub(super) fn refuse(&self, reason: Reason, asked: Asked) -> Response<Bytes> {
        let (profile, overrides) = (self.profile, &self.overrides);
        Refusal::from(reason).response(&Manner { profile, asked, space: Space::default(), overrides })
    }

    /// How many APIs are served.
    #[must_use]
    pub fn len(&self) -> usize {
        self.apis.len()
    }

    /// Whether no API is served.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.apis.is_empty()
    }

    /// The sources of the keys of one API, or of all, each with the APIs that use it; nothing if
    /// there is no such API.
    pub(super) fn key_sources(&self, api: Option<&str>) -> Option<Vec<KeySourceInUse>> {
        if api.is_some_and(|api| self.api(api).is_none()) {
            return None;
        }
        let mut users: HashMap<*const Source, Vec<Arc<str>>> = HashMap::new();
        for api in &self.apis {
            for source in api.authentication.iter().flat_map(Authentication::sources) {
                let users = users.entry(Arc::as_ptr(source)).or_default();
                // One API may use it in several schemes.
                if users.last().is_none_or(|last| !Arc::ptr_eq(last, api.id())) {
                    users.push(Arc::clone(api.id()));
                }
            }
        }
        let in_use = |source: Arc<Source>| {
            let apis = users.remove(&Arc::as_ptr(&source)).unwrap_or_default();
            KeySourceInUse { source, apis }
        };
        let mut sources: Vec<_> = self.sources(api).into_iter().map(in_use).collect();
        sources.sort_by(|a, b| a.source.name().cmp(b.source.name()));
        Some(sources)
    }

    /// How the control API is reached over TLS, if it is.
    pub(crate) const fn admin_tls(&self) -> Option<&ServerIdentity> {
        self.admin_tls.as_ref()
    }

    /// What opens the control API; without it nothing does.
    #[must_use]
    pub fn admin_keys(&self) -> &[AdminKey] {
        &self.admin_keys
    }

    /// The sources of the keys of one API, or of all, each once.
    pub(super) fn sources(&self, api: Option<&str>) -> Vec<Arc<Source>> {
        let asked = |own: &&Arc<Api>| api.is_none_or(|api| **own.id() == *api);
        let demands = self.apis.iter().filter(asked).filter_map(|api| api.authentication.as_ref());
        let mut sources: Vec<Arc<Source>> = demands.flat_map(Authentication::sources).cloned().collect();
        sources.sort_unstable_by_key(Arc::as_ptr);
        sources.dedup_by(|a, b| Arc::ptr_eq(a, b));
        sources
    }
}

fn router(apis: &[Arc<Api>]) -> Router<Route> {
    let mut router = Router::default();
    // First, so that an API that listens there counts.
    for api in apis.iter().filter(|api| api.definition.metadata.is_some()) {
        let Definition { domain, listen_path, .. } = &*api.definition;
        // A pattern that could be read before can be read behind this as well.
        if let Ok(path) = ListenAt::new(&ResourceMetadata::root_path(listen_path.at.as_str())) {
            router.insert(domain.as_ref(), &path, Route::Metadata(Arc::clone(api)));
        }
    }
    for api in apis {
        let Definition { domain, listen_path, .. } = &*api.definition;
        router.insert(domain.as_ref(), &listen_path.at, Route::Api(Arc::clone(api)));
    }
    router
}

/// The shortest time to live that an API wants, by what tells key sets apart.
fn times_to_live(definitions: &[Arc<Definition>]) -> HashMap<Endpoint, Duration> {
    let mut lives = HashMap::new();
    for jwt in definitions.iter().filter(|d| d.is_active()).flat_map(|d| d.jwt_schemes()) {
        for (source, _) in jwt.keys.sources() {
            if let KeySource::Remote(remote) = source {
                let life = lives.entry(remote.endpoint().clone()).or_insert_with(|| remote.time_to_live());
                *life = (*life).min(remote.time_to_live());
            }
        }
    }
    lives
}
