//! New connections to upstreams.

use std::{io, net::IpAddr, sync::Arc, time::Duration};

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, pki_types::ServerName};
use rustls_platform_verifier::ConfigVerifierExt as _;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
    task::spawn_local,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use tracing::debug;

use super::{Endpoint, ProxyError, Scheme, client_body::ClientBody};

/// What is read from an upstream ahead of a client that takes its time, and the largest head of an
/// answer.
const MAX_BUFFER: usize = 128 * 1024;

/// Makes connections, in the clear and over TLS.
#[derive(Clone)]
pub struct Connector {
    tls: TlsConnector,
    timeout: Duration,
}

impl Connector {
    /// Trusts the certificates that the system trusts; gives up after `timeout`.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(timeout: Duration) -> Result<Self, rustls::Error> {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut config = ClientConfig::with_platform_verifier()?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { tls: TlsConnector::from(Arc::new(config)), timeout })
    }

    pub(super) async fn connect(&self, endpoint: &Endpoint) -> Result<SendRequest<ClientBody>, ProxyError> {
        match timeout(self.timeout, self.open(endpoint)).await {
            Ok(result) => result,
            Err(_) => Err(ProxyError::Timeout),
        }
    }

    async fn open(&self, endpoint: &Endpoint) -> Result<SendRequest<ClientBody>, ProxyError> {
        let stream = tcp(endpoint).await?;
        match endpoint.scheme {
            Scheme::Http => handshake(stream).await,
            Scheme::Https => {
                let name =
                    ServerName::try_from(endpoint.host.to_string()).map_err(|_| ProxyError::LookupFailed)?;
                let stream = self.tls.connect(name, stream).await.map_err(|e| unreachable(&e))?;
                handshake(stream).await
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

async fn first(addresses: impl Iterator<Item = std::net::SocketAddr>) -> Result<TcpStream, ProxyError> {
    let mut result = Err(ProxyError::LookupFailed);
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => result = Err(unreachable(&error)),
        }
    }
    result
}

fn unreachable(error: &io::Error) -> ProxyError {
    debug!(%error, "upstream connection failed");
    ProxyError::Unreachable
}

async fn handshake<T>(stream: T) -> Result<SendRequest<ClientBody>, ProxyError>
where
    T: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let handshake = http1::Builder::new().max_buf_size(MAX_BUFFER).handshake(TokioIo::new(stream));
    let (sender, connection) = handshake.await.map_err(|_| ProxyError::Unreachable)?;
    spawn_local(async move {
        // Its end is seen by whoever holds the sender.
        if let Err(error) = connection.await {
            debug!(%error, "upstream connection ended");
        }
    });
    Ok(sender)
}
