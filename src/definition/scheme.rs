//! A JWT scheme.

use std::sync::Arc;

use super::{JwtScheme, SchemeKeys, context::Context, places::RawPlaces, raw};
use crate::{
    auth::Place,
    document::FieldPath,
    jwt::{Algorithm, AlgorithmSet, Family, Rules, RulesError, ScopeClaims, Skew, SubjectClaims},
};

pub(super) struct SchemeParser<'s, 'p> {
    pub(super) context: &'s mut Context<'p>,
    pub(super) name: &'s str,
    pub(super) at: FieldPath,
    pub(super) at_claimgate: FieldPath,
    pub(super) org_id: &'s str,
}

impl SchemeParser<'_, '_> {
    fn error(&mut self, field: &str, message: impl Into<String>) {
        self.context.error(&self.at.member(field), message);
    }

    pub(super) fn parse(mut self, scheme: &raw::Scheme, refined: &raw::ClaimgateScheme) -> Option<JwtScheme> {
        let places = self.places(scheme);
        // What is wrong with one part does not hide what is wrong with the next.
        let algorithms = self.algorithms(scheme, refined);
        let sources = self.sources(scheme, refined, algorithms);
        let rules = self.rules(scheme, refined, algorithms.unwrap_or_default());
        let decryption = self.decryption(refined.decryption.as_ref());
        let selection = self.selection(scheme, refined);
        let by_stored_key = sources.as_ref().is_some_and(Vec::is_empty);
        if !selection.is_configured() && !by_stored_key {
            let message = "nothing selects a policy for a token, so nobody gets in; add defaultPolicies, basePolicyClaims or scopes, or claimsToPolicies in x-claimgate";
            self.context.warning(&self.at, message);
        }
        let scope_check = refined.scope_check.as_ref().and_then(|raw| self.scope_check(raw));
        algorithms.is_some().then_some(JwtScheme {
            name: self.name.into(),
            places,
            rules,
            bounds_token_size: refined.max_token_size.is_some(),
            keys: match sources? {
                sources if sources.is_empty() => SchemeKeys::Stored { by_kid: !scheme.skip_kid },
                sources => SchemeKeys::Sources(sources),
            },
            decryption: decryption.map(Arc::new),
            naming: self.naming(scheme, refined),
            selection: Arc::new(selection),
            scope_check,
        })
    }

    fn places(&mut self, scheme: &raw::Scheme) -> Vec<Place> {
        let raw::Scheme { header, query, cookie, .. } = scheme;
        let raw = RawPlaces { header: header.as_ref(), query: query.as_ref(), cookie: cookie.as_ref() };
        let Ok(places) = raw.parse() else {
            let at = self.at.members(&["header", "name"]);
            self.context.error(&at, "this is not a header name; correct it");
            return Vec::new();
        };
        if places.is_empty() {
            let message = "the token is looked for nowhere; enable at least one of header, query and cookie";
            self.context.error(&self.at, message);
        }
        places
    }

    /// What may sign: the list in our extension, which then decides alone, or the family of
    /// `signingMethod`. In Tyk an unknown method is that of shared secrets, and a public key one.
    fn algorithms(&mut self, scheme: &raw::Scheme, refined: &raw::ClaimgateScheme) -> Option<AlgorithmSet> {
        let family = match scheme.signing_method.as_deref() {
            Some("hmac") => Some(Family::Hmac),
            Some("rsa") => Some(Family::Rsa),
            Some("ecdsa") => Some(Family::Ecdsa),
            None => None,
            Some(_) => {
                self.error("signingMethod", "unknown method; write rsa, ecdsa or hmac");
                return None;
            }
        };
        let Some(names) = &refined.algorithms else {
            if family.is_none() {
                let message = "it must be said what may sign; write rsa, ecdsa or hmac, or list algorithms in x-claimgate";
                self.error("signingMethod", message);
            }
            return family.map(AlgorithmSet::of_family);
        };
        let algorithms = self.algorithm_list(&self.at_claimgate.member("algorithms"), names);
        if names.is_empty() {
            let at = self.at_claimgate.member("algorithms");
            self.context.error(&at, "the list is empty, so nothing could sign; name at least one algorithm");
        }
        Some(algorithms).filter(|set| !set.is_empty())
    }

    /// The algorithms with these names.
    pub(super) fn algorithm_list(&mut self, at: &FieldPath, names: &[String]) -> AlgorithmSet {
        let mut algorithms = Vec::with_capacity(names.len());
        for (n, name) in names.iter().enumerate() {
            match Algorithm::from_name(name) {
                Some(algorithm) => algorithms.push(algorithm),
                None => {
                    let known: AlgorithmSet = Algorithm::ALL.into_iter().collect();
                    let message = format!("unknown algorithm; the known ones are {known}");
                    self.context.error(&at.element(n), message);
                }
            }
        }
        algorithms.into_iter().collect()
    }

    fn rules(
        &mut self,
        scheme: &raw::Scheme,
        refined: &raw::ClaimgateScheme,
        algorithms: AlgorithmSet,
    ) -> Rules {
        let skew = Skew {
            expires_at: self.skew("expiresAtValidationSkew", scheme.expires_at_validation_skew),
            issued_at: self.skew("issuedAtValidationSkew", scheme.issued_at_validation_skew),
            not_before: self.skew("notBeforeValidationSkew", scheme.not_before_validation_skew),
        };
        let subject_claims = match &*scheme.subject_claims {
            [] if scheme.identity_base_field.is_empty() => SubjectClaims::default(),
            [] => SubjectClaims::new([&scheme.identity_base_field]),
            claims => SubjectClaims::new(claims),
        };
        for (field, values) in [
            ("allowedIssuers", &scheme.allowed_issuers),
            ("allowedAudiences", &scheme.allowed_audiences),
            ("allowedSubjects", &scheme.allowed_subjects),
        ] {
            self.texts(&self.at.member(field), values);
        }
        let mut rules = Rules::new(algorithms);
        rules.skew = skew;
        rules.subject_claims = subject_claims;
        self.checks(scheme, refined).into_iter().for_each(|check| rules.set(check));
        // What is wrong with one check is told at its field.
        if let Err(contradiction @ RulesError::Contradiction(_)) = rules.validate() {
            self.context.error(&self.at_claimgate, contradiction.to_string());
        }
        if let Some(size) = refined.max_token_size {
            rules.max_bytes = usize::try_from(size).unwrap_or(usize::MAX);
            if !(256..=64 * 1024).contains(&size) {
                let at = self.at_claimgate.member("maxTokenSize");
                self.context.error(&at, "the size is counted in octets, from 256 to 65536; correct it");
            }
        }
        rules
    }

    /// Values that claims are compared with, exactly.
    pub(super) fn texts(&mut self, at: &FieldPath, values: &[String]) {
        for (n, value) in values.iter().enumerate() {
            let message = match value.as_str() {
                "" => "an empty text allows tokens that name nobody; write a value, or remove it",
                text if text.trim() != text => {
                    "values are compared exactly, and this one begins or ends with a space; remove it"
                }
                _ => continue,
            };
            self.context.error(&at.element(n), message);
        }
    }

    fn skew(&mut self, field: &str, seconds: u64) -> u32 {
        const WEEK: u32 = 7 * 24 * 60 * 60;
        match u32::try_from(seconds) {
            Ok(seconds) if seconds <= WEEK => seconds,
            _ => {
                self.error(
                    field,
                    "a clock that is more than a week off is no clock; the skew is counted in seconds",
                );
                0
            }
        }
    }

    /// Where the scopes of a token are, if those that operations ask for are checked.
    fn scope_check(&mut self, raw: &raw::ScopeCheck) -> Option<ScopeClaims> {
        let at = self.at_claimgate.member("scopeCheck");
        let Some(enabled) = raw.enabled else {
            let message = "it must be said whether scopes are checked; write enabled: true or enabled: false";
            self.context.error(&at, message);
            return None;
        };
        let names = match &*raw.claim_names {
            [] => &["scope".to_owned(), "scp".to_owned()],
            names => names,
        };
        if names.iter().any(String::is_empty) {
            self.context.error(&at.member("claimNames"), "a claim has a name; write it, or remove the text");
        }
        enabled.then(|| ScopeClaims::new(names))
    }
}
