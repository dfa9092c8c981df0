//! The scopes of a token.

use super::{ClaimPath, Claims, json::Value};

/// The claims that hold the scopes of a token, in order: the first that there is counts alone.
#[derive(Clone, Debug)]
pub struct ScopeClaims(Box<[ClaimPath]>);

impl ScopeClaims {
    /// These claims in this order.
    pub fn new(names: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        Self(names.into_iter().map(|name| ClaimPath::lenient(name.as_ref())).collect())
    }

    /// Whether the token has this scope.
    #[must_use]
    pub fn contain(&self, claims: &Claims, scope: &str) -> bool {
        let mut found = false;
        self.visit(claims, &mut |own| found |= own == scope);
        found
    }

    /// The scopes of the token in its order; nothing if it has no claim for them.
    #[must_use]
    pub fn of<'c>(&self, claims: &'c Claims) -> Vec<&'c str> {
        let mut scopes = Vec::new();
        self.visit(claims, &mut |scope| scopes.push(scope));
        scopes
    }

    fn visit<'c>(&self, claims: &'c Claims, visit: &mut impl FnMut(&'c str)) {
        match self.0.iter().find_map(|path| path.find(claims)) {
            // One scope for each single space, as in Tyk: the empty text is one empty scope.
            Some(Value::String(text)) => text.split(' ').for_each(visit),
            Some(value @ Value::Array(_)) => flatten(value, visit),
            _ => {}
        }
    }
}

fn flatten<'c>(value: &'c Value, visit: &mut impl FnMut(&'c str)) {
    match value {
        Value::String(scope) => visit(scope),
        Value::Array(elements) => elements.iter().for_each(|element| flatten(element, visit)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwt::json;

    #[test]
    fn texts_and_lists() {
        let names = ScopeClaims::new(["scope", "scp", "a.b"]);
        for (claims, expected) in [
            (r#"{"scope":"read write"}"#, &["read", "write"][..]),
            (r#"{"scp":["read",["write"],1]}"#, &["read", "write"]),
            (r#"{"scope":"read","scp":["write"]}"#, &["read"]),
            (r#"{"a":{"b":"x"}}"#, &["x"]),
            (r#"{"scope":""}"#, &[""]),
            (r#"{"scope":5}"#, &[]),
            ("{}", &[]),
        ] {
            let Value::Object(members) = json::parse(claims.as_bytes()).unwrap().value else { panic!() };
            let token = Claims::new(members, false);
            assert_eq!(names.of(&token), expected, "{claims}");
            assert_eq!(names.contain(&token, "read"), expected.contains(&"read"), "{claims}");
            assert!(!names.contain(&token, "read write") && !names.contain(&token, "rea"));
        }
    }
}
