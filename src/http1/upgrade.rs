//! Connections that speak another protocol from some point on.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf as _, Bytes};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::oneshot,
};

/// What a connection runs over.
pub trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// A connection that speaks another protocol now.
pub struct Upgraded {
    stream: Box<dyn Stream>,
    /// What has come with the last head already.
    rest: Bytes,
}

/// The client's connection, once it has been told.
#[derive(Debug)]
pub struct OnUpgrade(oneshot::Receiver<Upgraded>);

/// How the connection is handed over.
pub fn upgrade() -> (oneshot::Sender<Upgraded>, OnUpgrade) {
    let (sender, receiver) = oneshot::channel();
    (sender, OnUpgrade(receiver))
}

impl OnUpgrade {
    /// Waits until the client was told; nothing if it cannot be told any more.
    pub async fn wait(self) -> Option<Upgraded> {
        self.0.await.ok()
    }
}

impl Upgraded {
    pub(super) fn new(stream: Box<dyn Stream>, rest: Bytes) -> Self {
        Self { stream, rest }
    }
}

impl fmt::Debug for Upgraded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgraded").finish_non_exhaustive()
    }
}

impl AsyncRead for Upgraded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.rest.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let length = self.rest.len().min(buffer.remaining());
        buffer.put_slice(self.rest.get(..length).unwrap_or_default());
        self.rest.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Upgraded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
