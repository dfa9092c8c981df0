//! Versions of an API: which one a request asks for.
//!
//! A version is an API of its own, with its own authentication, rights, limits and upstream. The API that
//! requests come to, the base, is a version as well.

use std::{borrow::Cow, collections::HashMap};

use http::{HeaderMap, HeaderName};
use regex::Regex;

use crate::{
    api_address::ApiName,
    query,
    refusal::{Profile, Reason},
};

/// How an address names the base.
const SELF: &str = "self";

/// The versions of an API, and how a request says which one it means.
#[derive(Clone, Debug)]
pub struct Versions {
    /// Where it says so.
    pub place: VersionPlace,
    /// What the base is called.
    pub own_name: Box<str>,
    /// The others, by their names.
    pub others: HashMap<Box<str>, ApiName>,
    /// The version for requests that name none; nothing refuses them. `self` is the base.
    pub default: Option<Box<str>>,
    /// Requests that name an unknown one get the default.
    pub falls_back: bool,
    /// The API behind it does not see what named the version.
    pub strips: bool,
}

/// Where a request names the version.
#[derive(Clone, Debug)]
pub enum VersionPlace {
    /// In a header field.
    Header(HeaderName),
    /// In a parameter of the query.
    Parameter(Box<str>),
    /// In the first segment behind the listen path.
    Segment {
        /// What is taken for a version where requests fall back, so that it is stripped; nothing for what
        /// the profile says.
        pattern: Option<Regex>,
    },
}

/// A version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version<'v> {
    /// The base.
    Itself,
    /// Another API.
    Api(&'v ApiName),
}

impl Versions {
    /// The version that a request with these headers, this query and this decoded path below the listen
    /// path names, if it names any.
    ///
    /// # Errors
    /// [`Reason::VersionAmbiguous`] if it names two; in profile `tyk` the first one counts.
    pub fn named<'r>(
        &self,
        headers: &'r HeaderMap,
        query: Option<&'r str>,
        below: &'r str,
        profile: Profile,
    ) -> Result<Option<Cow<'r, str>>, Reason> {
        let named = match &self.place {
            VersionPlace::Header(name) => {
                let values = headers.get_all(name).into_iter();
                first(values.map(|value| String::from_utf8_lossy(value.as_bytes())), profile)?
            }
            VersionPlace::Parameter(name) => {
                let values = query::parameters(name, query.unwrap_or_default());
                // What cannot be decoded is no version.
                first(values.map(|value| value.unwrap_or(Cow::Borrowed("\u{FFFD}"))), profile)?
            }
            VersionPlace::Segment { .. } => Some(first_segment(below).into()),
        };
        Ok(named.filter(|name| !name.is_empty()))
    }

    /// The version that a request gets which names this one. `exists` says whether an API does.
    ///
    /// # Errors
    /// [`Reason::VersionMissing`] and [`Reason::VersionUnknown`].
    pub fn choose(
        &self,
        named: Option<&str>,
        exists: impl Fn(&ApiName) -> bool,
    ) -> Result<Version<'_>, Reason> {
        let default = || self.version(self.default.as_deref()?, &exists);
        match named {
            None if self.default.is_none() => Err(Reason::VersionMissing),
            None => default().ok_or(Reason::VersionUnknown),
            Some(name) => {
                let fallback = || default().filter(|_| self.falls_back);
                self.version(name, &exists).or_else(fallback).ok_or(Reason::VersionUnknown)
            }
        }
    }

    /// The names of all of them, in order.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.others.keys().map(|name| &**name).chain([&*self.own_name]).collect();
        names.sort_unstable();
        names
    }

    /// Whether a name is that of a version.
    fn knows(&self, name: &str) -> bool {
        name == SELF || *name == *self.own_name || self.others.contains_key(name)
    }

    fn version(&self, name: &str, exists: impl Fn(&ApiName) -> bool) -> Option<Version<'_>> {
        if name == SELF || *name == *self.own_name {
            return Some(Version::Itself);
        }
        self.others.get(name).filter(|api| exists(api)).map(Version::Api)
    }

    /// How many octets of the decoded path below the listen path are taken off, which begins with the name
    /// of a version: its slash and its first segment, or nothing.
    ///
    /// Tyk takes a segment off that another one follows, be it a version or not.
    #[must_use]
    pub fn stripped(&self, below: &str, profile: Profile) -> usize {
        let VersionPlace::Segment { pattern } = &self.place else { return 0 };
        let name = first_segment(below);
        let taken = name.len().saturating_add(1);
        let is_version = match (profile, pattern) {
            (_, Some(pattern)) if !pattern.is_match(name) => profile == Profile::Rfc && self.knows(name),
            (_, Some(_)) => true,
            (Profile::Tyk, None) => true,
            (Profile::Rfc, None) => self.knows(name),
        };
        let goes_on = profile == Profile::Rfc || below.len() > taken;
        if self.strips && is_version && goes_on && !name.is_empty() { taken } else { 0 }
    }

    /// The query without what named the version; nothing if that was not there.
    #[must_use]
    pub fn stripped_query(&self, query: &str, profile: Profile) -> Option<String> {
        let VersionPlace::Parameter(name) = &self.place else { return None };
        let stripped = query::without(name, query).filter(|_| self.strips)?;
        Some(if profile == Profile::Tyk { query::without_in_tyk(name, query) } else { stripped })
    }

    /// The field that the API behind it does not see.
    #[must_use]
    pub fn stripped_header(&self) -> Option<&HeaderName> {
        match &self.place {
            VersionPlace::Header(name) if self.strips => Some(name),
            _ => None,
        }
    }
}

/// The first of some names, of which there must be no other in profile `rfc`.
fn first<'r>(
    mut names: impl Iterator<Item = Cow<'r, str>>,
    profile: Profile,
) -> Result<Option<Cow<'r, str>>, Reason> {
    let first = names.next();
    let several = profile == Profile::Rfc && names.next().is_some();
    if several { Err(Reason::VersionAmbiguous) } else { Ok(first) }
}

/// The first segment of a path that begins with a slash.
fn first_segment(below: &str) -> &str {
    below.strip_prefix('/').and_then(|below| below.split('/').next()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn versions(place: VersionPlace, default: &str, falls_back: bool) -> Versions {
        let names = [("v2", "two"), ("v3", "missing")];
        Versions {
            place,
            own_name: "v1".into(),
            others: names.map(|(name, api)| (name.into(), ApiName::new(api))).into(),
            default: (!default.is_empty()).then(|| default.into()),
            falls_back,
            strips: true,
        }
    }

    fn segment(pattern: Option<&str>) -> VersionPlace {
        VersionPlace::Segment { pattern: pattern.map(|pattern| Regex::new(pattern).unwrap()) }
    }

    #[test]
    fn which_version_a_name_gets() {
        let header = || VersionPlace::Header(HeaderName::from_static("x-version"));
        for (name, default, falls_back, expected) in [
            (Some("v1"), "", false, Ok("self")),
            (Some("self"), "", false, Ok("self")),
            (Some("v2"), "", false, Ok("two")),
            (Some("V2"), "self", false, Err(Reason::VersionUnknown)),
            (Some("v3"), "self", false, Err(Reason::VersionUnknown)),
            (Some("v3"), "v2", true, Ok("two")),
            (Some("v9"), "self", true, Ok("self")),
            (Some("v9"), "", true, Err(Reason::VersionUnknown)),
            (Some("v9"), "v3", true, Err(Reason::VersionUnknown)),
            (None, "self", false, Ok("self")),
            (None, "v2", false, Ok("two")),
            (None, "v3", false, Err(Reason::VersionUnknown)),
            (None, "", true, Err(Reason::VersionMissing)),
            (Some(""), "", false, Err(Reason::VersionMissing)),
        ] {
            let versions = versions(header(), default, falls_back);
            let mut headers = HeaderMap::new();
            if let Some(name) = name {
                headers.insert("x-version", HeaderValue::from_static(name));
            }
            let named = versions.named(&headers, None, "/", Profile::Rfc).unwrap();
            let chosen =
                versions.choose(named.as_deref(), |api| api.as_id() == "two").map(|version| match version {
                    Version::Itself => "self",
                    Version::Api(api) => api.as_id(),
                });
            assert_eq!(chosen, expected, "{name:?} {default} {falls_back}");
        }
    }

    #[test]
    fn two_names_are_none() {
        let mut headers = HeaderMap::new();
        headers.append("x-version", HeaderValue::from_static("v2"));
        headers.append("x-version", HeaderValue::from_static("v1"));
        let query = Some("a&v=v2&%76=v1");
        let header = VersionPlace::Header(HeaderName::from_static("x-version"));
        for place in [header, VersionPlace::Parameter("v".into())] {
            let versions = versions(place, "self", true);
            let named = |profile| versions.named(&headers, query, "/", profile);
            assert_eq!(named(Profile::Rfc).err(), Some(Reason::VersionAmbiguous));
            assert_eq!(named(Profile::Tyk).unwrap().as_deref(), Some("v2"));
        }
    }

    #[test]
    fn what_is_stripped_of_a_path() {
        for (pattern, below, rfc, tyk) in [
            (None, "/v2/x", 3, 3),
            (None, "/v2/", 3, 3),
            (None, "/v2", 3, 0),
            (None, "/v9/x", 0, 3),
            (None, "/x", 0, 0),
            (None, "/", 0, 0),
            (Some("v[0-9]+"), "/v9/x", 3, 3),
            (Some("v[0-9]+"), "/foo/x", 0, 0),
            (Some("w[0-9]+"), "/v2/x", 3, 0),
        ] {
            let versions = versions(segment(pattern), "self", true);
            let stripped = [Profile::Rfc, Profile::Tyk].map(|profile| versions.stripped(below, profile));
            assert_eq!(stripped, [rfc, tyk], "{pattern:?} {below}");
        }
    }

    #[test]
    fn what_is_stripped_elsewhere() {
        let versions = versions(VersionPlace::Parameter("v".into()), "self", true);
        let stripped = |query, profile| versions.stripped_query(query, profile);
        assert_eq!(stripped("b=1&v=v2&a=%2f", Profile::Rfc).as_deref(), Some("b=1&a=%2f"));
        assert_eq!(stripped("b=1&v=v2&a=%2f", Profile::Tyk).as_deref(), Some("a=%2F&b=1"));
        assert_eq!(stripped("b=1&a", Profile::Tyk), None);
        assert_eq!(versions.stripped("/v2/x", Profile::Rfc), 0);
        assert_eq!(versions.stripped_header(), None);
    }
}
