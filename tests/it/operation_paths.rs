//! Which paths an operation is about: all that is said of it is found in one way.

use serde_json::{Value, json};

use crate::support::{Gateway, Request, Server, Setup, keyless, merge, respond};

/// What can be said of an operation; each has the one that is called so.
const SAID: [&str; 5] = ["rewritten", "limited", "marked", "turned", "mocked"];

/// An open API `a` with these operations and changes.
fn start(upstream: &Server, changes: &Value) -> Gateway {
    let mut document = keyless("a", upstream);
    for name in SAID {
        let (field, mut said) = match name {
            "rewritten" => ("urlRewrite", json!({ "pattern": "(?i)/rewritten(.*)", "rewriteTo": "/new$1" })),
            "limited" => ("rateLimit", json!({ "rate": 1, "per": "60s" })),
            "marked" => ("transformRequestHeaders", json!({ "add": [{ "name": "X-Op", "value": "1" }] })),
            "turned" => ("transformRequestMethod", json!({ "toMethod": "PUT" })),
            _ => ("mockResponse", json!({ "code": 222, "body": "mocked" })),
        };
        said["enabled"] = true.into();
        let operation = json!({ "operationId": name, "responses": {} });
        let paths = json!({ format!("/{name}"): { "get": operation }, format!("/{name}/declared"): {} });
        let middleware = json!({ "operations": { name: { field: said } } });
        merge(&mut document, json!({ "paths": paths, "x-tyk-api-gateway": { "middleware": middleware } }));
    }
    merge(&mut document, changes.clone());
    let gateway = Setup::new().api(&document).start();
    assert_eq!(gateway.send(&Request::get("/a/limited")).status, 200);
    gateway
}

/// Whether what the operation of this name is about has happened to a request for this path.
fn happens(gateway: &Gateway, name: &str, path: &str) -> bool {
    let answer = gateway.send(&Request::get(format!("/a{path}")));
    // The head of the request as the upstream got it.
    let seen = answer.text();
    match name {
        "rewritten" => seen.starts_with("GET /new"),
        "limited" => answer.status == 429,
        "marked" => seen.to_ascii_lowercase().contains("\r\nx-op: 1\r\n"),
        "turned" => seen.starts_with("PUT "),
        _ => answer.status == 222,
    }
}

#[test]
fn all_that_is_said_of_an_operation_is_about_the_same_paths() {
    let upstream =
        Server::start(|request, stream| respond(stream, "200 OK", "text/plain", request.head.as_bytes()));
    let global = |field: &str| json!({ "middleware": { "global": { field: { "enabled": true } } } });
    for (changes, ignores_case, anywhere) in [
        (json!({}), false, false),
        (json!({ "x-tyk-api-gateway": global("ignoreCase") }), true, false),
        (json!({ "x-claimgate": global("unanchoredPaths") }), false, true),
    ] {
        let gateway = start(&upstream, &changes);
        for name in SAID {
            let loud = name.to_uppercase();
            // No spelling leads around a limit, and rewrites and limits are about what is declared below too.
            let (is_limit, is_wide) = (name == "limited", matches!(name, "limited" | "rewritten"));
            for (path, expected) in [
                (format!("/{name}"), true),
                (format!("/{name}/below"), true),
                (format!("/{name}/declared"), is_wide),
                (format!("/{name}/declared/below"), is_wide || anywhere),
                (format!("/{loud}"), ignores_case || is_limit),
                (format!("/{loud}/below"), ignores_case || is_limit),
                (format!("/{name}-not"), anywhere),
                (format!("/before/{name}"), anywhere),
                ("/".to_owned(), false),
            ] {
                assert_eq!(happens(&gateway, name, &path), expected, "{changes} {path}");
            }
        }
    }
}
