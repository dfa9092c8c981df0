//! Paths that a restriction is about. What is restricted must be so under every name that leads to it, so
//! these match wherever they stand in a path, as in Tyk, and however a server could read it.

use std::borrow::Cow;

use http::Method;
use regex::{RegexSet, RegexSetBuilder};

use super::Place;
use crate::{
    path_pattern::{PatternError, anywhere, loosened},
    percent,
};

/// Values by method and path, for paths that hold one of these anywhere.
#[derive(Clone, Debug)]
pub struct WidePaths<T>(Vec<OfMethod<T>>);

/// A path that is to be matched so.
#[derive(Clone, Debug)]
pub struct WidePath<T> {
    /// The method.
    pub method: Method,
    /// The path, as an OpenAPI document writes it.
    pub path: String,
    /// Whether letter case does not matter.
    pub ignore_case: bool,
    /// What is said of it.
    pub value: T,
}

#[derive(Clone, Debug)]
struct OfMethod<T> {
    method: Method,
    as_written: RegexSet,
    /// The same in any letter case.
    any_case: RegexSet,
    values: Vec<T>,
}

/// How a request's path is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// By letter case, but for paths that say otherwise.
    AsWritten,
    /// In any letter case.
    Any,
}

impl<T> Default for WidePaths<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> WidePaths<T> {
    /// These paths.
    ///
    /// # Errors
    /// [`PatternError`] when there are too many to be searched for at once.
    pub fn new(paths: Vec<WidePath<T>>) -> Result<Self, PatternError> {
        let mut by_method: Vec<(Method, Vec<String>, Vec<T>)> = Vec::new();
        for WidePath { method, path, ignore_case, value } in paths {
            let flags = if ignore_case { "(?i)" } else { "" };
            let pattern = format!("{flags}{}", anywhere(&path));
            match by_method.iter_mut().find(|(own, ..)| *own == method) {
                Some((_, patterns, values)) => {
                    patterns.push(pattern);
                    values.push(value);
                }
                None => by_method.push((method, vec![pattern], vec![value])),
            }
        }
        let of_method = |(method, patterns, values): (Method, Vec<String>, Vec<T>)| {
            let set = |any_case| RegexSetBuilder::new(&patterns).case_insensitive(any_case).build();
            Ok(OfMethod { method, as_written: set(false)?, any_case: set(true)?, values })
        };
        by_method
            .into_iter()
            .map(of_method)
            .collect::<Result<_, regex::Error>>()
            .map(Self)
            .map_err(Into::into)
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is said of this path with this very method, read as we read it: what opens something may be
    /// about no other reading.
    pub fn as_written(&self, method: &Method, path: &str) -> impl Iterator<Item = &T> {
        let own = self.0.iter().find(|own| own.method == *method);
        own.into_iter().flat_map(move |own| {
            own.as_written.matches(path).into_iter().filter_map(|number| own.values.get(number))
        })
    }

    /// What is said of the paths that this one holds: for HEAD also what is said of GET, for it asks for
    /// what that would (RFC 9110 section 9.3.2).
    pub fn find(&self, place: &Place<'_>, case: Case) -> impl Iterator<Item = &T> {
        let is_of = |method: &Method| {
            method == place.method || (*place.method == Method::HEAD && *method == Method::GET)
        };
        let of_method = self.0.iter().filter(move |own| is_of(&own.method));
        of_method.flat_map(move |own| own.find(place, case))
    }
}

impl<T> OfMethod<T> {
    fn find(&self, place: &Place<'_>, case: Case) -> impl Iterator<Item = &T> {
        let set = match case {
            Case::AsWritten => &self.as_written,
            Case::Any => &self.any_case,
        };
        let mut numbers = Vec::new();
        for reading in readings(place) {
            if set.is_match(&reading) {
                numbers.extend(set.matches(&reading));
            }
        }
        numbers.into_iter().filter_map(|number: usize| self.values.get(number))
    }
}

/// The path as we read it, and as some servers would.
fn readings<'r>(place: &Place<'r>) -> impl Iterator<Item = Cow<'r, str>> {
    let loose = Some(loosened(place.path)).filter(|loose| **loose != *place.path);
    let plain = place.ambiguous.then(|| loosened(&plainest(place.path)).into_owned().into());
    [Some(Cow::Borrowed(place.path)), loose, plain].into_iter().flatten()
}

/// An ambiguous path without what makes it so: escapes of escapes, back slashes, and what cannot be seen.
fn plainest(path: &str) -> String {
    let mut path = path.to_owned();
    // Deeper ones have been refused.
    for _ in 0..8 {
        match percent::decode_path(&path).map(|octets| String::from_utf8_lossy(&octets).into_owned()) {
            Some(decoded) if decoded != path => path = decoded,
            _ => break,
        }
    }
    path.chars()
        .filter(|c| {
            !c.is_control()
                && !c.is_whitespace()
                && !matches!(c, '\u{AD}' | '\u{200B}'..='\u{200F}' | '\u{2060}' | '\u{FEFF}')
        })
        .map(|c| if matches!(c, '\\' | '\u{FF3C}' | '\u{FF0F}' | '\u{2215}' | '\u{2044}') { '/' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(paths: &[(&str, &str, bool)]) -> WidePaths<usize> {
        let paths = paths.iter().enumerate().map(|(value, (method, path, ignore_case))| WidePath {
            method: method.parse().unwrap(),
            path: (*path).into(),
            ignore_case: *ignore_case,
            value,
        });
        WidePaths::new(paths.collect()).unwrap()
    }

    #[test]
    fn whatever_leads_there_is_meant() {
        let paths =
            paths(&[("GET", "/x", false), ("DELETE", "/admin/{id}", true), ("GET", "/v1.0/a(b)", false)]);
        for (method, path, ambiguous, expected) in [
            ("GET", "/x", false, Some(0)),
            ("HEAD", "/x", false, Some(0)),
            ("GET", "/x/", false, Some(0)),
            ("GET", "/xx", false, Some(0)),
            ("GET", "/z/x/y", false, Some(0)),
            ("GET", "/%78", true, Some(0)),
            ("GET", "/%2578", true, Some(0)),
            ("GET", "/z\\x", true, Some(0)),
            ("GET", "/\u{200b}x", true, Some(0)),
            ("GET", "/X", false, None),
            ("POST", "/x", false, None),
            ("GET", "/y%2Fz", true, None),
            ("DELETE", "/ADMIN/1", false, Some(1)),
            ("DELETE", "/admin;v=1/1", false, Some(1)),
            ("DELETE", "/admin./1", false, Some(1)),
            ("DELETE", "/admin/", false, None),
            ("HEAD", "/admin/1", false, None),
            ("GET", "/v1.0/a(b)", false, Some(2)),
            ("GET", "/v1x0/a(b)", false, Some(2)),
            ("GET", "/v1.0/ab", false, None),
        ] {
            let method = method.parse().unwrap();
            let place = Place { method: &method, path, ambiguous };
            assert_eq!(paths.find(&place, Case::AsWritten).next().copied(), expected, "{method} {path}");
        }
        let place = Place { method: &Method::GET, path: "/X;a", ambiguous: false };
        assert_eq!(paths.find(&place, Case::Any).next(), Some(&0));
    }
}
