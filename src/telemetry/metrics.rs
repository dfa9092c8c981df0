//! What is counted.
//!
//! Each worker has counters of its own, which no other core writes to; they are added up when
//! somebody asks. A counter is made when it is first needed, and stays: a series never falls.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::exposition::Exposition;
use crate::refusal::Reason;

/// The counters of all workers.
#[derive(Debug, Default)]
pub struct Metrics {
    all: Mutex<Vec<Series>>,
}

/// One counter of one worker.
#[derive(Debug)]
struct Series {
    /// The id of the API; empty where no API answers.
    api: Box<str>,
    event: Event,
    counter: Arc<Counter>,
}

/// What is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Event {
    /// A request was refused.
    Refused(Reason),
    /// A request was let through by a check that only warns.
    Warned(Arc<str>),
}

/// A number on a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Counter(AtomicU64);

/// The counters of one worker.
#[derive(Debug)]
pub struct Counters {
    all: Arc<Metrics>,
    /// By the id of the API.
    own: RefCell<HashMap<Box<str>, Counted>>,
}

/// What was counted so far.
type Counted = Vec<(Event, Arc<Counter>)>;

impl Counters {
    /// Counters of a worker, which are among these.
    #[must_use]
    pub fn new(all: Arc<Metrics>) -> Self {
        Self { all, own: RefCell::default() }
    }

    /// A request to this API was refused; the id is empty where no API answers.
    pub fn refused(&self, api: &str, reason: Reason) {
        self.count(api, &Event::Refused(reason));
    }

    /// A request to this API failed the check of this name, and was let through.
    pub fn warned(&self, api: &str, check: &Arc<str>) {
        self.count(api, &Event::Warned(Arc::clone(check)));
    }

    fn count(&self, api: &str, event: &Event) {
        let mut own = self.own.borrow_mut();
        let known = own.get(api).and_then(|events| events.iter().find(|(own, _)| own == event));
        if let Some((_, counter)) = known {
            counter.add_one();
            return;
        }
        let counter = Arc::new(Counter::default());
        counter.add_one();
        own.entry(api.into()).or_default().push((event.clone(), Arc::clone(&counter)));
        self.all.add(Series { api: api.into(), event: event.clone(), counter });
    }
}

impl Counter {
    fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Metrics {
    fn add(&self, series: Series) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).push(series);
    }

    /// Writes the sums of all workers.
    pub fn write(&self, exposition: &mut Exposition) {
        let (mut refused, mut warned) = (BTreeMap::new(), BTreeMap::new());
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        for Series { api, event, counter } in all.iter() {
            let (sums, label) = match event {
                Event::Refused(reason) => (&mut refused, reason.code()),
                Event::Warned(check) => (&mut warned, &**check),
            };
            let sum: &mut u64 = sums.entry((&**api, label)).or_default();
            *sum = sum.saturating_add(counter.get());
        }
        let mut family =
            exposition.counter("claimgate_requests_refused_total", "Requests that were refused, by reason.");
        for ((api, reason), sum) in refused {
            family.sample(&[("api", api), ("reason", reason)], sum);
        }
        let mut family = exposition.counter(
            "claimgate_check_warnings_total",
            "Requests that a check would have refused if it did more than warn.",
        );
        for ((api, check), sum) in warned {
            family.sample(&[("api", api), ("check", check)], sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_added_up() {
        let metrics = Arc::new(Metrics::default());
        let workers = [Counters::new(Arc::clone(&metrics)), Counters::new(Arc::clone(&metrics))];
        for worker in &workers {
            worker.refused("orders", Reason::TokenExpired);
            worker.warned("orders", &"aud".into());
        }
        let [first, _] = &workers;
        first.refused("orders", Reason::TokenExpired);
        first.refused("orders", Reason::TokenMissing);
        first.refused("", Reason::NotFound);
        first.warned("billing", &"aud".into());
        let mut exposition = Exposition::default();
        metrics.write(&mut exposition);
        let text = exposition.into_text();
        let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            samples,
            [
                "claimgate_requests_refused_total{api=\"\",reason=\"not_found\"} 1",
                "claimgate_requests_refused_total{api=\"orders\",reason=\"token_expired\"} 3",
                "claimgate_requests_refused_total{api=\"orders\",reason=\"token_missing\"} 1",
                "claimgate_check_warnings_total{api=\"billing\",check=\"aud\"} 1",
                "claimgate_check_warnings_total{api=\"orders\",check=\"aud\"} 2",
            ]
        );
    }
}
