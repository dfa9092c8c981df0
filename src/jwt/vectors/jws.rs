//! Compact JWS.

use serde_json::{Value, json};

use super::{Tally, list, read, read_all, text, verifies};

const JSON_FORM: &str = "the JSON form of a JWS, which is no token";
const DETACHED: &str = "the payload is detached, and a token without claims is none";

/// The key of a vector, as a set of one.
fn set(key: &Value) -> Value {
    json!({ "keys": [key] })
}

#[test]
fn wycheproof() {
    const WRONG_LABEL: &str = "labelled invalid, octet for octet the valid vector 357";
    const NO_BASE64: &str = "labelled valid with a character that is not base64url";
    const OTHER_ALG: &str =
        "labelled valid under a key whose alg is another one, or none (PS256 for PS384, ES521)";
    let mut tally = Tally::default();
    for group in list(&read("wycheproof/json_web_signature_test.json")["testGroups"]) {
        let key = if group["public"].is_null() { &group["private"] } else { &group["public"] };
        for test in list(&group["tests"]) {
            let id = format!("{} {}", test["tcId"], test["comment"]);
            let token = test["jws"].as_str().map_or_else(|| test["jws"].to_string(), String::from);
            let verifies = verifies(&token, &set(key));
            match test["tcId"].as_u64().unwrap() {
                // What they say is not refused.
                367 | 370 => tally.except(&id, WRONG_LABEL, verifies),
                372 | 373 => tally.except(&id, NO_BASE64, !verifies),
                346 | 347 | 350 | 351 => tally.except(&id, OTHER_ALG, !verifies),
                _ => tally.ran(&id, test["result"] == "valid", verifies),
            }
        }
    }
    tally.finish(393, &[(WRONG_LABEL, 2), (NO_BASE64, 2), (OTHER_ALG, 4)]);
}

#[test]
fn rfc() {
    let mut tally = Tally::default();
    for vector in list(&read("rfc/rfc_vectors.json")["jws"]) {
        let id = format!("RFC {} {}", vector["rfc"], vector["section"]);
        let key = if vector["jwk"].is_null() { &vector["header"]["jwk"] } else { &vector["jwk"] };
        let mut token = text(&vector["jws"]).to_owned();
        let is_signed = vector["header"]["alg"] != "none";
        tally.ran(&id, is_signed, verifies(&token, &set(key)));
        token.insert(token.rfind('.').unwrap() + 1, 'A');
        tally.ran(&id, false, verifies(&token, &set(key)));
    }
    tally.finish(18, &[]);
}

#[test]
fn cookbook() {
    const NO_B64: &str = "b64 is an extension that must be understood (RFC 7797), and is not";
    let mut tally = Tally::default();
    for folder in ["jws", "rfc7797"] {
        for (id, vector) in read_all(&format!("jose-cookbook/{folder}")) {
            let set = set(&vector["input"]["key"]);
            match vector["output"]["compact"].as_str() {
                None => tally.except(&id, JSON_FORM, true),
                Some(token) if token.contains("..") && folder == "jws" => {
                    tally.except(&id, DETACHED, !verifies(token, &set));
                }
                Some(token) if folder == "rfc7797" => tally.except(&id, NO_B64, !verifies(token, &set)),
                Some(token) => tally.ran(&id, true, verifies(token, &set)),
            }
        }
    }
    let ed25519 = read("jose-cookbook/curve25519/jws.json");
    let token = text(&ed25519["output"]["compact"]);
    tally.ran("Ed25519", true, verifies(token, &set(&ed25519["input"]["key"])));
    tally.finish(5, &[(JSON_FORM, 4), (DETACHED, 1), (NO_B64, 1)]);
}

#[test]
fn panva() {
    const ML_DSA: &str = "ML-DSA is not supported yet";
    let mut tally = Tally::default();
    for vector in list(&read("panva-jose/cookbook_jws.json")["cases"]) {
        let (id, set) = (text(&vector["title"]), set(&vector["input"]["key"]));
        match vector["output"]["compact"].as_str() {
            None => tally.except(id, JSON_FORM, true),
            Some(token) if vector["input"]["key"]["kty"] == "AKP" => {
                tally.except(id, ML_DSA, !verifies(token, &set));
            }
            Some(token) => tally.ran(id, true, verifies(token, &set)),
        }
    }
    tally.finish(5, &[(JSON_FORM, 3), (ML_DSA, 3)]);
}
