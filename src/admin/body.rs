//! The body of a request, for those who want to be able to take it to another thread.

use std::{
    pin::{Pin, pin},
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame};
use tokio::sync::mpsc::{self, Receiver};

use crate::http1::{Incoming, UploadError};

type Part = Result<Bytes, UploadError>;

/// What is handed over, part by part.
struct Parts(Receiver<Part>);

impl HttpBody for Parts {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        self.0.poll_recv(context).map(|part| Some(part?.map(Frame::data)))
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
            let part = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
            match part {
                Some(part) => place.send(part.map(|frame| frame.into_data().unwrap_or_default())),
                None => break,
            }
        }
        drop(sender);
        std::future::pending::<()>().await;
    };
    let mut answer = pin!(answer(Body::new(Parts(parts))));
    tokio::select! {
        answer = answer.as_mut() => answer,
        () = hand_over => answer.await,
    }
}
