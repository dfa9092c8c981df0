//! Which policies apply, and what they say together.

use serde_json::{Value, json};

use super::{changed, hmac, one, refused, status, token};
use crate::support::{Request, Server, merge};

fn policy(id: &str, right: Value, more: Value) -> Value {
    let mut whole = json!({ "id": id, "access_rights": { "a": { "api_id": "a" } } });
    merge(&mut whole["access_rights"]["a"], right);
    merge(&mut whole, more);
    whole
}

/// Tyk looks every pattern up at every request, and passes over one that is broken.
#[test]
fn w25_patterns_are_compiled_when_they_are_read() {
    let upstream = Server::up();
    let broken =
        policy("broken", json!({ "allowed_urls": [{ "url": "/(x", "methods": ["GET"] }] }), json!({}));
    let said = one("tyk", &upstream, hmac(json!({}))).policy(&broken).check();
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.contains("broken.json:1: access_rights.a.allowed_urls[0].url: "), "{said}");
    assert!(said.contains("cannot be used, so this entry grants nothing"), "{said}");
    // Brackets that reach beyond the pattern, and an alternative that is empty, would grant every path.
    for url in ["/a)|(.*", "/orders)|(?:", "/{id:)|(.*}", "|/x", "/x$|"] {
        let urls = [url, "/granted"].map(|url| json!({ "url": url, "methods": ["GET"] }));
        let right = json!({ "allowed_urls": urls });
        let gateway = one("tyk", &upstream, hmac(json!({ "policyFieldName": "pol" })))
            .policy(&policy("odd", right, json!({})))
            .start();
        let ask = |path| status(&gateway, path, &token(json!({ "pol": "odd" })));
        assert_eq!([ask("/a/granted"), ask("/a/private")], [200, 403], "{url}");
    }
}

/// In Tyk chance decides which of several scopes' policies comes last, and which failing rule is told.
#[test]
fn w28_order_is_that_of_the_configuration() {
    let upstream = Server::up();
    let names: Vec<String> = (0..8).map(|n| format!("s{n}")).collect();
    let mapping: Vec<Value> = names.iter().map(|name| json!({ "scope": name, "policyId": name })).collect();
    let header = json!({ "middleware": { "global": { "transformRequestHeaders": {
        "enabled": true, "add": [{ "name": "X-Plan", "value": "$tyk_meta.plan" }],
    } } } });
    let rules: serde_json::Map<String, Value> =
        names.iter().map(|name| (name.clone(), json!({ "type": "required" }))).collect();
    for load in 0..3 {
        let scopes = hmac(json!({ "scopes": { "scopeToPolicyMapping": mapping } }));
        let setup = names.iter().fold(changed("tyk", &upstream, scopes, header.clone()), |setup, name| {
            setup.policy(&policy(name, json!({}), json!({ "meta_data": { "plan": name } })))
        });
        let gateway = setup.start();
        for scope in ["s0 s1 s2 s3 s4 s5 s6 s7", "s7 s3 s0 s1 s2 s4 s5 s6"] {
            assert_eq!(status(&gateway, "/a/", &token(json!({ "scope": scope }))), 200);
            assert_eq!(upstream.take_one().values("x-plan"), ["s7"], "load {load}: {scope}");
        }
        let gateway = one("tyk", &upstream, hmac(json!({ "customClaimValidation": rules }))).start();
        let answer = gateway.send(&Request::get("/a/").bearer(&token(json!({}))));
        assert!(answer.text().contains("claim s0 is required"), "load {load}: {}", answer.text());
    }
}

/// Tyk lets only the last of several allowed numbers count, takes a claim for good whose rule has a type
/// that does not exist, and cannot read what is written for a claim whose name has dots.
#[test]
fn w29_claim_rules_mean_what_they_say() {
    let upstream = Server::up();
    let rule = |path: &str, rule: Value| hmac(json!({ "customClaimValidation": { path: rule } }));
    let contains = rule("level", json!({ "type": "contains", "allowedValues": [1, 2, 3] }));
    let gateway = one("tyk", &upstream, contains).start();
    for (level, expected) in [(1, 200), (2, 200), (3, 200), (4, 401)] {
        assert_eq!(status(&gateway, "/a/", &token(json!({ "level": level }))), expected, "{level}");
    }
    for wrong in [json!({ "type": "equals", "allowedValues": ["x"] }), json!({ "allowedValues": ["x"] })] {
        refused(&one("tyk", &upstream, rule("role", wrong)));
    }
    let dotted = rule(r"https://idp\.test/roles", json!({ "type": "contains", "allowedValues": ["admin"] }));
    let gateway = one("tyk", &upstream, dotted).start();
    for (roles, expected) in [(json!(["admin"]), 200), (json!(["user"]), 401)] {
        assert_eq!(status(&gateway, "/a/", &token(json!({ "https://idp.test/roles": roles }))), expected);
    }
}

/// In Tyk a policy without a restriction loses it to one with, the last `per_api` policy's paths replace
/// the others', a rate of nothing lifts all others, and a quota of nothing is the smallest.
#[test]
fn w30_policies_together_grant_what_each_grants() {
    let upstream = Server::up();
    let only = |path: &str| json!({ "allowed_urls": [{ "url": path, "methods": ["GET"] }] });
    let per_api = json!({ "partitions": { "per_api": true } });
    let setup = one("rfc", &upstream, hmac(json!({ "policyFieldName": "pol" })))
        .policy(&policy("whole", json!({}), json!({})))
        .policy(&policy("x", only("/x"), json!({})))
        .policy(&policy("api-x", only("/x"), per_api.clone()))
        .policy(&policy("api-y", only("/y"), per_api))
        .policy(&policy("slow", json!({}), json!({ "rate": 2, "per": 3600 })))
        .policy(&policy("fast", json!({}), json!({ "rate": 3, "per": 3600 })));
    let gateway = setup.start();
    let sent = |sub: &str, path: &str, policies: &[&str]| {
        status(&gateway, path, &token(json!({ "pol": policies, "sub": sub })))
    };
    for order in [["whole", "x"], ["x", "whole"]] {
        assert_eq!(sent("a", "/a/z", &order), 200, "{order:?}");
    }
    for order in [["api-x", "api-y"], ["api-y", "api-x"]] {
        assert_eq!([sent("b", "/a/x", &order), sent("b", "/a/y", &order)], [200, 200], "{order:?}");
        assert_eq!(sent("b", "/a/z", &order), 403, "{order:?}");
    }
    for (sub, order) in [("c", ["slow", "fast"]), ("d", ["fast", "slow"])] {
        let statuses: Vec<u16> = (0..4).map(|_| sent(sub, "/a/", &order)).collect();
        assert_eq!(statuses, [200, 200, 200, 429], "{order:?}: the more generous one, in any order");
    }
}

/// Tyk tries the path below the listen path and stops when it does not fit: a limit that is written for the
/// whole path limits nothing, 200.
#[test]
fn w31_limits_of_paths_hold_however_they_are_written() {
    let upstream = Server::up();
    let endpoint = |path: &str| {
        let method = json!({ "name": "GET", "limit": { "rate": 1, "per": 3600 } });
        json!({ "path": path, "methods": [method] })
    };
    let endpoints = json!({ "endpoints": [endpoint("/a/whole"), endpoint("/below")] });
    let gateway = one("rfc", &upstream, hmac(json!({ "policyFieldName": "pol" })))
        .policy(&policy("p", endpoints, json!({ "rate": 100, "per": 3600 })))
        .start();
    for path in ["/a/whole", "/a/below"] {
        let sent = || status(&gateway, path, &token(json!({ "pol": "p" })));
        assert_eq!([sent(), sent()], [200, 429], "{path}");
    }
}

/// Tyk ignores `basePolicyClaims` where the older field is missing: everybody gets the defaults, 200.
#[test]
fn w40_the_claims_that_name_policies_are_read() {
    let upstream = Server::up();
    let alone = hmac(json!({ "basePolicyClaims": ["pol"] }));
    let narrow =
        policy("narrow", json!({ "allowed_urls": [{ "url": "/x", "methods": ["GET"] }] }), json!({}));
    let gateway = one("tyk", &upstream, alone).policy(&narrow).start();
    let token = token(json!({ "pol": "narrow" }));
    assert_eq!(status(&gateway, "/a/x", &token), 200);
    assert_eq!(status(&gateway, "/a/y", &token), 403);
}
