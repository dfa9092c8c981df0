//! What somebody wants explained.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::{
    HeaderName, HeaderValue, Method, Request, Uri,
    header::HOST,
    request::{Builder, Parts},
};
use zeroize::Zeroizing;

/// The host of a request that names none.
const SOME_HOST: HeaderValue = HeaderValue::from_static("localhost");

/// What somebody wants explained: a request, or a token alone.
pub struct Question {
    pub(super) about: About,
    /// A token that stands where the API looks for one, instead of what the request has there.
    pub(super) token: Option<Zeroizing<String>>,
    /// When it is decided.
    pub(super) time: SystemTime,
    /// From which address it is asked.
    pub(super) client: IpAddr,
}

/// Where an imagined request comes from.
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// What a question is about.
pub(super) enum About {
    /// Whether the API with this id takes the token. Paths, operations and limits play no part.
    Api(String),
    /// What becomes of this request.
    Request(Box<Parts>),
}

/// A question as it is asked: in words.
#[derive(Default)]
pub struct Asked {
    /// The id of an API; nothing, if a request is described.
    pub api: Option<String>,
    /// The method of the request; nothing for `GET`.
    pub method: Option<String>,
    /// The URL of the request, or its path and query.
    pub url: Option<String>,
    /// Its header fields.
    pub headers: Vec<(String, String)>,
    /// A token.
    pub token: Option<Zeroizing<String>>,
    /// When it is decided; nothing for now.
    pub time: Option<SystemTime>,
    /// From which address it is asked; nothing for this machine.
    pub client: Option<String>,
}

/// Without the token and the headers, which may hold one.
impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Question").field("time", &self.time).finish_non_exhaustive()
    }
}

/// The same.
impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").field("api", &self.api).finish_non_exhaustive()
    }
}

/// Why a question makes no sense. No message repeats a header or a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuestionError {
    /// Neither an API nor a request is named, or both.
    NotOne,
    /// There is an API and no token.
    NoToken,
    /// A text is no HTTP method.
    Method,
    /// A text is no URL, and no path.
    Url,
    /// This header field is none.
    Header(String),
    /// No header field could hold such a token.
    Token,
    /// A text is no address.
    Client,
    /// No such API is served; these are.
    UnknownApi(Vec<String>),
}

impl fmt::Display for QuestionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOne => f.write_str("say what is asked: an API and a token, or a method and a URL"),
            Self::NoToken => f.write_str(
                "a token is needed where an API is named; describe a request to see it without one",
            ),
            Self::Method => f.write_str("the method is none (RFC 9110 section 9); write it as in GET"),
            Self::Url => {
                f.write_str("the URL is none; write http://host/path or a path that begins with a slash")
            }
            Self::Header(name) => write!(f, "the header field {name:?} cannot be sent; write 'Name: value'"),
            Self::Token => f.write_str(
                "the token has control characters, such as line ends inside; no request could carry it",
            ),
            Self::Client => f.write_str("the client is no address; write it as in 192.0.2.7 or 2001:db8::7"),
            Self::UnknownApi(known) => {
                write!(f, "no API has this id; those that are served are {}", known.join(", "))
            }
        }
    }
}

impl std::error::Error for QuestionError {}

impl Question {
    /// The question in these words.
    ///
    /// # Errors
    /// [`QuestionError`] says what is wrong with them.
    pub fn new(asked: Asked) -> Result<Self, QuestionError> {
        let token = asked.token.as_deref().map(|token| trimmed(token));
        if token.as_ref().is_some_and(|token| token.chars().any(char::is_control)) {
            return Err(QuestionError::Token);
        }
        let about = match (asked.api, asked.url) {
            (Some(id), None) if asked.headers.is_empty() && asked.method.is_none() => {
                if token.is_none() {
                    return Err(QuestionError::NoToken);
                }
                About::Api(id)
            }
            (None, Some(url)) => About::Request(Box::new(request(asked.method, &url, asked.headers)?)),
            _ => return Err(QuestionError::NotOne),
        };
        let client = asked.client.map_or(Ok(HERE), |text| text.parse().map_err(|_| QuestionError::Client))?;
        Ok(Self { about, token, time: asked.time.unwrap_or_else(SystemTime::now), client })
    }
}

/// A token as it was copied, without what is not part of it.
fn trimmed(token: &str) -> Zeroizing<String> {
    let text = token.trim();
    let scheme = text.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("bearer "));
    let text = scheme.and_then(|scheme| text.get(scheme.len()..)).unwrap_or(text);
    Zeroizing::new(text.trim().to_owned())
}

fn request(
    method: Option<String>,
    url: &str,
    headers: Vec<(String, String)>,
) -> Result<Parts, QuestionError> {
    let method = method.unwrap_or_else(|| Method::GET.to_string());
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| QuestionError::Method)?;
    let uri: Uri = url.parse().map_err(|_| QuestionError::Url)?;
    if !uri.path().starts_with('/') || (uri.authority().is_some() && uri.scheme().is_none()) {
        return Err(QuestionError::Url);
    }
    let host = uri.authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    let request: Builder = Request::builder().method(method).uri(uri);
    let (mut parts, ()) = request.body(()).map_err(|_| QuestionError::Url)?.into_parts();
    for (name, value) in headers {
        let field = HeaderName::try_from(name.as_str()).ok().zip(HeaderValue::from_str(value.trim()).ok());
        let (field, value) = field.ok_or(QuestionError::Header(name))?;
        parts.headers.append(field, value);
    }
    if !parts.headers.contains_key(HOST) {
        parts.headers.insert(HOST, host.unwrap_or(SOME_HOST));
    }
    Ok(parts)
}

/// A time as the access log writes it, `2026-11-21T10:00:00Z` (RFC 3339, in UTC), or as tokens do: in
/// seconds since 1970. Nothing for any other text.
#[must_use]
pub fn parse_time(text: &str) -> Option<SystemTime> {
    if let Ok(seconds) = text.parse::<u64>() {
        return UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    }
    let (date, time) = text.strip_suffix(['Z', 'z'])?.split_once(['T', 't', ' '])?;
    let time = time.split_once('.').map_or(time, |(whole, _)| whole);
    let [year, month, day] = numbers(date, '-')?;
    let [hour, minute, second] = numbers(time, ':')?;
    let in_range = year >= 1970 && (1..=12).contains(&month) && hour < 24 && minute < 60 && second < 60;
    if !in_range || day < 1 || day > days_of(year, month) {
        return None;
    }
    let years: u64 = (1970..year).map(|year| if is_leap(year) { 366 } else { 365 }).sum();
    let months: u64 = (1..month).map(|month| days_of(year, month)).sum();
    let hours =
        years.checked_add(months)?.checked_add(day)?.checked_sub(1)?.checked_mul(24)?.checked_add(hour)?;
    let seconds = hours.checked_mul(60)?.checked_add(minute)?.checked_mul(60)?.checked_add(second)?;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

fn numbers(text: &str, between: char) -> Option<[u64; 3]> {
    let number = |text: &str| {
        let plain = text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit());
        text.parse().ok().filter(|_| plain)
    };
    let numbers: Vec<u64> = text.split(between).map(number).collect::<Option<_>>()?;
    numbers.try_into().ok()
}

const fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400)
}

const fn days_of(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let seconds = |text| Some(parse_time(text)?.duration_since(UNIX_EPOCH).unwrap().as_secs());
        for (text, expected) in [
            ("0", Some(0)),
            ("1795219200", Some(1_795_219_200)),
            ("2026-11-21T00:00:00.007Z", Some(1_795_219_200)),
            ("2024-02-29T23:59:59Z", Some(1_709_251_199)),
            ("2000-03-01 00:00:00Z", Some(951_868_800)),
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2023-02-29T00:00:00Z", None),
            ("2026-13-01T00:00:00Z", None),
            ("2026-00-01T00:00:00Z", None),
            ("2026-01-00T00:00:00Z", None),
            ("2026-01-01T24:00:00Z", None),
            ("2026-01-01T00:00:00", None),
            ("2026-01-01T00:00:00+01:00", None),
            ("99999-01-01T00:00:00Z", None),
            ("+5-01-01T00:00:00Z", None),
            ("-1", None),
            ("now", None),
            ("", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }

    #[test]
    fn what_makes_no_sense() {
        let text = |text: &str| Some(text.to_owned());
        let token = |text: &str| Some(Zeroizing::new(text.to_owned()));
        let error = |asked| Question::new(asked).err();
        let of = |url: &str| Asked { url: text(url), ..Asked::default() };
        assert_eq!(error(Asked::default()), Some(QuestionError::NotOne));
        assert_eq!(error(Asked { api: text("a"), ..of("/x") }), Some(QuestionError::NotOne));
        assert_eq!(error(Asked { api: text("a"), ..Asked::default() }), Some(QuestionError::NoToken));
        assert_eq!(error(Asked { method: text("G T"), ..of("/x") }), Some(QuestionError::Method));
        for url in ["", "x y", "host:80", "*", "http://", "/a b"] {
            assert_eq!(error(of(url)), Some(QuestionError::Url), "{url}");
        }
        let header =
            |name: &str, value: &str| Asked { headers: vec![(name.into(), value.into())], ..of("/x") };
        for (name, value) in [("", "x"), ("a b", "x"), ("a", "x\ny")] {
            assert_eq!(error(header(name, value)), Some(QuestionError::Header(name.into())));
        }
        for client in ["", "localhost", "10.0.0.0/8", "10.0.0.1:80"] {
            assert_eq!(
                error(Asked { client: text(client), ..of("/x") }),
                Some(QuestionError::Client),
                "{client}"
            );
        }
        for bad in ["a\nb", "a\u{7f}b", "a\0"] {
            let asked = Asked { api: text("a"), token: token(bad), ..Asked::default() };
            assert_eq!(error(asked), Some(QuestionError::Token), "{bad:?}");
        }
        for good in ["", "x", " Bearer x\n", "é", "\u{202e}"] {
            let asked = Asked { api: text("a"), token: token(good), ..Asked::default() };
            assert_eq!(error(asked), None, "{good:?}");
        }
    }
}
