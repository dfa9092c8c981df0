//! References to the real Consul and the real Vault, which the shared material builds and starts. Never
//! a part of the usual run: the first build takes half an hour. What it needs stands in
//! `docs/configuration.md`.

use std::{net::SocketAddr, sync::Arc};

use claimgate::jwt::{Algorithm, sign::SigningKey};
use serde_json::{Value, json};

use super::support::{
    Answer, Gateway, RealServer, Request, Server, Setup, api, claims, key_named, merge, scheme,
};

const VAULT_ROOT: &str = "fake-root-token";
const CONSUL_ROOT: &str = "facefeed-0000-4000-8000-000000000001";
const CONSUL_READER: &str = "facefeed-0000-4000-8000-000000000002";

/// A request of the administrator of a server.
fn call(server: &RealServer, method: &'static str, path: &str, body: &str) -> Answer {
    let request = Request::new(method, format!("/v1/{path}"))
        .header("X-Vault-Token", VAULT_ROOT)
        .header("X-Consul-Token", CONSUL_ROOT)
        .body(body.as_bytes());
    let answer = request.send(address(server));
    assert!(answer.status < 300, "{path}: {} {}", answer.status, answer.text());
    answer
}

fn address(server: &RealServer) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], server.port))
}

fn key(name: &'static str) -> Arc<SigningKey> {
    key_named(name, Algorithm::HS256)
}

fn text(key: &SigningKey) -> String {
    key.to_text().unwrap().trim().to_owned()
}

fn status(gateway: &Gateway, path: &str, key: &SigningKey) -> u16 {
    let token = key.sign(&json!({}), &claims(json!({}))).unwrap();
    gateway.send(&Request::get(path).bearer(&token)).status
}

fn hmac(source: &str) -> Value {
    scheme(json!({ "source": source, "signingMethod": "hmac" }))
}

/// Puts the key into all three stores.
fn put(consul: &RealServer, vault: &RealServer, key: &SigningKey) {
    call(consul, "PUT", "kv/claimgate/jwt", &text(key));
    let secret = json!({ "jwt": text(key) });
    call(vault, "POST", "secret/data/claimgate/app", &json!({ "data": secret }).to_string());
    call(vault, "POST", "kv1/claimgate/app", &secret.to_string());
}

const PATHS: [&str; 3] = ["/consul/", "/v2/", "/v1/"];

fn setup(consul: &RealServer, vault: &RealServer, token: &str) -> Setup {
    let upstream = Server::up();
    let kv = json!({
        "refresh_interval": "1s",
        "consul": { "address": address(consul).to_string(), "token": CONSUL_READER },
        "vault": {
            "address": format!("http://{}", address(vault)),
            "max_retries": 0,
            "approle": { "role_id": "fake-role-id", "secret_id": "fake-secret-id" },
        },
        "stores": {
            "engine-1": { "type": "hashicorp_vault", "config": {
                "address": format!("http://{}", address(vault)), "token": "file://vault-token", "kv_version": 1,
            } },
        },
    });
    Setup::new()
        .config(&json!({ "kv": kv }))
        .file("vault-token", token)
        .api(&api("consul", &upstream, hmac("consul://claimgate/jwt")))
        .api(&api("v2", &upstream, hmac("vault://secret/claimgate/app.jwt")))
        .api(&api("v1", &upstream, hmac("kv://engine-1/kv1/claimgate/app#jwt")))
}

/// A gateway does not start, and says why.
#[track_caller]
fn is_refused(setup: &Setup, reason: &str) {
    let output = setup.command("run").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.lines().any(|line| line.starts_with("error: api-definitions/") && line.contains(reason)),
        "{said}"
    );
}

#[test]
#[ignore = "needs the real servers: cargo test --test it -- --ignored real_stores"]
fn real_consul_and_vault() {
    let (consul, vault) = (RealServer::start("consul"), RealServer::start("vault"));
    let (first, second, third) = (key("first"), key("second"), key("third"));
    put(&consul, &vault, &first);
    let new_token = || {
        let created = call(&vault, "POST", "auth/token/create", r#"{"policies":["claimgate"]}"#);
        let created: Value = serde_json::from_slice(&created.body).unwrap();
        created["auth"]["client_token"].as_str().unwrap().to_owned()
    };
    let token = new_token();
    let gateway = setup(&consul, &vault, &token).start();
    let all = |key: &SigningKey, expected: u16| {
        for path in PATHS {
            assert_eq!(status(&gateway, path, key), expected, "{path}");
        }
    };
    all(&first, 200);

    // Rotation.
    put(&consul, &vault, &second);
    // One round may see some of the three only.
    while PATHS.iter().any(|path| status(&gateway, path, &second) != 200) {
        gateway.reload();
    }
    all(&first, 401);

    // A role's token that is revoked is replaced.
    call(&vault, "PUT", "sys/leases/revoke-prefix/auth/approle", "");
    put(&consul, &vault, &third);
    while PATHS.iter().any(|path| status(&gateway, path, &third) != 200) {
        gateway.reload();
    }
    all(&second, 401);

    // A fixed one that is revoked: the last value goes on, and nothing starts anew.
    call(&vault, "POST", "auth/token/revoke", &json!({ "token": token }).to_string());
    gateway.log_with("refuses to read kv1/claimgate/app with 403 Forbidden");
    all(&third, 200);
    is_refused(&setup(&consul, &vault, &token), "refuses to read kv1/claimgate/app with 403 Forbidden");
    assert_eq!(gateway.reload().status, 422);
    let token = new_token();
    gateway.setup().write("vault-token", &token);
    gateway.log_with("references are resolved again references=\"kv://engine-1/kv1/claimgate/app#jwt\"");

    // Sealed and unsealed.
    let unseal = std::fs::read_to_string(vault.file("vault.log")).unwrap();
    let unseal = unseal.lines().find_map(|line| line.strip_prefix("Unseal Key: ")).unwrap().trim().to_owned();
    call(&vault, "PUT", "sys/seal", "");
    gateway.log_with("is sealed, or not able to serve; unseal it");
    all(&third, 200);
    is_refused(&setup(&consul, &vault, &token), "is sealed, or not able to serve; unseal it");
    call(&vault, "PUT", "sys/unseal", &json!({ "key": unseal }).to_string());
    gateway.log_with("resolved again references=\"kv://engine-1/kv1/claimgate/app#jwt, vault://");

    // Denied by Consul's ACL, then gone, then there again with nothing in it, then as before.
    let policy: Value =
        serde_json::from_slice(&call(&consul, "GET", "acl/policy/name/claimgate", "").body).unwrap();
    let mut denying = policy.clone();
    merge(&mut denying, json!({ "Rules": "key_prefix \"claimgate/\" { policy = \"deny\" }" }));
    call(&consul, "PUT", &format!("acl/policy/{}", policy["ID"].as_str().unwrap()), &denying.to_string());
    gateway.log_with("refuses to read claimgate/jwt with 403 Forbidden");
    all(&third, 200);
    is_refused(&setup(&consul, &vault, &token), "refuses to read claimgate/jwt with 403 Forbidden");
    consul.run("stop.sh", &[]);
    gateway.log_with("cannot be asked: the request failed");
    all(&third, 200);
    is_refused(&setup(&consul, &vault, &token), "cannot be asked: the request failed");
    consul.run("start.sh", &[]);
    gateway.log_with("has no key claimgate/jwt, or its token may not see it");
    all(&third, 200);
    call(&consul, "PUT", "kv/claimgate/jwt", &text(&first));
    gateway.log_with("values have changed and are in use references=\"consul://claimgate/jwt\"");
    assert_eq!(status(&gateway, "/consul/", &first), 200);
    assert_eq!(status(&gateway, "/consul/", &third), 401);

    let (_, log, _) = gateway.stop();
    for secret in [text(&first), text(&third), token.clone(), "fake-secret-id".into()] {
        assert!(!log.contains(&secret));
    }
}

#[test]
#[ignore = "needs the real servers: cargo test --test it -- --ignored real_stores"]
fn real_vault_over_tls() {
    let vault = RealServer::start("vault");
    let first = key("first");
    let secret = json!({ "data": { "jwt": text(&first) } });
    call(&vault, "POST", "secret/data/claimgate/app", &secret.to_string());
    let setup = |certificates: Value| {
        let kv = json!({ "vault": {
            "address": format!("https://127.0.0.1:{}", vault.tls_port),
            "token": VAULT_ROOT,
            "max_retries": 0,
            "tls_config": certificates,
        } });
        let definition = api("a", &Server::up(), hmac("vault://secret/claimgate/app.jwt"));
        Setup::new().config(&json!({ "kv": kv })).api(&definition)
    };
    let gateway = setup(json!({
        "ca_file": vault.file("ca.pem"),
        "cert_file": vault.file("client.pem"),
        "key_file": vault.file("client.key"),
    }))
    .start();
    assert_eq!(status(&gateway, "/a/", &first), 200);
    is_refused(&setup(json!({})), "cannot be asked: the request failed: invalid peer certificate");
}
