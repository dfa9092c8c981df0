//! Limits that several nodes count together in Redis: how many get through, and what becomes of them while
//! it cannot be asked. Where there is no `redis-server` these tests say so and do nothing.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use claimgate::jwt::Algorithm;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::{Answer, Gateway, RedisServer, Request, Server, Setup, api, claims, key, merge, scheme};

pub(crate) fn token(subject: &str) -> String {
    key(Algorithm::HS256).sign(&json!({}), &claims(json!({ "sub": subject, "pol": "p" }))).unwrap()
}

/// The section `redis`, or its URL, with time enough for a machine that is busy with other tests: an answer that
/// comes late is decided otherwise.
fn patient(redis: &Value) -> Value {
    let mut section = if redis.is_string() { json!({ "url": redis }) } else { redis.clone() };
    let members = section.as_object_mut().unwrap();
    members.entry("timeout").or_insert_with(|| json!("5s"));
    members.entry("connectTimeout").or_insert_with(|| json!("5s"));
    section
}

/// An API `a` whose callers have the policy `p` with these fields.
pub(crate) fn setup(redis: &Value, policy: &Value, definition: Value) -> Setup {
    let selecting =
        scheme(json!({ "source": "env://SECRET", "signingMethod": "hmac", "policyFieldName": "pol" }));
    let mut a = api("a", &Server::up(), selecting);
    merge(&mut a, definition);
    let mut fields = json!({ "id": "p", "access_rights": { "a": { "api_id": "a" } } });
    merge(&mut fields, policy.clone());
    Setup::new()
        .config(&json!({ "redis": patient(redis), "workers": 2 }))
        .env("SECRET", key(Algorithm::HS256).to_text().unwrap().trim())
        .api(&a)
        .policy(&fields)
}

pub(crate) fn nodes(count: usize, redis: &Value, policy: &Value, definition: &Value) -> Vec<Gateway> {
    (0..count).map(|_| setup(redis, policy, definition.clone()).start()).collect()
}

pub(crate) fn send(gateway: &Gateway, subject: &str) -> Answer {
    gateway.send(&Request::get("/a/").bearer(&token(subject)))
}

/// What became of requests.
#[derive(Debug, Default)]
pub(crate) struct Fate {
    pub(crate) passed: AtomicUsize,
    /// They were over a limit.
    pub(crate) refused: AtomicUsize,
    /// The limit could not be asked.
    pub(crate) unavailable: AtomicUsize,
}

impl Fate {
    pub(crate) fn numbers(self) -> [usize; 3] {
        [self.passed, self.refused, self.unavailable].map(AtomicUsize::into_inner)
    }
}

/// Sends so many requests to all nodes at once.
pub(crate) fn flood(nodes: &[Gateway], subject: &str, requests: usize) -> Fate {
    const CLIENTS: usize = 2;
    let (left, fate) = (AtomicUsize::new(requests), Fate::default());
    let request = Request::get("/a/").bearer(&token(subject));
    thread::scope(|scope| {
        for node in nodes {
            for _ in 0..CLIENTS {
                scope.spawn(|| {
                    while left
                        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
                        .is_ok()
                    {
                        let counter = match node.send(&request).status {
                            200 => &fate.passed,
                            429 => &fate.refused,
                            503 => &fate.unavailable,
                            status => panic!("{status}"),
                        };
                        counter.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        }
    });
    fate
}

/// How many of so many requests pass. All others are refused by a limit.
fn passing(nodes: &[Gateway], subject: &str, requests: usize) -> usize {
    let [passed, refused, _] = flood(nodes, subject, requests).numbers();
    assert_eq!(passed + refused, requests);
    passed
}

pub(crate) fn hour(requests: usize) -> Value {
    json!({ "rate": requests, "per": 3600 })
}

#[test]
fn as_many_as_may_pass_through_all_nodes_together() {
    let Some(redis) = RedisServer::start() else { return };
    let quota = json!({ "quota_max": 10, "quota_renewal_rate": 3600 });
    let api_rate = json!({ "x-tyk-api-gateway": { "upstream": { "rateLimit": { "enabled": true, "rate": 10, "per": "1h" } } } });
    for (name, policy, definition) in
        [("rate", hour(10), json!({})), ("quota", quota, json!({})), ("api", json!({}), api_rate)]
    {
        let nodes = nodes(2, &json!({ "url": redis.url(), "prefix": name }), &policy, &definition);
        assert_eq!(passing(&nodes, "alice", 40), 10, "{name}");
        let others = if name == "api" { 0 } else { 10 };
        assert_eq!(passing(&nodes, "bob", 20), others, "{name}");
    }
    let keys = redis.ask("KEYS *");
    assert!(
        keys.contains("ratelimit:{") && keys.contains("quotalimit:{") && keys.contains("apilimit:{"),
        "{keys}"
    );
    assert!(!keys.contains("alice") && !keys.contains("bob"), "{keys}");
}

#[test]
fn a_refused_request_uses_no_quota_on_any_node() {
    let Some(redis) = RedisServer::start() else { return };
    let policy = json!({ "rate": 2, "per": 3600, "quota_max": 9, "quota_renewal_rate": 86_400 });
    let definition = json!({ "x-tyk-api-gateway": { "upstream": { "rateLimit": { "enabled": true, "rate": 3, "per": "1h" } } } });
    let nodes = nodes(2, &json!(redis.url()), &policy, &definition);
    let (one, other) = (&nodes[0], &nodes[1]);
    let told = |answer: &Answer| {
        let fields = answer.header("ratelimit").unwrap().to_owned();
        let left = |name: &str| {
            let rest = fields.split(&format!("\"{name}\";r=")).nth(1).unwrap();
            rest.split(';').next().unwrap().parse::<u64>().unwrap()
        };
        (answer.status, left("rate"), left("quota"))
    };
    assert_eq!(told(&send(one, "alice")), (200, 1, 8));
    assert_eq!(told(&send(other, "alice")), (200, 0, 7));
    for node in &nodes {
        let refused = send(node, "alice");
        assert_eq!(refused.status, 429);
        assert!(refused.text().contains("rate_limit_exceeded"), "{}", refused.text());
    }
    assert_eq!(told(&send(one, "bob")), (200, 1, 8));
    // Over the rate of the API.
    assert_eq!(send(other, "bob").status, 429);
    let question = json!({ "method": "GET", "url": "/a/", "headers": { "Host": ["gateway.test"] }, "token": token("carol") });
    for _ in 0..3 {
        let explained = one.explain(&question).to_string();
        assert!(explained.contains("used up: api_rate_exceeded"), "{explained}");
    }
    let question = json!({ "method": "GET", "url": "/a/", "headers": { "Host": ["gateway.test"] }, "token": token("alice") });
    assert!(one.explain(&question).to_string().contains("used up: rate_exceeded"));
    let names = redis.ask("KEYS *limit:*");
    let used = names.lines().filter(|line| line.contains("limit:")).map(|name| {
        let value = redis.ask(&format!("GET {name}"));
        value.lines().find_map(|line| line.split_once(':')?.0.parse::<u64>().ok()).unwrap()
    });
    let mut used: Vec<u64> = used.collect();
    used.sort_unstable();
    assert_eq!(
        used,
        [1, 2, 2, 2, 3],
        "bob's quota once, the rates and alice's quota twice, the API three times"
    );
}

/// A cluster of one server, and the section `redis` for it, without which nothing passes.
fn cluster() -> Option<(RedisServer, Value)> {
    let redis = RedisServer::start_with(&["--cluster-enabled", "yes", "--cluster-announce-ip", "127.0.0.1"])?;
    redis.ask("CLUSTER ADDSLOTSRANGE 0 16383");
    while !redis.ask("CLUSTER INFO").contains("cluster_state:ok") {
        thread::yield_now();
    }
    let closed = json!({ "rate": "closed", "quota": "closed", "apiRate": "closed" });
    let section = json!({ "cluster": [format!("127.0.0.1:{}", redis.port())], "onFailure": closed });
    Some((redis, section))
}

#[test]
fn counters_of_tenants_and_clients_are_in_a_cluster() {
    let Some((_redis, section)) = cluster() else { return };
    for (prefix, keys) in [
        ("one:", json!({ "rateKey": ["tenant"], "quotaKey": ["tenant"] })),
        ("two:", json!({ "rateKey": ["tenant"], "quotaKey": ["azp"] })),
        ("half:", json!({ "quotaKey": ["azp"] })),
    ] {
        let mut section = section.clone();
        merge(&mut section, json!({ "prefix": prefix }));
        let policy = json!({ "rate": 3, "per": 3600, "quota_max": 2, "quota_renewal_rate": 3600,
            "x-claimgate": keys });
        let nodes = nodes(2, &section, &policy, &json!({}));
        let claims = claims(json!({ "sub": "alice", "pol": "p", "tenant": "t", "azp": "c" }));
        let token = key(Algorithm::HS256).sign(&json!({}), &claims).unwrap();
        let ask = |node: &Gateway| {
            let answer = node.send(&Request::get("/a/").bearer(&token));
            (answer.status, answer.text().contains("quota"))
        };
        let (one, other) = (&nodes[0], &nodes[1]);
        assert_eq!([ask(one), ask(other)], [(200, false), (200, false)], "{prefix}");
        assert_eq!([ask(one), ask(other)], [(429, true), (429, false)], "{prefix}");
    }
}

#[test]
fn a_quota_is_not_used_where_the_next_server_of_a_cluster_cannot_be_asked() {
    let Some((redis, section)) = cluster() else { return };
    let policy = json!({ "quota_max": 2, "quota_renewal_rate": 3600 });
    let definition = json!({ "x-tyk-api-gateway": { "upstream": { "rateLimit": { "enabled": true, "rate": 9, "per": "1h" } } } });
    let gateway = setup(&section, &policy, definition).start();
    assert_eq!(send(&gateway, "alice").status, 200);
    let keys = redis.ask("KEYS *");
    let of_api = keys.lines().find(|line| line.contains("limit:{") && line.contains("}:")).unwrap();
    redis.ask(&format!("DEL {of_api}"));
    redis.ask(&format!("HSET {of_api} a b"));
    assert_eq!([send(&gateway, "alice").status, send(&gateway, "alice").status], [503, 503]);
    redis.ask(&format!("DEL {of_api}"));
    assert_eq!([send(&gateway, "alice").status, send(&gateway, "alice").status], [200, 429]);
}

#[test]
fn what_each_limit_does_without_redis() {
    for (choice, expected) in
        [("open", [200, 200, 200]), ("closed", [503, 503, 503]), ("local", [200, 200, 429])]
    {
        let Some(redis) = RedisServer::start() else { return };
        let section = json!({ "url": redis.url(), "onFailure": { "rate": choice } });
        let gateway = setup(&section, &hour(2), json!({})).start();
        assert_eq!([0; 3].map(|_| send(&gateway, "alice").status), [200, 200, 429]);
        let stopped = redis.kill();
        gateway.log_with("cannot be used");
        assert_eq!([0; 3].map(|_| send(&gateway, "alice").status), expected, "{choice}");
        if choice == "closed" {
            let refused = send(&gateway, "alice");
            assert_eq!(refused.header("retry-after"), Some("5"));
            assert!(refused.text().contains("temporarily_unavailable"), "{}", refused.text());
            assert!(gateway.last_line().contains("\"reason\":\"limits_unavailable\""));
        }
        let fallbacks = format!("claimgate_limit_fallbacks_total{{limit=\"rate\",choice=\"{choice}\"}}");
        assert!(gateway.metrics().contains(&fallbacks));
        let _redis = stopped.start_again();
        gateway.log_with("can be used again");
        assert_eq!([0; 3].map(|_| send(&gateway, "alice").status), [200, 200, 429], "counted anew");
        let said = gateway.stop().1;
        assert_eq!(said.matches("cannot be used").count(), 1, "{said}");
    }
}

#[test]
fn what_a_limit_says_itself_counts_without_redis() {
    let on_failure = |choice: &str| json!({ "rate": choice, "quota": choice, "apiRate": choice });
    let hour = |own: Value| {
        let mut policy = hour(1);
        merge(&mut policy, json!({ "x-claimgate": own }));
        policy
    };
    let quota = json!({ "quota_max": 1, "quota_renewal_rate": 3600,
        "x-claimgate": { "rateOnFailure": "closed", "quotaOnFailure": "open" } });
    let of_api = |own: Value| {
        json!({
            "x-tyk-api-gateway": { "upstream": { "rateLimit": { "enabled": true, "rate": 1, "per": "1h" } } },
            "x-claimgate": { "upstream": { "rateLimit": own } },
        })
    };
    let none = || json!({});
    for (of_kind, policy, definition, expected) in [
        ("closed", hour(json!({ "rateOnFailure": "open" })), none(), [200, 200]),
        ("open", hour(json!({ "rateOnFailure": "closed" })), none(), [503, 503]),
        ("open", hour(json!({ "rateOnFailure": "local" })), none(), [200, 429]),
        // What is said of the quota is not said of the rate.
        ("local", hour(json!({ "quotaOnFailure": "closed" })), none(), [200, 429]),
        ("closed", quota, none(), [200, 200]),
        ("closed", none(), of_api(json!({ "onFailure": "open" })), [200, 200]),
        ("open", none(), of_api(json!({ "onFailure": "closed" })), [503, 503]),
        ("closed", none(), of_api(none()), [503, 503]),
    ] {
        let Some(redis) = RedisServer::start() else { return };
        let section = json!({ "url": redis.url(), "onFailure": on_failure(of_kind) });
        let gateway = setup(&section, &policy, definition.clone()).start();
        let _stopped = redis.kill();
        gateway.log_with("cannot be used");
        let got = [0; 2].map(|_| send(&gateway, "alice").status);
        assert_eq!(got, expected, "{of_kind}, {policy}, {definition}");
    }
}

#[test]
fn a_hanging_redis_costs_the_first_requests_a_moment() {
    let Some(redis) = RedisServer::start() else { return };
    let section = json!({ "url": redis.url(), "timeout": "50ms" });
    let gateway = setup(&section, &hour(999), json!({})).start();
    assert_eq!(send(&gateway, "alice").status, 200);
    let signal = |signal| kill_process(Pid::from_raw(redis.pid().cast_signed()).unwrap(), signal).unwrap();
    signal(Signal::STOP);
    while !gateway.metrics().contains("\nclaimgate_redis_up 0\n") {
        assert_eq!(send(&gateway, "alice").status, 200);
    }
    for _ in 0..20 {
        assert_eq!(send(&gateway, "alice").status, 200);
    }
    let metrics = gateway.metrics();
    let timeouts = metrics.split("claimgate_redis_failures_total{kind=\"timeout\"} ").nth(1).unwrap();
    let timeouts: u64 = timeouts.lines().next().unwrap().parse().unwrap();
    assert!(timeouts <= 2 * 3, "three of each worker: {timeouts}");
    signal(Signal::CONT);
    gateway.log_with("can be used again");
    assert!(gateway.metrics().contains("\nclaimgate_redis_up 1\n"));
}

#[test]
fn what_is_no_counter_is_no_licence() {
    let Some(redis) = RedisServer::start() else { return };
    let section = json!({ "url": redis.url(), "onFailure": { "rate": "closed" } });
    let gateway = setup(&section, &hour(1), json!({})).start();
    assert_eq!(send(&gateway, "alice").status, 200);
    let keys = redis.ask("KEYS *");
    let name = keys.lines().find(|line| line.contains("limit:{")).unwrap().to_owned();
    for garbage in ["-1:0", "0", "1e9:1", "999999999999999999999999999999:9999999999999999999999999"] {
        redis.ask(&format!("SET {name} {garbage}"));
        assert_ne!(send(&gateway, "alice").status, 200, "{garbage}");
    }
    redis.ask(&format!("DEL {name}"));
    redis.ask(&format!("HSET {name} a b"));
    assert_eq!(send(&gateway, "alice").status, 503);
}

#[test]
fn large_limits_are_counted_ahead_and_never_exceeded() {
    let Some(redis) = RedisServer::start() else { return };
    let nodes = nodes(2, &json!(redis.url()), &hour(1000), &json!({}));
    let passed = passing(&nodes, "alice", 1500);
    assert!((1000 - 2 * 10..=1000).contains(&passed), "{passed}");
    let calls = |node: &Gateway| {
        let metrics = node.metrics();
        let calls = metrics.split("\nclaimgate_redis_calls_total ").nth(1).unwrap();
        calls.lines().next().unwrap().parse::<u64>().unwrap()
    };
    assert!(nodes.iter().all(|node| !node.metrics().contains("\nclaimgate_limit_reservations_total 0\n")));
    assert!(nodes.iter().map(calls).sum::<u64>() < 1500);
    // What is held and not used goes back, so in the end all of them pass.
    let mut passed = passed;
    while passed < 1000 {
        passed += passing(&nodes, "alice", 10);
    }
    assert_eq!(passed + passing(&nodes, "alice", 50), 1000);
}
