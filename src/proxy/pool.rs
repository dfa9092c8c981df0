//! The idle connections of one worker.

use std::{cell::RefCell, collections::HashMap, rc::Rc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;

use super::{
    Endpoint,
    client_body::{Progress, State},
    connect::Connection,
};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
/// Idle connections that are kept for one endpoint.
const MAX_IDLE: usize = 1024;
/// How long a connection may be idle, if the upstream does not say how long (`Keep-Alive: timeout`).
const MAX_IDLE_TIME: Duration = Duration::from_secs(50);
/// How long a connection may have been idle for a request that must not be sent twice. Servers close
/// theirs after two seconds and more, and such a request is lost when it crosses the close.
const FRESH: Duration = Duration::from_secs(1);

type Connections = HashMap<Endpoint, Vec<Idle>, foldhash::fast::RandomState>;

/// Connections that wait for a request, newest last.
#[derive(Debug, Default)]
pub(super) struct Pool(RefCell<Connections>);

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
    limit: Duration,
}

/// A connection while an answer comes over it.
#[derive(Debug)]
pub(super) struct Lease {
    pool: Rc<Pool>,
    endpoint: Endpoint,
    connection: Connection,
    request: Rc<Progress>,
    limit: Duration,
}

impl Idle {
    fn is_good(&self) -> bool {
        !self.connection.sender.is_closed() && self.since.elapsed() < self.limit
    }
}

impl Pool {
    /// The connection to this endpoint that was used last; one of a moment ago if the request cannot
    /// be repeated.
    pub(super) fn take(&self, endpoint: &Endpoint, is_repeatable: bool) -> Option<Connection> {
        let mut connections = self.0.borrow_mut();
        let idle = connections.get_mut(endpoint)?;
        loop {
            let last = idle.pop()?;
            if !last.is_good() {
                continue;
            }
            if !is_repeatable && last.since.elapsed() >= FRESH {
                // The others are older still.
                idle.push(last);
                return None;
            }
            return Some(last.connection);
        }
    }

    fn put(&self, lease: Lease) {
        let Lease { endpoint, connection, limit, .. } = lease;
        let mut connections = self.0.borrow_mut();
        let idle = connections.entry(endpoint).or_default();
        if idle.len() < MAX_IDLE && !limit.is_zero() && !connection.sender.is_closed() {
            idle.push(Idle { connection, since: Instant::now(), limit });
        }
    }

    /// Drops connections that were closed or idle for too long.
    pub(super) fn sweep(&self) {
        self.0.borrow_mut().retain(|_, idle| {
            idle.retain(Idle::is_good);
            !idle.is_empty()
        });
    }
}

impl Lease {
    /// A connection over which the answer with these headers comes.
    pub(super) fn new(
        pool: Rc<Pool>,
        endpoint: Endpoint,
        connection: Connection,
        request: Rc<Progress>,
        headers: &HeaderMap,
    ) -> Self {
        let limit = headers.get(KEEP_ALIVE).and_then(promised).unwrap_or(MAX_IDLE_TIME).min(MAX_IDLE_TIME);
        Self { pool, endpoint, connection, request, limit }
    }

    /// The answer has ended. A connection on which the request is still being sent cannot take
    /// another one, and is closed.
    pub(super) fn give_back(self) {
        if self.request.state() == State::Sent {
            Rc::clone(&self.pool).put(self);
        }
    }
}

/// How long the upstream promises to keep the connection, with a second to spare.
fn promised(field: &HeaderValue) -> Option<Duration> {
    let parameters = field.to_str().ok()?.split(',').filter_map(|parameter| parameter.split_once('='));
    let timeout = parameters.into_iter().find(|(name, _)| name.trim().eq_ignore_ascii_case("timeout"))?.1;
    let seconds: u64 = timeout.trim().parse().ok()?;
    Some(Duration::from_secs(seconds.saturating_sub(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_upstreams_promise() {
        for (field, seconds) in [
            ("timeout=5", Some(4)),
            ("max=100, Timeout = 65", Some(64)),
            ("timeout=0", Some(0)),
            ("timeout=x", None),
            ("max=3", None),
        ] {
            let promised = promised(&HeaderValue::from_static(field));
            assert_eq!(promised, seconds.map(Duration::from_secs), "{field}");
        }
    }
}
