//! One request to the upstream and its answer.

use std::{error::Error as _, rc::Rc, time::Duration};

use http::{Request, Response, StatusCode};
use http_body::Body as _;
use tokio::time::{Instant, timeout_at};

use super::{
    Body, Connector, Endpoint,
    client_body::{ClientBody, Progress},
    pool::{Lease, Pool},
};
use crate::refusal::Reason;

/// How long the upstream may take.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// To accept a connection, TLS included.
    pub connect: Duration,
    /// To begin its answer, from the moment the request came.
    pub response: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), response: Duration::from_secs(60) }
    }
}

/// Sends the requests of one worker.
#[derive(Clone, Debug)]
pub struct Sender {
    connector: Connector,
    pool: Rc<Pool>,
    response: Duration,
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
}

impl From<ProxyError> for Reason {
    fn from(error: ProxyError) -> Self {
        match error {
            ProxyError::LookupFailed => Self::UpstreamLookupFailed,
            ProxyError::Unreachable => Self::UpstreamUnreachable,
            ProxyError::Timeout => Self::UpstreamTimeout,
            ProxyError::Broken => Self::UpstreamBroken,
            ProxyError::ClientBody => Self::BodyBroken,
        }
    }
}

impl Sender {
    /// Makes connections with `connector`; answers must begin within `response`.
    #[must_use]
    pub fn new(connector: Connector, response: Duration) -> Self {
        Self { connector, pool: Rc::default(), response }
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
        request: Request<ClientBody>,
    ) -> Result<Response<Body>, ProxyError> {
        let progress = request.body().progress();
        let deadline = Instant::now().checked_add(self.response);
        let exchange = self.exchange(endpoint, request);
        let result = match deadline {
            Some(deadline) => timeout_at(deadline, exchange).await.unwrap_or(Err(ProxyError::Timeout)),
            None => exchange.await,
        };
        result
            .map_err(|error| if progress.get() == Progress::Broken { ProxyError::ClientBody } else { error })
    }

    async fn exchange(
        &self,
        endpoint: &Endpoint,
        mut request: Request<ClientBody>,
    ) -> Result<Response<Body>, ProxyError> {
        let progress = request.body().progress();
        let mut only_new = false;
        loop {
            let kept = if only_new { None } else { self.pool.take(endpoint) };
            let is_kept = kept.is_some();
            let mut connection = match kept {
                Some(connection) => connection,
                None => self.connector.connect(endpoint).await?,
            };
            if connection.ready().await.is_err() {
                if is_kept {
                    continue;
                }
                return Err(ProxyError::Broken);
            }
            let spare = if is_kept { repeatable(&request) } else { None };
            match connection.try_send_request(request).await {
                Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                    return Err(ProxyError::Broken);
                }
                Ok(response) => {
                    let lease = Lease::new(Rc::clone(&self.pool), endpoint.clone(), connection, progress);
                    return Ok(response.map(|body| Body::streamed(body, lease)));
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

/// A copy of a request that may be sent twice: it asks for nothing to be done, and has no body.
fn repeatable(request: &Request<ClientBody>) -> Option<Request<ClientBody>> {
    if !request.method().is_safe() || !request.body().is_end_stream() {
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
