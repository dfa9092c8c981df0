//! Limits of several nodes against real deployments of Redis, while servers and nodes are killed. Never a part
//! of the usual run: `cargo test --test it -- --ignored real_redis --nocapture` prints what it measures, as
//! the tables of `docs/limits.md`. The deployments are started by the scripts of the shared material.

#![expect(clippy::print_stderr, reason = "the tables are what these tests are for")]

use std::{fs, process::Command, time::Instant};

use serde_json::{Value, json};

use crate::{
    api_keys::{body, keyed, make, with},
    nodes::{eventually, figure, settled},
    shared_limits::{flood, hour, nodes, send, setup},
    support::{Gateway, RealServer, RedisServer, Request, Server, Setup, merge},
};

const PASSWORD: &str = "fake-redis-password";

fn on_failure(mut section: Value, choice: &str) -> Value {
    section["onFailure"] = json!({ "rate": choice, "quota": choice, "apiRate": choice });
    section
}

fn api_rate(requests: usize) -> Value {
    let rate = json!({ "enabled": true, "rate": requests, "per": "1h" });
    json!({ "x-tyk-api-gateway": { "upstream": { "rateLimit": rate } } })
}

/// What the primary answers.
fn cli(redis: &RealServer, command: &[&str]) -> String {
    let mut cli = Command::new("redis-cli");
    cli.args(["-p", &redis.port.to_string(), "-a", PASSWORD, "--no-auth-warning"]).args(command);
    String::from_utf8(cli.output().unwrap().stdout).unwrap()
}

/// How many replicas follow the primary.
fn replicas(redis: &RealServer) -> usize {
    cli(redis, &["info", "replication"]).matches("state=online").count()
}

/// A primary with two replicas that have its first copy, and the section `redis` for its sentinels.
fn watched_by_sentinels() -> (RealServer, Value) {
    let redis = RealServer::start_with("redis", &[("MODE", "sentinel")]);
    let sentinels: Vec<String> = (3..6).map(|n| format!("127.0.0.1:{}", redis.port + n)).collect();
    let section = json!({ "password": PASSWORD, "sentinel": { "master": "claimgate", "nodes": sentinels } });
    // Before that a replica has nothing, whatever is counted.
    while replicas(&redis) < 2 {}
    (redis, section)
}

/// Ends the primary, as `kill -9` does.
fn kill_primary(redis: &RealServer) {
    let pid = fs::read_to_string(redis.file("redis.pid")).unwrap();
    Command::new("kill").args(["-9", pid.trim()]).status().unwrap();
}

/// How often nodes have asked Redis.
fn calls(nodes: &[Gateway]) -> u64 {
    nodes.iter().map(|node| figure(node, "claimgate_redis_calls_total")).sum()
}

/// Every node has lost Redis.
fn all_are_down(nodes: &[Gateway]) {
    nodes.iter().for_each(|node| drop(node.log_with("cannot be used")));
}

/// Every node has it again.
fn all_are_up(nodes: &[Gateway]) {
    while nodes.iter().any(|node| !node.metrics().contains("\nclaimgate_redis_up 1\n")) {}
}

/// How many pass at first, and in the end, when what nodes held has come back.
fn until_all_have_passed(nodes: &[Gateway], limit: usize) -> (usize, usize) {
    let [first, ..] = flood(nodes, "alice", limit + limit / 5 + 20).numbers();
    let (mut passed, mut idle) = (first, 0);
    while passed < limit && idle < 200 {
        let [more, ..] = flood(nodes, "alice", 10).numbers();
        passed += more;
        idle = if more == 0 { idle + 1 } else { 0 };
    }
    let [more, ..] = flood(nodes, "alice", 50).numbers();
    (first, passed + more)
}

#[test]
#[ignore = "prints a table: cargo test --test it -- --ignored real_redis --nocapture"]
fn as_many_as_may() {
    let redis = RedisServer::start().expect("redis-server is installed");
    eprintln!("| limit | nodes | at first | in the end |\n|---|---|---|---|");
    for limit in [1, 10, 100, 999, 1_000, 10_000] {
        for count in [2, 4] {
            let section = json!({ "url": redis.url(), "prefix": format!("{limit}-{count}:") });
            let nodes = nodes(count, &section, &hour(limit), &json!({}));
            let (first, end) = until_all_have_passed(&nodes, limit);
            eprintln!("| {limit} | {count} | {first} | {end} |");
            assert!(nodes.iter().all(|node| !node.metrics().contains("fallbacks_total{")));
            let least = if limit < 1_000 { limit } else { limit - count * limit / 100 };
            assert!((least..=limit).contains(&first), "{first}");
            assert_eq!(end, limit);
        }
    }
}

#[test]
#[ignore = "prints a table: cargo test --test it -- --ignored real_redis --nocapture"]
fn a_node_is_killed() {
    let redis = RedisServer::start().expect("redis-server is installed");
    eprintln!("| limit | nodes | before the kill of one | after | together |\n|---|---|---|---|---|");
    for (limit, count) in [(100, 2), (100, 4), (10_000, 2), (10_000, 4)] {
        let section = json!({ "url": redis.url(), "prefix": format!("{limit}-{count}:") });
        let mut nodes = nodes(count, &section, &hour(limit), &json!({}));
        let [before, ..] = flood(&nodes, "alice", limit / 2).numbers();
        // As `kill -9` does.
        drop(nodes.pop());
        nodes.push(setup(&section, &hour(limit), json!({})).start());
        let (_, after) = until_all_have_passed(&nodes, limit - before);
        eprintln!("| {limit} | {count} | {before} | {after} | {} |", before + after);
        let lost = if limit < 1_000 { 0 } else { limit / 100 };
        assert!((limit - lost..=limit).contains(&(before + after)), "{before} {after}");
    }
}

#[test]
#[ignore = "prints a table: cargo test --test it -- --ignored real_redis --nocapture"]
fn redis_is_killed() {
    eprintln!(
        "| kept on disk | choice | before | 300 requests without Redis | after its start |\n|---|---|---|---|---|"
    );
    for (is_kept, arguments) in
        [(false, &[][..]), (true, &["--appendonly", "yes", "--appendfsync", "always"])]
    {
        for choice in ["local", "open", "closed"] {
            let redis = RedisServer::start_with(arguments).expect("redis-server is installed");
            let nodes = nodes(2, &on_failure(json!({ "url": redis.url() }), choice), &hour(100), &json!({}));
            let [before, ..] = flood(&nodes, "alice", 40).numbers();
            let stopped = redis.kill();
            all_are_down(&nodes);
            let [during, _, unavailable] = flood(&nodes, "alice", 300).numbers();
            let _redis = stopped.start_again();
            all_are_up(&nodes);
            let [after, ..] = flood(&nodes, "alice", 300).numbers();
            let kept = if is_kept { "yes" } else { "no" };
            eprintln!("| {kept} | `{choice}` | {before} | {during} pass | {after} |");
            assert_eq!(before, 40);
            assert_eq!(after, if is_kept { 60 } else { 100 });
            match choice {
                "open" => assert_eq!(during, 300),
                "closed" => assert_eq!((during, unavailable), (0, 300)),
                _ => assert!((100..=200).contains(&during), "{during}"),
            }
        }
    }
}

#[test]
#[ignore = "needs the real servers: cargo test --test it -- --ignored real_redis --nocapture"]
fn sentinels_choose_another_primary() {
    eprintln!("| nodes | before | seconds without | after |\n|---|---|---|---|");
    for count in [2, 4] {
        let (redis, section) = watched_by_sentinels();
        let nodes = nodes(count, &on_failure(section, "closed"), &hour(100), &json!({}));
        let [before, ..] = flood(&nodes, "alice", 40).numbers();
        kill_primary(&redis);
        let killed = Instant::now();
        all_are_down(&nodes);
        all_are_up(&nodes);
        let seconds = killed.elapsed().as_secs_f32();
        let [after, ..] = flood(&nodes, "alice", 200).numbers();
        eprintln!("| {count} | {before} | {seconds:.1} | {after} |");
        // What the old primary had not sent yet is forgotten.
        assert!(before == 40 && (60..=100).contains(&after), "{before} {after}");
    }
}

#[test]
#[ignore = "needs the real servers: cargo test --test it -- --ignored real_redis --nocapture"]
fn api_keys_outlive_a_failover() {
    let (redis, section) = watched_by_sentinels();
    let config = json!({ "redis": section, "keys": { "store": "redis", "secret": "env://SEAL" } });
    let start = || {
        let setup = Setup::new().config(&config).env("SEAL", "a secret that both nodes of this test have");
        settled(setup.api(&keyed("a", &Server::up())).start())
    };
    let nodes = [start(), start()];
    let [one, other] = &nodes;
    for (key, status) in [("stays", 200), ("goes", 200)] {
        make(one, key, &body(&["a"], json!({})));
        eventually("it is known", || with(other, "/a/", key) == status);
    }
    // The replicas have them.
    assert_eq!(cli(&redis, &["wait", "2", "20000"]).trim(), "2");
    kill_primary(&redis);
    let killed = Instant::now();
    all_are_down(&nodes);
    for node in &nodes {
        assert_eq!(with(node, "/a/", "stays"), 200, "a node has its copy");
    }
    let delete = |node: &Gateway, key: &str| {
        node.admin(Request::new("DELETE", format!("/tyk/keys/{key}?org_id=org"))).status
    };
    all_are_up(&nodes);
    eprintln!("API keys: {:.1} s without a primary", killed.elapsed().as_secs_f32());
    eventually("one node can write", || delete(one, "goes") == 200);
    for node in &nodes {
        eventually("it is gone", || with(node, "/a/", "goes") == 401);
        assert_eq!(with(node, "/a/", "stays"), 200);
    }
    make(other, "new", &body(&["a"], json!({})));
    eventually("it is known", || with(one, "/a/", "new") == 200);
    // One that starts now reads all of them from the new primary.
    let late = start();
    let opens = |key| with(&late, "/a/", key);
    eventually("all are read", || opens("new") == 200);
    assert_eq!([opens("stays"), opens("goes")], [200, 401]);
}

#[test]
#[ignore = "needs the real servers: cargo test --test it -- --ignored real_redis --nocapture"]
fn a_cluster_of_three() {
    let redis = RealServer::start_with("redis", &[("MODE", "cluster")]);
    let quota = || json!({ "quota_max": 100, "quota_renewal_rate": 3600 });
    // All tokens name the same policy.
    let with_both = |changes: Value| {
        let mut both = quota();
        merge(&mut both, hour(200));
        merge(&mut both, changes);
        both
    };
    let tenant = json!({ "x-claimgate": { "rateKey": ["pol"], "quotaKey": ["pol"] } });
    eprintln!("| limit of | limit | nodes | pass | calls of Redis for 300 requests |\n|---|---|---|---|---|");
    for (name, policy, definition, is_one_call) in [
        ("rate", hour(100), json!({}), true),
        ("quota", quota(), json!({}), true),
        ("API", json!({}), api_rate(100), true),
        ("rate and API", hour(100), api_rate(100), false),
        ("rate of 200 and quota", with_both(json!({})), json!({}), true),
        ("rate of 200 and quota of a tenant", with_both(tenant), json!({}), true),
    ] {
        for count in [2, 4] {
            let section = json!({
                "cluster": [format!("127.0.0.1:{}", redis.port), format!("127.0.0.1:{}", redis.port + 1)],
                "password": PASSWORD,
                "prefix": format!("{}-{count}:", name.replace(' ', "-")),
            });
            let nodes = nodes(count, &on_failure(section, "closed"), &policy, &definition);
            let before = calls(&nodes);
            let fate = flood(&nodes, "alice", 300).numbers();
            let calls = calls(&nodes) - before;
            eprintln!("| {name} | 100 | {count} | {} | {calls} |", fate[0]);
            assert_eq!(fate, [100, 200, 0]);
            // Nodes look after their connections meanwhile.
            assert!((300..400).contains(&calls) == is_one_call, "{calls}");
        }
    }
}

#[test]
#[ignore = "needs the real servers: cargo test --test it -- --ignored real_redis --nocapture"]
fn tls_with_certificates_and_a_user() {
    let redis = RealServer::start_with("redis", &[("MODE", "single")]);
    let section = |tls: Value, prefix: &str| {
        json!({
            "url": format!("rediss://gateway@127.0.0.1:{}/0", redis.port + 1),
            "password": PASSWORD,
            "prefix": prefix,
            "tls": tls,
            "onFailure": { "rate": "closed" },
        })
    };
    let trusted = json!({
        "ca": redis.file("ca.pem"),
        "clientCertificate": redis.file("client.pem"),
        "clientKey": redis.file("client.key"),
    });
    let gateway = setup(&section(trusted.clone(), "cg:"), &hour(1), json!({})).start();
    assert_eq!([0; 2].map(|_| send(&gateway, "alice").status), [200, 429]);
    for (section, reason) in
        [(section(json!({}), "cg:"), "invalid peer certificate"), (section(trusted, "elsewhere:"), "NOPERM")]
    {
        let gateway = setup(&section, &hour(1), json!({})).start();
        assert_eq!(send(&gateway, "alice").status, 503);
        let log = gateway.log_with("cannot be used");
        assert!(log.to_lowercase().contains(&reason.to_lowercase()), "{log}");
    }
}
