//! What answers say about limits.

use std::{fmt::Write as _, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Pass, Quota};

/// What the fields `X-RateLimit-*` are about (Tyk's `rate_limit_response_headers`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XRateLimit {
    /// The quota.
    Quotas,
    /// The rate that counts for the request.
    RateLimits,
}

impl XRateLimit {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Quotas, Self::RateLimits];

    /// How it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Quotas => "quotas",
            Self::RateLimits => "rate_limits",
        }
    }

    /// The one that is written like this.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|own| own.name() == name)
    }

    /// Sets `X-RateLimit-Limit`, `-Remaining` and `-Reset`, a Unix time, as Tyk does; those of the upstream
    /// are taken away. Without a rate there are none, without a quota they are `0`. `unix_time` is now, since
    /// the epoch.
    pub fn tell(self, pass: &Pass, unix_time: Duration, headers: &mut HeaderMap) {
        let (limit, left) = match (self, pass.quota, pass.rate) {
            (Self::Quotas, Quota::Unset, _) => (HeaderValue::from_static("0"), pass.quota_left),
            (Self::Quotas, Quota::Unlimited, _) => (HeaderValue::from_static("-1"), pass.quota_left),
            (Self::Quotas, Quota::Limited(quota), _) => (quota.requests().into(), pass.quota_left),
            (Self::RateLimits, _, Some(rate)) => (rate.allowance.requests().into(), Some(rate)),
            (Self::RateLimits, _, None) => {
                X_RATE_LIMIT.iter().for_each(|name| drop(headers.remove(name)));
                return;
            }
        };
        let renewed_in = left.and_then(|left| left.renewed_in);
        let reset = renewed_in.map_or(0, |time| unix_time.saturating_add(time).as_secs());
        let remaining = left.map_or(0, |left| left.remaining);
        for (name, value) in X_RATE_LIMIT.into_iter().zip([limit, remaining.into(), reset.into()]) {
            headers.insert(name, value);
        }
    }
}

const X_RATE_LIMIT: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit"),
    HeaderName::from_static("x-ratelimit-remaining"),
    HeaderName::from_static("x-ratelimit-reset"),
];

/// Adds `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10) for the limits
/// of the caller that count. What the upstream says of its own limits stays.
pub fn rate_limit_fields(pass: &Pass, headers: &mut HeaderMap) {
    let (mut policies, mut left) = (String::new(), String::new());
    for standing in [pass.rate, pass.quota_left].into_iter().flatten() {
        let separator = if policies.is_empty() { "" } else { ", " };
        // Writing to a text cannot fail.
        let (name, requests) = (standing.name, integer(standing.allowance.requests()));
        let _ = write!(policies, "{separator}\"{name}\";q={requests}");
        if let Some(seconds) = whole_seconds(standing.allowance.period()) {
            let _ = write!(policies, ";w={}", integer(seconds));
        }
        let _ = write!(left, "{separator}\"{name}\";r={}", integer(standing.remaining));
        if let Some(renewed_in) = standing.renewed_in {
            let _ = write!(left, ";t={}", integer(seconds_up(renewed_in)));
        }
    }
    for (name, text) in [("ratelimit-policy", policies), ("ratelimit", left)] {
        if let Some(value) = HeaderValue::try_from(text).ok().filter(|value| !value.is_empty()) {
            headers.append(HeaderName::from_static(name), value);
        }
    }
}

/// A time in seconds, if it is one; the field has no parts of them.
fn whole_seconds(time: Option<Duration>) -> Option<u64> {
    time.filter(|time| time.subsec_nanos() == 0).map(|time| time.as_secs())
}

/// The greatest integer of a structured field (RFC 9651 section 3.3.1) stands for all above it.
fn integer(number: u64) -> u64 {
    number.min(999_999_999_999_999)
}

const fn seconds_up(time: Duration) -> u64 {
    let more = if time.subsec_nanos() > 0 { 1 } else { 0 };
    time.as_secs().saturating_add(more)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Allowance, Standing},
        *,
    };

    fn standing(
        name: &'static str,
        allowance: Allowance,
        remaining: u64,
        millis: Option<u64>,
    ) -> Option<Standing> {
        Some(Standing { name, allowance, remaining, renewed_in: millis.map(Duration::from_millis) })
    }

    fn told(tell: impl FnOnce(&mut HeaderMap)) -> Vec<(String, String)> {
        let mut headers = HeaderMap::new();
        tell(&mut headers);
        let texts =
            headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        let mut texts: Vec<_> = texts.collect();
        texts.sort_unstable();
        texts
    }

    #[test]
    fn as_the_draft_says() {
        let rate = Allowance::rate(5.0, 60.0).unwrap();
        let short = Allowance::rate(5.0, 0.5).unwrap();
        let endless = Allowance::quota(i64::MAX, 0).unwrap();
        for (rate, quota_left, policy, left) in [
            (
                standing("rate", rate, 3, Some(1_001)),
                standing("quota", endless, 9, None),
                "\"rate\";q=5;w=60, \"quota\";q=999999999999999",
                "\"rate\";r=3;t=2, \"quota\";r=9",
            ),
            (standing("endpoint", short, 0, Some(0)), None, "\"endpoint\";q=5", "\"endpoint\";r=0;t=0"),
        ] {
            let pass = Pass { rate, quota: Quota::Unset, quota_left };
            let expected = [("ratelimit", left), ("ratelimit-policy", policy)];
            let expected = expected.map(|(name, text)| (name.to_owned(), text.to_owned()));
            assert_eq!(told(|headers| rate_limit_fields(&pass, headers)), expected);
        }
        assert_eq!(told(|headers| rate_limit_fields(&Pass::default(), headers)), []);
    }

    #[test]
    fn as_tyk_does() {
        let day = Allowance::quota(100, 86_400).unwrap();
        let left = standing("quota", day, 99, Some(86_399_500));
        let rate = standing("rate", Allowance::rate(5.0, 60.0).unwrap(), 3, Some(59_600));
        for (about, rate, quota, quota_left, expected) in [
            (XRateLimit::Quotas, None, Quota::Unset, None, Some(["0", "0", "0"])),
            (XRateLimit::Quotas, None, Quota::Unlimited, None, Some(["-1", "0", "0"])),
            (XRateLimit::Quotas, None, Quota::Limited(day), None, Some(["100", "0", "0"])),
            (XRateLimit::Quotas, rate, Quota::Limited(day), left, Some(["100", "99", "1086400"])),
            (XRateLimit::RateLimits, rate, Quota::Limited(day), left, Some(["5", "3", "1000060"])),
            (XRateLimit::RateLimits, None, Quota::Limited(day), left, None),
        ] {
            let pass = Pass { rate, quota, quota_left };
            let names = ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"];
            let expected = expected.map(|texts| names.into_iter().zip(texts).collect::<Vec<_>>());
            let expected: Vec<_> = expected
                .into_iter()
                .flatten()
                .map(|(name, text)| (name.to_owned(), text.to_owned()))
                .collect();
            let now = Duration::from_millis(1_000_000_500);
            let told = told(|headers| {
                headers.insert("x-ratelimit-limit", HeaderValue::from_static("of the upstream"));
                about.tell(&pass, now, headers);
            });
            assert_eq!(told, expected);
        }
    }
}
