//! Definitions for tests.

use serde_json::{Value, json};

use super::Server;

/// An API that a JWT scheme protects, with listen path `/<id>/`, before this upstream.
pub(crate) fn api(id: &str, upstream: &Server, scheme: Value) -> Value {
    let mut document = keyless(id, upstream);
    merge(
        &mut document,
        json!({
            "components": { "securitySchemes": { "jwt": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" } } },
            "security": [{ "jwt": [] }],
            "x-tyk-api-gateway": {
                "server": { "authentication": { "enabled": true, "securitySchemes": { "jwt": scheme } } }
            }
        }),
    );
    document
}

/// An API for everybody.
pub(crate) fn keyless(id: &str, upstream: &Server) -> Value {
    keyless_at(id, &upstream.url())
}

/// The same before an upstream with this URL.
pub(crate) fn keyless_at(id: &str, url: &str) -> Value {
    json!({
        "openapi": "3.0.3",
        "info": { "title": id, "version": "1" },
        "paths": {},
        "x-tyk-api-gateway": {
            "info": { "id": id, "name": id, "state": { "active": true } },
            "upstream": { "url": url },
            "server": { "listenPath": { "value": format!("/{id}/"), "strip": true } }
        }
    })
}

/// A scheme with the token in `Authorization` and the policy `all`, with changes.
pub(crate) fn scheme(changes: Value) -> Value {
    let mut scheme = json!({
        "enabled": true,
        "header": { "enabled": true, "name": "Authorization" },
        "subjectClaims": ["sub"],
        "defaultPolicies": ["all"]
    });
    merge(&mut scheme, changes);
    scheme
}

/// Objects are merged, `null` takes a member out, anything else replaces (RFC 7396).
pub(crate) fn merge(target: &mut Value, changes: Value) {
    let Value::Object(changes) = changes else {
        *target = changes;
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let members = target.as_object_mut().unwrap();
    for (name, change) in changes {
        if change.is_null() {
            members.remove(&name);
        } else {
            merge(members.entry(name).or_insert(Value::Null), change);
        }
    }
}
