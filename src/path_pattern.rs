//! Patterns of paths, as policies write them: a path, with `{name}` for one segment, or a regular
//! expression.
//!
//! A pattern starts where the path starts and ends where a segment ends: `/orders` is about `/orders`
//! and `/orders/7`, but neither about `/orders-internal` nor about `/private/orders`.

use std::{
    borrow::Cow,
    cmp::Reverse,
    fmt,
    sync::{Arc, OnceLock},
};

use regex::{Regex, RegexBuilder};

/// A pattern of paths. A copy is the same pattern: thousands of policies name the same few.
#[derive(Clone, Debug)]
pub struct PathPattern(Arc<Pattern>);

/// How much a pattern says. In ascending order, the one that says most comes first: one with more segments
/// before one with fewer, a plain path before a pattern, a longer text before a shorter one.
pub(crate) type Specificity = (Reverse<usize>, bool, Reverse<usize>);

#[derive(Debug)]
enum Pattern {
    /// A path without anything that a pattern can do: compared, not searched.
    Literal(Box<str>),
    /// The same in whatever letter case.
    AnyCase(Box<str>),
    Regex {
        /// Up to the end of a segment.
        ended: Regex,
        /// The same without its end, where a match may end in a slash itself.
        with_slash: Option<Regex>,
        /// The pattern alone, once an API has asked for it: few do.
        alone: Alone,
    },
}

/// A pattern that is looked for anywhere in a path.
#[derive(Debug)]
struct Alone {
    template: Box<str>,
    any_case: bool,
    compiled: OnceLock<Option<Regex>>,
}

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternError(String);

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PatternError {}

impl From<regex::Error> for PatternError {
    fn from(error: regex::Error) -> Self {
        let message = error.to_string();
        Self(message.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned())
    }
}

impl PathPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`PatternError`] when it does not compile.
    pub fn new(pattern: &str) -> Result<Self, PatternError> {
        if pattern.chars().all(is_plain) {
            return Ok(Self(Arc::new(Pattern::Literal(pattern.into()))));
        }
        Self::regex(pattern, false)
    }

    /// Reads a pattern that is about every path which some server could take for one of those that it
    /// is written for. It is asked about a path as [`loosened`] gives it.
    ///
    /// # Errors
    /// [`PatternError`] when the pattern does not compile.
    pub(crate) fn loose(pattern: &str) -> Result<Self, PatternError> {
        let pattern = pattern.strip_suffix('/').unwrap_or(pattern);
        if pattern.chars().all(is_plain) {
            return Ok(Self(Arc::new(Pattern::AnyCase(pattern.into()))));
        }
        Self::regex(pattern, true)
    }

    fn regex(pattern: &str, any_case: bool) -> Result<Self, PatternError> {
        let template = with_segments(pattern)?;
        // Alone first, so that an odd bracket cannot reach beyond its end.
        regex(&template, any_case)?;
        let ended = regex(&format!("^(?:{template})(?:/|$)"), any_case)?;
        if ended.is_match("") && has_empty_alternative(pattern) {
            let message = "one of its alternatives is empty, so it would be about every path; remove the |";
            return Err(PatternError(message.into()));
        }
        let slash_ends = pattern.ends_with('/') || pattern.contains("/|") || pattern.contains("/)");
        let with_slash = if slash_ends { Some(regex(&format!("^(?:{template})"), any_case)?) } else { None };
        let alone = Alone { template: template.into(), any_case, compiled: OnceLock::new() };
        Ok(Self(Arc::new(Pattern::Regex { ended, with_slash, alone })))
    }

    /// Whether this is a plain path.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        matches!(*self.0, Pattern::Literal(_))
    }

    /// How much this pattern says, which is written like that.
    pub(crate) fn specificity(&self, text: &str) -> Specificity {
        (Reverse(text.matches('/').count()), !self.is_literal(), Reverse(text.len()))
    }

    /// Whether a decoded path is one of these.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        self.0.matches(path)
    }

    /// Whether one of these stands anywhere in a decoded path, as Tyk looks for them.
    #[must_use]
    pub fn is_in(&self, path: &str) -> bool {
        match &*self.0 {
            Pattern::Literal(literal) => path.contains(&**literal),
            Pattern::AnyCase(literal) => path.to_ascii_lowercase().contains(&literal.to_ascii_lowercase()),
            Pattern::Regex { alone, .. } => alone.regex().is_some_and(|regex| regex.is_match(path)),
        }
    }
}

impl Alone {
    /// It has compiled before, between the ends that `matches` wants.
    fn regex(&self) -> Option<&Regex> {
        self.compiled.get_or_init(|| regex(&self.template, self.any_case).ok()).as_ref()
    }
}

/// The pattern for a path of an OpenAPI document, where nothing but `{name}` is special.
pub(crate) fn of_template(path: &str) -> Cow<'_, str> {
    if path.chars().all(is_plain) {
        return path.into();
    }
    let mut pattern = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, (_, after))) =
        rest.split_once('{').and_then(|(before, after)| Some((before, after.split_once('}')?)))
    {
        pattern.push_str(&regex::escape(before));
        pattern.push_str("[^/]+");
        rest = after;
    }
    pattern.push_str(&regex::escape(rest));
    pattern.into()
}

/// The regular expression for a path of an OpenAPI document wherever it stands in another, as in Tyk: a
/// `{name}` is a part of one segment, and a dot any character.
pub(crate) fn anywhere(path: &str) -> String {
    of_template(path).replace("\\.", ".")
}

/// A decoded path as servers read it that ignore parameters behind `;`, spaces and dots at the end of a
/// segment, and a slash at the end of the path.
pub(crate) fn loosened(path: &str) -> Cow<'_, str> {
    let path = path.strip_suffix('/').unwrap_or(path);
    if path.split('/').all(|segment| loosened_segment(segment) == segment) {
        return path.into();
    }
    path.split('/').map(loosened_segment).collect::<Vec<_>>().join("/").into()
}

/// One segment of such a path.
pub(crate) fn loosened_segment(segment: &str) -> &str {
    segment.split(';').next().unwrap_or_default().trim_end_matches([' ', '.'])
}

/// Whether a character means itself in a pattern.
const fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '~' | '-' | '%')
}

impl Pattern {
    fn matches(&self, path: &str) -> bool {
        match self {
            Self::Literal(literal) => {
                path.strip_prefix(&**literal).is_some_and(|rest| ends_segment(literal, rest))
            }
            Self::AnyCase(literal) => path.split_at_checked(literal.len()).is_some_and(|(start, rest)| {
                start.eq_ignore_ascii_case(literal) && ends_segment(literal, rest)
            }),
            Self::Regex { ended, with_slash, .. } => {
                let ends_in_slash =
                    |regex: &Regex| regex.find(path).is_some_and(|found| found.as_str().ends_with('/'));
                ended.is_match(path) || with_slash.as_ref().is_some_and(ends_in_slash)
            }
        }
    }
}

/// Whether a path that goes on like this behind a literal is one of it.
fn ends_segment(literal: &str, rest: &str) -> bool {
    rest.is_empty() || rest.starts_with('/') || literal.ends_with('/') || literal.is_empty()
}

/// The pattern with `{name}` and `{name:regex}` as regular expressions; `{2}` stays a repetition.
///
/// # Errors
/// [`PatternError`] when one of these does not compile alone: its brackets would reach beyond its end.
fn with_segments(pattern: &str) -> Result<String, PatternError> {
    let mut template = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('{') {
        template.push_str(before);
        let names = after.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        match after.split_once('}').filter(|_| names) {
            Some((name, after)) => {
                let segment = name.split_once(':').map_or("[^/]+", |(_, regex)| regex);
                regex(segment, false)?;
                template.push_str(&format!("(?:{segment})"));
                rest = after;
            }
            None => {
                template.push('{');
                rest = after;
            }
        }
    }
    template.push_str(rest);
    Ok(template)
}

/// Whether a pattern has a `|` with nothing on one side of it, as it is left behind by a slip.
fn has_empty_alternative(pattern: &str) -> bool {
    let bare = pattern.replace(['^', '$'], "");
    bare.starts_with('|') || bare.ends_with('|') || ["||", "(|", "|)"].iter().any(|slip| bare.contains(slip))
}

fn regex(pattern: &str, any_case: bool) -> Result<Regex, PatternError> {
    let built = RegexBuilder::new(pattern).case_insensitive(any_case).size_limit(1 << 20).build();
    Ok(built?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_starts_with_the_path_and_ends_with_a_segment() {
        let is_about = |pattern: &str, path: &str| PathPattern::new(pattern).unwrap().matches(path);
        for (pattern, good, bad) in [
            ("/x", vec!["/x", "/x/", "/x/deep"], vec!["/xx", "/deep/x", "/X", "/", "", "/deep%2Fx"]),
            ("/x/", vec!["/x/", "/x/y"], vec!["/x", "/xy"]),
            ("/", vec!["/", "/x"], vec![""]),
            ("", vec!["/", "/x", ""], vec![]),
            ("^/a/x$", vec!["/a/x"], vec!["/a/x/", "/a/x/y", "/b/a/x"]),
            ("/users/{id}", vec!["/users/1", "/users/1/2"], vec!["/users/", "/users", "/v/users/1"]),
            ("/n/{id:[0-9]+}", vec!["/n/12"], vec!["/n/x", "/n/1x"]),
            ("/n/[0-9]{2}", vec!["/n/12", "/n/12/x"], vec!["/n/1", "/n/123"]),
            ("/a|/b", vec!["/a", "/b/c"], vec!["/ax", "/c/b"]),
            ("/a|/b/", vec!["/a", "/a/x", "/b/c"], vec!["/ax", "/a-internal", "/b"]),
            ("/[a|b]|/(c|d)x/", vec!["/a", "/|/y", "/cx/y"], vec!["/ay", "/cx", "/c"]),
            ("/x[[:alpha:]|_]", vec!["/xa", "/x_/y"], vec!["/x/", "/x:/y", "/x"]),
            ("(?i)/aa|/bb", vec!["/AA", "/BB/x"], vec!["/bbx"]),
            ("/(a|b/)", vec!["/a", "/a/x", "/b/x"], vec!["/ax", "/b"]),
            ("/files/.*", vec!["/files/a/b.c"], vec!["/x/files/a"]),
            ("/v1.0/", vec!["/v1.0/x", "/v1x0/"], vec!["/v1.0"]),
            ("/a(|/b)", vec!["/a", "/a/b"], vec!["/b"]),
            (".*", vec!["/", "/x"], vec![]),
        ] {
            good.iter().for_each(|path| assert!(is_about(pattern, path), "{pattern} is about {path}"));
            bad.iter().for_each(|path| assert!(!is_about(pattern, path), "{pattern} is not about {path}"));
        }
    }

    #[test]
    fn anywhere_in_a_path() {
        let is_in = |pattern: &str, path: &str| PathPattern::new(pattern).unwrap().is_in(path);
        for (pattern, good, bad) in [
            ("/x", vec!["/x", "/xx", "/z/x/y"], vec!["/X", "/"]),
            ("/users/{id}", vec!["/users/1/2", "/v/users/1"], vec!["/users/"]),
            ("^/a/x$", vec!["/a/x"], vec!["/a/x/", "/b/a/x"]),
            ("/a|/b", vec!["/z/b"], vec!["/c"]),
        ] {
            good.iter().for_each(|path| assert!(is_in(pattern, path), "{pattern} is in {path}"));
            bad.iter().for_each(|path| assert!(!is_in(pattern, path), "{pattern} is not in {path}"));
        }
        assert!(PathPattern::loose("/x").unwrap().is_in("/z/X"));
    }

    #[test]
    fn templates_are_literal_but_for_their_names() {
        let read = |template: &str| PathPattern::new(&of_template(template)).unwrap();
        let matches = |template: &str, path: &str| read(template).matches(path);
        for (template, good, bad) in [
            ("/x", vec!["/x", "/x/y"], vec!["/xy"]),
            ("/v1.0/(x)", vec!["/v1.0/(x)", "/v1.0/(x)/y"], vec!["/v1x0/(x)", "/v1.0/x"]),
            ("/users/{id}/a", vec!["/users/7/a"], vec!["/users/a", "/users/7/8/a", "/users/7/b"]),
            ("/a{id}", vec!["/a1"], vec!["/a", "/b1"]),
            ("/{", vec!["/{"], vec!["/x"]),
        ] {
            good.iter().for_each(|path| assert!(matches(template, path), "{template} {path}"));
            bad.iter().for_each(|path| assert!(!matches(template, path), "{template} {path}"));
        }
        assert!(read("/x-y").is_literal());
    }

    #[test]
    fn a_loose_pattern_is_about_what_a_server_could_take_for_one() {
        let could_be = |pattern: &str, path: &str| {
            let [pattern, template] =
                [pattern.into(), of_template(pattern)].map(|text| PathPattern::loose(&text).unwrap());
            assert_eq!(pattern.matches(&loosened(path)), template.matches(&loosened(path)), "{path}");
            pattern.matches(&loosened(path))
        };
        for (pattern, good, bad) in [
            (
                "/log/in",
                vec!["/log/in", "/Log/IN", "/log;x=1/in", "/log/in;", "/log./in. ", "/log/in/", "/LOG/in/x"],
                vec!["/log/inn", "/log", "/log/i", "/x/log/in", "/log/é"],
            ),
            ("/x/", vec!["/x", "/X/", "/x;a/y"], vec!["/xy", "/"]),
            ("/users/{id}/", vec!["/users/7", "/Users/7;a/"], vec!["/users", "/users/;a"]),
            ("/", vec!["/", "/x", "/;"], vec![]),
        ] {
            good.iter().for_each(|path| assert!(could_be(pattern, path), "{pattern} {path}"));
            bad.iter().for_each(|path| assert!(!could_be(pattern, path), "{pattern} {path}"));
        }
    }

    #[test]
    fn patterns_that_do_not_compile() {
        for bad in ["[", "(", "/x{1000}{1000}", "\\", "/a)|(.*", "/orders)|(?:", "/{id:)|(.*}", "/{id:(}/)"] {
            assert!(PathPattern::new(bad).is_err() && PathPattern::loose(bad).is_err(), "{bad}");
        }
        for everything in ["|/x", "/x|", "/x$|", "^|/x", "/x||/y", "(|/x)", "(/x|)"] {
            let error = PathPattern::new(everything).unwrap_err().to_string();
            assert!(error.contains("alternatives"), "{everything}: {error}");
        }
    }
}
