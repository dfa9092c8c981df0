//! The body of a request, for those who want to be able to take it to another thread.

use std::{
    future::{pending, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame};
use tokio::sync::mpsc::{self, Receiver};

use crate::http1::{AnswerBody, Incoming, UploadError};

/// Answers of the control API.
impl AnswerBody for Body {
    /// There is nothing: the whole request was read.
    fn poll_aside(self: Pin<&mut Self>, _: &mut Context<'_>) {}
}

/// A part of a body, or nothing for its end.
type Part = Option<Result<Bytes, UploadError>>;

/// What is handed over, part by part. Where it ends without its end, the client has left: what came until then
/// must not be taken for the whole.
struct Parts(Receiver<Part>);

impl HttpBody for Parts {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let part = ready!(self.0.poll_recv(context)).unwrap_or(Some(Err(UploadError::Left)));
        Poll::Ready(part.map(|data| data.map(Frame::data)))
    }
}

/// Answers a request that has this body, which is read no faster than it is asked for.
pub(super) async fn with<F: Future>(mut body: Incoming, answer: impl FnOnce(Body) -> F) -> F::Output {
    if body.is_end_stream() {
        return answer(Body::empty()).await;
    }
    let (sender, parts) = mpsc::channel(1);
    let hand_over = async move {
        // Nobody asks any more when the answer is there.
        while let Ok(place) = sender.reserve().await {
            let part = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
            let is_end = part.is_none();
            place.send(part.map(|part| part.map(|frame| frame.into_data().unwrap_or_default())));
            if is_end {
                break;
            }
        }
        pending::<()>().await;
    };
    let mut answer = pin!(answer(Body::new(Parts(parts))));
    tokio::select! {
        answer = answer.as_mut() => answer,
        () = hand_over => answer.await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_leaves_has_sent_no_end() {
        for (end, is_whole) in [(Some(None), true), (None, false)] {
            let (sender, parts) = mpsc::channel(2);
            sender.send(Some(Ok(Bytes::from_static(b"{}")))).await.unwrap();
            if let Some(end) = end {
                sender.send(end).await.unwrap();
            }
            drop(sender);
            assert_eq!(axum::body::to_bytes(Body::new(Parts(parts)), 100).await.is_ok(), is_whole);
        }
    }
}
