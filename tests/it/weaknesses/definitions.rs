//! What is written in a definition counts, or is refused.

use serde_json::{Value, json};

use super::{changed, hmac, one, refused, status, token};
use crate::support::{Request, Server, Setup, api, merge};

/// Tyk accepts what it does not know and leaves a reference that leads nowhere as it is.
#[test]
fn w34_unknown_fields_and_lost_references_are_refused() {
    let upstream = Server::up();
    for (scheme, said) in [
        (hmac(json!({ "allowedIssuer": ["https://idp.test"] })), "did you mean allowedIssuers?"),
        (hmac(json!({ "alowedAudiences": ["x"] })), "did you mean allowedAudiences?"),
        (hmac(json!({ "wanted": true })), "unknown field"),
        (hmac(json!({ "customClaimValidation": { "r": { "typ": "required" } } })), "did you mean type?"),
        (hmac(json!({ "source": "env://NOT_SET_ANYWHERE" })), "NOT_SET_ANYWHERE is not set"),
        (hmac(json!({ "source": "file://not-there.pem" })), "not-there.pem cannot be read"),
        (hmac(json!({ "source": "secrets://nobodys" })), "there are no secrets in claimgate.yaml"),
        (hmac(json!({ "source": "kv://nowhere/key" })), "nowhere"),
        (hmac(json!({ "allowedIssuers": ["$kv{nowhere:issuer}"] })), "nowhere"),
    ] {
        let found = refused(&one("tyk", &upstream, scheme));
        assert!(found.contains(said), "{said}: {found}");
    }
}

/// In Tyk an open operation opens every path that has its text in it: 200 for `/orders/health`.
#[test]
fn w35_an_open_operation_opens_itself_alone() {
    let upstream = Server::up();
    let mut document = api("a", &upstream, hmac(json!({})));
    merge(
        &mut document,
        json!({
            "paths": {
                "/health": { "get": { "operationId": "health" }, "post": { "operationId": "report" } },
                "/orders/{id}": { "get": { "operationId": "order" } },
                "/users/{id}": { "get": { "operationId": "user" } },
                "/users/me": { "get": { "operationId": "me" } },
            },
            "x-tyk-api-gateway": { "middleware": { "operations": {
                "health": { "ignoreAuthentication": { "enabled": true } },
                "user": { "ignoreAuthentication": { "enabled": true } },
            } } },
        }),
    );
    for profile in ["rfc", "tyk"] {
        let setup = Setup::new().config(&json!({ "errors": profile })).env("SECRET", &super::secret());
        let gateway = setup.api(&document).start();
        assert_eq!(gateway.send(&Request::get("/a/health")).status, 200);
        assert_eq!(gateway.send(&Request::get("/a/users/7")).status, 200);
        for path in [
            "/a/orders/health",
            "/a/healthz",
            "/a/health/x",
            "/a/HEALTH",
            "/a/health%2F..%2Forders",
            "/a/x?/health",
            "/a/orders/health?x=/health",
            "/a/orders/..%2Fhealth",
            "/a/health;x",
            "/a/users/me",
            "/a/users/me%3Fx",
            "/a/users/me%23x",
            "/a/users/%20me",
            "/a/users/me%C2%A0",
            "/a/users/%E2%80%8Bme",
            "/a/users/me::$DATA",
        ] {
            let answer = gateway.send(&Request::get(path));
            assert!(matches!(answer.status, 301 | 400 | 401), "{profile}: {path}: {}", answer.status);
        }
        assert!(matches!(gateway.send(&Request::new("POST", "/a/health")).status, 400 | 401));
    }
}

/// In Tyk a member of the wrong type is gone together with its check, and a number as `cacheTimeout` takes
/// key and method with it.
#[test]
fn w36_a_member_of_the_wrong_type_is_an_error() {
    let upstream = Server::up();
    for (wrong, field) in [
        (json!({ "allowedIssuers": "https://idp.test" }), "allowedIssuers"),
        (json!({ "allowedAudiences": "orders" }), "allowedAudiences"),
        (json!({ "allowedSubjects": { "alice": true } }), "allowedSubjects"),
        (json!({ "customClaimValidation": [{ "type": "required" }] }), "customClaimValidation"),
        (json!({ "jtiValidation": "yes" }), "jtiValidation"),
        (json!({ "jtiValidation": { "enabled": "yes" } }), "jtiValidation.enabled"),
        (json!({ "expiresAtValidationSkew": "60" }), "expiresAtValidationSkew"),
        (json!({ "expiresAtValidationSkew": -1 }), "expiresAtValidationSkew"),
        (json!({ "header": "Authorization" }), "header"),
        (json!({ "signingMethod": 5 }), "signingMethod"),
        (json!({ "jwksURIs": [{ "url": "https://idp.test/jwks", "cacheTimeout": 60 }] }), "cacheTimeout"),
        (json!({ "jwksURIs": "https://idp.test/jwks" }), "jwksURIs"),
    ] {
        let mut scheme = hmac(json!({}));
        let Value::Object(members) = wrong else { unreachable!() };
        for (name, value) in members {
            scheme[name] = value;
        }
        let said = refused(&one("tyk", &upstream, scheme));
        assert!(said.contains(field), "{field}: {said}");
    }
}

/// Tyk serves an API that is switched off: 200.
#[test]
fn w39_an_api_that_is_off_is_not_served() {
    let upstream = Server::up();
    for state in [json!({ "active": false }), json!({ "active": true, "internal": true })] {
        for profile in ["rfc", "tyk"] {
            let info = json!({ "info": { "state": state } });
            let gateway = changed(profile, &upstream, hmac(json!({})), info).start();
            assert_eq!(status(&gateway, "/a/", &token(json!({}))), 404, "{profile}: {state}");
        }
    }
    assert!(upstream.recorded().is_empty());
}
