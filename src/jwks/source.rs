//! One place where keys come from.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::{ArcSwapOption, Guard};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, timeout},
};

use super::{RemoteSource, registry::Tasks, remote::Location};
use crate::jwt::KeySet;

/// At most one fetch in this time is caused by key ids that a source does not know.
pub const COOL_DOWN: Duration = Duration::from_secs(1);

/// A place where keys come from: fixed, or fetched and refreshed.
#[derive(Debug)]
pub struct Source {
    /// What it is called in logs.
    name: String,
    keys: ArcSwapOption<KeySet>,
    /// Grows whenever other keys are in use, so that a verdict that rests on the old ones is seen
    /// to be stale.
    generation: AtomicU64,
    remote: Option<Remote>,
}

/// What a request and the refreshing task share.
#[derive(Debug)]
pub(super) struct Remote {
    /// What refreshes this source lives as long as it.
    _tasks: Arc<Tasks>,
    is_discovered: bool,
    time_to_live: Mutex<Duration>,
    pub(super) wake: Arc<Notify>,
    /// How many fetches have begun, and how many of them have ended.
    begun: AtomicU64,
    ended: watch::Sender<u64>,
    asked: Mutex<Asked>,
    history: Mutex<History>,
}

/// What an operator wants to know.
#[derive(Debug, Default)]
struct History {
    /// The last good fetch.
    good: Option<Instant>,
    /// When the next fetch begins, unless somebody asks for it earlier.
    next: Option<Instant>,
    fault: Option<(Instant, String)>,
    /// When the first fetch failed since the last good one.
    failing_since: Option<Instant>,
    faults: u64,
}

/// How a remote source is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceStatus {
    /// Whether there are keys, and whether they are fresh.
    pub state: SourceState,
    /// Since the last good fetch.
    pub age: Option<Duration>,
    /// Until the next fetch; nothing while one is under way.
    pub next: Option<Duration>,
    /// Why the last fetch that failed did, and how long ago that was.
    pub last_fault: Option<(Duration, String)>,
    /// How many fetches failed so far.
    pub faults: u64,
}

/// Whether a remote source has keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceState {
    /// Nothing was fetched yet.
    Pending,
    /// The last fetch brought a good set.
    Fresh,
    /// The source fails, and its last good set is in use.
    Stale,
    /// The source has keys, and none of them can be used.
    Unusable,
    /// The source fails, and there are no keys.
    Unavailable,
}

impl SourceState {
    /// What the control API calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::Unusable => "unusable",
            Self::Unavailable => "unavailable",
        }
    }
}

/// The fetch that was last asked for because of an unknown key id.
#[derive(Debug, Default)]
struct Asked {
    at: Option<Instant>,
    number: u64,
}

impl Source {
    /// Keys from the configuration.
    #[must_use]
    pub fn fixed(name: impl Into<String>, keys: Arc<KeySet>) -> Self {
        Self {
            name: name.into(),
            keys: ArcSwapOption::new(Some(keys)),
            generation: AtomicU64::new(1),
            remote: None,
        }
    }

    pub(super) fn remote(remote: &RemoteSource, tasks: Arc<Tasks>) -> Self {
        let name = remote.name();
        let is_discovered = matches!(remote.endpoint().location, Location::Issuer(_));
        let remote = Remote {
            _tasks: tasks,
            is_discovered,
            time_to_live: Mutex::new(remote.time_to_live()),
            wake: Arc::new(Notify::new()),
            begun: AtomicU64::new(0),
            ended: watch::Sender::new(0),
            asked: Mutex::default(),
            history: Mutex::default(),
        };
        Self { name, keys: ArcSwapOption::empty(), generation: AtomicU64::new(0), remote: Some(remote) }
    }

    /// What the source is called: its URL without query, its issuer, or its place in the configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether its keys are where the metadata of an issuer says; its name is that issuer then.
    #[must_use]
    pub const fn is_discovered(&self) -> bool {
        matches!(&self.remote, Some(remote) if remote.is_discovered)
    }

    /// The keys in use; nothing before the first good fetch.
    #[must_use]
    pub fn keys(&self) -> Guard<Option<Arc<KeySet>>> {
        self.keys.load()
    }

    /// How a remote source is doing; nothing for keys from the configuration.
    #[must_use]
    pub fn status(&self) -> Option<SourceStatus> {
        let history = self.remote.as_ref()?.history();
        let now = Instant::now();
        let keys = self.keys();
        let state = match (keys.as_ref().map(|keys| keys.keys().is_empty()), history.failing_since.is_some())
        {
            (Some(true), _) => SourceState::Unusable,
            (Some(false), true) => SourceState::Stale,
            (Some(false), false) => SourceState::Fresh,
            (None, true) => SourceState::Unavailable,
            (None, false) => SourceState::Pending,
        };
        Some(SourceStatus {
            state,
            age: history.good.map(|at| now.duration_since(at)),
            next: history.next.map(|at| at.saturating_duration_since(now)),
            last_fault: history.fault.as_ref().map(|(at, why)| (now.duration_since(*at), why.clone())),
            faults: history.faults,
        })
    }

    /// The number of times that other keys came into use.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Takes new keys into use, unless they are the ones in use.
    pub(super) fn replace(&self, keys: Option<KeySet>) {
        let same = match (&*self.keys.load(), &keys) {
            (Some(old), Some(new)) => old.same_keys(new),
            (None, None) => true,
            _ => false,
        };
        if !same {
            self.keys.store(keys.map(Arc::new));
            self.generation.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// When a good set was fetched last.
    pub(super) fn last_good(&self) -> Option<Instant> {
        self.remote.as_ref()?.history().good
    }

    /// Begins with the good set of an older source, and with what is known of it: another way to the same
    /// place must not cost the keys if the place cannot be reached right now.
    pub(super) fn inherit(self, older: &Self) -> Self {
        let (Some(remote), Some(old)) = (&self.remote, &older.remote) else { return self };
        let keys = older.keys();
        if keys.as_ref().is_none_or(|keys| keys.keys().is_empty()) {
            return self;
        }
        self.keys.store(Guard::into_inner(keys));
        {
            let (mut own, old) = (remote.history(), old.history());
            (own.good, own.failing_since) = (old.good, old.failing_since);
        }
        self
    }

    pub(super) const fn as_remote(&self) -> Option<&Remote> {
        self.remote.as_ref()
    }

    /// Sets how long a set is used from now on.
    pub(super) fn set_time_to_live(&self, time: Duration) {
        let Some(remote) = &self.remote else { return };
        let mut time_to_live = remote.time_to_live.lock().unwrap_or_else(PoisonError::into_inner);
        let is_shorter = time < *time_to_live;
        *time_to_live = time;
        // The pause that is under way was meant for longer.
        if is_shorter && *remote.ended.borrow() > 0 {
            remote.wake.notify_one();
        }
    }
}

impl Remote {
    pub(super) fn begin(&self) -> u64 {
        self.history().next = None;
        self.begun.fetch_add(1, Ordering::AcqRel).saturating_add(1)
    }

    /// The fetch of this number has ended; the next begins after this pause.
    pub(super) fn end(&self, number: u64, pause: Duration) {
        self.history().next = Instant::now().checked_add(pause);
        self.ended.send_replace(number);
    }

    pub(super) fn note_success(&self) {
        let mut history = self.history();
        history.good = Some(Instant::now());
        history.failing_since = None;
    }

    /// Gives how long the source has been failing.
    pub(super) fn note_fault(&self, reason: String) -> Duration {
        let mut history = self.history();
        let now = Instant::now();
        history.fault = Some((now, reason));
        history.faults = history.faults.saturating_add(1);
        now.duration_since(*history.failing_since.get_or_insert(now))
    }

    /// How long it is until the next fetch begins; nothing while one is under way.
    pub(super) fn until_next(&self) -> Duration {
        let next = self.history().next;
        next.map_or(Duration::ZERO, |at| at.saturating_duration_since(Instant::now()))
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn time_to_live(&self) -> Duration {
        *self.time_to_live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a fetch that begins after this moment; gives its number.
    pub(super) fn ask(&self) -> u64 {
        let number = self.begun.load(Ordering::Acquire).saturating_add(1);
        self.wake.notify_one();
        number
    }

    /// Asks for a fetch because of an unknown key id. Nothing, while the cool-down lasts and no
    /// fetch that was asked for is under way.
    pub(super) fn ask_for_unknown(&self) -> Option<u64> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if asked.at.is_none_or(|at| now.duration_since(at) >= COOL_DOWN) {
            *asked = Asked { at: Some(now), number: self.ask() };
            return Some(asked.number);
        }
        (*self.ended.borrow() < asked.number).then_some(asked.number)
    }

    /// Waits until the fetch with this number, or a later one, has ended.
    async fn wait_for(&self, number: u64) {
        let mut ended = self.ended.subscribe();
        // The sender lives as long as `self`.
        let _ = ended.wait_for(|ended| *ended >= number).await;
    }
}

/// Waits until the fetches with these numbers, or later ones, have ended, or `limit` has passed.
pub(super) async fn wait_for_all(fetches: Vec<(&Remote, u64)>, limit: Duration) {
    let all = async {
        for (remote, number) in fetches {
            remote.wait_for(number).await;
        }
    };
    let _ = timeout(limit, all).await;
}

impl Drop for Source {
    fn drop(&mut self) {
        if let Some(remote) = &self.remote {
            // The refreshing task looks up, finds its source gone, and ends.
            remote.wake.notify_one();
        }
    }
}
