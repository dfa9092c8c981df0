//! Upstreams that take turns.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Upstream;

/// Where the requests of an API go: one upstream, or several that take turns.
///
/// The turn is shared by all workers, so that the shares are exact however connections are spread over
/// them. It costs one atomic addition where there are several upstreams, and nothing where there is one.
#[derive(Debug)]
pub struct Upstreams {
    ring: Box<[Place]>,
    turn: AtomicU64,
}

#[derive(Debug)]
struct Place {
    upstream: Upstream,
    /// The number of turns in a round up to the last one of this upstream.
    turns: u64,
}

/// The upstreams for one request: the one whose turn it is, then those that are tried when it cannot be
/// reached, each once.
#[derive(Clone, Debug)]
pub struct Pick<'u> {
    ring: &'u [Place],
    at: usize,
    tried: usize,
}

impl From<Upstream> for Upstreams {
    fn from(upstream: Upstream) -> Self {
        Self::new([(upstream, 1)])
    }
}

impl Upstreams {
    /// These upstreams, each with as many turns in a row as its weight. One without a turn gets no
    /// requests, not even when the others cannot be reached.
    #[must_use]
    pub fn new(weighted: impl IntoIterator<Item = (Upstream, u32)>) -> Self {
        let mut turns = 0_u64;
        let place = |(upstream, weight): (Upstream, u32)| {
            turns = turns.saturating_add(weight.into());
            Place { upstream, turns }
        };
        let ring = weighted.into_iter().filter(|(_, weight)| *weight > 0).map(place).collect();
        Self { ring, turn: AtomicU64::new(0) }
    }

    /// Whether there is no upstream at all.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    /// Takes a turn.
    #[must_use]
    pub fn take_turn(&self) -> Pick<'_> {
        if self.ring.len() < 2 {
            return self.pick(0);
        }
        self.pick(self.turn.fetch_add(1, Ordering::Relaxed))
    }

    /// What the next turn will be, without taking it.
    #[must_use]
    pub fn next_turn(&self) -> Pick<'_> {
        self.pick(self.turn.load(Ordering::Relaxed))
    }

    fn pick(&self, turn: u64) -> Pick<'_> {
        let round = self.ring.last().map_or(1, |last| last.turns);
        let turn = turn.checked_rem(round).unwrap_or_default();
        Pick { ring: &self.ring, at: self.ring.partition_point(|place| place.turns <= turn), tried: 0 }
    }
}

impl<'u> Iterator for Pick<'u> {
    type Item = &'u Upstream;

    fn next(&mut self) -> Option<&'u Upstream> {
        if self.tried == self.ring.len() {
            return None;
        }
        let at = self.at.checked_add(self.tried)?.checked_rem(self.ring.len())?;
        self.tried = self.tried.checked_add(1)?;
        self.ring.get(at).map(|place| &place.upstream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstreams(weights: &[u32]) -> Upstreams {
        let upstream = |n| Upstream::new(&format!("http://{n}")).unwrap();
        Upstreams::new(weights.iter().enumerate().map(|(n, weight)| (upstream(n), *weight)))
    }

    fn names(pick: Pick<'_>) -> String {
        pick.map(|upstream| upstream.host.to_str().unwrap()).collect()
    }

    #[test]
    fn each_has_its_turns_in_a_row() {
        for (weights, turns) in [
            (&[1, 1][..], "010101"),
            (&[2, 1], "001001"),
            (&[0, 1], "111111"),
            (&[1, 0, 3], "022202"),
            (&[5], "000000"),
            (&[u32::MAX, u32::MAX], "000000"),
        ] {
            let upstreams = upstreams(weights);
            let first = |_| names(upstreams.take_turn()).remove(0);
            assert_eq!((0..6).map(first).collect::<String>(), turns, "{weights:?}");
        }
        assert!(upstreams(&[0, 0]).is_empty() && upstreams(&[]).is_empty());
        assert_eq!(upstreams(&[]).take_turn().count(), 0);
    }

    #[test]
    fn the_others_come_after_it_in_their_order() {
        let upstreams = upstreams(&[1, 0, 2, 1]);
        let picks: Vec<String> = (0..5).map(|_| names(upstreams.take_turn())).collect();
        assert_eq!(picks, ["023", "230", "230", "302", "023"]);
        assert_eq!(names(upstreams.next_turn()), "230");
        assert_eq!(names(upstreams.take_turn()), "230");
    }
}
