//! The key-value stores of Vault, versions 1 and 2.
//!
//! <https://developer.hashicorp.com/vault/api-docs/secret/kv>

use std::time::Duration;

use reqwest::{StatusCode, header::HeaderValue};
use serde_json::Value;
use tokio::{sync::Mutex, time::Instant};

use super::{
    Credential, Secret,
    http::{Answer, Connection, Fault, Http, hidden},
    json,
    local::Local,
};

/// How Vault is asked.
#[derive(Clone, Debug)]
pub struct VaultSettings {
    /// Where it is, or where an agent before it is.
    pub connection: Connection,
    /// The namespace of an enterprise Vault.
    pub namespace: Option<String>,
    /// How a token is had.
    pub login: VaultLogin,
    /// The version of the key-value engine.
    pub version: KvVersion,
    /// Where the engine is mounted, if that is more than the first segment of a path.
    pub mount_path: Option<String>,
}

/// How Vault knows us.
#[derive(Clone, Debug)]
pub enum VaultLogin {
    /// By a token that somebody else renews.
    Token(Credential),
    /// By a role, whose tokens are fetched and replaced as they end.
    AppRole {
        /// The role.
        role_id: Credential,
        /// Its secret.
        secret_id: Credential,
        /// Where the method is mounted, `approle` if nothing is said.
        mount_path: String,
    },
    /// By the agent, which adds its own token.
    Agent,
}

/// The version of a key-value engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KvVersion {
    /// Secrets as they are.
    One,
    /// Secrets with earlier versions.
    Two,
}

pub(super) struct Vault {
    settings: VaultSettings,
    http: Http,
    /// The token of the role, and when it is to be replaced. Held while one is fetched, so that one is.
    token: Mutex<Option<(HeaderValue, Option<Instant>)>>,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Vault {
    /// # Errors
    /// A sentence that says what is wrong with the settings.
    pub(super) fn new(settings: VaultSettings) -> Result<Self, String> {
        Ok(Self { http: Http::new("Vault", &settings.connection)?, settings, token: Mutex::default() })
    }

    pub(super) const fn connection(&self) -> &Connection {
        &self.settings.connection
    }

    pub(super) const fn http(&self) -> &Http {
        &self.http
    }

    pub(super) fn credentials(&self) -> Vec<(&'static str, &Credential)> {
        match &self.settings.login {
            VaultLogin::Token(token) => vec![("token", token)],
            VaultLogin::AppRole { role_id, secret_id, .. } => {
                vec![("approle.role_id", role_id), ("approle.secret_id", secret_id)]
            }
            VaultLogin::Agent => Vec::new(),
        }
    }

    /// All fields of a secret, as a JSON object.
    pub(super) async fn read(&self, path: &str, local: &Local) -> Result<Secret, Fault> {
        let path = self.api_path(path)?;
        let token = self.token(local, None).await?;
        let mut answer = self.get(&path, token.as_ref()).await?;
        if answer.0 == StatusCode::FORBIDDEN
            && let (VaultLogin::AppRole { .. }, Some(refused)) = (&self.settings.login, &token)
        {
            // It may have been revoked.
            let token = self.token(local, Some(refused)).await?;
            answer = self.get(&path, token.as_ref()).await?;
        }
        self.fields(&path, &answer)
    }

    /// The path of a secret in the API. Version 2 has `data` behind the mount.
    fn api_path(&self, path: &str) -> Result<String, Fault> {
        let mount = self.settings.mount_path.as_deref();
        let (mount, rest) = match mount {
            Some(mount) => (mount, path.strip_prefix(mount).and_then(|rest| rest.strip_prefix('/'))),
            None => path.split_once('/').map_or((path, None), |(mount, rest)| (mount, Some(rest))),
        };
        let rest = rest.ok_or_else(|| {
            Fault::refused(format!(
                "{path} is not the path of a secret below the mount {mount}; write {mount}/NAME"
            ))
        })?;
        Ok(match self.settings.version {
            KvVersion::One => format!("{mount}/{rest}"),
            KvVersion::Two => format!("{mount}/data/{rest}"),
        })
    }

    async fn get(&self, path: &str, token: Option<&HeaderValue>) -> Result<Answer, Fault> {
        let url = self.http.url(path);
        let namespace = self.settings.namespace.as_deref();
        let send = self.http.send(|client| {
            let request = client.get(url.clone()).header("x-vault-request", "true");
            let request =
                token.into_iter().fold(request, |request, token| request.header("x-vault-token", token));
            namespace.into_iter().fold(request, |request, name| request.header("x-vault-namespace", name))
        });
        send.await
    }

    fn fields(&self, path: &str, (status, body): &Answer) -> Result<Secret, Fault> {
        let name = &self.http.name;
        match *status {
            StatusCode::OK => {
                let pointer = match self.settings.version {
                    KvVersion::One => "/data",
                    KvVersion::Two => "/data/data",
                };
                json::object_at(body, pointer).ok_or_else(|| {
                    Fault::refused(format!(
                        "{name} has no fields at {path}; kv_version may be that of another engine"
                    ))
                })
            }
            StatusCode::NOT_FOUND => Err(Fault::refused(format!(
                "{name} has no secret at {path}; put it there, or correct the path or kv_version"
            ))),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Fault::refused(format!(
                "{name} refuses to read {path} with {status}; its token must be valid, not revoked, and have a policy that lets it read there"
            ))),
            StatusCode::BAD_REQUEST => Err(Fault::refused(format!(
                "{name} cannot read {path} and answered {status}; correct the path, kv_version or namespace"
            ))),
            StatusCode::SERVICE_UNAVAILABLE => Err(Fault::down(format!(
                "{name} is sealed, or not able to serve; unseal it, or look into its log"
            ))),
            status => Err(Fault::down(format!("{name} answered {status}; look into its log"))),
        }
    }

    /// The token to ask with: not `refused`, if that is one of a role.
    async fn token(
        &self,
        local: &Local,
        refused: Option<&HeaderValue>,
    ) -> Result<Option<HeaderValue>, Fault> {
        match &self.settings.login {
            VaultLogin::Agent => Ok(None),
            VaultLogin::Token(token) => hidden(&token.resolve(local).map_err(Fault::Down)?).map(Some),
            VaultLogin::AppRole { role_id, secret_id, mount_path } => {
                let mut held = self.token.lock().await;
                if let Some((token, ends)) = &*held
                    && refused != Some(token)
                    && ends.is_none_or(|ends| Instant::now() < ends)
                {
                    return Ok(Some(token.clone()));
                }
                let role_id = role_id.resolve(local).map_err(Fault::Down)?;
                let secret_id = secret_id.resolve(local).map_err(Fault::Down)?;
                let (token, lease) = self.log_in(mount_path, &role_id, &secret_id).await?;
                // Ahead of its end; without a lease it has none.
                let ends = (!lease.is_zero()).then(|| Instant::now() + lease.mul_f64(0.8));
                *held = Some((token.clone(), ends));
                Ok(Some(token))
            }
        }
    }

    async fn log_in(
        &self,
        mount: &str,
        role_id: &str,
        secret_id: &str,
    ) -> Result<(HeaderValue, Duration), Fault> {
        let name = &self.http.name;
        let url = self.http.url(&format!("auth/{mount}/login"));
        let body =
            Secret::from(serde_json::json!({ "role_id": role_id, "secret_id": secret_id }).to_string());
        let namespace = self.settings.namespace.as_deref();
        let send = self.http.send(|client| {
            let request = client.post(url.clone()).header("x-vault-request", "true").body(body.to_string());
            namespace.into_iter().fold(request, |request, name| request.header("x-vault-namespace", name))
        });
        let (status, body) = send.await?;
        if status == StatusCode::SERVICE_UNAVAILABLE {
            return Err(Fault::down(format!(
                "{name} is sealed, or not able to serve; unseal it, or look into its log"
            )));
        }
        if status != StatusCode::OK {
            return Err(Fault::down(format!(
                "{name} refuses the login of the role at auth/{mount} with {status}; correct role_id and secret_id, or make a new secret_id"
            )));
        }
        let answer = json::Wiped::parse(&body);
        let auth = answer.as_ref().and_then(|answer| answer.0.get("auth"));
        let token = auth.and_then(|auth| auth.get("client_token")).and_then(Value::as_str);
        let lease =
            auth.and_then(|auth| auth.get("lease_duration")).and_then(Value::as_u64).unwrap_or_default();
        let token = token.ok_or_else(|| Fault::down(format!("{name} answered a login without a token")))?;
        Ok((hidden(token)?, Duration::from_secs(lease)))
    }
}
