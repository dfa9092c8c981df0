//! API keys: Tyk's routes under `/tyk/keys`.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State, rejection::BytesRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Admin,
    answer::{Unreadable, digest_of, error, in_body, object, switch},
    authorize::{Touched, UNSYNCED},
    routes::Routes,
};
use crate::{
    api_keys::{ApiKeys, ChangeError, Changed, Counted, KeyName, StoredKey},
    config::Role,
    document::{Document, Finding, Severity},
};

/// What Tyk says of a body that it cannot read.
const MALFORMED: &str = "Request malformed";

pub(super) fn routes() -> Routes {
    Routes::default()
        .get("/keys", Role::Keys, list)
        .post("/keys", Role::Keys, create)
        .post("/keys/create", Role::Keys, create)
        .post("/keys/policy/{key}", Role::Keys, apply_policies)
        .get("/keys/{key}", Role::Keys, read)
        .post("/keys/{key}", Role::Keys, put)
        .put("/keys/{key}", Role::Keys, modify)
        .delete("/keys/{key}", Role::Keys, remove)
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
    let keys = admin.control.api_keys();
    if keys.are_whole() { Json(json!({ "keys": keys.hashes() })).into_response() } else { unread() }
}

/// `GET /tyk/keys/{key}`: what a key was told to be.
async fn read(State(admin): State<Admin>, Path(key): Path<String>, Query(named): Query<Named>) -> Response {
    match named.find(admin.control.api_keys(), &key) {
        Some(key) => Json(key.fields()).into_response(),
        None => absent(admin.control.api_keys(), "Key not found"),
    }
}

/// `POST /tyk/keys` and `/tyk/keys/create`: a new key with a random id.
async fn create(State(admin): State<Admin>, body: Result<Bytes, BytesRejection>) -> Response {
    match super::random_id() {
        Some(id) => put_named(admin, id, body).await,
        None => super::no_random(),
    }
}

/// Words of Tyk's routes, which nobody means as the id of a key: `POST /tyk/keys/preview` would leave one that everybody
/// can guess.
const NO_KEYS: [&str; 2] = ["preview", "policy"];

/// `POST /tyk/keys/{key}`: a key with an id of the caller's choice, or what it is from now on; its secret
/// stays unless the body has another one.
async fn put(
    State(admin): State<Admin>,
    Path(key): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    if NO_KEYS.contains(&&*key) {
        return error(StatusCode::NOT_FOUND, "there is no such route here, and no key with this id");
    }
    put_named(admin, key, body).await
}

async fn put_named(admin: Admin, key: String, body: Result<Bytes, BytesRejection>) -> Response {
    let document = match object(body) {
        Ok(document) => document,
        Err(unreadable) => return unreadable.answer(&admin.control, MALFORMED),
    };
    let Some(name) = KeyName::from_text(&key).or_else(|| KeyName::new(org_id(&document), &key)) else {
        return malformed("a key has 3 to 1024 printable ASCII characters, without spaces");
    };
    let answered = json!({
        "key": name.to_text(), "status": "ok", "action": "added", "key_hash": name.tyk_hash(),
    });
    let hash = name.tyk_hash();
    let put = move |keys: &ApiKeys| keys.put(&name, &document);
    change(&admin, hash, "added", answered, put).await
}

/// `PUT /tyk/keys/{key}`: what a key that there is is from now on. Its secret stays unless the body has
/// another one; what has been counted of its limits stays with `?suppress_reset=1`.
async fn modify(
    State(admin): State<Admin>,
    Path(key): Path<String>,
    Query(named): Query<Named>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let document = match object(body) {
        Ok(document) => document,
        Err(unreadable) => return unreadable.answer(&admin.control, MALFORMED),
    };
    let keys = Arc::clone(admin.control.api_keys());
    let of_body = Some(org_id(&document).to_owned()).filter(|org_id| !org_id.is_empty());
    let named = Named { org_id: named.org_id.clone().or(of_body), ..named };
    let Some(stored) = named.find(&keys, &key) else {
        return absent(&keys, "Key is not found");
    };
    let hash = stored.tyk_hash().to_owned();
    let answered = json!({ "key": key, "status": "ok", "action": "modified", "key_hash": hash });
    let counted = if named.suppress_reset { Counted::Kept } else { Counted::Anew };
    change(&admin, hash, "modified", answered, move |keys| keys.modify(&stored, &document, counted)).await
}

/// The body of `POST /tyk/keys/policy/{key}`.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Applied {
    policy: String,
    apply_policies: Vec<String>,
}

/// `POST /tyk/keys/policy/{key}`: the policies that a key has from now on; all else stays. The path has Tyk's
/// hash of the key, or the key.
async fn apply_policies(
    State(admin): State<Admin>,
    Path(key): Path<String>,
    Query(named): Query<Named>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    const UNDECODED: &str = "Couldn't decode instruction";
    let document = match object(body) {
        Ok(document) => document,
        Err(unreadable) => return unreadable.answer(&admin.control, UNDECODED),
    };
    let Applied { policy, apply_policies: mut policies } =
        match serde_json::from_value(document.root().clone()) {
            Ok(applied) => applied,
            Err(why) => {
                return Unreadable { code: StatusCode::BAD_REQUEST, reason: why.to_string() }
                    .answer(&admin.control, UNDECODED);
            }
        };
    policies.extend(Some(policy).filter(|policy| !policy.is_empty()));
    let keys = Arc::clone(admin.control.api_keys());
    let Some(stored) = keys.with_hash(&key).or_else(|| named.find(&keys, &key)) else {
        return absent(&keys, "Key not found");
    };
    let hash = stored.tyk_hash().to_owned();
    let answered = json!({ "key": key, "status": "ok", "action": "updated" });
    change(&admin, hash, "modified", answered, move |keys| keys.apply_policies(&stored, &policies)).await
}

/// `DELETE /tyk/keys/{key}`: the key opens nothing from the next request on.
async fn remove(State(admin): State<Admin>, Path(key): Path<String>, Query(named): Query<Named>) -> Response {
    let keys = Arc::clone(admin.control.api_keys());
    let Some(stored) = named.find(&keys, &key) else {
        return absent(&keys, "There is no such key found");
    };
    let (hash, answered) =
        (stored.tyk_hash().to_owned(), json!({ "key": key, "status": "ok", "action": "deleted" }));
    change(&admin, hash, "deleted", answered, move |keys| keys.remove(&stored)).await
}

/// Makes a change to the key with this hash, and answers; with `warnings` if something is odd about the body.
async fn change(
    admin: &Admin,
    hash: String,
    outcome: &'static str,
    mut answer: Value,
    change: impl FnOnce(&ApiKeys) -> Result<Changed, ChangeError> + Send + 'static,
) -> Response {
    let keys = Arc::clone(admin.control.api_keys());
    let changed = match admin.aside.keys.run(move || change(&keys)).await {
        Ok(changed) => changed,
        Err(undone) => return undone.into_response(),
    };
    let touched = Touched { kind: "key", id: hash, ..Touched::default() };
    let Changed { before, after, odd, unsynced } = match changed {
        Ok(changed) => changed,
        Err(error) => return touched.mark(refused(error)),
    };
    let digest = |key: Option<Arc<StoredKey>>| key.map(|key| digest_of(&key.fields().clone().into()));
    let (before, after) = (digest(before), digest(after));
    if let Some(unsynced) = unsynced {
        let touched = Touched { outcome: Some(UNSYNCED), before, after, ..touched };
        return touched.mark(error(StatusCode::INTERNAL_SERVER_ERROR, &unsynced.to_string()));
    }
    let touched = Touched { outcome: Some(outcome), before, after, ..touched };
    let warnings: Vec<String> = odd.into_iter().map(|finding| in_body(&finding)).collect();
    if let Some(members) = answer.as_object_mut().filter(|_| !warnings.is_empty()) {
        members.insert("warnings".into(), warnings.into());
    }
    touched.mark(Json(answer).into_response())
}

/// The organisation that a body names; the empty text for none.
fn org_id(body: &Document) -> &str {
    body.root().get("org_id").and_then(Value::as_str).unwrap_or_default()
}

fn malformed(reason: &str) -> Response {
    error(StatusCode::BAD_REQUEST, &format!("{MALFORMED}: {reason}"))
}

fn refused(why: ChangeError) -> Response {
    match why {
        ChangeError::Body(findings) => {
            let is_error = |finding: &Finding| finding.severity == Severity::Error;
            let errors = findings.into_iter().filter(is_error);
            let texts: Vec<String> = errors.map(|finding| in_body(&finding)).collect();
            malformed(&texts.join("\n"))
        }
        ChangeError::Gone => error(StatusCode::NOT_FOUND, "Key not found"),
        ChangeError::NoRights => {
            let message = "Failed to create key, keys must have at least one Access Rights record set.";
            error(StatusCode::BAD_REQUEST, message)
        }
        ChangeError::File(why) => error(StatusCode::INTERNAL_SERVER_ERROR, &why.to_string()),
        ChangeError::Shared(why) => {
            let code = if why.is_passing() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::CONFLICT };
            error(code, &why.to_string())
        }
    }
}

/// No key of this name is known here.
fn absent(keys: &ApiKeys, message: &str) -> Response {
    if keys.are_whole() { error(StatusCode::NOT_FOUND, message) } else { unread() }
}

fn unread() -> Response {
    error(StatusCode::SERVICE_UNAVAILABLE, "the keys are in Redis, which cannot be asked at the moment")
}
