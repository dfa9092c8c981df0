//! Requests that a node has counted in Redis before they came, so that not each of them asks there.
//!
//! Only limits of [`LEAST_LIMIT`] and more are treated so. A node holds at most a hundredth of a limit,
//! and not more than it used within the last [`SLOT`]; Redis counts all of it as used, so that never more
//! than the limit passes. What a node holds and does not use, the others cannot: that goes back when it was
//! not used for [`IDLE`].

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::BuildHasher,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use super::{
    demand::{Counter, Tally},
    key::{Key, nanos},
};

/// The smallest limit that is counted ahead.
const LEAST_LIMIT: u64 = 1_000;
/// A node holds one part in so many of a limit at most.
const SHARE: u64 = 100;
/// How long the demand of a node is measured.
const SLOT: Duration = Duration::from_millis(100);
/// What was not used for so long goes back.
const IDLE: Duration = Duration::from_millis(500);
/// What was held for so long goes back, used or not: clocks of two machines are not alike.
const OLD: Duration = Duration::from_secs(10);
/// A refill that has not come back after so long never will.
const LOST: Duration = Duration::from_secs(2);
/// Parts of the table.
const PARTS: u64 = 64;
/// Counters of one part at most; others ask Redis each time, which is exact as well.
const MAX_COUNTERS: usize = 1024;

/// What a node holds, by counter. Times are nanoseconds since some start.
pub(super) struct Reservations {
    parts: Box<[Mutex<HashMap<Key, Reservation, foldhash::fast::RandomState>>]>,
    seed: foldhash::quality::RandomState,
}

/// What it holds of one counter.
#[derive(Debug, Default)]
struct Reservation {
    left: u64,
    /// How much of the limit was used when some of it was reserved last.
    used: u64,
    window: Window,
    /// Of the reservation made last.
    since: u64,
    last_used: u64,
    arrivals: Arrivals,
    /// Since when somebody asks for more.
    refill: Option<u64>,
}

/// A window of Redis: its end there, which names it, and here, which is not later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) id: u64,
    /// The last moment stands for never.
    pub(super) end: u64,
}

/// How many requests come.
#[derive(Debug, Default)]
struct Arrivals {
    slot: u64,
    requests: u64,
    before: u64,
}

/// What there is for a request.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// It is one of those that were counted already, in this window.
    pub(super) tally: Option<(Tally, Window)>,
    /// So many more are to be reserved.
    pub(super) refill: Option<u64>,
}

/// What goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unused {
    pub(super) key: Key,
    pub(super) requests: u64,
    pub(super) window: Window,
}

impl Default for Reservations {
    fn default() -> Self {
        Self {
            parts: (0..PARTS).map(|_| Mutex::default()).collect(),
            seed: foldhash::quality::RandomState::default(),
        }
    }
}

impl Reservations {
    /// Takes one request of what is held; tells how many more to reserve, if that may be.
    pub(super) fn take(&self, counter: &Counter, now: u64, may_refill: bool) -> Taken {
        let limit = counter.allowance.requests();
        if limit < LEAST_LIMIT {
            return Taken::default();
        }
        self.with_part(&counter.key, |part| {
            let is_full = part.len() >= MAX_COUNTERS;
            match part.entry(counter.key) {
                Entry::Vacant(_) if is_full => Taken::default(),
                entry => entry.or_default().take(limit, now, may_refill),
            }
        })
    }

    /// Gives back one that was taken of this window.
    pub(super) fn give_back(&self, key: &Key, window: Window) {
        self.with_part(key, |part| {
            if let Some(held) = part.get_mut(key).filter(|held| held.window.id == window.id) {
                held.left = held.left.saturating_add(1);
            }
        });
    }

    /// More was reserved, or was not: `granted` may be nothing.
    pub(super) fn refilled(&self, key: &Key, granted: u64, used: u64, window: Window, now: u64) {
        self.with_part(key, |part| {
            let held = part.entry(*key).or_default();
            held.refill = None;
            if granted > 0 {
                // What is left of another window is worth nothing in this one.
                let left = if held.window.id == window.id { held.left } else { 0 };
                held.left = left.saturating_add(granted);
                (held.used, held.window, held.since) = (used, window, now);
            }
        });
    }

    /// How many of this window are held.
    pub(super) fn held(&self, key: &Key, window: u64) -> u64 {
        self.with_part(key, |part| {
            part.get(key).filter(|held| held.window.id == window).map_or(0, |held| held.left)
        })
    }

    /// Takes out what is to go back, and forgets counters that nobody asks any more.
    pub(super) fn idle(&self, now: u64) -> Vec<Unused> {
        let after = |since: u64, time: Duration| now.saturating_sub(since) > nanos(time);
        self.take_out(
            now,
            |held| after(held.last_used, IDLE) || after(held.since, OLD),
            |held| held.refill.is_none() && after(held.last_used, OLD),
        )
    }

    /// Takes out everything.
    pub(super) fn all(&self, now: u64) -> Vec<Unused> {
        self.take_out(now, |_| true, |_| true)
    }

    fn take_out(
        &self,
        now: u64,
        goes_back: impl Fn(&Reservation) -> bool,
        is_forgotten: impl Fn(&Reservation) -> bool,
    ) -> Vec<Unused> {
        let mut unused = Vec::new();
        for part in &self.parts {
            let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
            part.retain(|key, held| {
                if held.left > 0 && goes_back(held) {
                    if now < held.window.end {
                        unused.push(Unused { key: *key, requests: held.left, window: held.window });
                    }
                    held.left = 0;
                }
                !is_forgotten(held)
            });
        }
        unused
    }

    fn with_part<R: Default>(
        &self,
        key: &Key,
        act: impl FnOnce(&mut HashMap<Key, Reservation, foldhash::fast::RandomState>) -> R,
    ) -> R {
        let part =
            usize::try_from(self.seed.hash_one(key) % PARTS).ok().and_then(|part| self.parts.get(part));
        // Every hash has a part; without one nothing is held.
        part.map(|part| act(&mut part.lock().unwrap_or_else(PoisonError::into_inner))).unwrap_or_default()
    }
}

impl Reservation {
    fn take(&mut self, limit: u64, now: u64, may_refill: bool) -> Taken {
        self.last_used = now;
        if now >= self.window.end {
            self.left = 0;
        }
        let mut taken = Taken::default();
        if let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            let renewed_in = self.window.end.checked_sub(now).filter(|_| self.window.end < u64::MAX);
            let used = self.used.saturating_sub(left);
            let tally = Tally { used, renewed_in: renewed_in.map(Duration::from_nanos), counted: true };
            taken.tally = Some((tally, self.window));
        }
        let share = (limit / SHARE).min(self.arrivals.note(now));
        let is_asked = self.refill.is_some_and(|since| now.saturating_sub(since) < nanos(LOST));
        if may_refill && share > 1 && self.left < share / 2 && !is_asked {
            self.refill = Some(now);
            taken.refill = Some(share.saturating_sub(self.left));
        }
        taken
    }
}

impl Arrivals {
    /// One more request; tells how many there are within a slot.
    fn note(&mut self, now: u64) -> u64 {
        let passed = now.saturating_sub(self.slot);
        if passed >= nanos(SLOT) {
            self.before = if passed < nanos(SLOT.saturating_mul(2)) { self.requests } else { 0 };
            (self.slot, self.requests) = (now, 0);
        }
        self.requests = self.requests.saturating_add(1);
        self.requests.max(self.before)
    }
}

impl std::fmt::Debug for Reservations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reservations").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Allowance, Caller, FailureRule, Scope},
        *,
    };

    const MILLI: u64 = 1_000_000;

    fn counter(limit: f64) -> Counter {
        let allowance = Allowance::rate(limit, 60.0).unwrap();
        let key = Key::new(Caller::new(None, "a"), Scope::new(&["test"]), allowance);
        Counter { name: "rate", key, allowance, on_failure: FailureRule::default() }
    }

    fn window(id: u64) -> Window {
        Window { id, end: 60_000 * MILLI }
    }

    /// What so many requests at once want to be reserved.
    fn wanted(reservations: &Reservations, counter: &Counter, requests: u64, now: u64) -> Vec<u64> {
        (0..requests).filter_map(|_| reservations.take(counter, now, true).refill).collect()
    }

    #[test]
    fn small_limits_and_single_requests_reserve_nothing() {
        let reservations = Reservations::default();
        assert_eq!(wanted(&reservations, &counter(999.0), 500, 0), [0; 0]);
        let large = counter(100_000.0);
        for second in 0..10 {
            assert_eq!(wanted(&reservations, &large, 1, second * 1_000 * MILLI), [0; 0]);
        }
    }

    #[test]
    fn as_much_as_comes_up_to_a_hundredth() {
        for (limit, first_slot, expected) in
            [(1_000.0, 500, 10), (100_000.0, 500, 500), (100_000.0, 5_000, 1_000)]
        {
            let (reservations, counter) = (Reservations::default(), counter(limit));
            assert_eq!(
                wanted(&reservations, &counter, first_slot, 0),
                [2],
                "the second one shows that more come"
            );
            reservations.refilled(&counter.key, 0, 0, window(1), 0);
            assert_eq!(wanted(&reservations, &counter, 1, 100 * MILLI), [expected]);
        }
    }

    #[test]
    fn what_is_held_is_used_once_and_in_its_window_only() {
        let (reservations, counter) = (Reservations::default(), counter(1_000.0));
        reservations.refilled(&counter.key, 3, 40, window(1), 0);
        let used = |now| reservations.take(&counter, now, true).tally.map(|(tally, _)| tally.used);
        assert_eq!([used(0), used(0)], [Some(38), Some(39)]);
        reservations.give_back(&counter.key, window(2));
        reservations.give_back(&counter.key, window(1));
        assert_eq!(reservations.held(&counter.key, 1), 2);
        assert_eq!(reservations.held(&counter.key, 2), 0);
        assert_eq!([used(1), used(2), used(3)], [Some(39), Some(40), None]);
        reservations.refilled(&counter.key, 5, 50, window(1), 0);
        assert_eq!(used(60_000 * MILLI), None, "the window has ended");
        reservations.refilled(&counter.key, 5, 50, window(2), 0);
        reservations.refilled(&counter.key, 2, 60, window(3), 0);
        assert_eq!(reservations.held(&counter.key, 3), 2, "what was of another window is gone");
    }

    #[test]
    fn one_asks_for_more_at_a_time() {
        let (reservations, counter) = (Reservations::default(), counter(10_000.0));
        assert_eq!(wanted(&reservations, &counter, 50, 0), [2]);
        assert_eq!(wanted(&reservations, &counter, 1, 1_999 * MILLI), [0; 0]);
        assert_eq!(wanted(&reservations, &counter, 2, 2_000 * MILLI), [2], "that one got lost");
    }

    #[test]
    fn what_is_not_used_goes_back_once() {
        let (reservations, counter) = (Reservations::default(), counter(10_000.0));
        reservations.take(&counter, 0, true);
        reservations.refilled(&counter.key, 7, 7, window(1), 0);
        assert_eq!(reservations.idle(500 * MILLI), []);
        let unused = Unused { key: counter.key, requests: 7, window: window(1) };
        assert_eq!(reservations.idle(501 * MILLI), [unused]);
        assert_eq!(reservations.idle(502 * MILLI), []);
        // In use all the time, and still not for ever.
        reservations.refilled(&counter.key, 7, 14, window(1), 1_000 * MILLI);
        reservations.take(&counter, 11_000 * MILLI, true);
        assert_eq!(reservations.idle(11_001 * MILLI).len(), 1);
        reservations.refilled(&counter.key, 7, 21, window(1), 12_000 * MILLI);
        assert_eq!(reservations.all(12_000 * MILLI).len(), 1);
        reservations.refilled(&counter.key, 7, 28, window(1), 12_000 * MILLI);
        assert_eq!(reservations.all(60_000 * MILLI), [], "the window has ended");
    }

    #[test]
    fn memory_is_bounded() {
        let reservations = Reservations::default();
        let allowance = Allowance::rate(10_000.0, 60.0).unwrap();
        for n in 0..200_000 {
            let key = Key::new(Caller::new(None, &n.to_string()), Scope::new(&["test"]), allowance);
            reservations.take(
                &Counter { name: "rate", key, allowance, on_failure: FailureRule::default() },
                0,
                true,
            );
        }
        let kept = |reservations: &Reservations| -> usize {
            reservations.parts.iter().map(|part| part.lock().unwrap().len()).sum()
        };
        assert_eq!(kept(&reservations), MAX_COUNTERS * usize::try_from(PARTS).unwrap());
        reservations.idle(10_001 * MILLI);
        assert_eq!(kept(&reservations), 0);
    }
}
