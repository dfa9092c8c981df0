//! Keys, sets of them, and thumbprints.

use serde_json::json;

use super::{Tally, list, read, read_all, text, verifies};
use crate::jwt::{AlgorithmSet, Family, import_key, jwe::import_decryption_keys, jwk::PublicMembers};

#[test]
fn wycheproof() {
    const WHOLE_SET: &str = "a key that is not taken costs only itself: one of another kind in 1, one with a k that is no base64url in 4";
    let mut tally = Tally::default();
    for group in list(&read("wycheproof/json_web_key_test.json")["testGroups"]) {
        let set = if group["public"].is_null() { &group["private"] } else { &group["public"] };
        for test in list(&group["tests"]) {
            let id = format!("{} {}", test["tcId"], test["comment"]);
            let verifies = verifies(text(&test["jws"]), set);
            match test["tcId"].as_u64().unwrap() {
                1 | 4 => tally.except(&id, WHOLE_SET, verifies),
                _ => tally.ran(&id, test["result"] == "valid", verifies),
            }
        }
    }
    tally.finish(24, &[(WHOLE_SET, 2)]);
}

#[test]
fn cookbook() {
    let mut tally = Tally::default();
    for (id, key) in read_all("jose-cookbook/jwk") {
        let octets = key.to_string().into_bytes();
        let all = [Family::Hmac, Family::Rsa, Family::Ecdsa];
        let all: AlgorithmSet = all
            .into_iter()
            .flat_map(|family| AlgorithmSet::of_family(family).iter().collect::<Vec<_>>())
            .collect();
        let is_for_encryption = key["use"] == "enc";
        tally.ran(&id, !is_for_encryption, import_key(&octets, all).is_ok());
        tally.ran(&id, is_for_encryption, import_decryption_keys(&octets, None, None).is_ok());
    }
    tally.finish(12, &[]);
}

#[test]
fn thumbprints() {
    let mut tally = Tally::default();
    for vector in list(&read("rfc/rfc_vectors.json")["thumbprints"]) {
        let id = format!("RFC {} {}", vector["rfc"], vector["section"]);
        let key = vector["jwk"].as_object().unwrap();
        let (kty, names): (&'static str, &[&'static str]) = match text(&key["kty"]) {
            "RSA" => ("RSA", &["n", "e"]),
            "EC" => ("EC", &["crv", "x", "y"]),
            _ => ("OKP", &["crv", "x"]),
        };
        let members = names.iter().map(|name| (*name, text(&key[*name]).to_owned())).collect();
        let thumbprint = PublicMembers { kty, members }.thumbprint();
        tally.ran(&id, true, json!(thumbprint) == vector["sha256"]);
    }
    tally.finish(3, &[]);
}
