//! What the control API says about itself: `openapi.json`, an OpenAPI 3.0 document.

use axum::{http::header::CONTENT_TYPE, response::IntoResponse};

use super::routes::Routes;
use crate::config::Role;

const DOCUMENT: &str = include_str!("openapi.json");

pub(super) fn routes() -> Routes {
    Routes::default().get("/openapi.json", Role::Read, document)
}

/// `GET /tyk/openapi.json`.
async fn document() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], DOCUMENT)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    #[test]
    fn it_describes_every_route_and_no_other() {
        let document: Value = serde_json::from_str(DOCUMENT).unwrap();
        let mut described = BTreeSet::new();
        for (path, operations) in document["paths"].as_object().unwrap() {
            for (method, operation) in operations.as_object().unwrap() {
                let Some(path) = path.strip_prefix("/tyk") else { continue };
                let role = operation["x-role"].as_str().unwrap().to_owned();
                described.insert((path.to_owned(), method.to_ascii_uppercase(), role));
            }
        }
        let (_, routes) = super::super::all_routes().into_parts();
        let routed: BTreeSet<_> = routes
            .iter()
            .map(|route| (route.path.to_owned(), route.method.to_string(), route.role.name().to_owned()))
            .collect();
        assert_eq!(described, routed);
    }
}
