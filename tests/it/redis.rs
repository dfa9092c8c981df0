//! Redis, the real one: how it is configured, and what is told of it while it is there and while it is not.
//!
//! Where there is no `redis-server` these tests say so and do nothing; `.ci/run` installs it.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread,
};

use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use serde_json::{Value, json};
use tokio::{io::copy_bidirectional, runtime::Builder};
use tokio_rustls::TlsAcceptor;

use crate::support::{Gateway, RedisServer, Request, Server, Setup, api, keyless, scheme};

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

/// Where Redis is reached over TLS, with the test certificate for `127.0.0.1`.
fn over_tls(redis: &RedisServer) -> SocketAddr {
    let data = |name: &str| fs::read(format!("tests/data/tls/{name}")).unwrap();
    let chain = CertificateDer::pem_slice_iter(&data("server.pem")).collect::<Result<Vec<_>, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_slice(&data("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(chain, key).unwrap();
    let (acceptor, port) = (TlsAcceptor::from(Arc::new(config)), redis.port());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let serve = async move {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // What a client does not trust ends here.
                let mut secured = acceptor.accept(stream).await?;
                let mut redis = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
                copy_bidirectional(&mut secured, &mut redis).await
            });
        }
    };
    thread::spawn(|| Builder::new_current_thread().enable_all().build().unwrap().block_on(serve));
    address
}

#[test]
fn certificates_change_while_it_runs() {
    let Some(redis) = RedisServer::start() else { return };
    let address = over_tls(&redis);
    let gateway = Setup::new()
        .config(&json!({ "redis": { "url": format!("rediss://{address}"), "tls": { "ca": "ca.pem" } }, "watch": "1h" }))
        .file("ca.pem", include_str!("../data/partner-certificate.pem"))
        .api(&keyless("a", &Server::up()))
        .start();
    gateway.log_with("invalid peer certificate");
    // A file that is no good is told, and the last one goes on.
    gateway.setup().write("ca.pem", "nothing");
    gateway.log_with("redis.tls.ca: there is no certificate in PEM in it");
    gateway.setup().write("ca.pem", include_str!("../data/tls/ca.pem"));
    let log = gateway.log_with("can be used again");
    assert!(!log.contains("act with a restart"), "{log}");
    assert_eq!(ready(&gateway)["details"]["redis"]["status"], "pass");
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
