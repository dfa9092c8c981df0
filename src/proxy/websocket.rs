//! The opening handshake of WebSockets (RFC 6455 section 4).
//!
//! A request that is not exactly one is an ordinary request, and goes on without `Upgrade`; an answer that does
//! not accept exactly what was asked for opens nothing. Whoever could pretend to either would have a connection
//! to the upstream on which nobody looks at requests any more.

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method,
    header::{
        CONNECTION, CONTENT_LENGTH, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
        TRANSFER_ENCODING, UPGRADE,
    },
    request::Parts,
};

use crate::http1::{Incoming, OnUpgrade};

/// What the key is hashed with (section 1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A client that wants to speak WebSocket.
#[derive(Debug)]
pub struct Handshake {
    pub(super) client: OnUpgrade,
    /// What an upstream says that accepts it.
    accept: String,
}

impl Handshake {
    /// Takes the handshake out of a request, as the client sent it, if it is one.
    #[must_use]
    pub fn take(head: &Parts, body: &mut Incoming) -> Option<Self> {
        let headers = &head.headers;
        let key = only(headers, &SEC_WEBSOCKET_KEY)?;
        let is_key = STANDARD.decode(key).is_ok_and(|key| key.len() == 16);
        let is_one = head.method == Method::GET
            && asks(headers)
            && only(headers, &SEC_WEBSOCKET_VERSION)? == b"13"
            && !headers.contains_key(TRANSFER_ENCODING)
            && headers.get(CONTENT_LENGTH).is_none_or(|length| length == "0");
        let accept = accept(key);
        // It is there in HTTP/1.1 alone.
        let client = body.take_upgrade()?;
        (is_key && is_one).then_some(Self { client, accept })
    }

    /// Asks an upstream for it, in a head that is ready but for that.
    pub fn ask(headers: &mut HeaderMap) {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    }

    /// Whether an answer with these headers accepts it.
    pub(super) fn is_accepted(&self, headers: &HeaderMap) -> bool {
        asks(headers) && only(headers, &SEC_WEBSOCKET_ACCEPT) == Some(self.accept.as_bytes())
    }
}

/// Whether `Connection` and `Upgrade` want WebSocket and nothing else.
fn asks(headers: &HeaderMap) -> bool {
    let mut connection = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let is_named =
        connection.any(|value| value.split(',').any(|name| name.trim().eq_ignore_ascii_case("upgrade")));
    is_named && only(headers, &UPGRADE).is_some_and(|protocol| protocol.eq_ignore_ascii_case(b"websocket"))
}

/// The value of a field that comes once.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h [u8]> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then(|| value.as_bytes().trim_ascii())
}

fn accept(key: &[u8]) -> String {
    let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &[key, GUID.as_bytes()].concat());
    STANDARD.encode(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_rfc() {
        assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn only_a_whole_handshake_asks() {
        for (connection, upgrade, expected) in [
            ("Upgrade", "websocket", true),
            ("keep-alive, upgrade", "WebSocket", true),
            ("close", "websocket", false),
            ("Upgrade", "h2c", false),
            ("Upgrade", "websocket, h2c", false),
            ("Upgrade", "h2c, websocket", false),
            ("Upgrade", "websocket/13", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONNECTION, HeaderValue::from_static(connection));
            headers.insert(UPGRADE, HeaderValue::from_static(upgrade));
            assert_eq!(asks(&headers), expected, "{connection} {upgrade}");
            headers.append(UPGRADE, HeaderValue::from_static("h2c"));
            assert!(!asks(&headers));
        }
    }
}
