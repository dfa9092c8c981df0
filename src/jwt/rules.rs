//! What the claims of a token must say.

use super::{
    AlgorithmSet, ClaimPath, Claims, Error, SubjectClaims, SubjectError,
    json::{Number, Value},
};

/// How much a token may leave to its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// As the RFCs say.
    Strict,
    /// As Tyk (Go) reads tokens: a time of 0 counts as absent, half a surrogate pair in a text
    /// becomes U+FFFD.
    Tyk,
}

/// The clock skew that is forgiven, in seconds, for each of the three times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skew {
    /// For `exp`.
    pub expires_at: u32,
    /// For `iat`.
    pub issued_at: u32,
    /// For `nbf`.
    pub not_before: u32,
}

/// Everything that decides about a token besides its signature.
#[derive(Clone, Debug)]
pub struct Rules {
    /// What may sign; never empty.
    pub algorithms: AlgorithmSet,
    /// The longest token in octets.
    pub max_bytes: usize,
    /// How the token is read.
    pub reading: Reading,
    /// What clock differences are forgiven.
    pub skew: Skew,
    /// Claims that must be there and not `null`.
    pub required_claims: Vec<ClaimPath>,
    /// `iss` must be one of these; empty for any.
    pub issuers: Vec<String>,
    /// `aud` must have one of these; empty for any.
    pub audiences: Vec<String>,
    /// `jti` must be there.
    pub jti_required: bool,
    /// Which claims name the caller.
    pub subject_claims: SubjectClaims,
    /// The caller must be one of these; empty for any.
    pub subjects: Vec<String>,
    /// Rules about other claims, in the order of the definition.
    pub custom: Vec<CustomRule>,
}

/// A rule about one claim (`customClaimValidation`).
#[derive(Clone, Debug)]
pub struct CustomRule {
    /// The claim.
    pub path: ClaimPath,
    /// What it must be.
    pub expect: Expect,
    /// A failure is told and forgiven.
    pub non_blocking: bool,
}

/// What a custom rule wants.
#[derive(Clone, Debug)]
pub enum Expect {
    /// The claim is there and not `null`.
    Required,
    /// A text holds one of the texts, a list has one of the values, anything else equals one.
    Contains(Vec<Value>),
    /// The claim equals one of the values, types and order included.
    ExactMatch(Vec<Value>),
}

impl Rules {
    /// The rules that every token must keep, whatever the owner configures: these algorithms,
    /// times, and a bound on the size.
    #[must_use]
    pub fn new(algorithms: AlgorithmSet) -> Self {
        Self {
            algorithms,
            max_bytes: 16 * 1024,
            reading: Reading::Strict,
            skew: Skew::default(),
            required_claims: Vec::new(),
            issuers: Vec::new(),
            audiences: Vec::new(),
            jti_required: false,
            subject_claims: SubjectClaims::default(),
            subjects: Vec::new(),
            custom: Vec::new(),
        }
    }

    /// Checks the claims at the time `now`, in seconds since the epoch: times, required claims,
    /// `iss`, `aud`, `jti`, subject, custom rules. `forgiven` hears of each custom rule that failed
    /// and is not blocking.
    ///
    /// # Errors
    /// The first check that fails; of the times the last one, in the order `exp`, `iat`, `nbf`.
    pub fn check(
        &self,
        claims: &Claims,
        now: i64,
        mut forgiven: impl FnMut(&CustomRule),
    ) -> Result<(), Error> {
        if claims.replaced_surrogate && self.reading == Reading::Strict {
            return Err(Error::ClaimsMalformed);
        }
        self.check_times(claims, now)?;
        self.check_required(claims)?;
        self.check_issuer(claims)?;
        self.check_audience(claims)?;
        if self.jti_required && claims.get("jti").is_none() {
            return Err(Error::JtiMissing);
        }
        self.check_subject(claims)?;
        for rule in &self.custom {
            match rule.check(claims) {
                Err(_) if rule.non_blocking => forgiven(rule),
                result => result?,
            }
        }
        Ok(())
    }

    /// Checks `exp`, `iat` and `nbf` alone: what can change for a token that was good before.
    ///
    /// # Errors
    /// [`Error::Expired`], [`Error::IssuedInFuture`] or [`Error::NotYetValid`].
    pub fn check_times(&self, claims: &Claims, now: i64) -> Result<(), Error> {
        let time = |name| claims.get(name).filter(|value| !self.is_no_time(value)).map(seconds);
        let mut result = Ok(());
        if let Some(exp) = time("exp")
            && exp.is_none_or(|exp| now.saturating_sub(self.skew.expires_at.into()) >= exp)
        {
            result = Err(Error::Expired);
        }
        if let Some(iat) = time("iat")
            && iat.is_none_or(|iat| iat > now.saturating_add(self.skew.issued_at.into()))
        {
            result = Err(Error::IssuedInFuture);
        }
        if let Some(nbf) = time("nbf")
            && nbf.is_none_or(|nbf| nbf > now.saturating_add(self.skew.not_before.into()))
        {
            result = Err(Error::NotYetValid);
        }
        result
    }

    /// A time of 0 counts as absent for Tyk, wherever its presence matters.
    fn is_no_time(&self, value: &Value) -> bool {
        self.reading == Reading::Tyk && matches!(value, Value::Number(number) if number.as_f64() == 0.0)
    }

    fn check_required(&self, claims: &Claims) -> Result<(), Error> {
        let missing = |path: &&ClaimPath| match path.find(claims) {
            None | Some(Value::Null) => true,
            Some(value) => matches!(path.as_str(), "exp" | "iat" | "nbf") && self.is_no_time(value),
        };
        match self.required_claims.iter().find(missing) {
            Some(path) => Err(Error::RequiredClaimMissing { claim: path.as_str().into() }),
            None => Ok(()),
        }
    }

    fn check_issuer(&self, claims: &Claims) -> Result<(), Error> {
        if self.issuers.is_empty() {
            return Ok(());
        }
        let issuer = claims.get("iss").ok_or(Error::IssuerMissing)?;
        let issuer = issuer.as_str().ok_or(Error::IssuerNotText)?;
        if self.issuers.iter().any(|allowed| allowed == issuer) {
            return Ok(());
        }
        Err(Error::IssuerNotAllowed { issuer: issuer.into() })
    }

    fn check_audience(&self, claims: &Claims) -> Result<(), Error> {
        if self.audiences.is_empty() {
            return Ok(());
        }
        let audiences: Vec<&str> = match claims.get("aud").ok_or(Error::AudienceMissing)? {
            Value::String(audience) => vec![audience],
            Value::Array(audiences) => audiences.iter().filter_map(Value::as_str).collect(),
            _ => return Err(Error::AudienceMalformed),
        };
        if audiences.iter().any(|audience| self.audiences.iter().any(|allowed| allowed == audience)) {
            return Ok(());
        }
        Err(Error::AudienceNotAllowed { audiences: audiences.into_iter().map(Into::into).collect() })
    }

    /// The list is about subjects: the `kid` of the header, which anybody can write, plays no part.
    fn check_subject(&self, claims: &Claims) -> Result<(), Error> {
        if self.subjects.is_empty() {
            return Ok(());
        }
        let subject = self.subject(claims).map_err(Error::SubjectMissing)?;
        if self.subjects.iter().any(|allowed| allowed == subject) {
            return Ok(());
        }
        Err(Error::SubjectNotAllowed { subject: subject.into() })
    }

    /// Whose token it is.
    ///
    /// # Errors
    /// [`SubjectError`] when the claims name nobody.
    pub fn subject<'c>(&self, claims: &'c Claims) -> Result<&'c str, SubjectError> {
        self.subject_claims.resolve(claims)
    }
}

impl CustomRule {
    fn check(&self, claims: &Claims) -> Result<(), Error> {
        let claim = || self.path.as_str().into();
        let value = self.path.walk(claims).ok_or_else(|| Error::ClaimMissing { claim: claim() })?;
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

/// A time in whole seconds (RFC 7519 section 2, NumericDate); a fraction is cut off. Nothing for
/// what is not a number or beyond 64 bits.
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "the range is checked, and cutting the fraction off is what is wanted"
)]
pub(super) fn seconds(value: &Value) -> Option<i64> {
    const LIMIT: f64 = 9.2e18;
    match value {
        Value::Number(Number::Integer(seconds)) => Some(*seconds),
        Value::Number(Number::Float(seconds)) if seconds.abs() < LIMIT => Some(*seconds as i64),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwt::{Algorithm, json};

    const NOW: i64 = 1_800_000_000;

    fn claims(text: &str) -> Claims {
        let parsed = json::parse(text.replace("NOW", &NOW.to_string()).as_bytes()).unwrap();
        let Value::Object(members) = parsed.value else { panic!("{text}") };
        Claims::new(members, parsed.replaced_surrogate)
    }

    fn check(rules: &Rules, text: &str) -> Result<(), Error> {
        rules.check(&claims(text), NOW, |_| ())
    }

    fn rules() -> Rules {
        Rules::new(Algorithm::RS256.into())
    }

    #[test]
    fn times_at_their_edges() {
        let skew = Skew { expires_at: 10, issued_at: 5, not_before: 3 };
        let skewed = Rules { skew, ..rules() };
        let at = |rules: &Rules, name: &str, offset: i64| {
            check(rules, &format!("{{\"{name}\":{}}}", NOW + offset)).err()
        };
        for (rules, exp, iat, nbf) in [(rules(), 0, 0, 0), (skewed, 10, 5, 3)] {
            assert_eq!(at(&rules, "exp", -exp), Some(Error::Expired));
            assert_eq!(at(&rules, "exp", 1 - exp), None);
            assert_eq!(at(&rules, "iat", iat), None);
            assert_eq!(at(&rules, "iat", iat + 1), Some(Error::IssuedInFuture));
            assert_eq!(at(&rules, "nbf", nbf), None);
            assert_eq!(at(&rules, "nbf", nbf + 1), Some(Error::NotYetValid));
        }
    }

    #[test]
    fn times_that_are_no_times() {
        for odd in ["null", "true", "\"1900000000\"", "[1900000000]", "{}", "1e20", "1e308", "-1e308", "\"\""]
        {
            assert_eq!(check(&rules(), &format!("{{\"exp\":{odd}}}")), Err(Error::Expired), "{odd}");
            assert_eq!(check(&rules(), &format!("{{\"nbf\":{odd}}}")), Err(Error::NotYetValid), "{odd}");
            assert_eq!(check(&rules(), &format!("{{\"iat\":{odd}}}")), Err(Error::IssuedInFuture), "{odd}");
        }
        for past in ["0", "-1", "-9223372036854775808", "1.5", "1e-400"] {
            assert_eq!(check(&rules(), &format!("{{\"exp\":{past}}}")), Err(Error::Expired), "{past}");
        }
        assert_eq!(check(&rules(), r#"{"exp":9223372036854775807,"iat":0,"nbf":-5}"#), Ok(()));
        let tyk = Rules { reading: Reading::Tyk, ..rules() };
        assert_eq!(check(&tyk, r#"{"exp":0,"iat":0,"nbf":0.0}"#), Ok(()), "0 counts as absent");
    }

    #[test]
    fn of_several_wrong_times_the_last_is_told() {
        let wrong = r#"{"nbf":1900000000,"exp":1,"iat":1900000000}"#;
        assert_eq!(check(&rules(), wrong), Err(Error::NotYetValid));
        assert_eq!(check(&rules(), r#"{"exp":1,"iat":1900000000}"#), Err(Error::IssuedInFuture));
    }

    #[test]
    fn registered_claims() {
        let rules = Rules {
            issuers: vec!["https://a".into()],
            audiences: vec!["orders".into(), "billing".into()],
            jti_required: true,
            subjects: vec!["alice".into()],
            required_claims: vec![ClaimPath::lenient("exp")],
            ..rules()
        };
        let good = r#"{"exp":1900000000,"iss":"https://a","aud":["x","billing"],"jti":null,"sub":"alice"}"#;
        assert_eq!(check(&rules, good), Ok(()));
        let with = |from: &str, to: &str| check(&rules, &good.replace(from, to)).unwrap_err();
        assert_eq!(with(r#""exp":1900000000,"#, ""), Error::RequiredClaimMissing { claim: "exp".into() });
        assert_eq!(with(r#""iss":"https://a","#, ""), Error::IssuerMissing);
        assert_eq!(with(r#""https://a""#, r#"["https://a"]"#), Error::IssuerNotText);
        assert_eq!(with("https://a", "https://a/"), Error::IssuerNotAllowed { issuer: "https://a/".into() });
        assert_eq!(with(r#""aud":["x","billing"],"#, ""), Error::AudienceMissing);
        assert_eq!(with(r#"["x","billing"]"#, "{}"), Error::AudienceMalformed);
        assert_eq!(
            with(r#"["x","billing"]"#, r#"["x",1,"Orders"]"#),
            Error::AudienceNotAllowed { audiences: ["x".into(), "Orders".into()].into() }
        );
        assert_eq!(with(r#""jti":null,"#, ""), Error::JtiMissing);
        assert_eq!(with(r#","sub":"alice""#, ""), Error::SubjectMissing(SubjectError::Missing));
        assert_eq!(with("alice", "mallory"), Error::SubjectNotAllowed { subject: "mallory".into() });
    }

    #[test]
    fn custom_rules() {
        let values = |text: &str| json::parse(text.as_bytes()).unwrap().value.as_array().unwrap().to_vec();
        let rule = |expect| Rules {
            custom: vec![CustomRule { path: ClaimPath::strict("a.b").unwrap(), expect, non_blocking: false }],
            ..rules()
        };
        let claim = || "a.b".into();
        let required = rule(Expect::Required);
        assert_eq!(check(&required, r#"{"a":{"b":0}}"#), Ok(()));
        assert_eq!(check(&required, r#"{"a":{"b":null}}"#), Err(Error::ClaimNull { claim: claim() }));
        assert_eq!(check(&required, r#"{"a.b":1}"#), Err(Error::ClaimMissing { claim: claim() }));
        let contains = rule(Expect::Contains(values(r#"["admin",42]"#)));
        for good in ["\"unadmined\"", "[\"x\",\"admin\"]", "42", "42.0", "[42]"] {
            assert_eq!(check(&contains, &format!("{{\"a\":{{\"b\":{good}}}}}")), Ok(()), "{good}");
        }
        for bad in ["\"ADMIN\"", "[\"unadmined\"]", "43", "null", "true", "{\"admin\":1}", "[]"] {
            let result = check(&contains, &format!("{{\"a\":{{\"b\":{bad}}}}}"));
            assert_eq!(result, Err(Error::ClaimNotContaining { claim: claim() }), "{bad}");
        }
        let exact = rule(Expect::ExactMatch(values(r#"["admin",5,true,["a","b"]]"#)));
        for good in ["\"admin\"", "5.0", "true", "[\"a\",\"b\"]"] {
            assert_eq!(check(&exact, &format!("{{\"a\":{{\"b\":{good}}}}}")), Ok(()), "{good}");
        }
        for bad in ["\"5\"", "[\"b\",\"a\"]", "[\"admin\"]", "false", "null"] {
            let result = check(&exact, &format!("{{\"a\":{{\"b\":{bad}}}}}"));
            assert_eq!(result, Err(Error::ClaimNotMatching { claim: claim() }), "{bad}");
        }
    }

    #[test]
    fn a_rule_that_does_not_block_is_told() {
        let mut rules = rules();
        let path = ClaimPath::strict("role").unwrap();
        rules.custom = vec![CustomRule { path, expect: Expect::Required, non_blocking: true }];
        let mut told = 0;
        assert_eq!(rules.check(&claims("{}"), NOW, |_| told += 1), Ok(()));
        assert_eq!(told, 1);
    }

    #[test]
    fn half_a_surrogate_pair() {
        let text = r#"{"sub":"\ud800"}"#;
        assert_eq!(check(&rules(), text), Err(Error::ClaimsMalformed));
        assert_eq!(check(&Rules { reading: Reading::Tyk, ..rules() }, text), Ok(()));
    }
}
