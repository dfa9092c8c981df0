//! Key sets that change, fail or are odd.

use std::{
    io::Write as _,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use claimgate::jwt::{Algorithm, sign::SigningKey};
use serde_json::{Value, json};

use super::{one, status};
use crate::support::{Gateway, Request, Server, claims, key, key_named, respond, scheme};

/// What a provider answers with.
enum Says {
    Keys(Vec<Value>),
    Status(&'static str, String),
    /// A set that does not end.
    Endless,
    Nothing,
}

/// A provider that changes its mind.
struct Provider {
    server: Server,
    says: Arc<Mutex<Says>>,
}

impl Provider {
    fn new(says: Says) -> Self {
        let says = Arc::new(Mutex::new(says));
        let own = Arc::clone(&says);
        let server = Server::start(move |_, stream| match &*own.lock().unwrap() {
            Says::Keys(keys) => {
                respond(stream, "200 OK", "application/json", json!({ "keys": keys }).to_string().as_bytes())
            }
            Says::Status(status, body) => respond(stream, status, "application/json", body.as_bytes()),
            Says::Endless => {
                let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"keys\":[";
                let mut more = stream.write_all(head.as_bytes());
                while more.is_ok() {
                    more = stream.write_all(&[b' '; 65_536]);
                }
                false
            }
            Says::Nothing => false,
        });
        Self { server, says }
    }

    fn say(&self, says: Says) {
        *self.says.lock().unwrap() = says;
    }

    fn gateway(&self, upstream: &Server) -> Gateway {
        let set = json!({ "signingMethod": "ecdsa", "jwksURIs": [{ "url": self.server.url() }] });
        one("rfc", upstream, scheme(set)).start()
    }

    fn fetches(&self) -> usize {
        self.server.recorded().len()
    }
}

fn jwk(kid: &str, key: &SigningKey) -> Value {
    key.public_jwk(Some(kid)).unwrap()
}

fn good_set() -> Says {
    Says::Keys(vec![jwk("k", &key(Algorithm::ES256))])
}

/// Another token each time.
fn signed(key: &SigningKey, kid: &str, n: usize) -> String {
    key.sign(&json!({ "kid": kid }), &claims(json!({ "n": n }))).unwrap()
}

fn good(n: usize) -> String {
    signed(&key(Algorithm::ES256), "k", n)
}

fn fetch_again(gateway: &Gateway) {
    assert_eq!(gateway.admin(Request::new("DELETE", "/tyk/cache/jwks")).status, 200);
}

/// Tyk does not fetch for an unknown `kid`: after a rotation 403 until the time to live is over. A gateway
/// that fetches for each of them is a lever against the provider.
#[test]
fn w17_a_rotated_key_works_and_unknown_ones_cause_few_fetches() {
    let upstream = Server::up();
    let provider = Provider::new(good_set());
    let gateway = provider.gateway(&upstream);
    assert_eq!(status(&gateway, "/a/", &good(0)), 200);
    let new = key_named("new", Algorithm::ES256);
    provider.say(Says::Keys(vec![jwk("k", &key(Algorithm::ES256)), jwk("new", &new)]));
    assert_eq!(status(&gateway, "/a/", &signed(&new, "new", 0)), 200, "the first request with it");
    let (before, began) = (provider.fetches(), Instant::now());
    for n in 0..40 {
        assert_eq!(status(&gateway, "/a/", &signed(&new, &format!("unknown-{n}"), n)), 401);
    }
    let allowed = 1 + usize::try_from(began.elapsed().as_secs()).unwrap();
    assert!(provider.fetches() - before <= allowed, "{} fetches", provider.fetches() - before);
}

/// Tyk throws its keys away and asks up to three times a source and request while the provider is down,
/// without a limit of time: good tokens get 403, and a silent provider holds every request up.
#[test]
fn w18_a_provider_that_is_down_is_asked_seldom_and_holds_nobody_up() {
    let upstream = Server::up();
    let provider = Provider::new(good_set());
    let gateway = provider.gateway(&upstream);
    assert_eq!(status(&gateway, "/a/", &good(0)), 200);
    provider.say(Says::Nothing);
    fetch_again(&gateway);
    let (before, began) = (provider.fetches(), Instant::now());
    for n in 1..20 {
        assert_eq!(status(&gateway, "/a/", &good(n)), 200);
        assert_eq!(status(&gateway, "/a/", &signed(&key(Algorithm::ES256), "z", n)), 401);
    }
    // Twice a second at most, however many ask.
    let allowed = 3 + 2 * usize::try_from(began.elapsed().as_secs()).unwrap();
    assert!(provider.fetches() - before <= allowed, "{} fetches", provider.fetches() - before);
    // One that takes the connection and says nothing holds nobody up who has a known key.
    let (silent, arrived) = Server::silent();
    let set = json!({ "signingMethod": "ecdsa", "jwksURIs": [{ "url": silent.url() }] });
    let gateway = one("rfc", &upstream, scheme(set)).start();
    arrived.recv().unwrap();
    let began = Instant::now();
    assert_eq!(status(&gateway, "/a/", &good(0)), 503);
    assert!(began.elapsed() < Duration::from_secs(20), "there is an end to waiting");
}

/// Tyk drops a set when its time is over and the provider fails: 403 for good tokens.
#[test]
fn w19_the_last_good_set_is_kept_while_the_provider_fails() {
    let upstream = Server::up();
    let provider = Provider::new(good_set());
    let set = json!({
        "signingMethod": "ecdsa", "jwksURIs": [{ "url": provider.server.url(), "cacheTimeout": "1s" }],
    });
    let gateway = one("rfc", &upstream, scheme(set)).start();
    assert_eq!(status(&gateway, "/a/", &good(0)), 200);
    provider.say(Says::Status("503 Service Unavailable", "{}".into()));
    // The set's time is over when it was asked for again, twice.
    let asked = provider.fetches() + 2;
    let began = Instant::now();
    while provider.fetches() < asked {
        assert!(began.elapsed() < Duration::from_secs(30), "it was not refreshed");
        thread::yield_now();
    }
    assert_eq!(status(&gateway, "/a/", &good(1)), 200);
}

/// In Tyk one key of a kind that it does not know makes the whole set unreadable: 403 for all.
#[test]
fn w20_one_odd_key_disables_no_other() {
    let upstream = Server::up();
    let mut keys = vec![
        json!({ "kty": "AKP", "alg": "ML-DSA-65", "kid": "pq", "pub": "AAAA" }),
        json!({ "kty": "EC", "crv": "P-999", "kid": "c", "x": "AA", "y": "AA" }),
        json!({ "kty": "RSA", "kid": "r", "n": "!", "e": "AQAB" }),
        json!({ "kid": 5, "kty": 7 }),
        json!("no object"),
        Value::Null,
    ];
    keys.push(jwk("k", &key(Algorithm::ES256)));
    let provider = Provider::new(Says::Keys(keys));
    assert_eq!(status(&provider.gateway(&upstream), "/a/", &good(0)), 200);
}

/// Tyk keeps what any JSON answer holds as the set: an error page is an empty one, and every token gets
/// 403 until its time is over. A body without an end fills the memory.
#[test]
fn w21_an_error_or_an_endless_body_replaces_no_set() {
    let upstream = Server::up();
    let provider = Provider::new(good_set());
    let gateway = provider.gateway(&upstream);
    assert_eq!(status(&gateway, "/a/", &good(0)), 200);
    let stranger = key_named("stranger", Algorithm::ES256);
    let strangers = json!({ "keys": [jwk("s", &stranger)] }).to_string();
    for (n, says) in [
        Says::Status("200 OK", r#"{"error":"server_error"}"#.into()),
        Says::Status("200 OK", "<html>".into()),
        Says::Status("500 Oh", strangers),
        Says::Endless,
    ]
    .into_iter()
    .enumerate()
    {
        provider.say(says);
        fetch_again(&gateway);
        assert_eq!(status(&gateway, "/a/", &good(n + 1)), 200, "answer {n}");
        assert_eq!(status(&gateway, "/a/", &signed(&stranger, "s", n)), 401, "answer {n}");
    }
}
