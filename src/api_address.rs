//! The address of another API of the same gateway: `tyk://orders/path?query`.
//!
//! A request that is led there does not leave the process. The API is named by its id or by its name, and
//! `self` is the one that the request is at. Parameters of the query may say how the request goes on; they
//! are taken out of it.

use std::fmt;

use http::Method;

/// How every address of an API begins.
const SCHEME: &str = "tyk://";

/// Which API is meant, and how requests go on there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiAddress {
    /// The API.
    pub api: Addressee,
    /// The method with which requests go on; nothing for their own (`method`).
    pub method: Option<Method>,
    /// How often a request may have been led to an API so far; nothing for what holds anyway
    /// (`loop_limit`).
    pub loop_limit: Option<u8>,
}

/// Which API is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Addressee {
    /// The one that the request is at.
    Itself,
    /// Another one.
    Named(ApiName),
}

/// The id or the name of an API, as it is referred to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiName {
    written: Box<str>,
    folded: Box<str>,
}

/// Why a text is no address of an API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiAddressError {
    /// It names no API.
    NoName,
    /// `method` is none.
    Method,
    /// `loop_limit` is none.
    LoopLimit,
    /// `check_limits` says that limits do not count.
    CheckLimits,
}

impl fmt::Display for ApiAddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoName => "an address of an API is tyk://, its id or name, and a path; name the API",
            Self::Method => "method must be an HTTP method in capitals, such as POST; correct it",
            Self::LoopLimit => "loop_limit must be a number from 1 to 100; correct it",
            Self::CheckLimits => {
                "the limits of the other API always count; write check_limits=true, or remove it"
            }
        })
    }
}

impl std::error::Error for ApiAddressError {}

impl Addressee {
    /// The other API, if it is another one.
    #[must_use]
    pub const fn name(&self) -> Option<&ApiName> {
        match self {
            Self::Itself => None,
            Self::Named(name) => Some(name),
        }
    }
}

impl ApiName {
    /// The name as it is written.
    #[must_use]
    pub fn new(written: &str) -> Self {
        Self { written: written.into(), folded: folded_name(written).into() }
    }

    /// The same as an id.
    #[must_use]
    pub const fn as_id(&self) -> &str {
        &self.written
    }

    /// The same as [`folded_name`] gives it.
    #[must_use]
    pub const fn as_folded_name(&self) -> &str {
        &self.folded
    }
}

impl fmt::Display for ApiName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// The name of an API as addresses write it: without its categories (` #eu #beta`), in whatever letter
/// case, and with one hyphen for whatever cannot stand in an address.
#[must_use]
pub fn folded_name(name: &str) -> String {
    let name = name.split('#').next().unwrap_or_default().trim_end();
    let mut folded = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_ascii_alphanumeric() {
            folded.push(c.to_ascii_lowercase());
        } else if !folded.ends_with('-') {
            folded.push('-');
        }
    }
    folded
}

/// Whether a text is meant as an address of an API.
#[must_use]
pub fn is_api_address(text: &str) -> bool {
    text.get(..SCHEME.len()).is_some_and(|start| start.eq_ignore_ascii_case(SCHEME))
}

impl ApiAddress {
    /// Reads an address. Gives what is behind the name of the API as well, path and query: nothing of that
    /// is read but the parameters that say how to go on, so that it may be a template.
    ///
    /// # Errors
    /// [`ApiAddressError`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<(Self, String), ApiAddressError> {
        let rest = text.get(SCHEME.len()..).filter(|_| is_api_address(text)).unwrap_or_default();
        let (name, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if name.is_empty() || name.contains(['@', ':', '#', '\\']) || name.chars().any(char::is_control) {
            return Err(ApiAddressError::NoName);
        }
        let api = if name == "self" { Addressee::Itself } else { Addressee::Named(ApiName::new(name)) };
        let mut address = Self { api, method: None, loop_limit: None };
        let Some((path, query)) = rest.split_once('?') else { return Ok((address, rest.to_owned())) };
        let mut kept = Vec::new();
        for parameter in query.split('&') {
            if !address.take_option(parameter)? {
                kept.push(parameter);
            }
        }
        let query = kept.join("&");
        let rest = if kept.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
        Ok((address, rest))
    }

    /// Whether a parameter says how to go on.
    fn take_option(&mut self, parameter: &str) -> Result<bool, ApiAddressError> {
        let Some((name, value)) = parameter.split_once('=') else { return Ok(false) };
        match (name, value) {
            ("method", value) => {
                let method = Method::from_bytes(value.as_bytes()).ok();
                let in_capitals = |method: &Method| {
                    *method != Method::CONNECT && method.as_str().bytes().all(|b| b.is_ascii_uppercase())
                };
                self.method = Some(method.filter(in_capitals).ok_or(ApiAddressError::Method)?);
            }
            ("loop_limit", value) => {
                let limit = value.parse().ok().filter(|limit| (1..=100).contains(limit));
                self.loop_limit = Some(limit.ok_or(ApiAddressError::LoopLimit)?);
            }
            // They count in any case.
            ("check_limits", "true") => {}
            ("check_limits", _) => return Err(ApiAddressError::CheckLimits),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// Another API in the place of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiUpstream {
    /// Which one.
    pub address: ApiAddress,
    /// What paths are put behind; no final slash.
    base_path: Box<str>,
    base_query: Option<Box<str>>,
}

impl ApiUpstream {
    /// Reads an address that requests are led to with their own path behind it.
    ///
    /// # Errors
    /// [`ApiAddressError`] says why it is none.
    pub fn parse(text: &str) -> Result<Self, ApiAddressError> {
        let (address, rest) = ApiAddress::parse(text)?;
        let (path, query) = rest.split_once('?').unwrap_or((&rest, ""));
        let base_query = (!query.is_empty()).then(|| query.into());
        Ok(Self { address, base_path: path.trim_end_matches('/').into(), base_query })
    }

    /// The path and query that a request for `path` (raw, with its leading slash) goes on with.
    #[must_use]
    pub fn target(&self, path: &str, query: Option<&str>) -> (String, Option<String>) {
        let query = match (self.base_query.as_deref(), query) {
            (Some(base), Some(query)) if !query.is_empty() => Some(format!("{base}&{query}")),
            (base, query) => base.or(query).map(Into::into),
        };
        (format!("{}{path}", self.base_path), query)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let read = |text: &str| {
            let (address, rest) = ApiAddress::parse(text).unwrap();
            let api = match address.api {
                Addressee::Itself => "(itself)".to_owned(),
                Addressee::Named(name) => name.to_string(),
            };
            (api, rest, address.method, address.loop_limit)
        };
        for (text, api, rest) in [
            ("tyk://orders", "orders", ""),
            ("TYK://orders/x/$1?a=b", "orders", "/x/$1?a=b"),
            ("tyk://self/x", "(itself)", "/x"),
            ("tyk://Self/x", "Self", "/x"),
            ("tyk://My Orders?x", "My Orders", "?x"),
            ("tyk://a/x?a=1&check_limits=true&b", "a", "/x?a=1&b"),
            ("tyk://a/x?check_limits=true", "a", "/x"),
        ] {
            assert_eq!(read(text), (api.to_owned(), rest.to_owned(), None, None), "{text}");
        }
        let all = read("tyk://a/?method=PURGE&loop_limit=2&method_of=x");
        let method = Method::from_bytes(b"PURGE").ok();
        assert_eq!(all, ("a".to_owned(), "/?method_of=x".to_owned(), method, Some(2)));
        for (text, error) in [
            ("tyk://", ApiAddressError::NoName),
            ("tyk:///x", ApiAddressError::NoName),
            ("tyk://u@a/x", ApiAddressError::NoName),
            ("tyk://a:80/x", ApiAddressError::NoName),
            ("http://a/x", ApiAddressError::NoName),
            ("tyk://a/?method=get", ApiAddressError::Method),
            ("tyk://a/?method=CONNECT", ApiAddressError::Method),
            ("tyk://a/?method=", ApiAddressError::Method),
            ("tyk://a/?loop_limit=0", ApiAddressError::LoopLimit),
            ("tyk://a/?loop_limit=101", ApiAddressError::LoopLimit),
            ("tyk://a/?check_limits=false", ApiAddressError::CheckLimits),
        ] {
            assert_eq!(ApiAddress::parse(text).err(), Some(error), "{text}");
        }
    }

    #[test]
    fn paths_go_behind_that_of_the_address() {
        let target = |text: &str, path: &str, query: Option<&str>| {
            let (path, query) = ApiUpstream::parse(text).unwrap().target(path, query);
            query.map_or_else(|| path.clone(), |query| format!("{path}?{query}"))
        };
        for (text, path, query, expected) in [
            ("tyk://a", "/x", None, "/x"),
            ("tyk://a/", "/", Some("q"), "/?q"),
            ("tyk://a/base/", "/x", None, "/base/x"),
            ("tyk://a/base?k=v&check_limits=true", "/x", Some("a=b"), "/base/x?k=v&a=b"),
            ("tyk://a?k=v", "/x", Some(""), "/x?k=v"),
        ] {
            assert_eq!(target(text, path, query), expected, "{text} {path}");
        }
    }

    #[test]
    fn names_are_folded() {
        for (name, folded) in [
            ("Orders", "orders"),
            ("My  Orders (v2)", "my-orders-v2-"),
            ("Orders #eu #beta", "orders"),
            ("#eu", ""),
            ("Größe", "gr-e"),
        ] {
            assert_eq!(folded_name(name), folded, "{name}");
        }
    }
}
