//! One entry of `allowed_urls`.

use http::Method;

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
        Ok(Self { pattern: PathPattern::new(pattern)?, methods: methods.into_iter().collect() })
    }

    /// Whether the rule grants this method on this decoded path.
    #[must_use]
    pub fn allows(&self, method: &Method, path: &str) -> bool {
        self.methods.contains(method) && self.pattern.matches(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_exact() {
        let rule = UrlRule::new("/x", [Method::GET]).unwrap();
        assert!(!rule.allows(&Method::HEAD, "/x"));
        assert!(!rule.allows(&Method::from_bytes(b"get").unwrap(), "/x"));
        assert!(!UrlRule::new("/x", []).unwrap().allows(&Method::GET, "/x"));
    }
}
