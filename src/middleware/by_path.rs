//! What is said of an operation and holds for what is below its path as well, as in Tyk.

use http::Method;

use crate::path_pattern::{PathPattern, PatternError, Specificity, of_template};

/// Values by method and path. A path stands for itself and for all below it; where several could count,
/// the most specific does.
#[derive(Clone, Debug)]
pub struct ByPath<T>(Vec<Entry<T>>);

#[derive(Clone, Debug)]
struct Entry<T> {
    method: Method,
    pattern: PathPattern,
    rank: Specificity,
    value: T,
}

impl<T> Default for ByPath<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> ByPath<T> {
    /// Adds a value for a path of an OpenAPI document, where nothing but `{name}` is special.
    ///
    /// # Errors
    /// [`PatternError`] when the path cannot be searched for.
    pub fn add(&mut self, method: Method, path: &str, value: T) -> Result<(), PatternError> {
        let pattern = PathPattern::new(&of_template(path))?;
        let rank = pattern.specificity(path);
        let at = self.0.partition_point(|own| own.rank <= rank);
        self.0.insert(at, Entry { method, pattern, rank, value });
        Ok(())
    }

    /// The value for a request, by its decoded path below the listen path. HEAD asks for what GET would, so
    /// it follows GET unless something is said of it (RFC 9110 section 9.3.2).
    #[must_use]
    pub fn find(&self, method: &Method, path: &str) -> Option<&T> {
        let of = |method: &Method| {
            let mut own = self.0.iter().filter(|entry| entry.method == *method);
            own.find(|entry| entry.pattern.matches(path)).map(|entry| &entry.value)
        };
        if self.0.is_empty() {
            return None;
        }
        of(method).or_else(|| if *method == Method::HEAD { of(&Method::GET) } else { None })
    }

    /// The values.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|entry| &entry.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_path_counts() {
        let mut names = ByPath::default();
        for (method, path) in
            [(Method::GET, "/"), (Method::GET, "/a"), (Method::GET, "/{x}/b"), (Method::GET, "/a/b")]
        {
            names.add(method, path, path).unwrap();
        }
        names.add(Method::HEAD, "/head", "HEAD").unwrap();
        for (method, path, name) in [
            ("GET", "/", Some("/")),
            ("GET", "/a", Some("/a")),
            ("GET", "/a/", Some("/a")),
            ("GET", "/ab", Some("/")),
            ("GET", "/a/b/c", Some("/a/b")),
            ("GET", "/x/b", Some("/{x}/b")),
            ("HEAD", "/a", Some("/a")),
            ("HEAD", "/head", Some("HEAD")),
            ("POST", "/a", None),
        ] {
            let method: Method = method.parse().unwrap();
            assert_eq!(names.find(&method, path).copied(), name, "{method} {path}");
        }
    }
}
