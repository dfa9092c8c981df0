//! Answers that the gateway gives instead of an upstream (`mockResponse`).

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};

/// A fixed answer.
#[derive(Clone, Debug)]
pub struct MockResponse {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl MockResponse {
    /// The answer.
    #[must_use]
    pub fn response(&self) -> Response<Bytes> {
        let mut response = Response::new(self.body.clone());
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers.clone();
        response
    }
}
