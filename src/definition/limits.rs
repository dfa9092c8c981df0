//! Limits that all callers of an API share, and rates of its operations.

use super::{
    context::Context,
    duration,
    raw::{self, Tyk},
};
use crate::{
    document::FieldPath,
    limits::{Allowance, ApiLimits, Choice, CountKey, FailureRule, SharedRate},
    middleware::Operations,
};

/// Reads the limits of an API, and what `refined` says of them; `operations` may have rates as well.
pub(super) fn limits(
    context: &mut Context<'_>,
    at: &FieldPath,
    tyk: &Tyk,
    refined: &raw::ClaimgateRateLimit,
    operations: &Operations,
) -> ApiLimits {
    let at_rate = at.members(&["upstream", "rateLimit"]);
    let rate = allowance(context, &at_rate, &tyk.upstream.rate_limit);
    let limits_anything = rate.is_some() || operations.iter().any(|operation| operation.rate.is_some());
    let global = &tyk.middleware.global;
    if global.skip_rate_limit && limits_anything {
        let message = "this switches off the API's own rateLimit as well, as in Tyk; remove one of them";
        context.warning(&at.members(&["middleware", "global", "skipRateLimit"]), message);
    }
    let at_refined = FieldPath::top().members(&["x-claimgate", "upstream", "rateLimit"]);
    for (field, is_said) in [("key", refined.key.is_some()), ("onFailure", refined.on_failure.is_some())] {
        if is_said && !limits_anything {
            let message = "neither the API nor an operation has a rateLimit that this could be about; add one to x-tyk-api-gateway, or remove this";
            context.error(&at_refined.member(field), message);
        }
    }
    let key = refined.key.as_deref().map(|claims| count_key(context, &at_refined.member("key"), claims));
    let on_failure = refined.on_failure.as_deref().and_then(|choice| {
        let read = Choice::read(choice);
        read.map_err(|reason| context.error(&at_refined.member("onFailure"), reason)).ok()
    });
    let info = &tyk.info;
    ApiLimits::new(rate.map(|allowance| SharedRate::of_api(&info.org_id, &info.id, allowance)))
        .counted_by(key)
        .failing(FailureRule::new(on_failure))
        .skipping(global.skip_rate_limit, global.skip_quota)
}

/// The claims that the rates of the API and its operations are counted by.
fn count_key(context: &mut Context<'_>, at: &FieldPath, claims: &[String]) -> CountKey {
    if claims.is_empty() {
        context.error(at, "without a claim nothing tells callers apart; name claims, or leave it out");
    }
    let locators = claims.iter().enumerate().map(|(n, claim)| context.locator(&at.element(n), claim));
    CountKey::new(locators.collect::<Vec<_>>().into_iter().flatten())
}

/// Reads a `rateLimit`, which stands at `at`.
pub(super) fn allowance(
    context: &mut Context<'_>,
    at: &FieldPath,
    raw: &raw::RateLimit,
) -> Option<Allowance> {
    if !raw.enabled {
        return None;
    }
    let period = if raw.per.is_empty() { Some(std::time::Duration::ZERO) } else { duration::parse(&raw.per) };
    let Some(period) = period else {
        context.error(&at.member("per"), "a time is written like 60s or 1m30s; correct it");
        return None;
    };
    let allowance = Allowance::rate(raw.rate, period.as_secs_f64());
    if allowance.is_none() {
        context
            .warning(at, "rate or per is not positive, so this limits nothing; write both, or switch it off");
    }
    allowance
}
