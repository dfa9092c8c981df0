//! What a request looks like to the upstream, and an answer to the client (RFC 9110 section 7.6).

use std::net::{IpAddr, SocketAddr};

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{
        CONNECTION, CONTENT_LENGTH, FORWARDED, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
        TRANSFER_ENCODING, UPGRADE,
    },
};
use ipnet::IpNet;

use crate::lookalikes;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Fields by which proxies tell who asked for what. Whoever is not a trusted proxy could write
/// anything into them.
const CLAIMS_OF_PROXIES: [HeaderName; 16] = [
    FORWARDED,
    X_FORWARDED_FOR,
    X_FORWARDED_HOST,
    X_FORWARDED_PROTO,
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-forwarded-server"),
    HeaderName::from_static("x-forwarded-prefix"),
    HeaderName::from_static("x-forwarded-scheme"),
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("true-client-ip"),
    HeaderName::from_static("x-client-ip"),
    HeaderName::from_static("x-cluster-client-ip"),
    HeaderName::from_static("cf-connecting-ip"),
    HeaderName::from_static("x-original-url"),
    HeaderName::from_static("x-rewrite-url"),
    HeaderName::from_static("x-envoy-original-path"),
];

/// Fields that must come under no other name either: an upstream that reads `Transfer_Encoding` as
/// `Transfer-Encoding` would find another end of the message. Those that make variables of fields also read
/// `Proxy` as the variable `HTTP_PROXY`, and send what they fetch themselves there.
const MISLEADING: [HeaderName; 3] = [TRANSFER_ENCODING, CONTENT_LENGTH, HeaderName::from_static("proxy")];

/// Whether an upstream may take a field for one by which proxies tell who asked for what.
#[must_use]
pub fn is_claim_of_proxies(name: &HeaderName) -> bool {
    lookalikes::are_taken_for(&CLAIMS_OF_PROXIES, name)
}

/// Who asked, as far as that can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// Somebody with this address.
    Known(IpAddr),
    /// Somebody behind this trusted proxy, which tells it in a way that cannot be read.
    Behind(IpAddr),
}

impl Client {
    /// The address, if it is known whose it is.
    #[must_use]
    pub const fn known(self) -> Option<IpAddr> {
        match self {
            Self::Known(address) => Some(address),
            Self::Behind(_) => None,
        }
    }

    /// The nearest address to the client that is known.
    #[must_use]
    pub const fn nearest(self) -> IpAddr {
        let (Self::Known(address) | Self::Behind(address)) = self;
        address
    }
}

/// Whose forwarding fields are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Peers in these networks.
    #[must_use]
    pub const fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    fn trusts(&self, peer: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&peer))
    }

    /// The client: the peer, or behind trusted proxies the last one in `X-Forwarded-For` that is not a trusted
    /// proxy itself. Whoever stands behind an element that is no address is not taken for the proxy that wrote it.
    #[must_use]
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Client {
        if !self.trusts(peer) {
            return Client::Known(peer);
        }
        let fields: Vec<&HeaderValue> = headers.get_all(X_FORWARDED_FOR).iter().collect();
        // Whatever else is in a field, what the trusted proxies have written stands at its end.
        let addresses = fields.iter().rev().flat_map(|field| field.as_bytes().rsplit(|octet| *octet == b','));
        let mut nearest = peer;
        for address in addresses {
            let Some(address) = address_of(address.trim_ascii()) else { return Client::Behind(nearest) };
            nearest = address;
            if !self.trusts(nearest) {
                break;
            }
        }
        Client::Known(nearest)
    }
}

/// The address in an element of `X-Forwarded-For`: some proxies write the port behind it.
fn address_of(element: &[u8]) -> Option<IpAddr> {
    let element = std::str::from_utf8(element).ok()?;
    let with_port = || element.parse::<SocketAddr>().ok().map(|address| address.ip());
    let address = element.parse().ok().or_else(with_port)?;
    Some(address.to_canonical())
}

/// What a request tells about its way.
#[derive(Clone, Copy, Debug)]
pub struct Forwarding<'f> {
    /// Whose fields are believed.
    pub trusted: &'f TrustedProxies,
    /// Who is at the other end of the connection.
    pub peer: IpAddr,
    /// The host that was asked for.
    pub host: Option<&'f HeaderValue>,
}

impl Forwarding<'_> {
    /// Makes the headers of a request ready for the upstream: takes out what belongs to the client's
    /// connection and what an untrusted peer says about others, and tells the upstream who asked.
    /// Whatever the gateway adds for the upstream must be added after this.
    pub fn prepare(&self, headers: &mut HeaderMap) {
        let trailers = headers.get_all(TE).iter().any(|te| {
            te.to_str().is_ok_and(|te| te.split(',').any(|te| te.trim().eq_ignore_ascii_case("trailers")))
        });
        remove_hop_by_hop(headers);
        headers.remove(PROXY_AUTHORIZATION);
        headers.remove(PROXY_CONNECTION);
        headers.remove(UPGRADE);
        // Fields behind the body would come after every decision about fields.
        headers.remove(TRAILER);
        let length = headers.remove(CONTENT_LENGTH);
        lookalikes::remove_all(headers, &MISLEADING);
        if let Some(length) = length {
            headers.insert(CONTENT_LENGTH, length);
        }
        if trailers {
            // Upstreams such as gRPC's refuse requests without it; we may drop the trailers themselves.
            headers.insert(TE, HeaderValue::from_static("trailers"));
        }
        let trusted = self.trusted.trusts(self.peer);
        let mut chain = Vec::new();
        if trusted {
            for field in headers.get_all(X_FORWARDED_FOR) {
                chain.extend_from_slice(field.as_bytes());
                chain.extend_from_slice(b", ");
            }
        } else {
            lookalikes::remove_all(headers, &CLAIMS_OF_PROXIES);
        }
        chain.extend_from_slice(self.peer.to_string().as_bytes());
        if let Ok(chain) = HeaderValue::from_bytes(&chain) {
            headers.insert(X_FORWARDED_FOR, chain);
        }
        if !headers.contains_key(X_FORWARDED_PROTO) {
            headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("http"));
        }
        if let (false, Some(host)) = (headers.contains_key(X_FORWARDED_HOST), self.host) {
            headers.insert(X_FORWARDED_HOST, host.clone());
        }
    }

    /// Makes the headers of an answer ready for the client.
    pub fn prepare_response(headers: &mut HeaderMap) {
        remove_hop_by_hop(headers);
        headers.remove(PROXY_AUTHENTICATE);
        headers.remove(TRAILER);
        headers.remove(UPGRADE);
    }
}

/// Removes what belongs to one connection: `Connection`, what it names, and what it should name.
fn remove_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let named: Vec<HeaderName> = headers
            .get_all(CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|name| name.trim().parse().ok())
            .collect();
        for name in named {
            headers.remove(name);
        }
        headers.remove(CONNECTION);
    }
    headers.remove(KEEP_ALIVE);
    headers.remove(TE);
    headers.remove(TRANSFER_ENCODING);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn prepare(trusted: &str, peer: &str, fields: &[(&str, &str)]) -> HeaderMap {
        let networks = if trusted.is_empty() { vec![] } else { vec![trusted.parse().unwrap()] };
        let trusted = TrustedProxies::new(networks);
        let host = HeaderValue::from_static("api.example");
        let mut headers = headers(fields);
        Forwarding { trusted: &trusted, peer: peer.parse().unwrap(), host: Some(&host) }
            .prepare(&mut headers);
        headers
    }

    #[test]
    fn what_belongs_to_the_connection_stays_there() {
        let prepared = prepare(
            "",
            "192.0.2.1",
            &[
                ("connection", "X-Drop, close"),
                ("connection", "x-also"),
                ("x-drop", "1"),
                ("x-also", "1"),
                ("keep-alive", "timeout=5"),
                ("te", "trailers, gzip"),
                ("proxy-authorization", "Basic x"),
                ("proxy-connection", "keep-alive"),
                ("upgrade", "h2c"),
                ("x-stay", "1"),
            ],
        );
        let expected = headers(&[
            ("x-stay", "1"),
            ("te", "trailers"),
            ("x-forwarded-for", "192.0.2.1"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "api.example"),
        ]);
        assert_eq!(prepared, expected);
    }

    #[test]
    fn forwarding_fields_of_strangers_are_dropped() {
        let claims = [
            ("x-forwarded-for", "1.2.3.4"),
            ("x-real-ip", "1.2.3.4"),
            ("x_forwarded_for", "1.2.3.4"),
            ("x.real_ip", "1.2.3.4"),
            ("forwarded", "for=1.2.3.4"),
            ("true-client-ip", "x"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil"),
        ];
        let prepared = prepare("10.0.0.0/8", "192.0.2.1", &claims);
        let expected = headers(&[
            ("x-forwarded-for", "192.0.2.1"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "api.example"),
        ]);
        assert_eq!(prepared, expected);
        let believed = prepare("10.0.0.0/8", "10.1.1.1", &claims);
        assert_eq!(believed["x-forwarded-for"], "1.2.3.4, 10.1.1.1");
        assert_eq!(believed["x-forwarded-proto"], "https");
        assert_eq!(believed["x-real-ip"], "1.2.3.4");
    }

    #[test]
    fn the_client_behind_trusted_proxies() {
        let trusted = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
        for (peer, chain, client) in [
            ("192.0.2.1", "1.2.3.4", Ok("192.0.2.1")),
            ("10.0.0.1", "9.9.9.9, 1.2.3.4, 10.0.0.2", Ok("1.2.3.4")),
            ("10.0.0.1", "evil, 10.0.0.2", Err("10.0.0.2")),
            ("10.0.0.1", "1.2.3.4:5, ::ffff:10.0.0.2", Ok("1.2.3.4")),
            ("10.0.0.1", "[2001:db8::7]:80", Ok("2001:db8::7")),
            ("10.0.0.1", "", Err("10.0.0.1")),
            ("10.0.0.1", "unknown", Err("10.0.0.1")),
            // Nobody gets rid of the address that a proxy has written behind theirs.
            ("10.0.0.1", "\u{e9}, 1.2.3.4", Ok("1.2.3.4")),
            ("10.0.0.1", "9.9.9.9, \u{e9}, 10.0.0.2", Err("10.0.0.2")),
        ] {
            let mut headers = headers(&[("x-forwarded-for", "9.9.9.9")]);
            headers.append(X_FORWARDED_FOR, HeaderValue::from_bytes(chain.as_bytes()).unwrap());
            let client = match client {
                Ok(address) => Client::Known(address.parse().unwrap()),
                Err(address) => Client::Behind(address.parse().unwrap()),
            };
            assert_eq!(trusted.client(peer.parse().unwrap(), &headers), client, "{chain}");
        }
        let direct = trusted.client("10.0.0.1".parse().unwrap(), &HeaderMap::new());
        assert_eq!(direct.known(), "10.0.0.1".parse().ok());
    }

    #[test]
    fn what_cannot_be_read_stays_in_the_chain() {
        let mut headers = HeaderMap::new();
        for line in [&b"9.9.9.9"[..], b"\xe9, 1.2.3.4"] {
            headers.append(X_FORWARDED_FOR, HeaderValue::from_bytes(line).unwrap());
        }
        let trusted = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
        Forwarding { trusted: &trusted, peer: "10.0.0.1".parse().unwrap(), host: None }.prepare(&mut headers);
        let chain: Vec<&[u8]> = headers.get_all(X_FORWARDED_FOR).iter().map(HeaderValue::as_bytes).collect();
        assert_eq!(chain, [b"9.9.9.9, \xe9, 1.2.3.4, 10.0.0.1"]);
    }
}
