//! All remote sources of the process, each once.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, PoisonError, Weak},
    thread,
    time::Duration,
};

use tokio::{runtime, sync::oneshot};

use super::{
    RemoteSource,
    fetch::Fetch,
    refresh::keep_fresh,
    remote::Endpoint,
    source::{Source, wait_for_all},
};

/// Keeps remote sources: one for each place and way to fetch it, refreshed in the background for as long as somebody holds
/// it.
#[derive(Debug)]
pub struct Registry {
    fetch: Arc<dyn Fetch>,
    tasks: Arc<Tasks>,
    sources: Mutex<HashMap<Endpoint, Weak<Source>>>,
}

/// Where sources are refreshed. A thread of its own ends with the last who holds this.
#[derive(Debug)]
pub(super) struct Tasks {
    handle: runtime::Handle,
    _thread: Option<oneshot::Sender<()>>,
}

impl Registry {
    /// Refreshes on the runtime `tasks`, which must have I/O and time enabled.
    #[must_use]
    pub fn new(fetch: Arc<dyn Fetch>, tasks: runtime::Handle) -> Self {
        Self::on(fetch, Tasks { handle: tasks, _thread: None })
    }

    fn on(fetch: Arc<dyn Fetch>, tasks: Tasks) -> Self {
        Self { fetch, tasks: Arc::new(tasks), sources: Mutex::default() }
    }

    /// Refreshes on a thread of its own, whatever runtime the program uses. The thread ends when the
    /// registry and all of its sources are gone.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(fetch: Arc<dyn Fetch>) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (sender, end) = oneshot::channel::<()>();
        // Nothing is ever sent: the sender is dropped.
        thread::Builder::new().name("claimgate-keys".into()).spawn(move || runtime.block_on(end))?;
        Ok(Self::on(fetch, Tasks { handle, _thread: Some(sender) }))
    }

    /// The source at this place; a new one is fetched at once, and until that is done has the keys of one
    /// that goes there in another way. The time to live is that of whoever asked last: who has several
    /// users for one place asks with the shortest.
    #[must_use]
    pub fn remote(&self, remote: &RemoteSource) -> Arc<Source> {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(source) = sources.get(remote.endpoint()).and_then(Weak::upgrade) {
            source.set_time_to_live(remote.time_to_live());
            return source;
        }
        sources.retain(|_, source| source.strong_count() > 0);
        let mut source = Source::remote(remote, Arc::clone(&self.tasks));
        let older = sources.iter().filter(|(known, _)| known.is_as_good_as(remote.endpoint()));
        let older = older.filter_map(|(_, older)| older.upgrade());
        if let Some(older) = older.max_by_key(|older| older.last_good()) {
            source = source.inherit(&older);
        }
        let source = Arc::new(source);
        let weak = Arc::downgrade(&source);
        sources.insert(remote.endpoint().clone(), weak.clone());
        self.tasks.handle.spawn(keep_fresh(weak, Arc::clone(&self.fetch), remote.endpoint().clone()));
        source
    }

    /// Fetches these sources again, and waits until that is done or `limit` has passed. A set is
    /// replaced by what comes; while nothing comes, the last good one stays.
    pub async fn refetch(sources: &[Arc<Source>], limit: Duration) {
        let remotes = sources.iter().filter_map(|source| source.as_remote());
        wait_for_all(remotes.map(|remote| (remote, remote.ask())).collect(), limit).await;
    }

    /// Waits until each of these sources was fetched once, well or badly, or `limit` has passed.
    pub async fn prefetch(sources: impl IntoIterator<Item = Arc<Source>>, limit: Duration) {
        let sources: Vec<_> = sources.into_iter().collect();
        let remotes = sources.iter().filter_map(|source| source.as_remote());
        wait_for_all(remotes.map(|remote| (remote, 1)).collect(), limit).await;
    }
}
