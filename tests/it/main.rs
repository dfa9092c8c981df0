//! The gateway from outside: the real binary, real listeners, real peers, recorded octets.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "a test that meets the unexpected should stop, loudly, and be short"
)]

mod algorithms;
mod api_keys;
mod authenticator;
mod claim_headers;
mod commands;
mod connections;
mod control;
mod control_documents;
mod corpus;
mod documentation;
mod documents;
mod encrypted_tokens;
mod error_overrides;
mod every_error;
mod examples;
mod explain;
mod http_corpus;
mod incremental_reloads;
mod journeys;
mod key_combinations;
mod key_fetching;
mod key_sources;
mod layer;
mod limit_keys;
mod limits;
mod metrics;
mod middleware;
mod nodes;
mod operation_paths;
mod operations;
mod outage;
mod own_secrets;
mod policies;
mod providers;
mod proxying;
mod real_redis;
mod real_stores;
mod redis;
mod refusals;
mod reloading;
mod restrictions;
mod rewrites;
mod routing;
mod schemes;
mod secret_stores;
mod shared_keys;
mod shared_limits;
mod stopping;
mod support;
mod token_places;
mod token_rules;
mod unsupported_fields;
mod upstream_tls;
mod upstreams;
mod versions;
mod websockets;
mod weaknesses;
