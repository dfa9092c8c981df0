//! What is counted, as a scraper sees it.

use claimgate::jwt::Algorithm;
use serde_json::{Value, json};

use crate::support::{Gateway, Request, Server, Setup, api, claims, key, provider, respond, scheme};

/// The value of a series; nothing if it is not there.
pub(crate) fn metric(gateway: &Gateway, series: &str) -> Option<u64> {
    let answer = gateway.admin_without_secret(&Request::get("/metrics"));
    assert_eq!(answer.status, 200);
    let text = answer.text();
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map(|value| value.parse().unwrap())
}

fn start(upstream: &Server) -> Gateway {
    let rules = json!({ "role": { "type": "exact_match", "allowedValues": ["admin"], "nonBlocking": true } });
    let scheme =
        scheme(json!({ "source": "env://SECRET", "signingMethod": "hmac", "customClaimValidation": rules }));
    Setup::new()
        .config(&json!({ "workers": 2 }))
        .env("SECRET", key(Algorithm::HS256).to_text().unwrap().trim())
        .api(&api("orders", upstream, scheme))
        .start()
}

fn token(changes: Value) -> String {
    key(Algorithm::HS256).sign(&json!({}), &claims(changes)).unwrap()
}

#[test]
fn refusals_by_api_and_reason() {
    let upstream = Server::up();
    let gateway = start(&upstream);
    let expired = "claimgate_requests_refused_total{api=\"orders\",reason=\"token_expired\"}";
    assert_eq!(metric(&gateway, expired), None);
    let request = Request::get("/orders/").bearer(&token(json!({ "exp": 1 })));
    for sent in 1..=3 {
        assert_eq!(gateway.send(&request).status, 401);
        assert_eq!(metric(&gateway, expired), Some(sent));
    }
    gateway.send(&Request::get("/orders/"));
    gateway.send(&Request::get("/nowhere"));
    let refused = |labels: &str| metric(&gateway, &format!("claimgate_requests_refused_total{{{labels}}}"));
    assert_eq!(refused("api=\"orders\",reason=\"token_missing\""), Some(1));
    assert_eq!(refused("api=\"\",reason=\"not_found\""), Some(1));
}

#[test]
fn a_warning_is_counted_for_each_request_also_of_a_token_seen_before() {
    let upstream = Server::up();
    let gateway = start(&upstream);
    let warned = "claimgate_check_warnings_total{api=\"orders\",check=\"claim:role\"}";
    let (good, bad) = (token(json!({ "role": "admin" })), token(json!({ "role": "intern" })));
    assert_eq!(gateway.send(&Request::get("/orders/").bearer(&good)).status, 200);
    assert_eq!(metric(&gateway, warned), None);
    for sent in 1..=4 {
        assert_eq!(gateway.send(&Request::get("/orders/").bearer(&bad)).status, 200);
        assert_eq!(metric(&gateway, warned), Some(sent));
    }
    let log = gateway.log_with("a check that only warns failed");
    assert!(log.contains("claim:role") && !log.contains("intern"), "{log}");
}

#[test]
fn the_text_is_one_that_scrapers_read() {
    let upstream = Server::up();
    let gateway = start(&upstream);
    gateway.send(&Request::get("/orders/"));
    let answer = gateway.admin_without_secret(&Request::get("/metrics"));
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = answer.text();
    let mut family = "";
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            family = rest.split(' ').next().unwrap();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let kind = if family.ends_with("_total") { "counter" } else { "gauge" };
            assert_eq!(rest, format!("{family} {kind}"));
        } else {
            let (labels, value) = line.strip_prefix(family).unwrap().split_once(' ').unwrap();
            let of_api = labels.starts_with("{api=\"") && labels.ends_with("\"}");
            assert_eq!(of_api, !family.contains("load"), "{line}");
            assert!(value.parse::<u64>().is_ok(), "{line}");
        }
    }
    assert!(text.ends_with('\n') && text.contains("# TYPE claimgate_check_warnings_total counter"));
}

#[test]
fn key_sets_tell_their_age_and_their_faults() {
    let (upstream, dead) =
        (Server::up(), Server::start(|_, stream| respond(stream, "500 Oops", "text/plain", b"")));
    let provider = provider(&[("a", key(Algorithm::EdDSA))]);
    let uris = json!([{ "url": format!("{}/?secret=1", provider.url()) }, { "url": dead.url() }]);
    let scheme = scheme(json!({ "jwksURIs": uris, "signingMethod": null }));
    let mut document = api("orders", &upstream, scheme);
    document["x-claimgate"] = json!({
        "server": { "authentication": { "securitySchemes": { "jwt": { "algorithms": ["EdDSA"] } } } }
    });
    let gateway = Setup::new().api(&document).start();
    let figure = |name: &str, source: &str| metric(&gateway, &format!("{name}{{source=\"{source}/\"}}"));
    let (good, bad) = (provider.url(), dead.url());
    assert!(figure("claimgate_jwks_age_seconds", &good).is_some_and(|age| age < 60));
    assert_eq!(figure("claimgate_jwks_keys", &good), Some(1));
    assert_eq!(figure("claimgate_jwks_fetch_faults_total", &good), Some(0));
    assert_eq!(figure("claimgate_jwks_age_seconds", &bad), None, "there never was a good one");
    assert_eq!(figure("claimgate_jwks_keys", &bad), Some(0));
    assert!(figure("claimgate_jwks_fetch_faults_total", &bad).is_some_and(|faults| faults > 0));
}

#[test]
fn a_url_that_is_a_secret_is_called_by_its_reference() {
    let upstream = Server::up();
    let provider = provider(&[("a", key(Algorithm::RS256))]);
    let scheme = scheme(json!({ "source": "env://KEYS", "signingMethod": "rsa" }));
    let gateway = Setup::new()
        .env("KEYS", &format!("{}/hush-hush/keys?hush-hush", provider.url()))
        .api(&api("orders", &upstream, scheme))
        .start();
    let name = format!("{} (env://KEYS)", provider.url());
    assert_eq!(metric(&gateway, &format!("claimgate_jwks_keys{{source=\"{name}\"}}")), Some(1));
    let shown = gateway.admin(Request::get("/tyk/cache/jwks"));
    assert!(shown.text().contains(&name), "{}", shown.text());
    let metrics = gateway.admin_without_secret(&Request::get("/metrics")).text();
    for text in [shown.text(), metrics, gateway.log_with("key set in use")] {
        assert!(!text.contains("hush"), "{text}");
    }
}
