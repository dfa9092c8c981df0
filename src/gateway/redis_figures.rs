//! How Redis is doing, in figures for Prometheus.

use crate::{
    redis::{Condition, Redis},
    telemetry::Exposition,
};

pub(super) fn write(redis: &Redis, exposition: &mut Exposition) {
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
}
