//! One request to the upstream and its answer.

use std::{error::Error as _, pin::pin, rc::Rc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Request, Response, StatusCode,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING},
};
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout};
use tracing::debug;

use super::{
    AskedFor, Body, Connector, Endpoint, Handshake, Pick, Tunnel,
    body::Silence,
    client_body::{ClientBody, Progress, State},
    connect::Connection,
    pool::{Lease, Pool},
};
use crate::refusal::Reason;

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
    response: Response<Incoming>,
    connection: Connection,
}

/// Why there is no answer of one upstream.
struct Failure {
    error: ProxyError,
    /// The request, if it may be sent to another upstream.
    unsent: Option<Box<Request<ClientBody>>>,
}

impl From<ProxyError> for Failure {
    fn from(error: ProxyError) -> Self {
        Self { error, unsent: None }
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
        mut request: Request<ClientBody>,
    ) -> Result<Answer, ProxyError> {
        let progress = request.body().progress();
        let end = limit.and_then(|limit| Instant::now().checked_add(limit));
        let mut upstream = pick.next().ok_or(ProxyError::Unreachable)?;
        loop {
            let next = pick.next();
            let failure = match self.send_to(&upstream.endpoint, request, end, next.is_some()).await {
                Ok(answered) => return self.answer(&upstream.endpoint, answered, progress, end, handshake),
                Err(failure) => failure,
            };
            let (Some(next), Some(unsent)) = (next, failure.unsent) else { return Err(failure.error) };
            debug!(from = ?upstream.host, to = ?next.host, error = ?failure.error, "the next upstream is tried");
            let (mut head, body) = unsent.into_parts();
            next.aim(asked, &mut head).ok_or(failure.error)?;
            request = Request::from_parts(head, body);
            upstream = next;
        }
    }

    /// Makes an answer ready for the client.
    fn answer(
        &self,
        endpoint: &Endpoint,
        Answered { mut response, connection }: Answered,
        request: Rc<Progress>,
        end: Option<Instant>,
        handshake: Option<Handshake>,
    ) -> Result<Answer, ProxyError> {
        if !has_one_length(response.headers()) || !is_plain(response.headers()) {
            return Err(ProxyError::Broken);
        }
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let accepted = handshake.filter(|handshake| handshake.is_accepted(response.headers()));
            let upstream = response.extensions_mut().remove();
            let (handshake, upstream) = accepted.zip(upstream).ok_or(ProxyError::Broken)?;
            let tunnel = Tunnel::new(handshake, upstream, connection);
            return Ok(Answer::Switched(response.map(|_| Bytes::new().into()), tunnel));
        }
        let pool = Rc::clone(&self.pool);
        let lease = Lease::new(pool, endpoint.clone(), connection, request, response.headers());
        let silence = Silence::new(self.timeouts.idle, end);
        Ok(Answer::Plain(response.map(|body| Body::streamed(body, lease, silence))))
    }

    async fn send_to(
        &self,
        endpoint: &Endpoint,
        mut request: Request<ClientBody>,
        end: Option<Instant>,
        has_others: bool,
    ) -> Result<Answered, Failure> {
        if request.body().is_of_unknown_length() {
            // Without it a body would be taken for none where a method usually has none.
            request.headers_mut().insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        let progress = request.body().progress();
        let mut exchange = pin!(self.exchange(endpoint, request, has_others));
        loop {
            let Ok(result) = timeout(self.patience(&progress, end), exchange.as_mut()).await else {
                if !self.patience(&progress, end).is_zero() {
                    continue;
                }
                let is_over = end.is_some_and(|end| end <= Instant::now());
                return Err(match progress.state() {
                    // A limit of the operation is about everything, whoever was slow.
                    State::Awaited if !is_over => ProxyError::ClientTimeout.into(),
                    _ => ProxyError::Timeout.into(),
                });
            };
            return result.map_err(|failure| match progress.state() {
                State::Broken => ProxyError::ClientBody.into(),
                State::TooLarge => ProxyError::ClientBodyTooLarge.into(),
                State::Sending | State::Awaited | State::Sent => failure,
            });
        }
    }

    /// How much longer an answer is waited for. A body may take as long as it moves; an upstream that has
    /// a limit of its own may use it up.
    fn patience(&self, progress: &Progress, end: Option<Instant>) -> Duration {
        let left = self.timeouts.response.saturating_sub(progress.moved().elapsed());
        let Some(end) = end else { return left };
        let left_of_all = end.saturating_duration_since(Instant::now());
        if progress.state() == State::Awaited { left.min(left_of_all) } else { left_of_all }
    }

    /// An upstream may close a kept connection at any moment. A request that such a connection did not
    /// take is sent again; one that it took and did not answer only if it is repeatable.
    async fn exchange(
        &self,
        endpoint: &Endpoint,
        mut request: Request<ClientBody>,
        has_others: bool,
    ) -> Result<Answered, Failure> {
        let mut only_new = false;
        loop {
            let kept = if only_new { None } else { self.pool.take(endpoint, is_repeatable(&request)) };
            let is_kept = kept.is_some();
            let mut connection = match kept {
                Some(connection) => connection,
                None => match self.connector.connect(endpoint).await {
                    Ok(connection) => connection,
                    Err(error) => return Err(Failure { error, unsent: Some(Box::new(request)) }),
                },
            };
            if connection.sender.ready().await.is_err() {
                if is_kept {
                    continue;
                }
                return Err(Failure { error: ProxyError::Broken, unsent: Some(Box::new(request)) });
            }
            let spare = if is_kept || has_others { copy(&request) } else { None };
            match connection.sender.try_send_request(request).await {
                Ok(response) => return Ok(Answered { response, connection }),
                Err(mut error) => {
                    let untaken = error.take_message();
                    let was_taken = untaken.is_none();
                    let spare = spare.filter(|_| is_end_of_connection(error.error()));
                    match untaken.or(spare) {
                        Some(again) if is_kept => {
                            request = again;
                            only_new = was_taken;
                        }
                        again => {
                            let unsent = again.map(Box::new);
                            return Err(Failure { error: ProxyError::Broken, unsent });
                        }
                    }
                }
            }
        }
    }

    /// Closes connections that have been idle for too long.
    pub fn sweep(&self) {
        self.pool.sweep();
    }
}

/// Whether the length of an answer is told in one way: of two, the client might believe the other
/// (RFC 9112 section 6.3).
fn has_one_length(headers: &HeaderMap) -> bool {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    match lengths.next() {
        None => true,
        Some(length) => {
            !headers.contains_key(TRANSFER_ENCODING)
                && lengths.next().is_none()
                && length.as_bytes().iter().all(u8::is_ascii_digit)
        }
    }
}

/// Whether the body of an answer is coded in no way that would be lost with `Transfer-Encoding`.
fn is_plain(headers: &HeaderMap) -> bool {
    headers.get_all(TRANSFER_ENCODING).iter().all(|coding| {
        let coding = coding.as_bytes().trim_ascii();
        coding.eq_ignore_ascii_case(b"chunked") || coding.eq_ignore_ascii_case(b"identity")
    })
}

/// Whether a request may be sent twice: it asks for nothing to be done, and has no body.
fn is_repeatable(request: &Request<ClientBody>) -> bool {
    request.method().is_safe() && request.body().is_end_stream()
}

/// A copy of a request that may be sent twice.
fn copy(request: &Request<ClientBody>) -> Option<Request<ClientBody>> {
    if !is_repeatable(request) {
        return None;
    }
    let mut copy = Request::new(ClientBody::empty());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
}

/// Whether the upstream ended the connection instead of answering; not whether it answered nonsense.
fn is_end_of_connection(error: &hyper::Error) -> bool {
    let io = || error.source().is_some_and(<dyn std::error::Error>::is::<std::io::Error>);
    error.is_incomplete_message() || error.is_canceled() || error.is_closed() || io()
}
