//! What a key is told to be: the body of the control API, and an entry of the file.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::secret::{self, Secret};
use crate::{
    document::{Document, Field, FieldPath, Findings, Section, Shape, Unknown},
    jwt::Algorithm,
    policy::{self, Policy},
};

const BOUND: &str = "keys are not bound to certificates yet, and without it the key would be good for whoever has it; leave it out";
const BASIC: &str = "names and passwords are not checked; leave it out";

/// The fields of a key: Tyk's session object. What limits it and says what it may do is as in a
/// policy, and checked as one.
static KEY: Section = Section {
    fields: &[
        Field::honour("org_id", Shape::Text),
        Field::honour("apply_policies", Shape::Texts),
        Field::honour("apply_policy_id", Shape::Text),
        Field::honour("access_rights", Shape::Any),
        Field::honour("rate", Shape::Any),
        Field::honour("per", Shape::Any),
        Field::honour("quota_max", Shape::Any),
        Field::honour("quota_renewal_rate", Shape::Any),
        Field::honour("throttle_interval", Shape::Any),
        Field::honour("throttle_retry_limit", Shape::Any),
        Field::honour("is_inactive", Shape::Any),
        Field::honour("tags", Shape::Any),
        Field::honour("meta_data", Shape::Any),
        Field::honour("expires", Shape::Number),
        Field::honour("alias", Shape::Text),
        Field::honour("jwt_data", Shape::Object(&JWT_DATA)),
        Field::refuse_content("basic_auth_data", BASIC),
        Field::refuse_content("certificate", BOUND),
        Field::refuse_content("mtls_static_certificate_bindings", BOUND),
        // State of Tyk's, or about methods that it has and that are not served here.
        Field::ignore("key_id"),
        Field::ignore("last_check"),
        Field::ignore("last_updated"),
        Field::ignore("date_created"),
        Field::ignore("data_expires"),
        Field::ignore("allowance"),
        Field::ignore("quota_renews"),
        Field::ignore("quota_remaining"),
        Field::ignore("max_query_depth"),
        Field::ignore("smoothing"),
        Field::ignore("oauth_client_id"),
        Field::ignore("oauth_keys"),
        Field::ignore("hmac_enabled"),
        Field::ignore("hmac_string"),
        Field::ignore("enable_http_signature_validation"),
        Field::ignore("rsa_certificate_id"),
        Field::ignore("monitor"),
        Field::ignore("enable_detail_recording"),
        Field::ignore("enable_detailed_recording"),
        Field::ignore("id_extractor_deadline"),
        Field::ignore("session_lifetime"),
        Field::ignore("post_expiry_action"),
        Field::ignore("post_expiry_grace_period"),
    ],
    unknown: Unknown::Error,
};

static JWT_DATA: Section =
    Section { fields: &[Field::honour("secret", Shape::Text)], unknown: Unknown::Error };

/// Where the secret for tokens is.
pub(super) const JWT_SECRET: [&str; 2] = ["jwt_data", "secret"];

/// The fields that are those of a policy.
const OF_POLICY: [&str; 11] = [
    "org_id",
    "access_rights",
    "rate",
    "per",
    "quota_max",
    "quota_renewal_rate",
    "throttle_interval",
    "throttle_retry_limit",
    "is_inactive",
    "tags",
    "meta_data",
];

/// What a key is, apart from its id.
pub(super) struct Body {
    /// The fields, without the secret: what is stored, and answered.
    pub(super) fields: Map<String, Value>,
    /// Rights, limits, labels and values of its own.
    pub(super) own: Policy,
    /// The policies whose rights it has instead.
    pub(super) policies: Vec<Arc<str>>,
    /// The second after which it is not accepted.
    pub(super) expires: Option<i64>,
    /// What tokens are verified with that name it; nothing if the body does not say.
    pub(super) secret: Option<Secret>,
}

impl Body {
    /// Whether it could open anything: it has rights, or policies that may have some.
    pub(super) const fn has_rights(&self) -> bool {
        !self.own.rights.is_empty() || !self.policies.is_empty()
    }

    /// Whether the body says no other organisation than this one.
    pub(super) fn is_within(&self, org_id: &str) -> bool {
        self.own.org_id.is_empty() || *self.own.org_id == *org_id
    }

    /// The key of this organisation.
    pub(super) fn within(mut self, org_id: &str) -> Self {
        self.own.org_id = org_id.into();
        self.fields.insert("org_id".into(), org_id.into());
        self
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawKey {
    apply_policies: Vec<String>,
    apply_policy_id: String,
    expires: f64,
    jwt_data: Option<RawJwtData>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawJwtData {
    secret: String,
}

/// Reads a key; nothing after an error.
pub(super) fn parse(
    document: &Document,
    at: &FieldPath,
    mut value: Value,
    findings: &mut Findings,
) -> Option<Body> {
    KEY.check(document, at, &mut value, findings);
    let Value::Object(mut fields) = value else { return None };
    let of_policy = fields.iter().filter(|(name, _)| OF_POLICY.contains(&name.as_str()));
    let of_policy: Map<String, Value> =
        of_policy.map(|(name, value)| (name.clone(), value.clone())).collect();
    let own = policy::parse_nameless(document, at, Value::Object(of_policy), findings)?;
    let raw: RawKey = serde_json::from_value(Value::Object(fields.clone())).unwrap_or_default();
    fields.remove("jwt_data");
    let ids = raw.apply_policies.iter().chain([&raw.apply_policy_id]).filter(|id| !id.is_empty());
    let policies: Vec<Arc<str>> = ids.map(|id| id.as_str().into()).collect();
    let secret = raw.jwt_data.map(|data| Zeroizing::new(data.secret));
    if let Some(secret) = secret.as_ref().filter(|secret| !secret.is_empty())
        && let Err(reason) = secret::keys(secret, Algorithm::ALL.into_iter().collect())
    {
        findings.error(document, &at.members(&JWT_SECRET), reason);
        return None;
    }
    Some(Body { fields, own, policies, expires: seconds(raw.expires), secret })
}

/// A time that Tyk takes for one: values below 1 mean never.
#[expect(clippy::cast_possible_truncation, clippy::as_conversions, reason = "a cast to i64 saturates")]
fn seconds(time: f64) -> Option<i64> {
    (time >= 1.0).then_some(time as i64)
}
