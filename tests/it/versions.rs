//! Versions of an API (`info.versioning`), and its end (`info.expiration`).

use claimgate::jwt::Algorithm;
use serde_json::{Value, json};

use crate::support::{Answer, Gateway, Request, Server, Setup, api, claims, key, keyless, merge, scheme};

fn token(changes: Value) -> String {
    key(Algorithm::HS256).sign(&json!({}), &claims(changes)).unwrap()
}

fn setup() -> Setup {
    Setup::new().env("SECRET", key(Algorithm::HS256).to_text().unwrap().trim())
}

fn with_info(mut document: Value, info: Value) -> Value {
    merge(&mut document, json!({ "x-tyk-api-gateway": { "info": info } }));
    document
}

fn protected(id: &str, upstream: &Server) -> Value {
    let selecting = json!({ "source": "env://SECRET", "signingMethod": "hmac", "policyFieldName": "pol" });
    api(id, upstream, scheme(selecting))
}

fn internal(document: Value) -> Value {
    with_info(document, json!({ "state": { "internal": true } }))
}

/// The same as a base with a version `v2`, which is the API `two`.
fn base(document: Value, changes: Value) -> Value {
    let mut versioning = json!({
        "enabled": true,
        "name": "v1",
        "default": "self",
        "location": "header",
        "key": "X-Version",
        "versions": [{ "name": "v2", "id": "two" }],
    });
    merge(&mut versioning, changes);
    with_info(document, json!({ "versioning": versioning }))
}

/// Two open APIs: the base and its version.
fn open(profile: &str, versioning: Value) -> (Gateway, Server, Server) {
    let (one, two) = (Server::up(), Server::up());
    let gateway = setup()
        .config(&json!({ "errors": profile }))
        .api(&base(keyless("one", &one), versioning))
        .api(&internal(keyless("two", &two)))
        .start();
    (gateway, one, two)
}

/// The one target that an upstream was asked for, and which of the two that was.
fn target(one: &Server, two: &Server) -> (u8, String) {
    let (first, second) = (one.recorded(), two.recorded());
    assert_eq!(first.len() + second.len(), 1);
    match first.first() {
        Some(seen) => (1, {
            one.take_one();
            seen.target().to_owned()
        }),
        None => (2, two.take_one().target().to_owned()),
    }
}

fn versioned(gateway: &Gateway, version: &str) -> Answer {
    gateway.send(&Request::get("/one/x").header("X-Version", version))
}

#[test]
fn by_header() {
    let (gateway, one, two) = open("rfc", json!({ "stripVersioningData": true }));
    assert_eq!(versioned(&gateway, "v2").status, 200);
    let seen = two.take_one();
    assert_eq!((seen.target(), seen.values("x-version").len()), ("/x", 0));
    assert!(gateway.last_line().contains("\"api\":\"two\""));
    for version in ["v1", "self", ""] {
        assert_eq!(versioned(&gateway, version).status, 200, "{version:?}");
        assert_eq!(one.take_one().target(), "/x");
    }
    for version in ["V2", "v3", "two", "v2,v1"] {
        assert_eq!(versioned(&gateway, version).status, 404, "{version:?}");
    }
    assert_eq!(gateway.send(&Request::get("/two/x")).status, 404);
    assert!(one.recorded().is_empty() && two.recorded().is_empty());
    let both = Request::get("/one/x").header("X-Version", "v1").header("X-Version", "v2");
    assert_eq!(gateway.send(&both).status, 400);
    let explained = gateway.explain(&Request::get("/one/x").header("X-Version", "v2").described());
    let steps = explained["steps"].as_array().unwrap();
    let step = steps.iter().find(|step| step["step"] == "version").unwrap();
    assert_eq!(step["found"], "\"v2\" is named: the API two");
    assert_eq!(explained["api"], "two");
}

#[test]
fn by_parameter() {
    let place = json!({ "location": "url-param", "key": "v", "stripVersioningData": true });
    for (profile, query, status, asked) in [
        ("rfc", "?b=1&v=v2&a=%2f", 200, (2, "/x?b=1&a=%2f")),
        ("tyk", "?b=1&v=v2&a=%2f", 200, (2, "/x?a=%2F&b=1")),
        ("rfc", "?%76=v2", 200, (2, "/x")),
        ("rfc", "?V=v2", 200, (1, "/x?V=v2")),
        ("tyk", "?v=v2&v=v1", 200, (2, "/x")),
        ("rfc", "?v=v2&v=v1", 400, (0, "")),
        ("rfc", "?v=%zz", 404, (0, "")),
        ("rfc", "?v=v3", 404, (0, "")),
    ] {
        let (gateway, one, two) = open(profile, place.clone());
        assert_eq!(gateway.send(&Request::get(format!("/one/x{query}"))).status, status, "{profile} {query}");
        if status == 200 {
            assert_eq!(target(&one, &two), (asked.0, asked.1.to_owned()), "{profile} {query}");
        }
    }
}

#[test]
fn by_path() {
    let stripping = json!({ "location": "url", "stripVersioningData": true });
    let falling = json!({ "location": "url", "stripVersioningData": true, "fallbackToDefault": true });
    let matching = json!({ "location": "url", "stripVersioningData": true, "fallbackToDefault": true, "urlVersioningPattern": "^v[0-9]+$" });
    let keeping = json!({ "location": "url" });
    for (profile, versioning, asked) in [
        (
            "rfc",
            &stripping,
            &[
                ("/one/v2/x?q", 2, "/x?q"),
                ("/one/v2", 2, "/"),
                ("/one/v2/", 2, "/"),
                ("/one/v1/x", 1, "/x"),
                ("/one/", 1, "/"),
                ("/one/%762/a%2fb", 2, "/a%2fb"),
                ("/one/x", 404, ""),
                ("/one/x/v2/y", 404, ""),
                ("/one/v2%2fx", 400, ""),
                ("/one%2fv2/x", 400, ""),
            ][..],
        ),
        ("tyk", &stripping, &[("/one/v2/x", 2, "/x"), ("/one/v2", 2, "/v2")]),
        ("rfc", &falling, &[("/one/v9/x", 1, "/v9/x"), ("/one/v2/x", 2, "/x")]),
        ("tyk", &falling, &[("/one/v9/x", 1, "/x"), ("/one/x", 1, "/x")]),
        ("rfc", &matching, &[("/one/v9/x", 1, "/x"), ("/one/foo/x", 1, "/foo/x")]),
        ("rfc", &keeping, &[("/one/v2/x", 2, "/v2/x"), ("/one/v1/x", 1, "/v1/x")]),
    ] {
        let (gateway, one, two) = open(profile, versioning.clone());
        for (path, which, seen) in asked {
            let answer = gateway.send(&Request::get(*path));
            if *which < 3 {
                assert_eq!(answer.status, 200, "{profile} {path}");
                assert_eq!(
                    target(&one, &two),
                    (u8::try_from(*which).unwrap(), (*seen).to_owned()),
                    "{profile} {path}"
                );
            } else {
                assert_eq!(answer.status, *which, "{profile} {path}");
            }
        }
        assert!(one.recorded().is_empty() && two.recorded().is_empty());
    }
}

#[test]
fn the_listen_path_of_the_base_is_what_is_stripped() {
    let (one, two) = (Server::up(), Server::up());
    let mut kept = base(keyless("one", &one), json!({ "location": "url", "stripVersioningData": true }));
    merge(&mut kept, json!({ "x-tyk-api-gateway": { "server": { "listenPath": { "strip": false } } } }));
    let gateway = setup().api(&kept).api(&internal(keyless("two", &two))).start();
    assert_eq!(gateway.send(&Request::get("/one/v2/x")).status, 200);
    assert_eq!(two.take_one().target(), "/one/x");
}

#[test]
fn a_version_asks_for_itself() {
    let (one, two) = (Server::up(), Server::up());
    let grant = |id: &str, api: &str| json!({ "id": id, "access_rights": { api: { "api_id": api } } });
    let gateway = setup()
        .api(&base(protected("one", &one), json!({})))
        .api(&internal(protected("two", &two)))
        .policy(&grant("first", "one"))
        .policy(&grant("second", "two"))
        .start();
    for (policy, version, status) in [
        ("first", "v1", 200),
        ("first", "v2", 403),
        ("second", "v1", 403),
        ("second", "v2", 200),
        ("second", "v9", 404),
    ] {
        let request =
            Request::get("/one/").bearer(&token(json!({ "pol": policy }))).header("X-Version", version);
        assert_eq!(gateway.send(&request).status, status, "{policy} {version}");
    }
    assert_eq!((one.take_one().target(), two.take_one().target()), ("/", "/"));
    assert_eq!(versioned(&gateway, "v2").status, 401);
    assert_eq!(versioned(&gateway, "v9").status, 404);
    // The token of a question is put where the version looks for it.
    let question = Request::get("/one/").header("X-Version", "v2");
    let mut question = question.described();
    question["token"] = token(json!({ "pol": "second" })).into();
    assert_eq!(gateway.explain(&question)["allowed"], true);
}

#[test]
fn an_internal_operation_of_a_version_stays_internal() {
    let (one, two) = (Server::up(), Server::up());
    let mut version = internal(keyless("two", &two));
    let operation = json!({ "get": { "operationId": "inner", "responses": {} } });
    let closed = json!({ "operations": { "inner": { "internal": { "enabled": true } } } });
    merge(
        &mut version,
        json!({ "paths": { "/x": operation }, "x-tyk-api-gateway": { "middleware": closed } }),
    );
    let gateway = setup().api(&base(keyless("one", &one), json!({}))).api(&version).start();
    assert_eq!(versioned(&gateway, "v2").status, 403);
    assert_eq!(gateway.send(&Request::get("/one/y").header("X-Version", "v2")).status, 200);
}

#[test]
fn without_a_name_the_default_counts() {
    for (default, status, which) in [("v2", 200, 2), ("self", 200, 1), ("", 400, 0), ("v9", 404, 0)] {
        let (gateway, one, two) = open("rfc", json!({ "default": default }));
        assert_eq!(gateway.send(&Request::get("/one/x")).status, status, "{default}");
        if status == 200 {
            assert_eq!(target(&one, &two).0, which, "{default}");
        }
    }
    let (gateway, one, two) = open("rfc", json!({ "default": "v2", "fallbackToDefault": true }));
    assert_eq!(versioned(&gateway, "nonsense").status, 200);
    assert_eq!(target(&one, &two).0, 2);
    let (gateway, one, two) = open("rfc", json!({ "enabled": false }));
    assert_eq!(versioned(&gateway, "v2").status, 200);
    assert_eq!(target(&one, &two).0, 1);
}

#[test]
fn versions_that_are_not_there_are_told_and_refused() {
    let one = Server::up();
    let setup = setup().api(&base(keyless("one", &one), json!({ "default": "v7" })));
    let output = setup.check();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    for part in [
        "versioning.versions[0].id: the API two does not exist",
        "versioning.default: no version has this name",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let gateway = setup.start();
    assert_eq!(versioned(&gateway, "v2").status, 404);
}

#[test]
fn what_cannot_be_meant_is_an_error() {
    let one = Server::up();
    for (versioning, part) in [
        (json!({ "location": "body" }), "write header, url-param or url"),
        (json!({ "key": "" }), "no name of a header field"),
        (json!({ "key": "a b" }), "no name of a header field"),
        (json!({ "location": "url-param", "key": "" }), "write its name"),
        (json!({ "location": "url", "urlVersioningPattern": "(" }), "no regular expression"),
        (json!({ "versions": [{ "name": "v2" }] }), "write both"),
        (json!({ "versions": [{ "name": "v1", "id": "two" }] }), "write another name"),
        (json!({ "versions": [{ "name": "a", "id": "two" }, { "name": "a", "id": "one" }] }), "comes twice"),
        (json!({ "verions": [] }), "verions"),
    ] {
        let output = setup().api(&base(keyless("one", &one), versioning)).check();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(!output.status.success() && text.contains(part), "{part}: {text}");
    }
}

#[test]
fn versions_that_lead_to_each_other_end() {
    let one = Server::up();
    let back = json!({ "versions": [{ "name": "v2", "id": "one" }], "name": "other" });
    let gateway =
        setup().api(&base(keyless("one", &one), json!({}))).api(&base(keyless("two", &one), back)).start();
    assert_eq!(versioned(&gateway, "v2").status, 508);
}

#[test]
fn an_api_ends_when_it_says_so() {
    let up = Server::up();
    for (profile, status, field, date) in [
        ("rfc", 410, "sunset", "Fri, 02 Jan 2099 03:04:00 GMT"),
        ("tyk", 403, "x-tyk-api-expires", "Fri, 02 Jan 2099 03:04:00 UTC"),
    ] {
        let ending = |id: &str, time: &str| with_info(protected(id, &up), json!({ "expiration": time }));
        let gateway = setup()
            .config(&json!({ "errors": profile }))
            .api(&ending("ended", "2020-01-01 00:00"))
            .api(&ending("ending", "2099-01-02 03:04"))
            .start();
        let answer = gateway.send(&Request::get("/ended/"));
        assert_eq!((answer.status, answer.header(field)), (status, None));
        let answer = gateway.send(&Request::get("/ending/").bearer(&token(json!({}))));
        assert_eq!((answer.status, answer.header(field)), (200, Some(date)));
        // The time is that of the question.
        let mut question = Request::get("/ending/").described();
        question["at"] = "2100-01-01T00:00:00Z".into();
        assert_eq!(gateway.explain(&question)["answer"]["reason"], "api_expired");
    }
    let unreadable = |profile: &str| {
        setup()
            .config(&json!({ "errors": profile }))
            .api(&with_info(keyless("a", &up), json!({ "expiration": "soon" })))
    };
    let output = unreadable("rfc").check();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!output.status.success() && text.contains("info.expiration: this time cannot be read"), "{text}");
    assert_eq!(unreadable("tyk").start().send(&Request::get("/a/")).status, 403);
    assert!(up.recorded().len() == 2);
}

#[test]
fn a_version_leads_on_to_itself() {
    let one = Server::up();
    let document = base(keyless("one", &one), json!({ "default": "", "fallbackToDefault": false }));
    let mut document = document;
    merge(
        &mut document,
        json!({
            "paths": { "/old": { "get": { "operationId": "old", "responses": {} } } },
            "x-tyk-api-gateway": {
                "info": { "versioning": { "stripVersioningData": true } },
                "middleware": { "operations": { "old": { "urlRewrite": {
                    "enabled": true, "pattern": "/old", "rewriteTo": "tyk://self/new",
                } } } },
            }
        }),
    );
    let gateway = setup().api(&document).api(&internal(keyless("two", &one))).start();
    // What named the version is gone by then.
    let answer = gateway.send(&Request::get("/one/old").header("X-Version", "v1"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(one.take_one().target(), "/new");
}

#[test]
fn a_version_that_everybody_may_use_is_told() {
    let upstream = Server::up();
    let warning = "its version two does not";
    for (base_is_protected, version, is_told) in [
        (true, keyless("two", &upstream), true),
        (true, protected("two", &upstream), false),
        (false, keyless("two", &upstream), false),
    ] {
        let one = if base_is_protected { protected("one", &upstream) } else { keyless("one", &upstream) };
        let output = setup().api(&base(one, json!({}))).api(&internal(version)).check();
        let text = [output.stdout, output.stderr].concat();
        assert_eq!(String::from_utf8_lossy(&text).contains(warning), is_told);
    }
}
