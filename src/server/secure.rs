//! What is between a connection and its requests: nothing, or TLS.

use std::io;

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

/// How a connection that was accepted becomes one that is served.
pub trait Secure: Clone + 'static {
    /// What is served.
    type Stream: AsyncRead + AsyncWrite + Unpin + 'static;

    /// Does what has to be done before the first request.
    fn secure(&self, stream: TcpStream) -> impl Future<Output = io::Result<Self::Stream>>;
}

/// In the clear.
#[derive(Clone, Copy, Debug)]
pub struct Plain;

impl Secure for Plain {
    type Stream = TcpStream;

    async fn secure(&self, stream: TcpStream) -> io::Result<TcpStream> {
        Ok(stream)
    }
}
