//! Identity providers that others wrote: tokens as their clients get them, keys that they rotate and
//! drop. Each is started by its script in `../shared/servers`, which installs what is missing:
//!
//! ```text
//! cargo test --test it -- --ignored providers::oidc_provider     seconds; .ci/run runs it
//! cargo test --test it -- --ignored providers                    minutes: Keycloak and Glewlwyd as well
//! ```

use std::{fs, process::Command};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::support::{Gateway, RealServer, Request, Server, Setup, api, merge, scheme};

const SECRET: &str = "fake-client-secret";
const AUDIENCE: &str = "https://api.claimgate.test";

/// What a client gets that posts this form.
#[track_caller]
fn post(url: &str, client: &str, form: &str) -> Value {
    let credentials = format!("{client}:{SECRET}");
    let output = Command::new("curl").args(["-sS", "-u", &credentials, "-d", form, url]).output().unwrap();
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{url}: {error}: {}", String::from_utf8_lossy(&output.stdout)))
}

#[track_caller]
fn access_token(url: &str, client: &str, form: &str) -> String {
    let answer = post(url, client, form);
    answer["access_token"].as_str().unwrap_or_else(|| panic!("{form}: {answer}")).to_owned()
}

/// The JOSE header of a token.
fn header(token: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap()).unwrap()
}

/// An API `a` for tokens of this issuer, in all algorithms; the claim `pol` names the policy.
fn trusting(upstream: &Server, issuer: &str, jwks: &str, selection: Value, refined: Value) -> Value {
    let mut scheme = scheme(json!({
        "jwksURIs": [{ "url": jwks }], "allowedIssuers": [issuer], "defaultPolicies": [],
    }));
    merge(&mut scheme, selection);
    let mut document = api("a", upstream, scheme);
    let mut own = json!({
        "algorithms": [
            "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
        ],
        "requiredClaims": ["exp", "iat"],
    });
    merge(&mut own, refined);
    merge(
        &mut document,
        json!({ "x-claimgate": { "server": { "authentication": { "securitySchemes": { "jwt": own } } } } }),
    );
    document
}

fn granting(id: &str) -> Value {
    json!({ "id": id, "access_rights": { "a": { "api_id": "a" } } })
}

#[track_caller]
fn gets_in(gateway: &Gateway, what: &str, token: &str) {
    let answer = gateway.send(&Request::get("/a/x").bearer(token));
    assert_eq!(answer.status, 200, "{what}: {} {}: {}", header(token), answer.text(), gateway.last_line());
}

#[track_caller]
fn stays_out(gateway: &Gateway, what: &str, token: &str) {
    assert_eq!(gateway.send(&Request::get("/a/x").bearer(token)).status, 401, "{what}: {}", header(token));
}

/// A token with one octet of its payload changed.
fn tampered(token: &str) -> String {
    let parts: Vec<&str> = token.split('.').collect();
    let mut payload = URL_SAFE_NO_PAD.decode(parts[1]).unwrap();
    let at = payload.iter().rposition(u8::is_ascii_alphabetic).unwrap();
    payload[at] ^= 1;
    format!("{}.{}.{}", parts[0], URL_SAFE_NO_PAD.encode(payload), parts[2])
}

fn fetch_again(gateway: &Gateway) {
    assert_eq!(gateway.admin(Request::new("DELETE", "/tyk/cache/jwks")).status, 200);
}

#[test]
#[ignore = "starts a real identity provider, which needs node and npm"]
fn oidc_provider() {
    const ALGORITHMS: [&str; 6] = ["RS256", "PS256", "ES256", "ES384", "ES512", "Ed25519"];
    let provider = RealServer::start("oidc-provider");
    let upstream = Server::up();
    let issuer = format!("http://127.0.0.1:{}", provider.port);
    let token = |kind: &str| {
        let form = format!("grant_type=client_credentials&scope=read&resource={AUDIENCE}/{kind}");
        access_token(&format!("{issuer}/token"), "svc", &form)
    };
    let audiences: Vec<String> = ALGORITHMS.iter().map(|name| format!("{AUDIENCE}/{name}")).collect();
    let selection = json!({ "basePolicyClaims": ["pol"], "allowedAudiences": audiences });
    let document = trusting(&upstream, &issuer, &format!("{issuer}/jwks"), selection, json!({}));
    let gateway = Setup::new().api(&document).policy(&granting("gold-policy")).start();

    let before = ALGORITHMS.map(token);
    for (name, token) in ALGORITHMS.iter().zip(&before) {
        assert_eq!(header(token)["alg"], *name);
        gets_in(&gateway, name, token);
        gets_in(&gateway, "once more", token);
        stays_out(&gateway, "a changed payload", &tampered(token));
    }
    stays_out(&gateway, "another audience", &token("short"));
    // The upstream saw what was let in, and nothing else.
    assert_eq!(upstream.recorded().len(), 2 * ALGORITHMS.len());

    post(&format!("{issuer}/control/rotate"), "svc", "");
    let after = ALGORITHMS.map(token);
    for (n, name) in ALGORITHMS.iter().enumerate() {
        assert_ne!(header(&before[n])["kid"], header(&after[n])["kid"], "{name}");
        gets_in(&gateway, "signed with the new key, at once", &after[n]);
        gets_in(&gateway, "signed with the old key, which is still there", &before[n]);
    }
    post(&format!("{issuer}/control/retire"), "svc", "");
    fetch_again(&gateway);
    for (old, new) in before.iter().zip(&after) {
        stays_out(&gateway, "the old key is gone", old);
        gets_in(&gateway, "the new key", new);
    }
    // An outage: what is known goes on.
    drop(provider);
    fetch_again(&gateway);
    after.iter().for_each(|token| gets_in(&gateway, "while the provider is down", token));
}

#[test]
#[ignore = "starts a real identity provider, which needs node and npm"]
fn oidc_provider_with_encrypted_tokens() {
    let provider = RealServer::start("oidc-provider");
    let upstream = Server::up();
    let issuer = format!("http://127.0.0.1:{}", provider.port);
    let receiver = fs::read_to_string(provider.file("receiver.jwk")).unwrap();
    let shared = URL_SAFE_NO_PAD.encode(&b"fake-32-byte-shared-test-key-0000"[..32]);
    let shared = json!({ "kty": "oct", "k": shared, "alg": "dir", "kid": "shared" });
    let keys = json!([{ "source": "env://RECEIVER" }, { "source": "env://SHARED" }]);
    let selection = json!({ "basePolicyClaims": ["pol"] });
    let refined = json!({ "decryption": { "keys": keys } });
    let document = trusting(&upstream, &issuer, &format!("{issuer}/jwks"), selection, refined);
    let setup = Setup::new().env("RECEIVER", &receiver).env("SHARED", &shared.to_string());
    let gateway = setup.api(&document).policy(&granting("gold-policy")).start();
    let token = |kind: &str| {
        let form = format!("grant_type=client_credentials&scope=read&resource={AUDIENCE}/{kind}");
        access_token(&format!("{issuer}/token"), "svc", &form)
    };
    for kind in ["jwe", "dir"] {
        let token = token(kind);
        assert_eq!(token.split('.').count(), 5);
        gets_in(&gateway, kind, &token);
        gets_in(&gateway, "once more", &token);
    }
    stays_out(&gateway, "signed only", &token("ES256"));
}

#[test]
#[ignore = "starts a real identity provider, which needs Java and Maven"]
fn keycloak() {
    const ALGORITHMS: [&str; 10] =
        ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"];
    let provider = RealServer::start("keycloak");
    let upstream = Server::up();
    let base = format!("http://127.0.0.1:{}", provider.port);
    let issuer = format!("{base}/realms/claimgate");
    let oidc = format!("{issuer}/protocol/openid-connect");
    let token = |name: &str| {
        let client = format!("svc-{}", name.to_lowercase());
        access_token(&format!("{oidc}/token"), &client, "grant_type=client_credentials")
    };
    let selection = json!({ "basePolicyClaims": ["pol"], "allowedAudiences": [AUDIENCE] });
    let document = trusting(&upstream, &issuer, &format!("{oidc}/certs"), selection, json!({}));
    let gateway = Setup::new().api(&document).policy(&granting("gold-policy")).start();

    let before = ALGORITHMS.map(token);
    for (name, token) in ALGORITHMS.iter().zip(&before) {
        assert_eq!(header(token)["alg"], *name);
        gets_in(&gateway, name, token);
        stays_out(&gateway, "a changed payload", &tampered(token));
    }
    // Its secrets are nobody's but its own, and their names are in no set.
    for name in ["HS256", "HS512"] {
        stays_out(&gateway, name, &token(name));
    }
    let form = "grant_type=password&username=alice&password=fake-password&scope=openid";
    gets_in(&gateway, "a user", &access_token(&format!("{oidc}/token"), "svc-es256", form));
    let introspector =
        access_token(&format!("{oidc}/token"), "introspector", "grant_type=client_credentials");
    assert_eq!(gateway.send(&Request::get("/a/x").bearer(&introspector)).status, 403, "no policy");

    let admin = |verb: &str, argument: &str| {
        let script = provider.script("admin.py");
        let output = Command::new(RealServer::home().join("venv/bin/python"))
            .arg(script)
            .args([&base, verb, argument])
            .output();
        let output = output.unwrap();
        assert!(output.status.success(), "{verb}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    for (name, old) in ALGORITHMS.iter().zip(&before) {
        let kid = admin("rotate", name);
        let new = token(name);
        assert_eq!(header(&new)["kid"], *kid, "{name}");
        // A set is asked for once a second at most, and each of these wants it.
        fetch_again(&gateway);
        gets_in(&gateway, "signed with the new key", &new);
        gets_in(&gateway, "signed with the old key, which is still there", old);
        admin("drop", header(old)["kid"].as_str().unwrap());
        fetch_again(&gateway);
        stays_out(&gateway, "the old key is gone", old);
        gets_in(&gateway, "the new key", &new);
    }
}

#[test]
#[ignore = "starts a real identity provider, which needs the packages of Debian"]
fn glewlwyd() {
    const ALGORITHMS: [&str; 8] = ["RS256", "RS512", "PS256", "PS384", "ES256", "ES384", "ES512", "EdDSA"];
    // One algorithm an instance: each takes the place of the one before, like a rotation to another key.
    let provider = RealServer::start("glewlwyd");
    let upstream = Server::up();
    let issuer = format!("http://localhost:{}/api/oidc", provider.port);
    let selection = json!({ "defaultPolicies": ["service"] });
    let document = trusting(&upstream, &issuer, &format!("{issuer}/jwks"), selection, json!({}));
    let gateway = Setup::new().api(&document).policy(&granting("service")).start();
    let mut before: Option<String> = None;
    for name in ALGORITHMS {
        provider.run("stop.sh", &[]);
        if let Some(before) = &before {
            fetch_again(&gateway);
            gets_in(&gateway, "while the provider is down", before);
        }
        provider.run("start.sh", &[("ALG", name)]);
        let form = "grant_type=client_credentials&scope=api";
        let token = access_token(&format!("{issuer}/token/"), "svc", form);
        assert_eq!(header(&token)["alg"], name);
        fetch_again(&gateway);
        gets_in(&gateway, name, &token);
        stays_out(&gateway, "a changed payload", &tampered(&token));
        if let Some(before) = &before {
            stays_out(&gateway, "its key is gone", before);
        }
        let form = "grant_type=password&username=alice&password=fake-password&scope=api";
        gets_in(&gateway, "a user", &access_token(&format!("{issuer}/token/"), "svc", form));
        before = Some(token);
    }
}
