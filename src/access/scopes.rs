//! The scopes that an operation asks for (`security` of an OpenAPI document).

/// Sets of scopes of which a caller must have one, and of that set every scope. An empty set asks for
/// nothing; where there is no set at all, no scopes are enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequiredScopes(Box<[ScopeSet]>);

type ScopeSet = Box<[Box<str>]>;

/// What is asked of the tokens of each scheme whose scopes are checked, by the scheme's name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SchemeScopes(Vec<(Box<str>, RequiredScopes)>);

/// Why scopes are not enough.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MissingScopes {
    /// A set that would be, with spaces between (RFC 6749 section 3.3).
    pub required: String,
    /// What of it the caller does not have, written alike.
    pub missing: String,
}

impl RequiredScopes {
    /// One of these sets.
    #[must_use]
    pub fn one_of(sets: Vec<Vec<String>>) -> Self {
        let set = |scopes: Vec<String>| scopes.into_iter().map(Into::into).collect();
        Self(sets.into_iter().map(set).collect())
    }

    /// Whether a caller has enough.
    ///
    /// # Errors
    /// [`MissingScopes`] names the set of which the caller lacks least, of several the first.
    pub fn check(&self, has: impl Fn(&str) -> bool) -> Result<(), MissingScopes> {
        let lacks = |set: &ScopeSet| set.iter().filter(|scope| !has(scope)).count();
        let nearest = self.0.iter().min_by_key(|set| lacks(set)).ok_or_else(MissingScopes::default)?;
        if lacks(nearest) == 0 {
            return Ok(());
        }
        let missing: Vec<&str> = nearest.iter().map(AsRef::as_ref).filter(|scope| !has(scope)).collect();
        Err(MissingScopes { required: nearest.join(" "), missing: missing.join(" ") })
    }
}

impl SchemeScopes {
    /// These demands.
    #[must_use]
    pub fn new(demands: impl IntoIterator<Item = (Box<str>, RequiredScopes)>) -> Self {
        Self(demands.into_iter().collect())
    }

    /// Whether a token of this scheme has enough. One of a scheme that is not named here never has.
    ///
    /// # Errors
    /// [`MissingScopes`] as in [`RequiredScopes::check`].
    pub fn check(&self, scheme: &str, has: impl Fn(&str) -> bool) -> Result<(), MissingScopes> {
        let demand = self.0.iter().find(|(own, _)| **own == *scheme).map(|(_, required)| required);
        demand.ok_or_else(MissingScopes::default)?.check(has)
    }
}

/// Whether a text can be a scope: a word without quotes and backslashes (RFC 6749 section 3.3).
#[must_use]
pub fn is_scope(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| matches!(c, '!'..='~') && !matches!(c, '"' | '\\'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sets: &[&[&str]], has: &[&str]) -> Result<(), (String, String)> {
        let sets = sets.iter().map(|set| set.iter().map(|scope| (*scope).into()).collect()).collect();
        let required = RequiredScopes::one_of(sets);
        required.check(|scope| has.contains(&scope)).map_err(|missing| (missing.required, missing.missing))
    }

    #[test]
    fn all_of_one_set() {
        let missing = |required: &str, missing: &str| Err((required.into(), missing.into()));
        for (sets, has, expected) in [
            (&[][..], &["a"][..], missing("", "")),
            (&[&["a"][..], &[]], &[], Ok(())),
            (&[&["a", "b"]], &["b", "a", "c"], Ok(())),
            (&[&["a", "b"]], &["a"], missing("a b", "b")),
            (&[&["a", "b"], &["c"]], &["c"], Ok(())),
            (&[&["a", "b"], &["c", "d", "e"]], &["c", "d"], missing("c d e", "e")),
            (&[&["a", "b"], &["c"]], &[], missing("c", "c")),
            (&[&["a", "b"]], &["a b", "A", "B"], missing("a b", "a b")),
        ] {
            assert_eq!(check(sets, has), expected, "{sets:?} {has:?}");
        }
    }

    #[test]
    fn each_scheme_for_itself() {
        let demand = |scope: &str| RequiredScopes::one_of(vec![vec![scope.into()]]);
        let scopes = SchemeScopes::new([("one".into(), demand("a")), ("two".into(), demand("b"))]);
        assert!(scopes.check("one", |scope| scope == "a").is_ok());
        assert!(scopes.check("two", |scope| scope == "a").is_err());
        assert!(scopes.check("three", |_| true).is_err());
    }

    #[test]
    fn words() {
        for (text, is) in [("orders:read", true), ("https://x/y", true), ("", false), ("a b", false)] {
            assert_eq!(is_scope(text), is, "{text}");
        }
        assert!(!is_scope("a\"") && !is_scope("a\\") && !is_scope("é") && !is_scope("a\n"));
    }
}
