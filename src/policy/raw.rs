//! The fields of a policy document, what becomes of each, and the mirror of those that are honoured.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::document::{Field, Section, Shape, Unknown};

const GRAPHQL: &str = "restrictions of GraphQL, JSON-RPC and MCP are not enforced; remove the field, or this policy would grant more than it says";

pub(super) static POLICY: Section = Section {
    fields: &[
        Field::ignore("_id"),
        Field::honour("id", Shape::Text),
        Field::ignore("name"),
        Field::honour("org_id", Shape::Text),
        Field::honour("rate", Shape::Number),
        Field::honour("per", Shape::Number),
        Field::honour("quota_max", Shape::Number),
        Field::honour("quota_renewal_rate", Shape::Number),
        Field::honour("throttle_interval", Shape::Number),
        Field::honour("throttle_retry_limit", Shape::Number),
        Field::ignore("max_query_depth"),
        Field::honour("access_rights", Shape::Map(&Shape::Object(&ACCESS_RIGHT))),
        Field::warn("hmac_enabled", "HMAC request signatures are not checked"),
        Field::warn("enable_http_signature_validation", "HTTP signatures are not checked"),
        Field::honour("active", Shape::Bool),
        Field::honour("is_inactive", Shape::Bool),
        Field::honour("state", Shape::Text),
        Field::honour("tags", Shape::Texts),
        Field::honour("key_expires_in", Shape::Number),
        Field::ignore("post_expiry_action"),
        Field::ignore("post_expiry_grace_period"),
        Field::honour("partitions", Shape::Object(&PARTITIONS)),
        Field::ignore("last_updated"),
        Field::ignore("date_created"),
        Field::honour("meta_data", Shape::Map(&Shape::Any)),
        Field::refuse_content("graphql_access_rights", GRAPHQL),
        Field::ignore("smoothing"),
        Field::honour("x-claimgate", Shape::Object(&CLAIMGATE)),
        Field::refuse_content(
            "allowed_urls",
            "this belongs into an entry of access_rights; here it restricts nothing",
        ),
    ],
    unknown: Unknown::Warning,
};

static CLAIMGATE: Section = Section {
    fields: &[
        Field::honour("rateKey", Shape::Texts),
        Field::honour("quotaKey", Shape::Texts),
        Field::honour("rateOnFailure", Shape::Text),
        Field::honour("quotaOnFailure", Shape::Text),
    ],
    unknown: Unknown::Error,
};

static PARTITIONS: Section = Section {
    fields: &[
        Field::honour("quota", Shape::Bool),
        Field::honour("rate_limit", Shape::Bool),
        Field::honour("complexity", Shape::Bool),
        Field::honour("acl", Shape::Bool),
        Field::honour("per_api", Shape::Bool),
    ],
    unknown: Unknown::Warning,
};

static ACCESS_RIGHT: Section = Section {
    fields: &[
        Field::ignore("api_name"),
        Field::honour("api_id", Shape::Text),
        Field::honour("versions", Shape::Texts),
        Field::honour("allowed_urls", Shape::List(&Shape::Object(&ALLOWED_URL))),
        Field::refuse_content("restricted_types", GRAPHQL),
        Field::refuse_content("allowed_types", GRAPHQL),
        Field::refuse_content("field_access_rights", GRAPHQL),
        Field::refuse_content("disable_introspection", GRAPHQL),
        Field::refuse_content("json_rpc_methods", GRAPHQL),
        Field::refuse_content("json_rpc_methods_access_rights", GRAPHQL),
        Field::refuse_content("mcp_access_rights", GRAPHQL),
        Field::honour("limit", Shape::Object(&LIMIT)),
        Field::ignore("allowance_scope"),
        Field::honour("endpoints", Shape::List(&Shape::Object(&ENDPOINT))),
    ],
    unknown: Unknown::Error,
};

static LIMIT: Section = Section {
    fields: &[
        Field::honour("rate", Shape::Number),
        Field::honour("per", Shape::Number),
        Field::honour("quota_max", Shape::Number),
        Field::honour("quota_renewal_rate", Shape::Number),
        Field::honour("throttle_interval", Shape::Number),
        Field::honour("throttle_retry_limit", Shape::Number),
        Field::ignore("max_query_depth"),
        Field::ignore("smoothing"),
        // What Tyk keeps of a session in the same object.
        Field::ignore("quota_remaining"),
        Field::ignore("quota_renews"),
        Field::ignore("set_by"),
    ],
    unknown: Unknown::Warning,
};

static ENDPOINT: Section = Section {
    fields: &[
        Field::honour("path", Shape::Text),
        Field::honour("methods", Shape::List(&Shape::Object(&ENDPOINT_METHOD))),
    ],
    unknown: Unknown::Error,
};

static ENDPOINT_METHOD: Section = Section {
    fields: &[Field::honour("name", Shape::Text), Field::honour("limit", Shape::Object(&ENDPOINT_LIMIT))],
    unknown: Unknown::Error,
};

static ENDPOINT_LIMIT: Section = Section {
    fields: &[
        Field::honour("rate", Shape::Number),
        Field::honour("per", Shape::Number),
        Field::ignore("smoothing"),
    ],
    unknown: Unknown::Error,
};

static ALLOWED_URL: Section = Section {
    fields: &[Field::honour("url", Shape::Text), Field::honour("methods", Shape::Texts)],
    unknown: Unknown::Error,
};

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RawPolicy {
    pub(super) id: Option<String>,
    pub(super) org_id: String,
    #[serde(flatten)]
    pub(super) limit: RawLimit,
    pub(super) access_rights: Map<String, Value>,
    pub(super) active: Option<bool>,
    pub(super) is_inactive: bool,
    pub(super) state: Option<String>,
    pub(super) tags: Vec<String>,
    pub(super) key_expires_in: f64,
    pub(super) partitions: RawPartitions,
    pub(super) meta_data: Map<String, Value>,
    #[serde(rename = "x-claimgate")]
    pub(super) claimgate: RawClaimgate,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct RawClaimgate {
    pub(super) rate_key: Option<Vec<String>>,
    pub(super) quota_key: Option<Vec<String>>,
    pub(super) rate_on_failure: Option<String>,
    pub(super) quota_on_failure: Option<String>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawPartitions {
    pub(super) quota: bool,
    pub(super) rate_limit: bool,
    pub(super) complexity: bool,
    pub(super) acl: bool,
    pub(super) per_api: bool,
}

impl RawPartitions {
    /// Whether only parts of the policy count.
    pub(super) const fn have_others_than_per_api(self) -> bool {
        self.quota || self.rate_limit || self.complexity || self.acl
    }

    /// Whether the policy only limits what others grant.
    pub(super) const fn are_limits_alone(self) -> bool {
        (self.quota || self.rate_limit || self.complexity) && !self.acl
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RawRight {
    pub(super) api_id: Option<String>,
    pub(super) versions: Vec<String>,
    pub(super) allowed_urls: Vec<RawUrl>,
    pub(super) limit: Option<RawLimit>,
    pub(super) endpoints: Vec<RawEndpoint>,
}

#[derive(Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct RawLimit {
    pub(super) rate: f64,
    pub(super) per: f64,
    pub(super) quota_max: f64,
    pub(super) quota_renewal_rate: f64,
    pub(super) throttle_interval: f64,
    pub(super) throttle_retry_limit: f64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RawEndpoint {
    pub(super) path: String,
    pub(super) methods: Vec<RawEndpointMethod>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RawEndpointMethod {
    pub(super) name: String,
    pub(super) limit: RawLimit,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RawUrl {
    pub(super) url: String,
    pub(super) methods: Vec<String>,
}
