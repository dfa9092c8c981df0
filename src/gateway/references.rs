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
    loaded::{Loaded, Source},
};
use crate::{
    document::Finding,
    secrets::{Unresolved, Values},
};

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
        // A store may take its time, and whoever loads or changes documents is not to wait for it.
        let used = Used::of(&self.loaded());
        if used.values.written().is_empty() {
            return;
        }
        let (values, failing) = tasks.block_on(used.values.fetch_again());
        if !self.is_ready() {
            // The gateway ends, and with it what was being fetched: that is no failure.
            return;
        }
        let changed = values.changed_since(&used.values);
        // What was no good is not tried, and told, again.
        let known = used.refused.as_ref().is_some_and(|refused| values.changed_since(refused).is_empty());
        let tried = (!changed.is_empty() && !known).then(|| used.resolve(values, &changed, tasks));
        let mut loaded = self.loaded();
        if !Arc::ptr_eq(loaded.values(), &used.values) {
            // Somebody has loaded anew meanwhile, with values that may be newer.
            return;
        }
        self.references.note(&failing);
        match tried {
            None => {}
            Some(Tried::Good(new)) => self.renew(&mut loaded, new, &changed, tasks),
            Some(Tried::Bad { findings, without, values }) => {
                tell(&findings);
                let bad = without.as_ref().map_or(&*changed, |without| slice::from_ref(&without.bad));
                error!(
                    references = named(bad),
                    "values have changed and cannot be used; the last ones go on"
                );
                if let Some(Without { bad, new }) = without {
                    let others: Vec<String> = changed.into_iter().filter(|written| *written != bad).collect();
                    self.renew(&mut loaded, new, &others, tasks);
                }
                loaded.refused = Some(Arc::new(values));
            }
        }
    }

    /// Serves the same documents with these values.
    fn renew(&self, loaded: &mut Loaded, new: Resolved, changed: &[String], tasks: &Handle) {
        let source = Arc::clone(loaded.source());
        self.serve(loaded, source, new.values, new.parsed, tasks);
        info!(references = named(changed), "values have changed and are in use");
    }
}

/// What is in use when references are resolved again. It is another one as soon as something else is served.
struct Used {
    source: Arc<Source>,
    values: Arc<Values>,
    /// Newer values that could not be used.
    refused: Option<Arc<Values>>,
}

/// What came of changed values.
enum Tried {
    Good(Resolved),
    Bad {
        findings: Vec<Finding>,
        /// What can be used all the same.
        without: Option<Without>,
        /// All of them.
        values: Values,
    },
}

/// Values, and what the documents say with them.
struct Resolved {
    parsed: Parsed,
    values: Values,
}

/// What the documents say with changed values, but for one of them.
struct Without {
    new: Resolved,
    /// How the reference is written whose last value goes on.
    bad: String,
}

impl Used {
    fn of(loaded: &Loaded) -> Self {
        let (source, values) = (Arc::clone(loaded.source()), Arc::clone(loaded.values()));
        Self { source, values, refused: loaded.refused.clone() }
    }

    fn resolve(&self, values: Values, changed: &[String], tasks: &Handle) -> Tried {
        let (parsed, findings) = tasks.block_on(self.source.resolve(&values));
        if let Some(parsed) = parsed {
            return Tried::Good(Resolved { parsed, values });
        }
        Tried::Bad { findings: findings.sorted(), without: self.without_one(&values, changed, tasks), values }
    }

    /// What is served if one of the changed values is no good, and the others are: it must not hold them up,
    /// for one of them may take the place of a key that has leaked.
    fn without_one(&self, values: &Values, changed: &[String], tasks: &Handle) -> Option<Without> {
        let suspects = if changed.len() > 1 { changed } else { &[] };
        suspects.iter().take(MAX_SUSPECTS).find_map(|bad| {
            let values = values.keeping(bad, &self.values);
            let (parsed, _) = tasks.block_on(self.source.resolve(&values));
            Some(Without { new: Resolved { parsed: parsed?, values }, bad: bad.clone() })
        })
    }
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
