//! New connections to upstreams.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
    task::{AbortHandle, JoinSet, spawn_local},
    time::{sleep, timeout},
};
use tokio_rustls::TlsConnector;
use tracing::debug;

use super::{Endpoint, ProxyError, Scheme, UpstreamTls, client_body::ClientBody, tls::PROTOCOL};
use crate::tls;

/// What is read from an upstream ahead of a client that takes its time, and the largest head of an
/// answer.
const MAX_BUFFER: usize = 128 * 1024;

/// How long an address is tried before the next one is tried as well (RFC 8305 section 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// One connection. It ends when this is dropped, whatever is still on its way over it: an upstream
/// that takes nothing more must not keep it, and with it the client's connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) sender: SendRequest<ClientBody>,
    task: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

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

    pub(super) async fn connect(&self, endpoint: &Endpoint) -> Result<Connection, ProxyError> {
        match timeout(self.timeout, self.open(endpoint)).await {
            Ok(result) => result,
            Err(_) => Err(ProxyError::Timeout),
        }
    }

    async fn open(&self, endpoint: &Endpoint) -> Result<Connection, ProxyError> {
        let stream = tcp(endpoint).await?;
        match endpoint.scheme {
            Scheme::Http => handshake(stream).await,
            Scheme::Https => {
                let name =
                    ServerName::try_from(endpoint.host.to_string()).map_err(|_| ProxyError::LookupFailed)?;
                let own = endpoint.tls.as_ref().map(UpstreamTls::connector);
                let tls = own.as_ref().unwrap_or(&self.tls);
                let stream = tls.connect(name, stream).await.map_err(|e| unreachable(&e))?;
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

async fn handshake<T>(stream: T) -> Result<Connection, ProxyError>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let handshake = http1::Builder::new().max_buf_size(MAX_BUFFER).handshake(TokioIo::new(stream));
    let (sender, connection) = handshake.await.map_err(|_| ProxyError::Unreachable)?;
    let task = spawn_local(async move {
        // Its end is seen by whoever holds the sender.
        if let Err(error) = connection.with_upgrades().await {
            debug!(%error, "upstream connection ended");
        }
    });
    Ok(Connection { sender, task: task.abort_handle() })
}
