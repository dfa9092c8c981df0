//! What happens to requests besides authentication and forwarding.

use claimgate::jwt::Algorithm;
use serde_json::{Value, json};

use crate::support::{Gateway, Request, Server, Setup, api, claims, key, keyless, merge, scheme};

/// A protected API with these paths, middleware, and profile.
fn start(upstream: &Server, paths: Value, middleware: Value, profile: &str) -> Gateway {
    let mut document =
        api("a", upstream, scheme(json!({ "source": "env://SECRET", "signingMethod": "hmac" })));
    merge(&mut document, json!({ "paths": paths, "x-tyk-api-gateway": { "middleware": middleware } }));
    Setup::new()
        .config(&json!({ "errors": profile }))
        .env("SECRET", key(Algorithm::HS256).to_text().unwrap().trim())
        .api(&document)
        .start()
}

fn paths() -> Value {
    let operation = |id: &str| json!({ "operationId": id, "responses": { "200": { "description": "ok" } } });
    json!({
        "/open": { "get": operation("open") },
        "/mocked": { "get": operation("mocked") },
        "/orders/{id}": { "get": operation("order"), "post": operation("order-change") },
    })
}

#[test]
fn operations() {
    let upstream = Server::up();
    let gateway = start(
        &upstream,
        paths(),
        json!({ "operations": {
            "open": { "ignoreAuthentication": { "enabled": true } },
            "mocked": { "mockResponse": { "enabled": true, "code": 418, "body": "short and stout",
                "headers": [{ "name": "X-Tea", "value": "pot" }] } },
            "order": { "transformRequestHeaders": { "enabled": true, "add": [{ "name": "X-Op", "value": "order" }] } },
        } }),
        "rfc",
    );
    let token = key(Algorithm::HS256).sign(&json!({}), &claims(json!({}))).unwrap();
    assert_eq!(gateway.send(&Request::get("/a/open")).status, 200);
    upstream.take_one();
    // Neither another method nor another reading of the path is open.
    for (method, path) in [
        ("POST", "/a/open"),
        ("GET", "/a/open/"),
        ("GET", "/a/Open"),
        ("GET", "/a/open;x"),
        ("GET", "/a/open%2fx"),
    ] {
        assert_eq!(gateway.send(&Request::new(method, path)).status, 401, "{method} {path}");
    }
    assert_eq!(gateway.send(&Request::get("/a/mocked")).status, 401);
    let mocked = gateway.send(&Request::get("/a/mocked").bearer(&token));
    assert_eq!(
        (mocked.status, &*mocked.text(), mocked.header("x-tea")),
        (418, "short and stout", Some("pot"))
    );
    assert!(upstream.recorded().is_empty());
    gateway.send(&Request::get("/a/orders/7").bearer(&token));
    assert_eq!(upstream.take_one().values("x-op"), ["order"]);
    gateway.send(&Request::new("POST", "/a/orders/7").bearer(&token));
    assert!(upstream.take_one().values("x-op").is_empty());
}

#[test]
fn examples_of_the_document() {
    let upstream = Server::up();
    let named = json!({ "e1": { "value": { "a": 1 } }, "e2": { "$ref": "#/components/examples/two" } });
    let responses = json!({
        "200": {
            "headers": { "X-Total": { "schema": { "type": "integer", "example": 7 } } },
            "content": { "application/json": { "examples": named }, "text/plain": { "example": "a text" } },
        },
        "404": { "$ref": "#/components/responses/none" },
    });
    let mut document =
        api("a", &upstream, scheme(json!({ "source": "env://SECRET", "signingMethod": "hmac" })));
    let set = json!({ "enabled": true, "add": [{ "name": "X-By", "value": "gateway" }], "remove": [] });
    merge(
        &mut document,
        json!({
            "paths": { "/pets": { "get": { "operationId": "pets", "responses": responses } } },
            "components": {
                "examples": { "two": { "value": { "a": 2 } } },
                "responses": { "none": { "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Error" } } } } },
                "schemas": { "Error": { "type": "object", "properties": { "message": { "type": "string" } } } },
            },
            "x-tyk-api-gateway": { "middleware": {
                "global": { "transformResponseHeaders": set },
                "operations": { "pets": { "mockResponse": { "enabled": true,
                    "fromOASExamples": { "enabled": true, "exampleName": "e2" } } } },
            } },
        }),
    );
    let gateway = Setup::new()
        .config(&json!({ "errors": "rfc" }))
        .env("SECRET", key(Algorithm::HS256).to_text().unwrap().trim())
        .api(&document)
        .start();
    let token = key(Algorithm::HS256).sign(&json!({}), &claims(json!({}))).unwrap();
    let pets = || Request::get("/a/pets").bearer(&token);
    let (code, name) = ("X-Tyk-Accept-Example-Code", "X-Tyk-Accept-Example-Name");
    for (request, status, body) in [
        (pets(), 200, r#"{"a":2}"#),
        (pets().header(name, "e1"), 200, r#"{"a":1}"#),
        (pets().header(code, "404"), 404, r#"{"message":"string"}"#),
        (pets().header("Accept", "text/plain"), 200, "a text"),
    ] {
        let answer = gateway.send(&request);
        assert_eq!((answer.status, &*answer.text()), (status, body));
        assert_eq!(answer.header("x-by"), Some("gateway"));
        assert_eq!(answer.header("x-total"), if status == 200 { Some("7") } else { None });
    }
    for request in
        [pets().header(name, "e3"), pets().header(code, "500"), pets().header("Accept", "image/png")]
    {
        let foretold = gateway.explain(&request.described());
        let answer = gateway.send(&request);
        assert_eq!((answer.status, &foretold["answer"]["reason"]), (406, &json!("mock_unmatched")));
    }
    assert_eq!(gateway.send(&Request::get("/a/pets")).status, 401);
    assert!(upstream.recorded().is_empty());
}

#[test]
fn cors() {
    let upstream = Server::up();
    let cors = json!({ "global": { "cors": {
        "enabled": true, "allowedOrigins": ["https://shop.example"], "allowedMethods": ["GET", "PUT"],
        "allowedHeaders": ["Authorization"], "maxAge": 60, "allowCredentials": true,
    } } });
    let gateway = start(&upstream, json!({}), cors, "rfc");
    let preflight = |origin: &str| {
        gateway.send(
            &Request::new("OPTIONS", "/a/")
                .header("Origin", origin)
                .header("Access-Control-Request-Method", "PUT")
                .header("Access-Control-Request-Headers", "authorization"),
        )
    };
    let allowed = preflight("https://shop.example");
    assert!(allowed.status < 300);
    assert_eq!(allowed.header("access-control-allow-origin"), Some("https://shop.example"));
    assert_eq!(allowed.header("access-control-max-age"), Some("60"));
    assert_eq!(preflight("https://evil.example").header("access-control-allow-origin"), None);
    // A refusal can be read by the page that asked.
    let refused = gateway.send(&Request::get("/a/").header("Origin", "https://shop.example"));
    assert_eq!(refused.status, 401);
    assert_eq!(refused.header("access-control-allow-origin"), Some("https://shop.example"));
    assert!(upstream.recorded().is_empty());
}

#[test]
fn headers_of_answers() {
    let upstream = Server::up();
    let mut document = keyless("a", &upstream);
    merge(
        &mut document,
        json!({ "x-tyk-api-gateway": { "middleware": { "global": {
            "contextVariables": { "enabled": true },
            "transformResponseHeaders": { "enabled": true, "remove": ["Content-Type"],
                "add": [{ "name": "X-Path", "value": "$tyk_context.path" }] },
        } } } }),
    );
    let answer = Setup::new().api(&document).start().send(&Request::get("/a/x"));
    assert_eq!((answer.header("content-type"), answer.header("x-path")), (None, Some("/a/x")));
}

#[test]
fn what_the_request_says_in_headers() {
    let upstream = Server::up();
    let add = |name: &str, value: &str| json!({ "name": name, "value": format!("$tyk_context.{value}") });
    for (place, is_on) in [("server", true), ("middleware", true), ("none", false)] {
        let mut document = keyless("a", &upstream);
        let on = json!({ "contextVariables": { "enabled": true } });
        let rules = json!({ "global": {
            "transformRequestHeaders": { "enabled": true, "remove": [], "add": [
                add("X-Query", "request_data_the_name"), add("X-Cookie", "cookies_s_id"), add("X-Id", "request_id") ] },
            "transformResponseHeaders": { "enabled": true, "remove": [], "add": [add("X-Id", "request_id")] },
        } });
        merge(&mut document, json!({ "x-tyk-api-gateway": { "middleware": rules } }));
        match place {
            "server" => merge(&mut document, json!({ "x-tyk-api-gateway": { "server": on } })),
            "middleware" => {
                merge(&mut document, json!({ "x-tyk-api-gateway": { "middleware": { "global": on } } }));
            }
            _ => {}
        }
        let gateway = Setup::new().api(&document).start();
        let request = Request::get("/a/x?the-name=a%20b&the-name=c").header("Cookie", "x=1; s-id=7");
        let (answer, seen) = (gateway.send(&request), upstream.take_one());
        let expected = if is_on { ["a b", "7"] } else { ["", ""] };
        assert_eq!([seen.values("x-query")[0], seen.values("x-cookie")[0]], expected, "{place}");
        let id = seen.values("x-id")[0];
        assert_eq!((id.len(), answer.header("x-id")), (if is_on { 36 } else { 0 }, Some(id)), "{place}");
        gateway.send(&request);
        assert_eq!(upstream.take_one().values("x-id")[0] == id, !is_on);
        // What cannot stand in a header goes nowhere.
        let broken = gateway.send(&Request::get("/a/x?the-name=a%0d%0aX-Admin:%201"));
        assert_eq!(broken.status, if is_on { 400 } else { 200 });
        upstream.recorded().iter().for_each(|_| drop(upstream.take_one()));
    }
}

#[test]
fn nobody_else_speaks_of_the_caller_on_any_path() {
    let upstream = Server::up();
    let gateway = start(
        &upstream,
        paths(),
        json!({
            "global": {
                "contextVariables": { "enabled": true },
                "cors": { "enabled": true, "optionsPassthrough": true },
            },
            "operations": {
                "order": { "transformRequestHeaders": { "enabled": true,
                    "add": [{ "name": "X-User", "value": "$tyk_context.jwt_claims_sub" }] } },
                "open": { "ignoreAuthentication": { "enabled": true } },
            }
        }),
        "rfc",
    );
    let token = key(Algorithm::HS256).sign(&json!({}), &claims(json!({ "sub": "alice" }))).unwrap();
    for (method, path, user) in [
        ("GET", "/a/orders/7", vec!["alice"]),
        ("HEAD", "/a/orders/7", vec!["alice"]),
        ("GET", "/a/orders/7/", vec!["alice"]),
        ("GET", "/a/orders", vec![]),
        ("GET", "/a/orders/7%5c", vec![]),
        ("GET", "/a/orders/%2537", vec![]),
        ("POST", "/a/orders/7", vec![]),
        ("GET", "/a/open", vec![]),
        ("OPTIONS", "/a/orders/7", vec![]),
    ] {
        let request = Request::new(method, path)
            .bearer(&token)
            .header("X-User", "admin")
            .header("X_User", "admin")
            .header("Origin", "https://page.example")
            .header("Access-Control-Request-Method", "GET");
        assert_eq!(gateway.send(&request).status, 200, "{method} {path}");
        let seen = upstream.take_one();
        assert_eq!((seen.values("x-user"), seen.values("x_user")), (user, vec![]), "{method} {path}");
    }
}

#[test]
fn preflights_alone_pass_without_a_token() {
    for profile in ["rfc", "tyk"] {
        let upstream = Server::up();
        let cors = json!({ "global": { "cors": { "enabled": true, "optionsPassthrough": true } } });
        let gateway = start(&upstream, json!({}), cors, profile);
        let preflight = Request::new("OPTIONS", "/a/x")
            .header("Origin", "https://page.example")
            .header("Access-Control-Request-Method", "PUT");
        assert_eq!(gateway.send(&preflight).status, 200);
        upstream.take_one();
        let refused = if profile == "rfc" { 401 } else { 400 };
        for request in [Request::new("OPTIONS", "/a/x").body(b"abc"), preflight.body(b"abc")] {
            assert_eq!(gateway.send(&request).status, refused);
        }
        assert!(upstream.recorded().is_empty());
        // In Tyk's words an OPTIONS request without a body is a preflight, whatever it says.
        let bare = gateway.send(&Request::new("OPTIONS", "/a/x"));
        assert_eq!(bare.status, if profile == "rfc" { 401 } else { 200 });
    }
}

#[test]
fn clients_find_out_who_issues_tokens() {
    let upstream = Server::up();
    let mut document =
        api("a", &upstream, scheme(json!({ "source": "env://SECRET", "signingMethod": "hmac" })));
    let metadata = json!({
        "enabled": true,
        "resource": "https://api.example/a",
        "authorizationServers": ["https://idp.example"],
        "scopesSupported": ["read"],
    });
    let changes = json!({ "server": { "authentication": { "protectedResourceMetadata": metadata } } });
    merge(&mut document, json!({ "x-tyk-api-gateway": changes }));
    let gateway = Setup::new()
        .env("SECRET", key(Algorithm::HS256).to_text().unwrap().trim())
        .api(&document)
        .api(&keyless("b", &upstream))
        .start();
    for path in ["/a/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/a"] {
        let answer = gateway.send(&Request::get(path));
        let told: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
        assert_eq!(
            told,
            json!({
                "resource": "https://api.example/a",
                "authorization_servers": ["https://idp.example"],
                "scopes_supported": ["read"],
            })
        );
    }
    for (method, path, status) in [
        ("POST", "/a/.well-known/oauth-protected-resource", 401),
        ("GET", "/a/.well-known/oauth-protected-resource/x", 401),
        ("POST", "/.well-known/oauth-protected-resource/a", 404),
        ("GET", "/.well-known/oauth-protected-resource/a/x", 404),
        ("GET", "/.well-known/oauth-protected-resource/b", 404),
    ] {
        assert_eq!(gateway.send(&Request::new(method, path)).status, status, "{method} {path}");
    }
    let refused = gateway.send(&Request::get("/a/").header("Host", "api.example"));
    assert_eq!(
        refused.header("www-authenticate"),
        Some(
            "Bearer realm=\"a\", resource_metadata=\"http://api.example/a/.well-known/oauth-protected-resource\""
        )
    );
    assert!(upstream.recorded().is_empty());
}

#[test]
fn a_claim_reaches_the_upstream_as_it_is_or_not_at_all() {
    let upstream = Server::up();
    let middleware = json!({ "global": {
        "contextVariables": { "enabled": true },
        "transformRequestHeaders": { "enabled": true, "add": [
            { "name": "X-Issuer", "value": "$tyk_context.jwt_claims_iss" },
            { "name": "X-Kid", "value": "$tyk_context.jwt_claims_kid" },
        ] },
    } });
    let gateway = start(&upstream, json!({}), middleware, "rfc");
    let sign = |header, changes| key(Algorithm::HS256).sign(&header, &claims(changes)).unwrap();
    for issuer in [" https://idp.test", "https://idp.test ", "\thttps://idp.test", "https://idp.test\r\nX: y"]
    {
        let token = sign(json!({}), json!({ "iss": issuer }));
        assert_eq!(gateway.send(&Request::get("/a/").bearer(&token)).status, 403, "{issuer:?}");
    }
    assert!(upstream.recorded().is_empty());
    // Only what is no registered claim is looked for in the JOSE header.
    let token = sign(json!({ "iss": "https://idp.test", "kid": "k" }), json!({ "iss": null }));
    assert_eq!(gateway.send(&Request::get("/a/").bearer(&token)).status, 200);
    let seen = upstream.take_one();
    assert_eq!((seen.values("x-issuer"), seen.values("x-kid")), (vec![""], vec!["k"]));
}

#[test]
fn the_session_that_tyk_stores_has_no_variable() {
    let upstream = Server::up();
    for field in ["transformRequestHeaders", "transformResponseHeaders"] {
        let mut document = keyless("a", &upstream);
        let rules = json!({ "enabled": true, "add": [{ "name": "X-Key", "value": "k:$tyk_context.token" }] });
        merge(
            &mut document,
            json!({ "x-tyk-api-gateway": { "middleware": { "global": { field: rules } } } }),
        );
        let output = Setup::new().api(&document).check();
        let told = String::from_utf8(output.stderr).unwrap() + &String::from_utf8(output.stdout).unwrap();
        let message = format!("{field}.add: $tyk_context.token in the value of x-key");
        assert!(!output.status.success() && told.contains(&message), "{told}");
    }
}

#[test]
fn no_rule_sets_the_host() {
    let upstream = Server::up();
    let mut document = keyless("a", &upstream);
    let rules = json!({ "enabled": true,
        "add": [{ "name": "host", "value": "evil.test" }, { "name": "X-Set", "value": "1" }] });
    merge(
        &mut document,
        json!({ "x-tyk-api-gateway": { "middleware": { "global": { "transformRequestHeaders": rules } } } }),
    );
    let gateway = Setup::new().api(&document).start();
    gateway.log_with("transformRequestHeaders.add[0]: the host is that of the upstream's URL");
    assert_eq!(gateway.send(&Request::get("/a/")).status, 200);
    let seen = upstream.take_one();
    assert_eq!(
        (seen.values("host"), seen.values("x-set")),
        (vec![&*upstream.address().to_string()], vec!["1"])
    );
}
