//! API definitions: Tyk's routes under `/tyk/apis/oas`, and as much of `/tyk/apis` as an OAS API has.
//!
//! What is read is what is served, as it was written. A change is written to the disk, if the gateway would load
//! it, and acts with the next reload, or at once with `?reload=true`.

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State, rejection::BytesRejection},
    http::{
        HeaderName, StatusCode,
        header::{CONTENT_DISPOSITION, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Admin,
    answer::{error, object},
    change::{Asked, Done, Subject, make},
    routes::Routes,
};
use crate::{
    config::Role,
    definition::view,
    document::MAX_FILE,
    gateway::{Change, Control, Documents},
};

pub(super) fn routes() -> Routes {
    Routes::default()
        .get("/apis", Role::Read, classic_list)
        .post("/apis", Role::Write, no_classic)
        .get("/apis/{id}", Role::Read, classic)
        .put("/apis/{id}", Role::Write, no_classic)
        .delete("/apis/{id}", Role::Write, remove)
        .get("/apis/{id}/versions", Role::Read, versions)
        .get("/apis/oas", Role::Read, list)
        .post("/apis/oas", Role::Write, create)
        .get("/apis/oas/export", Role::Read, export_all)
        .get("/apis/oas/{id}", Role::Read, read)
        .put("/apis/oas/{id}", Role::Write, update)
        .patch("/apis/oas/{id}", Role::Write, patch)
        .delete("/apis/oas/{id}", Role::Write, remove)
        .get("/apis/oas/{id}/versions", Role::Read, versions)
        .get("/apis/oas/{id}/export", Role::Read, export)
        .with_bodies_of(MAX_FILE)
}

/// What of a definition is shown.
#[derive(Deserialize)]
struct Shown {
    /// `public` leaves out what only the gateway is to know.
    #[serde(default)]
    mode: String,
}

impl Shown {
    fn of(&self, document: &Value) -> Value {
        if self.mode == "public" { view::public(document) } else { document.clone() }
    }

    fn all(&self, served: &Documents) -> Vec<Value> {
        served.apis().map(|document| self.of(&document)).collect()
    }
}

/// `GET /tyk/apis/oas`: all definitions.
async fn list(State(admin): State<Admin>, Query(shown): Query<Shown>) -> Response {
    admin.look(move |served| Json(shown.all(served)).into_response()).await
}

/// `GET /tyk/apis/oas/{id}`: one definition.
async fn read(State(admin): State<Admin>, Path(id): Path<String>, Query(shown): Query<Shown>) -> Response {
    let answer = move |served: &Documents| match served.api(&id) {
        Some(document) => Json(shown.of(&document)).into_response(),
        None => unknown(),
    };
    admin.look(answer).await
}

/// `GET /tyk/apis/oas/export`: all definitions, as a file.
async fn export_all(State(admin): State<Admin>, Query(shown): Query<Shown>) -> Response {
    admin.look(move |served| file("oas-export", &shown.all(served).into())).await
}

/// `GET /tyk/apis/oas/{id}/export`: one definition, as a file.
async fn export(State(admin): State<Admin>, Path(id): Path<String>, Query(shown): Query<Shown>) -> Response {
    let answer = move |served: &Documents| match served.api(&id) {
        // The id of a definition that is served has nothing in it that means something in a header field.
        Some(document) => file(&format!("oas-export-{id}"), &shown.of(&document)),
        None => unknown(),
    };
    admin.look(answer).await
}

fn file(name: &str, content: &Value) -> Response {
    let disposition = format!("attachment; filename=\"{name}.json\"");
    let fields: [(HeaderName, String); 2] =
        [(CONTENT_TYPE, "application/octet-stream".into()), (CONTENT_DISPOSITION, disposition)];
    (fields, content.to_string()).into_response()
}

/// `GET /tyk/apis`: the classic form of all APIs.
async fn classic_list(State(admin): State<Admin>) -> Response {
    let all = |served: &Documents| served.apis().map(|document| view::classic(&document)).collect();
    admin.look(move |served| Json::<Vec<Value>>(all(served)).into_response()).await
}

/// `GET /tyk/apis/{id}`: the classic form of one API.
async fn classic(State(admin): State<Admin>, Path(id): Path<String>) -> Response {
    let answer = move |served: &Documents| match served.api(&id) {
        Some(document) => Json(view::classic(&document)).into_response(),
        None => unknown(),
    };
    admin.look(answer).await
}

/// `POST /tyk/apis`, `PUT /tyk/apis/{id}`.
async fn no_classic() -> Response {
    let message = "classic API definitions are not read; send a Tyk OAS definition to /tyk/apis/oas";
    error(StatusCode::BAD_REQUEST, message)
}

/// `GET /tyk/apis/oas/{id}/versions`: the APIs that are versions of one, itself first.
async fn versions(State(admin): State<Admin>, Path(id): Path<String>) -> Response {
    admin.look(move |served| versions_of(served, &id)).await
}

fn versions_of(served: &Documents, id: &str) -> Response {
    let Some(document) = served.api(id) else { return unknown() };
    let describe = |(name, id, is_default): (&str, &str, bool)| {
        let classic = served.api(id).map(|document| view::classic(&document)).unwrap_or_default();
        json!({
            "id": id,
            "name": classic.get("name"),
            "versionName": name,
            "internal": classic.get("internal").and_then(Value::as_bool).unwrap_or_default(),
            "expirationDate": classic.get("expiration").and_then(Value::as_str).unwrap_or_default(),
            "isDefaultVersion": is_default,
        })
    };
    let versions: Vec<Value> = view::versions(&document).into_iter().map(describe).collect();
    Json(json!({ "status": "success", "apis": versions })).into_response()
}

/// `POST /tyk/apis/oas`: a new API, or what an API is from now on. Without an id it gets a random one.
async fn create(State(admin): State<Admin>, asked: Asked, body: Result<Bytes, BytesRejection>) -> Response {
    let prepare = |control: &Control| {
        let mut document = definition(control, body)?;
        if view::id(&document).is_none() {
            let id = super::random_id().ok_or_else(super::no_random)?;
            view::set_id(&mut document, &id);
        }
        let id = view::id(&document).unwrap_or_default().to_owned();
        if !super::is_good_id(&id) {
            return Err(error(StatusCode::BAD_REQUEST, "Invalid API ID").into());
        }
        Ok((subject(&id), Change::PutApi { id, document }))
    };
    make(admin, Done::Added, asked, prepare).await
}

/// `PUT /tyk/apis/oas/{id}`: what an API that is served is from now on.
async fn update(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    asked: Asked,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let prepare = |control: &Control| {
        let document = definition(control, body)?;
        must_be_served(control, &id)?;
        if view::id(&document) != Some(&*id) {
            return Err(other_id());
        }
        Ok((subject(&id), Change::PutApi { id, document }))
    };
    make(admin, Done::Modified, asked, prepare).await
}

/// `PATCH /tyk/apis/oas/{id}`: a new OpenAPI document for an API that is served. What it tells the gateway stays
/// as it is, unless the body has that too.
async fn patch(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    asked: Asked,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let prepare = |control: &Control| {
        let openapi = openapi(control, body)?;
        must_be_served(control, &id)?;
        if view::has_extension(&openapi) && view::id(&openapi) != Some(&*id) {
            return Err(other_id());
        }
        Ok((subject(&id), Change::PatchApi { id, openapi }))
    };
    make(admin, Done::Modified, asked, prepare).await
}

/// `DELETE /tyk/apis/oas/{id}`: there is no such API any more.
async fn remove(State(admin): State<Admin>, Path(id): Path<String>, asked: Asked) -> Response {
    let prepare = |control: &Control| {
        must_be_served(control, &id)?;
        Ok((subject(&id), Change::RemoveApi { id }))
    };
    make(admin, Done::Deleted, asked, prepare).await
}

fn subject(id: &str) -> Subject {
    Subject { kind: "api", id: id.to_owned() }
}

fn must_be_served(control: &Control, id: &str) -> Result<(), Box<Response>> {
    if control.served().api(id).is_some() { Ok(()) } else { Err(Box::new(unknown())) }
}

fn unknown() -> Response {
    error(StatusCode::NOT_FOUND, "API not found")
}

fn other_id() -> Box<Response> {
    let message = "Request APIID does not match that in Definition! For Update operations these must match.";
    Box::new(error(StatusCode::BAD_REQUEST, message))
}

/// The body as an OpenAPI document.
fn openapi(control: &Control, body: Result<Bytes, BytesRejection>) -> Result<Value, Box<Response>> {
    let document =
        object(body).map_err(|unreadable| Box::new(unreadable.answer(control, "request malformed")));
    document.map(|mut document| document.take_root())
}

/// The body as a definition.
fn definition(control: &Control, body: Result<Bytes, BytesRejection>) -> Result<Value, Box<Response>> {
    let document = openapi(control, body)?;
    if view::has_extension(&document) {
        Ok(document)
    } else {
        Err(Box::new(error(StatusCode::BAD_REQUEST, "the payload should contain x-tyk-api-gateway")))
    }
}
