//! Where keys come from, and what happens when they do not.

use std::{
    io::Write as _,
    net::TcpStream,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use claimgate::jwt::{Algorithm, sign::SigningKey};
use serde_json::{Value, json};

use crate::support::{
    Gateway, Request, Server, Setup, api, claims, key, key_named, provider, respond, scheme,
};

fn token(key: &SigningKey, header: Value) -> String {
    key.sign(&header, &claims(json!({}))).unwrap()
}

#[track_caller]
fn gets_in(gateway: &Gateway, path: &str, token: &str) {
    let answer = gateway.send(&Request::get(path).bearer(token));
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
}

fn status(gateway: &Gateway, path: &str, token: &str) -> u16 {
    gateway.send(&Request::get(path).bearer(token)).status
}

fn public_pem() -> &'static str {
    include_str!("../data/partner-public.pem")
}

fn private() -> SigningKey {
    SigningKey::from_text(include_str!("../data/partner-private.pem"), None).unwrap()
}

#[test]
fn every_form_of_source() {
    let upstream = Server::up();
    let rsa = private();
    let jwk = rsa.public_jwk(Some("partner")).unwrap();
    let set = json!({ "keys": [jwk] });
    let idp = provider(&[("set", key(Algorithm::RS256))]);
    let b64 = |text: &str| STANDARD.encode(text);
    let sources = [
        ("pem", public_pem().to_owned()),
        ("pem-base64", b64(public_pem())),
        ("pkcs1", include_str!("../data/partner-public-pkcs1.pem").to_owned()),
        ("certificate", include_str!("../data/partner-certificate.pem").to_owned()),
        ("jwk", jwk.to_string()),
        ("jwk-base64", b64(&jwk.to_string())),
        ("jwks", set.to_string()),
        ("file", "file://partner.pem".to_owned()),
        ("env", "env://PARTNER".to_owned()),
        ("url", format!("{}/jwks.json", idp.url())),
        ("url-base64", b64(&format!("{}/jwks.json", idp.url()))),
    ];
    let mut setup = Setup::new()
        .file("partner.pem", public_pem())
        .env("PARTNER", &b64(public_pem()))
        .config(&json!({ "kv": { "file": { "base_path": "." } } }));
    for (id, source) in &sources {
        setup = setup.api(&api(id, &upstream, scheme(json!({ "source": source, "signingMethod": "rsa" }))));
    }
    let gateway = setup.start();
    for (id, _) in &sources {
        let token = if id.starts_with("url") {
            token(&key(Algorithm::RS256), json!({ "kid": "set" }))
        } else {
            token(&rsa, json!({}))
        };
        gets_in(&gateway, &format!("/{id}/"), &token);
    }
    assert_eq!(upstream.recorded().len(), sources.len());
}

#[test]
fn key_set_urls_win_over_source_and_the_first_that_knows_the_kid_decides() {
    let upstream = Server::up();
    let (first, second) = (key_named("first", Algorithm::ES256), key_named("second", Algorithm::ES256));
    let one = provider(&[("same", first.clone()), ("one", first.clone())]);
    let two = provider(&[("same", second.clone()), ("two", second.clone())]);
    let scheme = scheme(json!({
        "jwksURIs": [{ "url": one.url() }, { "url": two.url() }],
        "source": public_pem(),
        "signingMethod": "ecdsa",
    }));
    let gateway = Setup::new().api(&api("a", &upstream, scheme)).start();
    gets_in(&gateway, "/a/", &token(&first, json!({ "kid": "one" })));
    gets_in(&gateway, "/a/", &token(&second, json!({ "kid": "two" })));
    gets_in(&gateway, "/a/", &token(&first, json!({ "kid": "same" })));
    assert_eq!(status(&gateway, "/a/", &token(&second, json!({ "kid": "same" }))), 401);
    assert_eq!(status(&gateway, "/a/", &token(&second, json!({ "kid": "one" }))), 401);
    assert_eq!(status(&gateway, "/a/", &token(&private(), json!({}))), 401);
}

/// A provider whose answer can be changed.
struct Changing {
    server: Server,
    body: Arc<Mutex<Option<String>>>,
}

impl Changing {
    fn start() -> Self {
        let body = Arc::new(Mutex::new(None::<String>));
        let own = Arc::clone(&body);
        let server = Server::start(move |_, stream| match &*own.lock().unwrap() {
            Some(body) => respond(stream, "200 OK", "application/json", body.as_bytes()),
            None => respond(stream, "500 Internal Server Error", "text/plain", b"down"),
        });
        Self { server, body }
    }

    fn serve(&self, keys: &[(&str, &SigningKey)]) {
        let keys: Vec<Value> = keys.iter().filter_map(|(kid, key)| key.public_jwk(Some(kid))).collect();
        *self.body.lock().unwrap() = Some(json!({ "keys": keys }).to_string());
    }

    fn fail(&self) {
        *self.body.lock().unwrap() = None;
    }
}

fn with_set(url: &str) -> Value {
    scheme(json!({ "jwksURIs": [{ "url": url }], "signingMethod": "ecdsa" }))
}

#[test]
fn a_rotated_key_is_fetched_when_it_is_first_seen_and_an_outage_keeps_the_last_set() {
    let upstream = Server::up();
    let (old, new) = (key_named("old", Algorithm::ES256), key_named("new", Algorithm::ES256));
    let idp = Changing::start();
    idp.serve(&[("old", &old)]);
    let gateway = Setup::new().api(&api("a", &upstream, with_set(&idp.server.url()))).start();
    let (by_old, by_new) = (token(&old, json!({ "kid": "old" })), token(&new, json!({ "kid": "new" })));
    gets_in(&gateway, "/a/", &by_old);
    assert_eq!(status(&gateway, "/a/", &by_new), 401);

    idp.serve(&[("old", &old), ("new", &new)]);
    eventually(|| status(&gateway, "/a/", &by_new) == 200);
    gets_in(&gateway, "/a/", &by_old);

    // The old key is withdrawn; a verdict from before must not outlive it.
    idp.serve(&[("new", &new)]);
    assert_eq!(gateway.admin(Request::new("DELETE", "/tyk/cache/jwks")).status, 200);
    assert_eq!(status(&gateway, "/a/", &by_old), 401);
    gets_in(&gateway, "/a/", &by_new);
    gateway.log_with("key set has changed");

    idp.fail();
    let unknown = token(&old, json!({ "kid": "unknown" }));
    eventually(|| {
        let before = idp.server.recorded().len();
        assert_eq!(status(&gateway, "/a/", &unknown), 401);
        idp.server.recorded().len() > before
    });
    gets_in(&gateway, "/a/", &by_new);
    gateway.log_with("key set cannot be used");
}

/// Tries until it holds; what is waited for happens on the gateway's own time.
#[track_caller]
fn eventually(mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(20), "it never held");
        thread::yield_now();
    }
}

#[test]
fn a_flood_of_unknown_keys_causes_few_fetches() {
    let upstream = Server::up();
    let good = key(Algorithm::ES256);
    let idp = provider(&[("good", good.clone())]);
    let gateway = Setup::new().api(&api("a", &upstream, with_set(&idp.url()))).start();
    gets_in(&gateway, "/a/", &token(&good, json!({ "kid": "good" })));
    let began = Instant::now();
    let tokens: Vec<String> =
        (0..64).map(|n| token(&good, json!({ "kid": format!("unknown-{n}") }))).collect();
    thread::scope(|scope| {
        for tokens in tokens.chunks(8) {
            let gateway = &gateway;
            scope.spawn(move || tokens.iter().for_each(|t| assert_eq!(status(gateway, "/a/", t), 401)));
        }
    });
    // The first fetch, and one for each second of the flood.
    let allowed = 2 + usize::try_from(began.elapsed().as_secs()).unwrap();
    let fetches = idp.recorded().len();
    assert!(fetches <= allowed, "{fetches} fetches");
}

#[test]
fn two_apis_share_one_source() {
    let upstream = Server::up();
    let idp = provider(&[("one", key(Algorithm::ES256))]);
    let gateway = Setup::new()
        .api(&api("a", &upstream, with_set(&idp.url())))
        .api(&api("b", &upstream, with_set(&idp.url())))
        .start();
    let token = token(&key(Algorithm::ES256), json!({ "kid": "one" }));
    gets_in(&gateway, "/a/", &token);
    gets_in(&gateway, "/b/", &token);
    assert_eq!(idp.recorded().len(), 1);
}

/// Endpoints that do not give a key set. Each costs its own API one line in the log, and no other
/// API anything.
#[test]
fn odd_endpoints() {
    let upstream = Server::up();
    let good = provider(&[("one", key(Algorithm::ES256))]);
    let elsewhere = good.url();
    let begun = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&begun);
    let odd = Server::start(move |request, stream| match request.target() {
        "/hang" => {
            counter.fetch_add(1, Ordering::SeqCst);
            wait_for_the_end_of(stream)
        }
        "/html" => respond(stream, "200 OK", "text/html", b"<!DOCTYPE html><title>Log in</title>"),
        "/large" => fifty_megabytes(stream),
        "/redirect" => {
            let head = format!("HTTP/1.1 302 Found\r\nLocation: {elsewhere}\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(head.as_bytes()).is_ok()
        }
        "/error" => respond(stream, "503 Service Unavailable", "text/plain", b"later"),
        "/empty" => respond(stream, "200 OK", "application/json", b"{\"keys\":[]}"),
        _ => unreachable!(),
    });
    let kinds = [
        ("html", "the answer is not a key set"),
        ("large", "larger than 1024 KiB"),
        ("redirect", "redirects are not followed"),
        ("error", "answered 503"),
        ("empty", "the key set is empty"),
        ("hang", "did not answer in time"),
    ];
    let mut setup = Setup::new().api(&api("good", &upstream, with_set(&good.url())));
    for (kind, _) in kinds {
        setup = setup.api(&api(kind, &upstream, with_set(&format!("{}/{kind}", odd.url()))));
    }
    let gateway = setup.start();
    let token = token(&key(Algorithm::ES256), json!({ "kid": "one" }));
    gets_in(&gateway, "/good/", &token);
    for (kind, said) in kinds {
        let answer = gateway.send(&Request::get(format!("/{kind}/")).bearer(&token));
        assert_eq!((answer.status, answer.header("retry-after").is_some()), (503, true), "{kind}");
        let log = gateway.log_with(said);
        let lines = log.lines().filter(|line| line.contains(&format!("/{kind}\""))).count();
        assert_eq!(lines, 1, "{kind} is told once:\n{log}");
    }
    gets_in(&gateway, "/good/", &token);
    assert_eq!(upstream.recorded().len(), 2);
    assert!(begun.load(Ordering::SeqCst) > 0);
}

/// Returns when the other side has given up.
fn wait_for_the_end_of(stream: &mut TcpStream) -> bool {
    use std::io::Read as _;
    let _ = stream.read(&mut [0]);
    false
}

fn fifty_megabytes(stream: &mut TcpStream) -> bool {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{{\"keys\":[", 50 << 20);
    let mut written = stream.write_all(head.as_bytes());
    for _ in 0..50 {
        if written.is_ok() {
            written = stream.write_all(&vec![b' '; 1 << 20]);
        }
    }
    false
}

#[test]
fn three_usable_keys_among_five_hundred() {
    let upstream = Server::up();
    let good = key(Algorithm::ES256);
    let mut keys: Vec<Value> = (0..497)
        .map(|n| match n % 4 {
            0 => json!({ "kty": "RSA", "kid": format!("weak-{n}"), "n": "AQAB", "e": "AQAB" }),
            1 => json!({ "kty": "EC", "kid": format!("odd-{n}"), "crv": "secp256k1", "x": "AA", "y": "AA" }),
            2 => json!({ "kty": "OKP", "kid": format!("small-{n}"), "crv": "Ed25519", "x": STANDARD.encode([0; 32]) }),
            _ => json!(n),
        })
        .collect();
    for kid in ["x", "y", "z"] {
        keys.insert(keys.len() / 2, good.public_jwk(Some(kid)).unwrap());
    }
    let body = json!({ "keys": keys }).to_string();
    let idp = Server::start(move |_, stream| respond(stream, "200 OK", "application/json", body.as_bytes()));
    let gateway = Setup::new().api(&api("a", &upstream, with_set(&idp.url()))).start();
    for kid in ["x", "y", "z"] {
        gets_in(&gateway, "/a/", &token(&good, json!({ "kid": kid })));
    }
    let log = gateway.log_with("rejected=497 usable=3");
    assert_eq!(log.lines().filter(|line| line.contains("rejected=")).count(), 1);
}

/// Keys that were published for something else, or only as a certificate, verify nothing.
#[test]
fn keys_for_another_purpose_verify_nothing() {
    let upstream = Server::up();
    let (good, partner) = (key(Algorithm::ES256), private());
    let with = |kid: &str, key: &SigningKey, extra: Value| {
        let mut jwk = key.public_jwk(Some(kid)).unwrap();
        crate::support::merge(&mut jwk, extra);
        jwk
    };
    let certificate = include_str!("../data/partner-certificate.pem");
    let der: String = certificate.lines().filter(|line| !line.starts_with("-----")).collect();
    let keys = [
        with("good", &good, json!({})),
        with("enc", &good, json!({ "use": "enc" })),
        with("wrap", &good, json!({ "key_ops": ["wrapKey"] })),
        with("oaep", &partner, json!({ "alg": "RSA-OAEP" })),
        json!({ "kty": "RSA", "kid": "x5c", "x5c": [der] }),
        // The key counts, and the certificate beside it is not looked at.
        with("both", &partner, json!({ "x5c": ["AAAA"] })),
    ];
    let body = json!({ "keys": keys }).to_string();
    let idp = Server::start(move |_, stream| respond(stream, "200 OK", "application/json", body.as_bytes()));
    let both = json!({ "algorithms": ["ES256", "RS256"] });
    let mut document = api("a", &upstream, with_set(&idp.url()));
    crate::support::merge(
        &mut document,
        json!({ "x-claimgate": { "server": { "authentication": { "securitySchemes": { "jwt": both } } } } }),
    );
    let gateway = Setup::new().api(&document).start();
    for (kid, key, expected) in [
        ("good", &*good, 200),
        ("both", &partner, 200),
        ("enc", &good, 401),
        ("wrap", &good, 401),
        ("oaep", &partner, 401),
        ("x5c", &partner, 401),
    ] {
        assert_eq!(status(&gateway, "/a/", &token(key, json!({ "kid": kid }))), expected, "{kid}");
    }
}

#[test]
fn a_token_without_kid_needs_a_set_with_one_fitting_key() {
    let upstream = Server::up();
    let (es, rsa) = (key(Algorithm::ES256), key(Algorithm::RS256));
    let one = provider(&[("a", es.clone()), ("b", rsa)]);
    let two = provider(&[("a", es.clone()), ("b", key_named("second", Algorithm::ES256))]);
    let gateway = Setup::new()
        .api(&api("one", &upstream, with_set(&one.url())))
        .api(&api("two", &upstream, with_set(&two.url())))
        .start();
    let token = token(&es, json!({}));
    gets_in(&gateway, "/one/", &token);
    assert_eq!(status(&gateway, "/two/", &token), 401);
}

#[test]
fn one_provider_does_not_speak_for_another() {
    let upstream = Server::up();
    let (a, b) = (key_named("first", Algorithm::ES256), key_named("second", Algorithm::ES256));
    let (of_a, of_b) = (provider(&[("same", a.clone())]), provider(&[("same", b.clone())]));
    let secret = key(Algorithm::HS256).to_text().unwrap();
    let mut setup = Setup::new();
    for (id, urls) in [("ab", [of_a.url(), of_b.url()]), ("ba", [of_b.url(), of_a.url()])] {
        let scheme = scheme(json!({ "jwksURIs": [{ "url": urls[0] }, { "url": urls[1] }] }));
        let mut document = api(id, &upstream, scheme);
        let bound = json!({ "algorithms": ["ES256", "HS256"], "keySources": [
            { "url": of_a.url(), "issuers": ["https://a"], "audiences": ["orders"] },
            { "url": of_b.url(), "issuers": ["https://b", "https://b2"] },
            { "source": secret.trim(), "issuers": ["legacy"] },
        ] });
        crate::support::merge(
            &mut document,
            json!({ "x-claimgate": { "server": { "authentication": { "securitySchemes": { "jwt": bound } } } } }),
        );
        setup = setup.api(&document);
    }
    let gateway = setup.start();
    let sign = |key: &SigningKey, changes| key.sign(&json!({ "kid": "same" }), &claims(changes)).unwrap();
    let legacy = key(Algorithm::HS256);
    for (token, expected) in [
        (sign(&a, json!({ "iss": "https://a" })), 200),
        (sign(&b, json!({ "iss": "https://b" })), 200),
        (sign(&b, json!({ "iss": "https://b2", "aud": "other" })), 200),
        (sign(&legacy, json!({ "iss": "legacy" })), 200),
        (sign(&b, json!({ "iss": "https://a" })), 401),
        (sign(&a, json!({ "iss": "https://b" })), 401),
        (sign(&legacy, json!({ "iss": "https://a" })), 401),
        (sign(&a, json!({ "iss": "https://a", "aud": "other" })), 401),
        (sign(&a, json!({ "iss": "https://c" })), 401),
        (sign(&a, json!({ "iss": null })), 401),
        (sign(&a, json!({ "iss": ["https://a"] })), 401),
        (sign(&a, json!({ "iss": 5 })), 401),
    ] {
        for path in ["/ab/", "/ba/"] {
            // The second time from what is remembered.
            assert_eq!(
                [status(&gateway, path, &token), status(&gateway, path, &token)],
                [expected; 2],
                "{path} {token}"
            );
        }
    }
}

/// What the control API tells of the key sets, of one API or of all.
#[track_caller]
fn told(gateway: &Gateway, method: &'static str, path: &str) -> Vec<Value> {
    let answer = gateway.admin(Request::new(method, path));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let report: Value = serde_json::from_slice(&answer.body).unwrap();
    report["sources"].as_array().unwrap().clone()
}

#[test]
fn an_operator_sees_how_key_sets_are_doing() {
    let upstream = Server::up();
    let (one, two) = (key_named("first", Algorithm::ES256), key_named("second", Algorithm::ES256));
    let good = Changing::start();
    let weak = json!({ "kty": "RSA", "kid": "weak", "n": "AQAB", "e": "AQAB" });
    let body = json!({ "keys": [one.public_jwk(Some("one")), weak] }).to_string();
    *good.body.lock().unwrap() = Some(body);
    let bad = Changing::start();
    let url = format!("{}/keys?secret=hush", good.server.url());
    let gateway = Setup::new()
        .api(&api("a", &upstream, with_set(&url)))
        .api(&api("b", &upstream, with_set(&url)))
        .api(&api("c", &upstream, with_set(&bad.server.url())))
        .api(&api("d", &upstream, scheme(json!({ "source": public_pem(), "signingMethod": "rsa" }))))
        .start();
    let all = told(&gateway, "GET", "/tyk/cache/jwks");
    assert_eq!(all.len(), 2, "keys from the configuration are not fetched: {all:?}");
    let source = &told(&gateway, "GET", "/tyk/cache/jwks/a")[0];
    assert_eq!(source["url"], format!("{}/keys", good.server.url()));
    assert_eq!(source["apis"], json!(["a", "b"]));
    assert_eq!((&source["state"], &source["faults"]), (&json!("fresh"), &json!(0)));
    assert_eq!(source["keys"], json!([{ "kid": "one", "algorithms": ["ES256"] }]));
    assert_eq!(source["rejected"][0]["key"], "key 1 (kid \"weak\")");
    assert!(source["rejected"][0]["reason"].as_str().unwrap().contains("2048"), "{source}");
    assert!(source["age_seconds"].as_u64().unwrap() < 60);
    let next = source["next_refresh_seconds"].as_u64().unwrap();
    assert!((130..=216).contains(&next), "{next}");
    assert_eq!(source["last_fault"], Value::Null);

    let source = &told(&gateway, "GET", "/tyk/cache/jwks/c")[0];
    assert_eq!((&source["state"], &source["age_seconds"]), (&json!("unavailable"), &Value::Null));
    assert_eq!(source["last_fault"]["reason"], "answered 500 Internal Server Error");
    bad.serve(&[("two", &two)]);
    let source = &told(&gateway, "POST", "/tyk/cache/jwks/c")[0];
    assert_eq!((&source["state"], &source["keys"][0]["kid"]), (&json!("fresh"), &json!("two")));
    assert!(source["faults"].as_u64().unwrap() > 0, "what went wrong is still told: {source}");

    good.fail();
    let all = told(&gateway, "POST", "/tyk/cache/jwks");
    let states: Vec<&Value> = all.iter().map(|source| &source["state"]).collect();
    assert!(states.contains(&&json!("stale")) && states.contains(&&json!("fresh")), "{all:?}");
    gets_in(&gateway, "/a/", &token(&one, json!({ "kid": "one" })));
    assert!(told(&gateway, "GET", "/tyk/cache/jwks/d").is_empty());
    assert_eq!(gateway.admin(Request::get("/tyk/cache/jwks/unknown")).status, 404);
    assert_eq!(gateway.admin_without_secret(&Request::get("/tyk/cache/jwks")).status, 403);
    assert!(!gateway.stop().1.contains("hush"));
}

#[test]
fn a_provider_may_ask_for_fresher_sets() {
    let upstream = Server::up();
    let body = json!({ "keys": [key(Algorithm::ES256).public_jwk(Some("one"))] }).to_string();
    let idp = Server::start(move |_, stream| {
        let length = body.len();
        let head =
            format!("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).is_ok()
    });
    let gateway = Setup::new().api(&api("a", &upstream, with_set(&idp.url()))).start();
    let next = told(&gateway, "GET", "/tyk/cache/jwks")[0]["next_refresh_seconds"].as_u64().unwrap();
    assert!((20..=54).contains(&next), "{next}");
}

#[test]
fn several_sources_that_are_not_bound_are_told() {
    let upstream = Server::up();
    let scheme = scheme(json!({
        "jwksURIs": [{ "url": "http://127.0.0.1:9/a" }, { "url": "http://127.0.0.1:9/b" }],
        "signingMethod": "rsa",
    }));
    let output = Setup::new().api(&api("a", &upstream, scheme)).check();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && said.contains("each of their owners can speak for the others"),
        "{said}"
    );
}

#[test]
fn a_key_without_a_name_hides_no_newer_key() {
    let upstream = Server::up();
    let (old, new) = (key_named("first", Algorithm::ES256), key_named("second", Algorithm::ES256));
    let sets = Arc::new(Mutex::new(vec![old.public_jwk(Some("old")).unwrap()]));
    let served = Arc::clone(&sets);
    let idp = Server::start(move |_, stream| {
        let body = json!({ "keys": *served.lock().unwrap() }).to_string();
        respond(stream, "200 OK", "application/json", body.as_bytes())
    });
    let fixed = key_named("third", Algorithm::ES256);
    let mut nameless = fixed.public_jwk(Some("x")).unwrap();
    nameless.as_object_mut().unwrap().remove("kid");
    let mut document =
        api("a", &upstream, scheme(json!({ "jwksURIs": [{ "url": idp.url() }], "signingMethod": "ecdsa" })));
    let bound = json!({ "keySources": [
        { "source": nameless.to_string(), "issuers": ["https://idp.test"] },
        { "url": idp.url(), "issuers": ["https://idp.test"] },
    ] });
    crate::support::merge(
        &mut document,
        json!({ "x-claimgate": { "server": { "authentication": { "securitySchemes": { "jwt": bound } } } } }),
    );
    let gateway = Setup::new().api(&document).start();
    gets_in(&gateway, "/a/", &token(&old, json!({ "kid": "old" })));
    gets_in(&gateway, "/a/", &token(&fixed, json!({ "kid": "any" })));
    sets.lock().unwrap().push(new.public_jwk(Some("new")).unwrap());
    gets_in(&gateway, "/a/", &token(&new, json!({ "kid": "new" })));
    let stranger = token(&key_named("fourth", Algorithm::ES256), json!({ "kid": "any" }));
    assert_eq!(status(&gateway, "/a/", &stranger), 401);
}
