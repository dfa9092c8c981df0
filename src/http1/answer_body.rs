//! The body of an answer, as the one who writes it needs it.

use bytes::Bytes;
use http_body::Body;
use std::{pin::Pin, task::Context};

/// A body that may have something to do while nobody takes more of it.
pub trait AnswerBody: Body<Data = Bytes> {
    /// Goes on with what has to be done besides: sending the rest of the request to where the answer comes from. Whoever
    /// polls is woken when there is more to do.
    fn poll_aside(self: Pin<&mut Self>, context: &mut Context<'_>);
}
