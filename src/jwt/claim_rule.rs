//! Rules about single claims.

use super::{ClaimPath, Claims, Error, json::Value};

/// A rule about one claim (`customClaimValidation`).
#[derive(Clone, Debug)]
pub struct ClaimRule {
    /// The claim.
    pub path: ClaimPath,
    /// What it must be.
    pub expect: Expect,
}

/// What a rule wants of its claim.
#[derive(Clone, Debug)]
pub enum Expect {
    /// The claim is there and not `null`.
    Required,
    /// A text holds one of the texts, a list has one of the values, anything else equals one.
    Contains(Vec<Value>),
    /// The claim equals one of the values, types and order included.
    ExactMatch(Vec<Value>),
}

impl ClaimRule {
    /// The claim, if it is there.
    pub(super) fn find<'c>(&self, claims: &'c Claims) -> Option<&'c Value> {
        self.path.walk(claims)
    }

    pub(super) fn check(&self, claims: &Claims) -> Result<(), Error> {
        let claim = || self.path.as_str().into();
        let value = self.find(claims).ok_or_else(|| Error::ClaimMissing { claim: claim() })?;
        match &self.expect {
            Expect::Required if *value == Value::Null => Err(Error::ClaimNull { claim: claim() }),
            Expect::Contains(allowed) if !contains(value, allowed) => {
                Err(Error::ClaimNotContaining { claim: claim() })
            }
            Expect::ExactMatch(allowed) if !allowed.contains(value) => {
                Err(Error::ClaimNotMatching { claim: claim() })
            }
            _ => Ok(()),
        }
    }
}

fn contains(value: &Value, allowed: &[Value]) -> bool {
    match value {
        Value::String(text) => allowed.iter().filter_map(Value::as_str).any(|part| text.contains(part)),
        Value::Array(elements) => elements.iter().any(|element| allowed.contains(element)),
        other => allowed.contains(other),
    }
}
