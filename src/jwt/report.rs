//! What a check wanted and what it found, in words for the owner of an API.
//!
//! The words repeat what the token says, so they are for eyes that may see tokens: never for the log,
//! nor for the caller.

use super::{
    Audiences, Check, Checked, ClaimPath, ClaimRule, Comparison, Expect, Quantifier, Requirement, Rules,
    TokenType, check::ACCESS_TOKEN_CLAIMS, json::Value,
};

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
            Requirement::Type(allowed) => {
                let types: Vec<&str> = allowed.iter().map(TokenType::as_str).collect();
                format!("one of {}", types.join(", "))
            }
            Requirement::Issuer(allowed)
            | Requirement::Audience(allowed, Audiences::Any)
            | Requirement::AuthorizedParty(allowed)
            | Requirement::Subject(allowed) => format!("one of {}", allowed.join(", ")),
            Requirement::Audience(allowed, Audiences::All) => format!("all of {}", allowed.join(", ")),
            Requirement::AccessToken => {
                let (typ, claims) = (TokenType::ACCESS_TOKEN, ACCESS_TOKEN_CLAIMS.join(", "));
                format!("typ {typ}; present and not null: {claims}")
            }
            Requirement::MaxAge(seconds) => {
                format!("iat at most {seconds} s ago{}", forgiving(skew.issued_at))
            }
            Requirement::MaxLifetime(seconds) => format!("exp at most {seconds} s after iat"),
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
            Requirement::Claims(required) => self.all(required),
            Requirement::Type(_) => self.typ(),
            Requirement::AccessToken => {
                let claims = self.all(&ACCESS_TOKEN_CLAIMS.map(ClaimPath::lenient));
                format!("typ {}; {claims}", self.typ())
            }
            Requirement::MaxAge(_) => self.time("iat"),
            Requirement::MaxLifetime(_) => self.all(&["exp", "iat"].map(ClaimPath::lenient)),
            Requirement::Issuer(_) => json(claims.get("iss")),
            Requirement::Audience(..) => json(claims.get("aud")),
            Requirement::AuthorizedParty(_) => self.all(&["azp", "client_id"].map(ClaimPath::lenient)),
            Requirement::Jti => json(claims.get("jti")),
            Requirement::Subject(_) => match self.rules.subject(claims) {
                Ok(subject) => text_of(subject),
                Err(error) => error.to_string(),
            },
            Requirement::Claim(rule) => json(rule.claim.find(claims)),
        }
    }

    fn typ(&self) -> String {
        json(self.evidence.header.get("typ"))
    }

    fn all(&self, paths: &[ClaimPath]) -> String {
        let found =
            |path: &ClaimPath| format!("{}: {}", path.as_str(), json(path.find(self.evidence.claims)));
        paths.iter().map(found).collect::<Vec<_>>().join(", ")
    }

    fn time(&self, name: &str) -> String {
        let value = self.evidence.claims.get(name);
        format!("{} (now: {})", json(value), self.evidence.now)
    }
}

impl ClaimRule {
    fn expected(&self) -> String {
        let expected = match &self.expect {
            Expect::Present => "present and not null".into(),
            Expect::Absent => "absent".into(),
            Expect::OneOf(values) => format!("one of {}", list(values)),
            Expect::NoneOf(values) => format!("none of {}, and of their type", list(values)),
            Expect::Elements(Quantifier::Any, values) => format!("contains one of {}", list(values)),
            Expect::Elements(Quantifier::All, values) => format!("contains all of {}", list(values)),
            Expect::Elements(Quantifier::Only, values) => format!("contains nothing but {}", list(values)),
            Expect::Elements(Quantifier::None, values) => format!("contains none of {}", list(values)),
            Expect::StartsWith(text) => format!("starts with {}", text_of(text)),
            Expect::EndsWith(text) => format!("ends with {}", text_of(text)),
            Expect::Matches(pattern) => format!("matches {}", pattern.as_str()),
            Expect::Compare(comparison, bound) => format!("{} {bound}", comparison.sign()),
            Expect::TykContains(values) => format!("contains one of {}, also within a text", list(values)),
        };
        if self.optional { format!("absent, or {expected}") } else { expected }
    }
}

impl Comparison {
    const fn sign(self) -> &'static str {
        match self {
            Self::GreaterThan => ">",
            Self::AtLeast => ">=",
            Self::LessThan => "<",
            Self::AtMost => "<=",
        }
    }
}

fn text_of(text: &str) -> String {
    Value::String(text.into()).to_string()
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
