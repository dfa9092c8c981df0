//! What a limit allows, and which of two allows more.

use std::{cmp::Ordering, time::Duration};

/// So many requests in so much time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    requests: u64,
    period: Option<Duration>,
}

impl Allowance {
    /// So many requests in this time.
    pub(super) const fn every(requests: u64, period: Duration) -> Self {
        Self { requests, period: Some(period) }
    }

    /// A rate; nothing if one of the numbers is not positive, which limits nothing. Parts of a request
    /// are cut off; a rate below one is one request in a longer time.
    #[must_use]
    pub fn rate(rate: f64, seconds: f64) -> Option<Self> {
        if !(rate > 0.0 && seconds > 0.0) {
            return None;
        }
        let seconds = if rate < 1.0 { seconds / rate } else { seconds };
        let period = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        Some(Self { requests: whole(rate).max(1), period: Some(period.max(Duration::from_nanos(1))) })
    }

    /// So many requests until they are renewed after so many seconds; never, if that is not positive.
    /// Nothing if the number is not positive.
    #[must_use]
    pub fn quota(requests: i64, seconds: i64) -> Option<Self> {
        let period = u64::try_from(seconds).ok().filter(|seconds| *seconds > 0).map(Duration::from_secs);
        let requests = u64::try_from(requests).ok().filter(|requests| *requests > 0)?;
        Some(Self { requests, period })
    }

    /// How many.
    #[must_use]
    pub const fn requests(self) -> u64 {
        self.requests
    }

    /// In how much time; nothing for ever.
    #[must_use]
    pub const fn period(self) -> Option<Duration> {
        self.period
    }

    /// Which of two rates lets more through in the long run; of equals, at once.
    fn compare(self, other: Self) -> Ordering {
        let in_long_run = |own: Self, other: Self| {
            let period = other.period.map_or(u128::MAX, |period| period.as_nanos());
            u128::from(own.requests).saturating_mul(period)
        };
        in_long_run(self, other).cmp(&in_long_run(other, self)).then(self.requests.cmp(&other.requests))
    }

    /// The one that allows more.
    #[must_use]
    pub fn or_more(self, other: Self) -> Self {
        if self.compare(other).is_lt() { other } else { self }
    }

    /// The one that allows less.
    #[must_use]
    pub fn or_less(self, other: Self) -> Self {
        if self.compare(other).is_gt() { other } else { self }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::as_conversions,
    reason = "a cast to u64 saturates and cuts off, which is what is meant"
)]
const fn whole(number: f64) -> u64 {
    number as u64
}

/// What is allowed for a long time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Quota {
    /// Nothing is said (`quota_max: 0`): no limit, and none is lifted.
    #[default]
    Unset,
    /// Any number, whatever other policies say (`quota_max: -1`).
    Unlimited,
    /// So many.
    Limited(Allowance),
}

impl Quota {
    /// The quota that these numbers of a policy mean.
    #[must_use]
    pub fn new(max: i64, renewal_seconds: i64) -> Self {
        match Allowance::quota(max, renewal_seconds) {
            Some(allowance) => Self::Limited(allowance),
            None if max < 0 => Self::Unlimited,
            None => Self::Unset,
        }
    }

    /// How many, if there is a limit.
    #[must_use]
    pub const fn requests(self) -> Option<u64> {
        match self {
            Self::Limited(allowance) => Some(allowance.requests),
            Self::Unset | Self::Unlimited => None,
        }
    }

    /// Both together: the greater number, and the longer time until it is renewed.
    #[must_use]
    pub fn or_more(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unlimited, _) | (_, Self::Unlimited) => Self::Unlimited,
            (Self::Unset, quota) | (quota, Self::Unset) => quota,
            (Self::Limited(one), Self::Limited(other)) => Self::Limited(Allowance {
                requests: one.requests.max(other.requests),
                period: one.period.max(other.period),
            }),
        }
    }
}

/// A request over the rate is not refused at once: it is held, and tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttle {
    /// The time between two tries.
    pub interval: Duration,
    /// How many there are.
    pub retries: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates() {
        for (rate, per, expected) in [
            (3.0, 60.0, Some((3, 60_000))),
            (2.9, 1.0, Some((2, 1_000))),
            (0.5, 1.0, Some((1, 2_000))),
            (1.0, 0.25, Some((1, 250))),
            (0.0, 60.0, None),
            (1.0, 0.0, None),
            (-1.0, 60.0, None),
            (1.0, -1.0, None),
            (f64::NAN, 1.0, None),
            (1.0, f64::NAN, None),
        ] {
            let allowance = Allowance::rate(rate, per);
            let parts = allowance.map(|a| (a.requests, a.period.unwrap().as_millis()));
            assert_eq!(parts, expected, "{rate} in {per}");
        }
        let endless = Allowance::rate(f64::MAX, f64::MAX).unwrap();
        assert_eq!((endless.requests, endless.period), (u64::MAX, Some(Duration::MAX)));
        assert_eq!(Allowance::rate(1.0, 1e-300).unwrap().period, Some(Duration::from_nanos(1)));
    }

    #[test]
    fn the_rate_that_lets_more_through() {
        let rate = |rate: f64, per: f64| Allowance::rate(rate, per).unwrap();
        for (less, more) in [
            (rate(2.0, 60.0), rate(4.0, 60.0)),
            (rate(10.0, 60.0), rate(1.0, 1.0)),
            (rate(1.0, 1.0), rate(60.0, 60.0)),
            (rate(1.0, f64::MAX), rate(1.0, 60.0)),
        ] {
            assert_eq!((less.or_more(more), more.or_more(less)), (more, more));
            assert_eq!((less.or_less(more), more.or_less(less)), (less, less));
        }
    }

    #[test]
    fn quotas() {
        let quota = Quota::new;
        for (one, other, both) in [
            (quota(3, 60), quota(5, 60), quota(5, 60)),
            (quota(3, 3600), quota(5, 60), quota(5, 3600)),
            (quota(3, 0), quota(5, 60), quota(5, 60)),
            (quota(3, 60), quota(0, 3600), quota(3, 60)),
            (quota(3, 60), quota(-1, 0), Quota::Unlimited),
            (quota(0, 60), quota(-1, 0), Quota::Unlimited),
            (quota(0, 60), quota(0, 0), Quota::Unset),
        ] {
            assert_eq!((one.or_more(other), other.or_more(one)), (both, both), "{one:?} {other:?}");
        }
        assert_eq!(quota(3, -1), quota(3, 0));
        assert_eq!(quota(i64::MIN, i64::MIN), Quota::Unlimited);
    }
}
