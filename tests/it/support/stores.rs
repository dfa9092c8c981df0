//! A small Consul and a small Vault: the parts of their HTTP APIs that the gateway uses.

use std::{
    collections::HashMap,
    net::TcpStream,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};

use super::server::{Recorded, Server, respond};

pub(crate) const TOKEN: &str = "token-of-the-gateway";
pub(crate) const ROLE_ID: &str = "role-of-the-gateway";
pub(crate) const SECRET_ID: &str = "secret-of-the-role";

/// What a store answers to everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Well,
    /// 500, or in Vault 503: it is sealed.
    Down,
    /// 403.
    Denying,
}

/// What is in a store.
#[derive(Debug)]
struct Inside {
    mood: Mood,
    values: HashMap<String, String>,
    /// The tokens that are good now.
    tokens: Vec<String>,
}

/// A store that can be changed while it runs.
pub(crate) struct Store {
    server: Server,
    inside: Arc<Mutex<Inside>>,
}

impl Store {
    /// Keys of Consul at `/v1/kv/`.
    pub(crate) fn consul() -> Self {
        Self::start(|inside, request, stream| {
            let token = request.values("x-consul-token");
            let path = request.target().strip_prefix("/v1/kv/").and_then(|path| path.split('?').next());
            let value = path.and_then(|path| inside.values.get(path));
            match (inside.mood, value) {
                (Mood::Down, _) => {
                    respond(stream, "500 Internal Server Error", "text/plain", b"No cluster leader")
                }
                (Mood::Well, _) if !inside.knows(&token) => {
                    respond(stream, "403 Forbidden", "text/plain", b"ACL not found")
                }
                (Mood::Denying, _) => respond(stream, "403 Forbidden", "text/plain", b"Permission denied"),
                (Mood::Well, Some(value)) => respond(stream, "200 OK", "text/plain", value.as_bytes()),
                (Mood::Well, None) => respond(stream, "404 Not Found", "text/plain", b""),
            }
        })
    }

    /// Secrets of Vault by their path in the API: `secret/data/app` in version 2, `kv1/app` in version 1.
    /// The values are JSON objects.
    pub(crate) fn vault() -> Self {
        Self::start(|inside, request, stream| {
            let denied = |stream: &mut TcpStream| {
                respond(stream, "403 Forbidden", "application/json", br#"{"errors":["permission denied"]}"#)
            };
            let Some(path) = request.target().strip_prefix("/v1/") else { return false };
            if inside.mood == Mood::Down {
                let sealed = br#"{"errors":["Vault is sealed"]}"#;
                return respond(stream, "503 Service Unavailable", "application/json", sealed);
            }
            if path == "auth/approle/login" {
                let login: Value = serde_json::from_slice(&request.body).unwrap();
                if login != json!({ "role_id": ROLE_ID, "secret_id": SECRET_ID }) {
                    return respond(
                        stream,
                        "400 Bad Request",
                        "application/json",
                        br#"{"errors":["invalid role"]}"#,
                    );
                }
                let token = format!("token-of-the-role-{}", inside.tokens.len());
                inside.tokens.push(token.clone());
                let auth = json!({ "auth": { "client_token": token, "lease_duration": 3600 } });
                return respond(stream, "200 OK", "application/json", auth.to_string().as_bytes());
            }
            if inside.mood == Mood::Denying || !inside.knows(&request.values("x-vault-token")) {
                return denied(stream);
            }
            let Some(secret) = inside.values.get(path) else {
                return respond(stream, "404 Not Found", "application/json", br#"{"errors":[]}"#);
            };
            let secret: Value = serde_json::from_str(secret).unwrap();
            let data =
                if path.contains("/data/") { json!({ "data": secret, "metadata": {} }) } else { secret };
            respond(stream, "200 OK", "application/json", json!({ "data": data }).to_string().as_bytes())
        })
    }

    fn start(
        answer: impl Fn(&mut Inside, &Recorded, &mut TcpStream) -> bool + Send + Sync + 'static,
    ) -> Self {
        let inside = Inside { mood: Mood::Well, values: HashMap::new(), tokens: vec![TOKEN.into()] };
        let inside = Arc::new(Mutex::new(inside));
        let own = Arc::clone(&inside);
        let server = Server::start(move |request, stream| answer(&mut own.lock().unwrap(), request, stream));
        Self { server, inside }
    }

    pub(crate) fn with(self, path: &str, value: &str) -> Self {
        self.put(path, value);
        self
    }

    pub(crate) fn put(&self, path: &str, value: &str) {
        self.inside.lock().unwrap().values.insert(path.into(), value.into());
    }

    pub(crate) fn set_mood(&self, mood: Mood) {
        self.inside.lock().unwrap().mood = mood;
    }

    /// Every token that was good is good no more.
    pub(crate) fn revoke_all(&self) {
        for token in &mut self.inside.lock().unwrap().tokens {
            token.push_str("-revoked");
        }
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    /// Host and port.
    pub(crate) fn address(&self) -> String {
        self.server.address().to_string()
    }

    /// What was asked for, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.server.recorded().iter().map(|request| request.target().to_owned()).collect()
    }

    pub(crate) fn recorded(&self) -> Vec<Recorded> {
        self.server.recorded()
    }
}

impl Inside {
    fn knows(&self, tokens: &[&str]) -> bool {
        matches!(tokens, [token] if self.tokens.iter().any(|own| own == token))
    }
}
