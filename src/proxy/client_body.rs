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

/// How far a request body has come; the body goes to the upstream's connection and cannot be asked
/// any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Sending,
    Sent,
    /// The client broke it off, or sent nonsense.
    Broken,
}

/// The body of a request, streamed from the client.
#[derive(Debug)]
pub struct ClientBody {
    body: Option<Incoming>,
    progress: Rc<Cell<Progress>>,
}

impl ClientBody {
    /// The body that a client is sending.
    #[must_use]
    pub fn new(body: Incoming) -> Self {
        let progress = if body.is_end_stream() { Progress::Sent } else { Progress::Sending };
        Self { body: Some(body), progress: Rc::new(Cell::new(progress)) }
    }

    pub(super) fn empty() -> Self {
        Self { body: None, progress: Rc::new(Cell::new(Progress::Sent)) }
    }

    pub(super) fn progress(&self) -> Rc<Cell<Progress>> {
        Rc::clone(&self.progress)
    }
}

impl HttpBody for ClientBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(context));
        match &frame {
            Some(Err(_)) => self.progress.set(Progress::Broken),
            Some(Ok(_)) if !self.is_end_stream() => {}
            _ => self.progress.set(Progress::Sent),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Incoming::size_hint)
    }
}
