//! All remote sources of the process, each once.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, PoisonError, Weak},
    thread,
    time::Duration,
};

use tokio::{runtime, time::timeout};

use super::{fetch::Fetch, refresh::keep_fresh, source::Source};

/// A key set URL and how long a set is good.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RemoteSource {
    /// Where the set is.
    pub url: String,
    /// How long it is used before it is fetched again; at least a second.
    pub time_to_live: Duration,
}

impl RemoteSource {
    /// How long a set is used if nothing else is said, as in Tyk.
    pub const DEFAULT_TIME_TO_LIVE: Duration = Duration::from_secs(240);
}

/// Keeps remote sources: one for each URL and time to live, refreshed in the background for as long
/// as somebody holds it.
#[derive(Debug)]
pub struct Registry {
    fetch: Arc<dyn Fetch>,
    tasks: runtime::Handle,
    sources: Mutex<HashMap<RemoteSource, Weak<Source>>>,
}

impl Registry {
    /// Refreshes on the runtime `tasks`, which must have I/O and time enabled.
    #[must_use]
    pub fn new(fetch: Arc<dyn Fetch>, tasks: runtime::Handle) -> Self {
        Self { fetch, tasks, sources: Mutex::default() }
    }

    /// Refreshes on a thread of its own, whatever runtime the program uses.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(fetch: Arc<dyn Fetch>) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let tasks = runtime.handle().clone();
        thread::Builder::new()
            .name("claimgate-keys".into())
            .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
        Ok(Self::new(fetch, tasks))
    }

    /// The source for this URL; a new one is fetched at once.
    #[must_use]
    pub fn remote(&self, remote: &RemoteSource) -> Arc<Source> {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(source) = sources.get(remote).and_then(Weak::upgrade) {
            return source;
        }
        sources.retain(|_, source| source.strong_count() > 0);
        let source = Arc::new(Source::remote(&remote.url));
        let weak = Arc::downgrade(&source);
        sources.insert(remote.clone(), weak.clone());
        let (fetch, url) = (Arc::clone(&self.fetch), remote.url.clone());
        self.tasks.spawn(keep_fresh(weak, fetch, url, remote.time_to_live.max(Duration::from_secs(1))));
        source
    }

    /// Waits until each of these sources was fetched once, well or badly, or `limit` has passed.
    pub async fn prefetch(sources: impl IntoIterator<Item = Arc<Source>>, limit: Duration) {
        let all = async {
            for source in sources {
                if let Some(remote) = source.as_remote() {
                    remote.wait_for(1).await;
                }
            }
        };
        let _ = timeout(limit, all).await;
    }
}
