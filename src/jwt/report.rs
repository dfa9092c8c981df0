//! What a check wanted and what it found, in words for the owner of an API.
//!
//! The words repeat what the token says, so they are for eyes that may see tokens: never for the log,
//! nor for the caller.

use super::{Check, Checked, ClaimPath, ClaimRule, Expect, Requirement, Rules, json::Value};

impl Check {
    /// What a token must be to pass.
    #[must_use]
    pub fn expected(&self, rules: &Rules) -> String {
        let skew = rules.skew;
        match self.requirement() {
            Requirement::WholeTexts => "texts without half surrogate pairs".into(),
            Requirement::NotBefore => format!("absent, or not later than now{}", forgiving(skew.not_before)),
            Requirement::IssuedAt => format!("absent, or not later than now{}", forgiving(skew.issued_at)),
            Requirement::Expires => format!("absent, or later than now{}", forgiving(skew.expires_at)),
            Requirement::Claims(required) => {
                let names: Vec<&str> = required.iter().map(ClaimPath::as_str).collect();
                format!("present and not null: {}", names.join(", "))
            }
            Requirement::Jti => "present".into(),
            Requirement::Issuer(allowed) | Requirement::Audience(allowed) | Requirement::Subject(allowed) => {
                format!("one of {}", allowed.join(", "))
            }
            Requirement::Claim(rule) => rule.expected(),
        }
    }
}

impl Checked<'_> {
    /// What a token must be to pass.
    #[must_use]
    pub fn expected(&self) -> String {
        self.check.expected(self.rules)
    }

    /// What this token is: the claim that was looked at, as JSON.
    #[must_use]
    pub fn found(&self) -> String {
        let claims = self.evidence.claims;
        match self.check.requirement() {
            Requirement::WholeTexts if claims.replaced_surrogate => "half a surrogate pair".into(),
            Requirement::WholeTexts => "whole texts".into(),
            Requirement::NotBefore => self.time("nbf"),
            Requirement::IssuedAt => self.time("iat"),
            Requirement::Expires => self.time("exp"),
            Requirement::Claims(required) => {
                let found = |path: &ClaimPath| format!("{}: {}", path.as_str(), json(path.find(claims)));
                required.iter().map(found).collect::<Vec<_>>().join(", ")
            }
            Requirement::Issuer(_) => json(claims.get("iss")),
            Requirement::Audience(_) => json(claims.get("aud")),
            Requirement::Jti => json(claims.get("jti")),
            Requirement::Subject(_) => match self.rules.subject(claims) {
                Ok(subject) => Value::String(subject.into()).to_string(),
                Err(error) => error.to_string(),
            },
            Requirement::Claim(rule) => json(rule.find(claims)),
        }
    }

    fn time(&self, name: &str) -> String {
        let value = self.evidence.claims.get(name);
        format!("{} (now: {})", json(value), self.evidence.now)
    }
}

impl ClaimRule {
    fn expected(&self) -> String {
        match &self.expect {
            Expect::Required => "present and not null".into(),
            Expect::Contains(allowed) => format!("contains one of {}", list(allowed)),
            Expect::ExactMatch(allowed) => format!("equals one of {}", list(allowed)),
        }
    }
}

fn forgiving(skew: u32) -> String {
    if skew == 0 { String::new() } else { format!(" (give or take {skew} s)") }
}

fn json(value: Option<&Value>) -> String {
    value.map_or_else(|| "absent".into(), Value::to_string)
}

fn list(values: &[Value]) -> String {
    values.iter().map(Value::to_string).collect::<Vec<_>>().join(", ")
}
