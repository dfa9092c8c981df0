//! The control API: its own listener, with Tyk's routes, bodies and codes.
//!
//! `/hello`, `/ready` and `/metrics` answer everybody who can reach the listener. Everything under `/tyk/` needs
//! the secret in `x-tyk-authorization`; without a secret in the configuration nobody has it.

mod explain;
mod jwks;
mod keys;

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use aws_lc_rs::{constant_time, digest};
use axum::{
    Json, Router,
    extract::{Query, Request, State},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::get,
};
use hyper::body::Incoming;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use tokio::{runtime::Handle, sync::watch, task::spawn_blocking};
use tower_service::Service as _;
use tracing::error;

use crate::{
    gateway::Control,
    redis::Condition,
    server::{self, Limits},
    telemetry,
};

const AUTHORIZATION: &str = "x-tyk-authorization";

#[derive(Clone)]
struct Admin {
    control: Arc<Control>,
    tasks: Handle,
}

/// Serves the control API until `stop` turns true.
pub(crate) async fn serve(
    listener: TcpListener,
    control: Arc<Control>,
    tasks: Handle,
    limits: Limits,
    stop: watch::Receiver<bool>,
) {
    let admin = Admin { control, tasks };
    let guarded = Router::new()
        .route("/reload", get(reload))
        .route("/reload/", get(reload))
        .route("/reload/group", get(reload))
        .route("/kv/status", get(references))
        .merge(jwks::routes())
        .merge(explain::routes())
        .merge(keys::routes())
        .fallback(|| async { (StatusCode::NOT_FOUND, "Not Found") })
        .layer(from_fn_with_state(admin.clone(), authorize));
    let app = Router::new()
        .route("/hello", get(hello))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .nest("/tyk", guarded)
        .with_state(admin);
    let answer = move |_: SocketAddr, request: hyper::Request<Incoming>| {
        let answered = app.clone().call(request);
        async { answered.await.unwrap_or_else(|never| match never {}) }
    };
    match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => server::serve(listener, answer, limits, stop).await,
        Err(error) => error!(%error, "the control API cannot listen"),
    }
}

async fn hello() -> Json<Value> {
    Json(json!({ "status": "pass", "version": env!("CARGO_PKG_VERSION"), "description": "Claimgate" }))
}

async fn ready(State(admin): State<Admin>) -> (StatusCode, Json<Value>) {
    let is_ready = admin.control.is_ready();
    let mut body = json!({ "status": if is_ready { "pass" } else { "fail" } });
    // Without Redis a node goes on as its limits say: taking it out of service would make that worse.
    if let (Some(redis), Some(members)) = (admin.control.redis(), body.as_object_mut()) {
        let details = match redis.condition() {
            Condition::Up => json!({ "status": "pass" }),
            Condition::Down { .. } => json!({ "status": "fail" }),
        };
        members.insert("details".into(), json!({ "redis": details }));
    }
    (if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(body))
}

async fn metrics(State(admin): State<Admin>) -> impl IntoResponse {
    ([(CONTENT_TYPE, telemetry::CONTENT_TYPE)], admin.control.exposition())
}

async fn authorize(State(admin): State<Admin>, headers: HeaderMap, request: Request, next: Next) -> Response {
    let snapshot = admin.control.published().load_full();
    let secret = snapshot.admin_secret();
    let given = headers.get(AUTHORIZATION).map(|value| value.as_bytes());
    let open = secret.zip(given).is_some_and(|(secret, given)| same(secret.as_bytes(), given));
    if open {
        return next.run(request).await;
    }
    status(StatusCode::FORBIDDEN, "error", "Attempted administrative access with invalid or missing key!")
}

/// Compares digests, so that neither length nor content show in the time it takes.
fn same(secret: &[u8], given: &[u8]) -> bool {
    let digest = |octets| digest::digest(&digest::SHA256, octets);
    constant_time::verify_slices_are_equal(digest(secret).as_ref(), digest(given).as_ref()).is_ok()
}

fn status(code: StatusCode, status: &str, message: &str) -> Response {
    (code, Json(json!({ "status": status, "message": message }))).into_response()
}

/// A switch in a query: `true` and `1` are on, as in Tyk, and anything else is off.
fn switch<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok(text == "true" || text == "1")
}

#[derive(Deserialize)]
struct ReloadQuery {
    #[serde(default, deserialize_with = "switch")]
    block: bool,
}

async fn reload(State(admin): State<Admin>, Query(query): Query<ReloadQuery>) -> Response {
    let reloaded = spawn_blocking(move || admin.control.reload(&admin.tasks));
    if !query.block {
        return status(StatusCode::OK, "ok", "");
    }
    match reloaded.await {
        Ok(Ok(())) => status(StatusCode::OK, "ok", ""),
        Ok(Err(findings)) => {
            let text: Vec<String> = findings.iter().map(ToString::to_string).collect();
            status(StatusCode::UNPROCESSABLE_ENTITY, "error", &text.join("\n"))
        }
        Err(_) => status(StatusCode::INTERNAL_SERVER_ERROR, "error", "the reload ended unexpectedly"),
    }
}

/// The references in use and which of them fail; never a value.
async fn references(State(admin): State<Admin>) -> Json<Value> {
    let (references, age) = admin.control.references();
    let references: Vec<Value> = references
        .into_iter()
        .map(|reference| match reference.failing {
            None => json!({ "reference": reference.written, "state": "ok" }),
            Some((reason, time)) => json!({
                "reference": reference.written,
                "state": "failing",
                "reason": reason.to_string(),
                "failing_seconds": time.as_secs(),
            }),
        })
        .collect();
    Json(
        json!({ "status": "ok", "resolved_seconds_ago": age.map(|age| age.as_secs()), "references": references }),
    )
}
