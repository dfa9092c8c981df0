//! Encrypted tokens through the binary and the tower layer: which get in, and that all others look
//! alike.

use std::{collections::BTreeMap, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use claimgate::{
    auth::Authenticator,
    jwks::{HttpFetch, Registry},
    jwt::{
        Algorithm,
        jwe::{
            AesSize, ContentEncryption, Decryption, KeyManagement,
            encrypt::{EncryptionKey, generate},
            import_decryption_keys,
        },
    },
    refusal::Reason,
};
use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use serde_json::{Value, json};

use crate::support::{Request, Server, Setup, api, claims, key, key_named, merge, provider, scheme};

const GCM: ContentEncryption = ContentEncryption::Gcm(AesSize::A256);
const WRAP: KeyManagement = KeyManagement::EcdhEsKw(AesSize::A256);

/// An API with this `decryption`.
fn encrypted(id: &str, upstream: &Server, idp: &Server, decryption: Value) -> Value {
    let scheme = scheme(json!({ "signingMethod": "ecdsa", "jwksURIs": [{ "url": idp.url() }] }));
    let mut document = api(id, upstream, scheme);
    let refined = json!({ "decryption": decryption });
    merge(
        &mut document,
        json!({ "x-claimgate": { "server": { "authentication": { "securitySchemes": { "jwt": refined } } } } }),
    );
    document
}

fn signed(changes: Value) -> String {
    key(Algorithm::ES256).sign(&json!({ "kid": "k" }), &claims(changes)).unwrap()
}

fn to(text: &str, kid: Option<&str>, algorithm: KeyManagement) -> EncryptionKey {
    EncryptionKey::from_text(text, kid, Some(algorithm)).unwrap()
}

#[test]
fn every_algorithm_gets_in() {
    let (upstream, idp) = (Server::up(), provider(&[("k", key(Algorithm::ES256))]));
    let mut setup = Setup::new();
    let mut keys = Vec::new();
    for algorithm in KeyManagement::ALL {
        let text = generate(algorithm).unwrap();
        // Every way to write a key: as it is, as base64 of it, and by reference.
        let (name, variable) = (algorithm.name(), format!("KEY_{}", keys.len()));
        let source = match keys.len() % 3 {
            0 => text.clone(),
            1 if text.starts_with("-----") => STANDARD.encode(&text),
            _ => format!("env://{variable}"),
        };
        setup = setup.env(&variable, text.trim());
        let decryption = json!({ "keys": [{ "source": source, "algorithm": name }] });
        setup = setup.api(&encrypted(&format!("a{}", keys.len()), &upstream, &idp, decryption));
        keys.push(to(&text, None, algorithm));
    }
    let gateway = setup.start();
    let signed = signed(json!({}));
    for (n, key) in keys.iter().enumerate() {
        for encryption in ContentEncryption::ALL {
            if KeyManagement::ALL[n] == KeyManagement::Dir && encryption.key_len() != 32 {
                continue;
            }
            let token = key.encrypt(encryption, &json!({}), &signed).unwrap();
            // The second time it comes out of the cache.
            for _ in 0..2 {
                let answer = gateway.send(&Request::get(format!("/a{n}/x")).bearer(&token));
                assert_eq!(
                    (answer.status, &*answer.text()),
                    (200, "up"),
                    "{} {encryption}",
                    KeyManagement::ALL[n]
                );
                upstream.take_one();
            }
        }
    }
}

#[test]
fn what_is_inside_is_verified_like_any_other() {
    let (upstream, idp) = (Server::up(), provider(&[("k", key(Algorithm::ES256))]));
    let text = generate(WRAP).unwrap();
    let gateway = Setup::new()
        .env("KEY", &text)
        .api(&encrypted("e", &upstream, &idp, json!({ "keys": [{ "source": "env://KEY" }] })))
        .start();
    let public = to(&text, None, WRAP);
    let stranger =
        key_named("stranger", Algorithm::ES256).sign(&json!({ "kid": "k" }), &claims(json!({}))).unwrap();
    let unsigned = format!(
        "{}.{}.",
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#),
        signed(json!({})).split('.').nth(1).unwrap()
    );
    let secret = claimgate::jwt::sign::SigningKey::from_secret(Algorithm::HS256, text.as_bytes()).unwrap();
    for (inside, code) in [
        (stranger, "signature_invalid"),
        (unsigned, "algorithm_not_allowed"),
        (secret.sign(&json!({ "kid": "k" }), &claims(json!({}))).unwrap(), "algorithm_not_allowed"),
        (signed(json!({ "exp": 1 })), "token_expired"),
        (claims(json!({})).to_string(), "token_not_nested"),
        (public.encrypt(GCM, &json!({}), &signed(json!({}))).unwrap(), "token_not_nested"),
    ] {
        let token = public.encrypt(GCM, &json!({}), &inside).unwrap();
        assert_eq!(gateway.send(&Request::get("/e/").bearer(&token)).status, 401, "{code}");
        assert!(gateway.last_line().contains(&format!("\"{code}\"")), "{code}: {}", gateway.last_line());
    }
    assert!(upstream.recorded().is_empty());
}

/// Whatever is wrong with the encryption, the caller sees one answer; the log tells what they may know
/// who run the gateway.
#[test]
fn all_refusals_look_alike() {
    let (upstream, idp) = (Server::up(), provider(&[("k", key(Algorithm::ES256))]));
    let (text, other) = (generate(WRAP).unwrap(), generate(WRAP).unwrap());
    let decryption = json!({ "keys": [{ "source": "env://KEY", "kid": "one" }] });
    let gateway = Setup::new().env("KEY", &text).api(&encrypted("e", &upstream, &idp, decryption)).start();
    let signed = signed(json!({}));
    let good = to(&text, Some("one"), WRAP);
    let encrypt = |key: &EncryptionKey, header| key.encrypt(GCM, &header, &signed).unwrap();
    let with_other_tag = |token: &str| {
        let (rest, _) = token.rsplit_once('.').unwrap();
        format!("{rest}.AAAAAAAAAAAAAAAAAAAAAA")
    };
    let refused = [
        (encrypt(&to(&other, Some("one"), WRAP), json!({})), "decryption_failed"),
        (encrypt(&good, json!({ "kid": "two" })), "decryption_failed"),
        (with_other_tag(&encrypt(&good, json!({}))), "decryption_failed"),
        (encrypt(&good, json!({ "epk": {} })), "decryption_failed"),
        (encrypt(&good, json!({ "zip": "DEF" })), "token_compressed"),
        (encrypt(&good, json!({ "crit": ["x"] })), "token_critical"),
        (encrypt(&good, json!({ "cty": "JSON" })), "token_not_nested"),
        (encrypt(&good, json!({ "alg": "RSA1_5" })), "algorithm_unknown"),
        (encrypt(&good, json!({ "alg": "PBES2-HS512+A256KW", "p2c": 2_000_000_000 })), "algorithm_unknown"),
        (encrypt(&good, json!({ "alg": "dir" })), "algorithm_not_allowed"),
        (encrypt(&good, json!({ "iss": "https://other.test" })), "header_claim_differs"),
        (signed.clone(), "token_not_encrypted"),
        ("a.b.c.d.e".into(), "token_malformed"),
    ];
    let mut answers = BTreeMap::new();
    for (token, code) in &refused {
        let answer = gateway.send(&Request::get("/e/").bearer(token));
        assert!(gateway.last_line().contains(&format!("\"{code}\"")), "{code}: {}", gateway.last_line());
        let challenge = answer.header("www-authenticate").map(String::from);
        answers.entry((answer.status, challenge, answer.text())).or_insert_with(Vec::new).push(*code);
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert!(answers.keys().all(|(status, ..)| *status == 401));
    assert!(upstream.recorded().is_empty());
    let answer = gateway.send(&Request::get("/e/").bearer(&encrypt(&good, json!({}))));
    assert_eq!(answer.status, 200);
}

#[test]
fn keys_rotate_and_signed_tokens_may_pass() {
    let (upstream, idp) = (Server::up(), provider(&[("k", key(Algorithm::ES256))]));
    let (old, new) = (generate(WRAP).unwrap(), generate(KeyManagement::RsaOaep256).unwrap());
    let both = json!([{ "source": "env://OLD", "kid": "old" }, { "source": "env://NEW", "kid": "new" }]);
    let narrow = json!({ "keys": both, "algorithms": ["ECDH-ES+A256KW", "RSA-OAEP-256"], "contentEncryption": ["A256GCM"] });
    let open = json!({ "keys": both, "required": false });
    let gateway = Setup::new()
        .env("OLD", &old)
        .env("NEW", &new)
        .api(&encrypted("narrow", &upstream, &idp, narrow))
        .api(&encrypted("open", &upstream, &idp, open))
        .api(&api(
            "plain",
            &upstream,
            scheme(json!({ "signingMethod": "ecdsa", "jwksURIs": [{ "url": idp.url() }] })),
        ))
        .start();
    let signed = signed(json!({}));
    let to_old = to(&old, Some("old"), WRAP).encrypt(GCM, &json!({}), &signed).unwrap();
    let to_new = to(&new, Some("new"), KeyManagement::RsaOaep256).encrypt(GCM, &json!({}), &signed).unwrap();
    let sha1 = to(&new, Some("new"), KeyManagement::RsaOaep).encrypt(GCM, &json!({}), &signed).unwrap();
    let cbc = to(&old, Some("old"), WRAP)
        .encrypt(ContentEncryption::CbcHmac(AesSize::A128), &json!({}), &signed)
        .unwrap();
    for (path, token, status) in [
        ("/narrow/", &to_old, 200),
        ("/narrow/", &to_new, 200),
        ("/narrow/", &sha1, 401),
        ("/narrow/", &cbc, 401),
        ("/narrow/", &signed, 401),
        ("/open/", &to_old, 200),
        ("/open/", &sha1, 200),
        ("/open/", &cbc, 200),
        ("/open/", &signed, 200),
        // An API without keys reads no encrypted token, even one that another API has found good.
        ("/plain/", &to_old, 401),
        ("/plain/", &signed, 200),
    ] {
        assert_eq!(gateway.send(&Request::get(path).bearer(token)).status, status, "{path} {token}");
    }
    let (_, output, errors) = gateway.stop();
    assert!(!format!("{output}{errors}").contains(&signed));
}

#[test]
fn what_is_wrong_is_told_where_it_is() {
    let upstream = Server::up();
    let idp = provider(&[("k", key(Algorithm::ES256))]);
    let ec = generate(WRAP).unwrap();
    let named = |kid: &str| json!({ "source": ec, "kid": kid });
    let public = key(Algorithm::ES256).public_jwk(None).unwrap().to_string();
    for (decryption, at, message) in [
        (json!({}), "decryption.keys", "there is no key to decrypt with"),
        (json!({ "keys": [{}] }), "keys[0].source", "there is no key"),
        (json!({ "keys": [{ "source": "env://UNSET_HERE" }] }), "keys[0].source", "UNSET_HERE is not set"),
        (
            json!({ "keys": [{ "source": "https://idp.test/key" }] }),
            "keys[0].source",
            "private keys are not fetched",
        ),
        (json!({ "keys": [{ "source": "?" }] }), "keys[0].source", "neither PEM, nor a JWK"),
        (json!({ "keys": [{ "source": public }] }), "keys[0].source", "use is not enc"),
        (
            json!({ "keys": [{ "source": "AAAAAAAAAAAAAAAAAAAAAA==" }] }),
            "keys[0].source",
            "say its algorithm",
        ),
        (
            json!({ "keys": [{ "source": ec, "algorithm": "RSA-OAEP" }] }),
            "keys[0].source",
            "not for RSA-OAEP",
        ),
        (
            json!({ "keys": [{ "source": ec, "algorithm": "RSA1_5" }] }),
            "keys[0].algorithm",
            "unknown algorithm",
        ),
        (json!({ "keys": [{ "source": ec, "alg": "ECDH-ES" }] }), "keys[0].alg", "unknown field"),
        (json!({ "keys": [named("a"), named("a")] }), "decryption.keys", "two keys have the kid a"),
        (json!({ "keys": [named("a"), { "source": ec }] }), "decryption.keys", "each needs a kid"),
        (
            json!({ "keys": [named("a")], "algorithms": ["dir"] }),
            "decryption.algorithms",
            "none of which is allowed",
        ),
        (json!({ "keys": [named("a")], "algorithms": [] }), "decryption.algorithms", "the list is empty"),
        (
            json!({ "keys": [named("a")], "contentEncryption": ["A256CBC"] }),
            "contentEncryption[0]",
            "unknown algorithm",
        ),
        (json!({ "keys": [named("a")], "require": true }), "decryption.require", "unknown field"),
    ] {
        let setup = Setup::new().api(&encrypted("e", &upstream, &idp, decryption));
        let output = setup.check();
        let output =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.contains(at) && output.contains(message), "{at}: {message}\n{output}");
        assert!(!output.contains(ec.lines().nth(1).unwrap()), "{output}");
    }
}

#[tokio::test]
async fn the_layer_takes_them_as_well() {
    let registry = Registry::start(Arc::new(HttpFetch::new().unwrap())).unwrap();
    let text = generate(WRAP).unwrap();
    let keys = import_decryption_keys(text.as_bytes(), None, None).unwrap();
    let jwk = key(Algorithm::ES256).public_jwk(Some("k")).unwrap().to_string();
    let authenticator = Authenticator::builder([Algorithm::ES256])
        .key(jwk)
        .decryption(Decryption::new(keys).unwrap())
        .build(&registry)
        .unwrap();
    let ask = async |token: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::try_from(format!("Bearer {token}")).unwrap());
        let session = authenticator.authenticate(&headers, None).await;
        session.map(|session| session.subject().to_owned()).map_err(|refusal| refusal.reason())
    };
    let signed = signed(json!({}));
    let token = to(&text, None, WRAP).encrypt(GCM, &json!({}), &signed).unwrap();
    assert_eq!(ask(&token).await.as_deref(), Ok("alice"));
    assert_eq!(ask(&signed).await, Err(Reason::TokenNotEncrypted));
}
