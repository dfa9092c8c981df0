//! Where the body of a message ends (RFC 9112 section 6).

use http::{
    HeaderMap, HeaderValue, Method, StatusCode, Version,
    header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING},
};

use super::HeadError;

/// How long a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// So many octets.
    Exact(u64),
    /// It says itself where it ends.
    Chunked,
    /// It ends with the connection.
    UntilClose,
}

impl Length {
    /// No body.
    pub const NONE: Self = Self::Exact(0);

    /// That of a request with these headers.
    pub(super) fn of_request(version: Version, headers: &HeaderMap) -> Result<Self, HeadError> {
        if !headers.contains_key(TRANSFER_ENCODING) {
            return Ok(content_length(headers)?.map_or(Self::NONE, Self::Exact));
        }
        // Two ways to tell it are how one request hides in another (section 6.1).
        if version != Version::HTTP_11 || headers.contains_key(CONTENT_LENGTH) {
            return Err(HeadError::Malformed);
        }
        chunked(headers)?;
        Ok(Self::Chunked)
    }

    /// That of an answer with these headers, to a request with this method.
    pub(super) fn of_answer(
        method: &Method,
        status: StatusCode,
        version: Version,
        headers: &HeaderMap,
    ) -> Result<Self, HeadError> {
        let length = content_length(headers)?;
        let has_coding = headers.contains_key(TRANSFER_ENCODING);
        if has_coding && (length.is_some() || version != Version::HTTP_11) {
            return Err(HeadError::Malformed);
        }
        let is_chunked = if has_coding { chunked(headers).map(|()| true)? } else { false };
        if Self::has_no_body(method, status) {
            return Ok(Self::NONE);
        }
        Ok(match length {
            _ if is_chunked => Self::Chunked,
            Some(length) => Self::Exact(length),
            None => Self::UntilClose,
        })
    }

    /// Whether an answer has no body, whatever its headers say (section 6.3).
    #[must_use]
    pub fn has_no_body(method: &Method, status: StatusCode) -> bool {
        method == Method::HEAD
            || status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
    }
}

/// The one length that is told; nothing if none is. A list of the same number twice is not one.
fn content_length(headers: &HeaderMap) -> Result<Option<u64>, HeadError> {
    let mut fields = headers.get_all(CONTENT_LENGTH).iter();
    let Some(field) = fields.next() else { return Ok(None) };
    let digits = field.as_bytes();
    if fields.next().is_some() || digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(HeadError::Malformed);
    }
    let length = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
    length.map(Some).ok_or(HeadError::Malformed)
}

/// Whether the one transfer coding is `chunked`: the only one that we decode.
fn chunked(headers: &HeaderMap) -> Result<(), HeadError> {
    let mut fields = headers.get_all(TRANSFER_ENCODING).iter();
    let coding = fields.next().map(HeaderValue::as_bytes).unwrap_or_default();
    if fields.next().is_none() && coding.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    let is_name =
        |name: &&[u8]| !name.is_empty() && name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-');
    let is_chunked = |name: &&[u8]| name.eq_ignore_ascii_case(b"chunked");
    let names: Vec<&[u8]> = coding.split(|b| *b == b',').map(<[u8]>::trim_ascii).collect();
    // Others before it are in order, only that nobody here can decode them.
    let is_unknown = names.iter().all(is_name)
        && names.split_last().is_some_and(|(last, others)| {
            is_chunked(last) && !others.is_empty() && !others.iter().any(is_chunked)
        });
    Err(if is_unknown { HeadError::UnknownCoding } else { HeadError::Malformed })
}

/// Whether the connection ends with this message (section 9.3).
#[must_use]
pub fn is_last(version: Version, headers: &HeaderMap) -> bool {
    let mut is_last = version != Version::HTTP_11;
    for field in headers.get_all(CONNECTION) {
        for option in field.as_bytes().split(|b| *b == b',').map(<[u8]>::trim_ascii) {
            if option.eq_ignore_ascii_case(b"close") {
                return true;
            }
            if option.eq_ignore_ascii_case(b"keep-alive") {
                is_last = false;
            }
        }
    }
    is_last
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn requests() {
        let (length, coding) = ("content-length", "transfer-encoding");
        for (fields, expected) in [
            (&[][..], Ok(Length::NONE)),
            (&[(length, "5")], Ok(Length::Exact(5))),
            (&[(length, "005")], Ok(Length::Exact(5))),
            (&[(length, "18446744073709551616")], Err(HeadError::Malformed)),
            (&[(length, "+5")], Err(HeadError::Malformed)),
            (&[(length, "5, 5")], Err(HeadError::Malformed)),
            (&[(length, "")], Err(HeadError::Malformed)),
            (&[(length, "5"), (length, "5")], Err(HeadError::Malformed)),
            (&[(coding, "chunked")], Ok(Length::Chunked)),
            (&[(coding, "Chunked")], Ok(Length::Chunked)),
            (&[(coding, "chunked"), (length, "5")], Err(HeadError::Malformed)),
            (&[(coding, "chunked"), (coding, "chunked")], Err(HeadError::Malformed)),
            (&[(coding, "chunked, chunked")], Err(HeadError::Malformed)),
            (&[(coding, "chunked, gzip")], Err(HeadError::Malformed)),
            (&[(coding, "gzip, chunked")], Err(HeadError::UnknownCoding)),
            (&[(coding, "\"chunked\"")], Err(HeadError::Malformed)),
            (&[(coding, "")], Err(HeadError::Malformed)),
        ] {
            assert_eq!(Length::of_request(Version::HTTP_11, &headers(fields)), expected, "{fields:?}");
        }
        let chunked = headers(&[(coding, "chunked")]);
        assert_eq!(Length::of_request(Version::HTTP_10, &chunked), Err(HeadError::Malformed));
    }

    #[test]
    fn answers() {
        let of = |method: &Method, status: u16, fields: &[(&'static str, &'static str)]| {
            let status = StatusCode::from_u16(status).unwrap();
            Length::of_answer(method, status, Version::HTTP_11, &headers(fields))
        };
        let five = &[("content-length", "5")][..];
        assert_eq!(of(&Method::GET, 200, five), Ok(Length::Exact(5)));
        assert_eq!(of(&Method::HEAD, 200, five), Ok(Length::NONE));
        assert_eq!(of(&Method::GET, 304, five), Ok(Length::NONE));
        assert_eq!(of(&Method::GET, 204, &[]), Ok(Length::NONE));
        assert_eq!(of(&Method::GET, 200, &[]), Ok(Length::UntilClose));
        assert_eq!(of(&Method::GET, 200, &[("transfer-encoding", "chunked")]), Ok(Length::Chunked));
        let both = &[("transfer-encoding", "chunked"), ("content-length", "5")][..];
        assert_eq!(of(&Method::GET, 200, both), Err(HeadError::Malformed));
        assert_eq!(of(&Method::HEAD, 200, both), Err(HeadError::Malformed));
    }

    #[test]
    fn ends_of_connections() {
        for (version, connection, expected) in [
            (Version::HTTP_11, None, false),
            (Version::HTTP_11, Some("close"), true),
            (Version::HTTP_11, Some("x, Close"), true),
            (Version::HTTP_11, Some("keep-alive"), false),
            (Version::HTTP_10, None, true),
            (Version::HTTP_10, Some("Keep-Alive"), false),
            (Version::HTTP_10, Some("keep-alive, close"), true),
        ] {
            let fields: Vec<_> =
                connection.map(|connection| ("connection", connection)).into_iter().collect();
            assert_eq!(is_last(version, &headers(&fields)), expected, "{version:?} {connection:?}");
        }
    }
}
