//! What is taken for a token, and what it does on its way.

use claimgate::jwt::Algorithm;
use serde_json::json;

use super::{changed, hmac, one, signed_text, status, token, token_with};
use crate::support::{Request, Server, Setup, api, claims, key, key_named, merge, now};

/// In Tyk `exp` may be missing and be as late as it likes, and nothing tells an access token from an ID
/// token or from one that was issued to another client: 200 for all of these.
#[test]
fn w09_end_life_type_and_client_can_be_demanded() {
    let upstream = Server::up();
    let hour = json!({ "requiredClaims": ["exp"], "maxLifetime": "1h" });
    let mut gateways = Vec::new();
    for refined in [hour, json!({ "types": ["at+jwt"] }), json!({ "authorizedParties": ["shop"] })] {
        let mut document = api("a", &upstream, hmac(json!({})));
        merge(
            &mut document,
            json!({ "x-claimgate": { "server": { "authentication": { "securitySchemes": { "jwt": refined } } } } }),
        );
        gateways.push(Setup::new().env("SECRET", &super::secret()).api(&document).start());
    }
    let iat = now() - 10;
    for (n, header, claims, expected) in [
        (0, json!({}), json!({ "iat": iat, "exp": iat + 3600 }), 200),
        (0, json!({}), json!({ "exp": null }), 401),
        (0, json!({}), json!({ "iat": iat, "exp": iat + 3601 }), 401),
        (1, json!({ "typ": "at+jwt" }), json!({}), 200),
        (1, json!({ "typ": "JWT" }), json!({ "nonce": "n" }), 401),
        (2, json!({}), json!({ "azp": "shop" }), 200),
        (2, json!({}), json!({ "client_id": "shop" }), 200),
        (2, json!({}), json!({ "azp": "other" }), 401),
        (2, json!({}), json!({ "azp": "shop", "client_id": "other" }), 401),
        (2, json!({}), json!({}), 401),
    ] {
        let token = token_with(header.clone(), claims.clone());
        assert_eq!(status(&gateways[n], "/a/", &token), expected, "{n}: {header} {claims}");
    }
}

/// In Tyk a token stays good until it ends, whatever happens to its key in the meantime: 200 from the cache
/// of the set.
#[test]
fn w10_taking_a_key_away_ends_its_tokens() {
    let upstream = Server::up();
    let jwk = |key: &claimgate::jwt::sign::SigningKey| key.public_jwk(None).unwrap().to_string();
    let es256 = |source: String| hmac(json!({ "source": source, "signingMethod": "ecdsa" }));
    let old = key(Algorithm::ES256);
    let token = old.sign(&json!({}), &claims(json!({ "jti": "1" }))).unwrap();
    let gateway = one("rfc", &upstream, es256(jwk(&old))).start();
    for _ in 0..2 {
        assert_eq!(status(&gateway, "/a/", &token), 200);
    }
    let new = key_named("new", Algorithm::ES256);
    let other = api("a", &upstream, es256(jwk(&new)));
    gateway.setup().write("api-definitions/a.json", &other.to_string());
    assert_eq!(gateway.reload().status, 200);
    assert_eq!(status(&gateway, "/a/", &token), 401, "found good before, and signed by nobody now");
}

/// Tyk takes all of these: 200, and for a second parser perhaps for another user.
#[test]
fn w11_a_token_is_read_in_one_way() {
    let upstream = Server::up();
    let secret = super::secret();
    let secret = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, secret).unwrap();
    let good = claims(json!({})).to_string();
    let body = good.trim_end_matches('}');
    let plain = r#"{"alg":"HS256"}"#;
    let sign = |header: &str, claims: &str| signed_text(&secret, header, claims);
    for profile in ["rfc", "tyk"] {
        let gateway = one(profile, &upstream, hmac(json!({}))).start();
        assert_eq!(status(&gateway, "/a/", &sign(plain, &good)), 200);
        let signed = sign(plain, &good);
        // Four octets more in the last character than the signature has.
        let (rest, last) = signed.split_at(signed.len() - 1);
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let loose = alphabet.chars().nth(alphabet.find(last).unwrap() + 1).unwrap();
        for (what, bad) in [
            ("an extension that must be understood", sign(r#"{"alg":"HS256","crit":["x"],"x":1}"#, &good)),
            ("a member twice", sign(plain, &format!("{body},\"sub\":\"root\"}}"))),
            ("a member twice, in the header", sign(r#"{"alg":"HS256","alg":"HS256"}"#, &good)),
            ("something after the claims", sign(plain, &format!("{good}{{}}"))),
            ("another spelling of the signature", format!("{rest}{loose}")),
            ("padding", format!("{signed}=")),
        ] {
            let answer = gateway.send(&Request::get("/a/").bearer(&bad));
            assert!(matches!(answer.status, 401 | 403), "{profile}: {what}: {}", answer.status);
        }
    }
}

/// Tyk finds cookies by the beginning of their names, takes one of two, and deletes `Authorization` also
/// where the token is elsewhere: the upstream loses `session_id` and gets the credential.
#[test]
fn w12_only_the_credential_is_stripped_and_all_of_it() {
    let upstream = Server::up();
    let strip = json!({ "server": { "authentication": { "stripAuthorizationData": true } } });
    let cookie =
        hmac(json!({ "header": { "enabled": false }, "cookie": { "enabled": true, "name": "session" } }));
    let gateway = changed("tyk", &upstream, cookie, strip).start();
    let token = token(json!({}));
    let cookies = format!("session_id=1; session={token}; sessions=2; session={token}");
    let request = Request::get("/a/").header("Cookie", &cookies).header("Authorization", "Basic YTpi");
    assert_eq!(gateway.send(&request).status, 200);
    let seen = upstream.take_one();
    assert_eq!(seen.values("cookie"), ["session_id=1; sessions=2"]);
    assert_eq!(seen.values("authorization"), ["Basic YTpi"], "no place that is looked at");
    assert!(!seen.head.contains(&token));
}

/// In Tyk a claim hides the member of the JOSE header of its name, so that whoever chooses claims says
/// which key has signed: `X-Kid` is `root`. In rewritten addresses a claim that starts with `http` is not
/// escaped.
#[test]
fn w15_claims_and_header_members_do_not_stand_for_each_other() {
    let upstream = Server::up();
    let header = |name: &str, claim: &str| json!({ "name": name, "value": format!("$tyk_context.jwt_claims_{claim}") });
    let global = json!({ "middleware": { "global": {
        "contextVariables": { "enabled": true },
        "transformRequestHeaders": { "enabled": true, "add": [
            header("X-User", "sub"), header("X-Kid", "kid"), header("X-Typ", "typ"),
        ] },
    } } });
    let gateway = changed("rfc", &upstream, hmac(json!({ "subjectClaims": ["uid"] })), global).start();
    let claims = json!({ "sub": null, "uid": "alice", "kid": "root", "typ": "root" });
    assert_eq!(status(&gateway, "/a/", &token_with(json!({ "sub": "root", "kid": "k1" }), claims)), 200);
    let seen = upstream.take_one();
    assert_eq!(seen.values("x-user"), [""], "a claim is not in the header");
    assert_eq!((seen.values("x-kid"), seen.values("x-typ")), (vec!["k1"], vec!["JWT"]), "nor the reverse");
    let to = json!({ "enabled": true, "pattern": "/x", "rewriteTo": "/$tyk_context.jwt_claims_sub" });
    let rewritten = json!({
        "paths": { "/x": { "get": { "operationId": "x" } } },
        "x-tyk-api-gateway": { "middleware": {
            "global": { "contextVariables": { "enabled": true } },
            "operations": { "x": { "urlRewrite": to } },
        } },
    });
    let mut document = api("a", &upstream, hmac(json!({})));
    merge(&mut document, rewritten);
    let gateway = Setup::new().env("SECRET", &super::secret()).api(&document).start();
    assert_eq!(status(&gateway, "/a/x", &token(json!({ "sub": "https://evil.example?x#y" }))), 200);
    assert_eq!(upstream.take_one().target(), "/https%3A%2F%2Fevil.example%3Fx%23y");
}

/// Tyk writes tokens into its log when it is told to say more.
#[test]
fn w16_no_log_has_a_token() {
    let upstream = Server::up();
    let gateway = one("tyk", &upstream, hmac(json!({}))).env("RUST_LOG", "trace").start();
    let good = token(json!({}));
    let expired = token(json!({ "exp": now() - 5 }));
    let garbage = format!("{}x", token(json!({})));
    for token in [&good, &good, &expired, &garbage] {
        status(&gateway, "/a/", token);
        gateway.send(&Request::get(format!("/a/?token={token}")));
    }
    let (_, log, requests) = gateway.stop();
    for token in [&good, &expired, &garbage] {
        let parts: Vec<&str> = token.split('.').collect();
        for (name, text) in [("log", &log), ("access log", &requests)] {
            assert!(!text.contains(parts[1]) && !text.contains(parts[2]), "the {name} has a token");
        }
    }
    assert!(!log.contains(&super::secret()));
}
