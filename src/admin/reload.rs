//! Reading the documents again.

use std::sync::Arc;

use axum::{
    extract::{Query, State},
    http::StatusCode,
    response::Response,
};
use serde::Deserialize;
use tokio::task::spawn_blocking;

use super::{
    Admin,
    answer::{ended, only_here, refused, status, switch},
    routes::Routes,
};
use crate::{config::Role, document::Finding, gateway::Errand};

pub(super) fn routes() -> Routes {
    Routes::default().get("/reload", Role::Operate, reload).get("/reload/group", Role::Operate, reload_all)
}

#[derive(Deserialize)]
struct Asked {
    /// The answer waits until the reload is done.
    #[serde(default, deserialize_with = "switch")]
    block: bool,
}

/// `GET /tyk/reload`: this node.
async fn reload(State(admin): State<Admin>, Query(asked): Query<Asked>) -> Response {
    let reloaded = spawn_blocking(move || admin.control.reload(&admin.tasks));
    if !asked.block {
        return status(StatusCode::OK, "ok", "");
    }
    match reloaded.await {
        Ok(Ok(())) => status(StatusCode::OK, "ok", ""),
        Ok(Err(findings)) => refused(StatusCode::UNPROCESSABLE_ENTITY, &findings, Finding::to_string),
        Err(_) => ended(),
    }
}

/// `GET /tyk/reload/group`: every node, each with its own documents; what comes of it on the others is in their
/// logs. One whose documents have errors goes on with what it had.
async fn reload_all(State(admin): State<Admin>, asked: Query<Asked>) -> Response {
    let control = Arc::clone(&admin.control);
    let (told, answer) = tokio::join!(control.ask_others(&Errand::Reload), reload(State(admin), asked));
    match told {
        Err(untold) if answer.status().is_success() => only_here(&untold),
        _ => answer,
    }
}
