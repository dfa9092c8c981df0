//! The key sets of APIs: what they hold, how they are doing, and fetching them again.

use std::time::Duration;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{
    Admin,
    answer::{only_here, status},
    routes::Routes,
};
use crate::{
    config::Role,
    gateway::{Errand, KeySourceInUse, Untold},
    jwks::{Source, SourceStatus},
    jwt::{Key, RejectedKey},
};

/// `/cache/jwks` for all APIs, `/cache/jwks/{api}` for one. `DELETE` is Tyk's; `POST` does the same and
/// answers as `GET` does.
pub(super) fn routes() -> Routes {
    Routes::default()
        .get("/cache/jwks", Role::Read, show_all)
        .post("/cache/jwks", Role::Operate, refresh_all)
        .delete("/cache/jwks", Role::Operate, invalidate_all)
        .get("/cache/jwks/{api}", Role::Read, show)
        .post("/cache/jwks/{api}", Role::Operate, refresh)
        .delete("/cache/jwks/{api}", Role::Operate, invalidate)
        // In Tyk the answers of the API. Nothing of an API is cached here but its keys.
        .delete("/cache/{api}", Role::Operate, invalidate)
}

async fn show_all(State(admin): State<Admin>) -> Response {
    report(admin.control.key_sources(None))
}

async fn show(State(admin): State<Admin>, Path(api): Path<String>) -> Response {
    report(admin.control.key_sources(Some(&api)))
}

async fn refresh_all(State(admin): State<Admin>) -> Response {
    match fetch_again(&admin, None).await {
        Ok(()) => show_all(State(admin)).await,
        Err(untold) => only_here(&untold),
    }
}

async fn refresh(State(admin): State<Admin>, Path(api): Path<String>) -> Response {
    match fetch_again(&admin, Some(&api)).await {
        Ok(()) => show(State(admin), Path(api)).await,
        Err(untold) => only_here(&untold),
    }
}

async fn invalidate_all(State(admin): State<Admin>) -> Response {
    invalidated(&fetch_again(&admin, None).await)
}

async fn invalidate(State(admin): State<Admin>, Path(api): Path<String>) -> Response {
    invalidated(&fetch_again(&admin, Some(&api)).await)
}

/// Has all nodes fetch the keys of one API, or of all, again, and waits a moment for them here. Of an API that
/// is not there nobody is told.
async fn fetch_again(admin: &Admin, api: Option<&str>) -> Result<(), Untold> {
    if api.is_some_and(|api| !admin.control.serves(api)) {
        return Ok(());
    }
    let errand = Errand::Jwks { api: api.map(str::to_owned) };
    let (told, ()) = tokio::join!(admin.control.ask_others(&errand), admin.control.refetch_keys(api));
    told
}

fn invalidated(told: &Result<(), Untold>) -> Response {
    match told {
        Ok(()) => status(StatusCode::OK, "ok", "cache invalidated"),
        Err(untold) => only_here(untold),
    }
}

fn report(sources: Option<Vec<KeySourceInUse>>) -> Response {
    let Some(sources) = sources else { return status(StatusCode::NOT_FOUND, "error", "API not found") };
    // What has no status is not fetched.
    let described = |in_use: KeySourceInUse| Some(describe(&in_use, &in_use.source.status()?));
    let sources: Vec<Value> = sources.into_iter().filter_map(described).collect();
    Json(json!({ "sources": sources })).into_response()
}

fn describe(in_use: &KeySourceInUse, status: &SourceStatus) -> Value {
    let KeySourceInUse { source, apis } = in_use;
    let keys = source.keys();
    let (usable, rejected) = keys.as_ref().map_or((&[][..], &[][..]), |keys| (keys.keys(), keys.rejected()));
    let fault = status.last_fault.as_ref();
    json!({
        name(source): source.name(),
        "apis": apis.iter().map(|api| &**api).collect::<Vec<&str>>(),
        "state": status.state.name(),
        "keys": usable.iter().map(key).collect::<Vec<_>>(),
        "rejected": rejected.iter().map(refused).collect::<Vec<_>>(),
        "age_seconds": status.age.map(seconds),
        "next_refresh_seconds": status.next.map(seconds),
        "faults": status.faults,
        "last_fault": fault.map(|(ago, why)| json!({ "reason": why, "seconds_ago": seconds(*ago) })),
    })
}

/// What a source is called by: its URL, or its issuer.
const fn name(source: &Source) -> &'static str {
    if source.is_discovered() { "issuer" } else { "url" }
}

fn key(key: &Key) -> Value {
    let algorithms: Vec<&str> = key.algorithms().iter().map(|algorithm| algorithm.name()).collect();
    json!({ "kid": key.kid(), "algorithms": algorithms })
}

fn refused(rejected: &RejectedKey) -> Value {
    json!({ "key": rejected.name, "reason": rejected.reason })
}

const fn seconds(time: Duration) -> u64 {
    time.as_secs()
}
