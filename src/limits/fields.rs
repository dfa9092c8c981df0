//! What answers say about limits.

use std::{fmt::Write as _, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Pass, Quota};

/// Sets `X-RateLimit-Limit`, `-Remaining` and `-Reset` as Tyk does: they are about the quota, and
/// the last is a Unix time. `unix_time` is now, since the epoch.
pub fn tyk_fields(pass: &Pass, unix_time: Duration, headers: &mut HeaderMap) {
    let limit = match pass.quota {
        Quota::Unset => HeaderValue::from_static("0"),
        Quota::Unlimited => HeaderValue::from_static("-1"),
        Quota::Limited(allowance) => allowance.requests().into(),
    };
    let remaining = pass.quota_left.map_or(0, |left| left.remaining);
    let renewed_in = pass.quota_left.and_then(|left| left.renewed_in);
    let reset = renewed_in.map_or(0, |time| unix_time.saturating_add(time).as_secs());
    headers.insert(HeaderName::from_static("x-ratelimit-limit"), limit);
    headers.insert(HeaderName::from_static("x-ratelimit-remaining"), remaining.into());
    headers.insert(HeaderName::from_static("x-ratelimit-reset"), reset.into());
}

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
        for (quota, quota_left, limit, remaining, reset) in [
            (Quota::Unset, None, "0", "0", "0"),
            (Quota::Unlimited, None, "-1", "0", "0"),
            (Quota::Limited(day), None, "100", "0", "0"),
            (Quota::Limited(day), left, "100", "99", "1086400"),
        ] {
            let pass = Pass { rate: None, quota, quota_left };
            let expected = [
                ("x-ratelimit-limit", limit),
                ("x-ratelimit-remaining", remaining),
                ("x-ratelimit-reset", reset),
            ];
            let expected = expected.map(|(name, text)| (name.to_owned(), text.to_owned()));
            let now = Duration::from_millis(1_000_000_500);
            assert_eq!(told(|headers| tyk_fields(&pass, now, headers)), expected);
        }
    }
}
