//! How the key sources are doing, in figures for Prometheus.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{
    jwks::{Source, SourceStatus},
    telemetry::Exposition,
};

/// What is told of the sources of one name: one place may be fetched in several ways.
#[derive(Default)]
struct Figures {
    /// Since the last good fetch; of several sources that of the one that is worst off.
    age: Option<Duration>,
    keys: u64,
    faults: u64,
}

/// Writes the figures of the sources that are fetched.
pub(super) fn write(sources: &[Arc<Source>], exposition: &mut Exposition) {
    let mut by_name: BTreeMap<&str, Figures> = BTreeMap::new();
    for source in sources {
        if let Some(status) = source.status() {
            by_name.entry(source.name()).or_default().add(source, &status);
        }
    }
    let mut family =
        exposition.gauge("claimgate_jwks_age_seconds", "Seconds since a good key set was fetched last.");
    for (name, figures) in &by_name {
        if let Some(age) = figures.age {
            family.sample(&[("source", name)], age.as_secs());
        }
    }
    let mut family = exposition.gauge("claimgate_jwks_keys", "Usable keys of the key set in use.");
    for (name, figures) in &by_name {
        family.sample(&[("source", name)], figures.keys);
    }
    let mut family =
        exposition.counter("claimgate_jwks_fetch_faults_total", "Fetches of key sets that failed.");
    for (name, figures) in &by_name {
        family.sample(&[("source", name)], figures.faults);
    }
}

impl Figures {
    fn add(&mut self, source: &Source, status: &SourceStatus) {
        self.age = self.age.max(status.age);
        let keys = source.keys().as_ref().map_or(0, |keys| keys.keys().len());
        self.keys = self.keys.saturating_add(u64::try_from(keys).unwrap_or(u64::MAX));
        self.faults = self.faults.saturating_add(status.faults);
    }
}
