//! One check of the claims of a token.

use std::sync::Arc;

use super::{
    ClaimPath, ClaimRule, Claims, Error, Evidence, Reading, Rules, TokenType, Window, json::Value,
    window::seconds,
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
    /// `typ` of the header is one of these (RFC 8725 section 3.11).
    Type(Vec<TokenType>),
    /// The token is an access token of RFC 9068: `typ` is `at+jwt` (section 2.1), and the claims that
    /// every such token has are there (section 2.2).
    AccessToken,
    /// `iat` is there, and at most so many seconds ago.
    MaxAge(u32),
    /// `exp` and `iat` are there, and at most so many seconds apart.
    MaxLifetime(u32),
    /// `iss` is one of these.
    Issuer(Vec<String>),
    /// `aud` has one of these, or all.
    Audience(Vec<String>, Audiences),
    /// Who the token was issued to, `azp` (OpenID Connect Core section 2) or `client_id` (RFC 9068
    /// section 2.2), is one of these. Where both are there, both are.
    AuthorizedParty(Vec<String>),
    /// `jti` is there.
    Jti,
    /// The caller is one of these.
    Subject(Vec<String>),
    /// A claim is as a rule says.
    Claim(ClaimRule),
}

/// How many of the listed audiences a token must name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Audiences {
    /// One of them.
    #[default]
    Any,
    /// All of them.
    All,
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

    /// The same under this name.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self { name: name.into(), ..self }
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
            Self::Type(_) => "typ".into(),
            Self::AccessToken => "profile".into(),
            Self::MaxAge(_) => "maxAge".into(),
            Self::MaxLifetime(_) => "maxLifetime".into(),
            Self::Issuer(_) => "iss".into(),
            Self::Audience(..) => "aud".into(),
            Self::AuthorizedParty(_) => "azp".into(),
            Self::Jti => "jti".into(),
            Self::Subject(_) => "sub".into(),
            Self::Claim(rule) => format!("claim:{}", rule.claim.as_str()).into(),
        }
    }

    /// The order of the checks: that of Tyk, and ours between them. Of several wrong times Tyk tells
    /// `nbf` before `iat` before `exp`.
    const fn rank(&self) -> u8 {
        match self {
            Self::WholeTexts => 0,
            Self::NotBefore => 1,
            Self::IssuedAt => 2,
            Self::Expires => 3,
            Self::Claims(_) => 4,
            Self::Type(_) => 5,
            Self::AccessToken => 6,
            Self::MaxAge(_) => 7,
            Self::MaxLifetime(_) => 8,
            Self::Issuer(_) => 9,
            Self::Audience(..) => 10,
            Self::AuthorizedParty(_) => 11,
            Self::Jti => 12,
            Self::Subject(_) => 13,
            Self::Claim(_) => 14,
        }
    }

    /// Whether the token is as it should be, and for how long that stays so.
    fn check(&self, rules: &Rules, evidence: Evidence<'_>) -> (Result<(), Error>, Window) {
        let claims = evidence.claims;
        let (window, error) = match self {
            Self::NotBefore => (not_before(rules, claims), Error::NotYetValid),
            Self::IssuedAt => (issued_at(rules, claims), Error::IssuedInFuture),
            Self::Expires => (expires(rules, claims), Error::Expired),
            Self::MaxAge(_) if time("iat", rules, claims).is_none() => {
                return (Err(Error::RequiredClaimMissing { claim: "iat".into() }), Window::ALWAYS);
            }
            Self::MaxAge(seconds) => (young(*seconds, rules, claims), Error::TooOld),
            _ => return (self.check_for_ever(rules, evidence), Window::ALWAYS),
        };
        match window {
            Some(window) if window.contains(evidence.now) => (Ok(()), window),
            Some(window) => (Err(error), window.side_of(evidence.now)),
            None => (Err(error), Window::ALWAYS),
        }
    }

    /// The checks that do not depend on the time.
    fn check_for_ever(&self, rules: &Rules, evidence: Evidence<'_>) -> Result<(), Error> {
        let claims = evidence.claims;
        match self {
            Self::WholeTexts if claims.replaced_surrogate && rules.reading == Reading::Strict => {
                Err(Error::ClaimsMalformed)
            }
            Self::Claims(required) => check_required(required, rules, claims),
            Self::Type(allowed) => check_type(|typ| allowed.iter().any(|allowed| allowed.is(typ)), evidence),
            Self::AccessToken => check_access_token(rules, evidence),
            Self::MaxLifetime(seconds) => check_lifetime(*seconds, rules, claims),
            Self::Issuer(allowed) => check_issuer(allowed, claims),
            Self::Audience(allowed, how_many) => check_audience(allowed, *how_many, claims),
            Self::AuthorizedParty(allowed) => check_party(allowed, claims),
            Self::Jti if claims.get("jti").is_none() => Err(Error::JtiMissing),
            Self::Subject(allowed) => check_subject(allowed, rules, claims),
            Self::Claim(rule) => rule.check(claims),
            Self::WholeTexts
            | Self::Jti
            | Self::NotBefore
            | Self::IssuedAt
            | Self::Expires
            | Self::MaxAge(_) => Ok(()),
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

/// When the age of a token lets it pass.
fn young(max: u32, rules: &Rules, claims: &Claims) -> Option<Window> {
    let oldest = time("iat", rules, claims)??.saturating_add(max.into());
    Some(Window::before(oldest.saturating_add(rules.skew.issued_at.into()).saturating_add(1)))
}

fn check_lifetime(max: u32, rules: &Rules, claims: &Claims) -> Result<(), Error> {
    let time = |name: &str| {
        time(name, rules, claims).ok_or_else(|| Error::RequiredClaimMissing { claim: name.into() })
    };
    match (time("exp")?, time("iat")?) {
        (Some(exp), Some(iat)) if exp.saturating_sub(iat) <= max.into() => Ok(()),
        _ => Err(Error::LivesTooLong),
    }
}

fn check_type(is_allowed: impl Fn(&str) -> bool, evidence: Evidence<'_>) -> Result<(), Error> {
    let typ = evidence.header.get("typ").and_then(Value::as_str);
    if typ.is_some_and(is_allowed) {
        return Ok(());
    }
    Err(Error::TypeNotAllowed { typ: typ.map(Into::into) })
}

/// The claims of every access token (RFC 9068 section 2.2).
pub(super) const ACCESS_TOKEN_CLAIMS: [&str; 7] = ["iss", "exp", "aud", "sub", "client_id", "iat", "jti"];

fn check_access_token(rules: &Rules, evidence: Evidence<'_>) -> Result<(), Error> {
    check_type(TokenType::is_access_token, evidence)?;
    let missing = |name: &&&str| is_missing(name, evidence.claims.get(name), rules);
    match ACCESS_TOKEN_CLAIMS.iter().find(missing) {
        Some(name) => Err(Error::RequiredClaimMissing { claim: (*name).into() }),
        None => Ok(()),
    }
}

fn check_required(required: &[ClaimPath], rules: &Rules, claims: &Claims) -> Result<(), Error> {
    let missing = |path: &&ClaimPath| is_missing(path.as_str(), path.find(claims), rules);
    match required.iter().find(missing) {
        Some(path) => Err(Error::RequiredClaimMissing { claim: path.as_str().into() }),
        None => Ok(()),
    }
}

/// Whether a claim of this name counts as absent where it is required.
fn is_missing(name: &str, value: Option<&Value>, rules: &Rules) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(value) => matches!(name, "exp" | "iat" | "nbf") && rules.is_no_time(value),
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

fn check_audience(allowed: &[String], how_many: Audiences, claims: &Claims) -> Result<(), Error> {
    let audiences: Vec<&str> = match claims.get("aud").ok_or(Error::AudienceMissing)? {
        Value::String(audience) => vec![audience],
        Value::Array(audiences) => audiences.iter().filter_map(Value::as_str).collect(),
        _ => return Err(Error::AudienceMalformed),
    };
    let is_named = |allowed: &String| audiences.contains(&allowed.as_str());
    let passes = match how_many {
        Audiences::Any => allowed.iter().any(is_named),
        Audiences::All => allowed.iter().all(is_named),
    };
    if passes {
        return Ok(());
    }
    Err(Error::AudienceNotAllowed { audiences: audiences.into_iter().map(Into::into).collect() })
}

/// Names that are no texts allow nothing.
fn check_party(allowed: &[String], claims: &Claims) -> Result<(), Error> {
    let named = ["azp", "client_id"].map(|name| claims.get(name).filter(|party| **party != Value::Null));
    if named.iter().all(Option::is_none) {
        return Err(Error::PartyMissing);
    }
    for party in named.into_iter().flatten() {
        if !party.as_str().is_some_and(|party| allowed.iter().any(|allowed| allowed == party)) {
            return Err(Error::PartyNotAllowed { party: party.to_string().into() });
        }
    }
    Ok(())
}

/// The list is about subjects: the `kid` of the header, which anybody can write, plays no part.
fn check_subject(allowed: &[String], rules: &Rules, claims: &Claims) -> Result<(), Error> {
    let subject = rules.subject(claims).map_err(Error::SubjectMissing)?;
    if allowed.iter().any(|allowed| allowed == subject) {
        return Ok(());
    }
    Err(Error::SubjectNotAllowed { subject: subject.into() })
}
