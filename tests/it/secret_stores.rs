//! References: what they stand for, when they change, and when their store fails.

use std::{
    process::Output,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc::channel,
    },
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use claimgate::jwt::{Algorithm, sign::SigningKey};
use serde_json::{Value, json};

use super::support::{
    Gateway, Mood, ROLE_ID, Request, SECRET_ID, Server, Setup, Store, TOKEN, api, claims, key, key_named,
    keyless, merge, provider, respond, scheme,
};

fn token(key: &SigningKey) -> String {
    key.sign(&json!({}), &claims(json!({}))).unwrap()
}

/// A key of shared secrets as text: base64.
fn text(key: &SigningKey) -> String {
    key.to_text().unwrap().trim().to_owned()
}

fn old() -> Arc<SigningKey> {
    key_named("old", Algorithm::HS256)
}

fn new() -> Arc<SigningKey> {
    key_named("new", Algorithm::HS256)
}

fn hmac(source: &str) -> Value {
    scheme(json!({ "source": source, "signingMethod": "hmac" }))
}

fn status(gateway: &Gateway, path: &str, key: &SigningKey) -> u16 {
    gateway.send(&Request::get(path).bearer(&token(key))).status
}

/// `kv` for both stores, without retries, so that failures are told at once.
fn kv(consul: &Store, vault: &Store) -> Value {
    json!({
        "refresh_interval": "1s",
        "consul": { "address": consul.address(), "token": "env://CONSUL_TOKEN" },
        "vault": { "address": vault.url(), "token": TOKEN, "max_retries": 0 },
    })
}

fn setup(kv: Value) -> Setup {
    Setup::new().config(&json!({ "kv": kv })).env("CONSUL_TOKEN", TOKEN)
}

/// The errors of `claimgate check`.
fn errors(output: &Output) -> Vec<String> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().filter(|line| line.starts_with("error: ")).map(str::to_owned).collect()
}

#[test]
fn keys_from_every_store_in_every_form() {
    let upstream = Server::up();
    let secret = text(&old());
    let raw = String::from_utf8(vec![b'k'; 40]).unwrap();
    let raw_key = SigningKey::from_secret(Algorithm::HS256, raw.as_bytes()).unwrap();
    let consul = Store::consul().with("tyk-apis/jwt", &secret).with("team/jwt", &secret).with("raw", &raw);
    let consul = consul.with("team/raw", &raw);
    let vault = Store::vault()
        .with("secret/data/tyk-apis", &json!({ "jwt": secret, "deep": { "jwt": secret } }).to_string())
        .with("secret/data/team/app", &json!({ "jwt": secret, "raw": raw }).to_string())
        .with("kv1/app", &json!({ "jwt": secret }).to_string())
        .with("tenants/a/kv/data/app", &json!({ "jwt": secret }).to_string());
    let mut kv = kv(&consul, &vault);
    merge(
        &mut kv,
        json!({ "stores": {
            "old-vault": {
                "type": "hashicorp_vault",
                "required": true,
                "config": { "address": vault.url(), "token": "env://CONSUL_TOKEN", "kv_version": 1 },
            },
            "tenants": {
                "type": "hashicorp_vault",
                "config": { "address": vault.url(), "token": TOKEN, "mount_path": "tenants/a/kv" },
            },
            "other": { "type": "hashicorp_consul", "config": { "address": consul.url(), "token": TOKEN } },
            "mine": { "type": "inline", "config": { "data": { "jwt": secret } } },
            "vars": { "type": "env", "config": { "prefix": "MY_", "uppercase": true } },
            "files": { "type": "file", "config": { "base_path": "keys" } },
        } }),
    );
    let b64 = |text: &str| STANDARD.encode(text);
    let sources = [
        ("consul", "consul://jwt".to_owned(), false),
        ("consul-path", "consul://team/jwt".to_owned(), false),
        ("consul-b64", b64("consul://team/raw"), true),
        ("consul-case", b64("  CONSUL://team/raw\n"), true),
        ("vault", "vault://jwt".to_owned(), false),
        ("vault-deep", "vault://deep.jwt".to_owned(), false),
        ("vault-path", "vault://secret/team/app.jwt".to_owned(), false),
        ("vault-b64", b64("vault://secret/team/app.raw"), true),
        ("kv-vault", "kv://vault/secret/team/app#jwt".to_owned(), false),
        ("kv-v1", "kv://old-vault/kv1/app#jwt".to_owned(), false),
        ("kv-mount", "$kv{tenants:tenants/a/kv/app#/jwt}".to_owned(), false),
        ("kv-consul", b64("kv://consul/raw"), true),
        ("kv-other", "kv://other/team/jwt".to_owned(), false),
        ("kv-inline", "kv://mine/jwt".to_owned(), false),
        ("kv-env", "kv://vars/jwt".to_owned(), false),
        ("kv-file", "kv://files/jwt.key".to_owned(), false),
        ("secrets", "secrets://jwt".to_owned(), false),
        ("secrets-b64", b64("secrets://raw"), true),
        ("label", "$secret_conf.jwt".to_owned(), false),
        ("spaced", " \tEnv://MY_JWT ".to_owned(), false),
    ];
    let mut setup = Setup::new()
        .config(&json!({ "kv": kv, "secrets": { "jwt": secret, "jwt-2": "another", "raw": raw } }))
        .env("CONSUL_TOKEN", TOKEN)
        .env("MY_JWT", &secret);
    std::fs::create_dir(setup.path("keys")).unwrap();
    setup = setup.file("keys/jwt.key", &format!("{secret}\n"));
    for (id, source, _) in &sources {
        setup = setup.api(&api(id, &upstream, hmac(source)));
    }
    let gateway = setup.start();
    for (id, _, is_raw) in &sources {
        let (good, bad) = if *is_raw { (&raw_key, &*old()) } else { (&*old(), &raw_key) };
        assert_eq!(status(&gateway, &format!("/{id}/"), good), 200, "{id}");
        assert_eq!(status(&gateway, &format!("/{id}/"), bad), 401, "{id}");
    }
    // Each place of a store once, whoever refers to it, and however; `other` is a store of its own.
    let asked = |store: &Store| {
        let mut asked = store.asked();
        asked.sort();
        asked
    };
    let keys = ["raw", "team/jwt", "team/jwt", "team/raw", "tyk-apis/jwt"];
    assert_eq!(asked(&consul), keys.map(|key| format!("/v1/kv/{key}?raw")));
    let paths = ["kv1/app", "secret/data/team/app", "secret/data/tyk-apis", "tenants/a/kv/data/app"];
    assert_eq!(asked(&vault), paths.map(|path| format!("/v1/{path}")));
}

#[test]
fn any_text_of_a_definition_and_of_a_policy() {
    let upstream = Server::up();
    let idp = provider(&[("k", key(Algorithm::RS256))]);
    let host = upstream.address().to_string();
    let consul = Store::consul()
        .with("site/upstream", &upstream.url())
        .with("site/host", &host)
        .with("site/jwks", &idp.url())
        .with("site/issuer", "https://idp.test")
        .with("site/policy", "granting")
        .with("site/org", "acme");
    let vault = Store::vault().with("secret/data/tyk-apis", r#"{"token":"upstream-token-1"}"#);
    let mut document = api(
        "a",
        &upstream,
        scheme(json!({
            "jwksURIs": [{ "url": "consul://site/jwks" }],
            "signingMethod": "rsa",
            "allowedIssuers": ["consul://site/issuer"],
            "defaultPolicies": ["kv://consul/site/policy"],
        })),
    );
    merge(
        &mut document,
        json!({
            "info": { "description": "not ours: $kv{nowhere:x}, consul://nowhere/at/all" },
            "x-tyk-api-gateway": {
                "info": { "orgId": "consul://site/org" },
                "upstream": { "url": "http://$kv{consul:site/host}/base" },
                "middleware": { "global": {
                    "transformRequestHeaders": { "enabled": true, "add": [
                        { "name": "X-Token", "value": "vault://token" },
                        { "name": "X-Bearer", "value": "Bearer vault://token" },
                        { "name": "X-Mixed", "value": "a=$secret_vault.token;b=$secret_conf.plain" },
                    ] },
                    "transformResponseHeaders": { "enabled": true, "add": [
                        { "name": "X-Site", "value": "secrets://plain" },
                    ] },
                } },
            },
        }),
    );
    let policy = json!({
        "id": "granting", "org_id": "consul://site/org", "access_rights": { "a": { "api_id": "a" } }
    });
    let setup = Setup::new()
        .config(&json!({
            "kv": kv(&consul, &vault),
            "secrets": { "plain": "in-the-file" },
            "admin": { "secret": "consul://site/admin" },
        }))
        .env("CONSUL_TOKEN", TOKEN)
        .api(&document)
        .policy(&policy);
    consul.put("site/admin", "a-secret-of-this-test");
    let gateway = setup.start();
    assert_eq!(
        gateway
            .send(
                &Request::get("/a/x").bearer(&{
                    key(Algorithm::RS256).sign(&json!({ "kid": "k" }), &claims(json!({}))).unwrap()
                })
            )
            .header("x-site"),
        Some("in-the-file")
    );
    let request = upstream.take_one();
    assert_eq!(request.target(), "/base/x");
    assert_eq!(request.values("x-token"), ["upstream-token-1"]);
    assert_eq!(request.values("x-bearer"), ["Bearer upstream-token-1"]);
    assert_eq!(request.values("x-mixed"), ["a=upstream-token-1;b=in-the-file"]);
    assert_eq!(gateway.reload().status, 200, "the control API's secret is a reference as well");
    // The text of the reference does not.
    let refused = gateway.admin_without_secret(
        &Request::get("/tyk/reload").header("x-tyk-authorization", "consul://site/admin"),
    );
    assert_eq!(refused.status, 403);
}

#[test]
fn what_cannot_be_resolved_says_where_and_why() {
    let upstream = Server::up();
    let consul = Store::consul().with("team/nested", "vault://x").with("team/empty", "\n");
    let vault = Store::vault().with("secret/data/tyk-apis", r#"{"jwt":"x","none":null}"#);
    for (source, reason) in [
        ("consul://team/missing", "has no key team/missing"),
        ("consul://missing", "has no key tyk-apis/missing"),
        ("consul://team/nested", "holds another reference"),
        ("consul://team/empty", "is empty"),
        ("vault://missing", "does not have"),
        ("vault://none", "does not have"),
        ("vault://secret/app", "write vault://secret/app.FIELD"),
        ("vault://secret/app.key", "has no secret at secret/data/app"),
        ("kv://nowhere/key", "configure kv.stores.nowhere"),
        ("$kv{consul:team", "has no end"),
        ("secrets://missing", "there are no secrets in claimgate.yaml"),
        ("https://consul://x/jwks", "in the middle"),
        (&STANDARD.encode("consul://team/missing"), "has no key team/missing"),
        (&STANDARD.encode("\tVAULT://missing "), "does not have"),
        // Texts that name a value nowhere, of which each is a published secret if it is taken as a key.
        (&STANDARD.encode("aws-secrets://prod/jwt-secret-of-forty-octets"), "everybody can read"),
        (
            &STANDARD.encode(STANDARD.encode("consul://secrets/jwt-secret-of-forty-octets")),
            "everybody can read",
        ),
        (
            &base64::engine::general_purpose::URL_SAFE_NO_PAD
                .encode("etcd://secrets/jwt-secret?>?>?>~~~~~~~~"),
            "everybody can read",
        ),
    ] {
        let setup = setup(kv(&consul, &vault)).api(&api("a", &upstream, hmac(source)));
        let found = errors(&setup.check());
        assert_eq!(found.len(), 1, "{source}: {found:#?}");
        let field = "x-tyk-api-gateway.server.authentication.securitySchemes.jwt.source: ";
        assert!(found[0].contains("a.json:") && found[0].contains(field), "{source}: {found:?}");
        assert!(found[0].contains(reason), "{source}: {found:?}");
    }
    let mut document = keyless("a", &upstream);
    merge(&mut document, json!({ "x-tyk-api-gateway": { "upstream": { "url": "vault://missing" } } }));
    let setup = setup(kv(&consul, &vault))
        .api(&document)
        .policy(&json!({ "id": "p", "tags": ["consul://team/missing"], "access_rights": {} }));
    let found = errors(&setup.check());
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].contains("a.json:1: x-tyk-api-gateway.upstream.url: vault://missing"), "{found:?}");
    assert!(found[1].contains("p.json:1: tags[0]: Consul at http://"), "{found:?}");
}

#[test]
fn stores_that_refuse_or_fail_stop_the_start_and_not_a_reload() {
    let upstream = Server::up();
    let consul = Store::consul().with("team/jwt", &text(&old()));
    let vault = Store::vault().with("secret/data/tyk-apis", &json!({ "jwt": text(&old()) }).to_string());
    let with = || {
        setup(kv(&consul, &vault)).api(&api("consul", &upstream, hmac("consul://team/jwt"))).api(&api(
            "vault",
            &upstream,
            hmac("vault://jwt"),
        ))
    };
    let gateway = with().start();
    let cases = [
        (&consul, Mood::Down, "answered 500 Internal Server Error"),
        (&consul, Mood::Denying, "refuses to read team/jwt with 403 Forbidden; its token must be valid"),
        (&vault, Mood::Down, "is sealed, or not able to serve; unseal it"),
        (
            &vault,
            Mood::Denying,
            "refuses to read secret/data/tyk-apis with 403 Forbidden; its token must be valid",
        ),
    ];
    for (store, mood, reason) in cases {
        store.set_mood(mood);
        let output = with().command("run").output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(reason) && said.contains("jwt.source"), "{reason}: {said}");
        let answer = gateway.reload();
        assert_eq!(answer.status, 422);
        assert!(answer.text().contains(reason), "{}", answer.text());
        store.set_mood(Mood::Well);
    }
    for path in ["/consul/", "/vault/"] {
        assert_eq!(status(&gateway, path, &old()), 200, "what was loaded goes on");
    }
    // Nobody is there at all.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut kv = kv(&consul, &vault);
    merge(&mut kv, json!({ "consul": { "address": nobody.to_string() } }));
    let setup = setup(kv).api(&api("a", &upstream, hmac("consul://team/jwt")));
    let output = setup.command("run").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        said.contains(&format!("Consul at http://{nobody} cannot be asked: the request failed")),
        "{said}"
    );
    assert_eq!(gateway.reload().status, 200);
}

#[test]
fn a_store_that_is_down_is_waited_for_once() {
    let upstream = Server::up();
    let consul = Store::consul();
    consul.set_mood(Mood::Down);
    let mut setup = setup(kv(&consul, &Store::vault()));
    for id in ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"] {
        setup = setup.api(&api(id, &upstream, hmac(&format!("consul://team/{id}"))));
    }
    let found = errors(&setup.check());
    assert_eq!(found.len(), 10, "{found:#?}");
    assert!(found.iter().all(|error| error.contains("answered 500")), "{found:#?}");
    assert_eq!(consul.asked().len(), 3, "one request, tried twice again");
}

#[test]
fn a_changed_value_is_used_without_a_reload() {
    let upstream = Server::up();
    let vault = Store::vault().with("secret/data/tyk-apis", &json!({ "jwt": text(&old()) }).to_string());
    let consul = Store::consul().with("team/admin", "a-secret-of-this-test");
    let setup = setup(kv(&consul, &vault))
        .api(&api("a", &upstream, hmac("vault://jwt")))
        .config(&json!({ "kv": kv(&consul, &vault), "admin": { "secret": "consul://team/admin" } }));
    let gateway = setup.start();
    assert_eq!(status(&gateway, "/a/", &old()), 200);
    assert_eq!(status(&gateway, "/a/", &new()), 401);
    // What nobody has asked to reload is not: this file would be an error.
    gateway.setup().write("api-definitions/broken.json", "{");
    vault.put("secret/data/tyk-apis", &json!({ "jwt": text(&new()) }).to_string());
    gateway.log_with("values have changed and are in use references=\"vault://jwt\"");
    assert_eq!(status(&gateway, "/a/", &new()), 200);
    assert_eq!(status(&gateway, "/a/", &old()), 401, "also a token that was found good before");
    consul.put("team/admin", "another-secret");
    gateway.log_with("values have changed and are in use references=\"consul://team/admin\"");
    assert_eq!(gateway.admin(Request::get("/tyk/kv/status")).status, 403);
    let admin = Request::get("/tyk/kv/status").header("x-tyk-authorization", "another-secret");
    let answer = gateway.admin_without_secret(&admin);
    let status: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(
        status["references"],
        json!([
            { "reference": "consul://team/admin", "state": "ok" },
            { "reference": "vault://jwt", "state": "ok" },
        ])
    );
    let (_, log, requests) = gateway.stop();
    for secret in [text(&old()), text(&new()), "another-secret".into(), TOKEN.into()] {
        assert!(!log.contains(&secret) && !requests.contains(&secret) && !answer.text().contains(&secret));
    }
}

#[test]
fn a_store_that_takes_its_time_holds_up_no_reload_and_no_change() {
    let upstream = Server::up();
    let (asked, is_asked) = channel();
    let (release, released) = channel();
    let (asked, released, number) = (Mutex::new(asked), Mutex::new(released), Arc::new(AtomicUsize::new(0)));
    let counter = Arc::clone(&number);
    let consul = Server::start(move |_, stream| {
        // The first one is the start, the second one is by the interval.
        let number = counter.fetch_add(1, Ordering::SeqCst);
        let _ = asked.lock().unwrap().send(number);
        if number == 1 {
            let _ = released.lock().unwrap().recv();
        }
        let value = if number == 1 { text(&old()) } else { text(&new()) };
        respond(stream, "200 OK", "text/plain", value.as_bytes())
    });
    let wait_for = |number| while is_asked.recv_timeout(Duration::from_secs(30)).unwrap() < number {};
    let kv = json!({
        "refresh_interval": "1s",
        "consul": { "address": consul.address().to_string(), "timeout": "30s" },
    });
    let gateway = setup(kv).api(&api("a", &upstream, hmac("consul://jwt"))).start();
    wait_for(1);
    assert_eq!(gateway.reload().status, 200);
    let added = keyless("b", &upstream).to_string();
    let added = Request::new("POST", "/tyk/apis/oas?reload=true").body(added.as_bytes());
    assert_eq!(gateway.admin(added).status, 200);
    assert_eq!(status(&gateway, "/b/", &old()), 200);
    let so_far = number.load(Ordering::SeqCst);
    release.send(()).unwrap();
    // By the next time it is decided what becomes of this one.
    wait_for(so_far);
    assert_eq!(status(&gateway, "/a/", &new()), 200);
    let (_, log, _) = gateway.stop();
    assert!(!log.contains("values have changed"), "what was loaded meanwhile is newer: {log}");
    assert!(!log.contains("cannot be resolved again"), "the store was waited for: {log}");
}

#[test]
fn the_last_values_go_on_while_a_store_fails() {
    let upstream = Server::up();
    let consul = Store::consul().with("team/jwt", &text(&old())).with("team/other", &text(&old()));
    let vault = Store::vault().with("secret/data/tyk-apis", &json!({ "jwt": text(&old()) }).to_string());
    let setup = setup(kv(&consul, &vault))
        .api(&api("consul", &upstream, hmac("consul://team/jwt")))
        .api(&api("other", &upstream, hmac("consul://team/other")))
        .api(&api("vault", &upstream, hmac("vault://jwt")));
    let gateway = setup.start();
    consul.set_mood(Mood::Down);
    gateway.log_with("references cannot be resolved again; their last values go on");
    for path in ["/consul/", "/other/", "/vault/"] {
        assert_eq!(status(&gateway, path, &old()), 200);
    }
    let answer = gateway.admin(Request::get("/tyk/kv/status"));
    let state: Value = serde_json::from_slice(&answer.body).unwrap();
    let failing = &state["references"][0];
    assert_eq!(failing["reference"], "consul://team/jwt", "{state}");
    assert_eq!(failing["state"], "failing");
    assert!(failing["reason"].as_str().unwrap().contains("answered 500"), "{state}");
    assert_eq!(state["references"][2], json!({ "reference": "vault://jwt", "state": "ok" }));
    // One that works is refreshed while another one fails.
    vault.put("secret/data/tyk-apis", &json!({ "jwt": text(&new()) }).to_string());
    gateway.log_with("values have changed and are in use references=\"vault://jwt\"");
    assert_eq!(status(&gateway, "/vault/", &new()), 200);
    assert_eq!(status(&gateway, "/consul/", &old()), 200);
    // What is no key is told once, and the last one goes on.
    vault.put("secret/data/tyk-apis", r#"{"jwt":"c2hvcnQ="}"#);
    gateway.log_with("values have changed and cannot be used; the last ones go on");
    assert_eq!(status(&gateway, "/vault/", &new()), 200);
    consul.set_mood(Mood::Well);
    gateway.log_with("references are resolved again references=\"consul://team/jwt, consul://team/other\"");
    // It holds up no other one, and is told again then alone.
    consul.put("team/jwt", &text(&new()));
    gateway.log_with("values have changed and are in use references=\"consul://team/jwt\"");
    assert_eq!((status(&gateway, "/consul/", &new()), status(&gateway, "/consul/", &old())), (200, 401));
    assert_eq!(status(&gateway, "/vault/", &new()), 200);
    let (_, log, _) = gateway.stop();
    let bad = "cannot be used; the last ones go on references=\"vault://jwt\"";
    for (said, times) in [("their last values go on", 1), (bad, 2), ("are resolved again", 1)] {
        assert_eq!(log.matches(said).count(), times, "{said}: {log}");
    }
}

#[test]
fn a_role_logs_in_and_again_when_its_token_is_revoked() {
    let upstream = Server::up();
    let vault = Store::vault()
        .with("secret/data/tyk-apis", &json!({ "jwt": text(&old()) }).to_string())
        .with("secret/data/b/c", &json!({ "jwt": text(&old()) }).to_string());
    let kv = json!({
        "refresh_interval": "1s",
        "vault": {
            "address": vault.url(),
            "namespace": "team-a",
            "approle": { "role_id": ROLE_ID, "secret_id": "file://secret-id" },
        },
    });
    let gateway = setup(kv.clone())
        .file("secret-id", SECRET_ID)
        .api(&api("a", &upstream, hmac("vault://jwt")))
        .api(&api("b", &upstream, hmac("vault://secret/b/c.jwt")))
        .start();
    let logins = || vault.asked().iter().filter(|path| path.ends_with("/login")).count();
    assert_eq!(logins(), 1, "{:?}", vault.asked());
    assert!(vault.recorded().iter().all(|request| request.values("x-vault-namespace") == ["team-a"]));
    vault.revoke_all();
    vault.put("secret/data/tyk-apis", &json!({ "jwt": text(&new()) }).to_string());
    gateway.log_with("values have changed and are in use");
    assert_eq!(logins(), 2, "{:?}", vault.asked());
    assert_eq!(status(&gateway, "/a/", &new()), 200);
    let setup = setup(kv).file("secret-id", "wrong").api(&api("a", &upstream, hmac("vault://jwt")));
    let found = errors(&setup.check());
    assert!(found.len() == 1 && found[0].contains("refuses the login of the role"), "{found:?}");
}

#[test]
fn settings_of_stores() {
    for (settings, said) in [
        (
            json!({ "kv": { "consul": { "adress": "x" } } }),
            "kv.consul.adress: unknown field; did you mean address?",
        ),
        (json!({ "kv": { "consul": { "address": "http://x/path" } } }), "kv.consul: an address is a URL"),
        (json!({ "kv": { "consul": { "scheme": "ftp" } } }), "kv.consul.scheme: the scheme is http or https"),
        (
            json!({ "kv": { "consul": { "token": "consul://x" } } }),
            "kv.consul.token: consul://x is in a store",
        ),
        (
            json!({ "kv": { "consul": { "token": "env://UNSET" } } }),
            "kv.consul.token: the environment variable",
        ),
        (json!({ "kv": { "consul": { "http_auth": { "username": "x" } } } }), "kv.consul.http_auth: "),
        (
            json!({ "kv": { "consul": { "tls_config": { "insecure_skip_verify": true } } } }),
            "insecure_skip_verify: whoever is on the way",
        ),
        (
            json!({ "kv": { "consul": { "tls_config": { "ca_file": "missing.pem" } } } }),
            "kv.consul.tls_config.ca_file: ",
        ),
        (json!({ "kv": { "vault": {} } }), "kv.vault.address: Vault needs an address"),
        (
            json!({ "kv": { "vault": { "address": "http://127.0.0.1:1" } } }),
            "kv.vault.token: Vault needs a token",
        ),
        (
            json!({ "kv": { "vault": { "address": "http://127.0.0.1:1", "token": "x", "approle": { "role_id": "r" } } } }),
            "not both",
        ),
        (
            json!({ "kv": { "vault": { "address": "http://127.0.0.1:1", "token": "x", "kv_version": 3 } } }),
            "kv.vault.kv_version: the version of the key-value engine is 1 or 2",
        ),
        (
            json!({ "kv": { "vault": { "address": "http://127.0.0.1:1", "token": "x", "timeout": "soon" } } }),
            "kv.vault.timeout: a time is written like 5s",
        ),
        (
            json!({ "kv": { "refresh_interval": "10ms" } }),
            "kv.refresh_interval: an interval is written like 5m",
        ),
        (json!({ "kv": { "stores": { "vault": { "type": "inline" } } } }), "choose another one"),
        (json!({ "kv": { "stores": { "a/b": { "type": "inline" } } } }), "has no / : # or }"),
        (
            json!({ "kv": { "stores": { "a": { "type": "aws_secrets_manager" } } } }),
            "kv.stores.a.type: stores of this type",
        ),
        (json!({ "kv": { "stores": { "a": { "type": "x" } } } }), "kv.stores.a.type: a store is of the type"),
        (
            json!({ "kv": { "stores": { "a": { "type": "env" } } } }),
            "kv.stores.a.config.prefix: without a prefix",
        ),
        (
            json!({ "kv": { "stores": { "a": { "type": "file", "config": { "base": "x" } } } } }),
            "config.base: unknown field",
        ),
        (json!({ "kv": { "stores": { "a": { "type": "file" } } } }), "a store of files needs its folder"),
        (
            json!({ "kv": { "stores": { "a": { "type": "hashicorp_vault", "config": { "token": "x" } } } } }),
            "kv.stores.a.config.address: Vault needs an address",
        ),
        (json!({ "secrets": { "a": 1 } }), "secrets.a: a text is expected"),
        (json!({ "admin": { "secret": "aws://x/y" } }), "admin.secret: this is the text of a reference"),
    ] {
        let setup = Setup::new().config(&settings);
        let output = setup.command("run").output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{settings}: {text}");
        let errors: Vec<&str> = text.lines().filter(|line| line.starts_with("error: ")).collect();
        assert!(errors.len() == 1 && errors[0].contains(said), "{settings}: {text}");
    }
}

#[test]
fn settings_from_the_environment() {
    let upstream = Server::up();
    let vault = Store::vault().with("kv1/app", &json!({ "jwt": text(&old()) }).to_string());
    let gateway = Setup::new()
        .env("CLAIMGATE_KV_VAULT_ADDRESS", &vault.url())
        .env("CLAIMGATE_KV_VAULT_TOKEN", TOKEN)
        .env("CLAIMGATE_KV_VAULT_KV_VERSION", "1")
        .env("CLAIMGATE_KV_REFRESH_INTERVAL", "0")
        .api(&api("a", &upstream, hmac("vault://kv1/app.jwt")))
        .start();
    assert_eq!(status(&gateway, "/a/", &old()), 200);
}

#[test]
fn values_in_the_clear_from_another_machine_are_told() {
    let setup = Setup::new().config(&json!({ "kv": { "consul": { "address": "consul.example:8500" } } }));
    let said = String::from_utf8(setup.check().stdout).unwrap();
    assert!(
        said.contains("warning: kv.consul: values of Consul at http://consul.example:8500 come in the clear"),
        "{said}"
    );
}

#[test]
fn findings_name_the_reference_and_not_its_value() {
    let upstream = Server::up();
    let consul = Store::consul().with("team/issuer", "https://the-hidden-issuer.example");
    let mut document = api(
        "a",
        &upstream,
        scheme(
            json!({ "source": text(&old()), "signingMethod": "hmac", "allowedIssuers": ["https://other.example"] }),
        ),
    );
    merge(
        &mut document,
        json!({ "x-claimgate": { "server": { "authentication": { "securitySchemes": { "jwt": {
            "keySources": [{ "source": text(&new()), "issuers": ["consul://team/issuer"] }]
        } } } } } }),
    );
    let setup = setup(kv(&consul, &Store::vault())).api(&document);
    let said = String::from_utf8(setup.check().stdout).unwrap();
    assert!(said.contains("consul://team/issuer is none of allowedIssuers"), "{said}");
    assert!(!said.contains("the-hidden-issuer"), "{said}");
}
