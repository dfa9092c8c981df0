//! Compact JWE, and a nested token.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{Tally, list, read, read_all, text, verifies};
use crate::jwt::{
    Error,
    jwe::{Decryption, EncryptedToken, import_decryption_keys},
};

const JSON_FORM: &str = "the JSON form of a JWE, which is no token";
const RSA1_5: &str = "RSA1_5 is not supported, for its padding tells";
const PBES2: &str = "PBES2 is not supported, for the sender chooses the cost";
const COMPRESSED: &str = "compressed content is never expanded";

/// The content of a compact JWE for this key; nothing, if either is refused.
fn content(token: &str, key: &Value) -> Option<Vec<u8>> {
    let keys = import_decryption_keys(key.to_string().as_bytes(), None, None).ok()?;
    let token = EncryptedToken::parse(token).ok()?;
    Decryption::new(keys).ok()?.content(&token).ok()
}

/// Why a vector does not apply, as its own header says.
fn exception(token: &str) -> Option<&'static str> {
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next()?).ok()?;
    let header: Value = serde_json::from_slice(&header).ok()?;
    match header["alg"].as_str()? {
        "RSA1_5" => Some(RSA1_5),
        alg if alg.starts_with("PBES2") => Some(PBES2),
        _ => header.get("zip").map(|_| COMPRESSED),
    }
}

#[test]
fn wycheproof() {
    let mut tally = Tally::default();
    for group in list(&read("wycheproof/json_web_encryption_test.json")["testGroups"]) {
        for test in list(&group["tests"]) {
            let id = format!("{} {}", test["tcId"], test["comment"]);
            let token = test["jwe"].as_str().map_or_else(|| test["jwe"].to_string(), String::from);
            let content = content(&token, &group["private"]);
            let hex =
                content.map(|octets| octets.iter().map(|octet| format!("{octet:02x}")).collect::<String>());
            let is_valid = test["result"] == "valid";
            match exception(&token).filter(|_| is_valid) {
                Some(reason) => tally.except(&id, reason, hex.is_none()),
                None if is_valid => tally.ran(&id, true, hex.as_deref() == test["pt"].as_str()),
                None => tally.ran(&id, false, hex.is_some()),
            }
        }
    }
    tally.finish(130, &[(RSA1_5, 8), (COMPRESSED, 1)]);
}

fn run(tally: &mut Tally, id: &str, vector: &Value) {
    let input = &vector["input"];
    let Some(token) = vector["output"]["compact"].as_str() else {
        return tally.except(id, JSON_FORM, true);
    };
    let content = content(token, &input["key"]);
    match exception(token) {
        Some(reason) => tally.except(id, reason, content.is_none()),
        None => tally.ran(id, true, content.as_deref() == Some(text(&input["plaintext"]).as_bytes())),
    }
}

#[test]
fn cookbook() {
    let mut tally = Tally::default();
    for folder in ["jwe", "curve25519"] {
        for (id, vector) in read_all(&format!("jose-cookbook/{folder}")) {
            if !vector["input"]["plaintext"].is_null() {
                run(&mut tally, &id, &vector);
            }
        }
    }
    tally.finish(7, &[(JSON_FORM, 4), (RSA1_5, 1), (PBES2, 1), (COMPRESSED, 1)]);
}

#[test]
fn panva() {
    let mut tally = Tally::default();
    for vector in list(&read("panva-jose/cookbook_jwe.json")["cases"]) {
        run(&mut tally, text(&vector["title"]), vector);
    }
    tally.finish(6, &[(JSON_FORM, 3), (PBES2, 1), (COMPRESSED, 1)]);
}

/// RFC 7520 section 6: signed, then encrypted.
#[test]
fn nested() {
    let vector = read("jose-cookbook/6.nesting_signatures_and_encryption.json");
    let (inner, outer) = (&vector["sign"], &vector["encrypt"]);
    let keys = import_decryption_keys(outer["input"]["key"].to_string().as_bytes(), None, None).unwrap();
    let decryption = Decryption::new(keys).unwrap();
    let token = text(&outer["output"]["compact"]);
    let signed = decryption.open(token, 16 * 1024).unwrap();
    assert_eq!(signed, text(&inner["output"]["compact"]));
    assert!(verifies(&signed, &json!({ "keys": [inner["input"]["key"]] })));
    let (rest, _) = token.rsplit_once('.').unwrap();
    assert_eq!(decryption.open(&format!("{rest}.AAAAAAAAAAAAAAAAAAAAAA"), 16 * 1024), Err(Error::Decryption));
}
