//! The body of a request, on its way to the upstream.

use std::{
    cell::Cell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

/// How far a request body has come. The body itself goes to the upstream's connection and cannot be
/// asked any more.
#[derive(Debug)]
pub(super) struct Progress {
    state: Cell<State>,
    /// When a part of it came last.
    moved: Cell<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The upstream takes its time.
    Sending,
    /// The client takes its time.
    Awaited,
    Sent,
    /// The client broke it off, or sent nonsense.
    Broken,
}

/// The body of a request, streamed from the client.
#[derive(Debug)]
pub struct ClientBody {
    body: Option<Incoming>,
    progress: Rc<Progress>,
}

impl Progress {
    fn new(state: State) -> Rc<Self> {
        Rc::new(Self { state: Cell::new(state), moved: Cell::new(Instant::now()) })
    }

    pub(super) fn state(&self) -> State {
        self.state.get()
    }

    /// When the body, or the request, came last.
    pub(super) fn moved(&self) -> Instant {
        self.moved.get()
    }
}

impl ClientBody {
    /// The body that a client is sending.
    #[must_use]
    pub fn new(body: Incoming) -> Self {
        let state = if body.is_end_stream() { State::Sent } else { State::Sending };
        Self { body: Some(body), progress: Progress::new(state) }
    }

    pub(super) fn empty() -> Self {
        Self { body: None, progress: Progress::new(State::Sent) }
    }

    pub(super) fn progress(&self) -> Rc<Progress> {
        Rc::clone(&self.progress)
    }

    /// Whether there is a body whose end only itself can tell.
    pub(super) fn is_of_unknown_length(&self) -> bool {
        !self.is_end_stream() && self.size_hint().exact().is_none()
    }
}

impl HttpBody for ClientBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Self { body: Some(body), progress } = &mut *self else { return Poll::Ready(None) };
        progress.state.set(State::Awaited);
        let frame = ready!(Pin::new(body).poll_frame(context));
        self.progress.moved.set(Instant::now());
        self.progress.state.set(match &frame {
            Some(Err(_)) => State::Broken,
            Some(Ok(_)) if !self.is_end_stream() => State::Sending,
            _ => State::Sent,
        });
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Incoming::size_hint)
    }
}
