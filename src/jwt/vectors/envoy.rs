//! The tokens and key sets of Envoy's verifier.

use serde_json::Value;

use super::{Tally, list, read, text, verifies};
use crate::jwt::{AlgorithmSet, Ambiguity, Family, Kid, Token, import_key, parse_jwks};

const BY_CODE: &str = "the vector is made by the code of Envoy's test";
const SHORT_COORDINATE: &str = "a coordinate without its leading zero (RFC 7518 section 6.2.1.2)";
const NO_CRV: &str = "an EC key without crv (RFC 7518 section 6.2.1.1)";
const NO_KID: &str = "Envoy tries every key; here a token without kid must fit one key alone";
const NO_JSON: &str = "the set has a comma too many, which Envoy's JSON reader ignores";
const CERTIFICATES: &str = "a map of certificates by kid, which is no JWK set";

#[test]
fn tokens() {
    const RULES: &str = "the type of a claim is a matter of the rules, after the signature";
    let mut tally = Tally::default();
    for case in list(&read("google-jwt_verify_lib/jwt_parse.json")["cases"]) {
        let (id, status) = (text(&case["name"]), text(&case["parse_status"]));
        let Some(token) = case["token"].as_str() else {
            tally.except(id, BY_CODE, true);
            continue;
        };
        let token = Token::parse(token, usize::MAX);
        let is_read = token.as_ref().is_ok_and(|token| {
            token.algorithm().is_ok() && token.kid() != Kid::NotText && token.unverified_claims().is_ok()
        });
        if status.starts_with("JwtPayloadParseError") && !status.contains("Bad") {
            tally.except(id, RULES, true);
        } else {
            tally.ran(id, status == "Ok", is_read);
        }
    }
    tally.finish(17, &[(BY_CODE, 2), (RULES, 14)]);
}

#[test]
fn key_sets() {
    let mut tally = Tally::default();
    for case in list(&read("google-jwt_verify_lib/jwks_parse.json")["cases"]) {
        let id = text(&case["name"]);
        let Some(document) = case["document"].as_str() else {
            tally.except(id, BY_CODE, true);
            continue;
        };
        let is_good = list(&case["jwks_status"]).iter().all(|status| status == "Ok");
        let keys = if document.trim_start().starts_with("-----") {
            import_key(document.as_bytes(), public()).map_or(0, |set| set.keys().len())
        } else {
            parse_jwks(document.as_bytes(), 1000).map_or(0, |set| set.keys().len())
        };
        match id {
            "JwksECMatchAlgES512CrvP521" => tally.except(id, SHORT_COORDINATE, keys == 0),
            "JwksECMissingBothAlgCrvES256" | "JwkECMissingCrv" | "JwksECUnspecifiedCrv" => {
                tally.except(id, NO_CRV, keys == 0);
            }
            _ => tally.ran(id, is_good, keys > 0),
        }
    }
    tally.finish(66, &[(BY_CODE, 2), (SHORT_COORDINATE, 1), (NO_CRV, 3)]);
}

fn public() -> AlgorithmSet {
    let families = [Family::Rsa, Family::Ecdsa, Family::Eddsa];
    families
        .into_iter()
        .flat_map(|family| AlgorithmSet::of_family(family).iter().collect::<Vec<_>>())
        .collect()
}

fn verifies_with(token: &str, keys: &str) -> bool {
    if let Ok(set) = serde_json::from_str::<Value>(keys) {
        return verifies(token, &set);
    }
    let Ok(set) = import_key(keys.as_bytes(), public()) else { return false };
    Token::parse(token, usize::MAX).is_ok_and(|token| {
        token.algorithm().is_ok_and(|algorithm| {
            let key = set.find(token.kid(), algorithm, public(), Ambiguity::Refuse);
            key.is_ok_and(|key| token.verify(key).is_ok())
        })
    })
}

fn is_nameless(token: &str) -> bool {
    Token::parse(token, usize::MAX).is_ok_and(|token| token.kid() == Kid::Absent)
}

#[test]
fn signatures() {
    let mut tally = Tally::default();
    let other_keys = Value::from("PublicKeyRSAPSS");
    for file in list(&read("google-jwt_verify_lib/verify.json")["files"]) {
        let constant = |name: &Value| file["constants"][text(name)]["value"].as_str().unwrap_or_default();
        let all_keys: Vec<&str> = file["constants"]
            .as_object()
            .unwrap()
            .values()
            .filter_map(|constant| constant["value"].as_str())
            .filter(|value| value.contains("\"keys\"") || value.contains("-----BEGIN"))
            .collect();
        for test in list(&file["tests"]) {
            let id = format!("{} {}", text(&file["file"]), text(&test["name"]));
            let uses = list(&test["uses"]);
            let token = constant(&uses[0]);
            let own_keys =
                if test["name"] == "JwtTextWithNoKidNoMatchingKey" { Some(&other_keys) } else { uses.get(1) };
            let keys = own_keys.map_or_else(|| all_keys.clone(), |name| vec![constant(name)]);
            // The first statuses are those of reading; the last are those of a broken signature.
            let statuses = list(&test["statuses"]);
            let at = if uses.len() > 1 || file["file"] == "verify_x509_test.cc" { 2 } else { 1 };
            let expected = statuses.get(at).is_some_and(|status| status == "Ok");
            let verifies = keys.iter().any(|keys| verifies_with(token, keys));
            match (text(&file["file"]), text(&test["name"])) {
                ("verify_jwk_ec_test.cc", "KidES512OK") => tally.except(&id, SHORT_COORDINATE, !verifies),
                ("verify_jwk_hmac_test.cc", _) => tally.except(&id, NO_JSON, !verifies),
                ("verify_x509_test.cc", _) => tally.except(&id, CERTIFICATES, !verifies),
                // Envoy's test takes members out of the keys, or changes them; these are as they were.
                (_, "jwksIncorrectAlgSpecifiedFail") => tally.except(&id, BY_CODE, true),
                _ if expected && !verifies && is_nameless(token) => tally.except(&id, NO_KID, true),
                _ => tally.ran(&id, expected, verifies),
            }
        }
    }
    let exceptions = [(SHORT_COORDINATE, 1), (NO_JSON, 8), (CERTIFICATES, 2), (BY_CODE, 2), (NO_KID, 6)];
    tally.finish(29, &exceptions);
}
