//! Redis, the real one: how it is configured, and what is told of it while it is there and while it is not.
//!
//! Where there is no `redis-server` these tests say so and do nothing; `.ci/run` installs it.

use serde_json::{Value, json};

use crate::support::{Gateway, RedisServer, Request, Server, Setup, api, scheme};

fn setup(redis: &Value) -> Setup {
    Setup::new()
        .config(&json!({ "redis": redis }))
        .env("SECRET", "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA==")
        .api(&api("a", &Server::up(), scheme(json!({ "source": "env://SECRET", "signingMethod": "hmac" }))))
}

fn ready(gateway: &Gateway) -> Value {
    let answer = gateway.admin_without_secret(&Request::get("/ready"));
    assert_eq!(answer.status, 200, "a node without Redis goes on");
    serde_json::from_slice(&answer.body).unwrap()
}

#[test]
fn what_is_told_of_redis() {
    let Some(redis) = RedisServer::start() else { return };
    let gateway = setup(&json!(redis.url())).start();
    let told = ready(&gateway);
    assert_eq!([&told["status"], &told["details"]["redis"]["status"]], ["pass", "pass"]);
    assert!(gateway.metrics().contains("\nclaimgate_redis_up 1\n"));
    let redis = redis.kill();
    gateway.log_with("cannot be used reason=");
    assert_eq!(ready(&gateway)["details"]["redis"]["status"], "fail");
    assert!(gateway.metrics().contains("\nclaimgate_redis_up 0\n"));
    let _redis = redis.start_again();
    gateway.log_with("can be used again");
    assert_eq!(ready(&gateway)["details"]["redis"]["status"], "pass");
}

#[test]
fn a_password_opens_it_and_is_told_nobody() {
    let Some(redis) = RedisServer::start_with(&["--requirepass", "a-password-of-redis"]) else { return };
    let right =
        setup(&json!({ "url": redis.url(), "password": "env://OPENS" })).env("OPENS", "a-password-of-redis");
    let wrong = setup(&json!(redis.url_with(":another-password@")));
    let said = |setup: &Setup| {
        let output = setup.check();
        assert!(output.status.success());
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    assert_eq!(said(&right), "0 errors, 0 warnings\n");
    let refused = said(&wrong);
    assert!(refused.starts_with("warning: redis: redis at 127.0.0.1:"), "{refused}");
    assert!(refused.contains("1 warning"), "{refused}");
    let gateway = right.start();
    assert_eq!(ready(&gateway)["details"]["redis"]["status"], "pass");
    let without = wrong.start();
    assert_eq!(ready(&without)["details"]["redis"]["status"], "fail");
    for log in [gateway.stop().1, without.stop().1, refused] {
        assert!(!log.contains("a-password-of-redis") && !log.contains("another-password"), "{log}");
    }
}

#[test]
fn a_bad_section_is_an_error() {
    for (redis, expected) in [
        (
            json!({ "url": "http://cache" }),
            "error: claimgate.yaml:1: redis.url: the URL is written like redis://",
        ),
        (json!("redis://:a-password@cache/x"), "error: claimgate.yaml:1: redis: a database is a number"),
        (
            json!({ "uri": "redis://cache" }),
            "error: claimgate.yaml:1: redis.uri: unknown field; did you mean url?",
        ),
        (json!({ "prefix": "x:" }), "error: redis: it is not said where Redis is"),
        (
            json!({ "cluster": ["a", "b:x"] }),
            "error: claimgate.yaml:1: redis.cluster: \"b:x\" is not an address",
        ),
        (json!({ "url": "redis://127.0.0.1", "password": "env://NOT_SET" }), "error: redis.password: "),
    ] {
        let output = setup(&redis).check();
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains(expected), "{expected}: {said}");
        assert!(!said.contains("a-password"), "{said}");
    }
}
