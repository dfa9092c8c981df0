//! Reading the documents again.

use axum::{
    extract::{Query, State},
    http::StatusCode,
    response::Response,
};
use serde::Deserialize;
use tokio::task::spawn_blocking;

use super::{
    Admin,
    answer::{ended, refused, status, switch},
    routes::Routes,
};
use crate::{config::Role, document::Finding};

pub(super) fn routes() -> Routes {
    Routes::default().get("/reload", Role::Operate, reload).get("/reload/group", Role::Operate, reload)
}

#[derive(Deserialize)]
struct Asked {
    /// The answer waits until the reload is done.
    #[serde(default, deserialize_with = "switch")]
    block: bool,
}

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
