//! A policy document: JSON as Tyk writes it, or the same in YAML.
//!
//! It is one policy with its `id`, a list of such, or an object of policies by id.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::Method;
use serde_json::Value;

use super::{
    ApiEntry, Partitions, Policy, PolicyLimits, methods,
    raw::{POLICY, RawEndpoint, RawLimit, RawPartitions, RawPolicy, RawRight},
};
use crate::{
    access::{ApiRight, UrlRule},
    document::{Document, FieldPath, Findings},
    jwt::Locator,
    limits::{Allowance, Choice, CountKey, Endpoints, FailureRule, Limits, Quota, Rate, Throttle},
    path_pattern::{PathPattern, PatternError},
};

/// Reads an object with the fields of a policy that is none: what it grants belongs to whoever holds
/// it, and no one can name it. The limit of an access right counts in it as if it said `per_api`.
pub fn parse_nameless(
    document: &Document,
    at: &FieldPath,
    mut value: Value,
    findings: &mut Findings,
) -> Option<Policy> {
    POLICY.check(document, at, &mut value, findings);
    let mut raw: RawPolicy = serde_json::from_value(value).unwrap_or_default();
    let limit =
        |right: &Value| right.get("limit").and_then(Value::as_object).is_some_and(|limit| !limit.is_empty());
    raw.partitions.per_api = raw.access_rights.values().any(limit);
    let mut reader = Reader { document, at, findings, patterns: &Patterns::default() };
    let own = reader.policy(raw, Some("nameless"))?;
    Some(Policy { partitions: Partitions::default(), ..own })
}

/// What stands in a policy document, while it is read.
pub(super) struct PolicyDocument<'d> {
    pub(super) document: &'d Document,
    pub(super) findings: &'d mut Findings,
    pub(super) patterns: &'d Patterns,
}

impl PolicyDocument<'_> {
    /// Its policies, in their order.
    pub(super) fn policies(mut self, root: Value) -> Vec<Policy> {
        let top = FieldPath::top();
        match root {
            root @ Value::Object(_) if is_policy(&root) => {
                self.policy(&top, root, None).into_iter().collect()
            }
            Value::Object(by_id) => {
                let policies = by_id.into_iter();
                policies.filter_map(|(id, policy)| self.policy(&top.member(&id), policy, Some(&id))).collect()
            }
            Value::Array(list) => {
                let policies = list.into_iter().enumerate();
                policies.filter_map(|(n, policy)| self.policy(&top.element(n), policy, None)).collect()
            }
            _ => {
                let message =
                    "a policy document is one policy object, a list of them, or an object of policies by id";
                self.findings.error(self.document, &top, message);
                Vec::new()
            }
        }
    }

    fn policy(&mut self, at: &FieldPath, mut value: Value, key: Option<&str>) -> Option<Policy> {
        POLICY.check(self.document, at, &mut value, self.findings);
        if !value.is_object() {
            return None;
        }
        // The table took out what the mirror cannot read.
        let raw: RawPolicy = serde_json::from_value(value).unwrap_or_default();
        let is_only_a_limit = raw.partitions.are_limits_alone();
        let Self { document, findings, patterns } = self;
        let policy = Reader { document, at, findings, patterns }.policy(raw, key)?;
        if policy.limits.apis.is_empty() && !is_only_a_limit {
            let message = "without access rights it grants nothing, and a caller without another policy gets 403; name APIs, or write in partitions which limits it is for";
            findings.warning(document, &at.member("access_rights"), message);
        }
        Some(policy)
    }
}

/// The patterns of URLs that were read before. Thousands of policies name the same few, and to compile one
/// is most of what it takes to read a policy.
#[derive(Default)]
pub(super) struct Patterns(Mutex<HashMap<String, Result<PathPattern, PatternError>>>);

impl Patterns {
    fn read(&self, text: &str) -> Result<PathPattern, PatternError> {
        if let Some(known) = self.known().get(text) {
            return known.clone();
        }
        let pattern = PathPattern::new(text);
        self.known().entry(text.to_owned()).or_insert(pattern).clone()
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Result<PathPattern, PatternError>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One policy, and not an object of policies by id: it has a field that only a policy has.
pub(super) fn is_policy(root: &Value) -> bool {
    root.get("access_rights").is_some() || root.get("id").is_some_and(|id| !id.is_object())
}

struct Reader<'r> {
    document: &'r Document,
    at: &'r FieldPath,
    findings: &'r mut Findings,
    patterns: &'r Patterns,
}

impl Reader<'_> {
    fn error(&mut self, field: &str, message: impl Into<String>) {
        self.findings.error(self.document, &self.at.member(field), message);
    }

    fn policy(&mut self, raw: RawPolicy, key: Option<&str>) -> Option<Policy> {
        let id = self.id(raw.id, key)?;
        let partitions =
            Partitions { per_api: raw.partitions.per_api, others: raw.partitions.have_others_than_per_api() };
        let parts = self.parts(raw.partitions);
        let own = limits(&raw.limit);
        self.warn_about_limit(self.at, &raw.limit);
        let mut limits = PolicyLimits {
            rate: parts.rate.then_some(own.rate),
            quota: parts.quota.then_some(own.quota),
            per_api: parts.per_api,
            apis: Vec::with_capacity(raw.access_rights.len()),
            rate_key: self.count_key("rateKey", raw.claimgate.rate_key),
            quota_key: self.count_key("quotaKey", raw.claimgate.quota_key),
            rate_on_failure: self.on_failure("rateOnFailure", raw.claimgate.rate_on_failure.as_deref()),
            quota_on_failure: self.on_failure("quotaOnFailure", raw.claimgate.quota_on_failure.as_deref()),
        };
        let mut rights = Vec::with_capacity(raw.access_rights.len());
        for (api, right) in raw.access_rights {
            let at = self.at.member("access_rights").member(&api);
            let raw: RawRight = serde_json::from_value(right).unwrap_or_default();
            let api: Arc<str> = api.into();
            self.warn_about_versions(&at, &raw.versions);
            limits.apis.push(self.api_entry(&at, &api, &raw, &parts));
            if parts.acl {
                let right = self.right(&at, &raw, &api);
                rights.push((api, right));
            }
        }
        let active = self.is_active(raw.active, raw.is_inactive, raw.state.as_deref());
        if raw.key_expires_in > 0.0 {
            let message = "sessions end with their token, not after this time; let tokens have an exp";
            self.findings.warning(self.document, &self.at.member("key_expires_in"), message);
        }
        Some(Policy {
            file: self.document.path().to_owned(),
            at: self.at.clone(),
            id,
            org_id: raw.org_id.into(),
            active,
            rights,
            tags: raw.tags,
            meta_data: raw.meta_data,
            limits,
            partitions,
        })
    }

    /// What becomes of a limit while Redis cannot be asked, if it is said.
    fn on_failure(&mut self, field: &str, choice: Option<&str>) -> FailureRule {
        let at = self.at.members(&["x-claimgate", field]);
        let mut read =
            |choice| Choice::read(choice).map_err(|reason| self.findings.error(self.document, &at, reason));
        FailureRule::new(choice.and_then(|choice| read(choice).ok()))
    }

    /// The claims that requests are counted by.
    fn count_key(&mut self, field: &str, claims: Option<Vec<String>>) -> Option<CountKey> {
        let claims = claims?;
        let at = self.at.members(&["x-claimgate", field]);
        if claims.is_empty() {
            let message = "without a claim nothing tells callers apart; name claims, or leave it out to count each caller alone";
            self.findings.error(self.document, &at, message);
        }
        let mut locators = Vec::with_capacity(claims.len());
        for (n, claim) in claims.iter().enumerate() {
            match Locator::parse(claim) {
                Ok(locator) => locators.push(locator),
                Err(reason) => self.findings.error(self.document, &at.element(n), reason.to_string()),
            }
        }
        Some(CountKey::new(locators))
    }

    /// Tells of versions that somebody may expect to be told apart.
    fn warn_about_versions(&mut self, at: &FieldPath, versions: &[String]) {
        for (n, name) in versions.iter().enumerate() {
            if !matches!(name.as_str(), "" | "Default") {
                let message = "versions of an API are APIs of their own, each with rights of its own; grant the id of that API, for this name is not looked at";
                self.findings.warning(self.document, &at.member("versions").element(n), message);
            }
        }
    }

    fn id(&mut self, id: Option<String>, key: Option<&str>) -> Option<Arc<str>> {
        let id = match (key, id) {
            (Some(key), Some(id)) if key != id => {
                let message = format!("the policy is called {key} by its key and {id} here; the key counts");
                self.findings.warning(self.document, &self.at.member("id"), message);
                key.to_owned()
            }
            (Some(key), _) => key.to_owned(),
            (None, Some(id)) => id,
            (None, None) => {
                self.error("id", "a policy needs an id; add one");
                return None;
            }
        };
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '~');
        if id.is_empty() || !id.chars().all(allowed) {
            self.error("id", "a policy id may hold letters, digits, `.`, `_`, `-` and `~`; change it");
            return None;
        }
        Some(id.into())
    }

    /// Which parts of a policy with these partitions count: all, if none is named.
    fn parts(&mut self, partitions: RawPartitions) -> Parts {
        let RawPartitions { quota, rate_limit, complexity: _, acl, per_api } = partitions;
        let any = partitions.have_others_than_per_api();
        if per_api && any {
            let message = "per_api and another partition contradict each other; callers with this policy get no rights from it";
            self.findings.warning(self.document, &self.at.member("partitions"), message);
            return Parts { acl: false, rate: false, quota: false, per_api: false };
        }
        Parts { acl: acl || !any, rate: rate_limit || !any, quota: quota || !any, per_api }
    }

    fn is_active(&mut self, active: Option<bool>, is_inactive: bool, state: Option<&str>) -> bool {
        let denied = match state {
            None | Some("" | "active" | "draft") => false,
            Some("deny") => true,
            Some(_) => {
                self.error("state", "a policy is active, draft or deny; write one of these");
                true
            }
        };
        active != Some(false) && !is_inactive && !denied
    }

    /// Tells of numbers that hardly mean what they say.
    fn warn_about_limit(&mut self, at: &FieldPath, limit: &RawLimit) {
        let (quota, renewal) = (whole(limit.quota_max), whole(limit.quota_renewal_rate));
        for (is_odd, field, message) in [
            (
                limit.rate > 0.0 && limit.per <= 0.0,
                "rate",
                "without a positive per this limits nothing; write the seconds in per, or remove it",
            ),
            (
                quota > 0 && renewal <= 0,
                "quota_max",
                "without a positive quota_renewal_rate this is never renewed: whoever has used it up gets 429 for good; write the seconds after which it is",
            ),
            (
                quota < -1,
                "quota_max",
                "a number below 0 is no limit at all; write -1 if that is meant, else a positive one",
            ),
        ] {
            if is_odd {
                self.findings.warning(self.document, &at.member(field), message);
            }
        }
    }

    /// Tells of a method in upper case that nobody knows; `then` is what becomes of it.
    fn warn_about_method(&mut self, at: &FieldPath, name: &str, then: &str) {
        if !methods::is_known(name) {
            let message = format!(
                "{name} is no method that is registered, so {then}; correct it, if it is not one of your own"
            );
            self.findings.warning(self.document, at, message);
        }
    }

    /// What the policy limits on one API.
    fn api_entry(&mut self, at: &FieldPath, api: &Arc<str>, raw: &RawRight, parts: &Parts) -> ApiEntry {
        let own = raw.limit.filter(|limit| *limit != RawLimit::default());
        if let Some(own) = &own {
            self.warn_about_limit(&at.member("limit"), own);
        }
        if own.is_some_and(|own| limits_anything(&limits(&own))) && !parts.per_api {
            let message =
                "without the partition per_api the limit of an access right has no effect, as in Tyk";
            self.findings.warning(self.document, &at.member("limit"), message);
        }
        let own = own.filter(|_| parts.per_api).map(|own| Box::new(limits(&own)));
        let endpoints = if parts.rate { self.endpoints(at, &raw.endpoints) } else { Endpoints::default() };
        ApiEntry { api: Arc::clone(api), limits: own, endpoints }
    }

    fn endpoints(&mut self, at: &FieldPath, raw: &[RawEndpoint]) -> Endpoints {
        let mut endpoints = Endpoints::default();
        for (n, endpoint) in raw.iter().enumerate() {
            let at = at.member("endpoints").element(n);
            for (m, method) in endpoint.methods.iter().enumerate() {
                let at_method = at.member("methods").element(m);
                let Some(allowance) = Allowance::rate(method.limit.rate, method.limit.per) else {
                    let message = "rate or per is not positive, so this limits nothing; write both";
                    self.findings.warning(self.document, &at_method.member("limit"), message);
                    continue;
                };
                let Ok(name) = Method::from_bytes(method.name.to_ascii_uppercase().as_bytes()) else {
                    self.findings.error(
                        self.document,
                        &at_method.member("name"),
                        "this is no method, so nothing would be limited; correct it",
                    );
                    continue;
                };
                self.warn_about_method(
                    &at_method.member("name"),
                    name.as_str(),
                    "this limits no request that clients make",
                );
                if let Err(reason) = endpoints.add(name, &endpoint.path, allowance) {
                    let message =
                        format!("the pattern cannot be used, so nothing would be limited: {reason}");
                    self.findings.error(self.document, &at.member("path"), message);
                }
            }
        }
        endpoints
    }

    /// The methods of a rule. They are compared by letter case (RFC 9110 section 9.1).
    fn methods(&mut self, at: &FieldPath, names: &[String]) -> Vec<Method> {
        if names.is_empty() {
            let message = "without methods this entry grants nothing; list them";
            self.findings.warning(self.document, at, message);
        }
        let mut methods = Vec::with_capacity(names.len());
        for (n, name) in names.iter().enumerate() {
            match Method::from_bytes(name.as_bytes()) {
                Ok(method) => methods.push(method),
                Err(_) => {
                    let message = "this is no method, so nothing is granted for it; correct it";
                    self.findings.warning(self.document, &at.element(n), message);
                    continue;
                }
            }
            if name.bytes().any(|octet| octet.is_ascii_lowercase()) {
                // Without repeating it: it may be the value of a reference, which is hidden as it is written.
                let message = "methods are told apart by letter case, so this does not grant the one in capitals; write it in capitals";
                self.findings.warning(self.document, &at.element(n), message);
            } else {
                self.warn_about_method(&at.element(n), name, "this grants no request that clients make");
            }
        }
        methods
    }

    /// What the policy grants on one API.
    fn right(&mut self, at: &FieldPath, raw: &RawRight, api: &str) -> ApiRight {
        if raw.api_id.as_ref().is_some_and(|id| id != api) {
            let message =
                format!("the right is for the API {api} by its key and for another one here; the key counts");
            self.findings.warning(self.document, &at.member("api_id"), message);
        }
        let urls = &raw.allowed_urls;
        if urls.is_empty() {
            return ApiRight::Whole;
        }
        let mut rules = Vec::with_capacity(urls.len());
        for (n, url) in urls.iter().enumerate() {
            let at = at.member("allowed_urls").element(n);
            let methods = self.methods(&at.member("methods"), &url.methods);
            match self.patterns.read(&url.url) {
                Ok(pattern) => rules.push(UrlRule::of(pattern, methods)),
                Err(reason) => {
                    let message =
                        format!("the pattern cannot be used, so this entry grants nothing: {reason}");
                    self.findings.warning(self.document, &at.member("url"), message);
                }
            }
        }
        ApiRight::urls(rules)
    }
}

/// Which parts of a policy count.
struct Parts {
    acl: bool,
    rate: bool,
    quota: bool,
    per_api: bool,
}

fn limits(raw: &RawLimit) -> Limits {
    let retries = u32::try_from(whole(raw.throttle_retry_limit).max(0)).unwrap_or(u32::MAX);
    let interval = Duration::try_from_secs_f64(raw.throttle_interval).unwrap_or_default();
    let throttle = (retries > 0 && !interval.is_zero()).then_some(Throttle { interval, retries });
    Limits {
        rate: Rate { allowance: Allowance::rate(raw.rate, raw.per), throttle },
        quota: Quota::new(whole(raw.quota_max), whole(raw.quota_renewal_rate)),
    }
}

const fn limits_anything(limits: &Limits) -> bool {
    limits.rate.allowance.is_some() || matches!(limits.quota, Quota::Limited(_))
}

/// Tyk writes whole numbers as floats now and then.
#[expect(clippy::cast_possible_truncation, clippy::as_conversions, reason = "a cast to i64 saturates")]
const fn whole(number: f64) -> i64 {
    number as i64
}
