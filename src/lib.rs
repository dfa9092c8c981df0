//! Claimgate: an API gateway that authenticates JSON Web Tokens.

#![cfg_attr(
    test,
    expect(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::string_slice,
        reason = "a test that meets the unexpected should stop, loudly"
    )
)]

// In reading order: from the running process down to what knows nothing of the others. A module uses
// only those below it.
pub mod server;
pub mod config;
pub mod definition;
pub mod auth;
pub mod middleware;
pub mod session;
pub mod policy;
pub mod access;
pub mod proxy;
pub mod telemetry;
pub mod jwks;
pub mod jwt;
pub mod refusal;
pub mod secrets;
pub mod document;
