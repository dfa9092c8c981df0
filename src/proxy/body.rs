//! Bodies on their way through.

use std::{
    cell::Cell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;

use super::pool::Lease;

/// The body of an answer: the gateway's own, or streamed from the upstream.
#[derive(Debug)]
pub struct Body(Kind);

#[derive(Debug)]
enum Kind {
    Whole(Option<Bytes>),
    Streamed { body: Incoming, lease: Option<Lease> },
}

impl Body {
    pub(super) fn streamed(body: Incoming, lease: Lease) -> Self {
        if body.is_end_stream() {
            lease.give_back();
            return Bytes::new().into();
        }
        Self(Kind::Streamed { body, lease: Some(lease) })
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(Kind::Whole(Some(bytes).filter(|bytes| !bytes.is_empty())))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.0 {
            Kind::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Streamed { body, lease } => {
                let frame = ready!(Pin::new(&mut *body).poll_frame(context));
                // A body that ended as it should frees its connection; after a fault the lease is
                // dropped with the body, and the connection with it.
                if (frame.is_none() || body.is_end_stream())
                    && !matches!(frame, Some(Err(_)))
                    && let Some(lease) = lease.take()
                {
                    lease.give_back();
                }
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(bytes) => bytes.is_none(),
            Kind::Streamed { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Kind::Streamed { body, .. } => body.size_hint(),
        }
    }
}

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
