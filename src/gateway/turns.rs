//! Work that many ask for at once, and that is done once for all who wait for it.
//!
//! While it is done for some, whoever asks waits for the next time, together with everybody else who asks until
//! then: what they mean may have come too late for the one that goes on. So one is done and one waits at most.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::{runtime::Handle, sync::watch};

use super::{
    control::Control,
    reload::{Cause, DryRun},
};
use crate::document::Finding;

/// The next time that something is done, if anybody waits for it.
#[derive(Debug)]
pub(super) struct Next<T>(Mutex<Option<watch::Receiver<Option<Arc<T>>>>>);

/// What comes of something that is done for several.
#[derive(Debug)]
pub struct Awaited<T>(watch::Receiver<Option<Arc<T>>>);

/// What is done for several.
#[derive(Debug, Default)]
pub(super) struct Turns {
    reload: Next<Result<(), Vec<Finding>>>,
    dry_run: Next<DryRun>,
}

impl<T> Default for Next<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Awaited<T> {
    /// What came of it; nothing if it came to grief.
    pub async fn done(mut self) -> Option<Arc<T>> {
        self.0.wait_for(Option::is_some).await.ok()?.clone()
    }
}

impl<T: Send + Sync + 'static> Next<T> {
    /// Waits for the coming one. If there is none, `run` does it on a thread that may block, and calls [`Next::begin`]
    /// when it has come so far that it would be too late for others.
    fn ask(&self, tasks: &Handle, run: impl FnOnce() -> T + Send + 'static) -> Awaited<T> {
        let mut coming = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // One that came to grief is none.
        if let Some(coming) = coming.as_ref().filter(|coming| coming.has_changed().is_ok()) {
            return Awaited(coming.clone());
        }
        let (done, awaited) = watch::channel(None);
        *coming = Some(awaited.clone());
        tasks.spawn_blocking(move || done.send_replace(Some(Arc::new(run()))));
        Awaited(awaited)
    }

    /// Whoever asks from now on waits for another one.
    fn begin(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Control {
    /// Has everything read again, as [`Control::reload`] does, for all who ask before that begins.
    pub fn ask_reload(self: &Arc<Self>, tasks: &Handle) -> Awaited<Result<(), Vec<Finding>>> {
        let (own, handle) = (Arc::clone(self), tasks.clone());
        self.turns.reload.ask(tasks, move || {
            let mut loaded = own.loaded();
            own.turns.reload.begin();
            own.reload_held(&mut loaded, Cause::Request, &handle)
        })
    }

    /// What a reload would do, for all who ask before it is tried. Nothing changes, and nothing is told in the log.
    pub fn ask_dry_run(self: &Arc<Self>, tasks: &Handle) -> Awaited<DryRun> {
        let (own, handle) = (Arc::clone(self), tasks.clone());
        self.turns.dry_run.ask(tasks, move || own.dry_run(|| own.turns.dry_run.begin(), &handle))
    }
}
