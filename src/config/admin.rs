//! Who may use the control API: `admin.secret`, and the list `admin.keys`, which is in the file only. And how it is
//! reached: `admin.tls`.

use std::path::{Path, PathBuf};

use serde_json::Value;
use zeroize::Zeroizing;

use super::kv::read_pem;
use crate::{
    document::{Document, FieldPath, Findings},
    secrets::Secret,
    tls::{ServerIdentity, TrustedAuthorities},
};

/// The name of the key that `admin.secret` is.
const SECRET: &str = "admin.secret";

/// What is said of a file that the other one needs.
const MISSING: &str = "a certificate and its key belong together; name both files";

/// What a key of the control API is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// To look at APIs, policies, key sets, references, the state of reloads, and to ask for explanations.
    Read,
    /// To change APIs and policies.
    Write,
    /// To look at and change API keys.
    Keys,
    /// To reload, and to empty caches.
    Operate,
}

/// A key of the control API.
#[derive(Clone, Debug)]
pub struct AdminKey {
    /// What the audit log calls it.
    pub name: String,
    /// What opens, or a reference to it.
    pub secret: Secret,
    /// What it is for.
    pub roles: Vec<Role>,
}

/// The certificate of the control API, and whose clients may come: files in PEM, read with each reload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdminTls {
    /// Its certificate and the chain after it.
    pub certificate: Option<PathBuf>,
    /// The key of that.
    pub key: Option<PathBuf>,
    /// The authorities of clients, if these need a certificate.
    pub client_ca: Option<PathBuf>,
}

impl AdminTls {
    /// Its files.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        [&self.certificate, &self.key, &self.client_ca].into_iter().flatten().map(PathBuf::as_path)
    }

    /// What the files hold; nothing without any.
    ///
    /// # Errors
    /// The field, and what is wrong with it.
    pub(crate) fn read(&self) -> Result<Option<ServerIdentity>, (&'static str, String)> {
        let (certificate, key) = match (&self.certificate, &self.key) {
            (None, None) if self.client_ca.is_none() => return Ok(None),
            (Some(certificate), Some(key)) => (certificate, key),
            (None, _) => return Err(("admin.tls.certificate", MISSING.into())),
            (_, None) => return Err(("admin.tls.key", MISSING.into())),
        };
        let chain = read_pem(certificate).map_err(|message| ("admin.tls.certificate", message))?;
        let key = read_pem(key).map(Zeroizing::new).map_err(|message| ("admin.tls.key", message))?;
        let of_clients = |message: String| ("admin.tls.clientCa", message);
        let clients = self.client_ca.as_deref().map(|file| {
            TrustedAuthorities::from_pem(&read_pem(file)?).map_err(|e| format!("{}: {e}", file.display()))
        });
        let clients = clients.transpose().map_err(of_clients)?;
        ServerIdentity::from_pem(&chain, &key, clients.as_ref())
            .map(Some)
            .map_err(|e| ("admin.tls.certificate", format!("{}: {e}", certificate.display())))
    }
}

impl Role {
    /// All of them: `admin`.
    pub const ALL: [Self; 4] = [Self::Read, Self::Write, Self::Keys, Self::Operate];

    /// How it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Keys => "keys",
            Self::Operate => "operate",
        }
    }
}

impl AdminKey {
    /// The key that `admin.secret` is: it opens everything.
    #[must_use]
    pub fn of_secret(secret: Secret) -> Self {
        Self { name: SECRET.into(), secret, roles: Role::ALL.into() }
    }

    /// Where it is written.
    #[must_use]
    pub fn place(&self) -> String {
        if self.name == SECRET { SECRET.into() } else { format!("admin.keys ({})", self.name) }
    }
}

/// Reads `admin.keys`, whose form was checked.
pub(super) fn keys(document: &Document, root: &Value, findings: &mut Findings) -> Vec<AdminKey> {
    let all = FieldPath::top().members(&["admin", "keys"]);
    let listed = root.pointer("/admin/keys").and_then(Value::as_array);
    let mut keys: Vec<AdminKey> = Vec::new();
    for (n, value) in listed.into_iter().flatten().enumerate() {
        let at = all.element(n);
        let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().trim();
        let (name, secret) = (text("name"), text("secret"));
        if name.is_empty() || name == SECRET || keys.iter().any(|key| key.name == name) {
            let message = "each key needs a name of its own, which the audit log calls it by; write one";
            findings.error(document, &at.member("name"), message);
        }
        if secret.is_empty() {
            let message = "a key needs a secret; write one, or a reference such as env://DEPLOY_KEY";
            findings.error(document, &at.member("secret"), message);
        }
        let roles = roles(document, &at.member("roles"), value, findings);
        keys.push(AdminKey { name: name.to_owned(), secret: secret.into(), roles });
    }
    keys
}

fn roles(document: &Document, at: &FieldPath, key: &Value, findings: &mut Findings) -> Vec<Role> {
    let mut roles = Vec::new();
    let listed = key.get("roles").and_then(Value::as_array);
    for (n, written) in listed.into_iter().flatten().enumerate() {
        match written.as_str() {
            Some("admin") => roles.extend(Role::ALL),
            Some(name) => match Role::ALL.into_iter().find(|role| role.name() == name) {
                Some(role) => roles.push(role),
                None => {
                    let message = "a role is read, write, keys, operate or admin; write one of these";
                    findings.error(document, &at.element(n), message);
                }
            },
            None => {}
        }
    }
    if listed.is_none_or(Vec::is_empty) {
        findings.error(document, at, "a key without roles opens nothing; list some, such as [read]");
    }
    roles
}
