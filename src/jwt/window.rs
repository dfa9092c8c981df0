//! The times of a token, and how long a verdict about it holds.

use super::json::{Number, Value};

/// A stretch of time in seconds since the epoch, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    first: i64,
    last: i64,
}

impl Window {
    /// All time.
    pub const ALWAYS: Self = Self { first: i64::MIN, last: i64::MAX };

    /// From this second on.
    #[must_use]
    pub const fn from(first: i64) -> Self {
        Self { first, ..Self::ALWAYS }
    }

    /// Before this second.
    #[must_use]
    pub const fn before(end: i64) -> Self {
        Self { last: end.saturating_sub(1), ..Self::ALWAYS }
    }

    /// Whether this second is in it.
    #[must_use]
    pub const fn contains(self, now: i64) -> bool {
        self.first <= now && now <= self.last
    }

    /// What is in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { first: self.first.max(other.first), last: self.last.min(other.last) }
    }

    /// The stretch around this second in which the answer of [`contains`](Self::contains) stays the
    /// same.
    #[must_use]
    pub const fn side_of(self, now: i64) -> Self {
        if now < self.first {
            Self::before(self.first)
        } else if now > self.last {
            Self::from(self.last.saturating_add(1))
        } else {
            self
        }
    }
}

/// A time in whole seconds (RFC 7519 section 2, NumericDate); a fraction is cut off. Nothing for
/// what is not a number or beyond 64 bits.
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "the range is checked, and cutting the fraction off is what is wanted"
)]
pub(super) fn seconds(value: &Value) -> Option<i64> {
    const LIMIT: f64 = 9.2e18;
    match value {
        Value::Number(Number::Integer(seconds)) => Some(*seconds),
        Value::Number(Number::Float(seconds)) if seconds.abs() < LIMIT => Some(*seconds as i64),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_edges_belong_to_one_side() {
        let window = Window::from(10).and(Window::before(20));
        for (now, inside) in
            [(i64::MIN, false), (9, false), (10, true), (19, true), (20, false), (i64::MAX, false)]
        {
            assert_eq!(window.contains(now), inside, "{now}");
            let side = window.side_of(now);
            assert!(side.contains(now), "{now}");
            for other in [0, 9, 10, 15, 19, 20, 30] {
                // Within one side nothing changes.
                assert!(!side.contains(other) || window.contains(other) == inside, "{now} {other}");
            }
        }
        assert_eq!(window.side_of(0), Window::before(10));
        assert_eq!(window.side_of(25), Window::from(20));
        assert!(Window::ALWAYS.contains(i64::MAX) && Window::ALWAYS.contains(i64::MIN));
    }
}
