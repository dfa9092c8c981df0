//! The command line.

use std::{io::Write as _, path::Path, process::Stdio};

use serde_json::{Value, json};

use crate::support::{Request, Server, Setup, api, binary, scheme};

fn text(octets: &[u8]) -> String {
    String::from_utf8(octets.to_vec()).unwrap()
}

/// What a command prints that succeeds in a folder.
#[track_caller]
fn run_in(folder: &Path, args: &[&str]) -> String {
    let output = binary().current_dir(folder).args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn demo_checks_itself() {
    let output = binary().args(["demo", "--check"]).output().unwrap();
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}{}", text(&output.stderr));
    // Every command that is printed can be pasted: the token is in it.
    let commands: Vec<&str> = said.lines().filter(|line| line.contains("curl -i")).collect();
    assert!(commands.len() > 10);
    assert!(commands.iter().all(|command| command.contains("'http://127.0.0.1:")));
    assert!(commands.iter().filter(|command| command.contains("eyJ")).count() > 8);
}

#[test]
fn keys_sets_and_tokens_for_tests_of_ones_own() {
    let upstream = Server::up();
    let folder = tempfile::TempDir::new().unwrap();
    let run = |args: &[&str]| run_in(folder.path(), args);
    for alg in ["RS256", "PS384", "ES256", "ES384", "ES512", "EdDSA", "HS256", "HS512"] {
        let file = format!("{alg}.key");
        std::fs::write(folder.path().join(&file), run(&["token", "key", "--alg", alg])).unwrap();
        let token = run(&[
            "token",
            "mint",
            "--key",
            &file,
            "--alg",
            alg,
            "--claims",
            r#"{"sub":"alice","n":1}"#,
            "--claim",
            "aud=orders",
            "--claim",
            "roles=[\"a\"]",
        ]);
        let source = if alg.starts_with("HS") {
            std::fs::read_to_string(folder.path().join(&file)).unwrap().trim().to_owned()
        } else {
            run(&["token", "jwks", &file, "--alg", alg])
        };
        let method = if alg.starts_with("HS") { "hmac" } else { "rsa" };
        let mut document = api(
            "a",
            &upstream,
            scheme(json!({ "source": source, "signingMethod": method, "allowedAudiences": ["orders"] })),
        );
        crate::support::merge(
            &mut document,
            json!({ "x-claimgate": { "server": { "authentication": { "securitySchemes": { "jwt": { "algorithms": [alg] } } } } } }),
        );
        let gateway = Setup::new().api(&document).start();
        assert_eq!(gateway.send(&Request::get("/a/").bearer(token.trim())).status, 200, "{alg}");
    }
}

#[test]
fn encrypted_tokens_for_tests_of_ones_own() {
    let upstream = Server::up();
    let folder = tempfile::TempDir::new().unwrap();
    let run = |args: &[&str]| run_in(folder.path(), args);
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("sign.key", &run(&["token", "key", "--alg", "ES256"]));
    let source = run(&["token", "jwks", "sign.key"]);
    for (alg, enc) in
        [("RSA-OAEP-256", "A128CBC-HS256"), ("ECDH-ES+A256KW", "A256GCM"), ("A128KW", "A192GCM")]
    {
        write("decrypt.key", &run(&["token", "key", "--alg", alg]));
        // An issuer has the public key alone, unless the key is shared.
        let to = if alg == "A128KW" {
            "decrypt.key:mine"
        } else {
            write("public.json", &run(&["token", "jwks", "decrypt.key:mine", "--alg", alg]));
            "public.json"
        };
        let mint = [
            "token",
            "mint",
            "--key",
            "sign.key",
            "--claim",
            "sub=alice",
            "--encrypt-to",
            to,
            "--encrypt-enc",
            enc,
        ];
        let token = run(&mint);
        assert_eq!(token.split('.').count(), 5, "{token}");
        let key = std::fs::read_to_string(folder.path().join("decrypt.key")).unwrap();
        let mut document = api("a", &upstream, scheme(json!({ "source": source, "signingMethod": "ecdsa" })));
        let decryption = json!({
            "keys": [{ "source": key.trim(), "kid": "mine", "algorithm": alg }], "contentEncryption": [enc]
        });
        crate::support::merge(
            &mut document,
            json!({ "x-claimgate": { "server": { "authentication": { "securitySchemes": { "jwt": { "decryption": decryption } } } } } }),
        );
        let gateway = Setup::new().api(&document).start();
        assert_eq!(gateway.send(&Request::get("/a/").bearer(token.trim())).status, 200, "{alg}");
    }
    for (args, said) in [
        (
            ["--encrypt-to", "decrypt.key", "--encrypt-enc", "A256CBC"],
            "A256CBC is not an algorithm for encryption",
        ),
        (
            ["--encrypt-to", "decrypt.key", "--encrypt-alg", "RSA1_5"],
            "RSA1_5 is not an algorithm for encryption",
        ),
        (["--encrypt-to", "sign.key", "--encrypt-alg", "A128KW"], "cannot do A128KW"),
        (["--encrypt-to", "none", "--encrypt-enc", "A128GCM"], "none cannot be read"),
    ] {
        let mut command = binary();
        command.current_dir(folder.path()).args(["token", "mint", "--key", "sign.key"]).args(args);
        let output = command.output().unwrap();
        assert!(!output.status.success() && text(&output.stderr).contains(said), "{}", text(&output.stderr));
    }
    let shared = ["token", "jwks", "decrypt.key", "--alg", "A128KW"];
    let output = binary().current_dir(folder.path()).args(shared).output().unwrap();
    assert!(text(&output.stderr).contains("a shared secret, which has no public key"));
}

#[test]
fn a_kid_can_be_given_and_a_key_come_from_standard_input() {
    let key = binary().args(["token", "key", "--alg", "ES256"]).output().unwrap().stdout;
    let mut child = binary()
        .args(["token", "mint", "--key", "-:my-key", "--expires-in", "5m"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&key).unwrap();
    let token = text(&child.wait_with_output().unwrap().stdout);
    let part = |n: usize| -> Value {
        use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(n).unwrap()).unwrap()).unwrap()
    };
    assert_eq!(part(0), json!({ "alg": "ES256", "typ": "JWT", "kid": "my-key" }));
    let lifetime = part(1)["exp"].as_u64().unwrap() - part(1)["iat"].as_u64().unwrap();
    assert_eq!(lifetime, 300);
}

#[test]
fn wrong_usage_ends_with_2() {
    for args in [
        &["token", "key", "--alg", "RS257"][..],
        &["token", "jwks", "missing.pem"],
        &["token", "mint", "--key", "missing.pem"],
        &["run", "--nonsense"],
        &["fly"],
        &["run", "--config", "missing.yaml"],
        &["run", "--listen", "nowhere"],
        &[],
    ] {
        let output = binary().current_dir("/").args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(!output.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file() {
    let upstream = Server::up();
    let setup = || {
        Setup::new().api(&crate::support::keyless("a", &upstream)).config(&json!({ "errors": "nonsense" }))
    };
    let code =
        |setup: Setup, flags: &[&str]| setup.command("check").args(flags).output().unwrap().status.code();
    assert_eq!(code(setup(), &[]), Some(1));
    assert_eq!(code(Setup::new(), &[]), Some(0));
    assert_eq!(code(Setup::new().env("CLAIMGATE_ERRORS", "nonsense"), &[]), Some(1));
    assert_eq!(code(Setup::new().env("CLAIMGATE_ERORS", "rfc"), &[]), Some(1));
    assert_eq!(code(Setup::new(), &["--errors", "nonsense"]), Some(1));
    let gateway = Setup::new()
        .api(&crate::support::keyless("a", &upstream))
        .config(&json!({ "errors": "rfc" }))
        .env("CLAIMGATE_ERRORS", "tyk")
        .start();
    assert_eq!(gateway.send(&Request::get("/nowhere")).text(), "Not Found");
}

#[test]
fn an_address_that_is_taken() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let setup = Setup::new().api(&crate::support::keyless("a", &Server::up()));
    let output = setup.command("run").args(["--listen", &address]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains(&address));
}

#[test]
fn a_port_is_not_shared_with_another_gateway() {
    let upstream = Server::up();
    let first = Setup::new().api(&crate::support::keyless("a", &upstream)).start();
    let second = Setup::new()
        .config(&json!({ "listen": first.address().to_string(), "admin": { "listen": "none" } }))
        .api(&crate::support::keyless("a", &upstream));
    let output = second.command("run").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains(&format!("{} cannot be listened on", first.address())));
}

#[test]
fn a_hangup_reads_the_documents_again() {
    let upstream = Server::up();
    let gateway = Setup::new().api(&crate::support::keyless("a", &upstream)).start();
    assert_eq!(gateway.send(&Request::get("/b/")).status, 404);
    let document = crate::support::keyless("b", &upstream).to_string();
    gateway.setup().write("api-definitions/b.json", &document);
    gateway.signal(rustix::process::Signal::HUP);
    gateway.log_with("definitions loaded again");
    gateway.log_with("apis=2");
    assert_eq!(gateway.send(&Request::get("/b/")).status, 200);
    gateway.setup().write("api-definitions/b.json", "{");
    gateway.signal(rustix::process::Signal::HUP);
    gateway.log_with("what was loaded before goes on");
    assert_eq!(gateway.send(&Request::get("/b/")).status, 200);
}

#[test]
fn variables_of_others_do_not_matter() {
    use std::os::unix::ffi::OsStringExt as _;
    let not_text = || std::ffi::OsString::from_vec(vec![0xff]);
    let check = |name: &str, value: std::ffi::OsString| {
        let output = Setup::new().command("check").env(name, value).output().unwrap();
        (output.status.code(), text(&output.stdout))
    };
    for (name, value) in [
        ("OTHER", not_text()),
        ("CLAIMGATE_SERVICE_HOST", "10.0.0.1".into()),
        ("CLAIMGATE_SERVICE_PORT_HTTP", "8080".into()),
        ("CLAIMGATE_PORT", "tcp://10.0.0.1:8080".into()),
        ("CLAIMGATE_PORT_8080_TCP_ADDR", "10.0.0.1".into()),
        ("CLAIMGATE_ADMIN_PORT", "tcp://10.0.0.1:8081".into()),
        ("CLAIMGATE_ADMIN_PORT_8081_TCP", "tcp://10.0.0.1:8081".into()),
    ] {
        assert_eq!(check(name, value).0, Some(0), "{name}");
    }
    for (name, value, said) in [
        ("CLAIMGATE_LISTN", "127.0.0.1:80".into(), "no field has this name"),
        ("CLAIMGATE_ADMIN_SECRET", not_text(), "not UTF-8"),
    ] {
        let (code, output) = check(name, value);
        assert!(code == Some(1) && output.contains(said), "{name}: {output}");
    }
}
