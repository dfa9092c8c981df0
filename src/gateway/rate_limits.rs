//! `GET <listen path>tyk/rate-limits/`: what limits the caller, and what is left of it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{
    HeaderValue, Method, Response,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};
use serde_json::{Value, json};

use crate::limits::{Allowance, Pass, Quota};

/// Where it is, below the listen path.
const PATH: &str = "/tyk/rate-limits/";

/// Whether a request is about the limits of who sends it.
pub(super) fn are_asked_for(method: &Method, below: &str) -> bool {
    below == PATH && matches!(*method, Method::GET | Method::HEAD)
}

/// The answer in Tyk's form.
pub(super) fn response(rate: Option<Allowance>, pass: &Pass) -> Response<Bytes> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut response = Response::new(format!("{}\n", body(rate, pass, now)).into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn body(rate: Option<Allowance>, pass: &Pass, now: Duration) -> Value {
    let max = match pass.quota {
        Quota::Unset => 0.into(),
        Quota::Unlimited => (-1).into(),
        Quota::Limited(quota) => Value::from(quota.requests()),
    };
    let renews = pass.quota_left.and_then(|left| left.renewed_in);
    let seconds = |period: Duration| match period.subsec_nanos() {
        0 => period.as_secs().into(),
        _ => Value::from(period.as_secs_f64()),
    };
    json!({
        "quota": {
            "quota_max": max,
            "quota_remaining": pass.quota_left.map_or(0, |left| left.remaining),
            "quota_renews": renews.map_or(0, |time| now.saturating_add(time).as_secs()),
        },
        "rate_limit": {
            "requests": rate.map_or(0, Allowance::requests),
            "per_unit": rate.and_then(Allowance::period).map_or_else(|| 0.into(), seconds),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::{super::super::limits::Standing, *};

    #[test]
    fn as_tyk_tells() {
        let day = Allowance::quota(100, 86_400).unwrap();
        let left = Standing {
            name: "quota",
            allowance: day,
            remaining: 99,
            renewed_in: Some(Duration::from_millis(1_500)),
        };
        let now = Duration::from_millis(1_000_500);
        for (rate, quota, quota_left, told) in [
            (None, Quota::Unset, None, json!([0, 0, 0, 0, 0])),
            (None, Quota::Unlimited, None, json!([-1, 0, 0, 0, 0])),
            (Allowance::rate(5.0, 60.0), Quota::Limited(day), Some(left), json!([100, 99, 1002, 5, 60])),
            (Allowance::rate(5.0, 0.5), Quota::Unset, None, json!([0, 0, 0, 5, 0.5])),
        ] {
            let body = body(rate, &Pass { rate: None, quota, quota_left }, now);
            let at = |section: &str, name: &str| body[section][name].clone();
            let own = json!([
                at("quota", "quota_max"),
                at("quota", "quota_remaining"),
                at("quota", "quota_renews"),
                at("rate_limit", "requests"),
                at("rate_limit", "per_unit"),
            ]);
            assert_eq!(own, told);
        }
    }
}
