//! A story of two identity providers, with the clock of the story: no good request fails while one of
//! them rotates its keys, dies, hangs and lies, and nobody is flooded with questions meanwhile.

use std::{
    future::pending,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use claimgate::{
    auth::Authenticator,
    jwks::{Document, Fetch, FetchError, FetchOptions, Fetched, Registry, SourceState, Wanted},
    jwt::{Algorithm, sign::SigningKey},
    refusal::{Asked, Manner, Overrides, Profile, Reason, Refusal, Space},
};
use http::{HeaderMap, header::AUTHORIZATION};
use serde_json::{Value, json};
use tokio::{
    runtime::Handle,
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::support::key_named;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
/// Between two visits of those who use the APIs.
const PACE: Duration = Duration::from_secs(15);
/// Of a set, if nothing else is said.
const TIME_TO_LIVE: Duration = Duration::from_secs(240);

const A: &str = "https://a.test/keys";
const B: &str = "https://b.test/keys";

/// What a provider does at the moment.
#[derive(Clone)]
enum Mood {
    Keys(Vec<&'static str>),
    Body(&'static str),
    Error,
    Hangs,
}

/// Both providers.
#[derive(Clone)]
struct Providers(Arc<Mutex<[Provider; 2]>>);

struct Provider {
    url: &'static str,
    mood: Mood,
    asked: usize,
}

impl std::fmt::Debug for Providers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Providers")
    }
}

impl Fetch for Providers {
    fn fetch<'a>(&'a self, wanted: Wanted<'a>) -> Fetched<'a> {
        let mut providers = self.0.lock().unwrap();
        let provider = providers.iter_mut().find(|own| own.url == wanted.url.as_str()).unwrap();
        provider.asked += 1;
        let mood = provider.mood.clone();
        Box::pin(async move {
            let body = match mood {
                Mood::Keys(names) => set_of(&names),
                Mood::Body(body) => body.to_owned(),
                Mood::Error => return Err(FetchError::new("answered 500 Internal Server Error")),
                Mood::Hangs => pending().await,
            };
            Ok(Document { body: body.into_bytes(), max_age: None })
        })
    }
}

fn set_of(names: &[&'static str]) -> String {
    let jwk = |name: &&'static str| key(name).public_jwk(Some(name)).unwrap();
    json!({ "keys": names.iter().map(jwk).collect::<Vec<Value>>() }).to_string()
}

fn key(name: &'static str) -> Arc<SigningKey> {
    key_named(name, Algorithm::ES256)
}

struct Story {
    providers: Providers,
    authenticator: Arc<Authenticator>,
    _registry: Registry,
    began: Instant,
    told: Mutex<u64>,
}

impl Story {
    async fn begin() -> Self {
        let provider = |url, name| Provider { url, mood: Mood::Keys(vec![name]), asked: 0 };
        let providers = Providers(Arc::new(Mutex::new([provider(A, "a1"), provider(B, "b1")])));
        let registry = Registry::new(Arc::new(providers.clone()), Handle::current());
        let authenticator =
            Authenticator::builder([Algorithm::ES256]).jwks_uri(A).jwks_uri(B).build(&registry).unwrap();
        Registry::prefetch(authenticator.sources().cloned(), MINUTE).await;
        let authenticator = Arc::new(authenticator);
        Self { providers, authenticator, _registry: registry, began: Instant::now(), told: Mutex::new(0) }
    }

    fn now(&self, url: &str, mood: Mood) {
        let mut providers = self.providers.0.lock().unwrap();
        providers.iter_mut().find(|own| own.url == url).unwrap().mood = mood;
    }

    /// How often a provider was asked since this was asked last.
    fn asked(&self, url: &str) -> usize {
        let mut providers = self.providers.0.lock().unwrap();
        std::mem::take(&mut providers.iter_mut().find(|own| own.url == url).unwrap().asked)
    }

    fn state(&self, url: &str) -> SourceState {
        let source = self.authenticator.sources().find(|source| source.name() == url).unwrap();
        source.status().unwrap().state
    }

    /// Never the same token twice, so that none is remembered.
    fn token(&self, kid: &str, key: &SigningKey) -> String {
        let mut told = self.told.lock().unwrap();
        *told += 1;
        let claims = json!({ "sub": "alice", "jti": *told, "exp": 4_000_000_000_u64 });
        key.sign(&json!({ "kid": kid }), &claims).unwrap()
    }

    async fn send(&self, token: &str) -> Result<(), Refusal> {
        let time: SystemTime = UNIX_EPOCH + Duration::from_secs(1_800_000_000) + self.began.elapsed();
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
        self.authenticator.authenticate_at(time, &headers, None).await.map(drop)
    }

    async fn try_new(&self, name: &'static str) -> Result<(), Reason> {
        let token = self.token(name, &key(name));
        self.send(&token).await.map_err(|refusal| refusal.reason())
    }

    /// Lets time pass. Again and again somebody comes with a new token of each of these keys, and one
    /// with a token from before; none of them is refused, and none waits.
    async fn pass(&self, time: Duration, good: &[&'static str]) {
        let before: Vec<String> = good.iter().map(|name| self.token(name, &key(name))).collect();
        let end = Instant::now() + time;
        while Instant::now() < end {
            let began = Instant::now();
            for (name, old) in good.iter().zip(&before) {
                assert_eq!(self.try_new(name).await, Ok(()), "{name} after {:?}", self.began.elapsed());
                assert!(self.send(old).await.is_ok());
            }
            assert_eq!(began.elapsed(), Duration::ZERO, "nobody waits for keys that are there");
            sleep(PACE).await;
        }
    }

    /// Two hundred come at once with tokens whose keys nobody knows.
    async fn flood(self: &Arc<Self>) -> Vec<Reason> {
        let mut all = JoinSet::new();
        for n in 0..200 {
            let story = Arc::clone(self);
            all.spawn(async move {
                let token = story.token(&format!("unknown-{n}"), &key("stranger"));
                story.send(&token).await.unwrap_err().reason()
            });
        }
        all.join_all().await
    }
}

#[tokio::test(start_paused = true)]
async fn no_good_request_fails_while_a_provider_rotates_dies_hangs_and_lies() {
    let story = Arc::new(Story::begin().await);
    assert_eq!((story.asked(A), story.asked(B)), (1, 1));

    // An hour of peace: one fetch each at 80 to 90 per cent of the time to live.
    story.pass(HOUR, &["a1", "b1"]).await;
    let (asked_a, asked_b) = (story.asked(A), story.asked(B));
    assert!((16..=18).contains(&asked_a) && (16..=18).contains(&asked_b), "{asked_a} {asked_b}");

    // A new key, used at once: the first token of it is the reason for one fetch.
    story.now(A, Mood::Keys(vec!["a1", "a2"]));
    assert_eq!(story.try_new("a2").await, Ok(()));
    assert_eq!((story.asked(A), story.asked(B)), (1, 1));

    // Strangers are many, and cause one fetch of each source in a second.
    sleep(Duration::from_secs(1)).await;
    assert!(story.flood().await.iter().all(|reason| *reason == Reason::KeyUnknown));
    assert!(story.flood().await.iter().all(|reason| *reason == Reason::KeyUnknown));
    assert_eq!((story.asked(A), story.asked(B)), (1, 1));

    // The old key is withdrawn, and dead at the next refresh, for tokens from before as well.
    let remembered = story.token("a1", &key("a1"));
    assert!(story.send(&remembered).await.is_ok());
    story.now(A, Mood::Keys(vec!["a2"]));
    story.pass(TIME_TO_LIVE, &["a2", "b1"]).await;
    assert_eq!(story.send(&remembered).await.unwrap_err().reason(), Reason::KeyUnknown);
    story.asked(A);

    // Everything that can go wrong, an hour each. Nobody notices, and A is asked ever less.
    for mood in [
        Mood::Error,
        Mood::Hangs,
        Mood::Body("<!DOCTYPE html><title>Maintenance</title>"),
        Mood::Body("{\"keys\":[]}"),
        Mood::Body("{\"error\":\"internal\"}"),
        Mood::Body("{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"a2\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}"),
        Mood::Body(""),
    ] {
        story.now(A, mood);
        story.pass(HOUR, &["a2", "b1"]).await;
        assert_eq!((story.state(A), story.state(B)), (SourceState::Stale, SourceState::Fresh));
        // Once in 30 to 60 seconds, and a little more often at first.
        let asked = story.asked(A);
        assert!((54..=130).contains(&asked), "{asked}");
    }
    let asked = story.asked(B);
    assert!((7 * 16..=8 * 18 + 4).contains(&asked), "{asked}");

    // Strangers during an outage.
    sleep(Duration::from_secs(1)).await;
    story.now(A, Mood::Hangs);
    assert!(story.flood().await.iter().all(|reason| *reason == Reason::KeyUnknown));
    let asked = story.asked(A);
    assert!(asked <= 2, "{asked}");
    story.pass(10 * MINUTE, &["a2", "b1"]).await;

    // A is back, with new keys: within a minute, without anybody asking.
    story.now(A, Mood::Keys(vec!["a2", "a3"]));
    story.pass(MINUTE + PACE, &["a2", "b1"]).await;
    assert_eq!(story.state(A), SourceState::Fresh);
    story.pass(MINUTE, &["a2", "a3", "b1"]).await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_without_end_ends_the_keys_but_of_nobody_else() {
    let story = Arc::new(Story::begin().await);
    story.now(A, Mood::Error);
    // The first failure is at the next refresh.
    sleep(FetchOptions::DEFAULT_MAX_STALE).await;
    assert_eq!(story.try_new("a1").await, Ok(()));
    sleep(TIME_TO_LIVE).await;
    assert_eq!(story.state(A), SourceState::Unavailable);
    let token = story.token("a1", &key("a1"));
    let refusal = story.send(&token).await.unwrap_err();
    assert_eq!(refusal.reason(), Reason::KeysUnavailable);
    assert_eq!(story.try_new("b1").await, Ok(()));

    // What is told to come again is when it is tried again, and not later than ten seconds.
    let source = story.authenticator.sources().find(|source| source.name() == A).unwrap();
    let next = source.status().unwrap().next.unwrap();
    let overrides = Overrides::default();
    let (profile, asked, space) = (Profile::Rfc, Asked::default(), Space::default());
    let answer = refusal.response(&Manner { profile, asked, space, overrides: &overrides });
    let seconds: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=10).contains(&seconds), "{seconds}");
    assert_eq!(Duration::from_secs(seconds), Duration::from_secs(next.as_secs_f64().ceil() as u64));
    story.now(A, Mood::Keys(vec!["a1"]));
    sleep(Duration::from_secs(seconds)).await;
    assert_eq!(story.try_new("a1").await, Ok(()));
}
