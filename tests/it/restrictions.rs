//! What an API lets pass before it asks for a token: addresses, sizes of bodies, operations.

use std::{
    io::{BufReader, Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use claimgate::jwt::Algorithm;
use serde_json::{Value, json};

use crate::support::{
    Gateway, Request, Server, Setup, api, claims, exchange, key, keyless, merge, read_answer, scheme,
};

/// A gateway with one protected API with these changes, in this profile.
fn start(upstream: &Server, changes: Value, config: Value) -> Gateway {
    let mut document =
        api("a", upstream, scheme(json!({ "source": "env://SECRET", "signingMethod": "hmac" })));
    merge(&mut document, changes);
    Setup::new()
        .config(&config)
        .env("SECRET", key(Algorithm::HS256).to_text().unwrap().trim())
        .api(&document)
        .start()
}

fn token() -> String {
    key(Algorithm::HS256).sign(&json!({}), &claims(json!({}))).unwrap()
}

fn in_profile(profile: &str) -> Value {
    json!({ "errors": profile })
}

/// Operations by id, with what is said of each.
fn operations(operations: &[(&str, &str, &str, Value)]) -> Value {
    let mut changes = json!({ "paths": {}, "x-tyk-api-gateway": { "middleware": { "operations": {} } } });
    for (id, method, path, block) in operations {
        let operation = json!({ "operationId": id, "responses": {} });
        merge(
            &mut changes,
            json!({
                "paths": { *path: { *method: operation } },
                "x-tyk-api-gateway": { "middleware": { "operations": { *id: block } } },
            }),
        );
    }
    changes
}

fn on(what: &str) -> Value {
    json!({ what: { "enabled": true } })
}

/// The status of a request with a good token, and whether the upstream got it.
fn status(gateway: &Gateway, upstream: &Server, method: &'static str, path: &str) -> u16 {
    let explained = gateway.explain(&Request::new(method, path).bearer(&token()).described());
    let status = gateway.send(&Request::new(method, path).bearer(&token())).status;
    let reached = upstream.recorded().len();
    if reached > 0 {
        upstream.take_one();
    }
    assert_eq!(
        (reached, explained["allowed"] == true),
        (usize::from(status == 200), status == 200),
        "{path}"
    );
    status
}

#[test]
fn what_is_allowed_is_all_there_is() {
    let upstream = Server::up();
    let changes = operations(&[
        ("x", "get", "/x", on("allow")),
        ("user", "get", "/users/{id}", json!({ "allow": { "enabled": true, "ignoreCase": true } })),
        ("health", "get", "/health", on("ignoreAuthentication")),
        ("off", "get", "/off", json!({ "allow": { "enabled": false } })),
    ]);
    for profile in ["rfc", "tyk"] {
        let gateway = start(&upstream, changes.clone(), in_profile(profile));
        for (method, path, expected) in [
            ("GET", "/a/x", 200),
            ("GET", "/a/x/", 200),
            ("GET", "/a/x/y", 200),
            ("GET", "/a/%78", 200),
            ("GET", "/a/USERS/7", 200),
            ("GET", "/a/health", 200),
            ("HEAD", "/a/x", 403),
            ("POST", "/a/x", 403),
            ("GET", "/a/xx", 403),
            ("GET", "/a/X", 403),
            ("GET", "/a/x;y", 403),
            ("GET", "/a/z/x", 403),
            ("GET", "/a/z%2Fx", 403),
            ("GET", "/a/x%2Fy", 403),
            ("GET", "/a/x%5Cy", 403),
            ("GET", "/a/users/", 403),
            ("GET", "/a/off", 403),
            ("GET", "/a/", 403),
        ] {
            assert_eq!(status(&gateway, &upstream, method, path), expected, "{profile} {method} {path}");
        }
        // Before anybody looks at a token.
        let refused = gateway.send(&Request::get("/a/q"));
        assert_eq!(refused.status, 403);
        let text = if profile == "tyk" { "Requested endpoint is forbidden" } else { "not open to callers" };
        assert!(refused.text().contains(text), "{}", refused.text());
        assert_eq!(gateway.send(&Request::get("/a/health")).status, 200);
        upstream.take_one();
    }
}

#[test]
fn what_is_blocked_is_so_under_every_name() {
    let upstream = Server::up();
    let both = json!({ "block": { "enabled": true }, "ignoreAuthentication": { "enabled": true },
        "allow": { "enabled": true } });
    let changes = operations(&[
        ("x", "get", "/x", on("block")),
        ("admin", "delete", "/admin/{id}", json!({ "block": { "enabled": true, "ignoreCase": true } })),
        ("internal", "get", "/int", on("internal")),
        ("both", "get", "/both", both),
        ("rest", "get", "/", on("allow")),
        ("delete", "delete", "/", on("allow")),
    ]);
    for profile in ["rfc", "tyk"] {
        let gateway = start(&upstream, changes.clone(), in_profile(profile));
        for (method, path, expected) in [
            ("GET", "/a/x", 403),
            ("HEAD", "/a/x", 403),
            ("GET", "/a/x/", 403),
            ("GET", "/a/x/y", 403),
            ("GET", "/a/z/xy", 403),
            ("GET", "/a/%78", 403),
            ("GET", "/a/%2578", 403),
            ("GET", "/a/x;v=1", 403),
            ("GET", "/a/z%2Fx", 403),
            ("GET", "/a/z%5Cx", 403),
            ("DELETE", "/a/ADMIN/7", 403),
            ("DELETE", "/a/admin;v=1/7", 403),
            ("DELETE", "/a/admin./7", 403),
            ("DELETE", "/a/admin/", 200),
            ("GET", "/a/int", 403),
            ("GET", "/a/int/x", 403),
            ("GET", "/a/both", 403),
            ("GET", "/a/q", 200),
            // Many servers ignore letter case; Tyk does where it is told to.
            ("GET", "/a/X", if profile == "tyk" { 200 } else { 403 }),
        ] {
            assert_eq!(status(&gateway, &upstream, method, path), expected, "{profile} {method} {path}");
        }
        // Dot segments and empty ones lead to the path that is decided about.
        for path in ["/a//x", "/a/./x", "/a/q/%2e%2e/x"] {
            let redirect = gateway.send(&Request::get(path).bearer(&token()));
            assert_eq!((redirect.status, redirect.header("location")), (301, Some("/a/x")), "{path}");
        }
        assert_eq!(gateway.send(&Request::get("/a/both")).status, 403);
        assert!(upstream.recorded().is_empty());
    }
}

#[test]
fn letter_case_of_operations() {
    let upstream = Server::up();
    let header = json!({ "transformRequestHeaders": {
        "enabled": true, "add": [{ "name": "X-Op", "value": "here" }], "remove": [] } });
    let mut changes = operations(&[
        ("x", "get", "/x", header),
        ("open", "get", "/open", json!({ "ignoreAuthentication": { "enabled": true, "ignoreCase": true } })),
        ("declared", "get", "/Open/Not", json!({})),
        (
            "me",
            "get",
            "/users/me",
            json!({ "ignoreAuthentication": { "enabled": true, "ignoreCase": true } }),
        ),
    ]);
    // Another operation, of which nothing is said.
    merge(&mut changes, json!({ "paths": { "/users/{name}": { "get": { "responses": {} } } } }));
    let gateway = start(&upstream, changes.clone(), in_profile("rfc"));
    assert_eq!(gateway.send(&Request::get("/a/OPEN")).status, 200);
    upstream.take_one();
    assert_eq!(gateway.send(&Request::get("/a/OPEN/x")).status, 401);
    assert_eq!(gateway.send(&Request::get("/a/users/ME")).status, 401);
    assert_eq!(gateway.send(&Request::get("/a/Users/ME")).status, 200);
    upstream.take_one();
    let seen_at = |gateway: &Gateway, path: &str| {
        gateway.send(&Request::get(path).bearer(&token()));
        upstream.take_one().values("x-op").join("")
    };
    assert_eq!((seen_at(&gateway, "/a/x"), seen_at(&gateway, "/a/X")), ("here".into(), String::new()));
    merge(&mut changes, json!({ "x-tyk-api-gateway": { "middleware": { "global": on("ignoreCase") } } }));
    let gateway = start(&upstream, changes, in_profile("rfc"));
    assert_eq!((seen_at(&gateway, "/a/x"), seen_at(&gateway, "/a/X")), ("here".into(), "here".into()));
}

#[test]
fn paths_anywhere_as_in_tyk() {
    let upstream = Server::up();
    let mut changes = operations(&[
        ("x", "get", "/x", on("allow")),
        ("health", "get", "/health", on("ignoreAuthentication")),
    ]);
    // One that needs a token, and of which nothing else is said.
    merge(&mut changes, json!({ "paths": { "/admin/{id}": { "get": { "responses": {} } } } }));
    merge(&mut changes, json!({ "x-claimgate": { "middleware": { "global": on("unanchoredPaths") } } }));
    let mut document =
        api("a", &upstream, scheme(json!({ "source": "env://SECRET", "signingMethod": "hmac" })));
    merge(&mut document, changes);
    let setup = Setup::new()
        .config(&in_profile("tyk"))
        .env("SECRET", key(Algorithm::HS256).to_text().unwrap().trim())
        .policy(&json!({ "id": "some", "access_rights": { "a": { "allowed_urls":
            [{ "url": "/x", "methods": ["GET"] }, { "url": "/health", "methods": ["GET"] }] } } }));
    let mut selecting = document.clone();
    merge(
        &mut selecting,
        json!({ "x-tyk-api-gateway": { "server": { "authentication": {
        "securitySchemes": { "jwtAuth": { "defaultPolicies": ["some"] } } } } } }),
    );
    let setup = setup.api(&selecting);
    let told = String::from_utf8(setup.check().stdout).unwrap();
    for part in
        ["unanchoredPaths: operations and allowed_urls", "health.ignoreAuthentication: unanchoredPaths is on"]
    {
        assert!(told.contains(part), "{told}");
    }
    let gateway = setup.start();
    for (path, expected) in
        [("/a/x", 200), ("/a/xx", 200), ("/a/z/x", 200), ("/a/q", 403), ("/a/X", 403), ("/a/z%2Fx", 403)]
    {
        assert_eq!(status(&gateway, &upstream, "GET", path), expected, "{path}");
    }
    for path in ["/a/health", "/a/healthz", "/a/deep/health/er"] {
        assert_eq!(gateway.send(&Request::get(path)).status, 200, "{path}");
        upstream.take_one();
    }
    assert_eq!(gateway.send(&Request::get("/a/x")).status, 400);
    for path in ["/a/admin/health", "/a/Admin/health", "/a/admin/health/", "/a/admin;x/healthz"] {
        let refused = gateway.send(&Request::get(path));
        assert!(refused.status / 100 == 4, "{path} {}", refused.status);
    }
    assert!(upstream.recorded().is_empty());
}

#[test]
fn addresses() {
    let upstream = Server::up();
    let lists = |lists: Value| json!({ "x-tyk-api-gateway": { "server": { "ipAccessControl": lists } } });
    for (allow, block, client, expected) in [
        (json!(["127.0.0.1"]), json!([]), None, 200),
        (json!(["10.1.2.3"]), json!([]), None, 403),
        (json!(["::ffff:127.0.0.0/120"]), json!([]), None, 200),
        (json!([]), json!(["127.0.0.0/8"]), None, 403),
        (json!(["127.0.0.1"]), json!(["127.0.0.1"]), None, 403),
        (json!([]), json!(["10.1.2.3"]), None, 200),
        (json!([]), json!([]), None, 200),
        // Nobody says where it comes from but trusted proxies.
        (json!(["10.1.2.3"]), json!([]), Some("10.1.2.3"), 403),
        (json!([]), json!(["127.0.0.1"]), Some("8.8.8.8"), 403),
    ] {
        let changes = lists(json!({ "enabled": true, "allow": allow, "block": block }));
        let gateway = start(&upstream, changes, in_profile("rfc"));
        let spoofed = client.into_iter().fold(Request::get("/a/"), |request, client| {
            let names = ["X-Forwarded-For", "X-Real-IP", "Forwarded", "X_Forwarded_For", "True-Client-IP"];
            names.iter().fold(request, |request, name| request.header(name, client))
        });
        let status = gateway.send(&spoofed.clone().bearer(&token())).status;
        assert_eq!(status, expected, "{allow} {block}");
        if status == 200 {
            upstream.take_one();
        } else {
            // Before the token, and the metadata, and preflights that others would answer.
            assert_eq!(gateway.send(&spoofed).status, 403);
        }
    }
    let changes = lists(json!({ "enabled": true, "allow": ["10.1.2.0/24", "2001:db8::/32"] }));
    let trusting = json!({ "trustedProxies": ["127.0.0.1"] });
    let gateway = start(&upstream, changes, trusting);
    for (chain, expected) in [
        ("10.1.2.3", 200),
        ("1.1.1.1, 10.1.2.3", 200),
        ("10.1.2.3:4711", 200),
        ("::ffff:10.1.2.3", 200),
        ("2001:db8::7", 200),
        ("[2001:db8::7]:4711", 200),
        // The last one is who asked the proxy.
        ("10.1.2.3, 1.1.1.1", 403),
        ("10.1.2.3, unknown", 403),
        ("10.1.2.3, \u{e9}", 403),
        ("\u{e9}, 1.1.1.1", 403),
        ("\u{e9}, 10.1.2.3", 200),
        ("", 403),
    ] {
        let request = Request::get("/a/").header("X-Forwarded-For", chain).bearer(&token());
        assert_eq!(gateway.send(&request).status, expected, "{chain}");
        if expected == 200 {
            upstream.take_one();
        }
    }
    // Who cannot be told from the proxy is on no list, and not taken for the proxy.
    for (list, chain, expected) in [
        (json!({ "block": ["10.9.9.9"] }), Some("unknown"), 403),
        (json!({ "block": ["10.9.9.9"] }), Some("10.9.9.9, unknown"), 403),
        (json!({ "block": ["10.9.9.9"] }), Some("unknown, 10.1.2.3"), 200),
        (json!({ "allow": ["127.0.0.0/8"] }), Some("unknown"), 403),
        (json!({ "allow": ["127.0.0.0/8"] }), Some("_hidden, 127.0.0.1"), 403),
        (json!({ "allow": ["127.0.0.0/8"] }), None, 200),
        (json!({}), Some("unknown"), 200),
    ] {
        let mut enabled = list.clone();
        merge(&mut enabled, json!({ "enabled": true }));
        let gateway = start(&upstream, lists(enabled), json!({ "trustedProxies": ["127.0.0.1"] }));
        let request = Request::get("/a/").bearer(&token());
        let request =
            chain.into_iter().fold(request, |request, chain| request.header("X-Forwarded-For", chain));
        assert_eq!(gateway.send(&request).status, expected, "{list} {chain:?}");
        upstream.recorded().iter().for_each(|_| drop(upstream.take_one()));
    }
    for (client, allowed) in [("10.1.2.9", true), ("10.1.3.9", false), ("2001:DB8::1", true)] {
        let question = json!({ "url": "/a/", "token": token(), "client": client });
        assert_eq!(gateway.explain(&question)["allowed"], allowed, "{client}");
    }
}

#[test]
fn sizes_of_bodies() {
    let upstream = Server::up();
    let limit = |value: u64| json!({ "requestSizeLimit": { "enabled": true, "value": value } });
    let mut changes = operations(&[("up", "post", "/up", limit(5))]);
    merge(&mut changes, json!({ "x-tyk-api-gateway": { "middleware": { "global": limit(10) } } }));
    for (profile, too_large) in [("rfc", 413), ("tyk", 400)] {
        let gateway = start(&upstream, changes.clone(), in_profile(profile));
        for (method, path, length, expected) in [
            ("POST", "/a/x", 10, 200),
            ("POST", "/a/x", 11, too_large),
            ("PUT", "/a/x", 11, too_large),
            ("DELETE", "/a/x", 11, too_large),
            ("GET", "/a/x", 11, too_large),
            ("POST", "/a/up", 5, 200),
            ("POST", "/a/up", 6, too_large),
            ("POST", "/a/up/y", 6, too_large),
            ("POST", "/a/UP;x", 6, too_large),
            ("PUT", "/a/up", 6, 200),
        ] {
            let request = Request::new(method, path).bearer(&token()).body(&vec![b'a'; length]);
            let explained = gateway.explain(&request.described());
            assert_eq!(gateway.send(&request).status, expected, "{profile} {method} {path} {length}");
            assert_eq!(explained["allowed"], expected == 200, "{profile} {method} {path} {length}");
            if expected == 200 {
                assert_eq!(upstream.take_one().body.len(), length);
            }
        }
        // Before the token, and before the body comes.
        let head = "POST /a/x HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n";
        let mut stream = TcpStream::connect(gateway.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        let mut start = [0; 12];
        stream.read_exact(&mut start).unwrap();
        assert_eq!(start, format!("HTTP/1.1 {too_large}").as_bytes());
        assert!(upstream.recorded().is_empty());
    }
}

#[test]
fn bodies_of_unknown_length_are_counted() {
    let upstream = Server::up();
    let limit = json!({ "requestSizeLimit": { "enabled": true, "value": 10 } });
    let changes = json!({ "x-tyk-api-gateway": { "middleware": { "global": limit } } });
    let chunked = |method: &str, chunks: &[&str]| {
        let chunks: String = chunks.iter().map(|chunk| format!("{:x}\r\n{chunk}\r\n", chunk.len())).collect();
        let token = token();
        format!(
            "{method} /a/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n"
        )
    };
    let rfc = start(&upstream, changes.clone(), in_profile("rfc"));
    let tyk = start(&upstream, changes, in_profile("tyk"));
    for (gateway, method, chunks, expected) in [
        (&rfc, "POST", &["12345", "67890"][..], 200),
        (&rfc, "POST", &["12345", "678901"], 413),
        (&rfc, "POST", &["12345678901"], 413),
        (&rfc, "DELETE", &["12345", "678901"], 413),
        (&tyk, "POST", &["1"], 411),
        (&tyk, "DELETE", &["12345"], 200),
        (&tyk, "DELETE", &["12345", "678901"], 400),
    ] {
        let answer = exchange(gateway.address(), chunked(method, chunks).as_bytes());
        assert_eq!(answer.status, expected, "{method} {chunks:?} {}", answer.text());
        // The upstream records what came whole, and nothing else did.
        if expected == 200 {
            assert_eq!(upstream.take_one().body, chunks.concat().as_bytes());
        }
    }
    assert_eq!(tyk.send(&Request::new("POST", "/a/x").bearer(&token())).status, 411);
    assert_eq!(rfc.send(&Request::new("POST", "/a/x").bearer(&token())).status, 200);
    upstream.take_one();
    // A client that sends on is answered while it does.
    let mut stream = TcpStream::connect(rfc.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let whole = chunked("POST", &["12345", "678901"]);
    stream.write_all(whole.strip_suffix("0\r\n\r\n").unwrap().as_bytes()).unwrap();
    assert_eq!(read_answer(&mut BufReader::new(stream), false).unwrap().status, 413);
    assert!(upstream.recorded().is_empty());
}

#[test]
fn methods_for_the_upstream() {
    let upstream = Server::up();
    let to = |method: &str| json!({ "transformRequestMethod": { "enabled": true, "toMethod": method } });
    let changes = operations(&[
        ("x", "get", "/x", to("put")),
        ("head", "get", "/head", to("HEAD")),
        ("off", "post", "/y", json!({ "transformRequestMethod": { "enabled": false, "toMethod": "GET" } })),
    ]);
    let gateway = start(&upstream, changes, in_profile("rfc"));
    for (method, path, sent) in [
        ("GET", "/a/x", "PUT"),
        ("HEAD", "/a/x", "HEAD"),
        ("POST", "/a/x", "POST"),
        ("POST", "/a/y", "POST"),
        ("GET", "/a/head", "HEAD"),
    ] {
        let answer = gateway.send(&Request::new(method, path).bearer(&token()));
        assert_eq!((answer.status, answer.complete), (200, true), "{method} {path}");
        let head = upstream.take_one().head;
        assert!(head.starts_with(&format!("{sent} ")), "{method} {path}: {head}");
    }
    assert_eq!(gateway.send(&Request::get("/a/x")).status, 401);
}

#[test]
fn what_is_wrong_is_told_at_load() {
    let upstream = Server::up();
    let told = |changes: Value| {
        let mut document =
            api("a", &upstream, scheme(json!({ "source": "env://SECRET", "signingMethod": "hmac" })));
        merge(&mut document, changes);
        let setup =
            Setup::new().env("SECRET", key(Algorithm::HS256).to_text().unwrap().trim()).api(&document);
        String::from_utf8(setup.check().stdout).unwrap()
    };
    let server = |field: Value| json!({ "x-tyk-api-gateway": { "server": field } });
    let global = |field: Value| json!({ "x-tyk-api-gateway": { "middleware": { "global": field } } });
    let without_path =
        |block: Value| json!({ "x-tyk-api-gateway": { "middleware": { "operations": { "no": block } } } });
    let ip = |lists: Value| server(json!({ "ipAccessControl": lists }));
    for (changes, severity, part) in [
        (
            ip(json!({ "enabled": true, "allow": ["10.0.0.0/8", "localhost"] })),
            "error",
            "ipAccessControl.allow[1]: this is neither an address",
        ),
        (
            ip(json!({ "enabled": true, "block": ["10.0.0.0/33"] })),
            "error",
            "ipAccessControl.block[0]: this is neither an address",
        ),
        (
            ip(json!({ "enabled": true, "deny": ["10.0.0.1"] })),
            "error",
            "ipAccessControl.deny: unknown field",
        ),
        (ip(json!({ "enabled": true })), "warning", "ipAccessControl: this is on, and both lists are empty"),
        (
            global(json!({ "requestSizeLimit": { "enabled": true } })),
            "warning",
            "requestSizeLimit.value: a value of 0 limits nothing",
        ),
        (
            global(json!({ "requestSizeLimit": { "enabled": true, "value": -1 } })),
            "error",
            "requestSizeLimit.value",
        ),
        (without_path(on("block")), "error", "operations.no: no path of this document"),
        (without_path(on("allow")), "error", "operations.no: no path of this document"),
        (without_path(on("mockResponse")), "warning", "operations.no: no path of this document"),
        (
            operations(&[(
                "x",
                "get",
                "/x",
                json!({ "transformRequestMethod": { "enabled": true, "toMethod": "CONNECT" } }),
            )]),
            "error",
            "transformRequestMethod.toMethod: an upstream gets GET",
        ),
        (
            operations(&[(
                "x",
                "get",
                "/x",
                json!({ "block": { "enabled": true }, "allow": { "enabled": true } }),
            )]),
            "warning",
            "this operation is blocked, so allow beside it has no effect",
        ),
    ] {
        let told = told(changes);
        let line =
            told.lines().find(|line| line.contains(part)).unwrap_or_else(|| panic!("{part} in {told}"));
        assert!(line.starts_with(severity), "{line}");
    }
}

#[test]
fn an_api_behind_another_asks_for_itself() {
    let upstream = Server::up();
    let limit = |value: u64| json!({ "global": { "requestSizeLimit": { "enabled": true, "value": value } } });
    let changed = |mut document: Value, changes: Value| {
        merge(&mut document, changes);
        document
    };
    let mut inner =
        operations(&[("int", "get", "/int", on("internal")), ("blocked", "get", "/blocked", on("block"))]);
    merge(&mut inner, json!({ "x-tyk-api-gateway": { "middleware": limit(10) } }));
    let to_inner = json!({ "upstream": { "url": "tyk://inner" }, "middleware": limit(20) });
    let fenced = json!({ "server": { "ipAccessControl": { "enabled": true, "block": ["127.0.0.1"] } } });
    let gateway = Setup::new()
        .api(&changed(keyless("front", &upstream), json!({ "x-tyk-api-gateway": to_inner })))
        .api(&changed(keyless("inner", &upstream), inner))
        .api(&changed(
            keyless("away", &upstream),
            json!({ "x-tyk-api-gateway": { "upstream": { "url": "tyk://fenced" } } }),
        ))
        .api(&changed(keyless("fenced", &upstream), json!({ "x-tyk-api-gateway": fenced })))
        .start();
    for (path, expected) in [
        ("/inner/int", 403),
        ("/front/int", 200),
        ("/inner/blocked", 403),
        ("/front/blocked", 403),
        ("/away/x", 403),
    ] {
        assert_eq!(gateway.send(&Request::get(path)).status, expected, "{path}");
        if expected == 200 {
            upstream.take_one();
        }
    }
    let chunked = "POST /front/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n12345678901\r\n0\r\n\r\n";
    assert_eq!(exchange(gateway.address(), chunked.as_bytes()).status, 413);
    assert!(upstream.recorded().is_empty());
}

#[test]
fn preflights_that_pass_without_a_token_ask_for_what_is_open() {
    let upstream = Server::up();
    let on = |kind: &str| json!({ (kind): { "enabled": true } });
    let passing = json!({ "x-tyk-api-gateway": { "middleware": { "global": { "cors": { "enabled": true, "optionsPassthrough": true } } } } });
    let mut closing = operations(&[
        ("blocked", "put", "/blocked", on("block")),
        ("closed", "options", "/closed", on("block")),
        ("internal", "put", "/internal", on("internal")),
    ]);
    merge(&mut closing, passing.clone());
    let mut allowing = operations(&[("open", "put", "/open", on("allow"))]);
    merge(&mut allowing, passing);
    for profile in ["rfc", "tyk"] {
        for (changes, path, expected) in [
            (&closing, "/a/blocked", 403),
            (&closing, "/a/closed", 403),
            (&closing, "/a/internal", 403),
            (&closing, "/a/other", 200),
            (&allowing, "/a/open", 200),
            (&allowing, "/a/other", 403),
        ] {
            let gateway = start(&upstream, changes.clone(), in_profile(profile));
            let preflight = Request::new("OPTIONS", path)
                .header("Origin", "https://page.example")
                .header("Access-Control-Request-Method", "PUT");
            assert_eq!(gateway.send(&preflight).status, expected, "{profile} {path}");
            assert_eq!(upstream.recorded().len(), usize::from(expected == 200), "{profile} {path}");
            if expected == 200 {
                upstream.take_one();
            }
        }
    }
}
