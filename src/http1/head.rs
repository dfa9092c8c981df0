//! Heads of requests and answers (RFC 9112 sections 2 to 5).

use std::mem::MaybeUninit;

use bytes::{Buf as _, Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version,
    header::{CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING},
    request, response,
};
use httparse::Header;

use super::{Length, is_last};

/// The most fields that a head may have.
const MAX_FIELDS: usize = 100;

/// The longest target of a request in octets: what the type of it can hold.
const MAX_TARGET: usize = 65_534;

/// What is wrong with the head of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadError {
    /// It is not HTTP, or could be read in two ways.
    Malformed,
    /// The target of the request is too long.
    TargetTooLong,
    /// It is too large, or has too many fields.
    TooLarge,
    /// The body has a transfer coding that is not known here.
    UnknownCoding,
    /// The request expects something that is not known here.
    UnknownExpectation,
}

impl HeadError {
    /// The status that says so to a client.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::TooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::UnknownCoding => StatusCode::NOT_IMPLEMENTED,
            Self::UnknownExpectation => StatusCode::EXPECTATION_FAILED,
        }
    }
}

/// The head of a request.
#[derive(Debug)]
pub struct RequestHead {
    /// What it says.
    pub parts: request::Parts,
    /// How long its body is.
    pub length: Length,
    /// The connection ends with its answer.
    pub is_last: bool,
    /// The client waits with the body until it is told to go on (RFC 9110 section 10.1.1).
    pub expects_continue: bool,
}

/// The head of an answer.
#[derive(Debug)]
pub struct AnswerHead {
    /// What it says.
    pub parts: response::Parts,
    /// How long its body is.
    pub length: Length,
    /// The connection ends with it.
    pub is_last: bool,
}

/// Where the end of a head is looked for: what has been looked at already is not looked at again.
#[derive(Debug, Default)]
pub(crate) struct Search {
    /// So many octets belong to whole lines.
    lines: usize,
    /// So many octets have been looked at.
    seen: usize,
    /// There was an empty line before it.
    is_late: bool,
}

impl Search {
    /// Takes a whole head out of what has come, the empty line at its end included; nothing if it has not come
    /// yet.
    pub(crate) fn take(&mut self, input: &mut BytesMut, limit: usize) -> Result<Option<Bytes>, HeadError> {
        while let Some(at) = input.get(self.seen..).and_then(|rest| memchr::memchr(b'\n', rest)) {
            let end = self.seen.saturating_add(at);
            let line = input.get(self.lines..end).unwrap_or_default();
            // Some take a line feed alone for the end of a line, and others do not.
            if line.last() != Some(&b'\r') {
                return Err(HeadError::Malformed);
            }
            let (is_empty, is_first) = (line.len() == 1, self.lines == 0);
            self.lines = end.saturating_add(1);
            self.seen = self.lines;
            if self.lines > limit {
                return Err(if is_first { HeadError::TargetTooLong } else { HeadError::TooLarge });
            }
            if is_empty && !is_first {
                let head = input.split_to(self.lines).freeze();
                *self = Self::default();
                return Ok(Some(head));
            }
            if is_empty {
                // One empty line before it is forgiven (section 2.2): old clients end their bodies with one.
                if self.is_late {
                    return Err(HeadError::Malformed);
                }
                input.advance(self.lines);
                *self = Self { is_late: true, ..Self::default() };
            }
        }
        self.seen = input.len();
        if input.len() > limit {
            // Where no line has ended it is the target.
            return Err(if self.lines == 0 { HeadError::TargetTooLong } else { HeadError::TooLarge });
        }
        Ok(None)
    }
}

impl RequestHead {
    /// Reads a whole head.
    ///
    /// # Errors
    /// [`HeadError`] says what is wrong with it.
    pub fn parse(head: &Bytes) -> Result<Self, HeadError> {
        let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
        let mut request = httparse::Request::new(&mut []);
        let status = request.parse_with_uninit_headers(head, &mut fields).map_err(kind)?;
        let (Some(method), Some(target), Some(version)) = (request.method, request.path, request.version)
        else {
            return Err(HeadError::Malformed);
        };
        if status.is_partial() {
            return Err(HeadError::Malformed);
        }
        if target.len() > MAX_TARGET {
            return Err(HeadError::TargetTooLong);
        }
        let mut parts = Request::new(()).into_parts().0;
        parts.method = Method::from_bytes(method.as_bytes()).map_err(|_| HeadError::Malformed)?;
        parts.uri =
            Uri::from_maybe_shared(head.slice_ref(target.as_bytes())).map_err(|_| HeadError::Malformed)?;
        parts.version = version_of(version);
        parts.headers = collect(head, request.headers)?;
        let length = Length::of_request(parts.version, &parts.headers)?;
        Ok(Self {
            length,
            is_last: is_last(parts.version, &parts.headers),
            expects_continue: expects_continue(parts.version, &parts.headers)?,
            parts,
        })
    }
}

impl AnswerHead {
    /// Reads a whole head: of an answer to a request with this method.
    ///
    /// # Errors
    /// [`HeadError`] says what is wrong with it.
    pub fn parse(head: &Bytes, method: &Method) -> Result<Self, HeadError> {
        let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
        let mut answer = httparse::Response::new(&mut []);
        let status = httparse::ParserConfig::default()
            .parse_response_with_uninit_headers(&mut answer, head, &mut fields)
            .map_err(kind)?;
        let (Some(code), Some(version)) = (answer.code, answer.version) else {
            return Err(HeadError::Malformed);
        };
        if status.is_partial() {
            return Err(HeadError::Malformed);
        }
        let mut parts = Response::new(()).into_parts().0;
        parts.status = StatusCode::from_u16(code).map_err(|_| HeadError::Malformed)?;
        parts.version = version_of(version);
        parts.headers = collect(head, answer.headers)?;
        let length = Length::of_answer(method, parts.status, parts.version, &parts.headers)?;
        let is_last = length == Length::UntilClose
            || is_last(parts.version, &parts.headers)
            || tells_of_body_that_is_none(&parts);
        Ok(Self { parts, length, is_last })
    }
}

/// Whether an answer that has no body tells its length: some would send one all the same.
fn tells_of_body_that_is_none(answer: &response::Parts) -> bool {
    let has_length = || answer.headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0");
    answer.status == StatusCode::NO_CONTENT
        && (has_length() || answer.headers.contains_key(TRANSFER_ENCODING))
}

fn kind(error: httparse::Error) -> HeadError {
    if error == httparse::Error::TooManyHeaders { HeadError::TooLarge } else { HeadError::Malformed }
}

/// The second digit of HTTP/1 is all that the parser takes.
const fn version_of(minor: u8) -> Version {
    if minor == 0 { Version::HTTP_10 } else { Version::HTTP_11 }
}

/// The fields of a head; they share its memory.
fn collect(head: &Bytes, fields: &[Header<'_>]) -> Result<HeaderMap, HeadError> {
    // Room for what a proxy adds.
    let mut headers = HeaderMap::with_capacity(fields.len().saturating_add(4));
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| HeadError::Malformed)?;
        let value =
            HeaderValue::from_maybe_shared(head.slice_ref(field.value)).map_err(|_| HeadError::Malformed)?;
        headers.try_append(name, value).map_err(|_| HeadError::TooLarge)?;
    }
    Ok(headers)
}

/// Whether the client waits to be told to send its body.
fn expects_continue(version: Version, headers: &HeaderMap) -> Result<bool, HeadError> {
    let mut fields = headers.get_all(EXPECT).iter();
    match (fields.next(), fields.next()) {
        (None, _) => Ok(false),
        (Some(field), None) if field.as_bytes().eq_ignore_ascii_case(b"100-continue") => {
            // A client of HTTP/1.0 knows no such answer.
            Ok(version == Version::HTTP_11)
        }
        _ => Err(HeadError::UnknownExpectation),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is made of a text that comes in pieces of this length, and what has come behind it.
    fn request(text: &str, step: usize) -> Result<Option<(RequestHead, Vec<u8>)>, HeadError> {
        let (mut search, mut input) = (Search::default(), BytesMut::new());
        for piece in text.as_bytes().chunks(step.max(1)) {
            input.extend_from_slice(piece);
            if let Some(head) = search.take(&mut input, 1024)? {
                return RequestHead::parse(&head).map(|head| Some((head, input.to_vec())));
            }
        }
        Ok(None)
    }

    #[test]
    fn requests() {
        let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(1024));
        let large = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(1024));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a:b\r\n".repeat(101));
        let malformed = Err(HeadError::Malformed);
        for (text, expected) in [
            ("GET /a?b HTTP/1.1\r\nHost: x\r\n\r\n", Ok(Some("GET /a?b"))),
            ("GET /a HTTP/1.0\r\n\r\n", Ok(Some("GET /a"))),
            ("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", Ok(Some("OPTIONS *"))),
            ("GET http://h:1/a HTTP/1.1\r\nHost: x\r\n\r\n", Ok(Some("GET http://h:1/a"))),
            ("\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", Ok(Some("GET /"))),
            ("GET / HTTP/1.1\r\nHost:\tx \r\nX: \u{e9}\r\n\r\n", Ok(Some("GET /"))),
            ("", Ok(None)),
            ("\r\n", Ok(None)),
            ("GET / HTTP/1.1\r\nHost: x\r\n", Ok(None)),
            ("\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", malformed),
            ("GET / HTTP/1.1\nHost: x\r\n\r\n", malformed),
            ("GET / HTTP/1.1\r\nHost: x\n\r\n", malformed),
            ("GET / HTTP/1.1\r\nHost: x\r\n\n", malformed),
            ("GET / HTTP/1.1\r\r\nHost: x\r\n\r\n", malformed),
            ("GET / HTTP/1.1\r\nHost : x\r\n\r\n", malformed),
            ("GET / HTTP/1.1\r\n Host: x\r\n\r\n", malformed),
            ("GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", malformed),
            ("GET / HTTP/1.1\r\nHost\r\n\r\n", malformed),
            ("GET / HTTP/1.1\r\nX: a\0b\r\n\r\n", malformed),
            ("GET / HTTP/1.1\r\nX: a\rb\r\n\r\n", malformed),
            ("GET / HTTP/1.1\r\nX: a\u{7f}\r\n\r\n", malformed),
            ("GET  / HTTP/1.1\r\nHost: x\r\n\r\n", malformed),
            ("GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n", malformed),
            (" GET / HTTP/1.1\r\nHost: x\r\n\r\n", malformed),
            ("GET /\r\nHost: x\r\n\r\n", malformed),
            ("GET / http/1.1\r\nHost: x\r\n\r\n", malformed),
            ("GET / HTTP/2.0\r\nHost: x\r\n\r\n", malformed),
            ("GET / HTTP/1.1 \r\nHost: x\r\n\r\n", malformed),
            (&*long, Err(HeadError::TargetTooLong)),
            (&*large, Err(HeadError::TooLarge)),
            (&*many, Err(HeadError::TooLarge)),
            ("GET / HTTP/1.1\r\nExpect: tea\r\n\r\n", Err(HeadError::UnknownExpectation)),
        ] {
            for step in [1, 2, 5, usize::MAX] {
                let head = request(text, step).map(|found| found.map(|(head, _)| head.parts));
                let head = head.map(|parts| parts.map(|parts| format!("{} {}", parts.method, parts.uri)));
                assert_eq!(
                    head,
                    expected.map(|head| head.map(str::to_owned)),
                    "{text:?} in pieces of {step}"
                );
            }
        }
    }

    #[test]
    fn a_head_of_the_largest_size_is_taken() {
        let text = |length: usize| {
            let begin = "GET / HTTP/1.1\r\nX: ";
            format!("{begin}{}\r\n\r\n", "a".repeat(length - begin.len() - 4))
        };
        assert!(request(&text(1024), usize::MAX).unwrap().is_some());
        assert_eq!(request(&text(1025), usize::MAX).err(), Some(HeadError::TooLarge));
    }

    #[test]
    fn what_follows_a_head_stays() {
        let (head, rest) =
            request("POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nabGET", usize::MAX).unwrap().unwrap();
        assert_eq!((head.length, &*rest), (Length::Exact(2), &b"abGET"[..]));
    }

    #[test]
    fn expectations() {
        for (version, expected) in [("1.1", true), ("1.0", false)] {
            let text = format!("POST / HTTP/{version}\r\nExpect: 100-Continue\r\n\r\n");
            assert_eq!(request(&text, usize::MAX).unwrap().unwrap().0.expects_continue, expected);
        }
    }

    #[test]
    fn answers() {
        for (text, expected) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", Some((200, Length::Exact(3), false))),
            ("HTTP/1.1 200\r\nContent-Length: 3\r\n\r\n", Some((200, Length::Exact(3), false))),
            ("HTTP/1.0 200 OK\r\n\r\n", Some((200, Length::UntilClose, true))),
            ("HTTP/1.1 204 No\r\nConnection: close\r\n\r\n", Some((204, Length::NONE, true))),
            ("HTTP/1.1 204 No\r\nContent-Length: 4\r\n\r\n", Some((204, Length::NONE, true))),
            ("HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n", Some((204, Length::NONE, false))),
            ("HTTP/1.1 304 No\r\nContent-Length: 4\r\n\r\n", Some((304, Length::NONE, false))),
            ("HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n", Some((999, Length::NONE, false))),
            ("HTTP/1.1 099 Odd\r\n\r\n", None),
            ("HTTP/1.1 20 OK\r\n\r\n", None),
            ("HTTP/2 200 OK\r\n\r\n", None),
            ("HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", None),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n", None),
            ("ICY 200 OK\r\n\r\n", None),
        ] {
            let head = AnswerHead::parse(&Bytes::copy_from_slice(text.as_bytes()), &Method::GET).ok();
            let head = head.map(|head| (head.parts.status.as_u16(), head.length, head.is_last));
            assert_eq!(head, expected, "{text:?}");
        }
    }
}
