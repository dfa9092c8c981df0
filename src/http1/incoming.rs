//! The body of a request, as the one who answers it gets it.

use std::{
    fmt,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::OnUpgrade;

/// Where the body of a request comes from: the connection, of which it is a part.
pub trait Upload {
    /// Reads on. Ready with nothing at the end.
    fn poll_data(&self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, UploadError>>>;

    /// Whether all has come, as far as that can be told without looking.
    fn is_at_end(&self) -> bool;

    /// How many octets are still to come, if that is known.
    fn left(&self) -> Option<u64>;
}

/// Why the body of a request ends early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadError {
    /// The client left.
    Left,
    /// It is malformed.
    Malformed,
}

impl fmt::Display for UploadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Left => "the client left before its request had ended",
            Self::Malformed => "the request body does not say correctly where it ends",
        })
    }
}

impl std::error::Error for UploadError {}

/// What follows the head of a request: its body, or another protocol.
#[derive(Default)]
pub struct Incoming {
    upload: Option<Rc<dyn Upload>>,
    upgrade: Option<OnUpgrade>,
}

impl Incoming {
    /// A body that comes from there.
    #[must_use]
    pub fn new(upload: Rc<dyn Upload>) -> Self {
        Self { upload: Some(upload), upgrade: None }
    }

    /// No body, and perhaps another protocol.
    #[must_use]
    pub const fn upgrade(upgrade: OnUpgrade) -> Self {
        Self { upload: None, upgrade: Some(upgrade) }
    }

    /// The connection, if the client would like it to speak another protocol.
    pub const fn take_upgrade(&mut self) -> Option<OnUpgrade> {
        self.upgrade.take()
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("left", &self.size_hint().exact()).finish()
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        match &self.upload {
            None => Poll::Ready(None),
            Some(upload) => upload.poll_data(context).map(|data| Some(data?.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.upload.as_ref().is_none_or(|upload| upload.is_at_end())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.upload {
            None => SizeHint::with_exact(0),
            Some(upload) => upload.left().map_or_else(SizeHint::new, SizeHint::with_exact),
        }
    }
}
