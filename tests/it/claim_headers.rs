//! What the upstream is told of the claims, and by whom.

use claimgate::jwt::Algorithm;
use serde_json::{Value, json};

use crate::support::{Gateway, Request, Server, Setup, api, claims, exchange, key, keyless, merge, scheme};

fn token(changes: Value) -> String {
    key(Algorithm::HS256).sign(&json!({}), &claims(changes)).unwrap()
}

/// A protected API with this in the global part of our extension's middleware, and changes.
fn start(profile: &str, upstream: &Server, global: Value, changes: Value) -> Gateway {
    let mut document =
        api("a", upstream, scheme(json!({ "source": "env://SECRET", "signingMethod": "hmac" })));
    merge(&mut document, json!({ "x-claimgate": { "middleware": { "global": global } } }));
    merge(&mut document, changes);
    Setup::new()
        .config(&json!({ "errors": profile }))
        .env("SECRET", key(Algorithm::HS256).to_text().unwrap().trim())
        .api(&document)
        .start()
}

fn get(token: &str) -> Request {
    Request::get("/a/").bearer(token)
}

fn user() -> Value {
    json!({ "claimHeaders": [{ "name": "X-User", "claim": "sub", "default": "nobody" }] })
}

#[test]
fn claims_in_every_form() {
    let upstream = Server::up();
    let gateway = start(
        "rfc",
        &upstream,
        json!({ "claimHeaders": [
            { "name": "X-User", "claim": "sub" },
            { "name": "X-First-Role", "claim": "/realm_access/roles/0" },
            { "name": "X-Roles", "claim": "realm_access.roles" },
            { "name": "X-Groups", "claim": "https://idp.test/groups", "separator": " " },
            { "name": "X-Name", "claim": "name", "encoding": "percent" },
            { "name": "X-Address", "claim": "address", "encoding": "json" },
            { "name": "X-Note", "claim": "note", "encoding": "base64url" },
            { "name": "X-Verified", "claim": "verified" },
            { "name": "X-Level", "claim": "level" },
            { "name": "X-Tenant", "claim": "tenant", "default": "none" },
            { "name": "X-Missing", "claim": "missing" },
        ] }),
        json!({}),
    );
    let token = token(json!({
        "realm_access": { "roles": ["reader", "editor"] }, "https://idp.test/groups": ["a,b", "c"],
        "name": "Zoë\r\nX-Evil: 1", "address": { "city": "Köln" }, "note": "a\nb", "verified": true, "level": 7,
    }));
    // The second time the token is known.
    for _ in 0..2 {
        assert_eq!(gateway.send(&get(&token)).status, 200);
        let seen = upstream.take_one();
        for (name, value) in [
            ("x-user", "alice"),
            ("x-first-role", "reader"),
            ("x-roles", "reader,editor"),
            ("x-groups", "a,b c"),
            ("x-name", "Zo%C3%AB%0D%0AX-Evil%3A%201"),
            ("x-address", "{\"city\":\"K\\u00f6ln\"}"),
            ("x-note", "YQpi"),
            ("x-verified", "true"),
            ("x-level", "7"),
            ("x-tenant", "none"),
            ("x-missing", ""),
        ] {
            assert_eq!(seen.values(name), [value], "{name}");
        }
        assert!(seen.values("x-evil").is_empty());
    }
}

#[test]
fn a_value_that_would_be_another_one_reaches_nobody() {
    for (profile, status) in [("rfc", 403), ("tyk", 500)] {
        let upstream = Server::up();
        let gateway = start(
            profile,
            &upstream,
            json!({ "claimHeaders": [{ "name": "X-User", "claim": "sub" }, { "name": "X-Roles", "claim": "roles" }] }),
            json!({}),
        );
        for changes in [
            json!({ "sub": "alice\r\nX-Evil: 1" }),
            json!({ "sub": "alice\u{0}" }),
            json!({ "sub": " alice" }),
            json!({ "roles": ["user,admin"] }),
        ] {
            assert_eq!(gateway.send(&get(&token(changes.clone()))).status, status, "{changes}");
            assert!(gateway.last_line().contains("\"reason\":\"claim_not_forwardable\""));
        }
        assert!(upstream.recorded().is_empty());
    }
}

#[test]
fn nobody_else_sets_them_on_any_path() {
    let upstream = Server::up();
    let operation = |id: &str| json!({ "operationId": id, "responses": {} });
    let gateway = start(
        "rfc",
        &upstream,
        user(),
        json!({
            "paths": { "/open": { "get": operation("open") }, "/orders/{id}": { "get": operation("order") } },
            "x-tyk-api-gateway": { "middleware": {
                "global": { "cors": { "enabled": true, "optionsPassthrough": true } },
                "operations": { "open": { "ignoreAuthentication": { "enabled": true } } },
            } },
        }),
    );
    let token = token(json!({}));
    for (method, path, user) in [
        ("GET", "/a/orders/7", "alice"),
        ("HEAD", "/a/orders/7", "alice"),
        ("GET", "/a/ORDERS/7;x", "alice"),
        ("GET", "/a/orders/7%2f8", "alice"),
        ("GET", "/a/elsewhere", "alice"),
        ("GET", "/a/open", ""),
        ("OPTIONS", "/a/orders/7", ""),
    ] {
        let request = [
            &format!("{method} {path} HTTP/1.1"),
            "Host: gateway.test",
            &format!("Authorization: Bearer {token}"),
            "Connection: close, X-User, x_user",
            "X-User: admin",
            "x-user: root",
            "X_User: admin",
            "X.User: admin",
            "X~USER: admin",
            "Origin: https://page.example",
            "Access-Control-Request-Method: GET",
            "\r\n",
        ];
        assert_eq!(exchange(gateway.address(), request.join("\r\n").as_bytes()).status, 200, "{path}");
        let seen = upstream.take_one();
        assert_eq!(seen.values("x-user"), [user], "{method} {path}");
        for name in ["x_user", "x.user", "x~user"] {
            assert!(seen.values(name).is_empty(), "{method} {path}: {name}");
        }
    }
}

#[test]
fn an_api_for_everybody_knows_nobody() {
    let upstream = Server::up();
    let mut document = keyless("a", &upstream);
    merge(&mut document, json!({ "x-claimgate": { "middleware": { "global": user() } } }));
    let gateway = Setup::new().api(&document).start();
    let request = get(&token(json!({}))).header("X-User", "admin").header("X_User", "admin");
    assert_eq!(gateway.send(&request).status, 200);
    let seen = upstream.take_one();
    assert_eq!((seen.values("x-user"), seen.values("x_user")), (vec![""], vec![]));
}

#[test]
fn the_payload_as_it_was_signed() {
    let upstream = Server::up();
    let gateway = start(
        "rfc",
        &upstream,
        json!({ "payloadHeader": { "name": "X-Payload", "maxSize": 256 } }),
        json!({ "x-tyk-api-gateway": { "server": { "authentication": { "stripAuthorizationData": true } } } }),
    );
    let good = token(json!({ "large": 12_345_678_901_234_567_890_u64 }));
    for _ in 0..2 {
        assert_eq!(gateway.send(&get(&good).header("X-Payload", "e30")).status, 200);
        let seen = upstream.take_one();
        assert_eq!(seen.values("x-payload"), [good.split('.').nth(1).unwrap()]);
        assert!(seen.values("authorization").is_empty());
    }
    assert_eq!(gateway.send(&get(&token(json!({ "large": "x".repeat(100) })))).status, 403);
    assert!(upstream.recorded().is_empty());
}
