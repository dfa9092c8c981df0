//! One request to the upstream and its answer.

use std::{
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Response, StatusCode, request::Parts};
use tokio::time::{Instant, timeout_at};
use tracing::debug;

use super::{
    AskedFor, Body, Connector, Endpoint, Handshake, Pick, Tunnel,
    client_body::{ClientBody, State},
    connection::Connection,
    download::{Download, Patience},
    pool::{Pool, idle_time},
    transport::Transport,
};
use crate::{
    http1::{AnswerHead, Decoder, Length, Output},
    refusal::Reason,
};

/// The largest head of an answer in octets.
const MAX_HEAD: usize = 128 * 1024;

/// How many interim answers (RFC 9110 section 15.2) may come before the final one.
const MAX_INTERIM: usize = 16;

/// How long the upstream may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// To accept a connection, TLS included.
    pub connect: Duration,
    /// To take the next part of a request, and to begin its answer after the last one.
    pub response: Duration,
    /// To go on with an answer that it has begun.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            response: Duration::from_secs(60),
            idle: Duration::from_secs(300),
        }
    }
}

/// Sends the requests of one worker.
#[derive(Clone, Debug)]
pub struct Sender {
    connector: Connector,
    pool: Rc<Pool>,
    timeouts: Timeouts,
}

/// A request, besides itself.
#[derive(Debug)]
pub struct Sending<'s> {
    /// Who may get it. Its head is that for the first one.
    pub pick: Pick<'s>,
    /// What they are asked for.
    pub asked: &'s AskedFor<'s>,
    /// How long everything may take, if there is a limit of its own.
    pub limit: Option<Duration>,
    /// What opens a WebSocket, if it asks for one.
    pub handshake: Option<Handshake>,
}

/// What an upstream has answered.
#[derive(Debug)]
pub enum Answer {
    /// The beginning of an answer; the rest is streamed.
    Plain(Response<Body>),
    /// It speaks WebSocket from here on, once the client has this answer.
    Switched(Response<Body>, Tunnel),
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyError {
    /// The upstream's name cannot be resolved.
    LookupFailed,
    /// The upstream cannot be connected to, or its certificate is not trusted.
    Unreachable,
    /// The upstream took too long.
    Timeout,
    /// The upstream broke its answer off, or sent something that is none.
    Broken,
    /// The client broke its request off, or sent nonsense.
    ClientBody,
    /// The client did not go on with its request.
    ClientTimeout,
    /// The client's request has a larger body than it may have.
    ClientBodyTooLarge,
}

/// An answer as it comes over its connection.
struct Answered {
    head: AnswerHead,
    connection: Box<Connection>,
}

/// A request on its way.
struct Message<'m> {
    head: &'m Parts,
    body: &'m mut ClientBody,
    length: Length,
    /// What it says about the connection.
    connection: Option<&'static str>,
    /// When the whole answer must have come, if it must.
    end: Option<Instant>,
}

/// Why there is no answer of one upstream.
struct Failure {
    error: ProxyError,
    /// The request may be sent to another upstream.
    is_unsent: bool,
}

/// Why a connection gives no answer.
enum Lost {
    /// It has ended before the answer began.
    Ended,
    /// Anything else.
    Failed(ProxyError),
}

impl From<ProxyError> for Failure {
    fn from(error: ProxyError) -> Self {
        Self { error, is_unsent: false }
    }
}

impl From<ProxyError> for Reason {
    fn from(error: ProxyError) -> Self {
        match error {
            ProxyError::LookupFailed => Self::UpstreamLookupFailed,
            ProxyError::Unreachable => Self::UpstreamUnreachable,
            ProxyError::Timeout => Self::UpstreamTimeout,
            ProxyError::Broken => Self::UpstreamBroken,
            ProxyError::ClientBody => Self::BodyBroken,
            ProxyError::ClientTimeout => Self::BodyTimeout,
            ProxyError::ClientBodyTooLarge => Self::RequestTooLarge,
        }
    }
}

impl Sender {
    /// Makes connections with `connector`.
    #[must_use]
    pub fn new(connector: Connector, timeouts: Timeouts) -> Self {
        Self { connector, pool: Rc::default(), timeouts }
    }

    /// Sends a request and gives the beginning of its answer.
    ///
    /// Where an upstream cannot be reached the next one is tried, and so it is where one took the request
    /// and did not answer, if that cannot do anything twice (RFC 9110 section 9.2.2).
    ///
    /// # Errors
    /// [`ProxyError`] when no answer begins.
    pub async fn send(
        &self,
        Sending { mut pick, asked, limit, handshake }: Sending<'_>,
        (mut head, mut body): (Parts, ClientBody),
    ) -> Result<Answer, ProxyError> {
        let end = limit.and_then(|limit| Instant::now().checked_add(limit));
        let connection = handshake.is_some().then_some("Upgrade");
        let length = body.length();
        let mut upstream = pick.next().ok_or(ProxyError::Unreachable)?;
        loop {
            let message = Message { head: &head, body: &mut body, length, connection, end };
            let failure = match self.exchange(&upstream.endpoint, message).await {
                Ok(answered) => return self.answer(answered, (body, length), end, handshake),
                Err(failure) => failure,
            };
            let Some(next) = pick.next().filter(|_| failure.is_unsent) else { return Err(failure.error) };
            debug!(from = ?upstream.host, to = ?next.host, error = ?failure.error, "the next upstream is tried");
            next.aim(asked, &mut head).ok_or(failure.error)?;
            upstream = next;
        }
    }

    /// Makes an answer ready for the client.
    fn answer(
        &self,
        Answered { head: AnswerHead { parts, length, is_last }, connection }: Answered,
        (request, request_length): (ClientBody, Length),
        end: Option<Instant>,
        handshake: Option<Handshake>,
    ) -> Result<Answer, ProxyError> {
        if parts.status == StatusCode::SWITCHING_PROTOCOLS {
            let accepted = handshake.filter(|handshake| handshake.is_accepted(&parts.headers));
            let tunnel = Tunnel::new(accepted.ok_or(ProxyError::Broken)?, connection.wire.into_upgraded());
            return Ok(Answer::Switched(Response::from_parts(parts, Bytes::new().into()), tunnel));
        }
        let download = Download {
            connection: Some(connection),
            decoder: Decoder::new(length),
            idle_time: (!is_last).then(|| idle_time(&parts.headers)),
            request,
            request_length,
            is_request_broken: false,
            patience: Patience::new(self.timeouts.idle, end),
        };
        Ok(Answer::Plain(Response::from_parts(parts, Body::streamed(Box::new(download)))))
    }

    /// An upstream may close a kept connection at any moment. A request that such a connection did not
    /// take is sent again; one that it took and did not answer only if it is repeatable.
    async fn exchange(&self, endpoint: &Endpoint, mut message: Message<'_>) -> Result<Answered, Failure> {
        let shelf = self.pool.shelf(endpoint);
        let is_repeatable = message.is_repeatable();
        let mut output = Output::default();
        message.write_head(&mut output);
        let mut only_new = false;
        loop {
            let kept = if only_new { None } else { shelf.take(is_repeatable) };
            let is_kept = kept.is_some();
            let mut connection = match kept {
                Some(connection) => connection,
                None => match self.connect(endpoint, &message).await? {
                    Ok(transport) => Box::new(Connection::new(transport, Rc::clone(&shelf))),
                    Err(error) => return Err(Failure { error, is_unsent: message.is_whole() }),
                },
            };
            connection.output = output;
            let lost = match self.converse(&mut connection, &mut message).await {
                Ok(head) => return Ok(Answered { head, connection }),
                Err(lost) => lost,
            };
            output = std::mem::take(&mut connection.output);
            let may_be_again = is_repeatable || !output.has_begun();
            match lost {
                Lost::Failed(error) => return Err(error.into()),
                Lost::Ended if is_kept && may_be_again => {
                    only_new = output.has_begun();
                    output.rewind();
                }
                Lost::Ended => {
                    let is_unsent = may_be_again && message.is_whole();
                    return Err(Failure { error: ProxyError::Broken, is_unsent });
                }
            }
        }
    }

    /// A new connection, or why there is none; fails when the time for the request is over before.
    async fn connect(
        &self,
        endpoint: &Endpoint,
        message: &Message<'_>,
    ) -> Result<Result<Transport, ProxyError>, ProxyError> {
        let connect = self.connector.connect(endpoint);
        let patience = message.body.moved().checked_add(self.timeouts.response);
        match message.end.or(patience) {
            Some(end) => timeout_at(end, connect).await.map_err(|_| ProxyError::Timeout),
            None => Ok(connect.await),
        }
    }

    /// Sends a request over a connection, until its answer begins.
    async fn converse(
        &self,
        connection: &mut Connection,
        message: &mut Message<'_>,
    ) -> Result<AnswerHead, Lost> {
        let mut interim = 0_usize;
        poll_fn(|context| {
            // Who takes nothing more may have answered already, and else has left.
            connection.poll_send(message.body, message.length, context).map_err(Lost::Failed)?;
            if let Poll::Ready(result) = poll_head(connection, &message.head.method, &mut interim, context) {
                return Poll::Ready(result);
            }
            self.poll_patience(connection, message, context).map(|error| Err(Lost::Failed(error)))
        })
        .await
    }

    /// Ready when an answer was waited for too long. A body may take as long as it moves; an upstream that has
    /// a limit of its own may use it up.
    fn poll_patience(
        &self,
        connection: &mut Connection,
        message: &Message<'_>,
        context: &mut Context<'_>,
    ) -> Poll<ProxyError> {
        let silent = message.body.moved().checked_add(self.timeouts.response);
        let is_awaited = message.body.state() == State::Awaited;
        let end = match message.end {
            None => silent,
            Some(end) if is_awaited => silent.map(|silent| silent.min(end)),
            end => end,
        };
        connection.alarm.set(end);
        connection.alarm.poll(context).map(|()| {
            // A limit of the operation is about everything, whoever was slow.
            let is_over = message.end.is_some_and(|end| end <= Instant::now());
            if is_awaited && !is_over { ProxyError::ClientTimeout } else { ProxyError::Timeout }
        })
    }

    /// Closes connections that have been idle for too long.
    pub fn sweep(&self) {
        self.pool.sweep();
    }
}

impl Message<'_> {
    /// Whether it may be sent twice: it asks for nothing to be done, and has no body.
    fn is_repeatable(&self) -> bool {
        self.head.method.is_safe() && self.length == Length::NONE
    }

    /// Whether another upstream could be sent all of it.
    fn is_whole(&self) -> bool {
        self.is_repeatable() || self.body.is_untouched()
    }

    fn write_head(&self, output: &mut Output) {
        output.request(self.head, self.length, self.connection);
    }
}

/// Reads until the head of the final answer has come.
fn poll_head(
    connection: &mut Connection,
    method: &Method,
    interim: &mut usize,
    context: &mut Context<'_>,
) -> Poll<Result<AnswerHead, Lost>> {
    let broken = || Poll::Ready(Err(Lost::Failed(ProxyError::Broken)));
    let wire = &mut connection.wire;
    loop {
        let Ok(head) = wire.take_head(MAX_HEAD) else { return broken() };
        let Some(head) = head else {
            let was_silent = wire.input.is_empty() && *interim == 0;
            match wire.poll_fill(context) {
                Poll::Ready(Ok(length)) if length > 0 => continue,
                Poll::Ready(_) if was_silent => return Poll::Ready(Err(Lost::Ended)),
                Poll::Ready(_) => return broken(),
                Poll::Pending => return Poll::Pending,
            }
        };
        let Ok(head) = AnswerHead::parse(&head, method) else { return broken() };
        let status = head.parts.status;
        if !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS {
            return Poll::Ready(Ok(head));
        }
        *interim = interim.saturating_add(1);
        if *interim > MAX_INTERIM {
            return broken();
        }
    }
}
