//! Policies: Tyk's routes under `/tyk/policies`.
//!
//! What is read is what is served, as it was written. A change is written to the disk, if the gateway would load
//! it, and acts with the next reload, or at once with `?reload=true`.

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State, rejection::BytesRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::Value;

use super::{
    Admin,
    answer::{error, object},
    change::{AskedOfPolicy, Done, Prepared, Subject, make},
    routes::Routes,
};
use crate::{
    config::Role,
    document::MAX_FILE,
    gateway::{Change, Control, Documents},
};

pub(super) fn routes() -> Routes {
    Routes::default()
        .get("/policies", Role::Read, list)
        .post("/policies", Role::Write, create)
        .get("/policies/{id}", Role::Read, read)
        .post("/policies/{id}", Role::Write, create_named)
        .put("/policies/{id}", Role::Write, update)
        .delete("/policies/{id}", Role::Write, remove)
        .with_bodies_of(MAX_FILE)
}

/// What tells policies of one id apart.
#[derive(Deserialize)]
struct Of {
    org_id: Option<String>,
}

/// `GET /tyk/policies`: all policies.
async fn list(State(admin): State<Admin>) -> Response {
    admin.look(|served| Json(served.policies().collect::<Vec<Value>>()).into_response()).await
}

/// `GET /tyk/policies/{id}`: one policy.
async fn read(State(admin): State<Admin>, Path(id): Path<String>, Query(of): Query<Of>) -> Response {
    let answer = move |served: &Documents| match served.policy(&id, of.org_id.as_deref()) {
        Some(policy) => Json(policy).into_response(),
        None => error(StatusCode::NOT_FOUND, "Policy not found"),
    };
    admin.look(answer).await
}

/// `POST /tyk/policies`: a new policy, or what a policy is from now on.
async fn create(
    State(admin): State<Admin>,
    asked: AskedOfPolicy,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    put(admin, None, Done::Added, asked, body).await
}

/// `POST /tyk/policies/{id}`: the same, of the id that is in the body too.
async fn create_named(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    asked: AskedOfPolicy,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    put(admin, Some(id), Done::Added, asked, body).await
}

/// `PUT /tyk/policies/{id}`: what a policy is from now on. As in Tyk it need not be there.
async fn update(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    asked: AskedOfPolicy,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    put(admin, Some(id), Done::Modified, asked, body).await
}

async fn put(
    admin: Admin,
    named: Option<String>,
    done: Done,
    asked: AskedOfPolicy,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let AskedOfPolicy { asked, org_id } = asked;
    make(admin, done, asked, move |control| prepare(control, named, org_id.as_deref(), body)).await
}

fn prepare(
    control: &Control,
    named: Option<String>,
    of: Option<&str>,
    body: Result<Bytes, BytesRejection>,
) -> Prepared {
    let bad = |message: &str| Err(Box::new(error(StatusCode::BAD_REQUEST, message)));
    let policy = match object(body) {
        Ok(mut document) => document.take_root(),
        Err(unreadable) => return Err(Box::new(unreadable.answer(control, "Request malformed"))),
    };
    let Some(id) = policy.get("id").and_then(Value::as_str).filter(|id| !id.is_empty()) else {
        return bad("Unable to create policy without id.");
    };
    if named.is_some_and(|named| named != id) {
        return bad("Request ID does not match that in policy! For Update operations these must match.");
    }
    let org_id = policy.get("org_id").and_then(Value::as_str).unwrap_or_default();
    if of.is_some_and(|of| of != org_id) {
        return bad(
            "Request org_id does not match that in policy! Write the same in both, or leave it out of the query.",
        );
    }
    if !super::is_good_id(id) {
        return bad("Invalid Policy ID: Allowed characters: a-z, A-Z, 0-9, ., _, -, ~");
    }
    let id = id.to_owned();
    Ok((subject(&id), Change::PutPolicy { id, policy }))
}

/// `DELETE /tyk/policies/{id}`: there is no such policy any more.
async fn remove(State(admin): State<Admin>, Path(id): Path<String>, asked: AskedOfPolicy) -> Response {
    let AskedOfPolicy { asked, org_id } = asked;
    make(admin, Done::Deleted, asked, |_| Ok((subject(&id), Change::RemovePolicy { id, org_id }))).await
}

fn subject(id: &str) -> Subject {
    Subject { kind: "policy", id: id.to_owned() }
}
