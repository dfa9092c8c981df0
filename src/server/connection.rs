//! The requests of one connection, one after the other.

use std::{error::Error, future::poll_fn, net::SocketAddr, rc::Rc, task::Poll, time::Duration};

use http::{
    Method, Request, Response, StatusCode, Version,
    header::{CONNECTION, CONTENT_LENGTH, UPGRADE},
};
use http_body::Body;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::oneshot,
};

use super::{
    client::{Client, Manner, Next},
    closing::Closing,
};
use crate::http1::{AnswerBody, Date, Incoming, Length, RequestHead, Upgraded, upgrade};

/// How long a connection that has not asked anything yet is waited for when the worker stops.
const FIRST_REQUEST: Duration = Duration::from_secs(1);
/// And one that was idle.
const NEXT_REQUEST: Duration = Duration::from_millis(50);

/// What all connections of a listener have in common.
pub(super) struct Common<S> {
    pub(super) service: S,
    /// How long a head may take, and how long a connection may be idle.
    pub(super) header: Duration,
    pub(super) closing: Closing,
    pub(super) date: Date,
}

/// What an answer needs to know of its request.
struct Asked {
    method: Method,
    version: Version,
    is_last: bool,
}

/// Serves a connection to its end.
pub(super) async fn run<T, S, F, B>(stream: T, peer: SocketAddr, common: &Common<S>)
where
    T: AsyncRead + AsyncWrite + Unpin + 'static,
    S: Fn(SocketAddr, Request<Incoming>) -> F,
    F: Future<Output = Response<B>>,
    B: AnswerBody,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let _registered = poll_fn(|context| Poll::Ready(common.closing.register(context.waker().clone()))).await;
    let client = Rc::new(Client::new(stream));
    let mut grace = FIRST_REQUEST;
    loop {
        let hurry = || common.closing.is_set().then_some(grace);
        let head = match client.next(common.header, hurry).await {
            Next::Request(head) => head,
            Next::Refused(status) => return client.refuse(status).await,
            Next::End => return,
        };
        grace = NEXT_REQUEST;
        let (asked, request, upgraded) = begin(&client, *head);
        let Some(mut answer) = answer(&client, (common.service)(peer, request)).await else { return };
        let is_last = asked.is_last || !client.has_come() || common.closing.is_set();
        let (manner, is_last) = asked.manner(&mut answer, is_last);
        let is_switched = answer.status() == StatusCode::SWITCHING_PROTOCOLS;
        if client.answer(answer, manner, &common.date).await.is_err() {
            return;
        }
        if is_switched {
            if let (Some(sender), Some(connection)) = (upgraded, client.into_upgraded()) {
                // When the gateway stops nobody is there to take it.
                let _ = sender.send(connection);
            }
            return;
        }
        if is_last {
            return client.linger().await;
        }
    }
}

/// Begins with a request: what its answer needs to know of it, itself, and how the connection is handed over if
/// it is to speak another protocol.
fn begin<T>(
    client: &Rc<Client<T>>,
    head: RequestHead,
) -> (Asked, Request<Incoming>, Option<oneshot::Sender<Upgraded>>)
where
    T: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let RequestHead { parts, length, is_last, expects_continue } = head;
    client.begin(length, expects_continue);
    let asked = Asked { method: parts.method.clone(), version: parts.version, is_last };
    let (body, upgraded) = if length != Length::NONE {
        (Incoming::new(Rc::<Client<T>>::clone(client)), None)
    } else if parts.version == Version::HTTP_11 && parts.headers.contains_key(UPGRADE) {
        let (sender, receiver) = upgrade();
        (Incoming::upgrade(receiver), Some(sender))
    } else {
        (Incoming::default(), None)
    };
    (asked, Request::from_parts(parts, body), upgraded)
}

/// The answer to a request; nothing if the client leaves before.
async fn answer<T, F>(client: &Client<T>, answer: F) -> Option<F::Output>
where
    T: AsyncRead + AsyncWrite + Unpin,
    F: Future,
{
    // Apart, so that an idle connection does not hold the room for it.
    let mut answer = Box::pin(answer);
    poll_fn(|context| match answer.as_mut().poll(context) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        Poll::Pending => client.poll_left(context).map(|()| None),
    })
    .await
}

impl Asked {
    /// How an answer is written, and whether the connection ends with it.
    fn manner<B: Body>(&self, answer: &mut Response<B>, is_last: bool) -> (Manner, bool) {
        let status = answer.status();
        let exact = answer.body().size_hint().exact();
        let headers = answer.headers_mut();
        if status == StatusCode::NO_CONTENT || status.is_informational() {
            headers.remove(CONTENT_LENGTH);
        }
        let length = if Length::has_no_body(&self.method, status) {
            None
        } else {
            let unknown = if self.version == Version::HTTP_11 { Length::Chunked } else { Length::UntilClose };
            Some(exact.map_or(unknown, Length::Exact))
        };
        let is_last = is_last
            || length == Some(Length::UntilClose)
            || headers.get(CONNECTION).is_some_and(|option| option == "close");
        let connection = match self.version {
            _ if status == StatusCode::SWITCHING_PROTOCOLS => Some("Upgrade"),
            _ if is_last => Some("close"),
            Version::HTTP_10 => Some("keep-alive"),
            _ => None,
        };
        (Manner { length, connection }, is_last)
    }
}
