//! A configuration in the making.

use std::{
    ffi::{OsStr, OsString},
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs as _},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use serde_json::Value;

use super::{
    AdminKey, AdminTls, Config, Origin, admin,
    fields::{CONFIG, REDIS},
    keys,
    kv::Kv,
    redis, stores,
};
use crate::{
    definition::{self, FetchSettings, Templates},
    document::{Document, FieldPath, Finding, Findings, Severity},
    jwks::RemoteSource,
    limits::XRateLimit,
    proxy::{self, TrustedProxies},
    refusal::{Overrides, Profile},
    secrets::{AllowedReferences, Secret},
    telemetry::AuditLog,
};

/// The longest time that can be configured.
const MAX_TIME: Duration = Duration::from_secs(24 * 60 * 60);

/// Sets one field from a text, or says what is wrong with it.
type Setter = fn(&mut Draft, &str) -> Result<(), String>;

/// Every field that can be set, by its path.
const SETTERS: &[(&str, Setter)] = &[
    ("listen", Draft::set_listen),
    ("workers", Draft::set_workers),
    ("definitions", |draft, path| draft.path(path).map(|path| draft.definitions = Some(path))),
    ("policies", |draft, path| draft.path(path).map(|path| draft.policies = Some(path))),
    ("errors", Draft::set_errors),
    ("admin.listen", Draft::set_admin_listen),
    ("admin.secret", |draft, secret| {
        draft.admin_secret = Some(secret.into());
        Ok(())
    }),
    ("admin.tls.certificate", |draft, path| {
        draft.path(path).map(|path| draft.admin_tls.certificate = Some(path))
    }),
    ("admin.tls.key", |draft, path| draft.path(path).map(|path| draft.admin_tls.key = Some(path))),
    ("admin.tls.clientCa", |draft, path| draft.path(path).map(|path| draft.admin_tls.client_ca = Some(path))),
    ("admin.audit", Draft::set_audit_log),
    ("trustedProxies", Draft::set_trusted_proxies),
    ("tags", |draft, tags| {
        draft.tags = tags.split(',').map(str::trim).filter(|tag| !tag.is_empty()).map(Into::into).collect();
        Ok(())
    }),
    ("access_log", Draft::set_access_log),
    ("timeouts.header", |draft, text| duration(text).map(|time| draft.header_timeout = time)),
    ("timeouts.connect", |draft, text| duration(text).map(|time| draft.upstream_timeouts.connect = time)),
    ("timeouts.response", |draft, text| duration(text).map(|time| draft.upstream_timeouts.response = time)),
    ("timeouts.idle", |draft, text| duration(text).map(|time| draft.upstream_timeouts.idle = time)),
    ("timeouts.shutdown", |draft, text| duration(text).map(|time| draft.shutdown_timeout = time)),
    ("rate_limit_response_headers", |draft, text| {
        let about = XRateLimit::named(text);
        draft.x_rate_limit = Some(about.ok_or("they tell of quotas or rate_limits; write one of these")?);
        Ok(())
    }),
    ("template_path", |draft, path| draft.path(path).map(|path| draft.template_path = Some(path))),
    ("jwks.cacheTimeout", |draft, text| duration(text).map(|time| draft.key_set_life = time)),
    ("jwks.ca", |draft, text| draft.fetching.set("ca", text)),
    ("jwks.clientCertificate", |draft, text| draft.fetching.set("clientCertificate", text)),
    ("jwks.clientKey", |draft, text| draft.fetching.set("clientKey", text)),
    ("jwks.proxy", |draft, text| draft.fetching.set("proxy", text)),
    ("jwks.plainHttp", |draft, text| draft.fetching.set("plainHttp", text)),
    ("jwks.privateNetworks", |draft, text| draft.fetching.set("privateNetworks", text)),
    ("jwks.timeout", |draft, text| draft.fetching.set("timeout", text)),
    ("jwks.maxBytes", |draft, text| draft.fetching.set("maxBytes", text)),
    ("jwks.maxKeys", |draft, text| draft.fetching.set("maxKeys", text)),
    ("jwks.maxStale", |draft, text| draft.fetching.set("maxStale", text)),
    ("watch", Draft::set_watch),
    ("references.allow", |draft, texts| {
        let texts = texts.split(',').map(str::trim).filter(|text| !text.is_empty());
        draft.allowed_references = Some(AllowedReferences::new(texts)?);
        Ok(())
    }),
    ("kv.refresh_interval", Draft::set_refresh_interval),
    ("kv.file.base_path", |draft, path| draft.path(path).map(|path| draft.base_path = path)),
];

pub(super) struct Draft {
    /// What relative paths are relative to.
    folder: PathBuf,
    /// The folder of the file, or of what would be the file: the default folders are beside it.
    beside: PathBuf,
    listen: Vec<SocketAddr>,
    workers: usize,
    definitions: Option<PathBuf>,
    policies: Option<PathBuf>,
    keys: keys::Draft,
    errors: Profile,
    admin_listen: Option<SocketAddr>,
    admin_secret: Option<Secret>,
    admin_keys: Vec<AdminKey>,
    admin_tls: AdminTls,
    audit_log: AuditLog,
    trusted_proxies: TrustedProxies,
    tags: Vec<String>,
    access_log: bool,
    header_timeout: Duration,
    upstream_timeouts: proxy::Timeouts,
    shutdown_timeout: Duration,
    key_set_life: Duration,
    fetching: FetchSettings,
    base_path: PathBuf,
    template_path: Option<PathBuf>,
    /// What the file says of errors; it is parsed when it is known where templates are.
    error_overrides: Option<(Document, Value)>,
    x_rate_limit: Option<XRateLimit>,
    kv: Kv,
    redis: redis::Draft,
    allowed_references: Option<AllowedReferences>,
    refresh_interval: Option<Duration>,
    watch: Option<Duration>,
}

impl Draft {
    /// The defaults.
    pub(super) fn new(folder: PathBuf) -> Self {
        let loopback = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        Self {
            base_path: folder.clone(),
            beside: folder.clone(),
            folder,
            listen: vec![loopback(8080)],
            workers: 0,
            definitions: None,
            policies: None,
            keys: keys::Draft::default(),
            errors: Profile::Rfc,
            admin_listen: Some(loopback(8081)),
            admin_secret: None,
            admin_keys: Vec::new(),
            admin_tls: AdminTls::default(),
            audit_log: AuditLog::default(),
            trusted_proxies: TrustedProxies::default(),
            tags: Vec::new(),
            access_log: true,
            header_timeout: Duration::from_secs(30),
            upstream_timeouts: proxy::Timeouts::default(),
            shutdown_timeout: Duration::from_secs(30),
            template_path: None,
            error_overrides: None,
            x_rate_limit: None,
            key_set_life: RemoteSource::DEFAULT_TIME_TO_LIVE,
            fetching: FetchSettings::default(),
            kv: Kv::default(),
            redis: redis::Draft::default(),
            allowed_references: None,
            refresh_interval: Some(Duration::from_secs(300)),
            watch: Some(Duration::from_secs(10)),
        }
    }

    pub(super) fn apply_file(&mut self, mut document: Document, findings: &mut Findings) {
        let mut root = document.take_root();
        if root.is_null() {
            return;
        }
        let top = FieldPath::top();
        CONFIG.check(&document, &top, &mut root, findings);
        let is_section = |value: &&mut Value| value.is_object();
        if let Some(section) = root.get_mut("redis").filter(is_section) {
            REDIS.check(&document, &top.member("redis"), section, findings);
        }
        for field in fields() {
            let names: Vec<&str> = field.split('.').collect();
            let Some(value) = names.iter().try_fold(&root, |value, name| value.get(name)) else { continue };
            if field == "redis" && value.is_object() {
                continue;
            }
            if let Err(message) = text(value).and_then(|text| self.set(&field, &text)) {
                findings.error(&document, &top.members(&names), message);
            }
        }
        self.kv.add_blocks(&root);
        self.redis.add_section(&root);
        self.admin_keys = admin::keys(&document, &root, findings);
        stores::read(&document, &mut root, &self.folder, &mut self.kv, findings);
        if let Some(overrides) = root.get_mut("error_overrides").map(Value::take) {
            self.error_overrides = Some((document, overrides));
        }
    }

    /// Sets a field, whose name [`fields`] has.
    fn set(&mut self, field: &str, text: &str) -> Result<(), String> {
        match SETTERS.iter().find(|(own, _)| *own == field) {
            Some((_, setter)) => setter(self, text),
            None => {
                let set = self.kv.set(field, text, &self.folder);
                let set = set.or_else(|| self.redis.set(field, text, &self.folder));
                let set = set.or_else(|| self.keys.set(field, text, &self.folder));
                set.unwrap_or_else(|| Err("no field has this name".into()))
            }
        }
    }

    /// From here on paths are relative to the working directory.
    pub(super) fn leave_file(&mut self) {
        self.folder = PathBuf::new();
    }

    /// A variable is the path of its field in capitals: `CLAIMGATE_ADMIN_SECRET`.
    pub(super) fn apply_env(&mut self, name: &OsStr, value: OsString, findings: &mut Findings) {
        let Some(name) = name.to_str() else { return };
        let Some(field) = name.strip_prefix("CLAIMGATE_").filter(|field| !is_service_link(field, &value))
        else {
            return;
        };
        let own = fields().find(|own| own.replace('.', "_").to_ascii_uppercase() == field);
        let result = match (own, value.into_string()) {
            (Some(own), Ok(value)) => self.set(&own, &value),
            (Some(_), Err(_)) => Err("the value is not UTF-8; correct it".into()),
            (None, _) => Err("no field has this name; remove the variable, or correct it".into()),
        };
        if let Err(message) = result {
            findings.push(from(&format!("environment variable {name}"), message));
        }
    }

    pub(super) fn apply_flag(&mut self, field: &str, value: &str, findings: &mut Findings) {
        if let Err(message) = self.set(field, value) {
            findings.push(from(&format!("--{field}"), message));
        }
    }

    pub(super) fn finish(self, origin: Origin, findings: &mut Findings) -> Option<Config> {
        self.check_admin(findings);
        let secrets = self.kv.open(self.base_path, findings);
        for store in self.allowed_references.iter().flat_map(AllowedReferences::stores) {
            if secrets.as_ref().is_some_and(|secrets| !secrets.has_store(store)) {
                let message = format!("there is no store {store}; configure it, or leave it out here");
                findings.push(from("references.allow", message));
            }
        }
        let has_redis = self.redis.is_there();
        let (redis, on_redis_failure) = self.redis.finish(findings);
        let (redis, redis_tls) = redis.unzip();
        let keys = self.keys.finish(&self.beside, has_redis, findings);
        let definitions = definitions(self.definitions, &self.beside, findings);
        let policies = policies(self.policies, &self.beside, findings);
        let template_path = self.template_path.unwrap_or_else(|| self.beside.join("templates"));
        let error_overrides = self.error_overrides.map_or_else(Overrides::default, |(document, rules)| {
            let templates = Templates::read(&template_path);
            definition::gateway_overrides(&document, "error_overrides", rules, &templates, findings)
        });
        let cores = thread::available_parallelism().map_or(1, Into::into);
        if findings.has_errors() {
            return None;
        }
        let admin_secret = self.admin_secret.map(AdminKey::of_secret);
        Some(Config {
            listen: self.listen,
            workers: if self.workers == 0 { cores } else { self.workers },
            definitions,
            policies,
            keys,
            errors: self.errors,
            admin_listen: self.admin_listen,
            admin_keys: admin_secret.into_iter().chain(self.admin_keys).collect(),
            admin_tls: self.admin_tls,
            audit_log: self.audit_log,
            trusted_proxies: self.trusted_proxies,
            tags: self.tags,
            access_log: self.access_log,
            header_timeout: self.header_timeout,
            upstream_timeouts: self.upstream_timeouts,
            shutdown_timeout: self.shutdown_timeout,
            x_rate_limit: self.x_rate_limit,
            error_overrides,
            template_path,
            fetching: self.fetching,
            key_set_life: self.key_set_life,
            secrets: secrets?,
            allowed_references: self.allowed_references,
            redis,
            redis_tls: redis_tls.unwrap_or_default(),
            on_redis_failure,
            refresh_interval: self.refresh_interval,
            watch: self.watch,
            origin,
        })
    }

    fn path(&self, path: &str) -> Result<PathBuf, String> {
        if path.is_empty() { Err("the path is empty; write one".into()) } else { Ok(self.folder.join(path)) }
    }

    fn set_listen(&mut self, addresses: &str) -> Result<(), String> {
        self.listen = addresses.split(',').map(address).collect::<Result<_, _>>()?;
        Ok(())
    }

    fn set_admin_listen(&mut self, text: &str) -> Result<(), String> {
        self.admin_listen = if text == "none" { None } else { Some(address(text)?) };
        Ok(())
    }

    /// Tells of a secret of the control API that is none, and of keys that are sent in the clear from other machines.
    fn check_admin(&self, findings: &mut Findings) {
        if self.admin_secret.as_ref().is_some_and(|secret| secret.is_empty()) {
            let message = "an empty secret opens the control API to everybody; set one";
            findings.push(from("admin.secret", message.into()));
        }
        let is_exposed = self.admin_listen.is_some_and(|address| !address.ip().is_loopback());
        let has_keys = self.admin_secret.is_some() || !self.admin_keys.is_empty();
        if is_exposed && has_keys && self.admin_tls == AdminTls::default() {
            let message = "keys of the control API come over the network in the clear, and whoever is on the way can take them; set admin.tls, or listen on 127.0.0.1";
            findings.push(Finding { severity: Severity::Warning, ..from("admin.listen", message.into()) });
        }
    }

    fn set_audit_log(&mut self, target: &str) -> Result<(), String> {
        self.audit_log = match target {
            "stderr" => AuditLog::Stderr,
            "off" => AuditLog::Off,
            path => AuditLog::File(self.path(path)?),
        };
        Ok(())
    }

    fn set_workers(&mut self, number: &str) -> Result<(), String> {
        const SHAPE: &str = "workers is a number from 1 to 1024, or 0 for one per core";
        self.workers = number.parse().ok().filter(|n| *n <= 1024).ok_or(SHAPE)?;
        Ok(())
    }

    fn set_refresh_interval(&mut self, text: &str) -> Result<(), String> {
        const SHAPE: &str =
            "an interval is written like 5m or 30s, is at least 1s and at most 24h, or 0 for none";
        let time = definition::parse_duration(text).ok_or(SHAPE)?;
        self.refresh_interval = Some(time).filter(|time| !time.is_zero());
        let is_good = |time: Duration| time >= Duration::from_secs(1) && time <= MAX_TIME;
        if self.refresh_interval.is_none_or(is_good) { Ok(()) } else { Err(SHAPE.into()) }
    }

    fn set_watch(&mut self, text: &str) -> Result<(), String> {
        const SHAPE: &str = "files are looked at every so often, such as 10s, at least 1s and at most 24h, or off; write one of these";
        self.watch = match text {
            "off" => None,
            text => Some(definition::parse_duration(text).ok_or(SHAPE)?),
        };
        let is_good = |time: Duration| time >= Duration::from_secs(1) && time <= MAX_TIME;
        if self.watch.is_none_or(is_good) { Ok(()) } else { Err(SHAPE.into()) }
    }

    fn set_errors(&mut self, profile: &str) -> Result<(), String> {
        self.errors = match profile {
            "rfc" => Profile::Rfc,
            "tyk" => Profile::Tyk,
            _ => return Err("errors are told as in rfc or as in tyk; write one of these".into()),
        };
        Ok(())
    }

    fn set_access_log(&mut self, target: &str) -> Result<(), String> {
        self.access_log = match target {
            "stdout" => true,
            "off" => false,
            _ => return Err("the access log goes to stdout, or is off; write one of these".into()),
        };
        Ok(())
    }

    fn set_trusted_proxies(&mut self, networks: &str) -> Result<(), String> {
        let network = |text: &str| {
            let text = text.trim();
            let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(Into::into));
            network.map_err(|_| format!("{text} is not a network such as 10.0.0.0/8; correct it"))
        };
        let networks = networks.split(',').filter(|text| !text.trim().is_empty()).map(network);
        self.trusted_proxies = TrustedProxies::new(networks.collect::<Result<_, _>>()?);
        Ok(())
    }
}

/// The definitions, which must be there.
fn definitions(named: Option<PathBuf>, beside: &Path, findings: &mut Findings) -> PathBuf {
    let definitions = named.unwrap_or_else(|| beside.join("api-definitions"));
    if let Err(error) = fs::metadata(&definitions) {
        let message =
            format!("the definitions cannot be read: {error}; name their folder with --definitions");
        findings.push(Finding::of_file(&definitions, message));
    }
    definitions
}

/// The policies, which must be there where they are named.
fn policies(named: Option<PathBuf>, beside: &Path, findings: &mut Findings) -> Option<PathBuf> {
    let is_named = named.is_some();
    let policies = named.unwrap_or_else(|| beside.join("policies"));
    if policies.exists() {
        return Some(policies);
    }
    if is_named {
        let message = "there are no policies here; name their folder with --policies";
        findings.push(Finding::of_file(policies, message));
    }
    None
}

/// All fields that are set from a text.
fn fields() -> impl Iterator<Item = String> {
    SETTERS
        .iter()
        .map(|(field, _)| (*field).to_owned())
        .chain(Kv::fields())
        .chain(redis::Draft::fields())
        .chain(keys::Draft::fields())
}

/// Whether this is a variable that Kubernetes sets for a service named `claimgate`, or
/// `claimgate-…`: `…SERVICE_HOST`, `…SERVICE_PORT…`, `…PORT`, `…PORT_8080_TCP…`.
fn is_service_link(field: &str, value: &OsStr) -> bool {
    let is_url = || value.to_str().is_some_and(|value| value.contains("://"));
    field.ends_with("SERVICE_HOST")
        || field.contains("SERVICE_PORT")
        || ((field == "PORT" || field.ends_with("_PORT")) && is_url())
        || field.split("PORT_").skip(1).any(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let text = text.trim();
    let found = text.to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
    found.ok_or_else(|| format!("{text:?} is not an address such as 127.0.0.1:8080; correct it"))
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    definition::parse_duration(text)
        .filter(|time| !time.is_zero() && *time <= MAX_TIME)
        .ok_or_else(|| "a time is written like 30s or 1m30s, is not zero, and at most 24h; correct it".into())
}

/// A value as the text that an environment variable would hold.
fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(value) => Ok(value.to_string()),
        Value::Array(elements) => Ok(elements.iter().map(text).collect::<Result<Vec<_>, _>>()?.join(",")),
        _ => Err("a text or a list of texts is expected here".into()),
    }
}

pub(super) fn from(place: &str, message: String) -> Finding {
    Finding { severity: Severity::Error, file: PathBuf::from(place), line: None, field: None, message }
}
