//! Where an API's requests go.

use std::{borrow::Cow, fmt};

use super::UpstreamTls;
use http::{HeaderValue, Uri, header::HOST, request::Parts, uri::PathAndQuery};

/// How an endpoint is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS; the certificate must be one the system trusts, unless its settings say otherwise.
    Https,
}

/// What connections are made to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// In the clear or not.
    pub scheme: Scheme,
    /// A name or an address, without brackets.
    pub host: Box<str>,
    /// The port.
    pub port: u16,
    /// How TLS is spoken, if not as everywhere.
    pub tls: Option<UpstreamTls>,
}

/// The upstream of an API.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// What connections are made to.
    pub endpoint: Endpoint,
    /// The `Host` that requests carry, unless the client's is preserved.
    pub host: HeaderValue,
    /// Requests carry the client's `Host`.
    pub preserve_host: bool,
    /// The bare root below a base path keeps its final slash.
    pub preserve_trailing_slash: bool,
    /// What paths are put behind; no final slash.
    base_path: Box<str>,
    base_query: Option<Box<str>>,
}

/// What is asked of an upstream, whichever it will be.
#[derive(Clone, Debug)]
pub struct AskedFor<'r> {
    /// The raw path, as it was asked for below the listen path, or as it was rewritten.
    pub path: Cow<'r, str>,
    /// The raw query.
    pub query: Option<Cow<'r, str>>,
    /// The `Host` that the client asked for.
    pub host: Option<&'r HeaderValue>,
}

/// Why a text is not the URL of an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamError {
    /// It is no absolute URL.
    NotAUrl,
    /// Its scheme is known and not supported yet.
    SchemeNotSupported,
    /// It has a user name or password.
    Credentials,
}

impl fmt::Display for UpstreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAUrl => {
                "an upstream is an absolute URL such as http://orders.internal:8080/base; correct it"
            }
            Self::SchemeNotSupported => "this scheme is not supported yet; use http, https, ws or wss",
            Self::Credentials => "an upstream URL must not hold a user name or password; remove it",
        })
    }
}

impl Upstream {
    /// Reads the URL of an upstream.
    ///
    /// # Errors
    /// [`UpstreamError`] says why it is none.
    pub fn new(url: &str) -> Result<Self, UpstreamError> {
        let uri: Uri = url.parse().map_err(|_| UpstreamError::NotAUrl)?;
        let authority = uri.authority().ok_or(UpstreamError::NotAUrl)?;
        let (scheme, port) = match uri.scheme_str().map(str::to_ascii_lowercase).as_deref() {
            Some("http" | "ws") => (Scheme::Http, 80),
            Some("https" | "wss") => (Scheme::Https, 443),
            Some("h2c") => return Err(UpstreamError::SchemeNotSupported),
            _ => return Err(UpstreamError::NotAUrl),
        };
        if authority.as_str().contains('@') {
            return Err(UpstreamError::Credentials);
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        // A port that is none, such as 99999, must not become the usual one.
        let behind_host = authority.as_str().rsplit_once(authority.host()).map_or("", |(_, port)| port);
        let has_port = authority.port_u16().is_some_and(|port| port != 0);
        if host.is_empty() || (!behind_host.is_empty() && !has_port) || url.contains('#') {
            return Err(UpstreamError::NotAUrl);
        }
        Ok(Self {
            endpoint: Endpoint {
                scheme,
                host: host.into(),
                port: authority.port_u16().unwrap_or(port),
                tls: None,
            },
            host: HeaderValue::from_str(authority.as_str()).map_err(|_| UpstreamError::NotAUrl)?,
            preserve_host: false,
            preserve_trailing_slash: false,
            base_path: uri.path().trim_end_matches('/').into(),
            base_query: uri.query().filter(|query| !query.is_empty()).map(Into::into),
        })
    }

    /// Makes the head of a request one for this upstream; nothing if that is not possible.
    #[must_use]
    pub fn aim(&self, asked: &AskedFor<'_>, head: &mut Parts) -> Option<()> {
        head.uri = self.target(&asked.path, asked.query.as_deref())?.into();
        let host = asked.host.filter(|_| self.preserve_host).unwrap_or(&self.host);
        head.headers.insert(HOST, host.clone());
        Some(())
    }

    /// The target of a request for `path` (raw, with its leading slash, as it was asked for below
    /// the listen path) and `query`. Neither is decoded or encoded.
    #[must_use]
    pub fn target(&self, path: &str, query: Option<&str>) -> Option<PathAndQuery> {
        let path: Cow<'_, str> = match (&*self.base_path, path) {
            ("", path) => path.into(),
            (base, "/" | "") if !self.preserve_trailing_slash => base.into(),
            (base, path) => format!("{base}{path}").into(),
        };
        let target = match (self.base_query.as_deref(), query) {
            (None, None) => return PathAndQuery::try_from(path.as_ref()).ok(),
            (Some(base), Some(query)) if !query.is_empty() => format!("{path}?{base}&{query}"),
            (Some(query), _) | (None, Some(query)) => format!("{path}?{query}"),
        };
        PathAndQuery::try_from(target).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let upstream = Upstream::new("http://Orders.internal:8080/base/?k=v").unwrap();
        assert_eq!(
            upstream.endpoint,
            Endpoint { scheme: Scheme::Http, host: "Orders.internal".into(), port: 8080, tls: None }
        );
        assert_eq!(upstream.host, "Orders.internal:8080");
        // A WebSocket begins as a request.
        assert_eq!(Upstream::new("ws://x").unwrap().endpoint, Upstream::new("http://x").unwrap().endpoint);
        assert_eq!(Upstream::new("wss://x").unwrap().endpoint.port, 443);
        let v6 = Upstream::new("https://[::1]").unwrap();
        assert_eq!(v6.endpoint, Endpoint { scheme: Scheme::Https, host: "::1".into(), port: 443, tls: None });
        for (url, error) in [
            ("", UpstreamError::NotAUrl),
            ("orders", UpstreamError::NotAUrl),
            ("/x", UpstreamError::NotAUrl),
            ("orders:80", UpstreamError::NotAUrl),
            ("ftp://x/", UpstreamError::NotAUrl),
            ("http://", UpstreamError::NotAUrl),
            ("http://x:/", UpstreamError::NotAUrl),
            ("http://x y/", UpstreamError::NotAUrl),
            ("env://UPSTREAM", UpstreamError::NotAUrl),
            ("h2c://x", UpstreamError::SchemeNotSupported),
            ("http://a:b@x/", UpstreamError::Credentials),
        ] {
            assert_eq!(Upstream::new(url).err(), Some(error), "{url}");
        }
    }

    #[test]
    fn targets() {
        let target = |url: &str, path: &str, query: Option<&str>| {
            Upstream::new(url).unwrap().target(path, query).unwrap().to_string()
        };
        assert_eq!(target("http://x", "/a%2Fb/", None), "/a%2Fb/");
        assert_eq!(target("http://x/", "/", Some("b=2&a=1;c")), "/?b=2&a=1;c");
        assert_eq!(target("http://x/base/", "/a", None), "/base/a");
        assert_eq!(target("http://x/base", "/", None), "/base");
        assert_eq!(target("http://x/base", "/a/", Some("")), "/base/a/?");
        assert_eq!(target("http://x/base?k=v", "/a", Some("a=b")), "/base/a?k=v&a=b");
        assert_eq!(target("http://x?k=v", "/a", None), "/a?k=v");
        let mut upstream = Upstream::new("http://x/base").unwrap();
        upstream.preserve_trailing_slash = true;
        assert_eq!(upstream.target("/", None).unwrap(), "/base/");
    }
}
