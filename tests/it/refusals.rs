//! What callers are told when they are turned away, what the log says, and that nothing of it
//! reaches the upstream.

use claimgate::jwt::Algorithm;
use serde_json::{Value, json};

use crate::support::{
    Answer, Gateway, Request, Server, Setup, api, claims, key, key_named, merge, now, scheme,
};

fn rules() -> Value {
    json!({
        "source": "env://SECRET",
        "signingMethod": "hmac",
        "allowedIssuers": ["https://idp.test"],
        "allowedAudiences": ["orders"],
        "allowedSubjects": ["alice", "bob"],
        "jtiValidation": { "enabled": false },
        "customClaimValidation": { "role": { "type": "exact_match", "allowedValues": ["admin"] } },
    })
}

fn start(upstream: &Server, profile: &str) -> Gateway {
    Setup::new()
        .config(&json!({ "errors": profile }))
        .env("SECRET", key(Algorithm::HS256).to_text().unwrap().trim())
        .api(&api("orders", upstream, scheme(rules())))
        .api(&api("granted", upstream, scheme(rules())))
        .policy(&json!({ "id": "all", "access_rights": { "granted": { "api_id": "granted" } } }))
        .start()
}

fn token(changes: Value) -> String {
    let mut claims = claims(json!({ "role": "admin" }));
    merge(&mut claims, changes);
    key(Algorithm::HS256).sign(&json!({}), &claims).unwrap()
}

/// A kind of bad request, its reason code, and the answers in both profiles.
struct Case {
    token: Option<String>,
    reason: &'static str,
    status: u16,
    error: &'static str,
    tyk_status: u16,
    tyk_message: &'static str,
}

fn case(
    token: Option<String>,
    reason: &'static str,
    (status, error): (u16, &'static str),
    (tyk_status, tyk_message): (u16, &'static str),
) -> Case {
    Case { token, reason, status, error, tyk_status, tyk_message }
}

fn cases() -> Vec<Case> {
    const INVALID: (u16, &str) = (401, "invalid_token");
    const UNAUTHORIZED: (u16, &str) = (403, "Key not authorized");
    let good = token(json!({}));
    let with = |changes| Some(token(changes));
    let foreign =
        key_named("other", Algorithm::HS256).sign(&json!({}), &claims(json!({ "role": "admin" }))).unwrap();
    let rs256 = key(Algorithm::RS256).sign(&json!({}), &claims(json!({}))).unwrap();
    let critical = key(Algorithm::HS256).sign(&json!({ "crit": ["exp"] }), &claims(json!({}))).unwrap();
    vec![
        case(None, "token_missing", INVALID, (400, "Authorization field missing")),
        case(Some("not.a.token".into()), "token_malformed", INVALID, UNAUTHORIZED),
        case(Some(good.replace('.', "")), "token_malformed", INVALID, UNAUTHORIZED),
        case(Some(format!("{good}=")), "token_malformed", INVALID, UNAUTHORIZED),
        case(Some(critical), "token_critical", INVALID, UNAUTHORIZED),
        case(Some(foreign), "signature_invalid", INVALID, UNAUTHORIZED),
        case(
            Some(rs256),
            "algorithm_not_allowed",
            INVALID,
            (403, "Key not authorized: Unexpected signing method"),
        ),
        case(
            with(json!({ "exp": now() - 10 })),
            "token_expired",
            INVALID,
            (401, "Key not authorized: token has expired"),
        ),
        case(
            with(json!({ "nbf": now() + 100 })),
            "token_not_yet_valid",
            INVALID,
            (401, "Key not authorized: token is not valid yet"),
        ),
        case(
            with(json!({ "iat": now() + 100 })),
            "token_issued_in_future",
            INVALID,
            (401, "Key not authorized: token used before issued"),
        ),
        case(
            with(json!({ "iss": "https://mallory.test" })),
            "issuer_not_allowed",
            INVALID,
            (401, "Key not authorized: invalid issuer claim: https://mallory.test"),
        ),
        case(
            with(json!({ "aud": null })),
            "audience_missing",
            INVALID,
            (401, "Key not authorized: audience claim is required but not present in token"),
        ),
        case(
            with(json!({ "sub": "mallory" })),
            "subject_not_allowed",
            INVALID,
            (401, "Key not authorized: invalid subject value: mallory"),
        ),
        case(
            with(json!({ "role": "user" })),
            "claim_not_matching",
            INVALID,
            (401, "Key not authorized: claim role value does not match any expected values"),
        ),
        case(
            Some(good),
            "api_not_granted",
            (403, "access_denied"),
            (403, "Access to this API has been disallowed"),
        ),
    ]
}

fn send(gateway: &Gateway, case: &Case) -> Answer {
    let request = Request::new("POST", "/orders/7?q=1").body(b"nobody must see this");
    gateway.send(&match &case.token {
        Some(token) => request.bearer(token),
        None => request,
    })
}

#[test]
fn rfc() {
    let upstream = Server::up();
    let gateway = start(&upstream, "rfc");
    for case in cases() {
        let answer = send(&gateway, &case);
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(
            (answer.status, body["error"].as_str()),
            (case.status, Some(case.error)),
            "{}",
            case.reason
        );
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let challenge = answer.header("www-authenticate");
        match case.reason {
            "token_missing" => assert_eq!(challenge, Some("Bearer realm=\"orders\"")),
            _ if case.status == 401 => assert!(
                challenge
                    .unwrap()
                    .starts_with("Bearer realm=\"orders\", error=\"invalid_token\", error_description=\""),
                "{}",
                case.reason
            ),
            _ => assert_eq!(challenge, None),
        }
        assert!(!answer.text().contains(case.reason), "the code of the log is not for callers");
    }
    assert!(upstream.recorded().is_empty());
}

#[test]
fn tyk() {
    let upstream = Server::up();
    let gateway = start(&upstream, "tyk");
    for case in cases() {
        // What only profile `rfc` refuses is not repeated here.
        if case.reason == "token_critical" {
            continue;
        }
        let answer = send(&gateway, &case);
        let expected = format!("{{\n    \"error\": \"{}\"\n}}", case.tyk_message);
        assert_eq!((answer.status, answer.text()), (case.tyk_status, expected), "{}", case.reason);
        assert_eq!(answer.header("www-authenticate"), None);
    }
    assert!(upstream.recorded().is_empty());
}

#[test]
fn the_log_names_the_reason_and_no_token() {
    let upstream = Server::up();
    let gateway = start(&upstream, "rfc");
    let cases = cases();
    for case in &cases {
        send(&gateway, case);
    }
    let good = token(json!({ "jti": "a-good-one" }));
    gateway.send(&Request::get("/granted/7?access_token=in-a-query").bearer(&good));
    let (status, log, requests) = gateway.stop();
    assert!(status.success());
    let lines: Vec<Value> = requests.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), cases.len() + 1);
    for (case, line) in cases.iter().zip(&lines) {
        assert_eq!(line["reason"], case.reason);
        assert_eq!(
            (&line["api"], &line["path"], &line["method"]),
            (&json!("orders"), &json!("/orders/7"), &json!("POST"))
        );
        assert_eq!(line["status"], case.status);
    }
    assert_eq!(lines[cases.len()].get("reason"), None);
    for secret in cases.iter().filter_map(|case| case.token.as_deref()).chain([&*good, "in-a-query"]) {
        let signature = secret.rsplit('.').next().unwrap();
        for text in [&log, &requests] {
            assert!(!text.contains(secret) && (signature.len() < 20 || !text.contains(signature)));
        }
    }
}

#[test]
fn head_and_unknown_paths() {
    let upstream = Server::up();
    let gateway = start(&upstream, "rfc");
    let head = gateway.send(&Request::new("HEAD", "/orders/"));
    assert_eq!((head.status, head.body.len()), (401, 0));
    for path in ["/", "/order", "/ordersx/", "/ORDERS/"] {
        assert_eq!(gateway.send(&Request::get(path)).status, 404, "{path}");
    }
    assert!(upstream.recorded().is_empty());
}

#[test]
fn oversized_tokens() {
    let upstream = Server::up();
    let gateway = start(&upstream, "rfc");
    let fill = |size: usize| token(json!({ "fill": "x".repeat(size) }));
    let (small, large) = (fill(11_000), fill(13_000));
    assert!(small.len() < 16 * 1024 && large.len() > 16 * 1024);
    assert_eq!(gateway.send(&Request::get("/granted/").bearer(&small)).status, 200);
    assert_eq!(gateway.send(&Request::get("/granted/").bearer(&large)).status, 401);
    gateway.requests_with("\"reason\":\"token_too_large\"");
}
