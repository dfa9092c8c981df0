//! The known weaknesses of Tyk (W1 to W41), one test each, named after it: what a gateway with the
//! weakness answers stands in the comment above, and is what the test fails on.
//!
//! Tested as far as they can be:
//!
//! - W10: there is no introspection, DPoP or certificate binding yet, nor a list of revoked tokens. The
//!   test is that taking a key away ends its tokens at once.
//! - W13: MD5 cannot be seen from outside; the test is that two callers never are one because their
//!   names run together. Nor can the time of a comparison be.
//! - W15: addresses are not rewritten here, so nothing is unescaped in them; the definition is refused.
//!   In profile `tyk` claims hide members of the header, as recorded.
//! - W24: sessions are derived, not stored: what changed counts with the next request of a caller who is
//!   known already.
//! - W25: cost cannot be tested without a clock; the test is that patterns are compiled when a document
//!   is read. Figures are in `docs/performance.md`.

mod answers;
mod definitions;
mod identity;
mod key_sets;
mod keys;
mod policies;
mod tokens;

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use claimgate::jwt::Algorithm;
use serde_json::{Value, json};

use crate::support::{Gateway, Request, Server, Setup, api, claims, key, merge, scheme};

/// A scheme with the shared secret of this run.
fn hmac(changes: Value) -> Value {
    let mut scheme = scheme(json!({ "source": "env://SECRET", "signingMethod": "hmac" }));
    merge(&mut scheme, changes);
    scheme
}

fn secret() -> String {
    key(Algorithm::HS256).to_text().unwrap().trim().to_owned()
}

/// One API `a` with this scheme, in this profile.
fn one(profile: &str, upstream: &Server, scheme: Value) -> Setup {
    changed(profile, upstream, scheme, json!({}))
}

/// The same with changes to its `x-tyk-api-gateway`.
fn changed(profile: &str, upstream: &Server, scheme: Value, changes: Value) -> Setup {
    let mut document = api("a", upstream, scheme);
    merge(&mut document["x-tyk-api-gateway"], changes);
    Setup::new().config(&json!({ "errors": profile })).env("SECRET", &secret()).api(&document)
}

/// A token of alice with these claims changed.
fn token(changes: Value) -> String {
    token_with(json!({}), changes)
}

fn token_with(header: Value, changes: Value) -> String {
    key(Algorithm::HS256).sign(&header, &claims(changes)).unwrap()
}

fn status(gateway: &Gateway, path: &str, token: &str) -> u16 {
    gateway.send(&Request::get(path).bearer(token)).status
}

/// A token of exactly these texts, signed with a secret of any length.
fn signed_text(secret: &[u8], header: &str, claims: &str) -> String {
    let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), input.as_bytes());
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(tag))
}

/// What `claimgate check` says of a setup that must not be served.
#[track_caller]
fn refused(setup: &Setup) -> String {
    let output = setup.check();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    said
}

#[test]
fn each_weakness_has_its_test() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/weaknesses");
    let files =
        std::fs::read_dir(folder).unwrap().map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    let tests = files.collect::<String>();
    let missing: Vec<u32> = (1..=41).filter(|n| !tests.contains(&format!("#[test]\nfn w{n:02}_"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
