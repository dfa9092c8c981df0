//! One check of the claims of a token.

use std::sync::Arc;

use super::{
    ClaimPath, ClaimRule, Claims, Error, Evidence, Reading, Rules, Window, json::Value, window::seconds,
};

/// A check that is made of every token of an API: what it wants, what it is called, and what becomes
/// of a token that fails it.
#[derive(Clone, Debug)]
pub struct Check {
    name: Arc<str>,
    mode: Mode,
    requirement: Requirement,
}

/// What becomes of a token that fails a check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// It is refused.
    #[default]
    Enforce,
    /// It is let through, and the owner is told.
    Warn,
    /// The check is not made.
    Off,
}

/// What a check wants of a token.
#[derive(Clone, Debug)]
pub enum Requirement {
    /// No text of the claims holds half of a surrogate pair, for which U+FFFD had to stand in.
    WholeTexts,
    /// `nbf` is not in the future.
    NotBefore,
    /// `iat` is not in the future.
    IssuedAt,
    /// `exp` is in the future.
    Expires,
    /// These claims are there and not `null`.
    Claims(Vec<ClaimPath>),
    /// `iss` is one of these.
    Issuer(Vec<String>),
    /// `aud` has one of these.
    Audience(Vec<String>),
    /// `jti` is there.
    Jti,
    /// The caller is one of these.
    Subject(Vec<String>),
    /// A claim is as a rule says.
    Claim(ClaimRule),
}

/// A check that was made.
#[derive(Clone, Debug)]
pub struct Checked<'c> {
    pub(super) check: &'c Check,
    pub(super) rules: &'c Rules,
    pub(super) evidence: Evidence<'c>,
    pub(super) outcome: Outcome,
    /// The time for which the outcome stays the same.
    pub(super) holds: Window,
}

/// What came out of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The token is as it should be.
    Passed,
    /// It is not, and is let through: the check warns only.
    Warned(Error),
    /// It is not, and is refused.
    Refused(Error),
    /// The check is off.
    Off,
}

impl Check {
    /// An enforced check, under the usual name of its requirement.
    #[must_use]
    pub fn new(requirement: Requirement) -> Self {
        Self { name: requirement.name(), mode: Mode::Enforce, requirement }
    }

    /// The same in this mode.
    #[must_use]
    pub fn in_mode(self, mode: Mode) -> Self {
        Self { mode, ..self }
    }

    /// The checks that no owner can do without.
    pub(super) fn of_every_token() -> Vec<Self> {
        use Requirement::{Expires, IssuedAt, NotBefore, WholeTexts};
        [WholeTexts, NotBefore, IssuedAt, Expires].map(Self::new).into()
    }

    pub(super) const fn is_of_every_token(&self) -> bool {
        use Requirement::{Expires, IssuedAt, NotBefore, WholeTexts};
        matches!(self.requirement, WholeTexts | NotBefore | IssuedAt | Expires)
    }

    /// The stable name, unique among the checks of an API.
    #[must_use]
    pub const fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What becomes of a token that fails.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// What is wanted.
    #[must_use]
    pub const fn requirement(&self) -> &Requirement {
        &self.requirement
    }

    /// The place among the checks.
    pub(super) const fn rank(&self) -> u8 {
        self.requirement.rank()
    }

    pub(super) fn run<'c>(&'c self, rules: &'c Rules, evidence: Evidence<'c>) -> Checked<'c> {
        let (outcome, holds) = match self.mode {
            Mode::Off => (Outcome::Off, Window::ALWAYS),
            Mode::Enforce | Mode::Warn => {
                let (result, holds) = self.requirement.check(rules, evidence);
                let outcome = match result {
                    Ok(()) => Outcome::Passed,
                    Err(error) if self.mode == Mode::Warn => Outcome::Warned(error),
                    Err(error) => Outcome::Refused(error),
                };
                (outcome, holds)
            }
        };
        Checked { check: self, rules, evidence, outcome, holds }
    }
}

impl<'c> Checked<'c> {
    /// The check.
    #[must_use]
    pub const fn check(&self) -> &'c Check {
        self.check
    }

    /// What came out of it.
    #[must_use]
    pub const fn outcome(&self) -> &Outcome {
        &self.outcome
    }
}

impl Requirement {
    fn name(&self) -> Arc<str> {
        match self {
            Self::WholeTexts => "texts".into(),
            Self::NotBefore => "nbf".into(),
            Self::IssuedAt => "iat".into(),
            Self::Expires => "exp".into(),
            Self::Claims(_) => "requiredClaims".into(),
            Self::Issuer(_) => "iss".into(),
            Self::Audience(_) => "aud".into(),
            Self::Jti => "jti".into(),
            Self::Subject(_) => "sub".into(),
            Self::Claim(rule) => format!("claim:{}", rule.path.as_str()).into(),
        }
    }

    /// The order of the checks: that of Tyk. Of several wrong times Tyk tells `nbf` before `iat`
    /// before `exp`.
    const fn rank(&self) -> u8 {
        match self {
            Self::WholeTexts => 0,
            Self::NotBefore => 1,
            Self::IssuedAt => 2,
            Self::Expires => 3,
            Self::Claims(_) => 4,
            Self::Issuer(_) => 5,
            Self::Audience(_) => 6,
            Self::Jti => 7,
            Self::Subject(_) => 8,
            Self::Claim(_) => 9,
        }
    }

    /// Whether the token is as it should be, and for how long that stays so.
    fn check(&self, rules: &Rules, evidence: Evidence<'_>) -> (Result<(), Error>, Window) {
        let claims = evidence.claims;
        let (window, error) = match self {
            Self::NotBefore => (not_before(rules, claims), Error::NotYetValid),
            Self::IssuedAt => (issued_at(rules, claims), Error::IssuedInFuture),
            Self::Expires => (expires(rules, claims), Error::Expired),
            _ => return (self.check_for_ever(rules, claims), Window::ALWAYS),
        };
        match window {
            Some(window) if window.contains(evidence.now) => (Ok(()), window),
            Some(window) => (Err(error), window.side_of(evidence.now)),
            None => (Err(error), Window::ALWAYS),
        }
    }

    /// The checks that do not depend on the time.
    fn check_for_ever(&self, rules: &Rules, claims: &Claims) -> Result<(), Error> {
        match self {
            Self::WholeTexts if claims.replaced_surrogate && rules.reading == Reading::Strict => {
                Err(Error::ClaimsMalformed)
            }
            Self::Claims(required) => check_required(required, rules, claims),
            Self::Issuer(allowed) => check_issuer(allowed, claims),
            Self::Audience(allowed) => check_audience(allowed, claims),
            Self::Jti if claims.get("jti").is_none() => Err(Error::JtiMissing),
            Self::Subject(allowed) => check_subject(allowed, rules, claims),
            Self::Claim(rule) => rule.check(claims),
            Self::WholeTexts | Self::Jti | Self::NotBefore | Self::IssuedAt | Self::Expires => Ok(()),
        }
    }
}

/// A time claim: nothing if it is absent, `Some(None)` if it is no time.
fn time(name: &str, rules: &Rules, claims: &Claims) -> Option<Option<i64>> {
    claims.get(name).filter(|value| !rules.is_no_time(value)).map(seconds)
}

/// When `nbf` lets a token pass; never, if it is no time.
fn not_before(rules: &Rules, claims: &Claims) -> Option<Window> {
    match time("nbf", rules, claims) {
        None => Some(Window::ALWAYS),
        Some(nbf) => Some(Window::from(nbf?.saturating_sub(rules.skew.not_before.into()))),
    }
}

/// When `iat` does.
fn issued_at(rules: &Rules, claims: &Claims) -> Option<Window> {
    match time("iat", rules, claims) {
        None => Some(Window::ALWAYS),
        Some(iat) => Some(Window::from(iat?.saturating_sub(rules.skew.issued_at.into()))),
    }
}

/// When `exp` does.
fn expires(rules: &Rules, claims: &Claims) -> Option<Window> {
    match time("exp", rules, claims) {
        None => Some(Window::ALWAYS),
        Some(exp) => Some(Window::before(exp?.saturating_add(rules.skew.expires_at.into()))),
    }
}

fn check_required(required: &[ClaimPath], rules: &Rules, claims: &Claims) -> Result<(), Error> {
    let missing = |path: &&ClaimPath| match path.find(claims) {
        None | Some(Value::Null) => true,
        Some(value) => matches!(path.as_str(), "exp" | "iat" | "nbf") && rules.is_no_time(value),
    };
    match required.iter().find(missing) {
        Some(path) => Err(Error::RequiredClaimMissing { claim: path.as_str().into() }),
        None => Ok(()),
    }
}

fn check_issuer(allowed: &[String], claims: &Claims) -> Result<(), Error> {
    let issuer = claims.get("iss").ok_or(Error::IssuerMissing)?;
    let issuer = issuer.as_str().ok_or(Error::IssuerNotText)?;
    if allowed.iter().any(|allowed| allowed == issuer) {
        return Ok(());
    }
    Err(Error::IssuerNotAllowed { issuer: issuer.into() })
}

fn check_audience(allowed: &[String], claims: &Claims) -> Result<(), Error> {
    let audiences: Vec<&str> = match claims.get("aud").ok_or(Error::AudienceMissing)? {
        Value::String(audience) => vec![audience],
        Value::Array(audiences) => audiences.iter().filter_map(Value::as_str).collect(),
        _ => return Err(Error::AudienceMalformed),
    };
    if audiences.iter().any(|audience| allowed.iter().any(|allowed| allowed == audience)) {
        return Ok(());
    }
    Err(Error::AudienceNotAllowed { audiences: audiences.into_iter().map(Into::into).collect() })
}

/// The list is about subjects: the `kid` of the header, which anybody can write, plays no part.
fn check_subject(allowed: &[String], rules: &Rules, claims: &Claims) -> Result<(), Error> {
    let subject = rules.subject(claims).map_err(Error::SubjectMissing)?;
    if allowed.iter().any(|allowed| allowed == subject) {
        return Ok(());
    }
    Err(Error::SubjectNotAllowed { subject: subject.into() })
}
