//! Keys, key sets and claims. Keys are made once for the whole run.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

use claimgate::jwt::{Algorithm, sign::SigningKey};
use serde_json::{Value, json};

use super::server::{Server, respond};

/// The key of this run for an algorithm.
pub(crate) fn key(algorithm: Algorithm) -> Arc<SigningKey> {
    key_named("usual", algorithm)
}

/// Another key for the same algorithm has another name.
pub(crate) fn key_named(name: &'static str, algorithm: Algorithm) -> Arc<SigningKey> {
    type Keys = Mutex<HashMap<(&'static str, Algorithm), Arc<SigningKey>>>;
    static KEYS: LazyLock<Keys> = LazyLock::new(Mutex::default);
    let mut keys = KEYS.lock().unwrap();
    Arc::clone(
        keys.entry((name, algorithm)).or_insert_with(|| Arc::new(SigningKey::generate(algorithm).unwrap())),
    )
}

/// An identity provider: every path leads to the set of these keys, each with its `kid`.
pub(crate) fn provider(keys: &[(&str, Arc<SigningKey>)]) -> Server {
    let keys: Vec<Value> = keys.iter().filter_map(|(kid, key)| key.public_jwk(Some(kid))).collect();
    let body = json!({ "keys": keys }).to_string();
    Server::start(move |_, stream| respond(stream, "200 OK", "application/json", body.as_bytes()))
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Claims of alice that are good for an hour, with changes; `null` takes a claim out.
pub(crate) fn claims(changes: Value) -> Value {
    let mut claims = json!({
        "iss": "https://idp.test",
        "sub": "alice",
        "aud": "orders",
        "iat": now(),
        "exp": now() + 3600,
    });
    super::merge(&mut claims, changes);
    claims
}
