//! Secrets of the gateway itself, which no definition and no policy may name.

use std::{fs, os::unix::fs::symlink, process::Output};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::support::{Request, Server, Setup, Store, TOKEN, api, keyless, merge, scheme};

/// An API that sends this text to its upstream.
fn sending(upstream: &Server, text: &str) -> Value {
    let mut document = keyless("a", upstream);
    let headers = json!({ "enabled": true, "add": [{ "name": "X-Own", "value": text }] });
    merge(
        &mut document,
        json!({ "x-tyk-api-gateway": { "middleware": { "global": { "transformRequestHeaders": headers } } } }),
    );
    document
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Whose control API is opened by secrets in every sort of place.
fn setup(consul: &Store, vault: &Store) -> Setup {
    let key = |name: &str, secret: &str| json!({ "name": name, "secret": secret, "roles": ["read"] });
    let keys = json!([
        key("variable", "env://root"),
        key("file", "file://keys/root.txt"),
        key("member", "secrets://root"),
        key("part", "kv://file/parts.json#gateway"),
        key("consul", "consul://gateway/root"),
        key("vault", "vault://secret/gateway.root"),
        key("brief", "env://SHORT"),
    ]);
    let setup = Setup::new()
        .config(&json!({
            "admin": { "keys": keys, "tls": { "certificate": "server.pem", "key": "server.key" } },
            "secrets": { "root": "secret-of-member", "other": "x" },
            "keys": { "store": "redis", "secret": "env://SEALING" },
            "redis": {
                "url": "rediss://127.0.0.1:1",
                "password": "env://REDIS",
                "tls": { "clientCertificate": "client.pem", "clientKey": "client.key" },
            },
            "jwks": { "clientKey": "env://CLIENT_KEY", "clientCertificate": "env://CLIENT_CERTIFICATE" },
            "kv": {
                "consul": { "address": consul.address(), "token": TOKEN },
                "vault": { "address": vault.url(), "token": "env://VAULT_TOKEN" },
                "stores": {
                    "any": { "type": "env", "config": { "allow_no_prefix": true } },
                    "again": { "type": "hashicorp_consul", "config": { "address": consul.address(), "token": TOKEN } },
                    "keys": { "type": "file", "config": { "base_path": "keys" } },
                    "all": { "type": "file", "config": { "base_path": "/" } },
                },
            },
        }))
        .env("TYK_SECRET_ROOT", "secret-of-variable")
        .env("COPY", "secret-of-file")
        .env("WITHIN", "Basic secret-of-member!")
        .env("SHORT", "short")
        .env("SHORTER", "short")
        .env("LONGER", "not so short")
        .env("SEALING", "0123456789abcdef0123456789abcdef")
        .env("REDIS", "secret-of-redis")
        .env("VAULT_TOKEN", TOKEN)
        .env("CLAIMGATE_ADMIN_SECRET", "secret-of-environment");
    fs::create_dir(setup.path("keys")).unwrap();
    let setup = setup
        .file("keys/root.txt", "secret-of-file\n")
        .file("keys/other.txt", "other")
        .file("server.pem", include_str!("../data/tls/server.pem"))
        .file("server.key", include_str!("../data/tls/server.key"))
        .file("client.pem", include_str!("../data/tls/client.pem"))
        .file("client.key", include_str!("../data/tls/client.key"))
        .file("copy.key", &format!("\n{}\n\n", include_str!("../data/tls/server.key")))
        .env(
            "BUNDLE",
            concat!(include_str!("../data/tls/server.pem"), include_str!("../data/tls/server.key")),
        )
        .file("parts.json", r#"{ "gateway": "secret-of-part", "api": "for the upstream" }"#);
    symlink("keys/root.txt", setup.path("link")).unwrap();
    fs::hard_link(setup.path("keys/root.txt"), setup.path("hard")).unwrap();
    setup
        .env("CLIENT_KEY", include_str!("../data/tls/client.key"))
        .env("CLIENT_CERTIFICATE", include_str!("../data/tls/client.pem"))
}

#[test]
fn documents_cannot_name_them_in_any_spelling() {
    let consul = Store::consul().with("gateway/root", "secret-of-consul").with("api/key", "of an API");
    let vault = Store::vault().with("secret/data/gateway", r#"{"root":"secret-of-vault","api":"of an API"}"#);
    let setup = setup(&consul, &vault);
    let upstream = Server::up();
    let root = setup.path("keys/root.txt");
    let absolute = format!("file://{}", root.display());
    let below_all = format!("kv://all{}", root.canonicalize().unwrap().display());
    for (text, setting) in [
        ("env://root", "admin.keys (variable)"),
        (" ENV://root ", "admin.keys (variable)"),
        ("Bearer env://root", "admin.keys (variable)"),
        ("env://TYK_SECRET_ROOT", "admin.keys (variable)"),
        ("$secret_env.root", "admin.keys (variable)"),
        ("<$kv{env:Root}>", "admin.keys (variable)"),
        ("kv://any/TYK_SECRET_ROOT", "admin.keys (variable)"),
        ("file://keys/root.txt", "admin.keys (file)"),
        ("file://keys/./root.txt", "admin.keys (file)"),
        (&absolute, "admin.keys (file)"),
        (&below_all, "admin.keys (file)"),
        ("file://link", "admin.keys (file)"),
        ("file://hard", "admin.keys (file)"),
        ("$secret_file.keys/root.txt", "admin.keys (file)"),
        ("kv://keys/root.txt", "admin.keys (file)"),
        ("secrets://root", "admin.keys (member)"),
        ("$secret_conf.root", "admin.keys (member)"),
        ("kv://file/parts.json#/gateway", "admin.keys (part)"),
        ("file://parts.json", "admin.keys (part)"),
        ("consul://gateway/root", "admin.keys (consul)"),
        ("kv://again/gateway/root", "admin.keys (consul)"),
        ("vault://secret/gateway.root", "admin.keys (vault)"),
        ("kv://vault/secret/gateway#root", "admin.keys (vault)"),
        ("kv://vault/secret/gateway", "admin.keys (vault)"),
        ("env://SEALING", "keys.secret"),
        ("env://REDIS", "redis.password"),
        ("env://CLIENT_KEY", "jwks.clientKey"),
        ("env://VAULT_TOKEN", "kv.vault.token"),
        ("file://server.key", "admin.tls.key"),
        ("file://client.key", "redis.tls.clientKey"),
        // The same value elsewhere, or more around it.
        ("env://COPY", "admin.keys (file)"),
        ("env://WITHIN", "admin.keys (member)"),
        ("env://SHORTER", "admin.keys (brief)"),
        ("file://copy.key", "admin.tls.key"),
        ("env://BUNDLE", "admin.tls.key"),
        // What has inline ones.
        ("file://claimgate.yaml", "claimgate.yaml"),
        ("env://CLAIMGATE_ADMIN_SECRET", "a variable of its configuration"),
        ("kv://any/CLAIMGATE_ADMIN_SECRET", "a variable of its configuration"),
        ("kv://all/proc/self/environ", "it tells of a process"),
    ] {
        setup.write("api-definitions/a.json", &sending(&upstream, text).to_string());
        let output = setup.check();
        let said = said(&output);
        let is_told = said.contains(setting) && said.contains("a.json");
        assert!(!output.status.success() && is_told && !said.contains("secret-of"), "{text}: {said}");
    }
    for text in [
        "env://LONGER",
        "file://keys/other.txt",
        "secrets://other",
        "kv://file/parts.json#api",
        "consul://api/key",
        "vault://secret/gateway.api",
    ] {
        setup.write("api-definitions/a.json", &sending(&upstream, text).to_string());
        let output = setup.check();
        assert!(output.status.success(), "{text}: {}", said(&output));
    }
}

#[test]
fn neither_keys_nor_policies_can() {
    let upstream = Server::up();
    let setup = || Setup::new().config(&json!({ "admin": { "secret": "env://ROOT" } })).env("ROOT", "x");
    let source = |source: &str| {
        let jwt = json!({ "source": source, "signingMethod": "hmac" });
        setup().api(&api("a", &upstream, scheme(jwt)))
    };
    let policy = json!({ "id": "p", "access_rights": { "a": {} }, "meta_data": { "x": "env://ROOT" } });
    for (setup, file) in [
        (source("env://ROOT"), "a.json"),
        (source(&STANDARD.encode("env://ROOT")), "a.json"),
        (setup().api(&keyless("a", &upstream)).policy(&policy), "p.json"),
    ] {
        let output = setup.check();
        let said = said(&output);
        let is_told = said.contains(file) && said.contains("a secret of the gateway itself (admin.secret)");
        assert!(!output.status.success() && is_told, "{said}");
    }
}

#[test]
fn a_change_with_one_is_refused_and_so_is_a_setting_that_makes_it_one() {
    let upstream = Server::up();
    let gateway = Setup::new()
        .config(&json!({ "admin": { "keys": [{ "name": "a", "secret": "env://ROOT", "roles": ["read"] }] } }))
        .env("ROOT", "secret-of-root")
        .env("OTHER", "for the upstream")
        .api(&keyless("a", &upstream))
        .start();
    let put = |text: &str| {
        let document = sending(&upstream, text).to_string();
        gateway.admin(Request::new("PUT", "/tyk/apis/oas/a?reload=true").body(document.as_bytes()))
    };
    let file = gateway.setup().path("api-definitions/a.json");
    let before = fs::read(&file).unwrap();
    let answer = put("env://ROOT");
    assert_eq!((answer.status, fs::read(&file).unwrap()), (400, before), "{}", answer.text());
    assert!(answer.text().contains("a secret of the gateway itself (admin.keys (a))"), "{}", answer.text());
    assert_eq!(put("env://OTHER").status, 200);
    assert_eq!(gateway.send(&Request::get("/a/x")).status, 200);
    assert_eq!(upstream.take_one().values("x-own"), ["for the upstream"]);
    // From now on the one that the definition names opens the control API.
    let config = fs::read_to_string(gateway.setup().path("claimgate.yaml")).unwrap();
    gateway.setup().write("claimgate.yaml", &config.replace("env://ROOT", "env://OTHER"));
    let answer = gateway.reload();
    assert!(answer.status == 422 && answer.text().contains("env://OTHER"), "{}", answer.text());
}

#[test]
fn documents_may_be_held_to_some_references() {
    let upstream = Server::up();
    let setup = |allow: Value| {
        let setup = Setup::new()
            .config(&json!({
                "references": { "allow": allow },
                "kv": { "file": { "base_path": "files" } },
                // Settings are not held to it.
                "admin": { "secret": "env://ADMIN" },
            }))
            .env("ADMIN", "secret-of-admin")
            .env("API_KEY", "1")
            .env("TYK_SECRET_API_KEY", "2")
            .env("OTHER", "3");
        fs::create_dir_all(setup.path("files/apis")).unwrap();
        setup.file("files/apis/key", "4").file("files/other", "5")
    };
    let allowing = setup(json!(["env:API_", "file:apis/"]));
    for (text, is_good) in [
        ("env://API_KEY", true),
        ("$secret_env.API_KEY", true),
        ("kv://env/API_KEY", true),
        ("file://apis/key", true),
        ("x $kv{file:apis/key}", true),
        ("env://OTHER", false),
        ("env://api_KEY", false),
        ("file://other", false),
        ("$kv{env:API_KEY} $kv{file:other}", false),
    ] {
        allowing.write("api-definitions/a.json", &sending(&upstream, text).to_string());
        let output = allowing.check();
        assert_eq!(output.status.success(), is_good, "{text}: {}", said(&output));
        assert!(is_good || said(&output).contains("it is not in references.allow"), "{}", said(&output));
    }
    let output = setup(json!([])).api(&sending(&upstream, "env://API_KEY")).check();
    assert!(!output.status.success(), "an empty list allows nothing: {}", said(&output));
    for (entry, reason) in [
        ("env://API_", "is no store with the beginning of a key"),
        ("API_", "is no store with the beginning of a key"),
        (":API_", "is no store with the beginning of a key"),
        ("volt:apis/", "there is no store volt"),
        ("vault:apis/", "there is no store vault"),
    ] {
        let output = setup(json!([entry])).api(&keyless("a", &upstream)).check();
        assert!(!output.status.success() && said(&output).contains(reason), "{entry}: {}", said(&output));
    }
}
