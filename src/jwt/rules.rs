//! What the claims of a token must say.

use std::mem::discriminant;

use super::{
    AlgorithmSet, Check, Checked, Claims, Error, Outcome, Requirement, SubjectClaims, SubjectError, Window,
    json::{Object, Value},
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

/// Everything that decides about a token besides its signature: how it is read, and an ordered list
/// of [`Check`]s.
///
/// The order is that of Tyk: the times, the claims that must be there, `iss`, `aud`, `jti`, the
/// subject, rules about other claims. Of the times the one that Tyk tells comes first, `nbf`.
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
    /// Which claims name the caller.
    pub subject_claims: SubjectClaims,
    checks: Vec<Check>,
}

/// What checks look at: a token with a good signature, at some time.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'t> {
    /// The JOSE header.
    pub header: &'t Object,
    /// The claims.
    pub claims: &'t Claims,
    /// The time, in seconds since the epoch.
    pub now: i64,
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
            subject_claims: SubjectClaims::default(),
            checks: Check::of_every_token(),
        }
    }

    /// Adds a check at its place in the order, behind those of its kind. Of each requirement there is
    /// one, and the new one counts; only rules about claims are as many as are added.
    pub fn set(&mut self, check: Check) {
        if !matches!(check.requirement(), Requirement::Claim(_)) {
            self.unset(check.requirement());
        }
        let place = self.checks.partition_point(|own| own.rank() <= check.rank());
        self.checks.insert(place, check);
    }

    /// Takes out the checks of requirements of this kind, whatever they are called. Those of
    /// [`Rules::new`] stay.
    pub fn unset(&mut self, requirement: &Requirement) {
        let kind = discriminant(requirement);
        self.checks.retain(|own| discriminant(own.requirement()) != kind || own.is_of_every_token());
    }

    /// The checks in their order.
    #[must_use]
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// Makes each check in turn, when the iterator is asked for it. One that fails does not end it.
    pub fn walk<'r>(&'r self, evidence: Evidence<'r>) -> impl Iterator<Item = Checked<'r>> {
        self.checks.iter().map(move |check| check.run(self, evidence))
    }

    /// Makes the checks in their order, and gives the time for which what they found holds.
    /// `observer` hears of each, also of the one that refuses.
    ///
    /// # Errors
    /// The first check that fails and is [`enforced`](super::Mode::Enforce).
    pub fn check(
        &self,
        evidence: Evidence<'_>,
        mut observer: impl FnMut(&Checked<'_>),
    ) -> Result<Window, Error> {
        let mut holds = Window::ALWAYS;
        for checked in self.walk(evidence) {
            observer(&checked);
            holds = holds.and(checked.holds);
            if let Outcome::Refused(error) = checked.outcome {
                return Err(error);
            }
        }
        Ok(holds)
    }

    /// A time of 0 counts as absent for Tyk, wherever its presence matters.
    pub(super) fn is_no_time(&self, value: &Value) -> bool {
        self.reading == Reading::Tyk && matches!(value, Value::Number(number) if number.as_f64() == 0.0)
    }

    /// Whose token it is.
    ///
    /// # Errors
    /// [`SubjectError`] when the claims name nobody.
    pub fn subject<'c>(&self, claims: &'c Claims) -> Result<&'c str, SubjectError> {
        self.subject_claims.resolve(claims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwt::{Algorithm, Audiences, ClaimPath, ClaimRule, Expect, Locator, Mode, Requirement, json};

    const NOW: i64 = 1_800_000_000;

    fn claims(text: &str) -> Claims {
        let parsed = json::parse(text.replace("NOW", &NOW.to_string()).as_bytes()).unwrap();
        let Value::Object(members) = parsed.value else { panic!("{text}") };
        Claims::new(members, parsed.replaced_surrogate)
    }

    fn check(rules: &Rules, text: &str) -> Result<(), Error> {
        check_at(rules, text, NOW).map(|_| ())
    }

    fn check_at(rules: &Rules, text: &str, now: i64) -> Result<Window, Error> {
        let (header, claims) = (Object::default(), claims(text));
        rules.check(Evidence { header: &header, claims: &claims, now }, |_| ())
    }

    fn rules() -> Rules {
        Rules::new(Algorithm::RS256.into())
    }

    fn present(claim: &str) -> Requirement {
        let claim = Locator::parse(claim).unwrap();
        Requirement::Claim(ClaimRule { claim, optional: false, expect: Expect::Present })
    }

    fn with(requirements: impl IntoIterator<Item = Requirement>) -> Rules {
        let mut rules = rules();
        requirements.into_iter().for_each(|requirement| rules.set(Check::new(requirement)));
        rules
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
        let rules = with([
            Requirement::Subject(vec!["alice".into()]),
            Requirement::Jti,
            Requirement::Audience(vec!["orders".into(), "billing".into()], Audiences::Any),
            Requirement::Issuer(vec!["https://a".into()]),
            Requirement::Claims(vec![ClaimPath::lenient("exp")]),
        ]);
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
        let rule = |expect| {
            let claim = Locator::Path(ClaimPath::strict("a.b").unwrap());
            with([Requirement::Claim(ClaimRule { claim, optional: false, expect })])
        };
        let claim = || "a.b".into();
        let required = rule(Expect::Present);
        assert_eq!(check(&required, r#"{"a":{"b":0}}"#), Ok(()));
        assert_eq!(check(&required, r#"{"a":{"b":null}}"#), Err(Error::ClaimNull { claim: claim() }));
        assert_eq!(check(&required, r#"{"a.b":1}"#), Err(Error::ClaimMissing { claim: claim() }));
        let contains = rule(Expect::TykContains(values(r#"["admin",42]"#)));
        for good in ["\"unadmined\"", "[\"x\",\"admin\"]", "42", "42.0", "[42]"] {
            assert_eq!(check(&contains, &format!("{{\"a\":{{\"b\":{good}}}}}")), Ok(()), "{good}");
        }
        for bad in ["\"ADMIN\"", "[\"unadmined\"]", "43", "null", "true", "{\"admin\":1}", "[]"] {
            let result = check(&contains, &format!("{{\"a\":{{\"b\":{bad}}}}}"));
            assert_eq!(result, Err(Error::ClaimNotContaining { claim: claim() }), "{bad}");
        }
        let exact = rule(Expect::OneOf(values(r#"["admin",5,true,["a","b"]]"#)));
        for good in ["\"admin\"", "5.0", "true", "[\"a\",\"b\"]"] {
            assert_eq!(check(&exact, &format!("{{\"a\":{{\"b\":{good}}}}}")), Ok(()), "{good}");
        }
        for bad in ["\"5\"", "[\"b\",\"a\"]", "[\"admin\"]", "false", "null"] {
            let result = check(&exact, &format!("{{\"a\":{{\"b\":{bad}}}}}"));
            assert_eq!(result, Err(Error::ClaimNotMatching { claim: claim() }), "{bad}");
        }
    }

    #[test]
    fn the_order_is_that_of_tyk_whatever_the_order_of_the_definition() {
        let rules = with([
            present("b"),
            present("a"),
            Requirement::Subject(vec!["alice".into()]),
            Requirement::Jti,
            Requirement::Issuer(vec!["x".into()]),
            Requirement::Audience(vec!["orders".into()], Audiences::Any),
            Requirement::Claims(vec![ClaimPath::lenient("exp")]),
        ]);
        let names: Vec<&str> = rules.checks().iter().map(|check| &**check.name()).collect();
        let order = [
            "texts",
            "nbf",
            "iat",
            "exp",
            "requiredClaims",
            "iss",
            "aud",
            "jti",
            "sub",
            "claim:b",
            "claim:a",
        ];
        assert_eq!(names, order);
    }

    #[test]
    fn a_check_of_one_kind_replaces_the_other() {
        let mut rules = with([Requirement::Issuer(vec!["a".into()]), Requirement::Issuer(vec!["b".into()])]);
        assert_eq!(check(&rules, r#"{"iss":"b"}"#), Ok(()));
        assert_eq!(check(&rules, r#"{"iss":"a"}"#), Err(Error::IssuerNotAllowed { issuer: "a".into() }));
        rules.unset(&Requirement::Issuer(Vec::new()));
        rules.unset(&Requirement::Expires);
        assert_eq!(check(&rules, "{}"), Ok(()));
        assert_eq!(check(&rules, r#"{"exp":1}"#), Err(Error::Expired), "no owner can do without");
        // A name takes nothing away from a check of another kind, and saves none of the same.
        let mut rules = self::rules();
        rules.set(Check::new(Requirement::Jti).named("iss"));
        rules.set(Check::new(present("a")).named("iss"));
        rules.set(Check::new(Requirement::Issuer(vec!["a".into()])).named("other"));
        rules.set(Check::new(Requirement::Issuer(vec!["b".into()])));
        assert_eq!(check(&rules, r#"{"iss":"b","a":1}"#), Err(Error::JtiMissing));
        assert_eq!(check(&rules, r#"{"iss":"b","jti":"1"}"#), Err(Error::ClaimMissing { claim: "a".into() }));
        assert_eq!(check(&rules, r#"{"iss":"b","jti":"1","a":1}"#), Ok(()));
    }

    #[test]
    fn each_check_is_told_with_what_it_wanted_and_found() {
        let mut rules = with([Requirement::Jti]);
        rules.set(Check::new(Requirement::Issuer(vec!["a".into(), "b".into()])).in_mode(Mode::Warn));
        rules
            .set(Check::new(Requirement::Audience(vec!["orders".into()], Audiences::Any)).in_mode(Mode::Off));
        let (header, claims) = (Object::default(), claims(r#"{"iss":"\u001b\"","exp":1900000000}"#));
        let evidence = Evidence { header: &header, claims: &claims, now: NOW };
        let mut told = Vec::new();
        let result = rules.check(evidence, |checked| {
            told.push((
                checked.check().name().to_owned(),
                checked.outcome().clone(),
                checked.expected(),
                checked.found(),
            ));
        });
        assert_eq!(result, Err(Error::JtiMissing));
        let told = |name: &str| {
            let (_, outcome, expected, found) = told.iter().find(|(own, ..)| **own == *name).unwrap();
            (outcome.clone(), expected.as_str().to_owned(), found.as_str().to_owned())
        };
        let issuer = Error::IssuerNotAllowed { issuer: "\u{1b}\"".into() };
        assert_eq!(told("iss"), (Outcome::Warned(issuer), "one of a, b".into(), r#""\u001b\"""#.into()));
        assert_eq!(told("aud"), (Outcome::Off, "one of orders".into(), "absent".into()));
        assert_eq!(told("jti"), (Outcome::Refused(Error::JtiMissing), "present".into(), "absent".into()));
        let exp = format!("1900000000 (now: {NOW})");
        assert_eq!(told("exp"), (Outcome::Passed, "absent, or later than now".into(), exp));
        assert_eq!(rules.walk(evidence).count(), rules.checks().len(), "a walk goes on to the end");
    }

    #[test]
    fn a_verdict_holds_while_no_time_changes_it() {
        let skew = Skew { expires_at: 10, issued_at: 5, not_before: 3 };
        let rules = Rules { skew, ..rules() };
        let token = r#"{"exp":2000,"iat":1000,"nbf":1100}"#;
        let holds = check_at(&rules, token, 1500).unwrap();
        for now in [900, 994, 995, 1096, 1097, 1500, 2009, 2010, 3000] {
            assert_eq!(holds.contains(now), check_at(&rules, token, now).is_ok(), "{now}");
        }
        assert_eq!(check_at(&rules, "{}", 0), Ok(Window::ALWAYS));
    }

    #[test]
    fn half_a_surrogate_pair() {
        let text = r#"{"sub":"\ud800"}"#;
        assert_eq!(check(&rules(), text), Err(Error::ClaimsMalformed));
        assert_eq!(check(&Rules { reading: Reading::Tyk, ..rules() }, text), Ok(()));
    }
}
