//! Which tokens a source may speak for.

/// Who tokens must be from and for, so that the keys of a source may verify them. Nothing named is
/// nobody excluded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Binding {
    /// The issuers (`iss`); empty for any that no other source of the API is bound to.
    pub issuers: Vec<String>,
    /// The audiences (`aud`), of which a token must have one; empty for any.
    pub audiences: Vec<String>,
}

/// What a token says of itself before anything was verified. It chooses among sources, and can do no
/// harm there: what a source's key then verifies are these same claims.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parties {
    /// `iss`, if it is a text.
    pub issuer: Option<String>,
    /// `aud`, as far as it is text.
    pub audiences: Vec<String>,
}

impl Binding {
    /// Whether it excludes anybody.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.issuers.is_empty() && self.audiences.is_empty()
    }

    /// Whether it names the issuer.
    pub(super) fn names(&self, parties: &Parties) -> bool {
        parties.issuer.as_ref().is_some_and(|issuer| self.issuers.contains(issuer))
    }

    /// Whether the source may verify the token. `is_taken` says that some source names the issuer.
    pub(super) fn admits(&self, parties: &Parties, is_taken: bool) -> bool {
        let issuer = if self.issuers.is_empty() { !is_taken } else { self.names(parties) };
        issuer
            && (self.audiences.is_empty()
                || parties.audiences.iter().any(|audience| self.audiences.contains(audience)))
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
        };
        let token = |issuer: Option<&str>, audiences: &[&str]| Parties {
            issuer: issuer.map(Into::into),
            audiences: texts(audiences),
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
            assert_eq!(binding.admits(&token, is_taken), admitted, "{binding:?} {token:?} {is_taken}");
        }
    }
}
