//! Which tokens a source may speak for.

use crate::jwt::{Algorithm, AlgorithmSet, TokenType};

/// What tokens must be, so that the keys of a source may verify them. Nothing named is nothing excluded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Binding {
    /// The issuers (`iss`); empty for any that no other source of the API is bound to.
    pub issuers: Vec<String>,
    /// The audiences (`aud`), of which a token must have one; empty for any.
    pub audiences: Vec<String>,
    /// The algorithms (`alg`); empty for any that the API allows.
    pub algorithms: AlgorithmSet,
    /// The types (`typ`); empty for any, and for none.
    pub token_types: Vec<TokenType>,
}

/// What a token says of itself before anything was verified. It chooses among sources, and can do no
/// harm there: what a source's key then verifies are this same header and these same claims.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parties {
    /// `iss`, if it is a text.
    pub issuer: Option<String>,
    /// `aud`, as far as it is text.
    pub audiences: Vec<String>,
    /// `typ`, if it is a text.
    pub token_type: Option<TokenType>,
}

impl Binding {
    /// To one issuer, and nothing else.
    pub fn to_issuer(issuer: impl Into<String>) -> Self {
        Self { issuers: vec![issuer.into()], ..Self::default() }
    }

    /// Whether it excludes nothing.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.issuers.is_empty()
            && self.audiences.is_empty()
            && self.algorithms.is_empty()
            && self.token_types.is_empty()
    }

    /// Whether it names the issuer.
    pub(super) fn names(&self, parties: &Parties) -> bool {
        parties.issuer.as_ref().is_some_and(|issuer| self.issuers.contains(issuer))
    }

    /// Whether the source may verify the token. `is_taken` says that some source names the issuer.
    pub(super) fn admits(&self, parties: &Parties, algorithm: Algorithm, is_taken: bool) -> bool {
        let issuer = if self.issuers.is_empty() { !is_taken } else { self.names(parties) };
        let has_audience = || parties.audiences.iter().any(|audience| self.audiences.contains(audience));
        let has_type = || parties.token_type.as_ref().is_some_and(|own| self.token_types.contains(own));
        issuer
            && (self.audiences.is_empty() || has_audience())
            && (self.algorithms.is_empty() || self.algorithms.contains(algorithm))
            && (self.token_types.is_empty() || has_type())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(list: &[&str]) -> Vec<String> {
        list.iter().map(|text| (*text).into()).collect()
    }

    #[test]
    fn who_is_admitted() {
        let of = |issuers: &[&str], audiences: &[&str]| Binding {
            issuers: texts(issuers),
            audiences: texts(audiences),
            ..Binding::default()
        };
        let token = |issuer: Option<&str>, audiences: &[&str]| Parties {
            issuer: issuer.map(Into::into),
            audiences: texts(audiences),
            token_type: None,
        };
        for (binding, token, is_taken, admitted) in [
            (of(&["a"], &[]), token(Some("a"), &[]), true, true),
            (of(&["a"], &[]), token(Some("b"), &[]), false, false),
            (of(&["a"], &[]), token(None, &[]), false, false),
            (of(&["a"], &["x", "y"]), token(Some("a"), &["z", "y"]), true, true),
            (of(&["a"], &["x"]), token(Some("a"), &[]), true, false),
            (of(&[], &[]), token(Some("a"), &[]), true, false),
            (of(&[], &[]), token(Some("b"), &[]), false, true),
            (of(&[], &[]), token(None, &[]), false, true),
            (of(&[], &["x"]), token(None, &["x"]), false, true),
        ] {
            let admits = binding.admits(&token, Algorithm::ES256, is_taken);
            assert_eq!(admits, admitted, "{binding:?} {token:?} {is_taken}");
        }
    }
    #[test]
    fn what_is_admitted() {
        let of = |algorithms: &[Algorithm], types: &[&str]| Binding {
            algorithms: algorithms.iter().copied().collect(),
            token_types: types.iter().map(|text| TokenType::new(text)).collect(),
            ..Binding::default()
        };
        for (binding, token_type, admitted) in [
            (of(&[], &[]), None, true),
            (of(&[], &[]), Some("JWT"), true),
            (of(&[Algorithm::ES256], &[]), None, true),
            (of(&[Algorithm::RS256, Algorithm::ES384], &[]), None, false),
            (of(&[], &["at+jwt"]), Some("at+jwt"), true),
            (of(&[], &["at+jwt"]), Some("application/AT+JWT"), true),
            (of(&[], &["application/at+jwt"]), Some("At+Jwt"), true),
            (of(&[], &["at+jwt", "JWT"]), Some("jwt"), true),
            (of(&[], &["at+jwt"]), Some("JWT"), false),
            (of(&[], &["at+jwt"]), Some("text/at+jwt"), false),
            (of(&[], &["at+jwt"]), Some(" at+jwt"), false),
            (of(&[], &["at+jwt"]), None, false),
            (of(&[Algorithm::RS256], &["at+jwt"]), Some("at+jwt"), false),
        ] {
            let parties = Parties { token_type: token_type.map(TokenType::new), ..Parties::default() };
            let admits = binding.admits(&parties, Algorithm::ES256, false);
            assert_eq!(admits, admitted, "{binding:?} {token_type:?}");
        }
    }
}
