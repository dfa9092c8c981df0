//! How Redis is doing, in numbers.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// The figures of one connection, which its own thread alone writes to.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Figures {
    calls: AtomicU64,
    timeouts: AtomicU64,
    errors: AtomicU64,
    waited: AtomicU64,
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Answered,
    TimedOut,
    Failed,
}

/// What all connections together have done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Calls that were sent.
    pub calls: u64,
    /// Those that were not answered in time.
    pub timeouts: u64,
    /// Those that were answered with an error, or broke off.
    pub errors: u64,
    /// How long all of them took.
    pub waited: Duration,
}

impl Figures {
    pub(super) fn note(&self, outcome: Outcome, waited: Duration) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        match outcome {
            Outcome::Answered => {}
            Outcome::TimedOut => {
                self.timeouts.fetch_add(1, Ordering::Relaxed);
            }
            Outcome::Failed => {
                self.errors.fetch_add(1, Ordering::Relaxed);
            }
        }
        let nanos = u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX);
        self.waited.fetch_add(nanos, Ordering::Relaxed);
    }

    pub(super) fn add_to(&self, totals: &mut Totals) {
        let get = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        totals.calls = totals.calls.saturating_add(get(&self.calls));
        totals.timeouts = totals.timeouts.saturating_add(get(&self.timeouts));
        totals.errors = totals.errors.saturating_add(get(&self.errors));
        totals.waited = totals.waited.saturating_add(Duration::from_nanos(get(&self.waited)));
    }
}
