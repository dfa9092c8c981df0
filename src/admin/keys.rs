//! API keys: Tyk's routes under `/tyk/keys`.

use std::{path::Path as FilePath, sync::Arc};

use aws_lc_rs::rand;
use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use super::{Admin, status, switch};
use crate::{
    api_keys::{ApiKeys, ChangeError, Counted, FileError, KeyName, StoredKey},
    document::{Document, Finding, Findings, Severity},
};

pub(super) fn routes() -> Router<Admin> {
    Router::new()
        .route("/keys", get(list).post(create))
        .route("/keys/create", post(create))
        .route("/keys/{key}", get(read).post(put).put(modify).delete(remove))
}

/// What the query of a request says of the key in its path.
#[derive(Deserialize)]
struct Named {
    /// The path has Tyk's hash of the key.
    #[serde(default, deserialize_with = "switch")]
    hashed: bool,
    /// What has been counted of its limits stays.
    #[serde(default, deserialize_with = "switch")]
    suppress_reset: bool,
    /// The organisation, where the path has an id alone.
    org_id: Option<String>,
}

impl Named {
    fn find(&self, keys: &ApiKeys, key: &str) -> Option<Arc<StoredKey>> {
        if self.hashed { keys.with_hash(key) } else { keys.named(key, self.org_id.as_deref()) }
    }
}

/// `GET /tyk/keys`: Tyk's hashes of all keys.
async fn list(State(admin): State<Admin>) -> Response {
    Json(json!({ "keys": admin.control.api_keys().hashes() })).into_response()
}

/// `GET /tyk/keys/{key}`: what a key was told to be.
async fn read(State(admin): State<Admin>, Path(key): Path<String>, Query(named): Query<Named>) -> Response {
    match named.find(admin.control.api_keys(), &key) {
        Some(key) => Json(key.fields()).into_response(),
        None => status(StatusCode::NOT_FOUND, "error", "Key not found"),
    }
}

/// `POST /tyk/keys` and `/tyk/keys/create`: a new key with a random id.
async fn create(State(admin): State<Admin>, body: Bytes) -> Response {
    let Some(id) = random_id() else {
        return status(StatusCode::INTERNAL_SERVER_ERROR, "error", "the system gives no random numbers");
    };
    put_named(admin, id, &body).await
}

/// `POST /tyk/keys/{key}`: a key with an id of the caller's choice, or what it is from now on; its secret
/// stays unless the body has another one.
async fn put(State(admin): State<Admin>, Path(key): Path<String>, body: Bytes) -> Response {
    put_named(admin, key, &body).await
}

async fn put_named(admin: Admin, key: String, body: &[u8]) -> Response {
    let document = match document(body) {
        Ok(document) => document,
        Err(reason) => return malformed(&reason),
    };
    let org_id = document.root().get("org_id").and_then(|org_id| org_id.as_str()).unwrap_or_default();
    let Some(name) = KeyName::from_text(&key).or_else(|| KeyName::new(org_id, &key)) else {
        return malformed("a key has 3 to 1024 printable ASCII characters, without spaces");
    };
    let answered = added(&name);
    let keys = Arc::clone(admin.control.api_keys());
    match spawn_blocking(move || keys.put(&name, &document)).await {
        Ok(Ok(odd)) => changed(answered, odd),
        Ok(Err(error)) => refused(error),
        Err(_) => ended(),
    }
}

/// `PUT /tyk/keys/{key}`: what a key that there is is from now on. Its secret stays unless the body has
/// another one; what has been counted of its limits stays with `?suppress_reset=1`.
async fn modify(
    State(admin): State<Admin>,
    Path(key): Path<String>,
    Query(named): Query<Named>,
    body: Bytes,
) -> Response {
    let document = match document(&body) {
        Ok(document) => document,
        Err(reason) => return malformed(&reason),
    };
    let keys = Arc::clone(admin.control.api_keys());
    let of_body = document.root().get("org_id").and_then(|org_id| org_id.as_str()).map(str::to_owned);
    let named = Named { org_id: named.org_id.clone().or(of_body), ..named };
    let Some(stored) = named.find(&keys, &key) else {
        return status(StatusCode::NOT_FOUND, "error", "Key is not found");
    };
    let answered = json!({
        "key": key, "status": "ok", "action": "modified", "key_hash": stored.tyk_hash(),
    });
    let counted = if named.suppress_reset { Counted::Kept } else { Counted::Anew };
    match spawn_blocking(move || keys.modify(&stored, &document, counted)).await {
        Ok(Ok(odd)) => changed(answered, odd),
        Ok(Err(error)) => refused(error),
        Err(_) => ended(),
    }
}

/// `DELETE /tyk/keys/{key}`: the key opens nothing from the next request on.
async fn remove(State(admin): State<Admin>, Path(key): Path<String>, Query(named): Query<Named>) -> Response {
    let keys = Arc::clone(admin.control.api_keys());
    let Some(stored) = named.find(&keys, &key) else {
        return status(StatusCode::NOT_FOUND, "error", "There is no such key found");
    };
    match spawn_blocking(move || keys.remove(&stored)).await {
        Ok(Ok(())) => Json(json!({ "key": key, "status": "ok", "action": "deleted" })).into_response(),
        Ok(Err(error)) => unwritten(&error),
        Err(_) => ended(),
    }
}

/// The body as a document, or what is wrong with it.
fn document(body: &[u8]) -> Result<Document, String> {
    let text = std::str::from_utf8(body).map_err(|_| "the body is not UTF-8")?;
    let document = Document::parse(FilePath::new("body.json"), text.to_owned());
    let document = document.map_err(|finding| finding.message)?;
    if document.root().is_object() { Ok(document) } else { Err("an object is expected".into()) }
}

fn malformed(reason: &str) -> Response {
    status(StatusCode::BAD_REQUEST, "error", &format!("Request malformed: {reason}"))
}

fn added(name: &KeyName) -> Value {
    json!({
        "key": name.to_text(), "status": "ok", "action": "added", "key_hash": name.tyk_hash(),
    })
}

/// Tyk's answer; with `warnings` if something is odd about the body.
fn changed(mut answer: Value, odd: Findings) -> Response {
    let warnings: Vec<String> = odd.into_iter().map(text).collect();
    if let Some(members) = answer.as_object_mut().filter(|_| !warnings.is_empty()) {
        members.insert("warnings".into(), warnings.into());
    }
    Json(answer).into_response()
}

/// What is wrong with a body, and where.
fn text(finding: Finding) -> String {
    match finding.field {
        Some(field) if !field.is_empty() => format!("{field}: {}", finding.message),
        _ => finding.message,
    }
}

fn refused(error: ChangeError) -> Response {
    match error {
        ChangeError::Body(findings) => {
            let errors = findings.sorted().into_iter().filter(|finding| finding.severity == Severity::Error);
            let texts: Vec<String> = errors.map(text).collect();
            malformed(&texts.join("\n"))
        }
        ChangeError::NoRights => {
            let message = "Failed to create key, keys must have at least one Access Rights record set.";
            status(StatusCode::BAD_REQUEST, "error", message)
        }
        ChangeError::File(error) => unwritten(&error),
    }
}

fn unwritten(error: &FileError) -> Response {
    status(StatusCode::INTERNAL_SERVER_ERROR, "error", &error.to_string())
}

fn ended() -> Response {
    status(StatusCode::INTERNAL_SERVER_ERROR, "error", "the change ended unexpectedly")
}

/// 128 random bits, in hexadecimal digits.
fn random_id() -> Option<String> {
    let mut octets = [0; 16];
    rand::fill(&mut octets).ok()?;
    Some(octets.iter().map(|octet| format!("{octet:02x}")).collect())
}
