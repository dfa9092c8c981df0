//! Who a caller is, and what is remembered of them.

use claimgate::jwt::Algorithm;
use serde_json::{Value, json};

use super::{changed, hmac, one, status, token, token_with};
use crate::support::{Request, Server, Setup, api, claims, key_named, keyless, merge, now};

fn selecting() -> Value {
    hmac(json!({
        "policyFieldName": "pol",
        "scopes": { "scopeToPolicyMapping": [
            { "scope": "read", "policyId": "reader" }, { "scope": "write", "policyId": "writer" },
        ] },
    }))
}

/// Policies that grant `/a/read` and `/a/write`.
fn with_policies(setup: Setup) -> Setup {
    let granting = |id: &str, url: &str| {
        json!({ "id": id, "access_rights": { "a": {
            "api_id": "a", "allowed_urls": [{ "url": url, "methods": ["GET"] }],
        } } })
    };
    setup.policy(&granting("reader", "/read")).policy(&granting("writer", "/write"))
}

/// In Tyk alice of one issuer is alice of all: the second issuer's gets 403, for the quota of the first is
/// used up.
#[test]
fn w05_a_subject_is_one_within_its_issuer_alone() {
    let upstream = Server::up();
    let gateway = one("rfc", &upstream, hmac(json!({ "policyFieldName": "pol" })))
        .policy(&json!({ "id": "once", "quota_max": 1, "quota_renewal_rate": 3600,
            "access_rights": { "a": { "api_id": "a" } } }))
        .start();
    let of = |issuer: &str| token(json!({ "iss": issuer, "pol": "once" }));
    assert_eq!(status(&gateway, "/a/", &of("https://one.test")), 200);
    assert_eq!(status(&gateway, "/a/", &of("https://one.test")), 429);
    assert_eq!(status(&gateway, "/a/", &of("https://two.test")), 200);
}

/// In Tyk a token without scopes keeps the rights of an earlier one of its subject: 200 for `/write`.
#[test]
fn w06_rights_end_with_the_token_that_has_them() {
    let upstream = Server::up();
    let gateway = with_policies(one("tyk", &upstream, selecting())).start();
    let base = || token(json!({ "pol": "reader" }));
    let more = token(json!({ "pol": "reader", "scope": "write" }));
    for _ in 0..2 {
        assert_eq!(status(&gateway, "/a/write", &more), 200);
        assert_eq!(status(&gateway, "/a/write", &base()), 403);
        assert_eq!(status(&gateway, "/a/read", &base()), 200);
    }
}

/// Tyk's check of scopes reads a token in `Authorization` that nobody has verified: beside a good token
/// elsewhere it gives any scope, 200.
#[test]
fn w07_an_unverified_token_gives_no_scope() {
    let upstream = Server::up();
    let low = token(json!({ "scope": "read" }));
    let forged = key_named("forger", Algorithm::HS256)
        .sign(&json!({}), &claims(json!({ "scope": "read write" })))
        .unwrap();
    for (place, profile) in [("query", "rfc"), ("query", "tyk"), ("cookie", "rfc"), ("cookie", "tyk")] {
        // Once as scopes that select policies, once as scopes that operations ask for.
        let mut selecting = selecting();
        merge(&mut selecting, json!({ place: { "enabled": true, "name": "jwt" } }));
        let setup = with_policies(one(profile, &upstream, selecting));
        let asking = hmac(json!({ place: { "enabled": true, "name": "jwt" } }));
        let mut document = api("asking", &upstream, asking);
        let refined = json!({ "scopeCheck": { "enabled": true } });
        merge(
            &mut document,
            json!({
                "security": [{ "jwt": ["write"] }],
                "x-claimgate": { "server": { "authentication": { "securitySchemes": { "jwt": refined } } } },
            }),
        );
        let gateway = setup.api(&document).start();
        for path in ["/a/write", "/asking/write"] {
            let (path, cookie) = match place {
                "query" => (format!("{path}?jwt={low}"), String::new()),
                _ => (path.to_owned(), format!("jwt={low}")),
            };
            let answer = gateway.send(&Request::get(&path).header("Cookie", &cookie).bearer(&forged));
            assert!(matches!(answer.status, 400 | 401 | 403), "{path}, {profile}: {}", answer.status);
        }
        let good = token(json!({ "scope": "read write" }));
        assert_eq!(status(&gateway, "/asking/write", &good), 200, "{profile}");
        assert_eq!(upstream.take_one().target(), "/write");
    }
}

/// Tyk compares `allowedSubjects` with the `kid` that the token names: mallory gets 200 with a key that is
/// called alice.
#[test]
fn w08_a_key_id_is_no_subject() {
    let upstream = Server::up();
    let gateway = one("tyk", &upstream, hmac(json!({ "allowedSubjects": ["alice"] }))).start();
    let named = |kid: &str, sub: &str| token_with(json!({ "kid": kid }), json!({ "sub": sub }));
    assert_eq!(status(&gateway, "/a/", &named("alice", "mallory")), 401);
    assert_eq!(status(&gateway, "/a/", &named("mallory", "alice")), 200);
}

/// Tyk names sessions by an organisation and a short digest, one after the other. Where parts of a name
/// run together two callers are one, and the second gets 429 here.
#[test]
fn w13_names_of_callers_do_not_run_together() {
    let upstream = Server::up();
    let gateway = one("rfc", &upstream, hmac(json!({ "policyFieldName": "pol" })))
        .policy(&json!({ "id": "once", "quota_max": 1, "quota_renewal_rate": 3600,
            "access_rights": { "a": { "api_id": "a" } } }))
        .start();
    for (issuer, subject) in
        [("ab", "c"), ("a", "bc"), ("", "abc"), ("abc", "c"), ("a\u{0}b", "c"), ("a", "\u{0}bc")]
    {
        let token = token(json!({ "iss": issuer, "sub": subject, "pol": "once" }));
        assert_eq!(status(&gateway, "/a/", &token), 200, "{issuer:?} {subject:?}");
        assert_eq!(status(&gateway, "/a/", &token), 429, "{issuer:?} {subject:?}");
    }
    let wrong = "A-secret-of-this-test";
    let request = Request::get("/tyk/reload").header("x-tyk-authorization", wrong);
    assert_eq!(gateway.admin_without_secret(&request).status, 403);
}

/// Tyk takes `client_id` for a text without looking, and the connection ends without an answer.
#[test]
fn w23_no_claim_of_another_type_ends_a_connection() {
    let upstream = Server::up();
    for profile in ["rfc", "tyk"] {
        let gateway = with_policies(one(profile, &upstream, selecting())).start();
        let values =
            [json!(5), json!(true), json!([]), json!([[1]]), json!({ "a": 1 }), json!(1e300), json!("\u{0}")];
        for name in
            ["clientId", "cid", "client_id", "scope", "pol", "sub", "iss", "aud", "jti", "exp", "nbf", "iat"]
        {
            for value in &values {
                // Anything but silence: `send` fails when the connection ends without an answer.
                let answer = gateway.send(&Request::get("/a/").bearer(&token(json!({ name: value }))));
                assert!(answer.status < 500, "{profile}: {name}: {value}: {}", answer.status);
            }
        }
        assert_eq!(status(&gateway, "/a/read", &token(json!({ "pol": "reader" }))), 200);
    }
}

/// Tyk keeps a session for each identity, for ever. Here what changed counts with the next request of a
/// caller who is known, and a caller is as good as another who was never seen.
#[test]
fn w24_nothing_is_kept_of_a_caller() {
    let upstream = Server::up();
    let gateway = with_policies(one("rfc", &upstream, selecting())).start();
    let token = token(json!({ "pol": "reader" }));
    for _ in 0..2 {
        assert_eq!(status(&gateway, "/a/read", &token), 200);
    }
    let narrower = json!({ "id": "reader", "access_rights": { "a": {
        "api_id": "a", "allowed_urls": [{ "url": "/other", "methods": ["GET"] }],
    } } });
    gateway.setup().write("policies/reader.json", &narrower.to_string());
    assert_eq!(gateway.reload().status, 200);
    assert_eq!(status(&gateway, "/a/read", &token), 403);
    std::fs::remove_file(gateway.setup().path("policies/reader.json")).unwrap();
    assert_eq!(gateway.reload().status, 200);
    assert_eq!(status(&gateway, "/a/other", &token), 403);
}

/// Tyk's session ends at `exp` without the skew, 401, and once it has ended, a token without `exp` of the
/// same subject gets 401 as well, for ever.
#[test]
fn w26_the_end_of_a_token_is_its_own() {
    let upstream = Server::up();
    let gateway = one("tyk", &upstream, hmac(json!({ "expiresAtValidationSkew": 60 }))).start();
    let ending = |exp: Value| token(json!({ "exp": exp }));
    let late = ending(json!(now() - 10));
    for _ in 0..2 {
        assert_eq!(status(&gateway, "/a/", &late), 200, "within the skew");
    }
    assert_eq!(status(&gateway, "/a/", &ending(json!(now() + 3600))), 200);
    assert_eq!(status(&gateway, "/a/", &ending(json!(now() - 100))), 401, "whatever came before");
    assert_eq!(status(&gateway, "/a/", &ending(Value::Null)), 200);
}

/// In Tyk the first request of an identity reaches the upstream without the metadata of its policy.
#[test]
fn w27_the_first_request_has_the_metadata() {
    let upstream = Server::up();
    let header = json!({ "middleware": { "global": { "transformRequestHeaders": {
        "enabled": true, "add": [{ "name": "X-Plan", "value": "$tyk_meta.plan" }],
    } } } });
    let gateway = changed("tyk", &upstream, hmac(json!({ "defaultPolicies": ["gold"] })), header)
        .policy(&json!({ "id": "gold", "meta_data": { "plan": "gold" },
            "access_rights": { "a": { "api_id": "a" } } }))
        .start();
    for _ in 0..2 {
        assert_eq!(status(&gateway, "/a/", &token(json!({}))), 200);
        assert_eq!(upstream.take_one().values("x-plan"), ["gold"]);
    }
}

/// Two schemes of one API, each with an issuer, and keys of their own.
fn two_schemes(upstream: &Server, both: bool) -> Setup {
    let source = |name| {
        let jwk = key_named(name, Algorithm::ES256).public_jwk(None).unwrap();
        json!({ "source": jwk.to_string(), "signingMethod": "ecdsa" })
    };
    let scheme = |name: &'static str, header: &str| {
        let mut scheme = crate::support::scheme(source(name));
        merge(
            &mut scheme,
            json!({
                "allowedIssuers": [format!("https://{name}.test")],
                "header": { "name": header }, "defaultPolicies": [name],
            }),
        );
        scheme
    };
    let mut document = keyless("a", upstream);
    let openapi = json!({ "type": "http", "scheme": "bearer", "bearerFormat": "JWT" });
    let security = if both {
        json!([{ "staff": [], "partner": [] }])
    } else {
        json!([{ "staff": [] }, { "partner": [] }])
    };
    merge(
        &mut document,
        json!({
            "components": { "securitySchemes": { "staff": openapi, "partner": openapi } },
            "security": security,
            "x-tyk-api-gateway": { "server": { "authentication": {
                "enabled": true, "securityProcessingMode": "compliant",
                "securitySchemes": {
                    "staff": scheme("staff", "Authorization"), "partner": scheme("partner", "X-Partner"),
                },
            } } },
        }),
    );
    let policy = |id: &str| json!({ "id": id, "meta_data": { "who": id }, "access_rights": { "a": { "api_id": "a" } } });
    merge(
        &mut document,
        json!({ "x-tyk-api-gateway": { "middleware": { "global": { "transformRequestHeaders": {
            "enabled": true, "add": [{ "name": "X-Who", "value": "$tyk_meta.who" }],
        } } } } }),
    );
    Setup::new().api(&document).policy(&policy("staff")).policy(&policy("partner"))
}

fn of_scheme(signer: &'static str, issuer: &str) -> String {
    let claims = claims(json!({ "iss": format!("https://{issuer}.test") }));
    key_named(signer, Algorithm::ES256).sign(&json!({}), &claims).unwrap()
}

/// Tyk takes the key of the one scheme and the rules of the other: a partner's token that says it is the
/// staff's gets 200, honest ones 401.
#[test]
fn w37_two_schemes_are_not_mixed() {
    let upstream = Server::up();
    let gateway = two_schemes(&upstream, false).start();
    for (signer, issuer, status) in [
        ("staff", "staff", 200),
        ("partner", "partner", 200),
        ("partner", "staff", 401),
        ("staff", "partner", 401),
    ] {
        let name = if signer == "staff" { "Authorization" } else { "X-Partner" };
        let value = format!("Bearer {}", of_scheme(signer, issuer));
        let answer = gateway.send(&Request::get("/a/").header(name, &value));
        assert_eq!(answer.status, status, "{signer} for {issuer}");
    }
}

/// In Tyk chance decides at each load which scheme of a group gives the session and its rights.
#[test]
fn w38_the_last_scheme_of_a_group_gives_the_session() {
    let upstream = Server::up();
    for load in 0..6 {
        let gateway = two_schemes(&upstream, true).start();
        let partner = format!("Bearer {}", of_scheme("partner", "partner"));
        let request = Request::get("/a/").bearer(&of_scheme("staff", "staff")).header("X-Partner", &partner);
        assert_eq!(gateway.send(&request).status, 200);
        assert_eq!(upstream.take_one().values("x-who"), ["partner"], "load {load}");
    }
}
