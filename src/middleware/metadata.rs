//! Protected resource metadata (RFC 9728): how a client finds out who issues tokens for an API.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header::CONTENT_TYPE};
use serde_json::{Map, Value};

use crate::percent;

/// What an API tells about itself, and where.
#[derive(Clone, Debug)]
pub struct ResourceMetadata {
    /// The path below the listen path, without a slash in front.
    path: String,
    body: Bytes,
}

impl ResourceMetadata {
    /// Where the document is, below the listen path, if nothing else is said.
    pub const DEFAULT_PATH: &str = ".well-known/oauth-protected-resource";

    /// The document of this resource. Empty parts are left out.
    #[must_use]
    pub fn new(path: &str, resource: &str, authorization_servers: &[String], scopes: &[String]) -> Self {
        let path = path.trim_start_matches('/');
        let path = if path.is_empty() { Self::DEFAULT_PATH } else { path };
        let mut document = Map::new();
        if !resource.is_empty() {
            document.insert("resource".into(), resource.into());
        }
        for (name, list) in [("authorization_servers", authorization_servers), ("scopes_supported", scopes)] {
            if !list.is_empty() {
                document.insert(name.into(), list.into());
            }
        }
        let body = format!("{}\n", Value::Object(document));
        Self { path: path.into(), body: body.into() }
    }

    /// Whether a path below the listen path is that of the document.
    #[must_use]
    pub fn is_at(&self, below: &str) -> bool {
        below.strip_prefix('/') == Some(&*self.path)
    }

    /// Where the document of a resource with this path is as well: the well-known part comes first
    /// (RFC 9728 section 3.1).
    #[must_use]
    pub fn root_path(listen_path: &str) -> String {
        format!("/{}{}", Self::DEFAULT_PATH, listen_path.trim_end_matches('/'))
    }

    /// The document.
    #[must_use]
    pub fn response(&self) -> Response<Bytes> {
        let mut response = Response::new(self.body.clone());
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }

    /// Whether a request says that it came over TLS.
    #[must_use]
    pub fn is_https(headers: &HeaderMap) -> bool {
        let proto = headers.get("x-forwarded-proto");
        proto.is_some_and(|proto| proto.as_bytes().eq_ignore_ascii_case(b"https"))
    }

    /// Where the document is for whoever asked for this host, over TLS or not: they are told their own
    /// words, so that nothing depends on whether these are true.
    #[must_use]
    pub fn url(&self, is_https: bool, host: Option<&HeaderValue>, listen_path: &str) -> String {
        let scheme = if is_https { "https" } else { "http" };
        let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
        // It may be a pattern, or what a request has found one with.
        let listen_path = percent::encode_rest(listen_path.trim_end_matches('/'));
        format!("{scheme}://{host}{listen_path}/{}", self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_and_where_they_are() {
        let metadata =
            ResourceMetadata::new("", "https://api.example/orders", &["https://idp.example".into()], &[]);
        assert_eq!(
            metadata.response().body(),
            "{\"resource\":\"https://api.example/orders\",\"authorization_servers\":[\"https://idp.example\"]}\n"
        );
        assert!(metadata.is_at("/.well-known/oauth-protected-resource"));
        assert!(!metadata.is_at("/.well-known/oauth-protected-resource/") && !metadata.is_at("/"));
        let host = HeaderValue::from_static("api.example:8080");
        let mut headers = HeaderMap::new();
        assert!(!ResourceMetadata::is_https(&headers));
        let path = ".well-known/oauth-protected-resource";
        assert_eq!(metadata.url(false, Some(&host), "/o/"), format!("http://api.example:8080/o/{path}"));
        headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
        assert_eq!(
            metadata.url(ResourceMetadata::is_https(&headers), Some(&host), "/"),
            format!("https://api.example:8080/{path}")
        );
        for (listen_path, written) in [("/{v:[0-9]+}/", "/%7Bv:%5B0-9%5D+%7D"), ("/\u{e9}%20", "/%C3%A9%20")]
        {
            let url = metadata.url(false, Some(&host), listen_path);
            assert_eq!(url, format!("http://api.example:8080{written}/{path}"));
        }
        assert!(ResourceMetadata::new("/meta", "", &[], &[]).is_at("/meta"));
        assert_eq!(ResourceMetadata::root_path("/o/"), "/.well-known/oauth-protected-resource/o");
    }
}
