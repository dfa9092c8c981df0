//! The checks of a token's claims: those of Tyk, and the stricter ones of our extension.

use std::collections::HashSet;

use super::{duration, raw, scheme::SchemeParser};
use crate::{
    document::FieldPath,
    jwt::{
        Audiences, Check, ClaimPath, ClaimRule, Comparison, Expect, Locator, Mode, Pattern, Quantifier,
        Requirement, TokenType, json,
    },
};

/// The longest age or lifetime that can be asked for: more is no bound.
const TEN_YEARS: u32 = 10 * 365 * 24 * 60 * 60;

impl SchemeParser<'_, '_> {
    /// The checks of the claims, each in its mode.
    pub(super) fn checks(&mut self, scheme: &raw::Scheme, refined: &raw::ClaimgateScheme) -> Vec<Check> {
        let mut checks = self.checks_of_tyk(scheme, refined);
        checks.extend(self.own_checks(scheme, refined).into_iter().map(Check::new));
        self.set_modes(&mut checks, &refined.modes);
        checks.extend(self.custom_rules(&scheme.custom_claim_validation));
        let mut names: HashSet<_> = checks.iter().map(|check| check.name().clone()).collect();
        for (n, rule) in refined.claims.iter().enumerate() {
            let at = self.at_claimgate.member("claims").element(n);
            let Some(check) = self.claim_rule(&at, rule) else { continue };
            if !names.insert(check.name().clone()) {
                let message = format!("two checks have the name {}; write another name", check.name());
                self.context.error(&at.member("name"), message);
            }
            checks.push(check);
        }
        checks
    }

    /// The checks that Tyk knows. An empty list is none.
    fn checks_of_tyk(&mut self, scheme: &raw::Scheme, refined: &raw::ClaimgateScheme) -> Vec<Check> {
        let mut requirements = Vec::new();
        if !scheme.allowed_issuers.is_empty() {
            requirements.push(Requirement::Issuer(scheme.allowed_issuers.clone()));
        }
        let how_many = self.audience_match(scheme, refined);
        if !scheme.allowed_audiences.is_empty() {
            requirements.push(Requirement::Audience(scheme.allowed_audiences.clone(), how_many));
        }
        if !scheme.allowed_subjects.is_empty() {
            requirements.push(Requirement::Subject(scheme.allowed_subjects.clone()));
        }
        if scheme.jti_validation.enabled {
            requirements.push(Requirement::Jti);
        }
        requirements.into_iter().map(Check::new).collect()
    }

    fn audience_match(&mut self, scheme: &raw::Scheme, refined: &raw::ClaimgateScheme) -> Audiences {
        let Some(text) = refined.audience_match.as_deref() else { return Audiences::Any };
        let at = self.at_claimgate.member("audienceMatch");
        if scheme.allowed_audiences.is_empty() {
            self.context.error(&at, "there are no audiences to match; list them in allowedAudiences");
        }
        match text {
            "any" => Audiences::Any,
            "all" => Audiences::All,
            _ => {
                self.context.error(&at, "write any or all");
                Audiences::All
            }
        }
    }

    /// The checks of our extension, but for the rules about single claims.
    fn own_checks(&mut self, scheme: &raw::Scheme, refined: &raw::ClaimgateScheme) -> Vec<Requirement> {
        let mut requirements = Vec::new();
        if !refined.required_claims.is_empty() {
            let paths = refined.required_claims.iter().map(|claim| ClaimPath::lenient(claim));
            requirements.push(Requirement::Claims(paths.collect()));
        }
        if let Some(types) = &refined.types {
            self.types(types);
            let types = types.iter().map(|text| TokenType::new(text)).collect();
            requirements.push(self.flawless("types", Requirement::Type(types)));
        }
        requirements.extend(self.profile(scheme, refined));
        if let Some(age) = &refined.max_age {
            requirements.extend(self.seconds("maxAge", age).map(Requirement::MaxAge));
        }
        if let Some(lifetime) = &refined.max_lifetime {
            requirements.extend(self.seconds("maxLifetime", lifetime).map(Requirement::MaxLifetime));
        }
        if let Some(parties) = &refined.authorized_parties {
            self.texts(&self.at_claimgate.member("authorizedParties"), parties);
            let requirement = Requirement::AuthorizedParty(parties.clone());
            requirements.push(self.flawless("authorizedParties", requirement));
        }
        requirements
    }

    /// The requirement, after an error if it decides nothing.
    fn flawless(&mut self, field: &str, requirement: Requirement) -> Requirement {
        if let Some(flaw) = requirement.flaw() {
            let at = self.at_claimgate.member(field);
            self.context.error(&at, flaw);
        }
        requirement
    }

    fn types(&mut self, types: &[String]) {
        // The characters of RFC 6838 section 4.2, and the slash between type and subtype.
        let allowed = |c: char| c.is_ascii_alphanumeric() || "!#$&-^_.+/".contains(c);
        for (n, typ) in types.iter().enumerate() {
            if typ.is_empty() || !typ.chars().all(allowed) {
                let at = self.at_claimgate.member("types").element(n);
                self.context.error(&at, "a type is a media type without parameters, such as at+jwt or JWT");
            }
        }
    }

    fn profile(&mut self, scheme: &raw::Scheme, refined: &raw::ClaimgateScheme) -> Option<Requirement> {
        let profile = refined.profile.as_deref()?;
        let at = self.at_claimgate.member("profile");
        if profile != "rfc9068" {
            self.context.error(&at, "unknown profile; the known one is rfc9068");
            return None;
        }
        for (field, values, of_every) in [
            ("allowedIssuers", &scheme.allowed_issuers, "tokens of every issuer"),
            ("allowedAudiences", &scheme.allowed_audiences, "tokens for every audience"),
        ] {
            if values.is_empty() {
                let message = format!(
                    "{of_every} pass, which RFC 9068 section 4 does not allow; list those you mean in {field}"
                );
                self.context.warning(&at, message);
            }
        }
        Some(Requirement::AccessToken)
    }

    /// A duration in whole seconds.
    fn seconds(&mut self, field: &str, text: &str) -> Option<u32> {
        let seconds = duration::parse(text).filter(|duration| duration.subsec_nanos() == 0);
        let seconds = seconds.and_then(|duration| u32::try_from(duration.as_secs()).ok());
        let seconds = seconds.filter(|seconds| (1..=TEN_YEARS).contains(seconds));
        if seconds.is_none() {
            let at = self.at_claimgate.member(field);
            let message = "write a duration of whole seconds, from 1s to ten years, such as 90s, 15m or 24h";
            self.context.error(&at, message);
        }
        seconds
    }

    /// Puts the checks that `modes` names into their modes.
    fn set_modes(&mut self, checks: &mut [Check], modes: &[(String, String)]) {
        for (name, mode) in modes {
            let at = self.at_claimgate.member("modes").member(name);
            let Some(mode) = self.mode(&at, mode) else { continue };
            match checks.iter_mut().find(|check| **check.name() == **name) {
                Some(check) => *check = check.clone().in_mode(mode),
                None => {
                    let message =
                        "nothing configures this check, so it has no mode; configure it, or remove this";
                    self.context.error(&at, message);
                }
            }
        }
    }

    fn mode(&mut self, at: &FieldPath, text: &str) -> Option<Mode> {
        let (mode, message) = match text {
            "enforce" => return Some(Mode::Enforce),
            "warn" => (
                Mode::Warn,
                "tokens that fail this check get in, and count in claimgate_check_warnings_total; write enforce once that stands still",
            ),
            "off" => (
                Mode::Off,
                "this check is not made, so nothing can fail it; write enforce or warn, or remove it",
            ),
            _ => {
                self.context.error(at, "unknown mode; write enforce, warn or off");
                return None;
            }
        };
        self.context.warning(at, message);
        Some(mode)
    }

    /// A rule of our extension.
    fn claim_rule(&mut self, at: &FieldPath, rule: &raw::TokenRule) -> Option<Check> {
        let claim = self.context.locator(&at.member("claim"), &rule.claim);
        let (operator, expect) = self.operator(at, rule)?;
        let name = match &rule.name {
            Some(name) => name.clone(),
            None => format!("claim:{}:{operator}", rule.claim),
        };
        if name.trim() != name || name.is_empty() || name.chars().any(char::is_control) {
            self.context
                .error(&at.member("name"), "a name is a plain text without spaces around it; correct it");
        }
        let requirement = Requirement::Claim(ClaimRule { claim: claim?, optional: rule.optional, expect });
        if let Some(flaw) = requirement.flaw() {
            self.context.error(&at.member(operator), flaw);
        }
        let mode = match &rule.mode {
            Some(mode) => self.mode(&at.member("mode"), mode)?,
            None => Mode::Enforce,
        };
        Some(Check::new(requirement).named(&name).in_mode(mode))
    }

    /// The one operator of a rule.
    fn operator(&mut self, at: &FieldPath, rule: &raw::TokenRule) -> Option<(&'static str, Expect)> {
        let pattern = match rule.matches.as_deref().map(Pattern::new).transpose() {
            Ok(pattern) => pattern,
            Err(reason) => {
                let message = format!("this is not a regular expression that can be used: {reason}");
                self.context.error(&at.member("matches"), message);
                return None;
            }
        };
        let mut operators = operators(rule, pattern);
        let first = operators.next();
        if first.is_none() || operators.next().is_some() {
            let message = "a rule needs one operator, such as exists, equals, oneOf, contains or matches; write each in a rule of its own";
            self.context.error(at, message);
            return None;
        }
        first
    }

    /// Tyk's rules (`customClaimValidation`).
    fn custom_rules(&mut self, rules: &[(String, raw::ClaimRule)]) -> Vec<Check> {
        let at = self.at.member("customClaimValidation");
        let mut parsed = Vec::with_capacity(rules.len());
        for (path, rule) in rules {
            let at = at.member(path);
            let path = match ClaimPath::strict(path) {
                Ok(path) => path,
                Err(reason) => {
                    self.context.error(&at, reason.to_string());
                    continue;
                }
            };
            let allowed = || rule.allowed_values.iter().map(claim_value).collect::<Vec<_>>();
            let expect = match rule.r#type.as_deref() {
                Some("required") => Expect::Present,
                Some("contains") => Expect::TykContains(allowed()),
                Some("exact_match") => Expect::OneOf(allowed()),
                _ => {
                    let message = "a rule without a known type would pass whatever the claim holds; write required, exact_match or contains";
                    self.context.error(&at.member("type"), message);
                    continue;
                }
            };
            if !rule.allowed_values.is_empty() && matches!(expect, Expect::Present) {
                let message = "a rule of type required does not look at values; write exact_match or contains, or remove them";
                self.context.warning(&at.member("allowedValues"), message);
            }
            let requirement =
                Requirement::Claim(ClaimRule { claim: Locator::Path(path), optional: false, expect });
            if let Some(flaw) = requirement.flaw() {
                self.context.error(&at.member("allowedValues"), flaw);
            }
            let mode = if rule.non_blocking { Mode::Warn } else { Mode::Enforce };
            parsed.push(Check::new(requirement).in_mode(mode));
        }
        parsed
    }
}

/// The operators that a rule has, by the names of their fields.
fn operators(
    rule: &raw::TokenRule,
    pattern: Option<Pattern>,
) -> impl Iterator<Item = (&'static str, Expect)> {
    let one = |value: &Option<serde_json::Value>| Some(vec![claim_value(value.as_ref()?)]);
    let list =
        |values: &Option<Vec<serde_json::Value>>| Some(values.as_ref()?.iter().map(claim_value).collect());
    let elements = |quantifier, values: Option<Vec<_>>| Some(Expect::Elements(quantifier, values?));
    let compare = |comparison, bound: &Option<serde_json::Value>| match claim_value(bound.as_ref()?) {
        json::Value::Number(bound) => Some(Expect::Compare(comparison, bound)),
        _ => None,
    };
    let exists = |exists| if exists { Expect::Present } else { Expect::Absent };
    [
        ("exists", rule.exists.map(exists)),
        ("equals", one(&rule.equals).map(Expect::OneOf)),
        ("notEquals", one(&rule.not_equals).map(Expect::NoneOf)),
        ("oneOf", list(&rule.one_of).map(Expect::OneOf)),
        ("noneOf", list(&rule.none_of).map(Expect::NoneOf)),
        ("contains", elements(Quantifier::All, one(&rule.contains))),
        ("containsAny", elements(Quantifier::Any, list(&rule.contains_any))),
        ("containsAll", elements(Quantifier::All, list(&rule.contains_all))),
        ("containsOnly", elements(Quantifier::Only, list(&rule.contains_only))),
        ("containsNone", elements(Quantifier::None, list(&rule.contains_none))),
        ("startsWith", rule.starts_with.clone().map(Expect::StartsWith)),
        ("endsWith", rule.ends_with.clone().map(Expect::EndsWith)),
        ("matches", pattern.map(Expect::Matches)),
        ("greaterThan", compare(Comparison::GreaterThan, &rule.greater_than)),
        ("atLeast", compare(Comparison::AtLeast, &rule.at_least)),
        ("lessThan", compare(Comparison::LessThan, &rule.less_than)),
        ("atMost", compare(Comparison::AtMost, &rule.at_most)),
    ]
    .into_iter()
    .filter_map(|(operator, expect)| Some((operator, expect?)))
}

/// A value of the definition, as it would stand in a claim.
pub(super) fn claim_value(value: &serde_json::Value) -> json::Value {
    // What serde_json writes is JSON without duplicates.
    json::parse(value.to_string().as_bytes()).map_or(json::Value::Null, |parsed| parsed.value)
}
