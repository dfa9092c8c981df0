//! Limits of single endpoints.

use http::Method;

use super::{Allowance, Scope};
use crate::path_pattern::{PathPattern, PatternError, loosened};

/// Limits by method and path. Where several could count, the most specific does.
#[derive(Clone, Debug, Default)]
pub struct Endpoints(Vec<Endpoint>);

/// The limit of one endpoint.
#[derive(Clone, Debug)]
struct Endpoint {
    method: Method,
    text: Box<str>,
    pattern: PathPattern,
    /// What some server could take for one of its paths.
    loose: PathPattern,
    allowance: Allowance,
}

/// The same with a counter for each.
#[derive(Clone, Debug, Default)]
pub(super) struct CountedEndpoints(Vec<(Endpoint, Scope)>);

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'r> {
    pub(super) method: &'r Method,
    /// The decoded path: whole, and after the listen path.
    pub(super) paths: [&'r str; 2],
    /// An upstream may read the path differently.
    pub(super) ambiguous: bool,
}

impl Endpoints {
    /// Adds a limit for a path, with `{name}` for one segment, or a regular expression.
    ///
    /// # Errors
    /// [`PatternError`] when the pattern does not compile.
    pub fn add(&mut self, method: Method, path: &str, allowance: Allowance) -> Result<(), PatternError> {
        let (pattern, loose) = (PathPattern::new(path)?, PathPattern::loose(path)?);
        self.insert(Endpoint { method, text: path.into(), pattern, loose, allowance });
        Ok(())
    }

    /// Adds the limits of others; of two for the same, the one that allows more.
    pub fn join(&mut self, others: &Self) {
        for other in &others.0 {
            self.insert(other.clone());
        }
    }

    fn insert(&mut self, other: Endpoint) {
        match self.0.binary_search_by(|own| own.rank().cmp(&other.rank())) {
            Ok(place) => {
                if let Some(own) = self.0.get_mut(place) {
                    own.allowance = own.allowance.or_more(other.allowance);
                }
            }
            Err(place) => self.0.insert(place, other),
        }
    }

    /// With a counter for each, below the scope of these names.
    pub(super) fn counted_in(self, names: &[&str]) -> CountedEndpoints {
        let counted = |endpoint: Endpoint| {
            let scope = endpoint.scope(names);
            (endpoint, scope)
        };
        CountedEndpoints(self.0.into_iter().map(counted).collect())
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Endpoint {
    fn scope(&self, names: &[&str]) -> Scope {
        Scope::new(&[&["endpoint", self.method.as_str(), &self.text], names].concat())
    }

    /// The more specific come first; no two have the same.
    fn rank(&self) -> impl Ord {
        (self.pattern.specificity(&self.text), &*self.text, self.method.as_str())
    }
}

impl CountedEndpoints {
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Counts each below the scope of these names.
    pub(super) fn count_in(&mut self, names: &[&str]) {
        for (endpoint, scope) in &mut self.0 {
            *scope = endpoint.scope(names);
        }
    }

    #[cfg(test)]
    pub(super) fn facts(&self) -> Vec<(String, Allowance, Scope)> {
        let name = |endpoint: &Endpoint| format!("{} {}", endpoint.method, endpoint.text);
        self.0.iter().map(|(endpoint, scope)| (name(endpoint), endpoint.allowance, *scope)).collect()
    }

    /// About what they take in memory. What is compiled of the patterns is shared with the policy.
    pub(super) fn octets(&self) -> usize {
        const ENDPOINT: usize = 512;
        self.0.len().saturating_mul(ENDPOINT)
    }

    /// The limit that counts, and its counter. HEAD is measured as GET (RFC 9110 section 9.3.2) if
    /// nothing is said about it. Where a server could take the path for that of a more specific one, the
    /// tightest of them counts; of a path that could be read as anything, the tightest of its method.
    pub(super) fn find(&self, place: &Place<'_>) -> Option<(Allowance, Scope)> {
        if self.0.is_empty() {
            return None;
        }
        let head_as_get = || (place.method == Method::HEAD).then_some(&Method::GET);
        self.find_of(place.method, place).or_else(|| self.find_of(head_as_get()?, place))
    }

    fn find_of(&self, method: &Method, place: &Place<'_>) -> Option<(Allowance, Scope)> {
        let mut tightest: Option<(Allowance, Scope)> = None;
        let loose = place.paths.map(loosened);
        // The letter case of a method of somebody's own leads around no limit either.
        let is_of = |own: &Method| own.as_str().eq_ignore_ascii_case(method.as_str());
        for (endpoint, scope) in self.0.iter().filter(|(endpoint, _)| is_of(&endpoint.method)) {
            let is_meant = !place.ambiguous && place.paths.iter().any(|path| endpoint.pattern.matches(path));
            let could_be = || place.ambiguous || loose.iter().any(|path| endpoint.loose.matches(path));
            if is_meant || could_be() {
                let own = (endpoint.allowance, *scope);
                tightest = tightest.filter(|other| own.0.or_less(other.0) != own.0).or(Some(own));
            }
            if is_meant {
                break;
            }
        }
        tightest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(requests: f64) -> Allowance {
        Allowance::rate(requests, 60.0).unwrap()
    }

    fn endpoints(limits: &[(&str, &str, f64)]) -> Endpoints {
        let mut endpoints = Endpoints::default();
        for (method, path, requests) in limits {
            endpoints.add(method.parse().unwrap(), path, rate(*requests)).unwrap();
        }
        endpoints
    }

    fn found(endpoints: &Endpoints, method: &Method, path: &str, ambiguous: bool) -> Option<u64> {
        let whole = format!("/api{path}");
        let place = Place { method, paths: [&whole, path], ambiguous };
        endpoints.clone().counted_in(&["test"]).find(&place).map(|(allowance, _)| allowance.requests())
    }

    #[test]
    fn the_most_specific_counts() {
        let limits = [
            ("GET", "/", 9.0),
            ("GET", "/users/{id}", 2.0),
            ("GET", "/users/me", 3.0),
            ("POST", "/users", 4.0),
        ];
        let mut turned = limits;
        turned.reverse();
        for limits in [limits, turned] {
            let endpoints = endpoints(&limits);
            for (method, path, expected) in [
                (Method::GET, "/users/1", Some(2)),
                (Method::GET, "/users/1/orders", Some(2)),
                (Method::GET, "/users/me", Some(3)),
                (Method::GET, "/users", Some(9)),
                (Method::HEAD, "/users/1", Some(2)),
                (Method::POST, "/users/1", Some(4)),
                (Method::POST, "/other", None),
                (Method::PUT, "/users/1", None),
            ] {
                assert_eq!(found(&endpoints, &method, path, false), expected, "{method} {path}");
            }
        }
    }

    #[test]
    fn with_and_without_the_listen_path() {
        let endpoints = endpoints(&[("GET", "/api/x", 1.0), ("GET", "/y", 2.0), ("HEAD", "/y", 3.0)]);
        assert_eq!(found(&endpoints, &Method::GET, "/x", false), Some(1));
        assert_eq!(found(&endpoints, &Method::GET, "/y", false), Some(2));
        assert_eq!(found(&endpoints, &Method::HEAD, "/y", false), Some(3));
    }

    #[test]
    fn a_path_that_could_be_read_differently_has_the_tightest() {
        let endpoints = endpoints(&[("GET", "/x", 5.0), ("GET", "/y", 2.0), ("POST", "/z", 1.0)]);
        assert_eq!(found(&endpoints, &Method::GET, "/q%2fx", true), Some(2));
        assert_eq!(found(&endpoints, &Method::HEAD, "/q%2fx", true), Some(2));
        assert_eq!(found(&endpoints, &Method::PUT, "/q%2fx", true), None);
        let purging = self::endpoints(&[("PURGE", "/x", 1.0)]);
        assert_eq!(found(&purging, &"Purge".parse().unwrap(), "/x", false), Some(1));
    }

    #[test]
    fn another_spelling_does_not_lead_around_a_limit() {
        let limits = [
            ("GET", "/", 9.0),
            ("GET", "/users/{id}", 5.0),
            ("GET", "/users/me", 7.0),
            ("POST", "/Login/", 2.0),
        ];
        let endpoints = endpoints(&limits);
        for (method, path, expected) in [
            (Method::POST, "/Login/", 2),
            (Method::POST, "/login", 2),
            (Method::POST, "/LOGIN;jsessionid=1", 2),
            (Method::POST, "/login.", 2),
            (Method::GET, "/users/me", 7),
            // One more counter is not one more chance.
            (Method::GET, "/users/ME", 5),
            (Method::GET, "/users/me;x", 5),
            (Method::GET, "/Users/7", 5),
            (Method::GET, "/other", 9),
        ] {
            assert_eq!(found(&endpoints, &method, path, false), Some(expected), "{method} {path}");
        }
        assert_eq!(found(&endpoints, &Method::POST, "/log-in", false), None);
    }

    #[test]
    fn together_they_allow_the_more_generous() {
        let (mut one, mut other) =
            (endpoints(&[("GET", "/x:y", 1.0)]), endpoints(&[("GET", "/x:y", 3.0), ("GET", "/z", 1.0)]));
        let (a, b) = (one.clone(), other.clone());
        one.join(&b);
        other.join(&a);
        for both in [one, other] {
            assert_eq!(found(&both, &Method::GET, "/x:y", false), Some(3));
            assert_eq!(found(&both, &Method::GET, "/z", false), Some(1));
        }
    }
}
