//! Checks that decide nothing: no token can pass, or every token does.

use std::{fmt, sync::Arc};

use super::{
    Check, ClaimRule, Comparison, Expect, Locator, Mode, Quantifier, Requirement, Rules, TokenType,
    check::ACCESS_TOKEN_CLAIMS,
    json::{Number, Value},
};

/// What is wrong with rules, before any token comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RulesError {
    /// A check decides nothing.
    Check {
        /// Its name.
        name: Arc<str>,
        /// Why, and how to mend it.
        reason: &'static str,
    },
    /// Two checks have one name.
    SameName(Arc<str>),
    /// No token can pass both of these checks.
    Contradiction([Arc<str>; 2]),
}

impl fmt::Display for RulesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Check { name, reason } => write!(f, "{name}: {reason}"),
            Self::SameName(name) => write!(f, "two checks have the name {name}; give one another name"),
            Self::Contradiction([one, other]) => {
                write!(f, "no token can pass both {one} and {other}; change one")
            }
        }
    }
}

impl std::error::Error for RulesError {}

const NOTHING_ALLOWED: &str = "the list is empty, so no token could pass; name at least one value";
const NOTHING_WANTED: &str = "the list is empty, so every token would pass; name at least one value";
const NULL: &str = "null is the absence of a claim; say exists: true or exists: false instead";
const EVERY_TEXT: &str = "every text passes; say exists: true instead";

impl Requirement {
    /// Why the requirement alone decides nothing, if it does not.
    #[must_use]
    pub fn flaw(&self) -> Option<&'static str> {
        match self {
            Self::Issuer(allowed)
            | Self::Audience(allowed, _)
            | Self::AuthorizedParty(allowed)
            | Self::Subject(allowed)
                if allowed.is_empty() =>
            {
                Some(NOTHING_ALLOWED)
            }
            Self::Type(allowed) if allowed.is_empty() => Some(NOTHING_ALLOWED),
            Self::Claims(required) if required.is_empty() => Some(NOTHING_WANTED),
            Self::MaxAge(0) | Self::MaxLifetime(0) => Some("no token could pass; allow at least one second"),
            Self::Claim(rule) => rule.flaw(),
            _ => None,
        }
    }
}

impl ClaimRule {
    fn flaw(&self) -> Option<&'static str> {
        let values = match &self.expect {
            Expect::OneOf(values)
            | Expect::NoneOf(values)
            | Expect::Elements(_, values)
            | Expect::TykContains(values) => values.as_slice(),
            _ => &[],
        };
        match &self.expect {
            Expect::OneOf(_) | Expect::TykContains(_) | Expect::Elements(Quantifier::Any, _)
                if values.is_empty() =>
            {
                Some(NOTHING_ALLOWED)
            }
            Expect::Elements(Quantifier::Only, _) if values.is_empty() => {
                Some("the list is empty, so only empty claims could pass; name at least one value")
            }
            Expect::NoneOf(_) | Expect::Elements(..) if values.is_empty() => Some(NOTHING_WANTED),
            // Tyk's rules do not look for null like this, and may name it.
            Expect::NoneOf(_) | Expect::Elements(..) | Expect::OneOf(_)
                if values.contains(&Value::Null) && !matches!(self.claim, Locator::Path(_)) =>
            {
                Some(NULL)
            }
            Expect::TykContains(values) if values.contains(&Value::String(String::new())) => {
                Some("the empty text is part of every text, so every text passes; remove it")
            }
            Expect::StartsWith(text) | Expect::EndsWith(text) if text.is_empty() => Some(EVERY_TEXT),
            Expect::Matches(pattern) if matches!(pattern.as_str(), "" | "^" | "$" | "^$") => {
                Some("only the empty text passes; the pattern is for the whole text")
            }
            Expect::Matches(pattern) if matches!(pattern.as_str(), ".*" | "^.*$" | "(?s).*") => {
                Some(EVERY_TEXT)
            }
            Expect::Present if self.optional => {
                Some("every token passes, with the claim or without; remove optional, or the rule")
            }
            Expect::Absent if self.optional => {
                Some("exists: false wants the claim to be absent already; remove optional")
            }
            _ => None,
        }
    }

    /// Whether no claim can keep both rules.
    fn excludes(&self, other: &Self) -> bool {
        self.claim.as_str() == other.claim.as_str()
            && (self.expect.excludes(&other.expect) || other.expect.excludes(&self.expect))
            // A token without the claim may keep both.
            && !(self.may_be_absent() && other.may_be_absent())
    }

    const fn may_be_absent(&self) -> bool {
        self.optional || matches!(self.expect, Expect::Absent)
    }
}

impl Expect {
    fn excludes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Absent, other) => !matches!(other, Self::Absent),
            (Self::OneOf(values), other) => !values.iter().any(|value| other.admits(value)),
            (Self::Elements(Quantifier::All, all), Self::Elements(Quantifier::None, none)) => {
                all.iter().any(|value| none.contains(value))
            }
            (Self::Elements(Quantifier::All, all), Self::Elements(Quantifier::Only, only)) => {
                all.iter().any(|value| !only.contains(value))
            }
            (Self::Compare(above, least), Self::Compare(below, most)) => {
                is_empty((*above, *least), (*below, *most))
            }
            _ => false,
        }
    }
}

/// Whether no number lies between a lower bound and an upper one.
fn is_empty((above, least): (Comparison, Number), (below, most): (Comparison, Number)) -> bool {
    let bounds = matches!(above, Comparison::GreaterThan | Comparison::AtLeast)
        && matches!(below, Comparison::LessThan | Comparison::AtMost);
    // Where the bounds meet, both must take them in.
    bounds && !(above.holds(most, least) && below.holds(least, most))
}

impl Rules {
    /// Whether the checks make sense, each alone and together.
    ///
    /// # Errors
    /// The first [`RulesError`].
    pub fn validate(&self) -> Result<(), RulesError> {
        for check in self.checks() {
            if let Some(reason) = check.requirement().flaw() {
                return Err(RulesError::Check { name: Arc::clone(check.name()), reason });
            }
        }
        for (n, check) in self.checks().iter().enumerate() {
            for later in self.checks().iter().skip(n.saturating_add(1)) {
                if check.name() == later.name() {
                    return Err(RulesError::SameName(Arc::clone(check.name())));
                }
                if check.mode() == Mode::Enforce && later.mode() == Mode::Enforce && check.contradicts(later)
                {
                    let names = [check, later].map(|check| Arc::clone(check.name()));
                    return Err(RulesError::Contradiction(names));
                }
            }
        }
        Ok(())
    }
}

impl Check {
    /// Whether no token can pass this check and a later one.
    fn contradicts(&self, later: &Self) -> bool {
        let wants_absent = |name: &str| {
            matches!(later.requirement(), Requirement::Claim(rule)
                if matches!(rule.expect, Expect::Absent) && is_claim(&rule.claim, name))
        };
        match (self.requirement(), later.requirement()) {
            (Requirement::Claim(rule), Requirement::Claim(other)) => rule.excludes(other),
            (Requirement::Type(allowed), Requirement::AccessToken) => {
                !allowed.iter().any(|typ| typ.is(TokenType::ACCESS_TOKEN))
            }
            (Requirement::AccessToken, _) => ACCESS_TOKEN_CLAIMS.into_iter().any(wants_absent),
            (Requirement::Claims(required), _) => required.iter().any(|path| wants_absent(path.as_str())),
            (Requirement::MaxAge(_), _) => wants_absent("iat"),
            (Requirement::MaxLifetime(_), _) => wants_absent("iat") || wants_absent("exp"),
            (Requirement::Issuer(_), _) => wants_absent("iss"),
            (Requirement::Audience(..), _) => wants_absent("aud"),
            (Requirement::Jti, _) => wants_absent("jti"),
            _ => false,
        }
    }
}

/// Whether this leads to the claim of this name.
fn is_claim(locator: &Locator, name: &str) -> bool {
    locator.as_str().strip_prefix('/').unwrap_or(locator.as_str()) == name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwt::{Algorithm, Pattern, TokenType, json};

    fn values(text: &str) -> Vec<Value> {
        json::parse(text.as_bytes()).unwrap().value.as_array().unwrap().to_vec()
    }

    fn number(text: &str) -> Number {
        match values(&format!("[{text}]"))[0] {
            Value::Number(number) => number,
            _ => panic!("{text}"),
        }
    }

    fn rule(optional: bool, expect: Expect) -> ClaimRule {
        ClaimRule { claim: Locator::parse("a").unwrap(), optional, expect }
    }

    #[test]
    fn requirements_that_decide_nothing() {
        let claim = |expect| Requirement::Claim(rule(false, expect));
        let elements = |quantifier, text| claim(Expect::Elements(quantifier, values(text)));
        for flawed in [
            Requirement::Issuer(vec![]),
            Requirement::Claims(vec![]),
            Requirement::MaxAge(0),
            Requirement::MaxLifetime(0),
            claim(Expect::OneOf(vec![])),
            claim(Expect::NoneOf(values("[null]"))),
            elements(Quantifier::Any, "[]"),
            elements(Quantifier::All, "[]"),
            elements(Quantifier::Only, "[]"),
            elements(Quantifier::None, "[]"),
            claim(Expect::StartsWith(String::new())),
            claim(Expect::EndsWith(String::new())),
            claim(Expect::Matches(Pattern::new(".*").unwrap())),
            claim(Expect::Matches(Pattern::new("").unwrap())),
            Requirement::Claim(rule(true, Expect::Present)),
            Requirement::Claim(rule(true, Expect::Absent)),
        ] {
            assert!(flawed.flaw().is_some(), "{flawed:?}");
        }
        for good in [
            Requirement::Jti,
            Requirement::MaxAge(1),
            claim(Expect::Present),
            claim(Expect::Absent),
            elements(Quantifier::Only, "[1]"),
            claim(Expect::Matches(Pattern::new(".+").unwrap())),
        ] {
            assert_eq!(good.flaw(), None, "{good:?}");
        }
    }

    #[test]
    fn rules_that_exclude_each_other() {
        let one_of = |text| Expect::OneOf(values(text));
        let elements = |quantifier, text| Expect::Elements(quantifier, values(text));
        let compare = |comparison, text| Expect::Compare(comparison, number(text));
        use Comparison::{AtLeast, AtMost, GreaterThan, LessThan};
        for (a, b, excludes) in [
            (Expect::Absent, Expect::Present, true),
            (Expect::Absent, Expect::Absent, false),
            (one_of("[1]"), one_of("[2]"), true),
            (one_of("[1,2]"), one_of("[2,3]"), false),
            (one_of(r#"["ab"]"#), Expect::StartsWith("b".into()), true),
            (one_of(r#"["ab"]"#), Expect::StartsWith("a".into()), false),
            (one_of("[5]"), compare(GreaterThan, "5"), true),
            (elements(Quantifier::All, "[1,2]"), elements(Quantifier::None, "[2]"), true),
            (elements(Quantifier::All, "[1,2]"), elements(Quantifier::Only, "[1]"), true),
            (elements(Quantifier::All, "[1]"), elements(Quantifier::Only, "[1,2]"), false),
            (compare(GreaterThan, "5"), compare(LessThan, "5"), true),
            (compare(AtLeast, "5"), compare(LessThan, "5"), true),
            (compare(AtLeast, "5"), compare(AtMost, "5"), false),
            (compare(AtLeast, "5"), compare(LessThan, "6"), false),
            (compare(LessThan, "5"), compare(LessThan, "6"), false),
        ] {
            let (a, b) = (rule(false, a), rule(false, b));
            assert_eq!(a.excludes(&b), excludes, "{a:?} {b:?}");
            assert_eq!(b.excludes(&a), excludes, "{b:?} {a:?}");
            let (a, b) = (ClaimRule { optional: true, ..a }, ClaimRule { optional: true, ..b });
            assert!(!a.excludes(&b), "a token without the claim keeps both: {a:?} {b:?}");
        }
    }

    #[test]
    fn checks_that_no_token_passes_together() {
        let with = |requirements: [Requirement; 2]| {
            let mut rules = Rules::new(Algorithm::RS256.into());
            requirements.into_iter().for_each(|requirement| rules.set(Check::new(requirement)));
            match rules.validate() {
                Ok(()) => None,
                Err(RulesError::Contradiction(names)) => Some(names.join(" ")),
                Err(other) => panic!("{other}"),
            }
        };
        let absent = |name: &str| {
            Requirement::Claim(ClaimRule {
                claim: Locator::parse(name).unwrap(),
                optional: false,
                expect: Expect::Absent,
            })
        };
        let typ = |typ: &str| Requirement::Type(vec![TokenType::new(typ)]);
        assert_eq!(with([typ("JWT"), Requirement::AccessToken]).as_deref(), Some("typ profile"));
        assert_eq!(with([typ("application/AT+JWT"), Requirement::AccessToken]), None);
        assert_eq!(with([Requirement::AccessToken, absent("/jti")]).as_deref(), Some("profile claim:/jti"));
        assert_eq!(with([Requirement::MaxAge(5), absent("iat")]).as_deref(), Some("maxAge claim:iat"));
        assert_eq!(with([Requirement::MaxAge(5), absent("nonce")]), None);
    }
}
