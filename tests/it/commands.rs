//! The command line.

use std::{io::Write as _, process::Stdio};

use serde_json::{Value, json};

use crate::support::{Request, Server, Setup, api, binary, scheme};

fn text(octets: &[u8]) -> String {
    String::from_utf8(octets.to_vec()).unwrap()
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
    let run = |args: &[&str]| {
        let output = binary().current_dir(folder.path()).args(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
        text(&output.stdout)
    };
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
