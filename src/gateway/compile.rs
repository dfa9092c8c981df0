//! Documents into a snapshot.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use super::{
    api::{Api, Context},
    router::Router,
};
use crate::{
    auth::{Authentication, VerifiedTokens},
    config::Config,
    definition::{self, Definition, KeySource},
    document::{Finding, Findings, Severity},
    jwks::{Registry, Source},
    middleware::ResourceMetadata,
    policy::{self, Policy, PolicySet},
    refusal::Profile,
};

/// Everything that the definitions and policies say, compiled. Immutable; a reload makes another.
#[derive(Debug)]
pub struct Snapshot {
    pub(super) router: Router<Route>,
    apis: Vec<Arc<Api>>,
    pub(super) profile: Profile,
}

/// What answers at a path.
#[derive(Debug)]
pub(super) enum Route {
    Api(Arc<Api>),
    /// The metadata of an API, where RFC 9728 section 3.1 looks for it.
    Metadata(Arc<Api>),
}

/// What was read, before it is compiled.
struct Documents {
    definitions: Vec<Definition>,
    policies: PolicySet,
}

/// Reads everything that a gateway with this configuration would, and starts nothing.
pub fn check(config: &Config, findings: &mut Findings) {
    read(config, findings);
}

impl Snapshot {
    /// Reads and compiles the documents; nothing if one of them has an error. Key sets are fetched
    /// in the background from here on.
    pub(super) fn compile(
        config: &Config,
        registry: &Registry,
        verified: &Arc<VerifiedTokens>,
        findings: &mut Findings,
    ) -> Option<Self> {
        let documents = read(config, findings)?;
        let policies = Arc::new(documents.policies);
        let lives = times_to_live(&documents.definitions);
        let context =
            Context { profile: config.errors, registry, policies: &policies, verified, lives: &lives };
        let mut router = Router::default();
        let mut apis = Vec::with_capacity(documents.definitions.len());
        for mut definition in documents.definitions.into_iter().filter(|definition| definition.served) {
            let domain = definition.domain.take();
            let api = Arc::new(Api::new(definition, &context));
            apis.push((domain, api));
        }
        // First, so that an API that listens there counts.
        for (domain, api) in apis.iter().filter(|(_, api)| api.metadata.is_some()) {
            let path = ResourceMetadata::root_path(&api.listen_path.value);
            router.insert(domain.as_deref(), &path, Route::Metadata(Arc::clone(api)));
        }
        for (domain, api) in &apis {
            router.insert(domain.as_deref(), &api.listen_path.value, Route::Api(Arc::clone(api)));
        }
        let apis = apis.into_iter().map(|(_, api)| api).collect();
        Some(Self { router, apis, profile: config.errors })
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

    /// The sources of the keys of one API, or of all, each once.
    pub(super) fn sources(&self, api: Option<&str>) -> Vec<Arc<Source>> {
        let asked = |own: &&Arc<Api>| api.is_none_or(|api| *own.id == *api);
        let demands = self.apis.iter().filter(asked).filter_map(|api| api.authentication.as_ref());
        let mut sources: Vec<Arc<Source>> = demands.flat_map(Authentication::sources).cloned().collect();
        sources.sort_unstable_by_key(Arc::as_ptr);
        sources.dedup_by(|a, b| Arc::ptr_eq(a, b));
        sources
    }
}

/// The shortest time to live that an API wants, by key set URL.
fn times_to_live(definitions: &[Definition]) -> HashMap<String, Duration> {
    let mut lives = HashMap::new();
    for jwt in definitions.iter().filter(|d| d.served).flat_map(Definition::jwt_schemes) {
        for (source, _) in &jwt.sources {
            if let KeySource::Remote(remote) = source {
                let life = lives.entry(remote.url().to_owned()).or_insert_with(|| remote.time_to_live());
                *life = (*life).min(remote.time_to_live());
            }
        }
    }
    lives
}

fn read(config: &Config, findings: &mut Findings) -> Option<Documents> {
    let loaded = definition::load(&config.definitions, &config.secrets);
    findings.append(loaded.findings);
    let policies = match &config.policies {
        Some(path) => {
            let (policies, found) = policy::load(path);
            findings.append(found);
            policies
        }
        None => PolicySet::default(),
    };
    // What has an error is missing below, and must not be called unknown on top of that.
    if findings.has_errors() {
        return None;
    }
    if loaded.definitions.is_empty() {
        let message =
            "there are no definitions here (.yaml, .yml or .json), so every request is answered with 404";
        findings.push(warning(&config.definitions, message.into()));
    }
    warn_about_references(&loaded.definitions, &policies, findings);
    Some(Documents { definitions: loaded.definitions, policies })
}

/// Ids that lead nowhere: callers who depend on them get no rights.
fn warn_about_references(definitions: &[Definition], policies: &PolicySet, findings: &mut Findings) {
    let schemes =
        definitions.iter().flat_map(|definition| definition.jwt_schemes().map(move |jwt| (definition, jwt)));
    for (definition, jwt) in schemes {
        let scopes = || jwt.selection.scopes.iter().flat_map(policy::Scopes::policies);
        let ids = || jwt.selection.defaults.iter().chain(scopes());
        let grants = |policy: &Policy| policy.rights.iter().any(|(api, _)| *api == definition.id);
        let org_id = &jwt.selection.org_id;
        let nothing_grants = !ids().filter_map(|id| policies.get(org_id, id)).any(|policy| grants(policy));
        for id in ids() {
            let why = match policies.get(org_id, id) {
                None if policies.knows(id) => "belongs to another organisation",
                None => "does not exist",
                Some(policy) if !policy.active => "is not active",
                Some(_) if nothing_grants => "does not grant it, and neither does another one",
                Some(_) => continue,
            };
            let message =
                format!("the policy {id}, which this API selects, {why}; callers who depend on it get 403");
            findings.push(warning(&definition.file, message));
        }
    }
    let known: HashSet<&str> = definitions.iter().map(|definition| &*definition.id).collect();
    for policy in policies.iter() {
        for (api, _) in policy.rights.iter().filter(|(api, _)| !known.contains(&**api)) {
            let message = format!("the policy {} grants the API {api}, which does not exist", policy.id);
            findings.push(warning(&policy.file, message));
        }
    }
}

fn warning(file: &std::path::Path, message: String) -> Finding {
    Finding { severity: Severity::Warning, ..Finding::of_file(file, message) }
}
