//! References whose values change while the gateway runs.

use std::{
    collections::BTreeMap,
    slice,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::runtime::Handle;
use tracing::{error, info, warn};

use super::{
    control::{Control, tell},
    documents::Parsed,
    loaded::Loaded,
};
use crate::secrets::{Unresolved, Values};

/// How many references a line of the log names.
const MAX_NAMED: usize = 5;
/// How many of the values that changed at once are tried to be left out.
const MAX_SUSPECTS: usize = 32;

/// What is known of the references in use, for whoever operates the gateway. No value is in it.
#[derive(Debug, Default)]
pub(super) struct References(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    written: Vec<String>,
    failing: BTreeMap<String, Failure>,
    resolved: Option<Instant>,
}

#[derive(Clone, Debug)]
struct Failure {
    reason: Unresolved,
    since: Instant,
}

/// One reference in use.
#[derive(Clone, Debug)]
pub struct ReferenceState {
    /// How it is written.
    pub written: String,
    /// Why it could not be resolved again, and for how long; its last value goes on.
    pub failing: Option<(Unresolved, Duration)>,
}

impl Control {
    /// The references in use, and how long ago they were resolved.
    #[must_use]
    pub fn references(&self) -> (Vec<ReferenceState>, Option<Duration>) {
        let state = self.references.state();
        let of = |written: &String| ReferenceState {
            written: written.clone(),
            failing: state.failing.get(written).map(|f| (f.reason.clone(), f.since.elapsed())),
        };
        (state.written.iter().map(of).collect(), state.resolved.map(|at| at.elapsed()))
    }

    /// Resolves the references in use again, and compiles the documents anew, as they were read, when a
    /// value has changed. While a store fails its last values go on, and so does what is served when
    /// the new values are not good. Must be called on a thread that may block.
    pub fn refresh_references(&self, tasks: &Handle) {
        let mut loaded = self.loaded();
        if loaded.values().written().is_empty() {
            return;
        }
        let (values, failing) = tasks.block_on(loaded.values().fetch_again());
        if !self.is_ready() {
            // The gateway ends, and with it what was being fetched: that is no failure.
            return;
        }
        self.references.note(&failing);
        let changed = values.changed_since(loaded.values());
        // What was no good is not tried, and told, again.
        let known = loaded.refused.as_ref().is_some_and(|refused| values.changed_since(refused).is_empty());
        if changed.is_empty() || known {
            return;
        }
        let (parsed, findings) = tasks.block_on(loaded.source().resolve(&values));
        if let Some(parsed) = parsed {
            let source = Arc::clone(loaded.source());
            self.serve(&mut loaded, source, values, parsed, tasks);
            info!(references = named(&changed), "values have changed and are in use");
            return;
        }
        tell(&findings.sorted());
        let without = loaded.without_one(&values, &changed, tasks);
        let bad = without.as_ref().map_or(&*changed, |without| slice::from_ref(without.bad));
        error!(references = named(bad), "values have changed and cannot be used; the last ones go on");
        if let Some(Without { parsed, values, bad }) = without {
            let source = Arc::clone(loaded.source());
            self.serve(&mut loaded, source, values, parsed, tasks);
            let others: Vec<String> = changed.iter().filter(|written| *written != bad).cloned().collect();
            info!(references = named(&others), "values have changed and are in use");
        }
        loaded.refused = Some(values);
    }
}

impl Loaded {
    /// What is served if one of the changed values is no good, and the others are: it must not hold them up,
    /// for one of them may take the place of a key that has leaked.
    fn without_one<'c>(&self, values: &Values, changed: &'c [String], tasks: &Handle) -> Option<Without<'c>> {
        let suspects = if changed.len() > 1 { changed } else { &[] };
        suspects.iter().take(MAX_SUSPECTS).find_map(|bad| {
            let values = values.keeping(bad, self.values());
            let (parsed, _) = tasks.block_on(self.source().resolve(&values));
            Some(Without { parsed: parsed?, values, bad })
        })
    }
}

/// What the documents say with changed values, but for one of them.
struct Without<'c> {
    parsed: Parsed,
    values: Values,
    /// How the reference is written whose last value goes on.
    bad: &'c String,
}

impl References {
    /// What was loaded; all of it has a value.
    pub(super) fn replace(&self, written: Vec<String>) {
        *self.state() = State { written, failing: BTreeMap::new(), resolved: Some(Instant::now()) };
    }

    /// Takes down what failed, and tells what did not fail before, or does no more.
    fn note(&self, failures: &[(String, Unresolved)]) {
        let now = Instant::now();
        let mut state = self.state();
        let before = std::mem::take(&mut state.failing);
        let mut new: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (written, reason) in failures {
            let since = before.get(written).map_or(now, |failure| failure.since);
            if before.get(written).is_none_or(|failure| failure.reason != *reason) {
                // A store that is down is one line, not one for each of its values.
                new.entry(reason.to_string()).or_default().push(written.clone());
            }
            state.failing.insert(written.clone(), Failure { reason: reason.clone(), since });
        }
        let back: Vec<String> =
            before.into_keys().filter(|written| !state.failing.contains_key(written)).collect();
        if state.failing.is_empty() {
            state.resolved = Some(now);
        }
        drop(state);
        for (reason, references) in new {
            warn!(
                references = named(&references),
                reason, "references cannot be resolved again; their last values go on"
            );
        }
        if !back.is_empty() {
            info!(references = named(&back), "references are resolved again");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn named(references: &[String]) -> String {
    let first: Vec<&str> = references.iter().take(MAX_NAMED).map(String::as_str).collect();
    let more = references.len().saturating_sub(first.len());
    if more == 0 { first.join(", ") } else { format!("{} and {more} more", first.join(", ")) }
}
