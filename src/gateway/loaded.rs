//! What a gateway has loaded, and the one step that serves something else.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use arc_swap::{ArcSwap, Guard};
use tokio::{runtime::Handle, task::spawn_blocking, time::sleep};

use super::{
    compile::Snapshot,
    control::Control,
    documents::{Documents, Parsed},
    watched::Files,
};
use crate::{
    config::{Config, Waiting},
    document::Findings,
    jwks::Registry,
    secrets::Values,
};

/// How long the first requests wait for keys that are not there yet.
pub(super) const PREFETCH: Duration = Duration::from_secs(3);
/// How often it is looked whether an old snapshot is used still.
const RETIRING: Duration = Duration::from_secs(1);

/// What is served, as it is written: whoever only looks at it waits for nobody.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) config: Arc<Config>,
    pub(super) documents: Arc<Documents>,
}

impl Source {
    /// What it says with these values, which are fetched as they are asked for; nothing if one of its documents has
    /// an error.
    pub(super) async fn resolve(&self, values: &Values) -> (Option<Parsed>, Findings) {
        self.documents.resolve(&self.config, values).await
    }
}

/// What is served. Only [`Control::serve`] puts something else in its place, and only for whoever has [`Loaded`].
#[derive(Debug)]
pub(super) struct Served {
    published: Arc<ArcSwap<Snapshot>>,
    source: ArcSwap<Source>,
    loaded: Mutex<Loaded>,
}

/// What the snapshot that is served was compiled from, and what has become of that since. Whoever reads, compiles
/// or writes documents has it to himself meanwhile, so that an older state of them cannot replace a newer one.
#[derive(Debug)]
pub(super) struct Loaded {
    source: Arc<Source>,
    values: Arc<Values>,
    /// Newer values that could not be used.
    pub(super) refused: Option<Arc<Values>>,
    /// The APIs that the control API has taken away since; they are served still.
    pub(super) removed: BTreeSet<String>,
    /// The files that were read last, also when what they said was no good.
    pub(super) files: Files,
    /// The settings that act with a restart, and were told of already.
    pub(super) waiting: Vec<Waiting>,
}

impl Served {
    /// The first that is served.
    pub(super) fn first(source: Source, values: Values, files: Files, snapshot: Snapshot) -> Self {
        let source = Arc::new(source);
        Self {
            published: Arc::new(ArcSwap::from_pointee(snapshot)),
            source: ArcSwap::new(Arc::clone(&source)),
            loaded: Mutex::new(Loaded {
                source,
                values: Arc::new(values),
                refused: None,
                removed: BTreeSet::new(),
                files,
                waiting: Vec::new(),
            }),
        }
    }

    pub(super) fn source(&self) -> Guard<Arc<Source>> {
        self.source.load()
    }

    pub(super) const fn published(&self) -> &Arc<ArcSwap<Snapshot>> {
        &self.published
    }
}

impl Loaded {
    pub(super) const fn source(&self) -> &Arc<Source> {
        &self.source
    }

    pub(super) const fn values(&self) -> &Arc<Values> {
        &self.values
    }
}

impl Control {
    pub(super) fn loaded(&self) -> MutexGuard<'_, Loaded> {
        self.served.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves what a source says with these values, once its keys are there or a moment has passed; tells how many
    /// APIs that are.
    pub(super) fn serve(
        &self,
        loaded: &mut Loaded,
        source: Arc<Source>,
        values: Values,
        parsed: Parsed,
        tasks: &Handle,
    ) -> usize {
        if let Some(redis) = self.redis() {
            redis.set_credentials(parsed.redis_credentials.clone());
        }
        let snapshot = self.shared.compile(parsed, &source.config);
        tasks.block_on(Registry::prefetch(snapshot.sources(None), PREFETCH));
        let apis = snapshot.len();
        self.served.source.store(Arc::clone(&source));
        let old = self.served.published.swap(Arc::new(snapshot));
        tasks.spawn(retire(old));
        loaded.source = source;
        loaded.values = Arc::new(values);
        loaded.refused = None;
        apis
    }
}

/// Drops a snapshot when nobody else uses it any more. That takes a while where there are many APIs, in which no
/// worker may stand still.
async fn retire(snapshot: Arc<Snapshot>) {
    while Arc::strong_count(&snapshot) > 1 {
        sleep(RETIRING).await;
    }
    spawn_blocking(move || drop(snapshot));
}
