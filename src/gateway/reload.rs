//! Reading the documents again: aside, as a whole, and in the place of the old ones only without an error.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use tokio::runtime::Handle;
use tracing::{error, info, warn};

use super::{
    control::{Control, tell},
    difference::Difference,
    documents::{Documents, Parsed},
    loaded::{Loaded, Source},
    watched::{Files, Hints, Look},
};
use crate::{
    config::Waiting,
    document::{Finding, Findings},
    secrets::Values,
    telemetry::Exposition,
};

/// Why documents are read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The gateway starts.
    Start,
    /// Somebody asked the control API.
    Request,
    /// Another node said so.
    Group,
    /// The process was told by a signal.
    Signal,
    /// A file has changed.
    Watch,
}

/// What came of reading the documents.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// When it began.
    pub time: SystemTime,
    /// Why.
    pub cause: Cause,
    /// How long it took.
    pub took: Duration,
    /// Whether what was read is served.
    pub is_loaded: bool,
    /// What is wrong, or odd.
    pub findings: Vec<Finding>,
}

/// What came of all of them.
#[derive(Clone, Debug, Default)]
pub struct Reloads {
    /// How many were good. The start is none.
    pub succeeded: u64,
    /// How many were not.
    pub failed: u64,
    /// The last one.
    pub last: Option<Attempt>,
    /// When what is served was read.
    pub loaded: Option<SystemTime>,
}

/// What a reload would do.
#[derive(Debug)]
pub struct DryRun {
    /// Whether what was read would be served.
    pub would_load: bool,
    /// What is wrong, or odd.
    pub findings: Vec<Finding>,
    /// Which settings have changed that only a restart takes.
    pub restart: Vec<&'static str>,
    /// Which APIs would be others.
    pub apis: Difference,
    /// And which policies.
    pub policies: Difference,
}

/// The documents of one attempt, and what they say.
struct Read {
    source: Arc<Source>,
    restart: Vec<Waiting>,
    values: Values,
    files: Files,
    parsed: Option<Parsed>,
    findings: Vec<Finding>,
}

#[derive(Debug, Default)]
pub(super) struct Told(Mutex<Reloads>);

impl Control {
    /// Reads everything again. The new snapshot serves when this returns; after an error the old one goes on.
    /// Must be called on a thread that may block.
    ///
    /// # Errors
    /// The problems of the documents, when one is an error.
    pub fn reload(&self, cause: Cause, tasks: &Handle) -> Result<(), Vec<Finding>> {
        self.reload_held(&mut self.loaded(), cause, tasks)
    }

    pub(super) fn reload_held(
        &self,
        loaded: &mut Loaded,
        cause: Cause,
        tasks: &Handle,
    ) -> Result<(), Vec<Finding>> {
        let (time, began) = (SystemTime::now(), Instant::now());
        let read = self.read(loaded, tasks);
        tell(&read.findings);
        let news: Vec<&str> =
            read.restart.iter().filter(|w| !loaded.waiting.contains(w)).map(|w| w.setting).collect();
        if !news.is_empty() {
            warn!(settings = news.join(", "), "settings have changed that act with a restart");
        }
        loaded.waiting = read.restart;
        // Also after an error: what was no good is not tried again until it is something else.
        loaded.files = read.files;
        let findings = read.findings;
        let result = match read.parsed {
            Some(parsed) => {
                self.references.replace(read.values.written());
                let apis = self.serve(loaded, read.source, read.values, parsed, tasks);
                loaded.removed.clear();
                info!(apis, cause = %cause, "definitions loaded again");
                Ok(())
            }
            None => {
                error!(cause = %cause, "the documents have errors; what was loaded before goes on");
                Err(findings.clone())
            }
        };
        let is_loaded = result.is_ok();
        self.reloads.note(Attempt { time, cause, took: began.elapsed(), is_loaded, findings });
        result
    }

    /// What a reload would do. Calls `begin` when it has come so far that it would be too late for others.
    pub(super) fn dry_run(&self, begin: impl FnOnce(), tasks: &Handle) -> DryRun {
        let loaded = self.loaded();
        begin();
        let read = self.read(&loaded, tasks);
        let source = Arc::clone(loaded.source());
        // Nobody waits for the comparison but who has asked for it.
        drop(loaded);
        let (old, new) = (&source.documents, &read.source.documents);
        DryRun {
            would_load: read.parsed.is_some(),
            findings: read.findings,
            restart: read.restart.iter().map(|waiting| waiting.setting).collect(),
            apis: Difference::of_apis(old, new),
            policies: Difference::of_policies(old, new),
        }
    }

    /// What came of reading the documents so far.
    #[must_use]
    pub fn reloads(&self) -> Reloads {
        self.reloads.lock().clone()
    }

    /// Whether a file that matters is not what it was when it was read last.
    pub(crate) fn has_changed(&self) -> bool {
        // While the gateway writes a file itself, what is known of it is not true yet.
        let loaded = self.loaded();
        loaded.files != Files::now(&loaded.source().config, loaded.files.references())
    }

    /// Where it is seen that a file that was loaded becomes another one. Must be called on a thread that may block.
    pub(crate) fn watch_hints(&self) -> Hints {
        let loaded = self.loaded();
        loaded.files.hints(&loaded.source().config)
    }

    fn read(&self, loaded: &Loaded, tasks: &Handle) -> Read {
        let mut findings = Findings::default();
        let running = Arc::clone(&loaded.source().config);
        // Before it is read: what changes meanwhile looks different afterwards.
        let look = Look::of(running.file());
        // Whether it looks as it did says nothing: it may have been seen, and not taken over.
        let again = running.again(&mut findings);
        let is_bad = again.is_none();
        let (config, restart) = match again {
            Some((config, restart)) => (Arc::new(config), restart),
            None => (running, Vec::new()),
        };
        let mut files = Files::now(&config, &[]);
        files.put(config.file(), look);
        let documents = Arc::new(Documents::read(&config, Some(&loaded.source().documents)));
        let source = Arc::new(Source { config, documents });
        let values = source.config.secrets.values();
        let (parsed, found) = tasks.block_on(source.resolve(&values));
        findings.append(found);
        let mut parsed = parsed.filter(|_| !is_bad);
        if parsed.as_ref().is_some_and(|parsed| !parsed.serves_any() && self.loses_any(loaded, parsed)) {
            // A folder that could not be mounted looks like this. Whoever means it starts anew.
            let message = "there are no definitions here any more; what was loaded before goes on";
            findings.push(Finding::of_file(&source.config.definitions, message));
            parsed = None;
        }
        let files = files.with_references(&values.files());
        Read { source, restart, values, files, parsed, findings: findings.sorted() }
    }

    /// Whether there is nothing any more of an API that is served, and nobody has taken that away here.
    fn loses_any(&self, loaded: &Loaded, parsed: &Parsed) -> bool {
        let is_there = |id: &str| parsed.definitions.iter().any(|definition| *definition.id == *id);
        self.served.published().load().ids().any(|id| !loaded.removed.contains(id) && !is_there(id))
    }
}

impl Told {
    /// What was loaded at the start.
    pub(super) fn started(time: SystemTime, took: Duration, findings: Vec<Finding>) -> Self {
        let last = Attempt { time, cause: Cause::Start, took, is_loaded: true, findings };
        Self(Mutex::new(Reloads { last: Some(last), loaded: Some(time), ..Reloads::default() }))
    }

    fn note(&self, attempt: Attempt) {
        let mut told = self.lock();
        if attempt.is_loaded {
            told.succeeded = told.succeeded.saturating_add(1);
            told.loaded = Some(attempt.time);
        } else {
            told.failed = told.failed.saturating_add(1);
        }
        told.last = Some(attempt);
    }

    /// Writes figures for Prometheus.
    pub(super) fn write(&self, exposition: &mut Exposition) {
        let told = self.lock();
        let mut family =
            exposition.counter("claimgate_reloads_total", "Reloads of the documents, by what came of them.");
        family.sample(&[("outcome", "success")], told.succeeded);
        family.sample(&[("outcome", "failure")], told.failed);
        let is_good = told.last.as_ref().is_some_and(|last| last.is_loaded);
        exposition
            .gauge(
                "claimgate_last_reload_successful",
                "1 if the last reload was good, or there was none yet.",
            )
            .sample(&[], u64::from(is_good));
        let at = told.loaded.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
        exposition
            .gauge("claimgate_last_loaded_timestamp_seconds", "When what is served was read, in Unix time.")
            .sample(&[], at.unwrap_or_default().as_secs());
    }

    fn lock(&self) -> MutexGuard<'_, Reloads> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "start",
            Self::Request => "request",
            Self::Group => "group",
            Self::Signal => "signal",
            Self::Watch => "watch",
        })
    }
}
