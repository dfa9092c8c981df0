//! API keys that several gateways share in a real Redis. Where there is no `redis-server` these tests say so
//! and do nothing.

use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::{
    api_keys::{ask, body, keyed, make, secret, with},
    nodes::{eventually, figure, settled},
    support::{Answer, Gateway, RedisServer, Request, Server, Setup, api, claims, merge, scheme},
};

const SECRET: &str = "a secret that all nodes of this test have";
/// The hash of all keys.
const KEYS: &str = "claimgate:{nodes}:keys";

fn setup(redis: &RedisServer, keys: Value) -> Setup {
    let upstream = Server::up();
    let mut config = json!({ "redis": redis.url(), "keys": { "store": "redis", "secret": "env://SEAL" } });
    merge(&mut config, json!({ "keys": keys }));
    Setup::new().config(&config).env("SEAL", SECRET).api(&keyed("a", &upstream)).api(&keyed("b", &upstream))
}

fn nodes(count: usize, redis: &RedisServer, keys: &Value) -> Vec<Gateway> {
    (0..count).map(|_| settled(setup(redis, keys.clone()).start())).collect()
}

fn message(answer: &Answer) -> String {
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    body["message"].as_str().unwrap().to_owned()
}

fn delete(node: &Gateway, key: &str) -> u16 {
    node.admin(Request::new("DELETE", format!("/tyk/keys/{key}?org_id=org"))).status
}

#[test]
fn what_one_node_is_told_of_a_key_holds_on_all() {
    let Some(redis) = RedisServer::start() else { return };
    let nodes = nodes(4, &redis, &json!({}));
    let (one, others) = nodes.split_first().unwrap();
    assert_eq!(with(one, "/a/", "partner-1"), 401);
    let made = make(one, "partner-1", &body(&["a"], json!({})));
    assert_eq!(with(one, "/a/", "partner-1"), 200, "it opens when the answer is there");
    let all = |what: &str, path: &str, expected: u16| {
        for node in others {
            eventually(what, || with(node, path, "partner-1") == expected);
        }
    };
    all("made", "/a/", 200);
    for node in others {
        assert_eq!(with(node, "/a/", made["key"].as_str().unwrap()), 200);
        assert_eq!(node.admin(Request::get("/tyk/keys")).text(), one.admin(Request::get("/tyk/keys")).text());
    }
    // Changed by another node than the one that made it.
    assert_eq!(ask(&others[0], "PUT", "/tyk/keys/partner-1", &body(&["b"], json!({}))).status, 200);
    assert_eq!([with(&others[0], "/a/", "partner-1"), with(&others[0], "/b/", "partner-1")], [403, 200]);
    all("changed", "/b/", 200);
    eventually("changed", || with(one, "/b/", "partner-1") == 200);
    ask(one, "PUT", "/tyk/keys/partner-1", &body(&["b"], json!({ "is_inactive": true })));
    all("switched off", "/b/", 401);
    ask(one, "PUT", "/tyk/keys/partner-1", &body(&["b"], json!({})));
    all("on again", "/b/", 200);
    ask(one, "PUT", "/tyk/keys/partner-1", &body(&["b"], json!({ "expires": 1_000_000_000 })));
    all("expired", "/b/", 401);
    ask(one, "PUT", "/tyk/keys/partner-1", &body(&["b"], json!({})));
    all("on again", "/b/", 200);
    assert_eq!(delete(&others[2], "partner-1"), 200);
    assert_eq!(with(&others[2], "/b/", "partner-1"), 401);
    all("deleted", "/b/", 401);
    eventually("deleted", || with(one, "/b/", "partner-1") == 401);
    // A node that starts later knows what there is.
    make(one, "partner-2", &body(&["a"], json!({})));
    let late = setup(&redis, json!({})).start();
    assert_eq!([with(&late, "/a/", "partner-2"), with(&late, "/a/", "partner-1")], [200, 401]);
}

#[test]
fn redis_holds_nothing_that_opens_or_tells() {
    let Some(redis) = RedisServer::start() else { return };
    let node = &nodes(1, &redis, &json!({}))[0];
    let (mut changes, _) = secret("a secret that tokens are signed with");
    merge(&mut changes, json!({ "alias": "Partner Number One" }));
    make(node, "partner-1", &body(&["a"], changes));
    let kept = redis.ask(&format!("HGETALL {KEYS}"));
    assert!(kept.len() > 100, "{kept}");
    for part in ["partner-1", "Partner", "access_rights", "org", "signed with"] {
        assert!(!kept.contains(part), "{part}: {kept}");
    }
    let (_, log, _) =
        nodes(1, &redis, &json!({ "secret": "another secret than the other node has" })).remove(0).stop();
    assert!(
        log.contains("1 entries of the keys in Redis were not written by a node with the same keys.secret"),
        "{log}"
    );
}

#[test]
fn writers_on_two_nodes_leave_one_key_with_its_secret() {
    let Some(redis) = RedisServer::start() else { return };
    let nodes = nodes(2, &redis, &json!({}));
    make(&nodes[0], "partner-1", &body(&["a"], secret("a secret that tokens are signed with").0));
    eventually("it is known", || nodes[1].admin(Request::get("/tyk/keys/partner-1")).status == 200);
    thread::scope(|scope| {
        for (n, node) in nodes.iter().enumerate() {
            scope.spawn(move || {
                for turn in 0..20 {
                    let told = body(&["a"], json!({ "alias": format!("{n}-{turn}") }));
                    let answer = ask(node, "PUT", "/tyk/keys/partner-1", &told);
                    assert_eq!(answer.status, 200, "{}", answer.text());
                }
            });
        }
    });
    let told = |node: &Gateway| node.admin(Request::get("/tyk/keys/partner-1")).text();
    eventually("both have the last one", || told(&nodes[0]) == told(&nodes[1]));
    assert!(told(&nodes[0]).contains("-19\""), "{}", told(&nodes[0]));
    // Without a secret it would be an API key.
    for node in &nodes {
        assert_eq!(with(node, "/a/", "partner-1"), 401);
    }
}

#[test]
fn a_reset_on_one_node_is_one_on_all() {
    let Some(redis) = RedisServer::start() else { return };
    let nodes = nodes(2, &redis, &json!({}));
    let limited = body(&["a"], json!({ "quota_max": 3, "quota_renewal_rate": 3600 }));
    make(&nodes[0], "partner-1", &limited);
    eventually("it is known", || nodes[1].admin(Request::get("/tyk/keys/partner-1")).status == 200);
    let send = |node: &Gateway| with(node, "/a/", "partner-1");
    let refused = send(&nodes[0]) == 200 && send(&nodes[1]) == 200 && send(&nodes[0]) == 200;
    assert!(refused);
    let used_up = send(&nodes[1]);
    assert!([403, 429].contains(&used_up), "{used_up}");
    // Kept on request.
    ask(&nodes[0], "PUT", "/tyk/keys/partner-1?suppress_reset=1", &limited);
    assert_eq!(send(&nodes[0]), used_up);
    make(&nodes[0], "partner-1", &limited);
    assert_eq!(send(&nodes[0]), 200);
    eventually("counted anew", || send(&nodes[1]) == 200);
    // Deleted, and made again by another node.
    assert_eq!(delete(&nodes[1], "partner-1"), 200);
    make(&nodes[1], "partner-1", &limited);
    assert_eq!(
        [send(&nodes[1]), send(&nodes[1]), send(&nodes[1]), send(&nodes[1])],
        [200, 200, 200, used_up]
    );
}

#[test]
fn without_redis_known_keys_go_on_and_others_wait() {
    let durable = ["--appendonly", "yes", "--appendfsync", "always"];
    let Some(redis) = RedisServer::start_with(&durable) else { return };
    let nodes = nodes(2, &redis, &json!({}));
    make(&nodes[0], "partner-1", &body(&["a"], json!({})));
    eventually("it is known", || with(&nodes[1], "/a/", "partner-1") == 200);
    let stopped = redis.kill();
    for node in &nodes {
        eventually("nobody can tell", || with(node, "/a/", "partner-2") == 503);
        assert_eq!(with(node, "/a/", "partner-1"), 200);
        let answer = node.send(&Request::get("/a/").header("X-Api-Key", "partner-2"));
        assert_eq!(answer.header("retry-after"), Some("5"));
        assert!(answer.text().contains("temporarily_unavailable"), "{}", answer.text());
    }
    let answer = ask(&nodes[0], "POST", "/tyk/keys/partner-2", &body(&["a"], json!({})));
    assert_eq!((answer.status, &*message(&answer)), (503, "Redis cannot be reached; nothing has changed"));
    assert_eq!(delete(&nodes[0], "partner-1"), 503);
    assert_eq!(nodes[0].admin(Request::get("/tyk/keys/partner-2")).status, 503);
    assert_eq!(nodes[0].admin(Request::get("/tyk/keys")).status, 503);
    // One that starts meanwhile knows nothing, and lets nobody in.
    let late = setup_at(stopped.url()).start();
    assert_eq!([with(&late, "/a/", "partner-1"), with(&late, "/a/", "partner-2")], [503, 503]);
    let _redis = stopped.start_again();
    for node in nodes.iter().chain([&late]) {
        eventually("it is known that there is none", || with(node, "/a/", "partner-2") == 401);
        assert_eq!(with(node, "/a/", "partner-1"), 200);
    }
    make(&late, "partner-2", &body(&["a"], json!({})));
    for node in &nodes {
        eventually("it is heard", || with(node, "/a/", "partner-2") == 200);
    }
}

fn setup_at(url: String) -> Setup {
    let config = json!({ "redis": url, "keys": { "store": "redis", "secret": SECRET } });
    Setup::new().config(&config).api(&keyed("a", &Server::up()))
}

#[test]
fn a_redis_that_hangs_holds_no_request_up() {
    let Some(redis) = RedisServer::start() else { return };
    let nodes = nodes(2, &redis, &json!({}));
    make(&nodes[0], "partner-1", &body(&["a"], json!({})));
    eventually("it is known", || with(&nodes[1], "/a/", "partner-1") == 200);
    let signal =
        |signal| kill_process(Pid::from_raw(i32::try_from(redis.pid()).unwrap()).unwrap(), signal).unwrap();
    signal(Signal::STOP);
    let answer = ask(&nodes[0], "POST", "/tyk/keys/partner-2", &body(&["a"], json!({})));
    assert_eq!(answer.status, 503, "{}", answer.text());
    eventually("nobody can tell", || with(&nodes[1], "/a/", "partner-3") == 503);
    assert_eq!(with(&nodes[1], "/a/", "partner-1"), 200);
    signal(Signal::CONT);
    for node in &nodes {
        eventually("all is well again", || with(node, "/a/", "partner-3") == 401);
    }
}

#[test]
fn keys_that_redis_has_lost_go_on_for_a_while_and_no_longer() {
    let Some(redis) = RedisServer::start() else { return };
    let long = settled(setup(&redis, json!({})).start());
    let short = settled(setup(&redis, json!({ "maxStale": "1s" })).start());
    make(&long, "partner-1", &body(&["a"], json!({})));
    eventually("it is known", || with(&short, "/a/", "partner-1") == 200);
    redis.ask("FLUSHALL");
    long.log_with("the keys in Redis cannot be read: there are no keys in Redis any more, where there were some; restore it");
    short.log_with("Redis could not be asked for too long; no API key is accepted until it can");
    assert_eq!([with(&long, "/a/", "partner-1"), with(&short, "/a/", "partner-1")], [200, 503]);
    // The first key that is written begins a new store.
    make(&short, "partner-2", &body(&["a"], json!({})));
    for node in [&long, &short] {
        eventually("the new one counts", || with(node, "/a/", "partner-2") == 200);
        eventually("the old one is gone", || with(node, "/a/", "partner-1") == 401);
    }
    // That the last one was deleted is no loss.
    assert_eq!(delete(&long, "partner-2"), 200);
    eventually("it is deleted", || with(&short, "/a/", "partner-2") == 401);
    redis.ask("SET claimgate:{nodes}:said 7");
    eventually("everything was read again", || figure(&short, "claimgate_node_catch_ups_total") >= 2);
    assert_eq!(with(&short, "/a/", "partner-2"), 401);
}

#[test]
fn whoever_writes_to_redis_makes_no_key() {
    let Some(redis) = RedisServer::start() else { return };
    let nodes = nodes(1, &redis, &json!({}));
    let node = &nodes[0];
    for key in ["partner-1", "partner-2"] {
        make(node, key, &body(&["a"], json!({})));
    }
    let places: Vec<String> =
        redis.ask(&format!("HKEYS {KEYS}")).lines().map(str::to_owned).filter(|l| l.len() == 44).collect();
    let [one, two] = &*places else { panic!("{places:?}") };
    // Another's entry, garbage, and more than anybody writes, under names of keys and others.
    let move_entry = format!(
        "EVAL \"redis.call('HSET',KEYS[1],ARGV[2],redis.call('HGET',KEYS[1],ARGV[1]))\" 1 {KEYS} {one} {two}"
    );
    redis.ask(&move_entry);
    for name in ["", "x", &"y".repeat(10_000), &"A".repeat(43)] {
        redis.ask(&format!("HSET {KEYS} \"{name}\" \"\\x01garbage of some length, but no entry\""));
    }
    redis.ask(&format!("EVAL \"redis.call('HSET',KEYS[1],'huge',string.rep('x',50000000))\" 1 {KEYS}"));
    redis.ask("SET claimgate:{nodes}:said 7");
    node.log_with("6 entries of the keys in Redis were not written by a node with the same keys.secret; they open nothing");
    let mut opened = ["partner-1", "partner-2"].map(|key| with(node, "/a/", key));
    opened.sort_unstable();
    assert_eq!(opened, [200, 401], "the one whose entry was replaced is gone, and opens nothing else");
    // The control API does not write over what is not its own.
    let refused: Vec<u16> = ["partner-1", "partner-2"]
        .map(|key| ask(node, "POST", &format!("/tyk/keys/{key}"), &body(&["a"], json!({}))).status)
        .into_iter()
        .filter(|status| *status != 200)
        .collect();
    assert_eq!(refused, [409]);
    // No hash at all.
    redis.ask(&format!("SET {KEYS} nothing"));
    redis.ask("SET claimgate:{nodes}:said 9");
    eventually("nobody can tell", || with(node, "/a/", "partner-9") == 503);
    assert!(["partner-1", "partner-2"].iter().any(|key| with(node, "/a/", key) == 200));
    redis.ask(&format!("DEL {KEYS}"));
    node.log_with("there are no keys in Redis any more");
}

#[test]
fn tokens_that_name_a_key_wait_too() {
    let Some(redis) = RedisServer::start() else { return };
    let (holds, signer) = secret("a secret that tokens are signed with");
    let mut named =
        api("t", &Server::up(), scheme(json!({ "signingMethod": "hmac", "subjectClaims": ["sub"] })));
    merge(&mut named, json!({ "x-tyk-api-gateway": { "info": { "orgId": "org" } } }));
    let node = settled(setup(&redis, json!({})).api(&named).start());
    make(&node, "alice", &body(&["t"], holds));
    let send = |subject: &str| {
        let token = signer.sign(&json!({}), &claims(json!({ "sub": subject }))).unwrap();
        node.send(&Request::get("/t/").bearer(&token)).status
    };
    assert_eq!([send("alice"), send("bob")], [200, 401]);
    let _stopped = redis.kill();
    eventually("nobody can tell", || send("bob") == 503);
    assert_eq!(send("alice"), 200);
}

#[test]
fn a_bad_setting_is_an_error() {
    for (config, expected) in [
        (
            json!({ "keys": { "store": "redis", "secret": SECRET } }),
            "keys.store: it is not said where Redis is",
        ),
        (
            json!({ "redis": "redis://127.0.0.1", "keys": { "store": "redis" } }),
            "keys.secret: keys in Redis are sealed with a secret that all nodes have",
        ),
        (
            json!({ "redis": "redis://127.0.0.1", "keys": { "store": "redis", "secret": "short" } }),
            "keys.secret: entries are sealed with this, so it must be hard to guess",
        ),
        (
            json!({ "redis": "redis://127.0.0.1", "keys": { "store": "redis", "secret": "env://NOT_SET" } }),
            "keys.secret: ",
        ),
        (
            json!({ "redis": "redis://127.0.0.1", "keys": { "store": "redis", "secret": SECRET, "file": "k.json" } }),
            "keys.file: keys are kept in a file or in Redis",
        ),
        (json!({ "keys": { "store": "memory" } }), "keys.store: keys are kept in a file or in redis"),
        (json!({ "keys": { "maxStale": "1h" } }), "keys.maxStale: this is for keys in Redis"),
        (json!({ "keys": { "secret": SECRET } }), "keys.secret: this is for keys in Redis"),
        (json!({ "keys": { "file": "" } }), "keys.file: the path is empty"),
    ] {
        let output = Setup::new().config(&config).check();
        assert_eq!(output.status.code(), Some(1), "{config}");
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains(expected), "{expected}: {said}");
        assert!(!said.contains(SECRET) && !said.contains("\"short\""), "{said}");
    }
}
