//! The fields of `claimgate.yaml`.

use crate::document::{Field, Section, Shape, Unknown};

pub(super) static CONFIG: Section = Section {
    fields: &[
        Field::honour("listen", Shape::Any),
        Field::honour("workers", Shape::Count),
        Field::honour("definitions", Shape::Text),
        Field::honour("policies", Shape::Text),
        Field::honour("errors", Shape::Text),
        Field::honour("admin", Shape::Object(&ADMIN)),
        Field::refuse("redis", "Redis is not used yet; leave it out, one node keeps everything in memory"),
        Field::honour("trustedProxies", Shape::Texts),
        Field::honour("error_overrides", Shape::Map(&Shape::List(&Shape::Object(&ERROR_OVERRIDE)))),
        Field::honour("template_path", Shape::Text),
        Field::honour("access_log", Shape::Text),
        Field::honour("timeouts", Shape::Object(&TIMEOUTS)),
        Field::honour("jwks", Shape::Object(&JWKS)),
        Field::honour("kv", Shape::Object(&KV)),
    ],
    unknown: Unknown::Error,
};

static ADMIN: Section = Section {
    fields: &[Field::honour("listen", Shape::Text), Field::honour("secret", Shape::Text)],
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

static KV: Section =
    Section { fields: &[Field::honour("file", Shape::Object(&KV_FILE))], unknown: Unknown::Error };

static KV_FILE: Section =
    Section { fields: &[Field::honour("base_path", Shape::Text)], unknown: Unknown::Error };

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
