//! New connections to upstreams.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use rustls::pki_types::ServerName;
use tokio::{
    net::{TcpStream, lookup_host},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::TlsConnector;
use tracing::debug;

use super::{Endpoint, ProxyError, Scheme, UpstreamTls, tls::PROTOCOL, transport::Transport};
use crate::tls;

/// How long an address is tried before the next one is tried as well (RFC 8305 section 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// Makes connections, in the clear and over TLS.
#[derive(Clone)]
pub struct Connector {
    tls: TlsConnector,
    timeout: Duration,
}

impl Connector {
    /// Trusts the certificates that the system trusts; gives up after `timeout`.
    #[must_use]
    pub fn new(timeout: Duration) -> Self {
        let mut config = tls::client_config();
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        Self { tls: TlsConnector::from(Arc::new(config)), timeout }
    }

    pub(super) async fn connect(&self, endpoint: &Endpoint) -> Result<Transport, ProxyError> {
        match timeout(self.timeout, self.open(endpoint)).await {
            Ok(result) => result,
            Err(_) => Err(ProxyError::Timeout),
        }
    }

    async fn open(&self, endpoint: &Endpoint) -> Result<Transport, ProxyError> {
        let stream = tcp(endpoint).await?;
        match endpoint.scheme {
            Scheme::Http => Ok(Transport::Tcp(stream)),
            Scheme::Https => {
                let name =
                    ServerName::try_from(endpoint.host.to_string()).map_err(|_| ProxyError::LookupFailed)?;
                let own = endpoint.tls.as_ref().map(UpstreamTls::connector);
                let tls = own.as_ref().unwrap_or(&self.tls);
                let stream = tls.connect(name, stream).await.map_err(|e| unreachable(&e))?;
                Ok(Transport::Tls(Box::new(stream)))
            }
        }
    }
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

async fn tcp(endpoint: &Endpoint) -> Result<TcpStream, ProxyError> {
    let stream = match endpoint.host.parse::<IpAddr>() {
        Ok(address) => TcpStream::connect((address, endpoint.port)).await.map_err(|e| unreachable(&e))?,
        Err(_) => {
            let found = lookup_host((&*endpoint.host, endpoint.port)).await;
            let addresses = found.map_err(|_| ProxyError::LookupFailed)?;
            first(addresses).await?
        }
    };
    // Without it a request in two writes waits for an acknowledgement.
    stream.set_nodelay(true).map_err(|e| unreachable(&e))?;
    Ok(stream)
}

/// The first connection that comes about. An address that keeps silent holds the next one up for a
/// moment only (RFC 8305).
async fn first(mut addresses: impl Iterator<Item = SocketAddr>) -> Result<TcpStream, ProxyError> {
    let mut attempts = JoinSet::new();
    let mut result = Err(ProxyError::LookupFailed);
    let mut next = addresses.next();
    loop {
        if let Some(address) = next.take() {
            attempts.spawn_local(TcpStream::connect(address));
            next = addresses.next();
        }
        tokio::select! {
            attempt = attempts.join_next() => match attempt {
                Some(Ok(Ok(stream))) => return Ok(stream),
                Some(Ok(Err(error))) => result = Err(unreachable(&error)),
                Some(Err(_)) => {}
                None if next.is_none() => return result,
                None => {}
            },
            () = sleep(HEAD_START), if next.is_some() => {}
        }
    }
}

fn unreachable(error: &io::Error) -> ProxyError {
    debug!(%error, "upstream connection failed");
    ProxyError::Unreachable
}
