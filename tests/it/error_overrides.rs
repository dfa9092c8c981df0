//! Rules that change what errors look like (`errorOverrides`, `error_overrides`).

use std::io::Write as _;

use claimgate::jwt::Algorithm;
use serde_json::{Value, json};

use crate::support::{Gateway, Request, Server, Setup, api, claims, key, keyless, merge, respond, scheme};

const GZIPPED: &[u8] = b"\x1f\x8b not really";

/// Answers with the status, and what else, that the path names.
fn faulty() -> Server {
    Server::start(|request, stream| {
        let json =
            |stream: &mut _, status| respond(stream, status, "application/json", br#"{"e":{"code":7}}"#);
        let target = request.target().to_owned();
        if request.head.starts_with("HEAD") {
            let head = "HTTP/1.1 500 Oh\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\n";
            return stream.write_all(head.as_bytes()).is_ok();
        }
        match &*target {
            "/404" => json(stream, "404 Not Found"),
            "/409" => json(stream, "409 Conflict"),
            "/500" => respond(stream, "500 Oh", "text/plain", b"oops"),
            "/422" => {
                let text = json!({ "e": { "code": 8 }, "fill": "x".repeat(300_000) }).to_string();
                let head =
                    "HTTP/1.1 422 No\r\nETag: \"x\"\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n";
                let chunk = format!("{head}{:x}\r\n{text}\r\n0\r\nT: 1\r\n\r\n", text.len());
                stream.write_all(chunk.as_bytes()).is_ok()
            }
            "/418" => {
                let head = format!(
                    "HTTP/1.1 418 Tea\r\nContent-Encoding: gzip\r\nETag: \"x\"\r\nContent-Length: {}\r\n\r\n",
                    GZIPPED.len()
                );
                stream.write_all(&[head.as_bytes(), GZIPPED].concat()).is_ok()
            }
            "/413" => {
                let _ = stream.write_all(b"HTTP/1.1 413 No\r\nContent-Length: 100\r\n\r\nhalf");
                false
            }
            _ => respond(stream, "200 OK", "text/plain", b"up"),
        }
    })
}

fn with_rules(mut document: Value, rules: Value) -> Value {
    merge(
        &mut document["x-tyk-api-gateway"],
        json!({ "errorOverrides": { "enabled": true, "value": rules } }),
    );
    document
}

fn protected(id: &str, upstream: &Server) -> Value {
    let jwt =
        json!({ "source": "env://SECRET", "signingMethod": "hmac", "allowedIssuers": ["https://idp.test"] });
    api(id, upstream, scheme(jwt))
}

fn setup(profile: &str, gateway_rules: Value) -> Setup {
    Setup::new()
        .config(&json!({ "errors": profile, "error_overrides": gateway_rules }))
        .env("SECRET", key(Algorithm::HS256).to_text().unwrap().trim())
}

fn token(changes: Value) -> String {
    key(Algorithm::HS256).sign(&json!({}), &claims(changes)).unwrap()
}

#[test]
fn refusals_in_rfc_keep_what_the_rule_leaves_alone() {
    let upstream = faulty();
    let rules = json!({
        "401": [
            { "match": { "flag": "AMF" }, "response": { "statusCode": 403, "message": "log \"in\" <here>" } },
            { "match": { "flag": "TKE" }, "response": {
                "body": r#"{"code":{{.StatusCode}},"m":"{{.Message}}"}"#,
                "headers": { "Content-Type": "application/problem+json", "X-Why": "old" },
            } },
            { "match": { "messagePattern": "issuer.*trusted" }, "response": {
                "body": "<p>{{.Message}}</p>", "message": "a&b",
                "headers": { "WWW-Authenticate": "Mine", "Content-Type": "text/html" },
            } },
        ],
    });
    let gateway = setup("rfc", json!({ "4xx": [{ "response": { "status_code": 401, "message": "no" } }] }))
        .api(&with_rules(protected("a", &upstream), rules))
        .policy(&json!({ "id": "none", "access_rights": { "b": { "api_id": "b" } } }))
        .start();
    let send = |token: Option<String>| {
        let request = Request::get("/a/");
        gateway.send(&match token {
            Some(token) => request.bearer(&token),
            None => request,
        })
    };

    let missing = send(None);
    assert_eq!(
        (missing.status, &*missing.text()),
        (403, "{\"error\":\"invalid_token\",\"error_description\":\"log \\\"in\\\" <here>\"}\n")
    );
    assert_eq!(missing.header("www-authenticate"), Some("Bearer realm=\"a\""));
    assert_eq!(missing.header("cache-control"), Some("no-store"));
    assert!(gateway.last_line().contains("\"reason\":\"token_missing\""), "the log tells what it was");

    let expired = send(Some(token(json!({ "exp": 1 }))));
    assert_eq!(
        (expired.status, &*expired.text()),
        (401, r#"{"code":401,"m":"The access token has expired."}"#)
    );
    assert_eq!(expired.header("content-type"), Some("application/problem+json"));
    assert_eq!(expired.header("x-why"), Some("old"));
    assert!(expired.header("www-authenticate").unwrap().contains("error=\"invalid_token\""));

    let issuer = send(Some(token(json!({ "iss": "x" }))));
    assert_eq!((issuer.status, &*issuer.text()), (401, "<p>a&amp;b</p>"));
    assert_eq!(issuer.header("www-authenticate"), Some("Mine"));
    assert_eq!(issuer.header("content-type"), Some("text/html"));

    // No rule of the API fits, so one of the gateway does. Where it makes a 401, there is a challenge.
    let nowhere = gateway.send(&Request::get("/nowhere"));
    assert_eq!(
        (nowhere.status, &*nowhere.text()),
        (401, "{\"error\":\"not_found\",\"error_description\":\"no\"}\n")
    );
    assert_eq!(nowhere.header("www-authenticate"), Some("Bearer realm=\"\""));
    assert!(upstream.recorded().is_empty());
}

#[test]
fn refusals_in_tyk_look_as_in_tyk() {
    let upstream = faulty();
    let rules = json!({
        "400": [{ "response": { "statusCode": 200, "message": "<hi>" } }],
        "4xx": [{ "match": { "flag": "TCV" }, "response": { "template": "mine" } }],
        "401": [{ "match": { "flag": "TKE" }, "response": { "body": "exact before class" } }],
    });
    let mut off = with_rules(protected("off", &upstream), rules.clone());
    merge(&mut off["x-tyk-api-gateway"]["errorOverrides"], json!({ "enabled": false }));
    let setup = setup("tyk", json!({ "4xx": [{ "response": { "body": "of the gateway" } }] }));
    std::fs::create_dir(setup.path("templates")).unwrap();
    let gateway = setup
        .file("templates/mine.json", r#"{"no":"{{ .Message }}"}"#)
        .file("templates/mine.xml", "<no>{{ .Message }}</no>")
        .api(&with_rules(protected("a", &upstream), rules))
        .api(&off)
        .start();
    let other_issuer = token(json!({ "iss": "<\"x\">" }));

    let missing = gateway.send(&Request::get("/a/"));
    assert_eq!((missing.status, &*missing.text()), (200, "{\n    \"error\": \"<hi>\"\n}"));
    let xml = gateway.send(&Request::get("/a/").header("Content-Type", "text/xml"));
    assert_eq!(xml.header("content-type"), Some("text/xml"));
    assert!(xml.text().ends_with("<error>&lt;hi&gt;</error>\n"), "{}", xml.text());

    let issuer = gateway.send(&Request::get("/a/").bearer(&other_issuer));
    let said = r#"{"no":"Key not authorized: invalid issuer claim: \u003c\"x\"\u003e"}"#;
    assert_eq!((issuer.status, &*issuer.text()), (401, said));
    let issuer =
        gateway.send(&Request::get("/a/").bearer(&other_issuer).header("Content-Type", "application/xml"));
    let said = "<no>Key not authorized: invalid issuer claim: &lt;&#34;x&#34;&gt;</no>";
    assert_eq!((issuer.header("content-type"), &*issuer.text()), (Some("application/xml"), said));

    let expired = gateway.send(&Request::get("/a/").bearer(&token(json!({ "exp": 1 }))));
    assert_eq!(expired.text(), "exact before class");
    assert_eq!(gateway.send(&Request::get("/a/").bearer("x")).text(), "of the gateway");
    assert_eq!(gateway.send(&Request::get("/off/")).text(), "of the gateway", "enabled: false");
    // Tyk's rules do not reach where no API answers.
    assert_eq!(gateway.send(&Request::get("/nowhere")).text(), "Not Found");
    let head = gateway.send(&Request::new("HEAD", "/a/"));
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert!(upstream.recorded().is_empty(), "an answer of 200 lets nobody in");
}

fn of_upstream(upstream: &Server) -> Gateway {
    let rules = json!({
        "404": [
            { "match": { "flag": "TKI", "messagePattern": "code" }, "response": { "body": "of refusals alone" } },
            { "match": { "bodyField": "e.code", "bodyValue": "8" }, "response": { "body": "another value" } },
            { "match": { "bodyField": "e.code", "bodyValue": "7" }, "response": {
                "statusCode": 410, "message": "gone", "headers": { "X-Code": "7" },
            } },
        ],
        "409": [{ "response": { "statusCode": 423, "headers": { "X-Only": "1" } } }],
        "422": [{ "match": { "bodyField": "e.code", "bodyValue": "8" }, "response": { "body": "too long to tell" } }],
        "418": [
            { "match": { "messagePattern": "really" }, "response": { "body": "encoded" } },
            { "response": { "body": "plain again" } },
        ],
        "413": [{ "match": { "messagePattern": "half" }, "response": { "body": "x" } }],
        "5xx": [{ "match": { "flag": "URS" }, "response": { "message": "later" } }],
    });
    let changed = with_rules(keyless("up", upstream), rules);
    setup("rfc", json!({})).api(&changed).start()
}

#[test]
fn errors_of_the_upstream() {
    let upstream = faulty();
    let gateway = of_upstream(&upstream);
    let get = |path: &str| gateway.send(&Request::get(format!("/up/{path}")));

    let gone = get("404");
    assert_eq!(
        (gone.status, &*gone.text()),
        (410, "{\"error\":\"upstream_error\",\"error_description\":\"gone\"}\n")
    );
    assert_eq!((gone.header("x-code"), gone.header("content-type")), (Some("7"), Some("application/json")));

    let locked = get("409");
    assert_eq!((locked.status, &*locked.text()), (423, r#"{"e":{"code":7}}"#), "the body stays");
    assert_eq!(locked.header("x-only"), Some("1"));

    let long = get("422");
    assert!(long.complete && long.body.len() > 300_000, "what was looked at is not lost");
    assert_eq!((long.status, long.header("etag")), (422, Some("\"x\"")));

    let tea = get("418");
    assert_eq!(tea.text(), "plain again", "an encoded body matches nothing");
    assert_eq!((tea.header("content-encoding"), tea.header("etag")), (None, None));

    assert_eq!(get("413").status, 502, "an answer that breaks off while it is looked at");
    let failed = get("500");
    assert_eq!((failed.status, failed.complete), (500, true));
    assert!(failed.text().contains("\"later\""));
    let head = gateway.send(&Request::new("HEAD", "/up/500"));
    assert_eq!((head.status, head.body.len()), (500, 0));
    assert_ne!(head.header("content-length"), Some("4"), "the length of a body that is not sent");
    assert_eq!(get("fine").text(), "up");
}

#[test]
fn what_is_wrong_with_rules() {
    let upstream = Server::up();
    let answer = json!({ "message": "x" });
    let rules = json!({
        "40x": [{ "response": answer }],
        "200": [{ "response": answer }],
        "401": [
            { "match": { "flag": "ABC" }, "response": answer },
            { "match": { "messagePattern": "(" }, "response": answer },
            { "match": { "bodyField": "a" }, "response": answer },
            { "match": { "bodyValue": "a" }, "response": answer },
            { "match": { "bodyField": "a.#.b", "bodyValue": "1" }, "response": answer },
            { "response": { "statusCode": 99 } },
            { "response": { "statusCode": 204 } },
            { "response": { "headers": { "Content-Length": "3", "a b": "1", "X": "a\nb" } } },
            { "response": { "body": "{{.Message}}{{range .X}}" } },
            { "response": { "template": "../secret" } },
            { "response": { "template": "absent" } },
            { "response": { "statusCodes": 401 } },
        ],
        "5xx": [{ "match": { "flag": "TLE" }, "response": { "statusCode": 200 } }],
    });
    let gateway_rules = json!({
        "4xx": [{ "match": { "message_pattern": "[" }, "response": { "status_code": 700, "statusCode": 1 } }],
    });
    let setup = setup("rfc", gateway_rules);
    let said = String::from_utf8(setup.check().stdout).unwrap();
    for part in [
        "claimgate.yaml:1: error_overrides.4xx[0].match.message_pattern: this is not a regular expression",
        "error_overrides.4xx[0].response.status_code: an answer has a status from 200 to 599",
        "error_overrides.4xx[0].response.statusCode: unknown field; did you mean status_code?",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
    let setup = setup.config(&json!({})).api(&with_rules(protected("a", &upstream), rules));
    let said = String::from_utf8(setup.check().stdout).unwrap();
    let at = "x-tyk-api-gateway.errorOverrides.value";
    for part in [
        "40x: errors are named by a status",
        "200: errors are named by a status",
        "401[0].match.flag: this flag is not known; write one of UCF, URT",
        "401[1].match.messagePattern: this is not a regular expression",
        "401[2].match.bodyField: what must this member be",
        "401[3].match.bodyValue: a value of which member",
        "401[4].match.bodyField: `#` is a query character",
        "401[5].response.statusCode: an answer has a status from 200 to 599",
        "401[6].response.statusCode: an answer with this status has no body",
        "401[7].response.headers.Content-Length: this field, or one that servers take for it",
        "401[7].response.headers.X: this value cannot stand in a header field",
        "401[8].response.body: {{range .X}} is not supported",
        "401[9].response.template: there is no ../secret.json in templates",
        "401[10].response.template: there is no absent.json in templates",
        "401[11].response.statusCodes: unknown field; did you mean statusCode?",
        "5xx[0].match.flag: no error carries this flag here",
        "5xx[0].response.statusCode: callers and caches take an error with this status for a success",
    ] {
        assert!(said.contains(&format!("{at}.{part}")), "{part}\n{said}");
    }
    assert!(said.contains("[\"a b\"]: this is not a header name"), "{said}");
    assert!(said.contains("16 errors, 2 warnings"), "{said}");
}

#[test]
fn statuses_may_be_numbers_in_yaml() {
    let upstream = faulty();
    let mut document = serde_json::to_string_pretty(&keyless("up", &upstream)).unwrap();
    let rules =
        "\"errorOverrides\": { enabled: true, value: { 404: [{ response: { body: mine } }] } },\n\"info\"";
    let at = document.find("\"info\": {\n      \"id\"").unwrap();
    document.replace_range(at..at + "\"info\"".len(), rules);
    let gateway = setup("rfc", json!({})).file("api-definitions/up.yaml", &document).start();
    assert_eq!(gateway.send(&Request::get("/up/404")).text(), "mine");
}
