//! Consul and Vault: `kv.consul` and `kv.vault`, in the names of Tyk's configuration.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;

use super::draft::from;
use crate::{
    definition::parse_duration,
    document::{Finding, Findings, Severity},
    secrets::{
        ClientCertificate, Connection, ConsulSettings, Credential, KvVersion, Secret, Secrets, Store,
        TrustedAuthorities, VaultLogin, VaultSettings,
    },
};

/// The longest time that one request to a store may take.
const MAX_TIMEOUT: Duration = Duration::from_secs(60);
/// Sets one field of a store from a text, or says what is wrong with it. Paths are relative to the folder.
type Set<T> = fn(&mut T, &str, &Path) -> Result<(), String>;

/// What is known of the stores so far.
#[derive(Debug, Default)]
pub(super) struct Kv {
    consul: Option<Consul>,
    vault: Option<Vault>,
    stores: BTreeMap<String, Store>,
}

/// The certificates of a store, field by field.
#[derive(Debug, Default)]
struct Tls {
    ca_file: Option<PathBuf>,
    ca_path: Option<PathBuf>,
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
}

#[derive(Debug, Default)]
struct Consul {
    address: Option<String>,
    scheme: Option<String>,
    datacenter: Option<String>,
    token: Option<Credential>,
    username: Option<String>,
    password: Option<Credential>,
    timeout: Option<Duration>,
    tls: Tls,
}

#[derive(Debug, Default)]
struct Vault {
    address: Option<String>,
    agent_address: Option<String>,
    token: Option<Credential>,
    role_id: Option<Credential>,
    secret_id: Option<Credential>,
    approle_mount: Option<String>,
    namespace: Option<String>,
    version: Option<KvVersion>,
    mount_path: Option<String>,
    max_retries: Option<u32>,
    timeout: Option<Duration>,
    tls: Tls,
}

const CONSUL: &[(&str, Set<Consul>)] = &[
    ("address", |consul, text, _| set(&mut consul.address, text)),
    ("scheme", |consul, text, _| match text {
        "http" | "https" => set(&mut consul.scheme, text),
        _ => Err("the scheme is http or https; write one of these".into()),
    }),
    ("datacenter", |consul, text, _| set(&mut consul.datacenter, text)),
    ("token", |consul, text, _| set_credential(&mut consul.token, text)),
    ("http_auth.username", |consul, text, _| set(&mut consul.username, text)),
    ("http_auth.password", |consul, text, _| set_credential(&mut consul.password, text)),
    ("timeout", |consul, text, _| timeout(text).map(|time| consul.timeout = Some(time))),
    ("tls_config.ca_file", |consul, text, folder| set_path(&mut consul.tls.ca_file, text, folder)),
    ("tls_config.ca_path", |consul, text, folder| set_path(&mut consul.tls.ca_path, text, folder)),
    ("tls_config.cert_file", |consul, text, folder| set_path(&mut consul.tls.cert_file, text, folder)),
    ("tls_config.key_file", |consul, text, folder| set_path(&mut consul.tls.key_file, text, folder)),
];

const VAULT: &[(&str, Set<Vault>)] = &[
    ("address", |vault, text, _| set(&mut vault.address, text)),
    ("agent_address", |vault, text, _| set(&mut vault.agent_address, text)),
    ("token", |vault, text, _| set_credential(&mut vault.token, text)),
    ("approle.role_id", |vault, text, _| set_credential(&mut vault.role_id, text)),
    ("approle.secret_id", |vault, text, _| set_credential(&mut vault.secret_id, text)),
    ("approle.mount_path", |vault, text, _| set_mount(&mut vault.approle_mount, text)),
    ("namespace", |vault, text, _| set(&mut vault.namespace, text)),
    ("kv_version", |vault, text, _| {
        vault.version = Some(match text {
            "1" => KvVersion::One,
            "2" => KvVersion::Two,
            _ => return Err("the version of the key-value engine is 1 or 2; write one of these".into()),
        });
        Ok(())
    }),
    ("mount_path", |vault, text, _| set_mount(&mut vault.mount_path, text)),
    ("max_retries", |vault, text, _| {
        let retries = text.parse().ok().filter(|n| *n <= 10);
        vault.max_retries = Some(retries.ok_or("max_retries is a number from 0 to 10; correct it")?);
        Ok(())
    }),
    ("timeout", |vault, text, _| timeout(text).map(|time| vault.timeout = Some(time))),
    ("tls_config.ca_file", |vault, text, folder| set_path(&mut vault.tls.ca_file, text, folder)),
    ("tls_config.ca_path", |vault, text, folder| set_path(&mut vault.tls.ca_path, text, folder)),
    ("tls_config.cert_file", |vault, text, folder| set_path(&mut vault.tls.cert_file, text, folder)),
    ("tls_config.key_file", |vault, text, folder| set_path(&mut vault.tls.key_file, text, folder)),
];

impl Kv {
    /// The fields that [`Kv::set`] knows.
    pub(super) fn fields() -> impl Iterator<Item = String> {
        let consul = CONSUL.iter().map(|(field, _)| format!("kv.consul.{field}"));
        consul.chain(VAULT.iter().map(|(field, _)| format!("kv.vault.{field}")))
    }

    /// Sets a field; nothing if it is none of ours.
    pub(super) fn set(&mut self, field: &str, text: &str, folder: &Path) -> Option<Result<(), String>> {
        if let Some(field) = field.strip_prefix("kv.consul.") {
            return setter(CONSUL, field).map(|set| set(self.consul.get_or_insert_default(), text, folder));
        }
        let field = field.strip_prefix("kv.vault.")?;
        setter(VAULT, field).map(|set| set(self.vault.get_or_insert_default(), text, folder))
    }

    /// Notes the stores that the file has, whatever their fields.
    pub(super) fn add_blocks(&mut self, root: &Value) {
        if root.pointer("/kv/consul").is_some() {
            self.consul.get_or_insert_default();
        }
        if root.pointer("/kv/vault").is_some() {
            self.vault.get_or_insert_default();
        }
    }

    pub(super) fn add(&mut self, name: &str, store: Store) {
        self.stores.insert(name.to_owned(), store);
    }

    /// All stores, ready to be asked; nothing if a setting is no good.
    pub(super) fn open(self, base_path: PathBuf, findings: &mut Findings) -> Option<Secrets> {
        let secrets = self.settings().and_then(|stores| {
            Secrets::new(base_path, |name| env::var(name).ok(), stores)
                .map_err(|(store, message)| (place_of(&store), message))
        });
        match secrets {
            Ok(secrets) => {
                for (store, address) in secrets.exposed() {
                    let message = format!(
                        "values of {address} come in the clear: whoever is on the way can read and replace them; use https"
                    );
                    findings.push(Finding { severity: Severity::Warning, ..from(&place_of(store), message) });
                }
                Some(secrets)
            }
            Err((place, message)) => {
                findings.push(from(&place, message));
                None
            }
        }
    }

    fn settings(self) -> Result<BTreeMap<String, Store>, (String, String)> {
        let mut stores = self.stores;
        if let Some(consul) = self.consul {
            let consul =
                consul.settings().map_err(|(field, message)| (format!("kv.consul.{field}"), message))?;
            stores.insert("consul".into(), Store::Consul(consul));
        }
        if let Some(vault) = self.vault {
            let vault =
                vault.settings().map_err(|(field, message)| (format!("kv.vault.{field}"), message))?;
            stores.insert("vault".into(), Store::Vault(vault));
        }
        Ok(stores)
    }
}

/// Consul by the value of one `config` of `kv.stores`.
///
/// # Errors
/// The field, and what is wrong with it.
pub(super) fn consul_of(config: &Value, folder: &Path) -> Result<Store, (String, String)> {
    fill(CONSUL, config, folder)?.settings().map(Store::Consul)
}

/// The same of Vault.
///
/// # Errors
/// The field, and what is wrong with it.
pub(super) fn vault_of(config: &Value, folder: &Path) -> Result<Store, (String, String)> {
    fill(VAULT, config, folder)?.settings().map(Store::Vault)
}

fn fill<T: Default>(
    setters: &[(&str, Set<T>)],
    config: &Value,
    folder: &Path,
) -> Result<T, (String, String)> {
    let mut filled = T::default();
    for (field, set) in setters {
        let value = field.split('.').try_fold(config, |value, name| value.get(name));
        let text = match value {
            None | Some(Value::Null) => continue,
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        set(&mut filled, &text, folder).map_err(|message| ((*field).to_owned(), message))?;
    }
    Ok(filled)
}

/// Where a store is configured.
fn place_of(store: &str) -> String {
    match store.split('.').next() {
        Some("consul" | "vault") => format!("kv.{store}"),
        _ => format!("kv.stores.{store}"),
    }
}

impl Consul {
    fn settings(self) -> Result<ConsulSettings, (String, String)> {
        let address = self.address.unwrap_or_else(|| "127.0.0.1:8500".into());
        let address = match (address.split_once("://"), self.scheme) {
            (Some((own, _)), Some(scheme)) if own != scheme => {
                return Err((
                    "scheme".into(),
                    "the address begins with another scheme; write it once".into(),
                ));
            }
            (Some(_), _) => address,
            (None, scheme) => format!("{}://{address}", scheme.as_deref().unwrap_or("http")),
        };
        let http_auth = match (self.username, self.password) {
            (None, None) => None,
            (Some(username), Some(password)) => Some((username, password)),
            _ => {
                return Err((
                    "http_auth".into(),
                    "a user name and a password belong together; write both".into(),
                ));
            }
        };
        let connection = connection(address, self.timeout, None, self.tls)?;
        Ok(ConsulSettings { connection, datacenter: self.datacenter, token: self.token, http_auth })
    }
}

impl Vault {
    fn settings(self) -> Result<VaultSettings, (String, String)> {
        let error = |field: &str, message: &str| Err((field.to_owned(), message.to_owned()));
        let has_agent = self.agent_address.is_some();
        let Some(address) = self.agent_address.or(self.address) else {
            return error(
                "address",
                "Vault needs an address such as https://vault.example.com:8200; write one",
            );
        };
        let login = match (self.token, self.role_id, self.secret_id) {
            (Some(token), None, None) => VaultLogin::Token(token),
            (None, Some(role_id), Some(secret_id)) => {
                let mount_path = self.approle_mount.unwrap_or_else(|| "approle".into());
                VaultLogin::AppRole { role_id, secret_id, mount_path }
            }
            (None, None, None) if has_agent => VaultLogin::Agent,
            (None, None, None) => {
                return error(
                    "token",
                    "Vault needs a token, or approle with role_id and secret_id; write one of them",
                );
            }
            (Some(_), _, _) => {
                return error("token", "there is a role as well; write a token or approle, not both");
            }
            _ => return error("approle", "a role is role_id and secret_id; write both"),
        };
        Ok(VaultSettings {
            connection: connection(address, self.timeout, self.max_retries, self.tls)?,
            namespace: self.namespace,
            login,
            version: self.version.unwrap_or(KvVersion::Two),
            mount_path: self.mount_path,
        })
    }
}

impl Tls {
    /// # Errors
    /// The field, and what is wrong with its file.
    fn read(self) -> Result<(Option<TrustedAuthorities>, Option<ClientCertificate>), (String, String)> {
        let in_field = |field: &'static str| move |message: String| (format!("tls_config.{field}"), message);
        let mut authorities = String::new();
        if let Some(file) = &self.ca_file {
            authorities.push_str(&read_pem(file).map_err(in_field("ca_file"))?);
        }
        if let Some(folder) = &self.ca_path {
            authorities.push_str(&read_folder(folder).map_err(in_field("ca_path"))?);
        }
        let field = if self.ca_file.is_some() { "ca_file" } else { "ca_path" };
        let has_authorities = self.ca_file.is_some() || self.ca_path.is_some();
        let trusted = has_authorities.then(|| TrustedAuthorities::from_pem(&authorities)).transpose();
        let trusted = trusted.map_err(|e| in_field(field)(e.to_string()))?;
        let certificate = match (&self.cert_file, &self.key_file) {
            (None, None) => None,
            (Some(chain), Some(key)) => {
                let chain = read_pem(chain).map_err(in_field("cert_file"))?;
                let key = Secret::from(read_pem(key).map_err(in_field("key_file"))?);
                Some(
                    ClientCertificate::from_pem(&chain, &key)
                        .map_err(|e| in_field("cert_file")(e.to_string()))?,
                )
            }
            _ => {
                let message = "a certificate and its key belong together; write cert_file and key_file";
                return Err(("tls_config".into(), message.into()));
            }
        };
        Ok((trusted, certificate))
    }
}

pub(super) fn read_pem(file: &Path) -> Result<String, String> {
    fs::read_to_string(file).map_err(|e| format!("{} cannot be read: {e}", file.display()))
}

/// All files of a folder, one after the other.
fn read_folder(folder: &Path) -> Result<String, String> {
    let entries = fs::read_dir(folder).map_err(|e| format!("{} cannot be read: {e}", folder.display()))?;
    let files = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_file());
    files.map(|file| Ok(read_pem(&file)? + "\n")).collect()
}

fn connection(
    address: String,
    timeout: Option<Duration>,
    max_retries: Option<u32>,
    tls: Tls,
) -> Result<Connection, (String, String)> {
    let mut connection = Connection::new(address);
    connection.key_file.clone_from(&tls.key_file);
    (connection.trusted, connection.certificate) = tls.read()?;
    connection.timeout = timeout.unwrap_or(connection.timeout);
    connection.max_retries = max_retries.unwrap_or(connection.max_retries);
    Ok(connection)
}

pub(super) fn setter<S: Copy>(setters: &[(&str, S)], field: &str) -> Option<S> {
    setters.iter().find(|(own, _)| *own == field).map(|(_, set)| *set)
}

/// An empty text is what Tyk's examples write for a field that is not used.
pub(super) fn set(field: &mut Option<String>, text: &str) -> Result<(), String> {
    *field = Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    Ok(())
}

fn set_credential(field: &mut Option<Credential>, text: &str) -> Result<(), String> {
    *field = (!text.trim().is_empty()).then(|| Credential::new(text.trim()));
    Ok(())
}

pub(super) fn set_path(field: &mut Option<PathBuf>, text: &str, folder: &Path) -> Result<(), String> {
    *field = (!text.is_empty()).then(|| folder.join(text));
    Ok(())
}

fn set_mount(field: &mut Option<String>, text: &str) -> Result<(), String> {
    if text.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err("a mount is a path such as secret or tenants/a/kv; correct it".into());
    }
    set(field, text.trim_matches('/'))
}

pub(super) fn timeout(text: &str) -> Result<Duration, String> {
    let time = parse_duration(text).filter(|time| !time.is_zero() && *time <= MAX_TIMEOUT);
    time.ok_or_else(|| "a time is written like 5s or 500ms, is not zero, and at most 60s; correct it".into())
}
