//! The body of a request, on its way to the upstream.

use std::{
    cell::Cell,
    fmt,
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
    /// It is larger than it may be.
    TooLarge,
}

/// The body of a request, streamed from the client.
#[derive(Debug)]
pub struct ClientBody {
    body: Option<Incoming>,
    progress: Rc<Progress>,
    /// How many more octets may come, if somebody counts.
    left: Option<u64>,
}

/// Why a request body ended early. The upstream's connection ends with it, so that nobody takes what came for
/// the whole.
#[derive(Debug)]
pub enum ClientBodyError {
    /// The client broke it off, or sent nonsense.
    Broken(hyper::Error),
    /// It is larger than it may be.
    TooLarge,
}

impl fmt::Display for ClientBodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(error) => error.fmt(f),
            Self::TooLarge => f.write_str("the request body is too large"),
        }
    }
}

impl std::error::Error for ClientBodyError {}

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
    /// The body that a client is sending, with at most so many octets.
    #[must_use]
    pub fn new(body: Incoming, limit: Option<u64>) -> Self {
        let state = if body.is_end_stream() { State::Sent } else { State::Sending };
        Self { body: Some(body), progress: Progress::new(state), left: limit }
    }

    pub(super) fn empty() -> Self {
        Self { body: None, progress: Progress::new(State::Sent), left: None }
    }

    /// Counts a part of the body; it is as though it had not come if it is too much.
    fn count(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, ClientBodyError> {
        if let (Some(left), Some(data)) = (&mut self.left, frame.data_ref()) {
            let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
            *left = left.checked_sub(length).ok_or(ClientBodyError::TooLarge)?;
        }
        Ok(frame)
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
    type Error = ClientBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ClientBodyError>>> {
        let Self { body: Some(body), progress, .. } = &mut *self else { return Poll::Ready(None) };
        progress.state.set(State::Awaited);
        let frame = ready!(Pin::new(body).poll_frame(context));
        let frame =
            frame.map(|frame| frame.map_err(ClientBodyError::Broken).and_then(|frame| self.count(frame)));
        self.progress.moved.set(Instant::now());
        self.progress.state.set(match &frame {
            Some(Err(ClientBodyError::Broken(_))) => State::Broken,
            Some(Err(ClientBodyError::TooLarge)) => State::TooLarge,
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
