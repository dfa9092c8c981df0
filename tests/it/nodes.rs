//! Several gateways that share a real Redis, and do together what one of them is asked. Where there is no
//! `redis-server` these tests say so and do nothing.

use std::{
    thread,
    time::{Duration, Instant},
};

use claimgate::jwt::Algorithm;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::{
    Answer, Gateway, RedisServer, Request, Server, Setup, api, claims, key_named, keyless, provider, scheme,
};

/// How long a test waits for something before it fails rather than hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// Looks again and again whether it is so by now.
#[track_caller]
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "not so in time: {what}");
        thread::yield_now();
    }
}

fn setup(redis: &RedisServer) -> Setup {
    Setup::new().config(&json!({ "redis": redis.url() })).api(&keyless("a", &Server::up()))
}

fn nodes(count: usize, redis: &RedisServer) -> Vec<Gateway> {
    (0..count).map(|_| setup(redis).start()).map(settled).collect()
}

/// A node that hears what the others say, and has done what comes of its start.
pub(crate) fn settled(node: Gateway) -> Gateway {
    node.log_with("definitions loaded again");
    node
}

/// Writes one more API into the folder of a node, which does not look at it by itself.
fn add_api(node: &Gateway, id: &str) {
    node.setup().write(&format!("api-definitions/{id}.json"), &keyless(id, &Server::up()).to_string());
}

fn serves(node: &Gateway, id: &str) -> bool {
    node.send(&Request::get(format!("/{id}/"))).status == 200
}

pub(crate) fn figure(node: &Gateway, name: &str) -> u64 {
    let metrics = node.metrics();
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {metrics}")).parse().unwrap()
}

fn is_down(node: &Gateway) -> bool {
    figure(node, "claimgate_redis_up") == 0
}

fn message(answer: &Answer) -> String {
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    body["message"].as_str().unwrap().to_owned()
}

fn group(node: &Gateway) -> Answer {
    node.admin(Request::get("/tyk/reload/group?block=true"))
}

#[test]
fn every_node_reloads_when_one_is_asked_and_checks_for_itself() {
    let Some(redis) = RedisServer::start() else { return };
    let nodes = nodes(4, &redis);
    let (broken, good) = nodes.split_last().unwrap();
    for node in &nodes {
        add_api(node, "b");
        assert!(!serves(node, "b"));
    }
    broken.setup().write("api-definitions/c.json", "{ no JSON");
    assert_eq!(group(&nodes[0]).status, 200);
    assert!(serves(&nodes[0], "b"), "it is there when the answer is");
    for node in good {
        eventually("the new API is served", || serves(node, "b"));
    }
    broken.log_with("the documents have errors; what was loaded before goes on");
    assert!(serves(broken, "a") && !serves(broken, "b"));
    assert_eq!(
        figure(&nodes[0], "claimgate_node_messages_total{outcome=\"acted\"}"),
        0,
        "its own is not for itself"
    );
    assert_eq!(figure(broken, "claimgate_node_messages_total{outcome=\"acted\"}"), 1);
    // One whose own documents are broken tells the others all the same.
    add_api(&nodes[1], "d");
    assert_eq!(group(broken).status, 422);
    eventually("the other one has the API", || serves(&nodes[1], "d"));
    // And one alone reloads alone.
    add_api(&nodes[0], "e");
    add_api(&nodes[1], "e");
    assert_eq!(nodes[0].reload().status, 200);
    assert!(serves(&nodes[0], "e") && !serves(&nodes[1], "e"));
}

#[test]
fn the_keys_of_a_provider_are_fetched_again_by_every_node() {
    let Some(redis) = RedisServer::start() else { return };
    let idp = provider(&[("k", key_named("usual", Algorithm::ES256))]);
    let source = json!({ "source": format!("{}/keys", idp.url()), "signingMethod": "ecdsa" });
    let one = || settled(setup(&redis).api(&api("j", &Server::up(), scheme(source.clone()))).start());
    let (one, other) = (one(), one());
    let fetched = || idp.recorded().len();
    let token =
        key_named("usual", Algorithm::ES256).sign(&json!({ "kid": "k" }), &claims(json!({}))).unwrap();
    for node in [&one, &other] {
        assert_eq!(node.send(&Request::get("/j/").bearer(&token)).status, 200);
    }
    assert_eq!(fetched(), 2, "each node once");
    for path in ["/tyk/cache/jwks/j", "/tyk/cache/jwks"] {
        let before = fetched();
        assert_eq!(one.admin(Request::new("DELETE", path)).status, 200);
        eventually("both have fetched", || fetched() == before + 2);
    }
}

#[test]
fn of_an_api_that_is_not_there_no_node_is_told() {
    let Some(redis) = RedisServer::start() else { return };
    let nodes = nodes(2, &redis);
    let acted = |node: &Gateway| figure(node, "claimgate_node_messages_total{outcome=\"acted\"}");
    for api in ["nobody", &"x".repeat(2_000)] {
        let path = format!("/tyk/cache/jwks/{api}");
        assert_eq!(nodes[0].admin(Request::new("DELETE", &path)).status, 200);
        assert_eq!(nodes[0].admin(Request::new("POST", &path)).status, 404);
    }
    // Messages come in order: when this one was heard, none was before it.
    assert_eq!(nodes[0].admin(Request::new("DELETE", "/tyk/cache/jwks")).status, 200);
    eventually("the other one has heard of it", || acted(&nodes[1]) > 0);
    assert_eq!(acted(&nodes[1]), 1);
    for figure_of in ["claimgate_node_messages_total{outcome=\"ignored\"}", "claimgate_node_catch_ups_total"]
    {
        assert_eq!(figure(&nodes[1], figure_of), 0, "{figure_of}");
    }
}

#[test]
fn what_was_missed_while_redis_was_away_is_made_good() {
    let Some(redis) = RedisServer::start() else { return };
    let nodes = nodes(2, &redis);
    let stopped = redis.kill();
    for node in &nodes {
        eventually("it is known", || is_down(node));
        add_api(node, "b");
    }
    let answer = group(&nodes[0]);
    assert_eq!(answer.status, 503);
    assert!(message(&answer).starts_with("this node does it, but the other nodes "), "{}", answer.text());
    assert!(serves(&nodes[0], "b") && !serves(&nodes[1], "b"));
    assert_eq!(figure(&nodes[0], "claimgate_node_untold_total"), 1);
    let answer = nodes[0].admin(Request::new("DELETE", "/tyk/cache/jwks"));
    assert_eq!(answer.status, 503, "{}", answer.text());
    let _redis = stopped.start_again();
    eventually("the other one reads everything again", || serves(&nodes[1], "b"));
    nodes[1].log_with("something that other nodes said was missed; everything is read again");
}

#[test]
fn a_redis_that_hangs_holds_nothing_up() {
    let Some(redis) = RedisServer::start() else { return };
    let nodes = nodes(2, &redis);
    let signal =
        |signal| kill_process(Pid::from_raw(i32::try_from(redis.pid()).unwrap()).unwrap(), signal).unwrap();
    signal(Signal::STOP);
    for node in &nodes {
        add_api(node, "b");
    }
    let answer = group(&nodes[0]);
    assert_eq!(answer.status, 503);
    assert!(message(&answer).starts_with("this node does it, but the other nodes "), "{}", answer.text());
    assert!(serves(&nodes[0], "b"));
    signal(Signal::CONT);
    eventually("the other one hears of it", || serves(&nodes[1], "b"));
}

#[test]
fn garbage_on_the_channel_does_nothing() {
    let Some(redis) = RedisServer::start() else { return };
    let nodes = nodes(2, &redis);
    let ignored = || figure(&nodes[0], "claimgate_node_messages_total{outcome=\"ignored\"}");
    let long = "x".repeat(20_000);
    let said = ["x", "1:n", "-1:n_t_", "1:\\xff", &long];
    for text in said {
        redis.ask(&format!("PUBLISH claimgate:{{nodes}} {text}"));
    }
    eventually("all of it is heard", || ignored() == u64::try_from(said.len()).unwrap());
    // Well made, and about nothing that is known; numbers that are not those of Redis are not believed.
    redis.ask(r#"PUBLISH claimgate:{nodes} "18446744073709551615:n exec /bin/sh""#);
    redis.ask(r#"PUBLISH claimgate:{nodes} "0:n reload of-everything""#);
    eventually("these too", || ignored() == u64::try_from(said.len()).unwrap() + 2);
    for node in &nodes {
        add_api(node, "b");
    }
    assert_eq!(group(&nodes[1]).status, 200);
    eventually("what is asked honestly is done", || serves(&nodes[0], "b"));
    assert_eq!(figure(&nodes[0], "claimgate_node_catch_ups_total"), 0);
    // A number that goes back, or is none, is no reason to stop either.
    redis.ask("SET claimgate:{nodes}:said 5");
    eventually("it is noticed", || figure(&nodes[0], "claimgate_node_catch_ups_total") == 1);
    redis.ask("SET claimgate:{nodes}:said nothing");
    eventually("it is noticed", || figure(&nodes[0], "claimgate_node_catch_ups_total") == 2);
    assert!(serves(&nodes[0], "b"));
}
