//! Every algorithm, with keys of two live identity providers and shared secrets.

use claimgate::jwt::Algorithm;
use serde_json::{Value, json};

use crate::support::{
    Gateway, Request, Server, Setup, api, claims, key, key_named, merge, provider, respond, scheme,
};

const PUBLIC: [Algorithm; 10] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::ES512,
    Algorithm::EdDSA,
];
const SECRET: [Algorithm; 3] = [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];

/// An API that takes the token from all three places.
fn everywhere(id: &str, upstream: &Server, algorithms: &[Algorithm], changes: Value) -> Value {
    let mut scheme = scheme(json!({
        "query": { "enabled": true, "name": "access_token" },
        "cookie": { "enabled": true, "name": "session" },
    }));
    merge(&mut scheme, changes);
    let mut document = api(id, upstream, scheme);
    let names: Vec<&str> = algorithms.iter().map(|algorithm| algorithm.name()).collect();
    merge(
        &mut document,
        json!({ "x-claimgate": { "server": { "authentication": { "securitySchemes": { "jwt": { "algorithms": names } } } } } }),
    );
    document
}

/// The same token in each place, for this path.
fn requests(path: &str, token: &str) -> [Request; 3] {
    [
        Request::get(path).bearer(token),
        Request::get(format!("{path}?a=1&access_token={token}&b=2")),
        Request::get(path).header("Cookie", &format!("theme=dark; session={token}")),
    ]
}

#[track_caller]
fn gets_in_everywhere(gateway: &Gateway, upstream: &Server, path: &str, token: &str, what: &str) {
    for (n, request) in requests(path, token).iter().enumerate() {
        let answer = gateway.send(request);
        assert_eq!((answer.status, &*answer.text()), (200, "up"), "{what}, place {n}");
        upstream.take_one();
    }
}

#[test]
fn every_algorithm_from_every_place_with_two_providers() {
    let (rsa, others): (Vec<_>, Vec<_>) =
        PUBLIC.iter().partition(|algorithm| algorithm.name().starts_with(['R', 'P']));
    let set = |algorithms: &[Algorithm]| {
        let keys: Vec<_> = algorithms.iter().map(|algorithm| (algorithm.name(), key(*algorithm))).collect();
        provider(&keys)
    };
    let (first, second, upstream) = (set(&rsa), set(&others), Server::up());
    let uris = json!({ "jwksURIs": [{ "url": first.url() }, { "url": second.url() }] });
    let gateway = Setup::new().api(&everywhere("public", &upstream, &PUBLIC, uris)).start();
    for algorithm in PUBLIC {
        let token = key(algorithm).sign(&json!({ "kid": algorithm.name() }), &claims(json!({}))).unwrap();
        gets_in_everywhere(&gateway, &upstream, "/public/x", &token, algorithm.name());
    }
}

#[test]
fn every_shared_secret() {
    let upstream = Server::up();
    let mut setup = Setup::new();
    for algorithm in SECRET {
        let name = algorithm.name();
        let source = json!({ "source": format!("env://{name}"), "signingMethod": "hmac" });
        setup = setup.env(name, key(algorithm).to_text().unwrap().trim()).api(&everywhere(
            name,
            &upstream,
            &[algorithm],
            source,
        ));
    }
    let gateway = setup.start();
    for algorithm in SECRET {
        let token = key(algorithm).sign(&json!({}), &claims(json!({}))).unwrap();
        let path = format!("/{}/x", algorithm.name());
        gets_in_everywhere(&gateway, &upstream, &path, &token, algorithm.name());
    }
}

#[test]
fn a_key_does_only_its_own_algorithm() {
    let upstream = Server::up();
    let rsa = key(Algorithm::RS256);
    let idp = provider(&[("one", rsa.clone())]);
    let uris = json!({ "jwksURIs": [{ "url": idp.url() }] });
    let all = [Algorithm::RS256, Algorithm::PS256, Algorithm::RS512];
    let only_ps = everywhere("only-ps", &upstream, &[Algorithm::PS256], uris.clone());
    let gateway = Setup::new().api(&everywhere("all", &upstream, &all, uris)).api(&only_ps).start();
    let text = rsa.to_text().unwrap();
    let send = |path: &str, algorithm: Algorithm| {
        let key = claimgate::jwt::sign::SigningKey::from_text(&text, Some(algorithm)).unwrap();
        let token = key.sign(&json!({ "kid": "one" }), &claims(json!({}))).unwrap();
        gateway.send(&Request::get(path).bearer(&token)).status
    };
    // The key's own `alg` binds it (RFC 7517 section 4.4), and so does the list of the API.
    assert_eq!(send("/all/", Algorithm::RS256), 200);
    assert_eq!(send("/all/", Algorithm::PS256), 401);
    assert_eq!(send("/all/", Algorithm::RS512), 401);
    assert_eq!(send("/only-ps/", Algorithm::RS256), 401);
    assert_eq!(send("/only-ps/", Algorithm::PS256), 401);
}

#[test]
fn a_public_key_is_no_shared_secret() {
    let upstream = Server::up();
    let rsa = key(Algorithm::RS256);
    let idp = provider(&[("one", rsa.clone())]);
    let uris = json!({ "jwksURIs": [{ "url": idp.url() }] });
    let both = [Algorithm::RS256, Algorithm::HS256];
    let gateway = Setup::new().api(&everywhere("both", &upstream, &both, uris)).start();
    let jwk = rsa.public_jwk(Some("one")).unwrap().to_string();
    for secret in [jwk.as_bytes(), b"", &jwk.as_bytes()[1..]] {
        let forged = claimgate::jwt::sign::SigningKey::from_secret(Algorithm::HS256, secret).unwrap();
        let token = forged.sign(&json!({ "kid": "one" }), &claims(json!({}))).unwrap();
        assert_eq!(gateway.send(&Request::get("/both/").bearer(&token)).status, 401);
    }
    let other = key_named("other", Algorithm::RS256);
    let token = other.sign(&json!({ "kid": "one" }), &claims(json!({}))).unwrap();
    assert_eq!(gateway.send(&Request::get("/both/").bearer(&token)).status, 401);
    assert!(upstream.recorded().is_empty());
}

#[test]
fn one_provider_is_down_from_the_start() {
    let upstream = Server::up();
    let live = provider(&[("live", key(Algorithm::ES256))]);
    // Nobody listens here any more.
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let uris = json!({ "jwksURIs": [{ "url": format!("http://{dead}/jwks.json") }, { "url": live.url() }] });
    let only = json!({ "jwksURIs": [{ "url": format!("http://{dead}/jwks.json") }] });
    let gateway = Setup::new()
        .api(&everywhere("two", &upstream, &[Algorithm::ES256], uris))
        .api(&everywhere("one", &upstream, &[Algorithm::ES256], only))
        .start();
    let token = key(Algorithm::ES256).sign(&json!({ "kid": "live" }), &claims(json!({}))).unwrap();
    gets_in_everywhere(&gateway, &upstream, "/two/", &token, "the other provider is up");
    let refused = gateway.send(&Request::get("/one/").bearer(&token));
    assert_eq!(refused.status, 503);
    assert!(refused.header("retry-after").is_some());
    gateway.log_with("key set cannot be used");
    assert!(upstream.recorded().is_empty());
}

/// RFC 9864 gave Ed25519 a name of its own; old and new tokens meet old and new sets.
#[test]
fn eddsa_and_ed25519_are_two_names_of_one_algorithm() {
    let upstream = Server::up();
    let key = key(Algorithm::EdDSA);
    let set = |alg: Value| {
        let mut jwk = key.public_jwk(Some("one")).unwrap();
        merge(&mut jwk, json!({ "alg": alg }));
        let body = json!({ "keys": [jwk] }).to_string();
        Server::start(move |_, stream| respond(stream, "200 OK", "application/json", body.as_bytes()))
    };
    let sets = [("old", set(json!("EdDSA"))), ("new", set(json!("Ed25519"))), ("bare", set(Value::Null))];
    let wrong = set(json!("Ed448"));
    let protected = |id: &str, idp: &Server, name: &str| {
        let mut document = api(id, &upstream, scheme(json!({ "jwksURIs": [{ "url": idp.url() }] })));
        let own = json!({ "algorithms": [name] });
        merge(
            &mut document,
            json!({ "x-claimgate": { "server": { "authentication": { "securitySchemes": { "jwt": own } } } } }),
        );
        document
    };
    let mut setup = Setup::new().api(&protected("wrong", &wrong, "EdDSA"));
    for (id, idp) in &sets {
        for name in ["EdDSA", "Ed25519"] {
            setup = setup.api(&protected(&format!("{id}-{name}"), idp, name));
        }
    }
    let gateway = setup.start();
    for alg in ["EdDSA", "Ed25519"] {
        let token = key.sign(&json!({ "kid": "one", "alg": alg }), &claims(json!({}))).unwrap();
        for (id, _) in &sets {
            for name in ["EdDSA", "Ed25519"] {
                let answer = gateway.send(&Request::get(format!("/{id}-{name}/")).bearer(&token));
                assert_eq!(answer.status, 200, "{alg} {id} {name}");
            }
        }
        assert_eq!(gateway.send(&Request::get("/wrong/").bearer(&token)).status, 401);
    }
    for alg in ["ed25519", "Ed448", "eddsa"] {
        let token = key.sign(&json!({ "kid": "one", "alg": alg }), &claims(json!({}))).unwrap();
        assert_eq!(gateway.send(&Request::get("/old-EdDSA/").bearer(&token)).status, 401, "{alg}");
    }
}
