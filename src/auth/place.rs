//! Where a request carries its token, and how it is taken out again.

use std::{borrow::Cow, fmt};

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{AUTHORIZATION, COOKIE},
};

use url::form_urlencoded;

use crate::{query, refusal::Profile};

/// One kind of place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A header field, with or without `Bearer` before the token; in profile `rfc` never without it in
    /// `Authorization`.
    Header(HeaderName),
    /// A parameter of the query.
    Query(String),
    /// A cookie.
    Cookie(String),
}

/// The places that are looked at.
///
/// In profile `rfc` a request has one credential: the same token in two places counts once,
/// different ones, and a field, parameter or cookie that comes twice, are refused (RFC 6750
/// section 2). In profile `tyk` the first of each counts, and a cookie wins over a parameter, a
/// parameter over a header field.
#[derive(Clone, Debug)]
pub struct Places {
    places: Vec<Place>,
    profile: Profile,
    /// Whether a value in `Authorization` may be without `Bearer` in profile `rfc` as well.
    bare: bool,
}

/// What a request carries.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential<'r> {
    /// Nothing.
    Nothing,
    /// One token; perhaps.
    Token(Cow<'r, str>),
    /// Something that is no token, whatever it says.
    Unreadable,
    /// More than one token.
    Several,
}

/// Without the token.
impl fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "Nothing",
            Self::Token(_) => "Token(…)",
            Self::Unreadable => "Unreadable",
            Self::Several => "Several",
        })
    }
}

impl Places {
    /// These places, in this order; Tyk's order is header, query, cookie.
    #[must_use]
    pub const fn new(places: Vec<Place>, profile: Profile) -> Self {
        Self { places, profile, bare: false }
    }

    /// These places of a credential that is no bearer token: `Authorization` holds it as it is.
    #[must_use]
    pub const fn bare(places: Vec<Place>, profile: Profile) -> Self {
        Self { places, profile, bare: true }
    }

    /// The places, in order.
    #[must_use]
    pub fn as_slice(&self) -> &[Place] {
        &self.places
    }

    /// The credential of a request.
    #[must_use]
    pub fn locate<'r>(&self, headers: &'r HeaderMap, query: Option<&'r str>) -> Credential<'r> {
        let mut found = Credential::Nothing;
        for place in &self.places {
            let here = match place {
                Place::Header(name) => self.in_header(name, headers),
                Place::Query(name) => self.one(query::parameters(name, query.unwrap_or_default())),
                Place::Cookie(name) => self.one(cookies(name, headers)),
            };
            found = match (found, here) {
                (found, Credential::Nothing) => found,
                (Credential::Nothing, here) => here,
                (_, here) if self.profile == Profile::Tyk => here,
                (found, here) if found == here && found != Credential::Unreadable => found,
                _ => Credential::Several,
            };
        }
        found
    }

    /// Whether a request has anything in one of the places, be it a credential of this scheme or of another.
    #[must_use]
    pub fn has_anything(&self, headers: &HeaderMap, query: Option<&str>) -> bool {
        let fields = self.places.iter().filter_map(|place| match place {
            Place::Header(name) => Some(headers.get_all(name)),
            Place::Query(_) | Place::Cookie(_) => None,
        });
        fields.flatten().any(|value| !value.is_empty()) || self.locate(headers, query) != Credential::Nothing
    }

    fn in_header<'r>(&self, name: &HeaderName, headers: &'r HeaderMap) -> Credential<'r> {
        let values = headers.get_all(name).iter().map(|value| value.to_str().ok().map(Cow::Borrowed));
        if self.profile == Profile::Tyk || self.bare || *name != AUTHORIZATION {
            return self.one(values);
        }
        // Another scheme in `Authorization` is no credential for this check.
        let bearers = values.filter(|value| value.as_ref().is_none_or(|value| is_bearer(value)));
        let count = headers.get_all(name).iter().count();
        match self.one(bearers) {
            Credential::Token(_) | Credential::Unreadable if count > 1 => Credential::Several,
            credential => credential,
        }
    }

    /// Reads the values of one place: each a text, or nothing where there is no text.
    fn one<'r>(&self, mut values: impl Iterator<Item = Option<Cow<'r, str>>>) -> Credential<'r> {
        let first = values.next();
        if self.profile == Profile::Rfc && values.next().is_some() {
            return Credential::Several;
        }
        match first {
            None => Credential::Nothing,
            Some(None) => Credential::Unreadable,
            Some(Some(value)) if value.is_empty() => Credential::Nothing,
            Some(Some(value)) => self.without_scheme(value),
        }
    }

    /// Takes `Bearer` off the value: followed by one space in profile `tyk`, by any number of them
    /// in profile `rfc` (RFC 9110 section 11.4).
    fn without_scheme<'r>(&self, value: Cow<'r, str>) -> Credential<'r> {
        let strip = |value: &str| -> Option<usize> {
            let rest = value.get(6..).filter(|_| is_bearer(value))?;
            let token = match self.profile {
                Profile::Tyk => rest.strip_prefix(' ')?,
                Profile::Rfc => rest.trim_start_matches(' '),
            };
            value.len().checked_sub(token.len())
        };
        let start = strip(&value).unwrap_or_default();
        let token = match value {
            Cow::Borrowed(value) => Cow::Borrowed(value.get(start..).unwrap_or_default()),
            Cow::Owned(value) => Cow::Owned(value.get(start..).unwrap_or_default().to_owned()),
        };
        if token.is_empty() { Credential::Unreadable } else { Credential::Token(token) }
    }

    /// Puts a token in the first place; gives the query with it, if that is the place. What can stand in
    /// no header field is left out.
    pub(super) fn put(&self, token: &str, headers: &mut HeaderMap, query: Option<&str>) -> Option<String> {
        let (name, text) = match self.places.first()? {
            Place::Header(name) if self.bare => (name, token.to_owned()),
            Place::Header(name) => (name, format!("Bearer {token}")),
            Place::Cookie(name) => (&COOKIE, format!("{name}={token}")),
            Place::Query(name) => {
                let mut pairs = form_urlencoded::Serializer::new(String::new());
                let pair = pairs.append_pair(name, token).finish();
                return Some(query.map_or_else(|| pair.clone(), |query| format!("{query}&{pair}")));
            }
        };
        if let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) {
            headers.append(name, value);
        }
        None
    }

    /// Takes the credential out of the headers: from each place that is looked at, all copies, and
    /// nothing else. A field goes as a whole, also with the credential of another scheme in it.
    pub fn strip_headers(&self, headers: &mut HeaderMap) {
        for place in &self.places {
            match place {
                // Whatever is in it: what is no token here may be one to the upstream.
                Place::Header(name) => {
                    headers.remove(name);
                }
                Place::Cookie(name) => strip_cookie(name, headers),
                Place::Query(_) => {}
            }
        }
    }

    /// The query without the credential; nothing if it has none. The other parameters keep their
    /// order and spelling.
    #[must_use]
    pub fn strip_query(&self, query: &str) -> Option<String> {
        let names = self.places.iter().filter_map(|place| match place {
            Place::Query(name) => Some(name),
            Place::Header(_) | Place::Cookie(_) => None,
        });
        names.fold(None, |stripped: Option<String>, name| {
            query::without(name, stripped.as_deref().unwrap_or(query)).or(stripped)
        })
    }
}

/// Whether a value is of the scheme `Bearer`. A tab may not follow it, but there are servers that read
/// one as a space: to call that another scheme would hand them a token that nobody has looked at.
fn is_bearer(value: &str) -> bool {
    let (scheme, rest) = value.split_at_checked(6).unwrap_or_default();
    scheme.eq_ignore_ascii_case("bearer") && (rest.is_empty() || rest.starts_with([' ', '\t']))
}

/// The values of the cookies with this name, without quotes around them; nothing for one that is no
/// text. Cookies of others may hold any octets.
fn cookies<'r>(name: &str, headers: &'r HeaderMap) -> impl Iterator<Item = Option<Cow<'r, str>>> {
    let fields = headers.get_all(COOKIE).iter();
    fields.flat_map(|field| field.as_bytes().split(|b| *b == b';')).filter_map(move |cookie| {
        let value = cookie_value(name, cookie)?;
        let unquoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
        Some(std::str::from_utf8(unquoted.unwrap_or(value)).ok().map(Cow::Borrowed))
    })
}

/// The value of a cookie, if it has this name.
fn cookie_value<'c>(name: &str, cookie: &'c [u8]) -> Option<&'c [u8]> {
    let end = cookie.iter().position(|b| *b == b'=')?;
    let (own, value) = cookie.split_at_checked(end)?;
    let value = value.strip_prefix(b"=")?.trim_ascii();
    (own.trim_ascii() == name.as_bytes()).then_some(value)
}

fn strip_cookie(name: &str, headers: &mut HeaderMap) {
    if cookies(name, headers).next().is_none() {
        return;
    }
    let named = |cookie: &&[u8]| cookie_value(name, cookie).is_some();
    let mut kept = Vec::new();
    for field in headers.get_all(COOKIE) {
        let all = || field.as_bytes().split(|b| *b == b';');
        if !all().any(|cookie| named(&cookie)) {
            kept.push(field.clone());
            continue;
        }
        let rest: Vec<&[u8]> = all().filter(|cookie| !named(cookie)).map(<[u8]>::trim_ascii).collect();
        if !rest.is_empty()
            && let Ok(field) = HeaderValue::from_bytes(&rest.join(&b"; "[..]))
        {
            kept.push(field);
        }
    }
    headers.remove(COOKIE);
    for field in kept {
        headers.append(COOKIE, field);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    fn places(profile: Profile) -> Places {
        let header = Place::Header(AUTHORIZATION);
        Places::new(vec![header, Place::Query("tok".into()), Place::Cookie("session".into())], profile)
    }

    fn check(profile: Profile, fields: &[(&'static str, &str)], query: &str, expected: &Credential<'_>) {
        let headers = headers(fields);
        let found = places(profile).locate(&headers, Some(query));
        assert_eq!(found, *expected, "{profile:?} {fields:?} {query}");
    }

    fn token(text: &str) -> Credential<'_> {
        Credential::Token(text.into())
    }

    #[test]
    fn headers_in_both_profiles() {
        use Credential::{Nothing, Several, Unreadable};
        for (value, rfc, tyk) in [
            ("Bearer abc", token("abc"), token("abc")),
            ("bEaReR abc", token("abc"), token("abc")),
            ("Bearer  abc", token("abc"), token(" abc")),
            ("abc", Nothing, token("abc")),
            ("Bearer", Unreadable, token("Bearer")),
            ("Bearer: abc", Nothing, token("Bearer: abc")),
            ("Bearer\tabc", token("\tabc"), token("Bearer\tabc")),
            ("Basic abc", Nothing, token("Basic abc")),
            ("DPoP abc", Nothing, token("DPoP abc")),
            ("Bearerabc", Nothing, token("Bearerabc")),
            ("", Nothing, Nothing),
            ("Bearer\u{a0}abc", Unreadable, Unreadable),
        ] {
            check(Profile::Rfc, &[("authorization", value)], "", &rfc);
            check(Profile::Tyk, &[("authorization", value)], "", &tyk);
        }
        let twice = [("authorization", "Bearer a"), ("authorization", "Bearer b")];
        check(Profile::Rfc, &twice, "", &Several);
        check(Profile::Tyk, &twice, "", &token("a"));
        let mixed = [("authorization", "Basic x"), ("authorization", "Bearer b")];
        check(Profile::Rfc, &mixed, "", &Several);
    }

    #[test]
    fn query_and_cookie() {
        use Credential::{Nothing, Several, Unreadable};
        for (query, rfc, tyk) in [
            ("tok=abc", token("abc"), token("abc")),
            ("z=1&tok=abc&a=2", token("abc"), token("abc")),
            ("tok=Bearer%20abc", token("abc"), token("abc")),
            ("tok=bearer+abc", token("abc"), token("abc")),
            ("%74ok=abc", token("abc"), token("abc")),
            ("TOK=abc", Nothing, Nothing),
            ("tok=", Nothing, Nothing),
            ("tok", Nothing, Nothing),
            ("x=1;tok=abc", Nothing, Nothing),
            ("tok=%zz", Unreadable, Unreadable),
            ("tok=abc&tok=def", Several, token("abc")),
            ("tok=&tok=def", Several, Nothing),
        ] {
            check(Profile::Rfc, &[], query, &rfc);
            check(Profile::Tyk, &[], query, &tyk);
        }
        for (cookie, rfc, tyk) in [
            ("a=1; session=abc; b=2", token("abc"), token("abc")),
            ("session=\"abc\"", token("abc"), token("abc")),
            ("Session=abc", Nothing, Nothing),
            ("xsession=abc", Nothing, Nothing),
            ("session=", Nothing, Nothing),
            ("session=abc; session=def", Several, token("abc")),
        ] {
            check(Profile::Rfc, &[("cookie", cookie)], "", &rfc);
            check(Profile::Tyk, &[("cookie", cookie)], "", &tyk);
        }
    }

    #[test]
    fn several_places() {
        let all = [("authorization", "Bearer a"), ("cookie", "session=c")];
        check(Profile::Tyk, &all, "tok=b", &token("c"));
        check(Profile::Tyk, &all[..1], "tok=b", &token("b"));
        check(Profile::Tyk, &all[..1], "tok=", &token("a"));
        check(Profile::Rfc, &all, "tok=b", &Credential::Several);
        let same = [("authorization", "Bearer a"), ("cookie", "session=a")];
        check(Profile::Rfc, &same, "tok=a", &token("a"));
    }

    #[test]
    fn strip_takes_the_credential_and_nothing_else() {
        let places = places(Profile::Rfc);
        let mut fields = headers(&[
            ("authorization", "Bearer a"),
            ("cookie", "session_id=keep; session=a; b=2"),
            ("cookie", "session=a"),
            ("x-authorization", "stays"),
        ]);
        places.strip_headers(&mut fields);
        assert_eq!(fields, headers(&[("cookie", "session_id=keep; b=2"), ("x-authorization", "stays")]));
        for value in ["Basic x", "a.b.c", "JWT a.b.c", "Bearer,a.b.c", "\"Bearer\" a.b.c", "Bearer\ta"] {
            let mut hidden =
                headers(&[("authorization", "Basic x"), ("authorization", value), ("cookie", "a=1;  b=2")]);
            places.strip_headers(&mut hidden);
            assert_eq!(hidden, headers(&[("cookie", "a=1;  b=2")]), "{value}");
        }
        for (query, stripped) in [
            ("z=1&tok=x&a=%20", Some("z=1&a=%20")),
            ("tok=x", Some("")),
            ("tok=x&tok=y&a", Some("a")),
            ("%74ok=x&b", Some("b")),
            ("a=1&&b", None),
            ("", None),
        ] {
            assert_eq!(places.strip_query(query).as_deref(), stripped, "{query}");
        }
    }
}
