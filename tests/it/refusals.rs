//! What the log says of requests that are turned away, and that nothing of them reaches the upstream.
//! What callers are told is in `every_error`.

use claimgate::jwt::Algorithm;
use serde_json::{Value, json};

use crate::support::{Gateway, Request, Server, Setup, api, claims, key, key_named, merge, now, scheme};

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

/// Tokens that are refused, their reasons, and the status in profile `rfc`.
fn refused() -> Vec<(Option<String>, &'static str, u16)> {
    let good = token(json!({}));
    let foreign =
        key_named("other", Algorithm::HS256).sign(&json!({}), &claims(json!({ "role": "admin" }))).unwrap();
    vec![
        (None, "token_missing", 401),
        (Some("not.a.token".into()), "token_malformed", 401),
        (Some(good.replace('.', "")), "token_malformed", 401),
        (Some(format!("{good}=")), "token_malformed", 401),
        (Some(foreign), "signature_invalid", 401),
        (Some(token(json!({ "exp": now() - 10 }))), "token_expired", 401),
        (Some(token(json!({ "iss": "https://mallory.test" }))), "issuer_not_allowed", 401),
        (Some(token(json!({ "role": "user" }))), "claim_not_matching", 401),
        (Some(good), "api_not_granted", 403),
    ]
}

#[test]
fn the_log_names_the_reason_and_no_token() {
    let upstream = Server::up();
    let gateway = start(&upstream, "rfc");
    let refused = refused();
    for (token, ..) in &refused {
        let request = Request::new("POST", "/orders/7?q=1").body(b"nobody must see this");
        gateway.send(&match token {
            Some(token) => request.bearer(token),
            None => request,
        });
    }
    assert!(upstream.recorded().is_empty());
    let good = token(json!({ "jti": "a-good-one" }));
    gateway.send(&Request::get("/granted/7?access_token=in-a-query").bearer(&good));
    let (status, log, requests) = gateway.stop();
    assert!(status.success());
    let lines: Vec<Value> = requests.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), refused.len() + 1);
    for ((_, reason, status), line) in refused.iter().zip(&lines) {
        assert_eq!((&line["reason"], &line["status"]), (&json!(reason), &json!(status)));
        assert_eq!(
            (&line["api"], &line["path"], &line["method"]),
            (&json!("orders"), &json!("/orders/7"), &json!("POST"))
        );
    }
    assert_eq!(lines[refused.len()].get("reason"), None);
    for secret in refused.iter().filter_map(|(token, ..)| token.as_deref()).chain([&*good, "in-a-query"]) {
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
