//! The stricter rules of `x-claimgate`: what they refuse, what they only tell, and what is wrong with
//! those that make no sense.

use claimgate::jwt::Algorithm;
use serde_json::{Value, json};

use crate::{
    metrics::metric,
    support::{Gateway, Request, Server, Setup, api, claims, key, merge, now, scheme},
};

const AT: &str = "x-claimgate.server.authentication.securitySchemes.jwt";

/// An API whose scheme is refined like this.
fn strict(id: &str, upstream: &Server, refined: Value, changes: Value) -> Value {
    let mut own = json!({ "source": "env://SECRET", "signingMethod": "hmac" });
    merge(&mut own, changes);
    let mut document = api(id, upstream, scheme(own));
    let refined = json!({ "server": { "authentication": { "securitySchemes": { "jwt": refined } } } });
    merge(&mut document, json!({ "x-claimgate": refined }));
    document
}

fn setup() -> Setup {
    Setup::new().env("SECRET", key(Algorithm::HS256).to_text().unwrap().trim())
}

fn start(refined: Value, changes: Value) -> Gateway {
    setup().api(&strict("a", &Server::up(), refined, changes)).start()
}

fn token(header: Value, changes: Value) -> String {
    key(Algorithm::HS256).sign(&header, &claims(changes)).unwrap()
}

/// The status of a request with this token, and the reason in the log.
#[track_caller]
fn ask(gateway: &Gateway, token: &str) -> (u16, Option<String>) {
    let status = gateway.send(&Request::get("/a/").bearer(token)).status;
    let line: Value = serde_json::from_str(&gateway.last_line()).unwrap();
    (status, line["reason"].as_str().map(String::from))
}

#[track_caller]
fn table(gateway: &Gateway, cases: &[(Value, Value, Option<&str>)]) {
    for (header, changes, reason) in cases {
        let answer = ask(gateway, &token(header.clone(), changes.clone()));
        let expected = (if reason.is_some() { 401 } else { 200 }, reason.map(String::from));
        assert_eq!(answer, expected, "{header} {changes}");
    }
}

#[test]
fn types_are_media_types() {
    let gateway = start(json!({ "types": ["at+jwt", "application/vnd.x+jwt"] }), json!({}));
    let not_allowed = Some("type_not_allowed");
    let typ = |typ: &str, reason| (json!({ "typ": typ }), json!({}), reason);
    table(
        &gateway,
        &[
            typ("at+jwt", None),
            typ("AT+JWT", None),
            typ("application/at+jwt", None),
            typ("Application/AT+jwt", None),
            typ("vnd.x+jwt", None),
            typ("JWT", not_allowed),
            typ("", not_allowed),
            typ("text/at+jwt", not_allowed),
            typ("application/application/at+jwt", not_allowed),
            typ(" at+jwt", not_allowed),
            (json!({ "typ": null }), json!({}), not_allowed),
            (json!({ "typ": ["at+jwt"] }), json!({}), not_allowed),
        ],
    );
}

/// Of the same issuer, for the same audience (W9).
#[test]
fn an_id_token_is_no_access_token() {
    let gateway = start(
        json!({ "profile": "rfc9068" }),
        json!({ "allowedIssuers": ["https://idp.test"], "allowedAudiences": ["orders"] }),
    );
    let access = || json!({ "client_id": "app", "jti": "1" });
    let without = |name: &str| {
        let mut claims = access();
        claims[name] = Value::Null;
        claims
    };
    let at = || json!({ "typ": "at+jwt" });
    let missing = Some("required_claim_missing");
    table(
        &gateway,
        &[
            (at(), access(), None),
            (json!({ "typ": "JWT" }), access(), Some("type_not_allowed")),
            (json!({}), json!({ "nonce": "n", "azp": "app" }), Some("type_not_allowed")),
            (at(), without("client_id"), missing),
            (at(), without("jti"), missing),
            (at(), without("iat"), missing),
            (at(), without("exp"), missing),
            (at(), without("sub"), missing),
            (at(), without("aud"), missing),
            (at(), without("iss"), missing),
        ],
    );
}

#[test]
fn age_and_lifetime() {
    let gateway =
        start(json!({ "maxAge": "10m", "maxLifetime": "1h" }), json!({ "issuedAtValidationSkew": 30 }));
    let times = |iat: i64, exp: i64, reason| {
        let now = i64::try_from(now()).unwrap();
        (json!({}), json!({ "iat": now + iat, "exp": now + exp }), reason)
    };
    table(
        &gateway,
        &[
            times(0, 3600, None),
            times(0, 3601, Some("token_lives_too_long")),
            // The age forgives what `iat` is forgiven.
            times(-620, 100, None),
            times(-640, 100, Some("token_too_old")),
            times(-640, 3600, Some("token_too_old")),
            (json!({}), json!({ "iat": null }), Some("required_claim_missing")),
            (json!({}), json!({ "exp": null }), Some("required_claim_missing")),
            (json!({}), json!({ "iat": "now" }), Some("token_issued_in_future")),
        ],
    );
}

#[test]
fn audiences_and_parties() {
    let gateway = start(
        json!({ "audienceMatch": "all", "authorizedParties": ["web", "app"] }),
        json!({ "allowedAudiences": ["orders", "billing"] }),
    );
    let with = |aud: Value, parties: Value, reason| {
        let mut claims = json!({ "aud": aud });
        merge(&mut claims, parties);
        (json!({}), claims, reason)
    };
    let both = || json!(["billing", "x", "orders"]);
    let not_allowed = Some("party_not_allowed");
    table(
        &gateway,
        &[
            with(both(), json!({ "azp": "web" }), None),
            with(both(), json!({ "client_id": "app" }), None),
            with(both(), json!({ "azp": "web", "client_id": "app" }), None),
            with(both(), json!({ "azp": "web", "client_id": "mallory" }), not_allowed),
            with(both(), json!({ "azp": "mallory" }), not_allowed),
            with(both(), json!({ "azp": ["web"] }), not_allowed),
            with(both(), json!({}), Some("party_missing")),
            with(json!("orders"), json!({ "azp": "web" }), Some("audience_not_allowed")),
            with(json!(["orders", "orders"]), json!({ "azp": "web" }), Some("audience_not_allowed")),
        ],
    );
}

#[test]
fn rules_about_claims_in_the_order_of_the_definition() {
    let rules = json!([
        { "claim": "/realm_access/roles", "containsAny": ["admin", "auditor"] },
        { "claim": "https://x.test/tier", "oneOf": ["gold", 1] },
        { "claim": "email", "matches": "[^@]+@x[.]test", "optional": true },
        { "claim": "scope", "contains": "orders:read" },
        { "claim": "level", "atLeast": 2 },
        { "claim": "nonce", "exists": false },
        { "claim": "status", "notEquals": "suspended" },
    ]);
    let gateway = start(json!({ "claims": rules }), json!({}));
    let with = |changes: Value, reason| {
        let mut claims = json!({
            "realm_access": { "roles": ["auditor"] },
            "https://x.test/tier": "gold",
            "scope": "openid orders:read",
            "level": 2,
            "status": "active",
        });
        merge(&mut claims, changes);
        (json!({}), claims, reason)
    };
    let not_matching = Some("claim_not_matching");
    table(
        &gateway,
        &[
            with(json!({}), None),
            with(json!({ "realm_access": { "roles": ["user"] } }), Some("claim_not_containing")),
            with(json!({ "realm_access": null, "realm_access.roles": ["admin"] }), Some("claim_missing")),
            with(json!({ "https://x.test/tier": 1.0 }), None),
            with(json!({ "https://x.test/tier": "1" }), not_matching),
            with(json!({ "email": "alice@x.test" }), None),
            with(json!({ "email": "alice@x.test.evil.test" }), not_matching),
            with(json!({ "scope": "orders:readwrite" }), Some("claim_not_containing")),
            with(json!({ "level": 1 }), not_matching),
            with(json!({ "nonce": "n" }), Some("claim_present")),
            with(json!({ "status": ["suspended"] }), not_matching),
            with(json!({ "status": null }), Some("claim_missing")),
            // W28: of several faults always the first in the order of the definition.
            with(
                json!({ "nonce": "n", "status": "suspended", "level": 0, "scope": "" }),
                Some("claim_not_containing"),
            ),
            with(json!({ "nonce": "n", "status": "suspended", "level": 0 }), not_matching),
            with(json!({ "nonce": "n", "status": "suspended" }), Some("claim_present")),
        ],
    );
}

#[test]
fn first_warn_then_enforce() {
    let upstream = Server::up();
    let refined = |mode: &str| {
        json!({
            "types": ["at+jwt"],
            "claims": [{ "name": "tier", "claim": "tier", "equals": "gold", "mode": mode }],
            "modes": { "typ": mode, "aud": mode },
        })
    };
    let document = |mode: &str| {
        strict("a", &upstream, refined(mode), json!({ "allowedAudiences": ["billing"] })).to_string()
    };
    let gateway = setup()
        .api(&strict("a", &upstream, refined("warn"), json!({ "allowedAudiences": ["billing"] })))
        .start();
    let log = gateway.log_with("tokens that fail this check get in");
    for field in ["modes.typ", "modes.aud", "claims[0].mode"] {
        assert!(log.contains(&format!("{AT}.{field}: ")), "{log}");
    }
    let warned =
        |check| metric(&gateway, &format!("claimgate_check_warnings_total{{api=\"a\",check=\"{check}\"}}"));
    let bad = token(json!({ "typ": "JWT" }), json!({ "tier": "basic" }));
    for sent in 1..=2 {
        assert_eq!(ask(&gateway, &bad), (200, None));
        assert_eq!(["typ", "aud", "tier"].map(&warned), [Some(sent); 3]);
    }
    let good = token(json!({ "typ": "at+jwt" }), json!({ "tier": "gold", "aud": "billing" }));
    assert_eq!(ask(&gateway, &good), (200, None));
    assert_eq!(warned("typ"), Some(2));
    gateway.setup().write("api-definitions/a.json", &document("enforce"));
    assert_eq!(gateway.reload().status, 200);
    assert_eq!(
        ask(&gateway, &bad),
        (401, Some("type_not_allowed".into())),
        "a verdict of before does not count"
    );
    assert_eq!(ask(&gateway, &good), (200, None));
    gateway.setup().write("api-definitions/a.json", &document("off"));
    assert_eq!(gateway.reload().status, 200);
    assert_eq!(ask(&gateway, &bad), (200, None));
    assert_eq!(warned("typ"), Some(2), "what is off is not counted");
}

/// Refinements that make no sense, where that is told, and a part of what is said.
fn senseless() -> Vec<(Value, &'static str, &'static str)> {
    let rule = |rule: Value| json!({ "claims": [rule] });
    vec![
        (json!({ "types": [] }), ".types", "no token could pass"),
        (json!({ "types": ["at+jwt; x=y"] }), ".types[0]", "without parameters"),
        (json!({ "types": "at+jwt" }), ".types", "a list is expected"),
        (json!({ "profile": "RFC9068" }), ".profile", "unknown profile; the known one is rfc9068"),
        (json!({ "profile": "rfc9068", "types": ["JWT"] }), "", "no token can pass both typ and profile"),
        (json!({ "maxAge": "0s" }), ".maxAge", "whole seconds, from 1s to ten years"),
        (json!({ "maxAge": "1500ms" }), ".maxAge", "whole seconds"),
        (json!({ "maxAge": 60 }), ".maxAge", "a duration such as"),
        (json!({ "maxLifetime": "100000h" }), ".maxLifetime", "ten years"),
        (json!({ "maxLifetime": "soon" }), ".maxLifetime", "whole seconds"),
        (json!({ "audienceMatch": "all" }), ".audienceMatch", "list them in allowedAudiences"),
        (json!({ "authorizedParties": [] }), ".authorizedParties", "no token could pass"),
        (json!({ "authorizedParties": [" web"] }), ".authorizedParties[0]", "begins or ends with a space"),
        (json!({ "modes": { "typ": "warn" } }), ".modes.typ", "nothing configures this check"),
        (json!({ "modes": { "exp": "warn" } }), ".modes.exp", "always checked"),
        (json!({ "modes": { "type": "warn" } }), ".modes.type", "did you mean typ?"),
        (json!({ "types": ["JWT"], "modes": { "typ": "on" } }), ".modes.typ", "write enforce, warn or off"),
        (json!({ "maxage": "1h" }), ".maxage", "did you mean maxAge?"),
        (rule(json!({ "claim": "a" })), ".claims[0]", "one operator"),
        (rule(json!({ "claim": "a", "equals": null })), ".claims[0]", "one operator"),
        (rule(json!({ "claim": "a", "equals": 1, "oneOf": [1] })), ".claims[0]", "one operator"),
        (rule(json!({ "equals": 1 })), ".claims[0].claim", "which claim is meant"),
        (rule(json!({ "claim": "a..b", "equals": 1 })), ".claims[0].claim", "empty step"),
        (rule(json!({ "claim": "a.*", "equals": 1 })), ".claims[0].claim", "query character"),
        (rule(json!({ "claim": "/a/~2", "equals": 1 })), ".claims[0].claim", "RFC 6901"),
        (rule(json!({ "claim": "a", "oneOf": [] })), ".claims[0].oneOf", "no token could pass"),
        (rule(json!({ "claim": "a", "noneOf": [] })), ".claims[0].noneOf", "every token would pass"),
        (
            rule(json!({ "claim": "a", "containsAll": [] })),
            ".claims[0].containsAll",
            "every token would pass",
        ),
        (rule(json!({ "claim": "a", "matches": "(" })), ".claims[0].matches", "not a regular expression"),
        (rule(json!({ "claim": "a", "matches": ".*" })), ".claims[0].matches", "every text passes"),
        (rule(json!({ "claim": "a", "startsWith": "" })), ".claims[0].startsWith", "every text passes"),
        (rule(json!({ "claim": "a", "atLeast": "2" })), ".claims[0].atLeast", "a number is expected"),
        (
            rule(json!({ "claim": "a", "exists": true, "optional": true })),
            ".claims[0].exists",
            "every token passes",
        ),
        (rule(json!({ "claim": "a", "equal": 1 })), ".claims[0].equal", "did you mean equals?"),
        (rule(json!({ "claim": "a", "equals": 1, "mode": "log" })), ".claims[0].mode", "unknown mode"),
        (rule(json!({ "claim": "a", "equals": 1, "name": " " })), ".claims[0].name", "a plain text"),
        (
            json!({ "claims": [{ "claim": "a", "atLeast": 1 }, { "claim": "a", "atLeast": 2 }] }),
            ".claims[1].name",
            "two checks have the name claim:a:atLeast",
        ),
        (
            json!({ "claims": [{ "claim": "a", "equals": 1 }, { "claim": "a", "greaterThan": 1 }] }),
            "",
            "no token can pass both claim:a:equals and claim:a:greaterThan",
        ),
        (
            json!({ "requiredClaims": ["a"], "claims": [{ "claim": "a", "exists": false }] }),
            "",
            "no token can pass both requiredClaims and claim:a:exists",
        ),
    ]
}

#[test]
fn what_makes_no_sense_does_not_load() {
    let upstream = Server::up();
    for (refined, field, said) in senseless() {
        let output = setup().api(&strict("a", &upstream, refined.clone(), json!({}))).check();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1), "{refined}: {text}");
        let place = format!(" {AT}{field}: ");
        let told = text.lines().any(|line| {
            line.starts_with("error: ")
                && line.contains("a.json")
                && line.contains(&place)
                && line.contains(said)
        });
        assert!(told, "{refined} at {field}: {text}");
    }
}

#[test]
fn what_lets_more_in_than_it_seems_is_a_warning() {
    let upstream = Server::up();
    for (refined, field, said) in [
        (json!({ "profile": "rfc9068" }), ".profile", "tokens of every issuer pass"),
        (json!({ "profile": "rfc9068" }), ".profile", "tokens for every audience pass"),
        (json!({ "maxAge": "1h", "modes": { "maxAge": "off" } }), ".modes.maxAge", "this check is not made"),
        (json!({ "maxAge": "1h", "modes": { "maxAge": "warn" } }), ".modes.maxAge", "get in"),
    ] {
        let output = setup().api(&strict("a", &upstream, refined.clone(), json!({}))).check();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{text}");
        let place = format!(" {AT}{field}: ");
        let told = text
            .lines()
            .any(|line| line.starts_with("warning: ") && line.contains(&place) && line.contains(said));
        assert!(told, "{refined}: {text}");
    }
}
