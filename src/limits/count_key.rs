//! Whose requests are counted together, where that is not one caller: those with the same claims.

use std::{cmp::Ordering, sync::Arc};

use super::Caller;
use crate::jwt::{Claims, Locator, json::Value};

/// Claims of a token whose values make a counter: of a tenant, say, or of a client and a region. They are
/// kept apart as values, and never joined to one text that other values could make as well.
#[derive(Clone, Debug)]
pub struct CountKey(Arc<[Locator]>);

impl CountKey {
    /// The claims at these places, all of which a token must have.
    #[must_use]
    pub fn new(claims: impl IntoIterator<Item = Locator>) -> Self {
        Self(claims.into_iter().collect())
    }

    /// Whom these claims are counted for: everybody with the same issuer and values. Nothing if one is
    /// absent, empty, or no text, number or truth value: who has none shares nothing with others who have
    /// none.
    pub(super) fn caller(&self, claims: &Claims) -> Option<Caller> {
        let mut names = Vec::with_capacity(self.0.len().saturating_mul(2));
        for claim in &*self.0 {
            names.extend([claim.as_str().to_owned(), typed(claim.find(claims)?)?]);
        }
        Some(Caller::of_claims(claims.issuer(), &names))
    }

    /// The claims in words, and whether a token has them.
    #[must_use]
    pub fn told(&self, claims: &Claims) -> String {
        let value = |claim: &Locator| claim.find(claims).and_then(typed);
        if let Some(absent) = self.0.iter().find(|claim| value(claim).is_none()) {
            return format!("the caller alone, for there is no value of {}", absent.as_str());
        }
        let parts =
            self.0.iter().map(|claim| format!("{} {}", claim.as_str(), value(claim).unwrap_or_default()));
        parts.collect::<Vec<_>>().join(", ")
    }
}

/// A value as the JSON text that no other value has.
fn typed(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(serde_json::Value::from(text.as_str()).to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        Value::String(_) | Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

impl Ord for CountKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.iter().map(Locator::as_str).cmp(other.0.iter().map(Locator::as_str))
    }
}

impl PartialOrd for CountKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for CountKey {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for CountKey {}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::jwt::{Algorithm, Token, import_key, sign::SigningKey};

    fn claims(claims: &serde_json::Value) -> Claims {
        let key = SigningKey::generate(Algorithm::EdDSA).unwrap();
        let jwk = key.public_jwk(None).unwrap().to_string();
        let keys = import_key(jwk.as_bytes(), Algorithm::EdDSA.into()).unwrap();
        let token = key.sign(&json!({}), claims).unwrap();
        Token::parse(&token, 10_000).unwrap().verify(&keys.keys()[0]).unwrap()
    }

    #[test]
    fn equal_values_of_one_issuer_count_together_and_no_others() {
        let key = CountKey::new(["tenant", "/app/region"].map(|claim| Locator::parse(claim).unwrap()));
        let with = |issuer: &str, tenant: serde_json::Value, region: serde_json::Value| {
            key.caller(&claims(&json!({ "iss": issuer, "tenant": tenant, "app": { "region": region } })))
        };
        let one = with("i", json!("a"), json!("b"));
        assert!(one.is_some());
        assert_eq!(with("i", json!("a"), json!("b")), one);
        let others = [
            with("j", json!("a"), json!("b")),
            with("i", json!("b"), json!("a")),
            with("i", json!("ab"), json!("")),
            with("i", json!("a\", \"b"), json!("b")),
            with("i", json!("a,b"), json!("b")),
            with("i", json!(1), json!(1)),
            with("i", json!("1"), json!(1)),
            with("i", json!(1), json!("1")),
            with("i", json!(true), json!("1")),
            with("i", json!("true"), json!("1")),
            key.caller(&claims(&json!({ "tenant": "a", "app": { "region": "b" } }))),
        ];
        for (n, other) in others.iter().enumerate() {
            assert!(*other != one && !others[..n].contains(other) || other.is_none(), "{n}");
        }
        assert_eq!(with("i", json!(1), json!(1)), with("i", json!(1.0), json!(1)));
    }

    #[test]
    fn what_is_absent_is_shared_with_nobody() {
        let key = CountKey::new([Locator::parse("tenant").unwrap()]);
        for tenant in [json!(null), json!(""), json!([]), json!(["a"]), json!({ "a": 1 })] {
            let claims = claims(&json!({ "iss": "i", "tenant": tenant }));
            assert_eq!(key.caller(&claims), None, "{tenant}");
            assert_eq!(key.told(&claims), "the caller alone, for there is no value of tenant");
        }
        assert_eq!(key.told(&claims(&json!({ "tenant": "a" }))), "tenant \"a\"");
    }
}
