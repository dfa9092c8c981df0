//! The idle connections of one worker.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    time::Duration,
};

use hyper::client::conn::http1::SendRequest;
use tokio::time::Instant;

use super::{
    Endpoint,
    client_body::{ClientBody, Progress},
};

/// Idle connections that are kept for one endpoint.
const MAX_IDLE: usize = 1024;
/// How long a connection may be idle. Servers commonly close theirs after 60 seconds or more.
const MAX_IDLE_TIME: Duration = Duration::from_secs(50);

type Connections = HashMap<Endpoint, Vec<Idle>, foldhash::fast::RandomState>;

/// Connections that wait for a request, newest last.
#[derive(Debug, Default)]
pub(super) struct Pool(RefCell<Connections>);

#[derive(Debug)]
struct Idle {
    connection: SendRequest<ClientBody>,
    since: Instant,
}

/// A connection while an answer comes over it.
#[derive(Debug)]
pub(super) struct Lease {
    pool: Rc<Pool>,
    endpoint: Endpoint,
    connection: SendRequest<ClientBody>,
    request: Rc<Cell<Progress>>,
}

impl Pool {
    /// The connection to this endpoint that was used last.
    pub(super) fn take(&self, endpoint: &Endpoint) -> Option<SendRequest<ClientBody>> {
        let mut connections = self.0.borrow_mut();
        let idle = connections.get_mut(endpoint)?;
        loop {
            let Idle { connection, since } = idle.pop()?;
            if !connection.is_closed() && since.elapsed() < MAX_IDLE_TIME {
                return Some(connection);
            }
        }
    }

    fn put(&self, endpoint: Endpoint, connection: SendRequest<ClientBody>) {
        let mut connections = self.0.borrow_mut();
        let idle = connections.entry(endpoint).or_default();
        if idle.len() < MAX_IDLE && !connection.is_closed() {
            idle.push(Idle { connection, since: Instant::now() });
        }
    }

    /// Drops connections that were closed or idle for too long.
    pub(super) fn sweep(&self) {
        self.0.borrow_mut().retain(|_, idle| {
            idle.retain(|idle| !idle.connection.is_closed() && idle.since.elapsed() < MAX_IDLE_TIME);
            !idle.is_empty()
        });
    }
}

impl Lease {
    pub(super) const fn new(
        pool: Rc<Pool>,
        endpoint: Endpoint,
        connection: SendRequest<ClientBody>,
        request: Rc<Cell<Progress>>,
    ) -> Self {
        Self { pool, endpoint, connection, request }
    }

    /// The answer has ended. A connection on which the request is still being sent cannot take
    /// another one, and is closed.
    pub(super) fn give_back(self) {
        if self.request.get() == Progress::Sent {
            self.pool.put(self.endpoint, self.connection);
        }
    }
}
