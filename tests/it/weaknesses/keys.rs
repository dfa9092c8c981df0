//! Keys that let strangers sign.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use claimgate::jwt::{Algorithm, sign::SigningKey};
use serde_json::{Value, json};

use super::{hmac, one, refused, signed_text, status};
use crate::support::{Request, Server, Setup, api, claims, key, key_named, keyless, merge, provider, scheme};

/// Tyk uses the text of an encoded reference as the secret: whoever reads the definition can sign, 200.
#[test]
fn w01_the_text_of_a_reference_is_no_secret() {
    let upstream = Server::up();
    let reference = "env://A_RATHER_LONG_NAME_FOR_THE_SECRET";
    let material = "what-the-reference-leads-to-0123456789abcdef";
    let scheme = || hmac(json!({ "source": STANDARD.encode(reference) }));
    let setup = one("tyk", &upstream, scheme());
    let gateway = setup.env("A_RATHER_LONG_NAME_FOR_THE_SECRET", material).start();
    let by = |secret: &str| {
        let key = SigningKey::from_secret(Algorithm::HS256, secret.as_bytes()).unwrap();
        key.sign(&json!({}), &claims(json!({}))).unwrap()
    };
    assert_eq!(status(&gateway, "/a/", &by(reference)), 403);
    assert_eq!(status(&gateway, "/a/", &by(material)), 200, "what it refers to is the secret");
    // Where it leads nowhere nothing is served.
    refused(&one("tyk", &upstream, scheme()));
    for reference in
        ["consul://secrets/jwt-secret-of-32-octets", "vault://jwt", "secrets://jwt", "kv://nowhere/jwt"]
    {
        for source in [reference.to_owned(), STANDARD.encode(reference)] {
            refused(&one("tyk", &upstream, hmac(json!({ "source": source }))));
        }
    }
}

/// In Tyk anything but the exact names is `hmac`: the public key is then the secret, and an HS256 token
/// signed with its text gets 200. So does one signed with a secret of six letters.
#[test]
fn w02_nothing_makes_a_public_key_or_a_short_text_the_secret() {
    let upstream = Server::up();
    let pem = include_str!("../../data/partner-public.pem");
    for method in
        [Value::Null, json!("RSA"), json!("rsaa"), json!("eddsa"), json!(""), json!("hmac"), json!(5)]
    {
        let mut scheme = scheme(json!({ "source": STANDARD.encode(pem) }));
        scheme["signingMethod"] = method;
        refused(&one("tyk", &upstream, scheme));
    }
    refused(&one("tyk", &upstream, hmac(json!({ "source": STANDARD.encode("secret") }))));
    let weak = include_str!("../../data/weak-rsa-1024.pem");
    refused(&one("tyk", &upstream, hmac(json!({ "source": weak, "signingMethod": "rsa" }))));
}

/// In Tyk a scheme without keys takes those of stored sessions, and one that has no secret is the empty
/// secret: a token signed with it, whose `kid` names such a session, gets 200.
#[test]
fn w03_an_empty_secret_verifies_nothing() {
    let upstream = Server::up();
    for source in [json!("env://EMPTY"), json!(STANDARD.encode("\n"))] {
        let mut scheme = hmac(json!({}));
        scheme["source"] = source;
        refused(&one("tyk", &upstream, scheme).env("EMPTY", ""));
    }
    let mut keyed = keyless("keyed", &upstream);
    merge(
        &mut keyed,
        json!({
            "components": { "securitySchemes": { "key": { "type": "apiKey", "in": "header", "name": "X-Api-Key" } } },
            "security": [{ "key": [] }],
            "x-tyk-api-gateway": { "server": { "authentication": {
                "enabled": true, "securitySchemes": { "key": { "enabled": true } },
            } } },
        }),
    );
    let rights =
        json!({ "access_rights": { "a": { "api_id": "a" }, "keyed": { "api_id": "keyed" } } }).to_string();
    let mut one_to_one = hmac(json!({}));
    one_to_one["source"] = Value::Null;
    for scheme in [hmac(json!({})), one_to_one] {
        let gateway = one("tyk", &upstream, scheme).api(&keyed).start();
        let stored = gateway.admin(Request::new("POST", "/tyk/keys/alice").body(rights.as_bytes()));
        assert_eq!(stored.status, 200, "{}", stored.text());
        assert_eq!(gateway.send(&Request::get("/keyed/").header("X-Api-Key", "alice")).status, 200);
        for key in [json!("alice"), Value::Null] {
            let header = json!({ "alg": "HS256", "kid": key }).to_string();
            let forged = signed_text(b"", &header, &claims(json!({})).to_string());
            assert_eq!(status(&gateway, "/a/", &forged), 403, "a stored key without a secret is no secret");
        }
    }
}

/// In Tyk every key set of an API signs for every issuer: the partner's token for the own issuer gets 200.
#[test]
fn w04_a_key_set_signs_for_its_own_issuer_alone() {
    let upstream = Server::up();
    let (own, partner) = (key_named("own", Algorithm::ES256), key_named("partner", Algorithm::ES256));
    let (idp, other) = (provider(&[("o", own.clone())]), provider(&[("p", partner.clone())]));
    let scheme = scheme(json!({
        "signingMethod": "ecdsa", "jwksURIs": [{ "url": idp.url() }, { "url": other.url() }],
    }));
    let mut document = api("a", &upstream, scheme);
    let bound = json!({ "keySources": [
        { "url": idp.url(), "issuers": ["https://idp.test"] },
        { "url": other.url(), "issuers": ["https://partner.test"] },
    ] });
    merge(
        &mut document,
        json!({ "x-claimgate": { "server": { "authentication": { "securitySchemes": { "jwt": bound } } } } }),
    );
    let gateway = Setup::new().api(&document).start();
    let sign = |key: &SigningKey, kid: &str, issuer: &str| {
        key.sign(&json!({ "kid": kid }), &claims(json!({ "iss": issuer }))).unwrap()
    };
    assert_eq!(status(&gateway, "/a/", &sign(&own, "o", "https://idp.test")), 200);
    assert_eq!(status(&gateway, "/a/", &sign(&partner, "p", "https://partner.test")), 200);
    assert_eq!(status(&gateway, "/a/", &sign(&partner, "p", "https://idp.test")), 401);
    // Who does not say which keys are whose is told so.
    let unbound = api("a", &upstream, scheme_of(&[&idp, &other]));
    let said = Setup::new().api(&unbound).check();
    assert!(String::from_utf8(said.stdout).unwrap().contains("issuers"));
}

fn scheme_of(providers: &[&Server]) -> Value {
    let urls: Vec<Value> = providers.iter().map(|provider| json!({ "url": provider.url() })).collect();
    scheme(json!({ "signingMethod": "ecdsa", "jwksURIs": urls }))
}

/// Tyk decodes a plain URL as base64 once it is known: the first request gets 200, all others 403.
#[test]
fn w22_a_plain_url_works_more_than_once() {
    let upstream = Server::up();
    let idp = provider(&[("k", key(Algorithm::ES256))]);
    let plain = scheme(json!({ "source": idp.url(), "signingMethod": "ecdsa" }));
    let gateway = one("tyk", &upstream, plain).start();
    for n in 0..4 {
        let token = key(Algorithm::ES256).sign(&json!({ "kid": "k" }), &claims(json!({ "n": n }))).unwrap();
        assert_eq!(gateway.send(&Request::get("/a/").bearer(&token)).status, 200, "request {n}");
    }
}
