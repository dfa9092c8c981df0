//! The control API.

use serde_json::{Value, json};

use crate::support::{Request, Server, Setup, keyless};

#[test]
fn health() {
    let gateway = Setup::new().api(&keyless("a", &Server::up())).start();
    for path in ["/hello", "/ready"] {
        let answer = gateway.admin_without_secret(&Request::get(path));
        assert_eq!(answer.status, 200);
        assert_eq!(serde_json::from_slice::<Value>(&answer.body).unwrap()["status"], "pass");
    }
}

#[test]
fn everything_else_needs_the_secret() {
    let gateway = Setup::new().api(&keyless("a", &Server::up())).start();
    for (method, path) in [
        ("GET", "/tyk/reload"),
        ("GET", "/tyk/reload/group"),
        ("DELETE", "/tyk/cache/jwks"),
        ("DELETE", "/tyk/cache/jwks/a"),
        ("GET", "/tyk/cache/jwks"),
        ("POST", "/tyk/cache/jwks/a"),
        ("POST", "/tyk/jwt/explain"),
        ("GET", "/tyk/kv/status"),
        ("GET", "/tyk/keys"),
        ("POST", "/tyk/keys/create"),
        ("DELETE", "/tyk/keys/abc"),
        ("GET", "/tyk/apis/"),
    ] {
        for secret in [None, Some(""), Some("a-secret-of-this-tes"), Some("a-secret-of-this-testx")] {
            let mut request = Request::new(method, path);
            if let Some(secret) = secret {
                request = request.header("x-tyk-authorization", secret);
            }
            let answer = gateway.admin_without_secret(&request);
            assert_eq!(answer.status, 403, "{method} {path} {secret:?}");
        }
    }
    assert_eq!(gateway.admin_without_secret(&Request::get("/tyk/../tyk/reload")).status, 403);
    assert_eq!(gateway.admin(Request::get("/tyk/reload/group?block=true")).status, 200);
    for query in ["", "?block=1", "?block=", "?block=no"] {
        assert_eq!(gateway.admin(Request::get(format!("/tyk/reload{query}"))).status, 200, "{query}");
    }
    assert_eq!(gateway.admin(Request::get("/tyk/nothing")).status, 404);
}

#[test]
fn without_a_secret_nobody_has_it() {
    let setup =
        Setup::new().config(&json!({ "admin": { "secret": null } })).api(&keyless("a", &Server::up()));
    let gateway = setup.start();
    assert_eq!(gateway.admin(Request::get("/tyk/reload")).status, 403);
    assert_eq!(gateway.admin_without_secret(&Request::get("/ready")).status, 200);
}
