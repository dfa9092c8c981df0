//! Header fields that tell the upstream what the claims say (`claimHeaders`, `payloadHeader`).
//!
//! **Invariant:** the upstream never reads another value than the token has. A value that a header
//! field cannot hold, and a list whose elements could be told apart no more, are refused, not mended.

use std::{borrow::Cow, fmt::Write as _};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{NameError, NotForwardable, header_field};
use crate::{
    jwt::{Claims, Locator, json::Value},
    percent,
    session::Session,
};

/// The fields that are set from claims on every request of an API: without a token they are empty.
#[derive(Clone, Debug, Default)]
pub struct ClaimHeaders {
    /// One field for each claim.
    pub claims: Vec<ClaimHeader>,
    /// The field for all of them.
    pub payload: Option<PayloadHeader>,
}

/// A field that holds one claim.
#[derive(Clone, Debug)]
pub struct ClaimHeader {
    name: HeaderName,
    claim: Locator,
    /// What the field holds when the token lacks the claim.
    default: HeaderValue,
    form: Form,
}

/// How a claim becomes the value of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// Texts as they are, anything else as JSON; the elements of a list with this between them.
    Plain(Box<str>),
    /// The plain form, every octet that is not unreserved as `%XX` (RFC 3986 section 2.1); in a list
    /// each element for itself.
    Percent(Box<str>),
    /// The plain form in base64url without padding (RFC 4648 section 5).
    Base64Url(Box<str>),
    /// JSON in ASCII, texts in quotes (RFC 8259).
    Json,
}

/// A field that holds the payload of the token, in base64url as it was signed.
#[derive(Clone, Debug)]
pub struct PayloadHeader {
    name: HeaderName,
    /// The longest value in octets.
    max_octets: usize,
}

impl ClaimHeaders {
    /// The fields: nobody else may set them.
    pub fn names(&self) -> impl Iterator<Item = &HeaderName> {
        let of_claims = self.claims.iter().map(|header| &header.name);
        of_claims.chain(self.payload.iter().map(|payload| &payload.name))
    }

    /// Sets the fields for a request of this caller, if there is one.
    ///
    /// # Errors
    /// [`NotForwardable`] when a value cannot stand in a header field.
    pub fn apply(&self, headers: &mut HeaderMap, session: Option<&Session>) -> Result<(), NotForwardable> {
        let empty = || HeaderValue::from_static("");
        let claims = session.and_then(Session::claims_of_token);
        for header in &self.claims {
            let value = claims.map(|claims| header.value(claims)).transpose()?;
            headers.insert(&header.name, value.unwrap_or_else(empty));
        }
        if let Some(payload) = &self.payload {
            let value = session.and_then(Session::payload).map(|own| payload.value(own)).transpose()?;
            headers.insert(&payload.name, value.unwrap_or_else(empty));
        }
        Ok(())
    }
}

impl ClaimHeader {
    /// The claim as the field `name` in this form. For a token that lacks it `default` stands in, a
    /// text that is written like a claim; an empty one leaves the field empty, whatever the form.
    ///
    /// # Errors
    /// [`NameError`] when the gateway cannot set the field, or not to that default.
    pub fn new(name: &str, claim: Locator, default: &str, form: Form) -> Result<Self, NameError> {
        let (name, empty) = header_field(name, "")?;
        let default = match default {
            "" => empty,
            text => form.value(&Value::String(text.into())).map_err(|NotForwardable| NameError::Value)?,
        };
        Ok(Self { name, claim, default, form })
    }

    fn value(&self, claims: &Claims) -> Result<HeaderValue, NotForwardable> {
        match self.claim.find(claims) {
            None | Some(Value::Null) => Ok(self.default.clone()),
            Some(claim) => self.form.value(claim),
        }
    }
}

impl PayloadHeader {
    /// The payload as the field `name`, in at most so many octets.
    ///
    /// # Errors
    /// [`NameError`] when the gateway cannot set the field.
    pub fn new(name: &str, max_octets: usize) -> Result<Self, NameError> {
        let (name, _) = header_field(name, "")?;
        Ok(Self { name, max_octets })
    }

    fn value(&self, payload: &str) -> Result<HeaderValue, NotForwardable> {
        if payload.len() > self.max_octets {
            return Err(NotForwardable);
        }
        HeaderValue::from_str(payload).map_err(|_| NotForwardable)
    }
}

impl Form {
    fn value(&self, claim: &Value) -> Result<HeaderValue, NotForwardable> {
        let text = match self {
            Self::Plain(separator) => joined(claim, separator, |text| text)?,
            Self::Percent(separator) => joined(claim, separator, |text| percent::encode(&text).into())?,
            Self::Base64Url(separator) => {
                URL_SAFE_NO_PAD.encode(&*joined(claim, separator, |text| text)?).into()
            }
            Self::Json => ascii(&claim.to_string()).into(),
        };
        if text.trim_matches([' ', '\t']) != text {
            // Without its spaces it would be another value, perhaps somebody else's.
            return Err(NotForwardable);
        }
        HeaderValue::from_str(&text).map_err(|_| NotForwardable)
    }
}

/// The plain text of a claim, each element of a list written by `write`.
fn joined<'c>(
    claim: &'c Value,
    separator: &str,
    write: impl Fn(Cow<'c, str>) -> Cow<'c, str>,
) -> Result<Cow<'c, str>, NotForwardable> {
    let Value::Array(elements) = claim else { return Ok(write(plain(claim))) };
    let elements: Vec<_> = elements.iter().map(|element| write(plain(element))).collect();
    let text = elements.join(separator);
    // An element could hold the separator, or a part of it at an end: others would be read.
    if !elements.is_empty() && !text.split(separator).eq(elements.iter().map(AsRef::as_ref)) {
        return Err(NotForwardable);
    }
    Ok(text.into())
}

/// JSON whose texts hold nothing beyond ASCII (RFC 8259 section 7).
fn ascii(json: &str) -> String {
    let mut ascii = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            ' '..='~' => ascii.push(c),
            // Only in texts, where the rest is escaped already.
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(ascii, "\\u{unit:04x}");
                }
            }
        }
    }
    ascii
}

fn plain(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => text.into(),
        other => other.to_string().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwt::json;

    fn value(form: &Form, claim: &str) -> Result<String, NotForwardable> {
        let value = form.value(&json::parse(claim.as_bytes()).unwrap().value)?;
        Ok(String::from_utf8(value.as_bytes().to_vec()).unwrap())
    }

    #[test]
    fn forms() {
        let (plain, bars) = (Form::Plain(",".into()), Form::Plain(" | ".into()));
        let (percent, base64url) = (Form::Percent(",".into()), Form::Base64Url(",".into()));
        for (form, claim, expected) in [
            (&plain, r#""alice""#, Ok("alice")),
            (&plain, r#""Doe, Jane""#, Ok("Doe, Jane")),
            (&plain, r#""é""#, Ok("é")),
            (&plain, r#""""#, Ok("")),
            (&plain, "5", Ok("5")),
            (&plain, "1.5", Ok("1.5")),
            (&plain, "true", Ok("true")),
            (&plain, r#"["a","b",3,false]"#, Ok("a,b,3,false")),
            (&plain, "[]", Ok("")),
            (&plain, r#"{"a":["é"]}"#, Ok(r#"{"a":["é"]}"#)),
            (&plain, r#"["a,b"]"#, Err(NotForwardable)),
            (&plain, r#"[["a","b"]]"#, Err(NotForwardable)),
            (&bars, r#"["a,b","c d"]"#, Ok("a,b | c d")),
            (&bars, r#"["a | b"]"#, Err(NotForwardable)),
            // "a | | b" is read as "a" and "| b".
            (&bars, r#"["a |","b"]"#, Err(NotForwardable)),
            (&bars, r#"["a|","|b"]"#, Ok("a| | |b")),
            (&Form::Plain("||".into()), r#"["a|","b"]"#, Err(NotForwardable)),
            (&percent, r#""a b/é\n""#, Ok("a%20b%2F%C3%A9%0A")),
            (&percent, r#"["a,b","c"]"#, Ok("a%2Cb,c")),
            (&Form::Percent("-".into()), r#"["a-b"]"#, Err(NotForwardable)),
            (&base64url, r#""a\r\nb""#, Ok("YQ0KYg")),
            (&base64url, r#"["a","b"]"#, Ok("YSxi")),
            (&base64url, r#"["a,b"]"#, Err(NotForwardable)),
            (&Form::Json, r#""a\"\n\u0000é😀""#, Ok(r#""a\"\u000a\u0000\u00e9\ud83d\ude00""#)),
            (&Form::Json, r#"["a,b",{"c":null}]"#, Ok(r#"["a,b",{"c":null}]"#)),
        ] {
            assert_eq!(value(form, claim).as_deref(), expected.as_deref(), "{form:?} {claim}");
        }
    }

    #[test]
    fn values_that_break_a_header_field() {
        for claim in [
            r#""a\r\nX-Evil: 1""#,
            r#""a\nb""#,
            r#""a\u0000b""#,
            r#""\u007f""#,
            r#"["a","b\r"]"#,
            r#"" alice""#,
            r#""alice\t""#,
            r#"["a"," "]"#,
        ] {
            assert_eq!(value(&Form::Plain(",".into()), claim), Err(NotForwardable), "{claim}");
        }
    }

    #[test]
    fn defaults_are_written_like_claims() {
        let header = |default: &str, form: Form| {
            ClaimHeader::new("X-User", Locator::parse("sub").unwrap(), default, form)
                .map(|header| header.default.to_str().unwrap().to_owned())
        };
        assert_eq!(header("", Form::Json).as_deref(), Ok(""));
        assert_eq!(header("no one", Form::Json).as_deref(), Ok("\"no one\""));
        assert_eq!(header("no one", Form::Percent(",".into())).as_deref(), Ok("no%20one"));
        assert_eq!(header("a\nb", Form::Plain(",".into())), Err(NameError::Value));
    }
}
