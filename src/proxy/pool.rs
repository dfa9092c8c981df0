//! The idle connections of one worker.

use std::{cell::RefCell, collections::HashMap, rc::Rc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;

use super::{Endpoint, connection::Connection};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
/// Idle connections that are kept for one endpoint.
const MAX_IDLE: usize = 1024;
/// How long a connection may be idle, if the upstream does not say how long (`Keep-Alive: timeout`).
const MAX_IDLE_TIME: Duration = Duration::from_secs(50);
/// How long a connection may have been idle for a request that must not be sent twice. Servers close
/// theirs after two seconds and more, and such a request is lost when it crosses the close.
const FRESH: Duration = Duration::from_secs(1);

type Shelves = HashMap<Endpoint, Rc<Shelf>, foldhash::fast::RandomState>;

/// Connections that wait for a request.
#[derive(Debug, Default)]
pub(super) struct Pool(RefCell<Shelves>);

/// Those to one endpoint, newest last.
#[derive(Debug, Default)]
pub(super) struct Shelf(RefCell<Vec<Idle>>);

#[derive(Debug)]
struct Idle {
    connection: Box<Connection>,
    since: Instant,
    limit: Duration,
}

impl Idle {
    fn is_good(&mut self) -> bool {
        self.since.elapsed() < self.limit && self.connection.wire.is_silent()
    }
}

impl Pool {
    /// The connections to this endpoint.
    pub(super) fn shelf(&self, endpoint: &Endpoint) -> Rc<Shelf> {
        let mut shelves = self.0.borrow_mut();
        if let Some(shelf) = shelves.get(endpoint) {
            return Rc::clone(shelf);
        }
        Rc::clone(shelves.entry(endpoint.clone()).or_default())
    }

    /// Drops connections that were closed or idle for too long.
    pub(super) fn sweep(&self) {
        self.0.borrow_mut().retain(|_, shelf| {
            shelf.0.borrow_mut().retain_mut(Idle::is_good);
            !shelf.0.borrow().is_empty() || Rc::strong_count(shelf) > 1
        });
    }
}

impl Shelf {
    /// The connection that was used last; one of a moment ago if the request cannot be repeated.
    pub(super) fn take(&self, is_repeatable: bool) -> Option<Box<Connection>> {
        let mut idle = self.0.borrow_mut();
        loop {
            let mut last = idle.pop()?;
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

    pub(super) fn put(&self, mut connection: Box<Connection>, limit: Duration) {
        let mut idle = self.0.borrow_mut();
        if idle.len() < MAX_IDLE && !limit.is_zero() && connection.wire.input.is_empty() {
            connection.output.rest();
            connection.wire.rest();
            idle.push(Idle { connection, since: Instant::now(), limit });
        }
    }
}

/// How long a connection may be idle behind an answer with these headers.
pub(super) fn idle_time(headers: &HeaderMap) -> Duration {
    headers.get(KEEP_ALIVE).and_then(promised).unwrap_or(MAX_IDLE_TIME).min(MAX_IDLE_TIME)
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
