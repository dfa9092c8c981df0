//! How Redis is doing, in figures for Prometheus.

use crate::{
    limits::SharedFigures,
    redis::{Condition, Redis},
    telemetry::Exposition,
};

pub(super) fn write(redis: &Redis, shared: &SharedFigures, exposition: &mut Exposition) {
    let is_up = redis.condition() == Condition::Up;
    exposition
        .gauge("claimgate_redis_up", "Whether every connection to Redis works.")
        .sample(&[], u64::from(is_up));
    let totals = redis.totals();
    exposition.counter("claimgate_redis_calls_total", "Calls of Redis.").sample(&[], totals.calls);
    let mut family = exposition
        .counter("claimgate_redis_failures_total", "Calls of Redis without an answer that could be used.");
    family.sample(&[("kind", "timeout")], totals.timeouts);
    family.sample(&[("kind", "error")], totals.errors);
    exposition
        .counter("claimgate_redis_call_seconds_total", "How long all calls of Redis took together.")
        .seconds(&[], totals.waited);
    exposition
        .counter(
            "claimgate_limit_reservations_total",
            "How often requests were counted ahead of their coming.",
        )
        .sample(&[], shared.refills);
    exposition
        .counter("claimgate_limit_reserved_requests_total", "Requests that were counted ahead.")
        .sample(&[], shared.reserved);
    exposition
        .counter("claimgate_limit_returned_requests_total", "Those that did not come, and were given back.")
        .sample(&[], shared.returned);
    let mut family = exposition.counter(
        "claimgate_limit_fallbacks_total",
        "Requests to a limit that Redis did not decide, and what decided instead.",
    );
    for (which, choice, number) in &shared.fallbacks {
        family.sample(&[("limit", which.name()), ("choice", choice.name())], *number);
    }
}
