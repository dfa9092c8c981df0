//! Redis, or a server of its protocol: what several nodes share.
//!
//! Every worker has one [`Link`] of its own: a connection that all its requests use at once, pipelined.
//! A task of the worker's own runtime keeps it connected; requests never wait for that. While there is
//! no connection a call fails at once, and one that is not answered takes [`Settings::timeout`] at most,
//! and only the first few: then the link counts as down until the server answers again.
//!
//! **Invariant:** a password is in no log line, error message or `Debug` output.

mod channel;
mod connect;
mod figures;
mod hash;
mod link;
mod script;
mod settings;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Instant,
};

use tokio::time::timeout;
use tracing::{info, warn};

use self::connect::{Connection, reason};

pub use self::{
    channel::{Channel, Heard, Message},
    figures::Totals,
    link::{Failure, Link},
    settings::{Address, Credentials, Sentinel, Servers, Settings, Tls},
};
pub(crate) use self::{hash::Scanned, script::Script};

/// A deployment of Redis, and how all connections to it are doing.
#[derive(Debug)]
pub struct Redis {
    settings: Settings,
    credentials: Mutex<Credentials>,
    status: Mutex<Status>,
}

#[derive(Debug, Default)]
struct Status {
    links: Vec<Weak<Link>>,
    /// Why, and since when; nothing while all connections work.
    down: Option<(String, Instant)>,
}

/// Whether Redis can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// All connections work.
    Up,
    /// At least one does not.
    Down {
        /// Why.
        reason: String,
    },
}

impl Redis {
    /// Nothing is connected yet.
    #[must_use]
    pub fn new(settings: Settings, credentials: Credentials) -> Self {
        Self { settings, credentials: Mutex::new(credentials), status: Mutex::default() }
    }

    /// The settings.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Connections that are made from now on use these.
    pub fn set_credentials(&self, credentials: Credentials) {
        *self.credentials.lock().unwrap_or_else(PoisonError::into_inner) = credentials;
    }

    /// One more link; whoever has it must poll [`Link::keep`].
    #[must_use]
    pub fn link(self: &Arc<Self>) -> Arc<Link> {
        let link = Arc::new(Link::new(Arc::clone(self)));
        self.status().links.push(Arc::downgrade(&link));
        link
    }

    /// Tries once whether Redis can be used.
    ///
    /// # Errors
    /// Why it cannot.
    pub async fn check(&self) -> Result<(), String> {
        self.connect(0, || {}).await.map(|_| ())
    }

    /// How it is doing.
    #[must_use]
    pub fn condition(&self) -> Condition {
        match &self.status().down {
            None => Condition::Up,
            Some((reason, _)) => Condition::Down { reason: reason.clone() },
        }
    }

    /// What all connections have done so far.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        self.status()
            .links
            .iter()
            .filter_map(Weak::upgrade)
            .for_each(|link| link.figures().add_to(&mut totals));
        totals
    }

    fn credentials(&self) -> Credentials {
        self.credentials.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn connect(
        &self,
        attempt: usize,
        lost: impl Fn() + Send + Sync + 'static,
    ) -> Result<Connection, String> {
        let credentials = self.credentials();
        let connecting = Connection::open(&self.settings, &credentials, attempt, lost);
        match timeout(self.settings.connect_timeout, connecting).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(reason(&error)),
            Err(_) => Err("did not answer in time".into()),
        }
    }

    /// Takes down that a link works no more, or could not be made to work.
    fn link_is_down(&self, reason: &str) {
        let mut status = self.status();
        let is_news = status.down.is_none();
        let since = status.down.as_ref().map_or_else(Instant::now, |(_, since)| *since);
        status.down = Some((reason.to_owned(), since));
        drop(status);
        if is_news {
            warn!(reason, "{} cannot be used", self.settings.servers);
        }
    }

    /// Takes down that a link works.
    fn link_is_up(&self) {
        let mut status = self.status();
        if !status.links.iter().filter_map(Weak::upgrade).all(|link| link.is_up()) {
            return;
        }
        let Some((_, since)) = status.down.take() else { return };
        drop(status);
        info!(seconds = since.elapsed().as_secs(), "{} can be used again", self.settings.servers);
    }

    fn status(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
