//! The counters: one table of windows, in many small parts.
//!
//! A part is locked for one look-up. It forgets windows that have ended a few at a time, whenever a
//! new one is made, so that nothing ever waits for a sweep. A part that is full gives up, of a few
//! windows that it looks at, the one with the fewest requests: a flood of callers that come once
//! replaces itself, and not those who come often.

use std::{
    collections::HashMap,
    hash::BuildHasher,
    sync::{Mutex, PoisonError},
};

use super::key::Key;

/// Parts of the table; a power of two.
const PARTS: u64 = 256;
/// Windows of one part at most: about a million together.
const MAX_WINDOWS: usize = 4096;
/// How many windows are looked at when a new one is made.
const LOOKED_AT: usize = 4;

/// Windows by key. Times are nanoseconds since some start.
pub(super) struct Counters {
    parts: Box<[Mutex<Part>]>,
    seed: foldhash::quality::RandomState,
}

#[derive(Default)]
struct Part {
    /// Where the window of a key is.
    places: HashMap<Key, usize, foldhash::fast::RandomState>,
    windows: Vec<Window>,
    /// Where the search for windows that have ended goes on.
    hand: usize,
}

struct Window {
    key: Key,
    start: u64,
    used: u64,
    /// When it ends; the last moment stands for never.
    end: u64,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Count {
    /// Requests that were let through in this window.
    pub(super) used: u64,
    /// When it began.
    pub(super) start: u64,
    /// Whether this request is one of them.
    pub(super) counted: bool,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            parts: (0..PARTS).map(|_| Mutex::default()).collect(),
            seed: foldhash::quality::RandomState::default(),
        }
    }
}

impl Counters {
    /// Counts a request, if it is one of so many in its window.
    pub(super) fn take(&self, key: &Key, requests: u64, now: u64) -> Count {
        // Every hash has a part; without one nothing could be counted, so nothing would pass.
        let none = || Count { used: requests, start: now, counted: false };
        self.with_part(key, |part| part.take(key, requests, now)).unwrap_or_else(none)
    }

    /// What counting a request would find, and counts none.
    pub(super) fn look(&self, key: &Key, requests: u64, now: u64) -> Count {
        let unused = || Count { used: 0, start: now, counted: requests > 0 };
        let look = |part: &mut Part| {
            part.find(key).filter(|window| window.end > now).map(|window| window.look(requests))
        };
        self.with_part(key, look).flatten().unwrap_or_else(unused)
    }

    /// Takes back what was counted in the window that began then. One that nothing else was counted in
    /// has not begun.
    pub(super) fn give_back(&self, key: &Key, start: u64) {
        self.with_part(key, |part| {
            if let Some(window) = part.find(key).filter(|window| window.start == start) {
                window.used = window.used.saturating_sub(1);
                if window.used == 0 {
                    window.end = 0;
                }
            }
        });
    }

    fn with_part<R>(&self, key: &Key, act: impl FnOnce(&mut Part) -> R) -> Option<R> {
        let part = usize::try_from(self.seed.hash_one(key) % PARTS).ok()?;
        let part = self.parts.get(part)?;
        Some(act(&mut part.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Part {
    fn find(&mut self, key: &Key) -> Option<&mut Window> {
        self.windows.get_mut(*self.places.get(key)?)
    }

    fn take(&mut self, key: &Key, requests: u64, now: u64) -> Count {
        if let Some(window) = self.find(key) {
            return window.take(requests, now);
        }
        self.make_room(now);
        let mut window = Window { key: *key, start: now, used: 0, end: key.end(now) };
        let count = window.take(requests, now);
        self.places.insert(*key, self.windows.len());
        self.windows.push(window);
        count
    }

    /// Forgets what has ended of the next few windows, and one that has not if the part is full.
    fn make_room(&mut self, now: u64) {
        let mut least: Option<(u64, usize)> = None;
        for _ in 0..LOOKED_AT {
            if self.hand >= self.windows.len() {
                self.hand = 0;
            }
            let Some(window) = self.windows.get(self.hand) else { return };
            if window.end <= now {
                // The last one moves here, and is looked at next.
                self.forget(self.hand);
                least = None;
                continue;
            }
            if least.is_none_or(|(used, _)| window.used < used) {
                least = Some((window.used, self.hand));
            }
            self.hand = self.hand.saturating_add(1);
        }
        if self.windows.len() >= MAX_WINDOWS
            && let Some((_, place)) = least
        {
            self.forget(place);
        }
    }

    fn forget(&mut self, place: usize) {
        let window = self.windows.swap_remove(place);
        self.places.remove(&window.key);
        if let Some(moved) = self.windows.get(place) {
            self.places.insert(moved.key, place);
        }
    }
}

impl Window {
    const fn look(&self, requests: u64) -> Count {
        Count { used: self.used, start: self.start, counted: self.used < requests }
    }

    fn take(&mut self, requests: u64, now: u64) -> Count {
        if self.end <= now {
            (self.start, self.end, self.used) = (now, self.key.end(now), 0);
        }
        let counted = self.used < requests;
        self.used = self.used.saturating_add(u64::from(counted));
        Count { used: self.used, start: self.start, counted }
    }
}

impl std::fmt::Debug for Counters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Counters").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Barrier, thread};

    use super::{
        super::{Allowance, Caller, Scope},
        *,
    };

    const SECOND: u64 = 1_000_000_000;

    fn key_in(subject: &str, allowance: Allowance) -> Key {
        Key::new(Caller::new(None, subject), Scope::new(&["test"]), allowance)
    }

    /// Of a window of ten seconds.
    fn key(subject: &str) -> Key {
        key_in(subject, Allowance::rate(1.0, 10.0).unwrap())
    }

    /// Which of these requests are let through.
    fn passing(counters: &Counters, key: &Key, requests: u64, times: &[u64]) -> Vec<bool> {
        times.iter().map(|now| counters.take(key, requests, *now).counted).collect()
    }

    #[test]
    fn a_window_is_opened_by_its_first_request() {
        let counters = Counters::default();
        let s = |tenths: u64| tenths * SECOND / 10;
        let times = [s(5), s(6), s(7), s(104), s(105), s(106), s(107), s(204), s(205)];
        assert_eq!(
            passing(&counters, &key("a"), 2, &times),
            [true, true, false, false, true, true, false, false, true],
            "a refused request neither counts nor lengthens"
        );
    }

    #[test]
    fn another_number_acts_at_once_and_keeps_what_was_counted() {
        let counters = Counters::default();
        assert_eq!(passing(&counters, &key("a"), 2, &[0, 0, 0]), [true, true, false]);
        assert_eq!(passing(&counters, &key("a"), 4, &[1, 1, 1]), [true, true, false]);
        assert_eq!(passing(&counters, &key("a"), 1, &[2, 2]), [false, false]);
    }

    #[test]
    fn a_short_window_does_not_end_a_long_one() {
        let counters = Counters::default();
        let short = key_in("a", Allowance::rate(1.0, 1.0).unwrap());
        assert_eq!(passing(&counters, &key("a"), 2, &[0, 0, 0]), [true, true, false]);
        assert_eq!(passing(&counters, &short, 1, &[0, 1, SECOND]), [true, false, true]);
        assert_eq!(passing(&counters, &key("a"), 2, &[2 * SECOND]), [false]);
    }

    #[test]
    fn what_never_renews_stays_used() {
        let (counters, endless) = (Counters::default(), key_in("a", Allowance::quota(1, 0).unwrap()));
        assert_eq!(passing(&counters, &endless, 1, &[0, 1, u64::MAX - 1]), [true, false, false]);
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let counters = Counters::default();
        let count = counters.take(&key("a"), 1, 0);
        counters.give_back(&key("a"), count.start);
        assert_eq!(passing(&counters, &key("a"), 1, &[1, 2]), [true, false]);
        assert_eq!(counters.look(&key("a"), 1, 2).start, 1, "the window began with the one that passed");
        counters.give_back(&key("a"), 7);
        assert_eq!(passing(&counters, &key("a"), 1, &[3]), [false], "of another window");
    }

    #[test]
    fn many_threads_are_counted_exactly() {
        let (counters, start) = (Counters::default(), Barrier::new(8));
        let passed: usize = thread::scope(|scope| {
            let run = || {
                start.wait();
                (0..1_000).filter(|now| counters.take(&key("a"), 777, *now).counted).count()
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(run)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(passed, 777);
    }

    #[test]
    fn memory_is_bounded_and_what_ends_is_forgotten() {
        let mut part = Part::default();
        for n in 0..MAX_WINDOWS * 2 {
            part.take(&key(&n.to_string()), 5, 0);
        }
        assert_eq!((part.windows.len(), part.places.len()), (MAX_WINDOWS, MAX_WINDOWS));
        // Each newcomer forgets up to four that have ended.
        for n in 0..MAX_WINDOWS / 2 {
            part.take(&key(&format!("later {n}")), 5, 20 * SECOND);
        }
        assert!(part.windows.len() <= MAX_WINDOWS / 2 + LOOKED_AT, "{}", part.windows.len());
        for (key, place) in &part.places {
            assert_eq!(part.windows[*place].key, *key);
        }
        assert_eq!(part.windows.len(), part.places.len());
    }

    #[test]
    fn a_flood_does_not_make_us_forget_who_comes_often() {
        let mut part = Part::default();
        let regular = key("regular");
        for _ in 0..5 {
            part.take(&regular, 5, 0);
        }
        for n in 0..MAX_WINDOWS * 3 {
            part.take(&key(&n.to_string()), 5, 0);
        }
        assert!(!part.take(&regular, 5, 0).counted);
    }
}
