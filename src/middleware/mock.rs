//! Answers that the gateway gives instead of an upstream (`mockResponse`).

use std::fmt;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{ACCEPT, CONTENT_TYPE},
};

use crate::refusal::Profile;

/// The header by which a client chooses the status of an example.
const ACCEPT_CODE: &str = "x-tyk-accept-example-code";
/// The one by which it chooses the example.
const ACCEPT_NAME: &str = "x-tyk-accept-example-name";

/// What an operation is answered with.
#[derive(Clone, Debug)]
pub enum Mock {
    /// Always this.
    Fixed(MockResponse),
    /// An example of the document.
    Examples(Box<Examples>),
}

/// An answer.
#[derive(Clone, Debug)]
pub struct MockResponse {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// The examples of an operation's responses, and which of them is meant if the client does not say.
#[derive(Clone, Debug)]
pub struct Examples {
    /// The status.
    pub status: StatusCode,
    /// The media type, without parameters.
    pub media_type: Box<str>,
    /// The name; the first, if there is none.
    pub name: Option<Box<str>>,
    /// The responses of the operation.
    pub responses: Vec<ExampleResponse>,
}

/// The examples for one status.
#[derive(Clone, Debug)]
pub struct ExampleResponse {
    /// The status.
    pub status: StatusCode,
    /// The headers of the answer.
    pub headers: HeaderMap,
    /// The bodies by media type.
    pub media: Vec<ExampleMedia>,
}

/// The examples of one media type.
#[derive(Clone, Debug)]
pub struct ExampleMedia {
    /// The media type, without parameters, in lower case.
    pub media_type: Box<str>,
    /// The same as the field of the answer.
    pub content_type: HeaderValue,
    /// What is there to choose from.
    pub bodies: ExampleBodies,
}

/// Examples of one status and media type.
#[derive(Clone, Debug)]
pub enum ExampleBodies {
    /// One, whatever name is asked for.
    One(ExampleBody),
    /// Some by their names, in the order of these.
    Named(Vec<(Box<str>, ExampleBody)>),
}

/// The body of an example.
#[derive(Clone, Debug)]
pub struct ExampleBody {
    /// As JSON.
    pub json: Bytes,
    /// As the text that it is, where the media type is not one of JSON. Tyk writes JSON there too.
    pub text: Option<Bytes>,
}

/// Why there is no example for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoExample {
    /// What is asked for is no status.
    Code(String),
    /// No response has this status.
    Status(i64),
    /// The response has no examples of such a media type.
    MediaType(String),
    /// There are examples, but none of this name.
    Name(String),
}

/// In Tyk's words.
impl fmt::Display for NoExample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(text) => write!(f, "given code {text} is not a valid integer value"),
            Self::Status(code) => write!(f, "there is no example response for the code: {code}"),
            Self::MediaType(name) => write!(f, "there is no example response for the content type: {name}"),
            Self::Name(name) => write!(f, "there is no example response for the example name: {name}"),
        }
    }
}

impl Mock {
    /// The answer to a request with these headers.
    ///
    /// # Errors
    /// [`NoExample`] when it asks for an example that is not there.
    pub fn response(&self, asked: &HeaderMap, profile: Profile) -> Result<Response<Bytes>, NoExample> {
        match self {
            Self::Fixed(response) => Ok(response.response()),
            Self::Examples(examples) => examples.response(asked, profile),
        }
    }
}

impl MockResponse {
    fn response(&self) -> Response<Bytes> {
        let mut response = Response::new(self.body.clone());
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers.clone();
        response
    }
}

impl Examples {
    fn response(&self, asked: &HeaderMap, profile: Profile) -> Result<Response<Bytes>, NoExample> {
        let text = |name: &str| {
            asked
                .get(name)
                .map(|value| String::from_utf8_lossy(value.as_bytes()))
                .filter(|text| !text.is_empty())
        };
        let code = match text(ACCEPT_CODE) {
            Some(code) => code.parse::<i64>().map_err(|_| NoExample::Code(code.into_owned()))?,
            None => self.status.as_u16().into(),
        };
        let response = self.responses.iter().find(|response| i64::from(response.status.as_u16()) == code);
        let response = response.ok_or(NoExample::Status(code))?;
        let media = response.media(accepted(asked).as_deref(), &self.media_type)?;
        let body = media.bodies.find(text(ACCEPT_NAME).as_deref().or(self.name.as_deref()))?;
        let plain = body.text.as_ref().filter(|_| profile == Profile::Rfc);
        let mut answer = Response::new(plain.unwrap_or(&body.json).clone());
        *answer.status_mut() = response.status;
        *answer.headers_mut() = response.headers.clone();
        answer.headers_mut().insert(CONTENT_TYPE, media.content_type.clone());
        Ok(answer)
    }
}

impl ExampleResponse {
    /// The examples that `accept` prefers (RFC 9110 section 12.5.1), of several those of `usual`.
    fn media(&self, accept: Option<&str>, usual: &str) -> Result<&ExampleMedia, NoExample> {
        let ranges = accept.map(ranges).unwrap_or_default();
        let of_range = |range: &str| {
            let usual = self.media.iter().find(|media| *media.media_type == *usual);
            let mut media = usual.into_iter().chain(&self.media);
            media.find(|media| covers(range, &media.media_type) && !is_refused(&ranges, &media.media_type))
        };
        let none = || NoExample::MediaType(accept.unwrap_or(usual).to_owned());
        if accept.is_none() {
            return of_range(usual).ok_or_else(none);
        }
        let mut taken = ranges.iter().filter(|range| range.weight > 0.0);
        // Who takes anything gets the usual, and nothing else if that is not there, as in Tyk.
        let found = taken.find_map(|range| of_range(if range.name == "*/*" { usual } else { range.name }));
        found.ok_or_else(none)
    }
}

impl ExampleBodies {
    fn find(&self, name: Option<&str>) -> Result<&ExampleBody, NoExample> {
        let (examples, name) = match self {
            Self::One(body) => return Ok(body),
            Self::Named(examples) => (examples, name),
        };
        let found = examples.iter().find(|(own, _)| name.is_none_or(|name| **own == *name));
        let none = || NoExample::Name(name.unwrap_or_default().to_owned());
        found.map(|(_, body)| body).ok_or_else(none)
    }
}

/// What a request accepts: all lines of the field are one list (RFC 9110 section 5.3).
fn accepted(asked: &HeaderMap) -> Option<String> {
    let lines = asked.get_all(ACCEPT).iter().map(|line| String::from_utf8_lossy(line.as_bytes()));
    let list = lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(", ");
    Some(list).filter(|list| !list.is_empty())
}

/// A media range and how much it is preferred.
struct Range<'a> {
    name: &'a str,
    weight: f64,
}

impl Range<'_> {
    /// What is said of a type counts more than what is said of its kind, and that more than what is said of
    /// all (RFC 9110 section 12.5.1).
    fn specificity(&self) -> u8 {
        match self.name {
            "*/*" => 0,
            name if name.ends_with("/*") => 1,
            _ => 2,
        }
    }
}

/// The media ranges of an `Accept` field, those that are preferred first, and the more specific ones of
/// those that are preferred alike.
fn ranges(accept: &str) -> Vec<Range<'_>> {
    let weight = |parameter: &str| {
        let (name, weight) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| weight.trim().parse().unwrap_or(0.0))
    };
    let range = |text| {
        let (name, parameters) = str::split_once(text, ';').unwrap_or((text, ""));
        let weight = parameters.split(';').filter_map(weight).next_back().unwrap_or(1.0);
        Range { name: name.trim(), weight }
    };
    let mut ranges: Vec<Range<'_>> =
        accept.split(',').map(range).filter(|range| !range.name.is_empty()).collect();
    ranges.sort_by(|a, b| b.weight.total_cmp(&a.weight).then_with(|| b.specificity().cmp(&a.specificity())));
    ranges
}

/// Whether what is said most specifically of a media type is that it is not taken.
fn is_refused(ranges: &[Range<'_>], media_type: &str) -> bool {
    let covering = ranges.iter().filter(|range| covers(range.name, media_type));
    covering.max_by_key(|range| range.specificity()).is_some_and(|range| range.weight <= 0.0)
}

/// Whether a media range such as `text/*` covers a media type.
fn covers(range: &str, media_type: &str) -> bool {
    match range.strip_suffix("/*") {
        Some("*") => true,
        Some(kind) => media_type.split_once('/').is_some_and(|(own, _)| own.eq_ignore_ascii_case(kind)),
        None => range.eq_ignore_ascii_case(media_type),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(json: &'static str) -> ExampleBody {
        ExampleBody { json: json.into(), text: None }
    }

    fn media(media_type: &'static str, bodies: ExampleBodies) -> ExampleMedia {
        ExampleMedia {
            media_type: media_type.into(),
            content_type: HeaderValue::from_static(media_type),
            bodies,
        }
    }

    fn examples() -> Examples {
        let named = || ExampleBodies::Named(vec![("e1".into(), body("1")), ("e2".into(), body("2"))]);
        let plain = ExampleBody { json: "\"a\"".into(), text: Some("a".into()) };
        let response = |status, media| ExampleResponse { status, headers: HeaderMap::new(), media };
        Examples {
            status: StatusCode::OK,
            media_type: "application/json".into(),
            name: Some("e2".into()),
            responses: vec![
                response(
                    StatusCode::OK,
                    vec![media("text/plain", ExampleBodies::One(plain)), media("application/json", named())],
                ),
                response(
                    StatusCode::NOT_FOUND,
                    vec![media("application/json", ExampleBodies::One(body("3")))],
                ),
            ],
        }
    }

    fn answer(fields: &[(&'static str, &'static str)], profile: Profile) -> Result<(u16, String), NoExample> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let response = Mock::Examples(Box::new(examples())).response(&headers, profile)?;
        Ok((response.status().as_u16(), String::from_utf8(response.body().to_vec()).unwrap()))
    }

    #[test]
    fn what_is_asked_for() {
        let (code, name) = (ACCEPT_CODE, ACCEPT_NAME);
        for (fields, expected) in [
            (&[][..], Ok((200, "2"))),
            (&[(name, "e1")], Ok((200, "1"))),
            (&[(name, "e3")], Err(NoExample::Name("e3".into()))),
            (&[(name, "")], Ok((200, "2"))),
            (&[(code, "404")], Ok((404, "3"))),
            (&[(code, "404"), (name, "e9")], Ok((404, "3"))),
            (&[(code, "500")], Err(NoExample::Status(500))),
            (&[(code, "-1")], Err(NoExample::Status(-1))),
            (&[(code, "ok")], Err(NoExample::Code("ok".into()))),
            (&[("accept", "*/*")], Ok((200, "2"))),
            (&[("accept", "text/plain")], Ok((200, "\"a\""))),
            (&[("accept", "text/html, Text/*;q=0.5, */*;q=0.1")], Ok((200, "\"a\""))),
            (&[("accept", "text/plain;q=0.5, application/json")], Ok((200, "2"))),
            (&[("accept", "text/plain;q=0, application/*")], Ok((200, "2"))),
            (&[("accept", "text/html"), ("accept", "text/plain")], Ok((200, "\"a\""))),
            (&[("accept", "text/plain;Q=0.5, application/json;q=0.9")], Ok((200, "2"))),
            (&[("accept", "*/*, text/plain")], Ok((200, "\"a\""))),
            (&[("accept", "application/*, text/plain")], Ok((200, "\"a\""))),
            (
                &[("accept", "*/*, application/json;q=0")],
                Err(NoExample::MediaType("*/*, application/json;q=0".into())),
            ),
            (&[("accept", "text/html")], Err(NoExample::MediaType("text/html".into()))),
            (&[(code, "404"), ("accept", "text/plain")], Err(NoExample::MediaType("text/plain".into()))),
        ] {
            let expected = expected.map(|(status, body)| (status, body.to_owned()));
            assert_eq!(answer(fields, Profile::Tyk), expected, "{fields:?}");
        }
        assert_eq!(answer(&[("accept", "text/plain")], Profile::Rfc), Ok((200, "a".to_owned())));
    }
}
