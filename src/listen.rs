//! Where an API listens: paths and hosts, written out, or with `{name}` and `{name:regex}` in them.

use std::{cmp::Reverse, fmt};

use regex::{Regex, RegexBuilder};

/// How large a compiled pattern may be, in octets.
const MAX_SIZE: usize = 1 << 20;

/// A path that an API listens at. It ends with a whole segment: `/orders` takes `/orders` and what is below
/// it, `/orders/` only the latter.
#[derive(Clone, Debug)]
pub struct ListenAt(Written);

/// The host names that an API listens for.
#[derive(Clone, Debug)]
pub struct ListenHost(Written);

/// A text, and what it means if there are names in it.
#[derive(Clone, Debug)]
struct Written {
    text: Box<str>,
    pattern: Option<Pattern>,
}

/// A text with names in it.
#[derive(Clone, Debug)]
struct Pattern {
    regex: Regex,
    /// The text without the names, which say nothing: two patterns with the same are one.
    canonical: Box<str>,
    /// What is before the first name.
    prefix: Box<str>,
    /// How many octets are no patterns.
    literal: usize,
    /// How many names may stand for anything.
    open: usize,
}

/// What says more is greater: what has more octets outside of patterns, else fewer names that may stand for
/// anything.
pub(crate) type Rank<'l> = (usize, Reverse<usize>, &'l str);

/// Why a text says no place to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenError {
    /// A brace has no other one, or nothing in it.
    Braces,
    /// What is behind the colon in braces is no regular expression that can be used.
    Regex(String),
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Braces => f.write_str("a pattern is {name} or {name:regex}; close its braces, and name it"),
            Self::Regex(name) => {
                write!(f, "{{{name}}} holds no regular expression that can be used; correct it")
            }
        }
    }
}

impl std::error::Error for ListenError {}

impl ListenAt {
    /// Reads a path, with its slash at the beginning. `{name}` is one segment.
    ///
    /// # Errors
    /// [`ListenError`] says what is wrong with a pattern in it.
    pub fn new(text: &str) -> Result<Self, ListenError> {
        let end = if text.ends_with('/') { "" } else { "(?:/|$)" };
        let pattern = Pattern::new(text, "[^/]+", |template| format!("^({template}){end}"))?;
        Ok(Self(Written { text: text.into(), pattern }))
    }

    /// The text.
    #[must_use]
    pub const fn as_str(&self) -> &str {
        &self.0.text
    }

    /// Two with the same text listen for the same.
    #[must_use]
    pub fn canonical(&self) -> &str {
        self.0.canonical()
    }

    /// Whether there is a pattern in it.
    #[must_use]
    pub const fn is_pattern(&self) -> bool {
        self.0.pattern.is_some()
    }

    /// How much of a decoded path it takes, the slash at its end left out; nothing if it does not listen
    /// for that.
    #[must_use]
    pub fn take(&self, path: &str) -> Option<usize> {
        let taken = match &self.0.pattern {
            None => {
                let below = path.strip_prefix(&*self.0.text)?;
                let whole = self.0.text.ends_with('/') || below.is_empty() || below.starts_with('/');
                whole.then_some(&*self.0.text)?
            }
            Some(pattern) => pattern.regex.captures(path)?.get(1)?.as_str(),
        };
        Some(taken.trim_end_matches('/').len())
    }

    /// The folder in which all of its paths are.
    pub(crate) fn folder(&self) -> &str {
        let start = self.0.pattern.as_ref().map_or(&*self.0.text, |pattern| &pattern.prefix);
        start.rfind('/').and_then(|slash| start.get(..=slash)).unwrap_or_default()
    }

    /// What decides between two that take as much of a path: the one that says more goes first.
    pub(crate) fn rank(&self) -> Rank<'_> {
        self.0.rank()
    }
}

impl ListenHost {
    /// Reads a host name, in whatever letter case and with or without a dot at its end. `{name}` is one
    /// label, and so is `{name:regex}`.
    ///
    /// # Errors
    /// [`ListenError`] says what is wrong with a pattern in it.
    pub fn new(text: &str) -> Result<Self, ListenError> {
        let text = lower_case_outside_braces(text.strip_suffix('.').unwrap_or(text));
        let pattern = Pattern::new(&text, "[^.]+", |template| format!("(?i)^{template}$"))?;
        Ok(Self(Written { text: text.into(), pattern }))
    }

    /// Two with the same text listen for the same.
    #[must_use]
    pub fn canonical(&self) -> &str {
        self.0.canonical()
    }

    /// Whether there is a pattern in it.
    #[must_use]
    pub const fn is_pattern(&self) -> bool {
        self.0.pattern.is_some()
    }

    /// Whether it listens for a host, in lower case and without port.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        let Some(pattern) = &self.0.pattern else { return *self.0.text == *host };
        let captures = pattern.regex.captures(host);
        let is_label = |group: regex::Match<'_>| !group.as_str().contains('.');
        captures.is_some_and(|captures| captures.iter().skip(1).flatten().all(is_label))
    }

    /// The one that says more goes first.
    pub(crate) fn rank(&self) -> Rank<'_> {
        self.0.rank()
    }
}

impl Written {
    fn canonical(&self) -> &str {
        self.pattern.as_ref().map_or(&self.text, |pattern| &pattern.canonical)
    }

    fn rank(&self) -> Rank<'_> {
        self.pattern.as_ref().map_or((self.text.len(), Reverse(0), &*self.text), Pattern::rank)
    }
}

impl Pattern {
    fn rank(&self) -> Rank<'_> {
        (self.literal, Reverse(self.open), &*self.canonical)
    }

    /// Reads a text in which a name without a regex means `name`; nothing if it has no names.
    fn new(text: &str, name: &str, whole: impl Fn(&str) -> String) -> Result<Option<Self>, ListenError> {
        if !text.contains(['{', '}']) {
            return Ok(None);
        }
        let (mut template, mut canonical, mut literal, mut open) =
            (String::new(), String::new(), 0_usize, 0_usize);
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (inside, behind) = split_braces(after).ok_or(ListenError::Braces)?;
            let (label, regex) = inside.split_once(':').unwrap_or((inside, name));
            if label.is_empty() || before.contains('}') {
                return Err(ListenError::Braces);
            }
            // Alone first: its brackets must not reach beyond its end.
            if inside.contains(':') {
                build(regex).map_err(|_| ListenError::Regex(inside.to_owned()))?;
            }
            template.push_str(&format!("{}({regex})", regex::escape(before)));
            canonical.push_str(&format!("{before}{{{regex}}}"));
            literal = literal.saturating_add(before.len());
            open = open.saturating_add(usize::from(!inside.contains(':')));
            rest = behind;
        }
        if rest.contains('}') {
            return Err(ListenError::Braces);
        }
        template.push_str(&regex::escape(rest));
        canonical.push_str(rest);
        let regex = build(&whole(&template)).map_err(|_| ListenError::Regex(text.to_owned()))?;
        let prefix = text.split('{').next().unwrap_or_default().into();
        let literal = literal.saturating_add(rest.len());
        Ok(Some(Self { regex, canonical: canonical.into(), prefix, literal, open }))
    }
}

/// In a regular expression the case of a letter may mean something: `\W` is not `\w`.
fn lower_case_outside_braces(text: &str) -> String {
    let mut open = 0_usize;
    let lower = |c: char| {
        open = match c {
            '{' => open.saturating_add(1),
            '}' => open.saturating_sub(1),
            _ => open,
        };
        if open == 0 { c.to_ascii_lowercase() } else { c }
    };
    text.chars().map(lower).collect()
}

/// What is before the brace that closes, and what is behind it.
fn split_braces(text: &str) -> Option<(&str, &str)> {
    let mut open = 1_usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' => open = open.saturating_add(1),
            '}' => open = open.saturating_sub(1),
            _ => {}
        }
        if open == 0 {
            return Some((text.get(..at)?, text.get(at.saturating_add(1)..)?));
        }
    }
    None
}

fn build(regex: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(regex).size_limit(MAX_SIZE).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for (text, taken, not) in [
            ("/a", vec![("/a", 2), ("/a/", 2), ("/a/x", 2)], vec!["/ab", "/A", "/"]),
            ("/a/", vec![("/a/", 2), ("/a/x", 2)], vec!["/a", "/ab/"]),
            ("/", vec![("/", 0), ("/x", 0)], vec![]),
            ("/a/{id}/x/", vec![("/a/7/x/", 6), ("/a/é/x/y/", 7)], vec!["/a/7/x", "/a//x/", "/a/7/8/x/"]),
            ("/n/{id:[0-9]+}", vec![("/n/12", 5), ("/n/12/z", 5)], vec!["/n/", "/n/ab", "/n/1a", "/n/1a/z"]),
            ("/n/{id:[0-9]{2}}/", vec![("/n/12/", 5)], vec!["/n/1/", "/n/123/"]),
            ("/v1.0/{x}", vec![("/v1.0/y", 7)], vec!["/v1x0/y"]),
            ("/{a:x|y}/", vec![("/x/1", 2), ("/y/", 2)], vec!["/xy/", "/z/y/"]),
            ("/{rest:.*}/end/", vec![("/a/b/end/x", 8)], vec!["/end"]),
        ] {
            let listen = ListenAt::new(text).unwrap();
            for (path, length) in taken {
                assert_eq!(listen.take(path), Some(length), "{text} {path}");
            }
            not.iter().for_each(|path| assert_eq!(listen.take(path), None, "{text} {path}"));
        }
    }

    #[test]
    fn hosts() {
        for (text, good, bad) in [
            ("API.Example.com.", vec!["api.example.com"], vec!["xapi.example.com", "example.com"]),
            (
                "{x:[a-z]+}.Example.com",
                vec!["shop.example.com"],
                vec!["shop1.example.com", "a.b.example.com", "example.com", "shop.example.com.evil.test"],
            ),
            ("{x:.+}.example.com", vec!["a1.example.com"], vec!["a.b.example.com", "shopxexample.com"]),
            ("{x}.{y}.test", vec!["a.b.test"], vec!["a.test", "a.b.c.test"]),
        ] {
            let listen = ListenHost::new(text).unwrap();
            good.iter().for_each(|host| assert!(listen.matches(host), "{text} {host}"));
            bad.iter().for_each(|host| assert!(!listen.matches(host), "{text} {host}"));
        }
    }

    #[test]
    fn what_says_the_same_and_where_it_is() {
        let path = |text: &str| ListenAt::new(text).unwrap();
        assert_eq!(path("/a/{id}/").canonical(), path("/a/{name}/").canonical());
        assert_ne!(path("/a/{id}/").canonical(), path("/a/{id:[0-9]+}/").canonical());
        assert_eq!(path("/a/b{id}/c").folder(), "/a/");
        let host = |text: &str| ListenHost::new(text).unwrap().canonical().to_owned();
        assert_eq!(host("A.test."), host("a.test"));
        assert_eq!(host("{a}.test"), host("{b}.test"));
    }

    #[test]
    fn what_is_no_pattern() {
        for text in ["/{", "/}", "/{}", "/{:x}", "/{a", "/a}/{b}", "/{a}}/", "/{a{b}"] {
            assert_eq!(ListenAt::new(text).err(), Some(ListenError::Braces), "{text}");
        }
        for text in ["/{a:(}", "/{a:[}/{b:]}", "/{a:x)|(y}", "/{a:x{1000}{1000}}"] {
            assert!(matches!(ListenAt::new(text), Err(ListenError::Regex(_))), "{text}");
        }
    }
}
