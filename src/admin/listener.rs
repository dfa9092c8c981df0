//! Connections of the control API: in the clear, or over TLS, as the configuration says when they begin.

use std::{io, sync::Arc};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsAcceptor;

use crate::{gateway::Control, server::Secure};

/// Asks the gateway for its certificate with each connection, so that a reload changes it.
#[derive(Clone)]
pub(super) struct Secured(pub(super) Arc<Control>);

/// A connection of either sort.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

impl Secure for Secured {
    type Stream = Box<dyn Stream>;

    async fn secure(&self, stream: TcpStream) -> io::Result<Box<dyn Stream>> {
        let published = self.0.published().load_full();
        let Some(identity) = published.admin_tls() else { return Ok(Box::new(stream)) };
        let acceptor = TlsAcceptor::from(Arc::clone(identity.config()));
        Ok(Box::new(acceptor.accept(stream).await?))
    }
}
