//! The fields of `claimgate.yaml`.

use crate::document::{Field, Section, Shape, Unknown};

pub(super) static CONFIG: Section = Section {
    fields: &[
        Field::honour("listen", Shape::Any),
        Field::honour("workers", Shape::Count),
        Field::honour("definitions", Shape::Text),
        Field::honour("policies", Shape::Text),
        Field::honour("keys", Shape::Object(&KEYS)),
        Field::honour("errors", Shape::Text),
        Field::honour("admin", Shape::Object(&ADMIN)),
        // A URL, or an object: `REDIS`.
        Field::honour("redis", Shape::Any),
        Field::honour("trustedProxies", Shape::Texts),
        Field::honour("tags", Shape::Texts),
        Field::honour("error_overrides", Shape::Map(&Shape::List(&Shape::Object(&ERROR_OVERRIDE)))),
        Field::honour("rate_limit_response_headers", Shape::Text),
        Field::honour("template_path", Shape::Text),
        Field::honour("access_log", Shape::Text),
        Field::honour("watch", Shape::Text),
        Field::honour("timeouts", Shape::Object(&TIMEOUTS)),
        Field::honour("jwks", Shape::Object(&JWKS)),
        Field::honour("kv", Shape::Object(&KV)),
        Field::honour("references", Shape::Object(&REFERENCES)),
        Field::honour("secrets", Shape::Map(&Shape::Text)),
    ],
    unknown: Unknown::Error,
};

static REFERENCES: Section =
    Section { fields: &[Field::honour("allow", Shape::Texts)], unknown: Unknown::Error };

static KEYS: Section = Section {
    fields: &[
        Field::honour("file", Shape::Text),
        Field::honour("store", Shape::Text),
        Field::honour("secret", Shape::Text),
        Field::honour("maxStale", Shape::Text),
    ],
    unknown: Unknown::Error,
};

static ADMIN: Section = Section {
    fields: &[
        Field::honour("listen", Shape::Text),
        Field::honour("secret", Shape::Text),
        Field::honour("keys", Shape::List(&Shape::Object(&ADMIN_KEY))),
        Field::honour("audit", Shape::Text),
        Field::honour("tls", Shape::Object(&ADMIN_TLS)),
    ],
    unknown: Unknown::Error,
};

static ADMIN_TLS: Section = Section {
    fields: &[
        Field::honour("certificate", Shape::Text),
        Field::honour("key", Shape::Text),
        Field::honour("clientCa", Shape::Text),
    ],
    unknown: Unknown::Error,
};

static ADMIN_KEY: Section = Section {
    fields: &[
        Field::honour("name", Shape::Text),
        Field::honour("secret", Shape::Text),
        Field::honour("roles", Shape::Texts),
    ],
    unknown: Unknown::Error,
};

static TIMEOUTS: Section = Section {
    fields: &[
        Field::honour("header", Shape::Text),
        Field::honour("connect", Shape::Text),
        Field::honour("response", Shape::Text),
        Field::honour("idle", Shape::Text),
        Field::honour("shutdown", Shape::Text),
    ],
    unknown: Unknown::Error,
};

static JWKS: Section = Section {
    fields: &[
        Field::honour("cacheTimeout", Shape::Text),
        Field::honour("ca", Shape::Text),
        Field::honour("clientCertificate", Shape::Text),
        Field::honour("clientKey", Shape::Text),
        Field::honour("proxy", Shape::Text),
        Field::honour("plainHttp", Shape::Text),
        Field::honour("privateNetworks", Shape::Text),
        Field::honour("timeout", Shape::Text),
        Field::honour("maxBytes", Shape::Count),
        Field::honour("maxKeys", Shape::Count),
        Field::honour("maxStale", Shape::Text),
    ],
    unknown: Unknown::Error,
};

pub(super) static REDIS: Section = Section {
    fields: &[
        Field::honour("url", Shape::Text),
        Field::honour("username", Shape::Text),
        Field::honour("password", Shape::Text),
        Field::honour("database", Shape::Count),
        Field::honour("sentinel", Shape::Object(&REDIS_SENTINEL)),
        Field::honour("cluster", Shape::Texts),
        Field::honour("tls", Shape::Object(&REDIS_TLS)),
        Field::honour("prefix", Shape::Text),
        Field::honour("timeout", Shape::Text),
        Field::honour("connectTimeout", Shape::Text),
        Field::honour("onFailure", Shape::Object(&REDIS_ON_FAILURE)),
    ],
    unknown: Unknown::Error,
};

static REDIS_SENTINEL: Section = Section {
    fields: &[
        Field::honour("master", Shape::Text),
        Field::honour("nodes", Shape::Texts),
        Field::honour("username", Shape::Text),
        Field::honour("password", Shape::Text),
    ],
    unknown: Unknown::Error,
};

static REDIS_ON_FAILURE: Section = Section {
    fields: &[
        Field::honour("rate", Shape::Text),
        Field::honour("quota", Shape::Text),
        Field::honour("apiRate", Shape::Text),
    ],
    unknown: Unknown::Error,
};

static REDIS_TLS: Section = Section {
    fields: &[
        Field::honour("enabled", Shape::Any),
        Field::honour("ca", Shape::Text),
        Field::honour("clientCertificate", Shape::Text),
        Field::honour("clientKey", Shape::Text),
    ],
    unknown: Unknown::Error,
};

const NOT_WAITED: &str = "values are read again every kv.refresh_interval; this has no effect, leave it out";
const NOT_VERIFIED: &str = "whoever is on the way could hand out keys of their own; name the authority of the certificate in ca_file";

static KV: Section = Section {
    fields: &[
        Field::honour("refresh_interval", Shape::Any),
        Field::honour("file", Shape::Object(&KV_FILE)),
        Field::honour("consul", Shape::Object(&KV_CONSUL)),
        Field::honour("vault", Shape::Object(&KV_VAULT)),
        Field::honour("stores", Shape::Map(&Shape::Object(&KV_STORE))),
    ],
    unknown: Unknown::Error,
};

pub(super) static KV_FILE: Section =
    Section { fields: &[Field::honour("base_path", Shape::Text)], unknown: Unknown::Error };

pub(super) static KV_CONSUL: Section = Section {
    fields: &[
        Field::honour("address", Shape::Text),
        Field::honour("scheme", Shape::Text),
        Field::honour("datacenter", Shape::Text),
        Field::honour("token", Shape::Text),
        Field::honour("http_auth", Shape::Object(&HTTP_AUTH)),
        Field::warn("wait_time", NOT_WAITED),
        Field::honour("timeout", Shape::Text),
        Field::honour("tls_config", Shape::Object(&TLS_CONFIG)),
    ],
    unknown: Unknown::Error,
};

static HTTP_AUTH: Section = Section {
    fields: &[Field::honour("username", Shape::Text), Field::honour("password", Shape::Text)],
    unknown: Unknown::Error,
};

static TLS_CONFIG: Section = Section {
    fields: &[
        Field::refuse(
            "address",
            "the name in the certificate must be that of the address; write that name there",
        ),
        Field::honour("ca_file", Shape::Text),
        Field::honour("ca_path", Shape::Text),
        Field::honour("cert_file", Shape::Text),
        Field::honour("key_file", Shape::Text),
        Field::refuse("insecure_skip_verify", NOT_VERIFIED),
    ],
    unknown: Unknown::Error,
};

pub(super) static KV_VAULT: Section = Section {
    fields: &[
        Field::honour("address", Shape::Text),
        Field::honour("agent_address", Shape::Text),
        Field::honour("token", Shape::Text),
        Field::honour("approle", Shape::Object(&APP_ROLE)),
        Field::honour("namespace", Shape::Text),
        Field::honour("kv_version", Shape::Count),
        Field::honour("mount_path", Shape::Text),
        Field::honour("max_retries", Shape::Count),
        Field::honour("timeout", Shape::Text),
        Field::honour("tls_config", Shape::Object(&TLS_CONFIG)),
    ],
    unknown: Unknown::Error,
};

static APP_ROLE: Section = Section {
    fields: &[
        Field::honour("role_id", Shape::Text),
        Field::honour("secret_id", Shape::Text),
        Field::honour("mount_path", Shape::Text),
    ],
    unknown: Unknown::Error,
};

static KV_STORE: Section = Section {
    fields: &[
        Field::honour("type", Shape::Text),
        // Every store that a reference names is required.
        Field::ignore("required"),
        Field::honour("config", Shape::Any),
    ],
    unknown: Unknown::Error,
};

pub(super) static KV_VARIABLES: Section = Section {
    fields: &[
        Field::honour("prefix", Shape::Text),
        Field::honour("uppercase", Shape::Bool),
        Field::honour("allow_no_prefix", Shape::Bool),
    ],
    unknown: Unknown::Error,
};

pub(super) static KV_INLINE: Section =
    Section { fields: &[Field::honour("data", Shape::Map(&Shape::Text))], unknown: Unknown::Error };

static ERROR_OVERRIDE: Section = Section {
    fields: &[
        Field::honour("match", Shape::Object(&ERROR_MATCH)),
        Field::honour("response", Shape::Object(&ERROR_RESPONSE)),
    ],
    unknown: Unknown::Error,
};

static ERROR_MATCH: Section = Section {
    fields: &[
        Field::honour("flag", Shape::Text),
        Field::honour("message_pattern", Shape::Text),
        Field::honour("body_field", Shape::Text),
        Field::honour("body_value", Shape::Text),
    ],
    unknown: Unknown::Error,
};

static ERROR_RESPONSE: Section = Section {
    fields: &[
        Field::honour("status_code", Shape::Count),
        Field::honour("body", Shape::Text),
        Field::honour("message", Shape::Text),
        Field::honour("template", Shape::Text),
        Field::honour("headers", Shape::Map(&Shape::Text)),
    ],
    unknown: Unknown::Error,
};
