//! Watching the files that the gateway was loaded from.
//!
//! The system tells when something happens in a folder; that is only a hint to look. Where it tells nothing, as
//! on file systems of a network, the files are looked at once in a while all the same.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode},
};
use tokio::{
    runtime::Handle,
    sync::Notify,
    task::spawn_blocking,
    time::{Instant, sleep, timeout},
};
use tracing::{error, warn};

use crate::gateway::{Cause, Control, Hints};

/// How long nothing must happen before files are read: whoever writes several is to be done.
const QUIET: Duration = Duration::from_millis(250);
/// And how long that is waited for.
const MAX_WAIT: Duration = Duration::from_secs(2);

/// Reloads when a file has changed, and looks at least once in this time. Never ends.
pub(super) async fn files(control: Arc<Control>, interval: Duration) {
    let mut folders = Folders::new();
    loop {
        // In a folder that is new something may have happened before it was watched. And where nobody tells,
        // there is the interval.
        let hints = blocking(&control, |control, _| control.watch_hints()).await;
        let is_new = hints.is_some_and(|hints| folders.watch(hints));
        if !is_new && timeout(interval, folders.happened.notified()).await.is_ok() {
            settle(&folders.happened).await;
        }
        let looked = blocking(&control, |control, tasks| {
            if control.is_ready() && control.has_changed() {
                // What is wrong is in the log, and the old documents go on.
                let _ = control.reload(Cause::Watch, tasks);
            }
        });
        if looked.await.is_none() {
            sleep(interval).await;
        }
    }
}

/// What may wait for a reload that goes on, on a thread of its own; nothing if that has come to grief.
async fn blocking<T: Send + 'static>(
    control: &Arc<Control>,
    run: impl FnOnce(&Control, &Handle) -> T + Send + 'static,
) -> Option<T> {
    let (control, tasks) = (Arc::clone(control), Handle::current());
    let result = spawn_blocking(move || run(&control, &tasks)).await;
    result.inspect_err(|error| error!(%error, "files could not be read again")).ok()
}

/// Waits until nothing happens any more.
async fn settle(happened: &Notify) {
    let deadline = Instant::now() + MAX_WAIT;
    while Instant::now() < deadline && timeout(QUIET, happened.notified()).await.is_ok() {}
}

/// The folders that the system tells about.
struct Folders {
    /// Nothing where the system has no more watches to give.
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
    /// What counts of all that happens there.
    hints: Arc<ArcSwap<Hints>>,
    happened: Arc<Notify>,
}

impl Folders {
    fn new() -> Self {
        let happened = Arc::new(Notify::new());
        let hints: Arc<ArcSwap<Hints>> = Arc::default();
        let (own, known) = (Arc::clone(&happened), Arc::clone(&hints));
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // An error is that events were lost: look.
            if event.as_ref().map_or(true, |event| is_hint(event, &known.load())) {
                own.notify_one();
            }
        });
        let watcher = watcher
            .inspect_err(
                |error| warn!(%error, "files are only looked at once in a while: see the setting watch"),
            )
            .ok();
        Self { watcher, watched: BTreeSet::new(), hints, happened }
    }

    /// Watches for these from now on, and for no others. Tells whether there is a folder that was not watched
    /// before.
    fn watch(&mut self, hints: Hints) -> bool {
        let Some(watcher) = &mut self.watcher else { return false };
        let folders = hints.folders();
        self.hints.store(Arc::new(hints));
        for gone in self.watched.difference(&folders) {
            let _ = watcher.unwatch(gone);
        }
        // Also those that are watched already: one of them may be another folder of that name by now. One that
        // cannot be watched is looked at.
        for folder in &folders {
            let _ = watcher.watch(folder, RecursiveMode::NonRecursive);
        }
        let is_new = !folders.is_subset(&self.watched);
        self.watched = folders;
        is_new
    }
}

/// Whether it may be about one of our files.
fn is_hint(event: &Event, hints: &Hints) -> bool {
    let is_lost = event.need_rescan() || event.paths.is_empty();
    !is_reading(event.kind) && (is_lost || event.paths.iter().any(|path| hints.concern(path)))
}

/// Whether somebody has only read: we do so ourselves.
const fn is_reading(kind: EventKind) -> bool {
    matches!(kind, EventKind::Access(access) if !matches!(access, AccessKind::Close(AccessMode::Write)))
}
