//! The references in use.

use axum::{Json, extract::State};
use serde_json::{Value, json};

use super::{Admin, routes::Routes};
use crate::config::Role;

pub(super) fn routes() -> Routes {
    Routes::default().get("/kv/status", Role::Read, references)
}

/// `GET /tyk/kv/status`: the references in use and which of them fail; never a value.
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
