//! The upstream side: where a request goes, what it looks like there, and the connections it takes.
//!
//! Connections are kept by each worker for itself: nothing here is shared between cores.

mod balance;
mod body;
mod client_body;
mod connect;
mod connection;
mod content_type;
mod download;
mod forward;
mod pool;
mod send;
mod tls;
mod transport;
mod tunnel;
mod upstream;
mod websocket;

pub use balance::{Pick, Upstreams};
pub use body::{Body, BodyError};
pub use client_body::ClientBody;
pub use connect::Connector;
pub use content_type::content_type;
pub use forward::{Client, Forwarding, TrustedProxies, is_claim_of_proxies};
pub use send::{Answer, ProxyError, Sender, Sending, Timeouts};
pub use tls::{TlsError, TlsSettings, TlsVersion, UpstreamTls};
pub use tunnel::{Traffic, Tunnel, Tunnels};
pub use upstream::{AskedFor, Endpoint, Scheme, Upstream, UpstreamError};
pub use websocket::Handshake;
