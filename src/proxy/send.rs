//! One request to the upstream and its answer.

use std::{error::Error as _, pin::pin, rc::Rc, time::Duration};

use http::{
    HeaderMap, HeaderValue, Request, Response, StatusCode,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING},
};
use http_body::Body as _;
use tokio::time::timeout;

use super::{
    Body, Connector, Endpoint,
    client_body::{ClientBody, State},
    pool::{Lease, Pool},
};
use crate::refusal::Reason;

/// How long the upstream may take.
#[derive(Clone, Copy, Debug)]
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
        }
    }
}

impl Sender {
    /// Makes connections with `connector`.
    #[must_use]
    pub fn new(connector: Connector, timeouts: Timeouts) -> Self {
        Self { connector, pool: Rc::default(), timeouts }
    }

    /// Sends a request and gives the beginning of its answer; the rest is streamed.
    ///
    /// An upstream may close a kept connection at any moment. A request that such a connection did
    /// not take is sent again; one that it took and did not answer only if that cannot do anything
    /// twice (RFC 9110 section 9.2.2).
    ///
    /// # Errors
    /// [`ProxyError`] when no answer begins.
    pub async fn send(
        &self,
        endpoint: &Endpoint,
        mut request: Request<ClientBody>,
    ) -> Result<Response<Body>, ProxyError> {
        if request.body().is_of_unknown_length() {
            // Without it a body would be taken for none where a method usually has none.
            request.headers_mut().insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        let progress = request.body().progress();
        let mut exchange = pin!(self.exchange(endpoint, request));
        loop {
            // A body may take as long as it moves.
            let left = self.timeouts.response.saturating_sub(progress.moved().elapsed());
            let Ok(result) = timeout(left, exchange.as_mut()).await else {
                if progress.moved().elapsed() < self.timeouts.response {
                    continue;
                }
                return Err(match progress.state() {
                    State::Awaited => ProxyError::ClientTimeout,
                    _ => ProxyError::Timeout,
                });
            };
            let is_broken = progress.state() == State::Broken;
            return result.map_err(|error| if is_broken { ProxyError::ClientBody } else { error });
        }
    }

    async fn exchange(
        &self,
        endpoint: &Endpoint,
        mut request: Request<ClientBody>,
    ) -> Result<Response<Body>, ProxyError> {
        let progress = request.body().progress();
        let mut only_new = false;
        loop {
            let kept = if only_new { None } else { self.pool.take(endpoint, is_repeatable(&request)) };
            let is_kept = kept.is_some();
            let mut connection = match kept {
                Some(connection) => connection,
                None => self.connector.connect(endpoint).await?,
            };
            if connection.sender.ready().await.is_err() {
                if is_kept {
                    continue;
                }
                return Err(ProxyError::Broken);
            }
            let spare = if is_kept { copy(&request) } else { None };
            match connection.sender.try_send_request(request).await {
                Ok(response)
                    if response.status() == StatusCode::SWITCHING_PROTOCOLS
                        || !has_one_length(response.headers())
                        || !is_plain(response.headers()) =>
                {
                    return Err(ProxyError::Broken);
                }
                Ok(response) => {
                    let lease = Lease::new(
                        Rc::clone(&self.pool),
                        endpoint.clone(),
                        connection,
                        progress,
                        response.headers(),
                    );
                    return Ok(response.map(|body| Body::streamed(body, lease, self.timeouts.idle)));
                }
                Err(mut error) => match (error.take_message(), spare) {
                    (Some(unsent), _) if is_kept => request = unsent,
                    (None, Some(spare)) if is_end_of_connection(error.error()) => {
                        request = spare;
                        only_new = true;
                    }
                    _ => return Err(ProxyError::Broken),
                },
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
