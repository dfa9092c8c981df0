//! Redis: the section `redis`, or its URL alone.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;
use url::{Host, Url};

use super::{
    draft::from,
    kv::{read_pem, set, set_path, setter, timeout},
};
use crate::{
    document::{Finding, Findings, Severity},
    limits::{Choice, OnFailure},
    percent,
    redis::{Address, Sentinel, Servers, Settings, Tls},
    secrets::Secret,
};

/// The port of Redis unless something else is said, and that of its sentinels.
const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;
/// The longest time that a request may wait for Redis.
const MAX_TIMEOUT: Duration = Duration::from_secs(5);

/// Sets one field from a text, or says what is wrong with it. Paths are relative to the folder.
type Set = fn(&mut Draft, &str, &Path) -> Result<(), String>;

/// What is known of it so far, field by field.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// Whether anything is said of it.
    is_there: bool,
    url: Option<Server>,
    username: Option<String>,
    password: Option<Secret>,
    database: Option<u32>,
    master: Option<String>,
    sentinels: Vec<Address>,
    sentinel_username: Option<String>,
    sentinel_password: Option<Secret>,
    cluster: Vec<Address>,
    is_secure: Option<bool>,
    authorities: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    prefix: Option<String>,
    timeout: Option<Duration>,
    connect_timeout: Option<Duration>,
    on_failure: OnFailure,
}

/// The certificates for Redis: files in PEM, read with each reload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedisTls {
    authorities: Option<PathBuf>,
    certificate: Option<PathBuf>,
    /// The key of the certificate.
    pub key: Option<PathBuf>,
}

/// What a URL says.
#[derive(Debug)]
struct Server {
    address: Address,
    is_secure: bool,
    username: Option<String>,
    password: Option<Secret>,
    database: Option<u32>,
}

const FIELDS: &[(&str, Set)] = &[
    ("url", |draft, text, _| server(text).map(|server| draft.url = Some(server))),
    ("username", |draft, text, _| set(&mut draft.username, text)),
    ("password", |draft, text, _| {
        draft.password = secret(text);
        Ok(())
    }),
    ("database", |draft, text, _| database(text).map(|number| draft.database = Some(number))),
    ("sentinel.master", |draft, text, _| set(&mut draft.master, text)),
    ("sentinel.nodes", |draft, text, _| addresses(text, SENTINEL_PORT).map(|nodes| draft.sentinels = nodes)),
    ("sentinel.username", |draft, text, _| set(&mut draft.sentinel_username, text)),
    ("sentinel.password", |draft, text, _| {
        draft.sentinel_password = secret(text);
        Ok(())
    }),
    ("cluster", |draft, text, _| addresses(text, PORT).map(|nodes| draft.cluster = nodes)),
    ("tls.enabled", |draft, text, _| {
        draft.is_secure = Some(text.parse().map_err(|_| "this is true or false; write one of these")?);
        Ok(())
    }),
    ("tls.ca", |draft, text, folder| set_path(&mut draft.authorities, text, folder)),
    ("tls.clientCertificate", |draft, text, folder| set_path(&mut draft.certificate, text, folder)),
    ("tls.clientKey", |draft, text, folder| set_path(&mut draft.key, text, folder)),
    ("prefix", |draft, text, _| prefix(text).map(|prefix| draft.prefix = Some(prefix))),
    ("timeout", |draft, text, _| {
        let time = timeout(text).ok().filter(|time| *time <= MAX_TIMEOUT);
        draft.timeout =
            Some(time.ok_or("a time is written like 50ms, is not zero, and at most 5s; correct it")?);
        Ok(())
    }),
    ("onFailure.rate", |draft, text, _| choice(text).map(|choice| draft.on_failure.rate = choice)),
    ("onFailure.quota", |draft, text, _| choice(text).map(|choice| draft.on_failure.quota = choice)),
    ("onFailure.apiRate", |draft, text, _| choice(text).map(|choice| draft.on_failure.api_rate = choice)),
    ("connectTimeout", |draft, text, _| timeout(text).map(|time| draft.connect_timeout = Some(time))),
];

impl Draft {
    /// The fields that [`Draft::set`] knows.
    pub(super) fn fields() -> impl Iterator<Item = String> {
        let names = FIELDS.iter().map(|(field, _)| format!("redis.{field}"));
        std::iter::once("redis".to_owned()).chain(names)
    }

    /// Sets a field; nothing if it is none of ours.
    pub(super) fn set(&mut self, field: &str, text: &str, folder: &Path) -> Option<Result<(), String>> {
        let field = if field == "redis" { "url" } else { field.strip_prefix("redis.")? };
        let set = setter(FIELDS, field)?;
        self.is_there = true;
        Some(set(self, text, folder))
    }

    /// Whether anything is said of Redis.
    pub(super) const fn is_there(&self) -> bool {
        self.is_there
    }

    /// Notes the section of the file, whatever its fields.
    pub(super) fn add_section(&mut self, root: &Value) {
        self.is_there |= root.get("redis").is_some();
    }

    /// The settings with their certificates; nothing without Redis, or if `findings` says what is wrong.
    pub(super) fn finish(self, findings: &mut Findings) -> (Option<(Settings, RedisTls)>, OnFailure) {
        let on_failure = self.on_failure;
        let settings = if self.is_there { self.checked(findings) } else { None };
        (settings, on_failure)
    }

    fn checked(self, findings: &mut Findings) -> Option<(Settings, RedisTls)> {
        let files = RedisTls {
            authorities: self.authorities.clone(),
            certificate: self.certificate.clone(),
            key: self.key.clone(),
        };
        match self.settings() {
            Ok(settings) => {
                if let Some(message) = exposed(&settings) {
                    findings.push(Finding { severity: Severity::Warning, ..from("redis", message) });
                }
                Some((settings, files))
            }
            Err((field, message)) => {
                let place = if field.is_empty() { "redis".into() } else { format!("redis.{field}") };
                findings.push(from(&place, message));
                None
            }
        }
    }

    fn settings(mut self) -> Result<Settings, (&'static str, String)> {
        let url = self.url.take();
        let is_secure_url = url.as_ref().is_some_and(|url| url.is_secure);
        if is_secure_url && self.is_secure == Some(false) {
            return Err((
                "tls.enabled",
                "the URL begins with rediss; write it with redis, or leave this out".into(),
            ));
        }
        let (mut username, mut password, mut database) =
            (self.username.take(), self.password.take(), self.database);
        let mut single = None;
        if let Some(url) = url {
            single = Some(url.address);
            username = username.or(url.username);
            password = password.or(url.password);
            database = database.or(url.database);
        }
        let is_secure = self.is_secure(is_secure_url);
        let servers = self.servers(single)?;
        if matches!(servers, Servers::Cluster(_)) && database.is_some_and(|number| number > 0) {
            return Err(("database", "a cluster has the database 0 only; leave this out".into()));
        }
        Ok(Settings {
            servers,
            is_secure,
            username,
            password,
            database: database.unwrap_or_default(),
            prefix: self.prefix.unwrap_or_else(|| Settings::DEFAULT_PREFIX.into()),
            timeout: self.timeout.unwrap_or(Settings::DEFAULT_TIMEOUT),
            connect_timeout: self.connect_timeout.unwrap_or(Settings::DEFAULT_CONNECT_TIMEOUT),
        })
    }

    fn servers(&mut self, single: Option<Address>) -> Result<Servers, (&'static str, String)> {
        let (nodes, cluster) = (std::mem::take(&mut self.sentinels), std::mem::take(&mut self.cluster));
        let has_sentinel = self.master.is_some() || !nodes.is_empty();
        match (single, has_sentinel, cluster.is_empty()) {
            (Some(address), false, true) => Ok(Servers::Single(address)),
            (None, false, false) => Ok(Servers::Cluster(cluster)),
            (None, true, true) if nodes.is_empty() => {
                Err(("sentinel.nodes", "there are no sentinels to ask; write their addresses".into()))
            }
            (None, true, true) => {
                let master = self.master.take();
                let master = master.ok_or_else(|| {
                    ("sentinel.master", "the sentinels watch servers by name; write which one".to_owned())
                })?;
                let (username, password) = (self.sentinel_username.take(), self.sentinel_password.take());
                Ok(Servers::Sentinel(Sentinel { master, nodes, username, password }))
            }
            (None, false, true) => {
                Err(("", "it is not said where Redis is; write url, sentinel or cluster".into()))
            }
            _ => Err((
                "",
                "url, sentinel and cluster are three ways to say where Redis is; write one of them".into(),
            )),
        }
    }

    fn is_secure(&self, is_secure_url: bool) -> bool {
        let has_files = self.authorities.is_some() || self.certificate.is_some() || self.key.is_some();
        self.is_secure.unwrap_or(is_secure_url || has_files)
    }
}

impl RedisTls {
    /// Its files.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        [&self.authorities, &self.certificate, &self.key].into_iter().flatten().map(PathBuf::as_path)
    }

    /// What the files hold.
    ///
    /// # Errors
    /// The field of `redis`, and what is wrong with it.
    pub(crate) fn read(&self) -> Result<Tls, (&'static str, String)> {
        let pem =
            |field: &'static str| move |path: &PathBuf| read_pem(path).map_err(|message| (field, message));
        let authorities = self.authorities.as_ref().map(pem("tls.ca")).transpose()?;
        let certificate = match (&self.certificate, &self.key) {
            (None, None) => None,
            (Some(chain), Some(key)) => {
                Some((pem("tls.clientCertificate")(chain)?, Secret::from(pem("tls.clientKey")(key)?)))
            }
            _ => {
                let message =
                    "a certificate and its key belong together; write clientCertificate and clientKey";
                return Err(("tls", message.into()));
            }
        };
        Tls::new(authorities, certificate).map_err(|(error, is_own)| {
            (if is_own { "tls.clientCertificate" } else { "tls.ca" }, format!("{error}; correct the file"))
        })
    }
}

/// What is odd about talking to these servers in the clear.
fn exposed(settings: &Settings) -> Option<String> {
    let is_local = |address: &Address| {
        address.host == "localhost" || address.host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
    };
    let is_clear = !settings.is_secure && !settings.servers.addresses().iter().all(is_local);
    (is_clear && settings.password.is_some()).then(|| {
        "the password is sent in the clear: whoever is on the way can read it; use rediss or tls.enabled"
            .into()
    })
}

fn secret(text: &str) -> Option<Secret> {
    Some(text.trim()).filter(|text| !text.is_empty()).map(Secret::from)
}

/// A URL as most clients of Redis read it. What is said of a bad one does not repeat it.
fn server(text: &str) -> Result<Server, String> {
    const SHAPE: &str =
        "the URL is written like redis://user:password@host:6379/0, or rediss:// for TLS; correct it";
    let url = Url::parse(text.trim()).map_err(|_| SHAPE)?;
    let is_secure = match url.scheme() {
        "redis" | "valkey" => false,
        "rediss" | "valkeys" => true,
        _ => return Err(SHAPE.into()),
    };
    if url.query().is_some() || url.fragment().is_some() {
        return Err(
            "nothing after ? or # of the URL is understood; leave it out, and write fields of redis".into()
        );
    }
    let host = match url.host() {
        Some(Host::Domain(name)) if !name.is_empty() => name.to_owned(),
        Some(Host::Ipv4(ip)) => ip.to_string(),
        Some(Host::Ipv6(ip)) => ip.to_string(),
        _ => return Err(SHAPE.into()),
    };
    let decode = |text: &str| {
        let octets = percent::decode_path(text).and_then(|octets| String::from_utf8(octets).ok());
        octets.ok_or("what is percent-encoded in the URL is no UTF-8; correct it")
    };
    let username = Some(url.username()).filter(|name| !name.is_empty()).map(decode).transpose()?;
    let password = url.password().filter(|password| !password.is_empty()).map(decode).transpose()?;
    let number = url.path().trim_matches('/');
    Ok(Server {
        address: Address { host, port: url.port().unwrap_or(PORT) },
        is_secure,
        username,
        password: password.map(Secret::from),
        database: if number.is_empty() { None } else { Some(database(number)?) },
    })
}

fn choice(text: &str) -> Result<Choice, String> {
    Choice::read(text).map_err(Into::into)
}

fn database(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| "a database is a number such as 0; correct it".into())
}

fn addresses(text: &str, port: u16) -> Result<Vec<Address>, String> {
    text.split(',').map(str::trim).filter(|text| !text.is_empty()).map(|text| address(text, port)).collect()
}

/// `host`, `host:port`, `[::1]` or `[::1]:port`.
fn address(text: &str, port: u16) -> Result<Address, String> {
    let bad = || format!("{text:?} is not an address such as 10.0.0.1:{port}; correct it");
    let (host, rest) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']').ok_or_else(bad)?,
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let port = match rest.strip_prefix(':') {
        Some(port) => port.parse().map_err(|_| bad())?,
        None if rest.is_empty() => port,
        None => return Err(bad()),
    };
    if host.is_empty() || host.contains(['/', '@', ' ']) {
        return Err(bad());
    }
    Ok(Address { host: host.to_owned(), port })
}

/// Braces in it would decide which node of a cluster has a key, instead of what the key is about.
fn prefix(text: &str) -> Result<String, String> {
    let is_good = |c: char| c.is_ascii_graphic() && !matches!(c, '{' | '}');
    if text.len() > 64 || !text.chars().all(is_good) {
        return Err("a prefix has at most 64 printable ASCII characters, and no braces; correct it".into());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(fields: &[(&str, &str)]) -> Result<Settings, String> {
        let mut draft = Draft::default();
        for (field, text) in fields {
            draft.set(field, text, Path::new("")).unwrap()?;
        }
        draft.settings().map_err(|(field, message)| format!("{field}: {message}"))
    }

    #[test]
    fn urls() {
        for (url, told, secure, user, password, database) in [
            ("redis://127.0.0.1:6379/0", "redis at 127.0.0.1:6379", false, None, None, 0),
            ("redis://cache", "redis at cache:6379", false, None, None, 0),
            ("rediss://u:p%40ss@cache:6380/7", "redis at cache:6380", true, Some("u"), Some("p@ss"), 7),
            ("redis://:only@[::1]:1/", "redis at ::1:1", false, None, Some("only"), 0),
            ("valkeys://cache/3", "redis at cache:6379", true, None, None, 3),
        ] {
            let settings = settings(&[("redis", url)]).unwrap();
            assert_eq!(settings.servers.to_string(), told);
            assert_eq!(settings.is_secure, secure, "{url}");
            assert_eq!(settings.username.as_deref(), user);
            assert_eq!(settings.password.as_deref(), password);
            assert_eq!(settings.database, database);
            assert!(!format!("{settings:?}").contains("p@ss"));
        }
        for url in [
            "",
            "cache:6379",
            "http://cache",
            "redis://",
            "redis:///0",
            "redis://h/x",
            "redis://h/?protocol=resp3",
            "rediss://h/#insecure",
            "redis://:%ff@h",
        ] {
            assert!(settings(&[("redis", url)]).is_err(), "{url}");
        }
    }

    #[test]
    fn what_stands_beside_the_url_counts_more() {
        let fields =
            [("redis.url", "redis://u:p@h/1"), ("redis.password", "env://P"), ("redis.database", "2")];
        let settings = settings(&fields).unwrap();
        assert_eq!(
            (settings.username.as_deref(), settings.password.as_deref()),
            (Some("u"), Some("env://P"))
        );
        assert_eq!(settings.database, 2);
        assert_eq!((settings.timeout, &*settings.prefix), (Duration::from_millis(50), "claimgate:"));
    }

    #[test]
    fn sentinels_and_clusters() {
        let sentinels =
            settings(&[("redis.sentinel.master", "mymaster"), ("redis.sentinel.nodes", "a, b:7,[::1]:8")]);
        let told = "redis mymaster by the sentinels at a:26379, b:7, ::1:8";
        assert_eq!(sentinels.unwrap().servers.to_string(), told);
        let cluster = settings(&[("redis.cluster", "a,b:7"), ("redis.tls.enabled", "true")]).unwrap();
        assert_eq!(cluster.servers.to_string(), "redis cluster at a:6379, b:7");
        assert!(cluster.is_secure);
        for (fields, reason) in [
            (&[("redis.username", "u")][..], "it is not said where Redis is"),
            (&[("redis", "redis://h"), ("redis.cluster", "h")], "three ways"),
            (&[("redis.cluster", "h"), ("redis.sentinel.master", "m")], "three ways"),
            (&[("redis.sentinel.master", "m")], "sentinel.nodes: there are no sentinels"),
            (&[("redis.sentinel.nodes", "h")], "sentinel.master: the sentinels watch"),
            (&[("redis.cluster", "h"), ("redis.database", "1")], "database: a cluster has"),
            (&[("redis.cluster", "h:x")], "\"h:x\" is not an address"),
            (&[("redis.cluster", "[::1")], "is not an address"),
            (&[("redis.cluster", "::1")], "is not an address"),
            (&[("redis", "rediss://h"), ("redis.tls.enabled", "false")], "tls.enabled: the URL begins"),
            (&[("redis", "redis://h"), ("redis.prefix", "a{b}")], "no braces"),
            (&[("redis", "redis://h"), ("redis.timeout", "6s")], "at most 5s"),
            (&[("redis", "redis://h"), ("redis.timeout", "0s")], "at most 5s"),
            (&[("redis", "redis://h"), ("redis.onFailure.quota", "deny")], "open, closed, or local"),
        ] {
            let refused = settings(fields).unwrap_err();
            assert!(refused.contains(reason), "{refused}");
        }
    }

    #[test]
    fn certificates_that_are_no_good() {
        let path = |text: &str| Some(PathBuf::from(text));
        for (authorities, certificate, key, reason) in [
            (path("/does/not/exist"), None, None, "tls.ca: /does/not/exist cannot be read"),
            (path("Cargo.toml"), None, None, "tls.ca: there is no certificate in PEM"),
            (None, None, path("k"), "tls: a certificate and its key belong together"),
            (None, path("/none"), path("k"), "tls.clientCertificate: /none cannot be read"),
        ] {
            let (field, message) = RedisTls { authorities, certificate, key }.read().unwrap_err();
            let told = format!("{field}: {message}");
            assert!(told.starts_with(reason), "{told}");
        }
        assert_eq!(RedisTls::default().read(), Ok(Tls::default()));
    }

    #[test]
    fn a_password_in_the_clear_is_told() {
        for (url, is_told) in [
            ("redis://:p@127.0.0.1", false),
            ("redis://:p@localhost", false),
            ("redis://10.0.0.1", false),
            ("rediss://:p@10.0.0.1", false),
            ("redis://:p@10.0.0.1", true),
            ("redis://:p@cache", true),
        ] {
            assert_eq!(exposed(&settings(&[("redis", url)]).unwrap()).is_some(), is_told, "{url}");
        }
    }
}
