//! The body of a request, on its way to the upstream.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::Body as _;
use tokio::time::Instant;

use super::ProxyError;
use crate::http1::{Incoming, Length};

/// The body of a request, streamed from the client.
#[derive(Debug)]
pub struct ClientBody {
    body: Incoming,
    state: State,
    /// When a part of it came last.
    moved: Instant,
    /// A part of it has come.
    is_touched: bool,
    /// How many more octets may come, if somebody counts.
    left: Option<u64>,
}

/// Who makes the others wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The upstream takes its time.
    Sending,
    /// The client takes its time.
    Awaited,
    /// Nobody: all of it has come.
    Sent,
}

impl ClientBody {
    /// The body that a client is sending, with at most so many octets.
    #[must_use]
    pub fn new(body: Incoming, limit: Option<u64>) -> Self {
        let state = if body.is_end_stream() { State::Sent } else { State::Sending };
        Self { body, state, moved: Instant::now(), is_touched: false, left: limit }
    }

    pub(super) const fn state(&self) -> State {
        self.state
    }

    /// Whether nothing of it was asked for yet.
    pub(super) fn is_untouched(&self) -> bool {
        !self.is_touched
    }

    /// Whether all of it has come.
    pub(super) fn has_ended(&self) -> bool {
        self.state == State::Sent
    }

    /// When the body, or the request, came last.
    pub(super) const fn moved(&self) -> Instant {
        self.moved
    }

    /// How long it is.
    pub(super) fn length(&self) -> Length {
        match self.body.size_hint().exact() {
            Some(length) => Length::Exact(length),
            None => Length::Chunked,
        }
    }

    /// Reads on. Ready with nothing at the end.
    pub(super) fn poll_data(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, ProxyError>>> {
        if self.state == State::Sent {
            return Poll::Ready(None);
        }
        self.state = State::Awaited;
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        self.state = State::Sending;
        self.moved = Instant::now();
        self.is_touched = true;
        Poll::Ready(match frame {
            None => {
                self.state = State::Sent;
                None
            }
            Some(Err(_)) => Some(Err(ProxyError::ClientBody)),
            Some(Ok(frame)) => Some(self.count(frame.into_data().unwrap_or_default())),
        })
    }

    /// Counts a part of the body; it is as though it had not come if it is too much.
    fn count(&mut self, data: Bytes) -> Result<Bytes, ProxyError> {
        if let Some(left) = &mut self.left {
            let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
            *left = left.checked_sub(length).ok_or(ProxyError::ClientBodyTooLarge)?;
        }
        Ok(data)
    }
}
