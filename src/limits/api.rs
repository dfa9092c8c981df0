//! What limits all callers of an API together.

use http::Method;

use super::{Allowance, Caller, CountKey, FailureRule, Scope, demand::Counter};
use crate::jwt::Claims;

/// A rate that all callers share, and what its counter is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedRate {
    allowance: Allowance,
    scope: Scope,
}

impl SharedRate {
    /// That of the API of this organisation with this id.
    #[must_use]
    pub fn of_api(org_id: &str, api: &str, allowance: Allowance) -> Self {
        Self { allowance, scope: Scope::new(&["everybody", org_id, api]) }
    }

    /// That of one of its operations, by the path of the document.
    #[must_use]
    pub fn of_operation(
        org_id: &str,
        api: &str,
        (method, path): (&Method, &str),
        allowance: Allowance,
    ) -> Self {
        let names = ["endpoint", method.as_str(), path, "everybody", org_id, api];
        Self { allowance, scope: Scope::new(&names) }
    }

    /// The one of both that allows less.
    #[must_use]
    pub fn or_less<'r>(&'r self, other: &'r Self) -> &'r Self {
        if self.allowance.or_less(other.allowance) == self.allowance { self } else { other }
    }
}

/// The limits of an API that all its callers share, and which of their own do not count there.
#[derive(Clone, Debug, Default)]
pub struct ApiLimits {
    rate: Option<SharedRate>,
    skip_rate: bool,
    skip_quota: bool,
    by: Option<CountKey>,
    on_failure: FailureRule,
}

impl ApiLimits {
    /// A rate for an API. That of an operation counts instead of it.
    #[must_use]
    pub fn new(rate: Option<SharedRate>) -> Self {
        Self { rate, ..Self::default() }
    }

    /// The same, where those with the same claims share them, and not all callers: see [`ApiLimits::caller`].
    #[must_use]
    pub fn counted_by(self, by: Option<CountKey>) -> Self {
        Self { by, ..self }
    }

    /// The same, where this becomes of the rate, and of those of operations, while Redis cannot be asked.
    #[must_use]
    pub fn failing(self, on_failure: FailureRule) -> Self {
        Self { on_failure, ..self }
    }

    /// By what claims requests are counted, if not all together.
    #[must_use]
    pub const fn by(&self) -> Option<&CountKey> {
        self.by.as_ref()
    }

    /// For whom the requests of a caller are counted whose token has these claims; for the caller alone, if
    /// it lacks them.
    #[must_use]
    pub fn caller(&self, caller: Caller, claims: &Claims) -> Caller {
        match &self.by {
            Some(key) => key.caller(claims).unwrap_or(caller),
            None => Caller::EVERYBODY,
        }
    }

    /// The same without any rate (`skipRateLimit`), or without the quotas of callers (`skipQuota`).
    #[must_use]
    pub fn skipping(self, rate: bool, quota: bool) -> Self {
        Self { skip_rate: rate, skip_quota: quota, ..self }
    }

    pub(super) const fn skips_rate(&self) -> bool {
        self.skip_rate
    }

    pub(super) const fn skips_quota(&self) -> bool {
        self.skip_quota
    }

    /// The rate that counts for requests of an operation with this one, whoever calls.
    pub(super) fn shared<'r>(&'r self, of_operation: Option<&'r SharedRate>) -> Option<&'r SharedRate> {
        if self.skip_rate { None } else { of_operation.or(self.rate.as_ref()) }
    }

    /// Its counter.
    pub(super) fn rate(&self, of_operation: Option<&SharedRate>, caller: Caller) -> Option<Counter> {
        let SharedRate { allowance, scope } = self.shared(of_operation)?;
        Some(Counter::new("api", caller, *scope, *allowance).failing(self.on_failure))
    }
}
