//! Reading the documents again.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    Json,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Admin,
    answer::{ended, findings, only_here, refused, status, switch},
    routes::Routes,
};
use crate::{
    config::Role,
    document::Finding,
    gateway::{Attempt, Difference, Errand},
};

pub(super) fn routes() -> Routes {
    Routes::default()
        .get("/reload", Role::Operate, reload)
        .get("/reload/group", Role::Operate, reload_all)
        .get("/reload/status", Role::Read, state)
}

#[derive(Deserialize)]
struct Asked {
    /// The answer waits until the reload is done.
    #[serde(default, deserialize_with = "switch")]
    block: bool,
    /// Nothing is done, and the answer says what would be.
    #[serde(default, deserialize_with = "switch")]
    dry_run: bool,
}

/// `GET /tyk/reload`: this node.
async fn reload(State(admin): State<Admin>, Query(asked): Query<Asked>) -> Response {
    if asked.dry_run {
        return dry_run(admin).await;
    }
    let reloaded = admin.control.ask_reload(&admin.tasks);
    if !asked.block {
        return status(StatusCode::OK, "ok", "");
    }
    match reloaded.done().await.as_deref() {
        Some(Ok(())) => status(StatusCode::OK, "ok", ""),
        Some(Err(findings)) => refused(StatusCode::UNPROCESSABLE_ENTITY, findings, Finding::to_string),
        None => ended(),
    }
}

/// `GET /tyk/reload/group`: every node, each with its own documents; what comes of it on the others is in their
/// logs. One whose documents have errors goes on with what it had.
async fn reload_all(State(admin): State<Admin>, asked: Query<Asked>) -> Response {
    if asked.dry_run {
        return dry_run(admin).await;
    }
    let control = Arc::clone(&admin.control);
    let (told, answer) = tokio::join!(control.ask_others(&Errand::Reload), reload(State(admin), asked));
    match told {
        Err(untold) if answer.status().is_success() => only_here(&untold),
        _ => answer,
    }
}

async fn dry_run(admin: Admin) -> Response {
    let Some(tried) = admin.control.ask_dry_run(&admin.tasks).done().await else { return ended() };
    let (code, status) =
        if tried.would_load { (StatusCode::OK, "ok") } else { (StatusCode::UNPROCESSABLE_ENTITY, "error") };
    let body = json!({
        "status": status,
        "message": "",
        "apis": difference(&tried.apis),
        "policies": difference(&tried.policies),
        "restart": tried.restart,
        "findings": findings(&tried.findings),
    });
    (code, Json(body)).into_response()
}

fn difference(difference: &Difference) -> Value {
    let Difference { added, removed, changed } = difference;
    json!({ "added": added, "removed": removed, "changed": changed })
}

/// `GET /tyk/reload/status`: what came of the reloads so far.
async fn state(State(admin): State<Admin>) -> Json<Value> {
    let reloads = admin.control.reloads();
    let is_good = reloads.last.as_ref().is_some_and(|last| last.is_loaded);
    Json(json!({
        "status": if is_good { "ok" } else { "error" },
        "loaded_seconds_ago": reloads.loaded.map(seconds_since),
        "succeeded": reloads.succeeded,
        "failed": reloads.failed,
        "last": reloads.last.as_ref().map(describe),
    }))
}

fn describe(last: &Attempt) -> Value {
    json!({
        "time": last.time.duration_since(UNIX_EPOCH).as_ref().map(Duration::as_secs).unwrap_or_default(),
        "cause": last.cause.to_string(),
        "duration_ms": u64::try_from(last.took.as_millis()).unwrap_or(u64::MAX),
        "outcome": if last.is_loaded { "success" } else { "failure" },
        "findings": findings(&last.findings),
    })
}

fn seconds_since(time: SystemTime) -> u64 {
    time.elapsed().unwrap_or_default().as_secs()
}
