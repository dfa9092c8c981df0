//! Whether the gateway is up, and how it is doing: for everybody who can reach the listener.

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::{MethodRouter, get},
};
use serde_json::{Map, Value, json};

use super::{Admin, answer::error};
use crate::{redis::Condition, telemetry};

pub(super) fn routes() -> Router<Admin> {
    Router::new()
        .route("/hello", alone(get(hello)))
        .route("/ready", alone(get(ready)))
        .route("/metrics", get(metrics))
}

/// In Tyk only GET is answered here, and HEAD is not.
fn alone(get: MethodRouter<Admin>) -> MethodRouter<Admin> {
    get.head(not_allowed).fallback(not_allowed)
}

async fn not_allowed() -> Response {
    error(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
}

/// `GET /hello`: the process is alive.
async fn hello(State(admin): State<Admin>) -> Json<Value> {
    Json(health(&admin, "pass"))
}

/// `GET /ready`: requests are served. Without Redis a node goes on as its limits say: taking it out of service
/// would make that worse.
async fn ready(State(admin): State<Admin>) -> (StatusCode, Json<Value>) {
    if admin.control.is_ready() {
        (StatusCode::OK, Json(health(&admin, "pass")))
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, Json(health(&admin, "fail")))
    }
}

fn health(admin: &Admin, status: &str) -> Value {
    let mut details = Map::new();
    if let Some(redis) = admin.control.redis() {
        let status = if redis.condition() == Condition::Up { "pass" } else { "fail" };
        details.insert("redis".into(), json!({ "status": status, "componentType": "datastore" }));
    }
    json!({
        "status": status,
        "version": env!("CARGO_PKG_VERSION"),
        "description": "Claimgate",
        "details": details,
    })
}

async fn metrics(State(admin): State<Admin>) -> impl IntoResponse {
    ([(CONTENT_TYPE, telemetry::CONTENT_TYPE)], admin.control.exposition())
}
