//! The connection of one worker: kept by a task, used by requests, which never wait for it.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use ::redis::{Cmd, ErrorKind, RedisError, ServerErrorKind, Value};
use arc_swap::ArcSwapOption;
use tokio::{
    sync::{Notify, watch},
    time::{sleep, timeout},
};

use super::{
    Redis,
    connect::{Connection, reason},
    figures::{Figures, Outcome},
};

/// How often an idle connection is tried.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(1);
/// So many calls without an answer within [`STRIKES_WITHIN`] mean that the server hangs.
const STRIKES: u64 = 3;
const STRIKES_WITHIN: Duration = Duration::from_secs(1);
/// The pause after the first attempt to connect that failed, doubled for each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// A connection that worked for so long is followed by a new one at once.
const PROVEN: Duration = Duration::from_secs(5);

/// The connection of one worker.
pub struct Link {
    redis: Arc<Redis>,
    /// Nothing while it does not work.
    connection: ArcSwapOption<Connection>,
    /// Tells the keeper that the connection is no good.
    lost: Arc<Notify>,
    /// Whether connecting was tried at all.
    tried: watch::Sender<bool>,
    strikes: Strikes,
    figures: Figures,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Failure {
    /// There is no connection; nothing was sent.
    Down,
    /// None came in time. It is not known what the server did.
    TimedOut,
    /// The server says no, or the connection broke off.
    Error(RedisError),
    /// Nothing was sent: the message is longer than nodes read, or none.
    Unsayable,
}

impl Link {
    pub(super) fn new(redis: Arc<Redis>) -> Self {
        Self {
            redis,
            connection: ArcSwapOption::empty(),
            lost: Arc::default(),
            tried: watch::Sender::new(false),
            strikes: Strikes::default(),
            figures: Figures::default(),
        }
    }

    /// Whether it works, as far as is known.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.connection.load().is_some()
    }

    /// What it leads to.
    #[must_use]
    pub fn redis(&self) -> &Redis {
        &self.redis
    }

    pub(super) const fn figures(&self) -> &Figures {
        &self.figures
    }

    /// Waits until connecting was tried once, with or without success.
    pub async fn tried(&self) {
        // It cannot be closed while there is this link.
        let _ = self.tried.subscribe().wait_for(|tried| *tried).await;
    }

    /// Sends a command.
    ///
    /// # Errors
    /// [`Failure`], at once if there is no connection, else after [`super::Settings::timeout`] at most.
    pub async fn call(&self, command: &Cmd) -> Result<Value, Failure> {
        self.call_within(command, self.redis.settings.timeout).await
    }

    /// The same for what is no request's: it may take longer.
    ///
    /// # Errors
    /// [`Failure`], at once if there is no connection, else after `limit` at most.
    pub async fn call_within(&self, command: &Cmd, limit: Duration) -> Result<Value, Failure> {
        let Some(connection) = self.connection.load_full() else { return Err(Failure::Down) };
        let start = Instant::now();
        let answered = timeout(limit, connection.send(command)).await;
        let outcome = match &answered {
            Ok(Ok(_)) => Outcome::Answered,
            Ok(Err(error)) if is_script_unknown(error) => Outcome::Answered,
            Ok(Err(_)) => Outcome::Failed,
            Err(_) => Outcome::TimedOut,
        };
        self.figures.note(outcome, start.elapsed());
        match answered {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                let is_final = is_final(&error, connection.is_cluster());
                if is_final || (error.is_io_error() && self.strikes.add(start)) {
                    self.give_up(&connection, &reason(&error));
                }
                Err(Failure::Error(error))
            }
            Err(_) => {
                if self.strikes.add(start) {
                    self.give_up(&connection, "does not answer in time");
                }
                Err(Failure::TimedOut)
            }
        }
    }

    /// Whoever calls from now on fails at once; the keeper connects anew.
    fn give_up(&self, connection: &Arc<Connection>, reason: &str) {
        // It may have been replaced while somebody waited for an answer from it.
        let current = self.connection.load_full();
        if current.is_some_and(|current| Arc::ptr_eq(&current, connection)) {
            self.connection.store(None);
            self.redis.link_is_down(reason);
            self.lost.notify_one();
        }
    }

    /// Keeps it connected, for ever.
    pub async fn keep(&self) {
        let mut failures: u32 = 0;
        loop {
            let lost = Arc::clone(&self.lost);
            let attempt = usize::try_from(failures).unwrap_or_default();
            match self.redis.connect(attempt, move || lost.notify_one()).await {
                Ok(connection) => {
                    let since = Instant::now();
                    self.watch(Arc::new(connection)).await;
                    failures = if since.elapsed() > PROVEN { 0 } else { failures.saturating_add(1) };
                }
                Err(reason) => {
                    self.redis.link_is_down(&reason);
                    failures = failures.saturating_add(1);
                }
            }
            self.tried.send_replace(true);
            if failures > 0 {
                sleep(pause(failures, fastrand::f64())).await;
            }
        }
    }

    /// Lends a connection to requests until it is no good any more.
    async fn watch(&self, connection: Arc<Connection>) {
        self.strikes.forget();
        self.connection.store(Some(Arc::clone(&connection)));
        self.tried.send_replace(true);
        self.redis.link_is_up();
        loop {
            tokio::select! {
                () = self.lost.notified() => {
                    // An older connection may have told so.
                    if !self.is_up() || !self.answers(&connection).await {
                        break;
                    }
                }
                () = sleep(HEARTBEAT) => {
                    if !self.answers(&connection).await {
                        break;
                    }
                }
            }
        }
        self.give_up(&connection, "does not answer");
    }

    async fn answers(&self, connection: &Connection) -> bool {
        let patience = self.redis.settings.timeout.max(HEARTBEAT);
        matches!(timeout(patience, connection.ping()).await, Ok(Ok(())))
    }
}

/// Calls without an answer, so far.
#[derive(Debug)]
struct Strikes {
    origin: Instant,
    /// When they began to be counted, in milliseconds since the origin.
    since: AtomicU64,
    number: AtomicU64,
}

impl Default for Strikes {
    fn default() -> Self {
        Self { origin: Instant::now(), since: AtomicU64::new(0), number: AtomicU64::new(0) }
    }
}

impl Strikes {
    /// Takes down one; tells whether there were too many of late. One thread calls this, so nothing is
    /// lost between the two numbers.
    fn add(&self, now: Instant) -> bool {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let now = millis(now.saturating_duration_since(self.origin));
        let since = self.since.load(Ordering::Relaxed);
        if self.number.load(Ordering::Relaxed) == 0 || now.saturating_sub(since) > millis(STRIKES_WITHIN) {
            self.since.store(now, Ordering::Relaxed);
            self.number.store(0, Ordering::Relaxed);
        }
        self.number.fetch_add(1, Ordering::Relaxed).saturating_add(1) >= STRIKES
    }

    fn forget(&self) {
        self.number.store(0, Ordering::Relaxed);
    }
}

/// Whether an error says that no call over this connection will do any better.
fn is_final(error: &RedisError, is_cluster: bool) -> bool {
    match error.kind() {
        ErrorKind::Server(kind) => matches!(
            kind,
            ServerErrorKind::ReadOnly
                | ServerErrorKind::BusyLoading
                | ServerErrorKind::MasterDown
                | ServerErrorKind::ClusterDown
        ),
        ErrorKind::AuthenticationFailed | ErrorKind::ClusterConnectionNotFound => true,
        // Of a cluster it is one of several connections.
        _ => !is_cluster && error.is_unrecoverable_error(),
    }
}

/// A server that has started anew does not know our scripts; whoever calls sends them again.
pub(super) fn is_script_unknown(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

/// How long to wait after so many failures: twice as long each time, and not all workers at once.
pub(super) fn pause(failures: u32, random: f64) -> Duration {
    let doubled =
        FIRST_PAUSE.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
    doubled.min(LONGEST_PAUSE).mul_f64(0.5 + random / 2.0)
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("is_up", &self.is_up()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_are_bounded() {
        let millis = |failures| (pause(failures, 0.0).as_millis(), pause(failures, 1.0).as_millis());
        assert_eq!(
            [millis(1), millis(2), millis(3), millis(6), millis(7), millis(40), millis(u32::MAX)],
            [(10, 20), (20, 40), (40, 80), (320, 640), (500, 1000), (500, 1000), (500, 1000)]
        );
    }

    #[test]
    fn a_few_late_answers_are_no_outage() {
        let strikes = Strikes::default();
        let at = |millis| strikes.origin + Duration::from_millis(millis);
        assert_eq!([strikes.add(at(0)), strikes.add(at(900))], [false, false]);
        assert_eq!(
            [strikes.add(at(1_001)), strikes.add(at(1_500)), strikes.add(at(2_000))],
            [false, false, true]
        );
        strikes.forget();
        assert!(!strikes.add(at(2_001)));
    }
}
