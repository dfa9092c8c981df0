//! The body of an answer, on its way to the client.

use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::download::Download;
use crate::http1::AnswerBody;

/// The body of an answer: the gateway's own, or streamed from the upstream.
#[derive(Debug)]
pub struct Body(Kind);

#[derive(Debug)]
enum Kind {
    Whole(Option<Bytes>),
    Streamed {
        download: Box<Download>,
        /// What was read to have a look at it.
        peeked: VecDeque<Bytes>,
    },
}

/// Why an answer has no end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// The upstream broke it off, or sent nonsense.
    Broken,
    /// The upstream was silent for too long, or took too long for all of it.
    Late,
    /// The client broke its request off, or sent nonsense, while it was being answered.
    Request,
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Broken => "the upstream's answer broke off",
            Self::Late => "the upstream did not finish its answer in time",
            Self::Request => "the request broke off while it was being answered",
        })
    }
}

impl std::error::Error for BodyError {}

impl Body {
    /// Streams what comes over a connection. What has come whole already needs it no more.
    pub(super) fn streamed(mut download: Box<Download>) -> Self {
        match download.take_whole() {
            Ok(whole) => whole.into(),
            Err(begin) => Self(Kind::Streamed { download, peeked: begin.into_iter().collect() }),
        }
    }

    /// Reads on until there are `limit` octets or the end, and gives what there is. Nothing of it is
    /// lost: the client gets all.
    ///
    /// # Errors
    /// [`BodyError`] when the body breaks off before.
    pub async fn peek(&mut self, limit: usize) -> Result<Bytes, BodyError> {
        let (download, peeked) = match &mut self.0 {
            Kind::Whole(bytes) => return Ok(bytes.clone().unwrap_or_default()),
            Kind::Streamed { download, peeked } => (download, peeked),
        };
        while peeked.iter().map(Bytes::len).sum::<usize>() < limit {
            match poll_fn(|context| download.poll_data(context)).await {
                Some(data) => peeked.push_back(data?),
                None => break,
            }
        }
        let mut begin = BytesMut::new();
        peeked.iter().for_each(|data| begin.extend_from_slice(data));
        Ok(begin.freeze())
    }
}

impl AnswerBody for Body {
    fn poll_aside(mut self: Pin<&mut Self>, context: &mut Context<'_>) {
        if let Kind::Streamed { download, .. } = &mut self.0 {
            download.poll_send(context);
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(Kind::Whole(Some(bytes).filter(|bytes| !bytes.is_empty())))
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
            Kind::Streamed { download, peeked } => match peeked.pop_front() {
                Some(data) => Poll::Ready(Some(Ok(Frame::data(data)))),
                None => download.poll_data(context).map(|data| Some(data?.map(Frame::data))),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(bytes) => bytes.is_none(),
            Kind::Streamed { download, peeked } => peeked.is_empty() && download.is_at_end(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let length = |data: &Bytes| data.len() as u64;
        match &self.0 {
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, length)),
            Kind::Streamed { download, peeked } => {
                let peeked = peeked.iter().map(length).sum();
                let exact = download.left().and_then(|left| left.checked_add(peeked));
                exact.map_or_else(SizeHint::new, SizeHint::with_exact)
            }
        }
    }
}
