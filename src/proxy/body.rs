//! The body of an answer, on its way to the client.

use std::{
    pin::Pin,
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
