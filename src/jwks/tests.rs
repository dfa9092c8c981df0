//! Time is paused: it moves on when everybody waits.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::json;
use tokio::{
    runtime::Handle,
    time::{Instant, sleep},
};

use super::{
    Binding, Document, Fetch, FetchError, FetchOptions, Fetched, KeySources, Missing, Parties, Registry,
    RemoteSource, Wanted,
};
use crate::jwt::{Algorithm, Ambiguity, Kid, sign::SigningKey};

/// What the provider does at a moment.
#[derive(Clone)]
enum Answer {
    Body(String),
    Fails,
    /// After this time, with this body.
    Late(Duration, String),
}

#[derive(Clone)]
struct Provider(Arc<Mutex<State>>);

struct State {
    answer: Answer,
    asked: Vec<Instant>,
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Provider")
    }
}

impl Fetch for Provider {
    fn fetch<'a>(&'a self, _wanted: Wanted<'a>) -> Fetched<'a> {
        let answer = {
            let mut state = self.0.lock().unwrap();
            state.asked.push(Instant::now());
            state.answer.clone()
        };
        Box::pin(async move {
            match answer {
                Answer::Body(body) => Ok(document(body)),
                Answer::Fails => Err(FetchError::new("down")),
                Answer::Late(after, body) => {
                    sleep(after).await;
                    Ok(document(body))
                }
            }
        })
    }
}

fn document(body: String) -> Document {
    Document { body: body.into_bytes(), max_age: None }
}

impl Provider {
    fn new(answer: Answer) -> Self {
        Self(Arc::new(Mutex::new(State { answer, asked: Vec::new() })))
    }

    fn now(&self, answer: Answer) {
        self.0.lock().unwrap().answer = answer;
    }

    fn asked(&self) -> usize {
        self.0.lock().unwrap().asked.len()
    }

    /// The times between two fetches.
    fn pauses(&self) -> Vec<Duration> {
        self.0.lock().unwrap().asked.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }
}

/// A set with new keys of these names.
fn set(kids: &[&str]) -> String {
    let jwk = |kid: &&str| SigningKey::generate(Algorithm::EdDSA).unwrap().public_jwk(Some(kid)).unwrap();
    json!({ "keys": kids.iter().map(jwk).collect::<Vec<_>>() }).to_string()
}

const MAX_STALE: Duration = FetchOptions::DEFAULT_MAX_STALE;
const TTL: Duration = Duration::from_secs(100);

fn remote(time_to_live: Duration) -> RemoteSource {
    let remote = RemoteSource::key_set("https://idp.test/jwks", FetchOptions::default()).unwrap();
    remote.with_time_to_live(time_to_live)
}

/// The sources, once their first fetch has ended.
async fn sources(provider: &Provider) -> (Registry, KeySources) {
    sources_for(provider, TTL).await
}

async fn sources_for(provider: &Provider, time_to_live: Duration) -> (Registry, KeySources) {
    let registry = Registry::new(Arc::new(provider.clone()), Handle::current());
    let source = registry.remote(&remote(time_to_live));
    Registry::prefetch([Arc::clone(&source)], Duration::from_secs(10)).await;
    (registry, KeySources::new(vec![(source, Binding::default())]))
}

fn find(sources: &KeySources, kid: &str) -> Result<(), Missing> {
    let eddsa = Algorithm::EdDSA;
    sources
        .with_key(&Parties::default(), Kid::Text(kid), eddsa, eddsa.into(), Ambiguity::Refuse, |_| ())
        .map(|_| ())
}

async fn refetch(sources: &KeySources) -> bool {
    sources.refetch(&Parties::default(), Algorithm::EdDSA).await
}

#[tokio::test(start_paused = true)]
async fn a_set_is_refreshed_before_its_time_is_over() {
    let provider = Provider::new(Answer::Body(set(&["a"])));
    let (_registry, sources) = sources(&provider).await;
    assert_eq!(find(&sources, "a"), Ok(()));
    provider.now(Answer::Body(set(&["b"])));
    sleep(TTL).await;
    assert_eq!((find(&sources, "a"), find(&sources, "b")), (Err(Missing::Unknown), Ok(())));
    sleep(TTL * 20).await;
    let pauses = provider.pauses();
    assert!(pauses.iter().all(|pause| (TTL.mul_f64(0.8)..TTL.mul_f64(0.91)).contains(pause)), "{pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn the_last_good_set_outlives_an_outage_but_not_forever() {
    for fault in [
        Answer::Fails,
        Answer::Body("<html>".into()),
        Answer::Body("{\"keys\":[]}".into()),
        Answer::Body("{\"keys\":[{\"kty\":\"none\"}]}".into()),
    ] {
        let provider = Provider::new(Answer::Body(set(&["a"])));
        let (_registry, sources) = sources(&provider).await;
        provider.now(fault);
        sleep(MAX_STALE - Duration::from_secs(1)).await;
        assert_eq!(find(&sources, "a"), Ok(()));
        sleep(TTL * 2).await;
        assert_eq!(find(&sources, "a"), Err(Missing::Unavailable));
        provider.now(Answer::Body(set(&["a"])));
        sleep(TTL).await;
        assert_eq!(find(&sources, "a"), Ok(()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_failing_source_is_tried_again_soon_and_ever_more_slowly() {
    let provider = Provider::new(Answer::Fails);
    let (_registry, sources) = sources(&provider).await;
    assert_eq!(find(&sources, "a"), Err(Missing::Unavailable));
    sleep(Duration::from_secs(120)).await;
    let pauses = provider.pauses();
    assert!(pauses[0] <= Duration::from_secs(1), "{pauses:?}");
    assert!(pauses.iter().all(|pause| *pause <= Duration::from_secs(10)), "{pauses:?}");
    assert!(pauses.len() < 40, "{pauses:?}");
    provider.now(Answer::Body(set(&["a"])));
    sleep(Duration::from_secs(10)).await;
    assert_eq!(find(&sources, "a"), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_set_of_unusable_keys_refuses_tokens_instead_of_putting_them_off() {
    let provider =
        Provider::new(Answer::Body("{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed448\",\"x\":\"AA\"}]}".into()));
    let (_registry, sources) = sources(&provider).await;
    assert_eq!(find(&sources, "a"), Err(Missing::Unknown));
    provider.now(Answer::Fails);
    sleep(TTL).await;
    assert_eq!(find(&sources, "a"), Err(Missing::Unknown));
}

#[tokio::test(start_paused = true)]
async fn unknown_key_ids_cause_one_fetch_a_second() {
    let provider = Provider::new(Answer::Body(set(&["a"])));
    let (_registry, sources) = sources(&provider).await;
    assert!(refetch(&sources).await);
    for _ in 0..1000 {
        assert!(!refetch(&sources).await);
    }
    assert_eq!(provider.asked(), 2);
    sleep(super::COOL_DOWN).await;
    provider.now(Answer::Body(set(&["a", "b"])));
    assert!(refetch(&sources).await);
    assert_eq!((provider.asked(), find(&sources, "b")), (3, Ok(())));
}

#[tokio::test(start_paused = true)]
async fn those_who_ask_during_a_fetch_wait_for_it() {
    let provider = Provider::new(Answer::Body(set(&["a"])));
    let (_registry, sources) = sources(&provider).await;
    provider.now(Answer::Late(Duration::from_millis(300), set(&["a", "b"])));
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let sources = sources.clone();
        waiting.spawn(async move {
            assert!(refetch(&sources).await);
            find(&sources, "b")
        });
    }
    assert!(waiting.join_all().await.iter().all(Result::is_ok));
    assert_eq!(provider.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_long_for_a_slow_provider() {
    let provider = Provider::new(Answer::Body(set(&["a"])));
    let (_registry, sources) = sources(&provider).await;
    provider.now(Answer::Late(Duration::from_secs(60), set(&["b"])));
    let began = Instant::now();
    assert!(refetch(&sources).await);
    assert!(began.elapsed() <= Duration::from_secs(1));
    assert_eq!(find(&sources, "a"), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_verdict_is_stale_as_soon_as_other_keys_are_in_use() {
    let body = set(&["a"]);
    let provider = Provider::new(Answer::Body(body.clone()));
    let (_registry, sources) = sources(&provider).await;
    let eddsa = Algorithm::EdDSA;
    let (found, ()) = sources
        .with_key(&Parties::default(), Kid::Text("a"), eddsa, eddsa.into(), Ambiguity::Refuse, |_| ())
        .unwrap();
    sleep(TTL * 3).await;
    assert!(sources.still(found), "the same keys were fetched again");
    provider.now(Answer::Body(set(&["a"])));
    sleep(TTL).await;
    assert!(!sources.still(found));
}

#[tokio::test(start_paused = true)]
async fn fetching_again_on_demand_keeps_the_last_good_set() {
    let provider = Provider::new(Answer::Body(set(&["a"])));
    let (_registry, sources) = sources(&provider).await;
    let all: Vec<_> = sources.iter().cloned().collect();
    for fault in [Answer::Fails, Answer::Late(Duration::from_secs(60), set(&["b"]))] {
        provider.now(fault);
        Registry::refetch(&all, Duration::from_secs(10)).await;
        assert_eq!(find(&sources, "a"), Ok(()));
    }
    sleep(TTL).await;
    provider.now(Answer::Body(set(&["c"])));
    Registry::refetch(&all, Duration::from_secs(10)).await;
    assert_eq!((find(&sources, "a"), find(&sources, "c")), (Err(Missing::Unknown), Ok(())));
}

#[tokio::test(start_paused = true)]
async fn a_long_time_to_live_is_no_shorter_grace() {
    let provider = Provider::new(Answer::Body(set(&["a"])));
    let (_registry, sources) = sources_for(&provider, MAX_STALE * 2).await;
    provider.now(Answer::Fails);
    sleep(MAX_STALE * 2 + MAX_STALE / 2).await;
    assert!(provider.asked() > 1);
    assert_eq!(find(&sources, "a"), Ok(()));
    sleep(MAX_STALE).await;
    assert_eq!(find(&sources, "a"), Err(Missing::Unavailable));
}

#[tokio::test(start_paused = true)]
async fn another_time_to_live_costs_no_keys() {
    let provider = Provider::new(Answer::Body(set(&["a"])));
    let (registry, sources) = sources(&provider).await;
    provider.now(Answer::Fails);
    let same = registry.remote(&remote(TTL / 10));
    assert!(Arc::ptr_eq(&same, sources.iter().next().unwrap()));
    assert_eq!(find(&sources, "a"), Ok(()));
    provider.now(Answer::Body(set(&["b"])));
    sleep(TTL / 5).await;
    assert_eq!(find(&sources, "b"), Ok(()));
    // A longer one counts again.
    let _same = registry.remote(&remote(TTL * 10));
    sleep(TTL / 5).await;
    let before = provider.asked();
    sleep(TTL * 5).await;
    assert_eq!(provider.asked(), before);
}

#[tokio::test(start_paused = true)]
async fn one_source_for_each_url_for_as_long_as_it_is_wanted() {
    let provider = Provider::new(Answer::Body(set(&["a"])));
    let (registry, sources) = sources(&provider).await;
    let same = registry.remote(&remote(TTL));
    assert!(Arc::ptr_eq(&same, sources.iter().next().unwrap()));
    drop((same, sources));
    let before = provider.asked();
    sleep(TTL * 3).await;
    assert_eq!(provider.asked(), before, "nobody wants the set any more");
}

#[tokio::test(start_paused = true)]
async fn another_way_to_the_same_place_costs_no_keys() {
    let provider = Provider::new(Answer::Body(set(&["a"])));
    let (registry, sources) = sources(&provider).await;
    let usual = FetchOptions::default();
    let at = |url: &str, options: FetchOptions| {
        let remote = RemoteSource::key_set(url, options).unwrap().with_time_to_live(TTL);
        let source = registry.remote(&remote);
        KeySources::new(vec![(source, Binding::default())])
    };
    let url = "https://idp.test/jwks";
    // The outage lasts for a while already.
    provider.now(Answer::Fails);
    sleep(MAX_STALE / 2).await;
    let other_way = at(url, FetchOptions { max_keys: 7, ..usual.clone() });
    let other_trust = at(url, FetchOptions { plain_http: true, ..usual.clone() });
    let other_place = at("https://idp.test/other", usual);
    drop(sources);
    for _ in 0..3 {
        assert_eq!(find(&other_way, "a"), Ok(()));
        assert_eq!(find(&other_trust, "a"), Err(Missing::Unavailable));
        assert_eq!(find(&other_place, "a"), Err(Missing::Unavailable));
        sleep(MAX_STALE / 7).await;
    }
    // Its keys have been without news as long as those of the older source.
    sleep(MAX_STALE / 7).await;
    assert_eq!(find(&other_way, "a"), Err(Missing::Unavailable));
    provider.now(Answer::Body(set(&["b"])));
    sleep(TTL).await;
    assert_eq!((find(&other_way, "b"), find(&other_trust, "b")), (Ok(()), Ok(())));
}
