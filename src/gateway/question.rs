//! What somebody wants explained.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
    time::SystemTime,
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

#[cfg(test)]
mod tests {
    use super::*;

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
