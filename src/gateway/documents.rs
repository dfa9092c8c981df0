//! The definitions and policies of a gateway: as they were read, and as they were parsed.

use std::{io, path::Path, sync::Arc};

use serde_json::Value;
use tokio::runtime::Builder;

use super::{directory, rights};
use crate::{
    access::Together,
    api_keys::{ApiKeys, SharedSecret},
    config::{AdminKey, Config, KeyStore},
    definition::{self, Definition, Fetching, Given, JwtScheme, State, Templates, view},
    document::{Document, Finding, Findings, Kept, Severity, read_all},
    jwks::FetchOptions,
    policy::{self, Entry, PolicySet, entries},
    redis::{Credentials, Redis, Servers, Tls},
    refusal::Profile,
    secrets::{Expand as _, Secret, Values, Withheld, is_like_reference},
    tls::ServerIdentity,
};

/// The documents of a gateway, as they were read. A running gateway keeps them: what it serves can be
/// compiled anew from them, whatever the files hold by then.
#[derive(Debug)]
pub struct Documents {
    pub(super) definitions: Vec<Arc<Kept<definition::Read>>>,
    pub(super) policies: Vec<Arc<Kept<policy::Read>>>,
    templates: Arc<Templates>,
    /// Which definitions could not be read.
    pub(super) unread: Findings,
    /// Which policies could not.
    pub(super) unread_policies: Findings,
}

/// What they say.
pub(super) struct Parsed {
    pub(super) definitions: Vec<Arc<Definition>>,
    pub(super) policies: PolicySet,
    /// What opens the control API.
    pub(super) admin_keys: Vec<AdminKey>,
    /// How the control API is reached over TLS, if it is.
    pub(super) admin_tls: Option<ServerIdentity>,
    /// What opens Redis.
    pub(super) redis_credentials: Credentials,
    /// What API keys in Redis are sealed with, if they are there.
    pub(super) keys_secret: Option<SharedSecret>,
    /// What references stand for in it.
    pub(super) withheld: Withheld,
}

/// Reads everything that a gateway with this configuration would, and serves nothing.
///
/// # Errors
/// When the system does not give what is needed to ask the stores of references.
pub fn check(config: &Config, findings: &mut Findings) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let values = config.secrets.values();
    let (parsed, found) = runtime.block_on(Documents::read(config, None).resolve(config, &values));
    findings.append(found);
    if let (Some(settings), Some(parsed)) = (&config.redis, parsed) {
        let redis = Redis::new(settings.clone(), parsed.redis_credentials);
        if let Err(reason) = runtime.block_on(redis.check()) {
            let message = format!("{} cannot be used: {reason}; start it, or correct this", settings.servers);
            findings.push(warning(Path::new("redis"), message));
        }
    }
    if let KeyStore::File(file) = &config.keys {
        ApiKeys::load(file.as_deref(), findings);
    }
    Ok(())
}

impl Parsed {
    /// Whether there is an API that requests reach.
    pub(super) fn serves_any(&self) -> bool {
        self.definitions.iter().any(|definition| definition.state == State::Public)
    }
}

/// What is written, for whoever asks what is served.
impl Documents {
    /// The definitions of all APIs, by file name.
    pub fn apis(&self) -> impl Iterator<Item = Value> {
        roots(&self.definitions)
    }

    /// The definition of the API with this id.
    #[must_use]
    pub fn api(&self, id: &str) -> Option<Value> {
        let may_be_it = self.definitions.iter().filter(|file| file.may_name(id));
        roots(may_be_it).find(|document| view::id(document) == Some(id))
    }

    /// All policies.
    pub fn policies(&self) -> impl Iterator<Item = Value> {
        roots(&self.policies).flat_map(|root| entries(&root).iter().map(Entry::to_value).collect::<Vec<_>>())
    }

    /// The policy with this id, of this organisation, if several have one.
    #[must_use]
    pub fn policy(&self, id: &str, org_id: Option<&str>) -> Option<Value> {
        let is_it = |entry: &&Entry<'_>| entry.id == id && org_id.is_none_or(|org_id| entry.org_id == org_id);
        let may_have_it = self.policies.iter().filter(|file| file.may_name(id));
        roots(may_have_it).find_map(|root| entries(&root).iter().find(is_it).map(Entry::to_value))
    }
}

impl Documents {
    /// Reads them. What is the same as `before` is not read into anything anew.
    pub(super) fn read(config: &Config, before: Option<&Self>) -> Self {
        let (definitions, policies) =
            before.map(|own| (&*own.definitions, &*own.policies)).unwrap_or_default();
        let (definitions, unread) = read_all(&config.definitions, definitions);
        let of_policies = config.policies.as_deref().map(|path| read_all(path, policies));
        let (policies, unread_policies) = of_policies.unwrap_or_default();
        let templates = Templates::read(&config.template_path);
        let same = before.map(|own| &own.templates).filter(|own| ***own == templates).cloned();
        let templates = same.unwrap_or_else(|| Arc::new(templates));
        Self { definitions, policies, templates, unread, unread_policies }
    }

    /// What they say with these values, which are fetched as they are asked for; nothing if one of them
    /// has an error.
    pub(super) async fn resolve(&self, config: &Config, values: &Values) -> (Option<Parsed>, Findings) {
        self.foresee(config, values);
        loop {
            if values.are_incomplete() {
                values.fetch().await;
            }
            let mut findings = Findings::default();
            let parsed = self.parse(config, values, &mut findings);
            // Each turn knows what the one before asked for, and there are only so many references.
            if !values.are_incomplete() {
                self.definitions.iter().for_each(|file| file.forget_lines());
                self.policies.iter().for_each(|file| file.forget_lines());
                return (parsed, values.hide_in_all(findings));
            }
        }
    }

    /// What was asked for last, of files that are the same, is fetched before they are parsed in vain.
    fn foresee(&self, config: &Config, values: &Values) {
        let own = config.own_secrets();
        let values = values.for_documents(&own, config.allowed_references.as_ref());
        let definitions = self.definitions.iter().filter_map(|file| file.last());
        definitions.for_each(|read| values.foresee(read.asked()));
        let policies = self.policies.iter().filter_map(|file| file.last());
        policies.for_each(|read| values.foresee(read.asked()));
    }

    fn parse(&self, config: &Config, values: &Values, findings: &mut Findings) -> Option<Parsed> {
        let admin_keys = admin_keys(config, values, findings);
        let admin_tls = config.admin_tls.read().unwrap_or_else(|(field, message)| {
            findings.push(Finding::of_file(field, message));
            None
        });
        let redis_credentials = redis_credentials(config, values, findings);
        let keys_secret = keys_secret(config, values, findings);
        let fetching = fetching(config, values, findings);
        let own = config.own_secrets();
        let of_documents = &values.for_documents(&own, config.allowed_references.as_ref());
        let given = Given { templates: Arc::clone(&self.templates), fetching, tags: config.tags.clone() };
        let loaded = definition::load(&self.definitions, of_documents, given);
        let (policies, mut of_policies) = policy::load(&self.policies, of_documents);
        let policies = policies.joined(match config.errors {
            Profile::Rfc => Together::Everything,
            Profile::Tyk => Together::Listed,
        });
        let (definitions, mut of_definitions) = (loaded.definitions, loaded.findings);
        of_definitions.append(self.unread.clone());
        of_policies.append(self.unread_policies.clone());
        // What has an error is missing here, and must not be called unknown on top of that.
        let (has_all_apis, has_all_policies) = (!of_definitions.has_errors(), !of_policies.has_errors());
        findings.append(of_definitions);
        findings.append(of_policies);
        if has_all_policies {
            rights::warn_about_selected(&self.definitions, &definitions, &policies, findings);
        }
        if has_all_apis {
            directory::warn_about_lost_ways(&self.definitions, &definitions, findings);
            rights::warn_about_lost_apis(&self.policies, &definitions, &policies, findings);
            if definitions.is_empty() {
                let message = "there are no definitions here (.yaml, .yml or .json), so every request is answered with 404";
                findings.push(warning(&config.definitions, message.into()));
            }
        }
        tell_of_unreadable_ends(&self.definitions, &definitions, config.errors, findings);
        warn_about_client_keys(&definitions, findings);
        (!findings.has_errors()).then_some(Parsed {
            definitions,
            policies,
            admin_keys,
            admin_tls,
            redis_credentials,
            keys_secret,
            withheld: values.withheld(),
        })
    }
}

/// Tells of APIs whose end cannot be read. Such an API answers nothing; in profile `tyk` that is what its
/// callers know, else it is mended before anything is served.
fn tell_of_unreadable_ends(
    files: &[Arc<Kept<definition::Read>>],
    definitions: &[Arc<Definition>],
    profile: Profile,
    findings: &mut Findings,
) {
    let files = rights::by_path(files);
    for definition in definitions {
        let Some(at) = definition.unreadable_expiration() else { continue };
        let Some(file) = files.get(&*definition.file) else {
            continue;
        };
        let message = "this time cannot be read, so the API counts as ended and refuses everything; write one in UTC such as 2027-01-31 18:00";
        match profile {
            Profile::Tyk => findings.warning(file, &at, message),
            Profile::Rfc => findings.error(file, &at, message),
        }
    }
}

/// What stands in files of which each was a document before.
fn roots<'f, T: 'f>(files: impl IntoIterator<Item = &'f Arc<Kept<T>>>) -> impl Iterator<Item = Value> {
    let documents = files.into_iter().filter_map(|file| Document::of(file.file()).ok());
    documents.map(|mut document| document.take_root())
}

/// How key sets are fetched where a definition does not say.
fn fetching(config: &Config, values: &Values, findings: &mut Findings) -> Fetching {
    let options = config.fetching.clone().finish(values).unwrap_or_else(|bad| {
        findings.push(Finding::of_file(format!("jwks.{}", bad.field), bad.message));
        FetchOptions::default()
    });
    Fetching { options: Arc::new(options), time_to_live: config.key_set_life }
}

/// What opens Redis.
fn redis_credentials(config: &Config, values: &Values, findings: &mut Findings) -> Credentials {
    let Some(settings) = &config.redis else { return Credentials::default() };
    let mut resolve = |field, written: &Option<Secret>| {
        written.as_ref().and_then(|written| secret(field, written, values, findings))
    };
    let servers = resolve("redis.password", &settings.password);
    let sentinels = match &settings.servers {
        Servers::Sentinel(sentinel) => resolve("redis.sentinel.password", &sentinel.password),
        Servers::Single(_) | Servers::Cluster(_) => None,
    };
    let tls = if settings.is_secure { config.redis_tls.read() } else { Ok(Tls::default()) };
    let tls = tls.unwrap_or_else(|(field, message)| {
        findings.push(Finding::of_file(format!("redis.{field}"), message));
        Tls::default()
    });
    Credentials { servers, sentinels, tls }
}

/// What API keys in Redis are sealed with.
fn keys_secret(config: &Config, values: &Values, findings: &mut Findings) -> Option<SharedSecret> {
    const FIELD: &str = "keys.secret";
    let KeyStore::Redis { secret: written, .. } = &config.keys else { return None };
    let secret = secret(FIELD, written, values, findings)?;
    SharedSecret::new(secret.as_bytes()).map_err(|why| findings.push(Finding::of_file(FIELD, why))).ok()
}

/// A secret of the configuration: what is written in this field, or what that refers to.
fn secret(field: &str, written: &Secret, values: &Values, findings: &mut Findings) -> Option<Secret> {
    match values.expand(written) {
        Ok(Some(secret)) => return Some(secret),
        Ok(None) if !is_like_reference(written.as_bytes()) => return Some(written.clone()),
        Ok(None) => findings.push(Finding::of_file(
            field,
            "this is the text of a reference to a store that is not known, and no secret; correct it",
        )),
        Err(reason) => findings.push(Finding::of_file(field, reason.to_string())),
    }
    None
}

/// The keys of the control API, with what their secrets refer to.
fn admin_keys(config: &Config, values: &Values, findings: &mut Findings) -> Vec<AdminKey> {
    let mut keys: Vec<AdminKey> = Vec::new();
    for key in &config.admin_keys {
        let Some(secret) = secret(&key.place(), &key.secret, values, findings) else { continue };
        if let Some(other) = keys.iter().find(|other| *other.secret == *secret) {
            let message = format!(
                "it has the secret of {}, so nobody could tell who it was; change one",
                other.place()
            );
            findings.push(Finding::of_file(key.place(), message));
        }
        keys.push(AdminKey { secret, ..key.clone() });
    }
    keys
}

/// Keys that tokens name, where whoever knows them gets in.
fn warn_about_client_keys(definitions: &[Arc<Definition>], findings: &mut Findings) {
    for definition in definitions.iter().filter(|definition| definition.is_active()) {
        let of_clients =
            |jwt: &&JwtScheme| jwt.selection.client_claim.is_some() && jwt.selection.base_claims.is_empty();
        let Some(jwt) = definition.jwt_schemes().find(of_clients) else { continue };
        let accepts = |other: &&Arc<Definition>| {
            other.is_active() && other.api_key_schemes().any(|scheme| scheme.org_id == jwt.selection.org_id)
        };
        if let Some(other) = definitions.iter().find(accepts) {
            let message = format!(
                "by clientBaseField every token tells the id of a stored key, and the API {} accepts the stored keys of the organisation as API keys; give the keys of clients a jwt_data.secret, with which they are no API keys, or another organisation to one of the APIs",
                other.id
            );
            findings.push(warning(&definition.file, message));
        }
    }
}

fn warning(file: &Path, message: String) -> Finding {
    Finding { severity: Severity::Warning, ..Finding::of_file(file, message) }
}
