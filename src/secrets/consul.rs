//! The key-value store of Consul.
//!
//! <https://developer.hashicorp.com/consul/api-docs/kv>

use reqwest::StatusCode;

use super::{
    Credential, Secret,
    http::{Connection, Fault, Http, hidden},
    local::Local,
};

/// How Consul is asked.
#[derive(Clone, Debug)]
pub struct ConsulSettings {
    /// Where it is.
    pub connection: Connection,
    /// Whose keys; those of the agent's own datacenter, if nothing is said.
    pub datacenter: Option<String>,
    /// The ACL token.
    pub token: Option<Credential>,
    /// A user name and password, for an HTTP server before Consul.
    pub http_auth: Option<(String, Credential)>,
}

#[derive(Debug)]
pub(super) struct Consul {
    settings: ConsulSettings,
    http: Http,
}

impl Consul {
    /// # Errors
    /// A sentence that says what is wrong with the settings.
    pub(super) fn new(settings: ConsulSettings) -> Result<Self, String> {
        Ok(Self { http: Http::new("Consul", &settings.connection)?, settings })
    }

    pub(super) const fn connection(&self) -> &Connection {
        &self.settings.connection
    }

    pub(super) const fn http(&self) -> &Http {
        &self.http
    }

    pub(super) fn credentials(&self) -> impl Iterator<Item = (&'static str, &Credential)> {
        let token = self.settings.token.iter().map(|token| ("token", token));
        token.chain(self.settings.http_auth.iter().map(|(_, password)| ("http_auth.password", password)))
    }

    /// The value of a key.
    pub(super) async fn read(&self, key: &str, local: &Local) -> Result<Secret, Fault> {
        let ConsulSettings { datacenter, token, http_auth, .. } = &self.settings;
        let credential = |credential: &Credential| credential.resolve(local).map_err(Fault::Down);
        let token = token.as_ref().map(credential).transpose()?;
        let token = token.as_deref().map(hidden).transpose()?;
        let password = http_auth.as_ref().map(|(_, password)| credential(password)).transpose()?;
        let mut url = self.http.url(&format!("kv/{key}"));
        url.query_pairs_mut().append_key_only("raw").extend_pairs(datacenter.iter().map(|dc| ("dc", dc)));
        let answer = self.http.send(|client| {
            let mut request = client.get(url.clone());
            if let Some(token) = &token {
                request = request.header("x-consul-token", token);
            }
            if let (Some((user, _)), Some(password)) = (http_auth, &password) {
                request = request.basic_auth(user, Some(&**password));
            }
            request
        });
        let (status, body) = answer.await?;
        let name = &self.http.name;
        match status {
            StatusCode::OK => std::str::from_utf8(&body).map(Secret::from).map_err(|_| {
                Fault::refused(format!("{name} has octets at {key} that are not UTF-8; store a text"))
            }),
            StatusCode::NOT_FOUND => Err(Fault::refused(format!(
                "{name} has no key {key}, or its token may not see it; put it there, or correct the reference"
            ))),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Fault::refused(format!(
                "{name} refuses to read {key} with {status}; its token must be valid and have key:read there"
            ))),
            status => Err(Fault::down(format!("{name} answered {status}; look into its log"))),
        }
    }
}
