//! One entry of `allowed_urls`.

use http::Method;

use super::Wanted;
use crate::path_pattern::{PathPattern, PatternError};

/// A URL pattern and the methods it is granted for.
#[derive(Clone, Debug)]
pub struct UrlRule {
    pattern: PathPattern,
    methods: Box<[Method]>,
}

impl UrlRule {
    /// A rule for a pattern.
    ///
    /// # Errors
    /// [`PatternError`] when the pattern does not compile.
    pub fn new(pattern: &str, methods: impl IntoIterator<Item = Method>) -> Result<Self, PatternError> {
        Ok(Self::of(PathPattern::new(pattern)?, methods))
    }

    /// A rule for a pattern that was read before.
    #[must_use]
    pub fn of(pattern: PathPattern, methods: impl IntoIterator<Item = Method>) -> Self {
        Self { pattern, methods: methods.into_iter().collect() }
    }

    /// Whether the rule grants what is wanted on this decoded path.
    #[must_use]
    pub fn allows(&self, wanted: &Wanted<'_>, path: &str) -> bool {
        self.methods.contains(wanted.method)
            && if wanted.unanchored { self.pattern.is_in(path) } else { self.pattern.matches(path) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_exact() {
        let allows = |rule: &UrlRule, method: &Method, path: &str, unanchored| {
            rule.allows(&Wanted { api: "a", method, paths: [path, path], ambiguous: false, unanchored }, path)
        };
        let rule = UrlRule::new("/x", [Method::GET]).unwrap();
        assert!(allows(&rule, &Method::GET, "/x", false) && !allows(&rule, &Method::GET, "/y/xx", false));
        assert!(allows(&rule, &Method::GET, "/y/xx", true));
        for unanchored in [false, true] {
            assert!(!allows(&rule, &Method::HEAD, "/x", unanchored));
            assert!(!allows(&rule, &Method::from_bytes(b"get").unwrap(), "/x", unanchored));
            assert!(!allows(&UrlRule::new("/x", []).unwrap(), &Method::GET, "/x", unanchored));
        }
    }
}
