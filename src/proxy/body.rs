//! The body of an answer, on its way to the client.

use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep};

use super::pool::Lease;

/// The body of an answer: the gateway's own, or streamed from the upstream.
#[derive(Debug)]
pub struct Body(Kind);

#[derive(Debug)]
enum Kind {
    Whole(Option<Bytes>),
    Streamed {
        body: Incoming,
        lease: Option<Lease>,
        silence: Silence,
        /// What was read to have a look at it.
        peeked: VecDeque<Frame<Bytes>>,
    },
}

/// How long the upstream has been silent. Most answers come with their head and need no timer.
#[derive(Debug)]
pub(super) struct Silence {
    limit: Duration,
    /// When the whole answer must have come.
    end: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
    is_running: bool,
}

/// Why an answer has no end.
#[derive(Debug)]
pub enum BodyError {
    /// The upstream broke it off, or sent nonsense.
    Upstream(hyper::Error),
    /// The upstream was silent for too long, or took too long for all of it.
    Late,
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Upstream(error) => write!(f, "the upstream's answer broke off: {error}"),
            Self::Late => f.write_str("the upstream did not finish its answer in time"),
        }
    }
}

impl std::error::Error for BodyError {}

impl Body {
    /// Streams what comes over a connection, as long as it is not silent for too long.
    pub(super) fn streamed(body: Incoming, lease: Lease, silence: Silence) -> Self {
        if body.is_end_stream() {
            lease.give_back();
            return Bytes::new().into();
        }
        Self(Kind::Streamed { body, lease: Some(lease), silence, peeked: VecDeque::new() })
    }

    /// Reads on until there are `limit` octets or the end, and gives what there is. Nothing of it is
    /// lost: the client gets all.
    ///
    /// # Errors
    /// [`BodyError`] when the body breaks off before.
    pub async fn peek(&mut self, limit: usize) -> Result<Bytes, BodyError> {
        let mut frames = VecDeque::new();
        let mut begin = BytesMut::new();
        while begin.len() < limit {
            let Some(frame) = poll_fn(|context| Pin::new(&mut *self).poll_frame(context)).await else {
                break;
            };
            let frame = frame?;
            if let Some(data) = frame.data_ref() {
                begin.extend_from_slice(data);
            }
            frames.push_back(frame);
        }
        match &mut self.0 {
            Kind::Whole(bytes) => *bytes = Some(begin.clone().freeze()).filter(|bytes| !bytes.is_empty()),
            Kind::Streamed { peeked, .. } => *peeked = frames,
        }
        Ok(begin.freeze())
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(Kind::Whole(Some(bytes).filter(|bytes| !bytes.is_empty())))
    }
}

impl Silence {
    /// At most `limit` at a time, and at most until `end`.
    pub(super) const fn new(limit: Duration, end: Option<Instant>) -> Self {
        Self { limit, end, timer: None, is_running: false }
    }

    /// Whether the time for the whole answer is over, whatever still comes.
    fn is_over(&self) -> bool {
        self.end.is_some_and(|end| end <= Instant::now())
    }

    /// Nothing has come. Whether that has lasted for too long.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(self.limit)));
        if !self.is_running {
            self.is_running = true;
            let silent_too_long = Instant::now().checked_add(self.limit);
            if let Some(end) = silent_too_long.into_iter().chain(self.end).min() {
                timer.as_mut().reset(end);
            }
        }
        timer.as_mut().poll(context)
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.0 {
            Kind::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Streamed { body, lease, silence, peeked } => {
                if let Some(frame) = peeked.pop_front() {
                    return Poll::Ready(Some(Ok(frame)));
                }
                if silence.is_over() {
                    return Poll::Ready(Some(Err(BodyError::Late)));
                }
                let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(context) else {
                    return silence.poll(context).map(|()| Some(Err(BodyError::Late)));
                };
                silence.is_running = false;
                // A body that ended as it should frees its connection; after a fault the lease is
                // dropped with the body, and the connection with it.
                if (frame.is_none() || body.is_end_stream())
                    && !matches!(frame, Some(Err(_)))
                    && let Some(lease) = lease.take()
                {
                    lease.give_back();
                }
                Poll::Ready(frame.map(|frame| frame.map_err(BodyError::Upstream)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(bytes) => bytes.is_none(),
            Kind::Streamed { body, peeked, .. } => peeked.is_empty() && body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Kind::Streamed { body, peeked, .. } => {
                let peeked: u64 =
                    peeked.iter().filter_map(Frame::data_ref).map(|data| data.len() as u64).sum();
                let rest = body.size_hint();
                let mut size = SizeHint::new();
                if let Some(upper) = rest.upper() {
                    size.set_upper(upper.saturating_add(peeked));
                }
                size.set_lower(rest.lower().saturating_add(peeked));
                size
            }
        }
    }
}
