//! One connection.

use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite},
    task::coop::unconstrained,
};

use super::{HeadError, Output, Upgraded, head::Search, upgrade::Stream};

/// The least room there is to read into.
const MIN_READ: usize = 8 * 1024;
/// What is read at once from a connection that fills what it is given.
const MAX_READ: usize = 64 * 1024;

/// A connection, and what has come over it and was not looked at yet.
#[derive(Debug)]
pub struct Wire<S> {
    stream: S,
    /// What has come.
    pub input: BytesMut,
    search: Search,
    /// Nothing more will come.
    is_at_end: bool,
    /// How much is read at once.
    room: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// A connection of which nothing was read.
    pub fn new(stream: S) -> Self {
        Self { stream, input: BytesMut::new(), search: Search::default(), is_at_end: false, room: MIN_READ }
    }

    /// Whether the other side has said that nothing more will come.
    pub const fn is_at_end(&self) -> bool {
        self.is_at_end
    }

    /// Takes a whole head out of what has come, if it has.
    ///
    /// # Errors
    /// [`HeadError`] if it cannot become one any more.
    pub fn take_head(&mut self, limit: usize) -> Result<Option<Bytes>, HeadError> {
        if self.input.is_empty() { Ok(None) } else { self.search.take(&mut self.input, limit) }
    }

    /// Reads more. Ready with how much, or with nothing at the end.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.is_at_end {
            return Poll::Ready(Ok(0));
        }
        if self.input.capacity().saturating_sub(self.input.len()) < self.room / 2 {
            self.input.reserve(self.room);
        }
        let room = self.input.capacity().saturating_sub(self.input.len());
        let read = pin!(self.stream.read_buf(&mut self.input)).poll(context);
        if let Poll::Ready(Ok(length)) = read {
            self.is_at_end = length == 0;
            if length == room {
                self.room = self.room.saturating_mul(2).min(MAX_READ);
            }
        }
        read
    }

    /// Writes as much as is taken.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn poll_write(&mut self, output: &mut Output, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        output.poll_write_to(&mut self.stream, context)
    }

    /// Ends what is written.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    /// Whether nothing has come, nor the end, since the last message: what would, belongs to nobody.
    pub fn is_silent(&mut self) -> bool {
        if !self.input.is_empty() {
            return false;
        }
        // Also where the task has read so much already that the runtime would have it pause: that is no silence.
        let read = pin!(unconstrained(poll_fn(|context| self.poll_fill(context))));
        read.poll(&mut Context::from_waker(Waker::noop())).is_pending()
    }

    /// Gives memory back that a connection without a request does not need.
    pub fn rest(&mut self) {
        if self.input.is_empty() {
            self.input = BytesMut::new();
            self.room = MIN_READ;
        }
    }

    /// What speaks another protocol from here on.
    pub fn into_upgraded(self) -> Upgraded
    where
        S: Stream + 'static,
    {
        Upgraded::new(Box::new(self.stream), self.input.freeze())
    }
}
