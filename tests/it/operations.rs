//! What an operation demands: a token, one only if there is one, scopes.

use claimgate::jwt::Algorithm;
use serde_json::{Value, json};

use crate::support::{Gateway, Request, Server, Setup, api, claims, key, key_named, merge, scheme};

const SPELLINGS: [&str; 3] = ["X-User", "x_user", "X.User"];

fn token(changes: Value) -> String {
    key(Algorithm::HS256).sign(&json!({}), &claims(changes)).unwrap()
}

/// A protected API with changes; `x-claimgate` hands on the subject as `X-User`.
fn setup(upstream: &Server, changes: Value) -> Setup {
    let mut document =
        api("a", upstream, scheme(json!({ "source": "env://SECRET", "signingMethod": "hmac" })));
    let headers = json!({ "claimHeaders": [{ "name": "X-User", "claim": "sub" }] });
    merge(&mut document, json!({ "x-claimgate": { "middleware": { "global": headers } } }));
    merge(&mut document, changes);
    Setup::new().env("SECRET", key(Algorithm::HS256).to_text().unwrap().trim()).api(&document)
}

fn operation(id: &str, security: Option<Value>) -> Value {
    let mut operation = json!({ "operationId": id, "responses": {} });
    if let Some(security) = security {
        merge(&mut operation, json!({ "security": security }));
    }
    operation
}

fn optional(id: &str) -> Value {
    json!({ "middleware": { "operations": { id: { "optionalAuthentication": { "enabled": true } } } } })
}

/// Sends a request with X-User in every spelling; the status, and what the upstream saw of X-User.
fn user(gateway: &Gateway, upstream: &Server, request: Request) -> (u16, Option<String>) {
    let spoofed = SPELLINGS.iter().fold(request, |request, name| request.header(name, "admin"));
    let status = gateway.send(&spoofed.header("Connection", "close, X-User")).status;
    let seen = upstream.recorded();
    if seen.is_empty() {
        return (status, None);
    }
    let seen = upstream.take_one();
    assert!(seen.values("x_user").is_empty() && seen.values("x.user").is_empty());
    (status, Some(seen.values("x-user").join("+")))
}

#[test]
fn a_token_that_may_be_left_out() {
    let upstream = Server::up();
    let gateway = setup(
        &upstream,
        json!({
            "paths": { "/news": { "get": operation("news", None), "post": operation("write", None) } },
            "x-claimgate": optional("news"),
        }),
    )
    .start();
    let user = |request| user(&gateway, &upstream, request);
    assert_eq!(user(Request::get("/a/news")), (200, Some(String::new())));
    assert_eq!(user(Request::get("/a/news").bearer(&token(json!({})))), (200, Some("alice".into())));
    let good = token(json!({}));
    // A bad token is refused as everywhere, and so is one whose caller may not use the API.
    let forged = key_named("forger", Algorithm::HS256).sign(&json!({}), &claims(json!({}))).unwrap();
    for bad in [&*forged, &*token(json!({ "exp": 1 })), "nonsense", ""] {
        assert_eq!(user(Request::get("/a/news").bearer(bad)), (401, None), "{bad}");
    }
    // Nobody is let in as nobody with what the upstream might take for a token.
    for other in
        [&*good, &format!("JWT {good}"), &format!("Bearer,{good}"), &format!("\"Bearer\" {good}"), "Basic x"]
    {
        assert_eq!(user(Request::get("/a/news").header("Authorization", other)), (401, None), "{other}");
    }
    assert_eq!(user(Request::get("/a/news").header("Authorization", "")), (200, Some(String::new())));
    let twice = Request::get("/a/news").bearer(&token(json!({}))).bearer(&token(json!({ "sub": "bob" })));
    assert_eq!(user(twice), (400, None));
    // Neither another method nor another reading of the path lets anybody in.
    for (method, path) in [
        ("POST", "/a/news"),
        ("HEAD", "/a/news"),
        ("GET", "/a/news/"),
        ("GET", "/a/NEWS"),
        ("GET", "/a/news;x"),
        ("GET", "/a/news%2f"),
        ("GET", "/a/other"),
    ] {
        assert_eq!(user(Request::new(method, path)), (401, None), "{method} {path}");
    }
    assert_eq!(user(Request::get("/a//news")), (301, None));
}

#[test]
fn rights_are_those_of_the_token_if_there_is_one() {
    let upstream = Server::up();
    let changes = json!({
        "paths": { "/news": { "get": operation("news", None) } },
        "x-claimgate": optional("news"),
        "x-tyk-api-gateway": { "server": { "authentication": { "securitySchemes": { "jwt": {
            "basePolicyClaims": ["policy"],
        } } } } },
    });
    let elsewhere = json!({ "id": "elsewhere", "access_rights": { "b": { "api_id": "b" } } });
    let gateway = setup(&upstream, changes).policy(&elsewhere).start();
    assert_eq!(gateway.send(&Request::get("/a/news")).status, 200);
    let foreign = token(json!({ "policy": "elsewhere" }));
    assert_eq!(gateway.send(&Request::get("/a/news").bearer(&foreign)).status, 403);
}

#[test]
fn the_document_alone_opens_nothing() {
    let upstream = Server::up();
    let paths = json!({
        "/none": { "get": operation("none", Some(json!([]))) },
        "/either": { "get": operation("either", Some(json!([{ "jwt": [] }, {}]))) },
        "/token": { "get": operation("token", Some(json!([{ "jwt": [] }]))) },
    });
    let closed = setup(&upstream, json!({ "paths": paths }));
    let said = String::from_utf8(closed.check().stdout).unwrap();
    for path in ["none", "either"] {
        assert!(
            said.contains(&format!("paths./{path}.get.security: the document asks for no token")),
            "{said}"
        );
    }
    assert!(said.ends_with("0 errors, 2 warnings\n"), "{said}");
    let closed = closed.start();
    for path in ["/a/none", "/a/either", "/a/token"] {
        assert_eq!(closed.send(&Request::get(path)).status, 401, "{path}");
    }
    let switch = json!({ "server": { "authentication": { "optionalSecurity": { "enabled": true } } } });
    let opened = setup(&upstream, json!({ "paths": paths, "x-claimgate": switch }));
    assert_eq!(String::from_utf8(opened.check().stdout).unwrap(), "0 errors, 0 warnings\n");
    let opened = opened.start();
    for (path, status) in [("/a/none", 200), ("/a/either", 200), ("/a/token", 401), ("/a/other", 401)] {
        assert_eq!(opened.send(&Request::get(path)).status, status, "{path}");
    }
    assert_eq!(opened.send(&Request::get("/a/none").bearer("nonsense")).status, 401);
}

/// An API whose operations ask for scopes.
fn scoped(upstream: &Server, profile: &str, check: Value) -> Gateway {
    let changes = json!({
        "security": [{ "jwt": ["base"] }],
        "paths": {
            "/orders/{id}": {
                "get": operation("order", Some(json!([{ "jwt": ["read"] }, { "jwt": ["admin", "audit"] }]))),
                "delete": operation("cancel", Some(json!([{ "jwt": ["write", "admin"] }]))),
            },
            "/orders/all": { "get": operation("all", Some(json!([{ "jwt": ["admin"] }]))) },
            "/plain": { "get": operation("plain", None) },
            "/free": { "get": operation("free", Some(json!([{ "jwt": [] }]))) },
        },
        "x-claimgate": { "server": { "authentication": { "securitySchemes": { "jwt": { "scopeCheck": check } } } } },
    });
    setup(upstream, changes).config(&json!({ "errors": profile })).start()
}

#[test]
fn scopes_of_operations() {
    let upstream = Server::up();
    let gateway = scoped(&upstream, "rfc", json!({ "enabled": true }));
    for (method, path, claim, lacking) in [
        ("GET", "/a/orders/7", json!({ "scope": "x read" }), None),
        ("GET", "/a/orders/7", json!({ "scp": ["audit", "admin"] }), None),
        ("GET", "/a/orders/7", json!({ "scp": "read" }), None),
        ("HEAD", "/a/orders/7", json!({ "scope": "read" }), None),
        ("GET", "/a/orders/7", json!({ "scope": "admin" }), Some("read")),
        ("GET", "/a/orders/7", json!({ "scope": "READ reads" }), Some("read")),
        ("GET", "/a/orders/7", json!({ "scope": "base", "scp": ["read"] }), Some("read")),
        ("GET", "/a/orders/7", json!({}), Some("read")),
        ("HEAD", "/a/orders/7", json!({ "scope": "base" }), Some("read")),
        ("DELETE", "/a/orders/7", json!({ "scope": "read write" }), Some("write admin")),
        ("DELETE", "/a/orders/7", json!({ "scope": "write admin" }), None),
        ("GET", "/a/orders/all", json!({ "scope": "read" }), Some("admin")),
        ("GET", "/a/free", json!({}), None),
        // What the document says for the whole API.
        ("GET", "/a/plain", json!({ "scope": "read" }), Some("base")),
        ("GET", "/a/plain", json!({ "scope": "base" }), None),
        ("POST", "/a/orders/7", json!({ "scope": "read" }), Some("base")),
        ("GET", "/a/elsewhere", json!({ "scope": "read" }), Some("base")),
        // Paths that could be read differently.
        ("GET", "/a/orders/ALL", json!({ "scope": "read" }), Some("admin")),
        ("GET", "/a/orders/all;x", json!({ "scope": "read" }), Some("admin")),
        ("GET", "/a/orders/all.json", json!({ "scope": "read" }), Some("admin")),
        ("GET", "/a/orders/7.json", json!({ "scope": "read" }), None),
        ("GET", "/a/orders/all/", json!({ "scope": "base read" }), Some("admin")),
        ("GET", "/a/Orders/7", json!({ "scope": "base" }), Some("read")),
        ("GET", "/a/orders%2fall", json!({ "scope": "base read" }), Some("admin")),
        ("GET", "/a/orders/all%3Fx", json!({ "scope": "base read" }), Some("admin")),
        ("GET", "/a/orders/all%23x", json!({ "scope": "base read" }), Some("admin")),
        ("GET", "/a/orders/%20all", json!({ "scope": "base read" }), Some("admin")),
        ("GET", "/a/orders/all::$DATA", json!({ "scope": "base read" }), Some("admin")),
        ("DELETE", "/a/orders/7%3Fx", json!({ "scope": "base" }), Some("write admin")),
        ("GET", "/a/orders%2fall", json!({ "scope": "base read admin" }), None),
    ] {
        let answer = gateway.send(&Request::new(method, path).bearer(&token(claim.clone())));
        let challenge = answer.header("www-authenticate").unwrap_or_default();
        let Some(lacking) = lacking else {
            assert_eq!(answer.status, 200, "{method} {path} {claim}");
            upstream.take_one();
            continue;
        };
        assert_eq!(answer.status, 403, "{method} {path} {claim}");
        assert!(challenge.contains(", error=\"insufficient_scope\","), "{challenge}");
        assert!(
            challenge.ends_with(&format!(", scope=\"{lacking}\"")),
            "{method} {path} {claim}: {challenge}"
        );
        assert!(gateway.last_line().contains("\"reason\":\"scope_insufficient\""));
        assert!(upstream.recorded().is_empty());
    }
}

/// Frameworks read `delete` as `DELETE`.
#[test]
fn the_letter_case_of_a_method_leads_around_nothing() {
    for profile in ["rfc", "tyk"] {
        let upstream = Server::up();
        let gateway = scoped(&upstream, profile, json!({ "enabled": true }));
        let status = |method: &'static str| {
            let token = token(json!({ "scope": "base read" }));
            gateway.send(&Request::new(method, "/a/orders/7").bearer(&token)).status
        };
        assert_eq!(status("DELETE"), 403);
        for method in ["delete", "Delete", "dELETE", "get", "connect"] {
            assert_eq!(status(method), 400, "{profile}: {method}");
        }
        assert!(upstream.recorded().is_empty());
        // A method of one's own is whatever it is.
        assert_eq!(status("PURGE"), 200);
        assert_eq!(status("purge"), 200);
        assert_eq!(upstream.recorded().len(), 2);
    }
}

/// OpenAPI lets an operation ask for other schemes than the document; nobody enforces that.
#[test]
fn schemes_that_an_operation_alone_asks_for_are_told() {
    let upstream = Server::up();
    let check = |document: Value, operation_asks: Value, checked: bool| {
        let jwt = json!({ "type": "http", "scheme": "bearer", "bearerFormat": "JWT" });
        let other = scheme(json!({ "source": "env://SECRET", "signingMethod": "hmac" }));
        let changes = json!({
            "components": { "securitySchemes": { "k": jwt } },
            "security": document,
            "paths": { "/x": { "get": operation("x", Some(operation_asks)) } },
            "x-tyk-api-gateway": { "server": { "authentication": {
                "securityProcessingMode": "compliant", "securitySchemes": { "k": other },
            } } },
            "x-claimgate": { "server": { "authentication": { "securitySchemes": {
                "jwt": { "scopeCheck": { "enabled": checked } },
            } } } },
        });
        String::from_utf8(setup(&upstream, changes).check().stdout).unwrap()
    };
    let either = json!([{ "jwt": [] }, { "k": [] }]);
    let said = "paths./x.get.security: this asks for other schemes than the whole document does";
    for (document, asked, checked, met) in [
        (&either, json!([{ "jwt": ["read"], "k": [] }]), false, Some("jwt")),
        (&either, json!([{ "jwt": ["read"], "k": [] }]), true, Some("jwt")),
        (&either, json!([{ "k": [] }]), false, Some("jwt")),
        // Tokens of the scheme are refused here.
        (&either, json!([{ "k": [] }]), true, None),
        (&either, json!([{ "k": [] }, { "jwt": ["read"] }]), false, None),
        (&either, json!([{}]), false, None),
        (&either, json!([]), false, None),
        (&json!([{ "jwt": [], "k": [] }]), json!([{ "k": [] }]), false, None),
        (&json!([{ "jwt": [] }]), json!([{ "k": [] }]), false, Some("jwt")),
    ] {
        let output = check(document.clone(), asked.clone(), checked);
        assert_eq!(output.contains(said), met.is_some(), "{asked}: {output}");
        let who = format!("callers who meet [{}]", met.unwrap_or_default());
        assert_eq!(output.contains(&who), met.is_some(), "{asked}: {output}");
    }
}

#[test]
fn scopes_in_the_words_of_tyk() {
    let upstream = Server::up();
    let gateway = scoped(&upstream, "tyk", json!({ "enabled": true, "claimNames": ["roles.api"] }));
    let delete = |claims| gateway.send(&Request::new("DELETE", "/a/orders/7").bearer(&token(claims)));
    assert_eq!(delete(json!({ "roles": { "api": ["write", "admin"] } })).status, 200);
    let answer = delete(json!({ "roles": { "api": ["write"] }, "scope": "write admin" }));
    assert_eq!(answer.status, 403);
    assert_eq!(
        answer.header("www-authenticate"),
        Some(
            "Bearer error=\"insufficient_scope\", error_description=\"missing required scope: admin\", scope=\"write admin\""
        )
    );
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((&body["error"], &body["scope"]), (&json!("insufficient_scope"), &json!("write admin")));
}

#[test]
fn scopes_count_only_if_somebody_says_so() {
    let upstream = Server::up();
    let gateway = scoped(&upstream, "rfc", json!({ "enabled": false }));
    assert_eq!(gateway.send(&Request::get("/a/orders/all").bearer(&token(json!({})))).status, 200);
}

/// W7: what decides is in the token that was verified, not in another one beside it.
#[test]
fn scopes_of_a_token_that_nobody_verified() {
    let upstream = Server::up();
    let changes = json!({
        "security": [{ "jwt": ["admin"] }],
        "x-tyk-api-gateway": { "server": { "authentication": { "securitySchemes": { "jwt": {
            "header": { "enabled": true, "name": "X-Token" },
        } } } } },
        "x-claimgate": { "server": { "authentication": { "securitySchemes": { "jwt": {
            "scopeCheck": { "enabled": true },
        } } } } },
    });
    let gateway = setup(&upstream, changes).start();
    let forged =
        key_named("forger", Algorithm::HS256).sign(&json!({}), &claims(json!({ "scope": "admin" }))).unwrap();
    let request = Request::get("/a/").header("X-Token", &token(json!({ "scope": "read" }))).bearer(&forged);
    assert_eq!(gateway.send(&request).status, 403);
    assert!(upstream.recorded().is_empty());
}

/// An API of two schemes with these requirements; the second looks at `X-Token`.
fn of_two_schemes(upstream: &Server, security: Value, second: Value) -> Setup {
    let jwt = json!({ "type": "http", "scheme": "bearer", "bearerFormat": "JWT" });
    let other = scheme(json!({
        "source": "env://SECRET", "signingMethod": "hmac", "header": { "enabled": true, "name": "X-Token" },
    }));
    let changes = json!({
        "components": { "securitySchemes": { "two": jwt } },
        "security": security,
        "paths": { "/x": { "get": operation("x", Some(json!([{ "jwt": ["a"] }, { "two": ["b"] }]))) } },
        "x-tyk-api-gateway": { "server": { "authentication": {
            "securityProcessingMode": "compliant", "securitySchemes": { "two": other },
        } } },
        "x-claimgate": { "server": { "authentication": { "securitySchemes": {
            "jwt": { "scopeCheck": { "enabled": true } }, "two": { "scopeCheck": second },
        } } } },
    });
    setup(upstream, changes)
}

#[test]
fn each_scheme_has_scopes_of_its_own() {
    let upstream = Server::up();
    let either = json!([{ "jwt": [] }, { "two": [] }]);
    let gateway = of_two_schemes(&upstream, either.clone(), json!({ "enabled": true })).start();
    for (scope, one, two) in [("a", 200, 403), ("b", 403, 200), ("a b", 200, 200)] {
        let token = token(json!({ "scope": scope }));
        assert_eq!(gateway.send(&Request::get("/a/x").bearer(&token)).status, one, "{scope}");
        assert_eq!(gateway.send(&Request::get("/a/x").header("X-Token", &token)).status, two, "{scope}");
    }
    let said = |security: &Value, second: Value| {
        String::from_utf8(of_two_schemes(&upstream, security.clone(), second).check().stdout).unwrap()
    };
    let unchecked = said(&either, json!({ "enabled": false }));
    assert!(unchecked.contains("security: the scopes of two are not checked"), "{unchecked}");
    let hidden = said(&json!([{ "jwt": [], "two": [] }]), json!({ "enabled": true }));
    assert!(hidden.contains("security: the scopes of jwt cannot be checked"), "{hidden}");
    assert!(hidden.ends_with("1 error, 0 warnings\n"), "{hidden}");
}

#[test]
fn a_check_that_asks_for_nothing_is_told() {
    let upstream = Server::up();
    let check = |paths: Value| {
        let own = json!({ "securitySchemes": { "jwt": { "scopeCheck": { "enabled": true } } } });
        let changes = json!({ "paths": paths, "x-claimgate": { "server": { "authentication": own } } });
        String::from_utf8(setup(&upstream, changes).check().stdout).unwrap()
    };
    let nothing = check(json!({ "/x": { "get": operation("x", Some(json!([{ "jwt": [] }]))) } }));
    assert!(nothing.contains("security: scopeCheck is on, but no requirement names a scope"), "{nothing}");
    let one = check(json!({ "/x": { "get": operation("x", Some(json!([{ "jwt": ["read"] }]))) } }));
    assert!(one.ends_with("0 errors, 0 warnings\n"), "{one}");
}

#[test]
fn anonymous_callers_and_scopes() {
    let upstream = Server::up();
    let changes = json!({
        "paths": { "/news": { "get": operation("news", Some(json!([{ "jwt": ["read"] }]))) } },
        "x-claimgate": optional("news"),
    });
    let mut check = changes.clone();
    let switch = json!({ "jwt": { "scopeCheck": { "enabled": true } } });
    merge(
        &mut check,
        json!({ "x-claimgate": { "server": { "authentication": { "securitySchemes": switch } } } }),
    );
    let gateway = setup(&upstream, check).start();
    assert_eq!(gateway.send(&Request::get("/a/news")).status, 200);
    assert_eq!(gateway.send(&Request::get("/a/news").bearer(&token(json!({})))).status, 403);
    assert_eq!(gateway.send(&Request::get("/a/news").bearer(&token(json!({ "scope": "read" })))).status, 200);
}

#[test]
fn scopes_that_are_told_to_clients() {
    let upstream = Server::up();
    let metadata = |auto: bool| {
        json!({ "server": { "authentication": { "protectedResourceMetadata": {
        "enabled": true, "scopesSupported": ["write", "more"], "autoDeriveScopes": auto,
    } } } })
    };
    for (auto, expected) in
        [(true, json!(["write", "more", "base", "read"])), (false, json!(["write", "more"]))]
    {
        let gateway = setup(
            &upstream,
            json!({
                "security": [{ "jwt": ["base"] }],
                "paths": {
                    "/x": { "get": operation("x", Some(json!([{ "jwt": ["read", "base"] }, { "other": ["no"] }]))) },
                    "/y": { "get": { "security": [{ "jwt": ["write"] }] } },
                },
                "x-tyk-api-gateway": metadata(auto),
            }),
        )
        .start();
        let answer = gateway.send(&Request::get("/a/.well-known/oauth-protected-resource"));
        let told: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(told["scopes_supported"], expected);
    }
}
