//! Claimgate: an API gateway that authenticates JSON Web Tokens.
//!
//! It serves the Tyk OAS definitions and policies that a team already has. The `claimgate` binary is
//! the reverse proxy; this library is what it is made of. A service of one's own needs only
//! [`auth`]: a tower layer that lets requests with a good token through.
//!
//! # The path of a request
//!
//! ```text
//!  server     accept a connection, read a head (`http1`)           400, and closed, when it is malformed
//!  gateway    clean and decode the path, find the API              400, 404, redirect
//!  middleware CORS preflights                                      answered here
//!  auth       find the one token and verify it:                    401
//!               jwt    decrypt, parse, signature, claims           401
//!               jwks   the key it names                            503 while there are no keys at all
//!  policy     the rights that its claims select                    403
//!  session    who it is, and what is known of them
//!  access     may they use this API, path and method               403
//!  limits     are they within their rate and quota, and the API    429
//!  proxy      new URL and head, pooled connection, bodies streamed 502, 504
//!  telemetry  one line in the access log
//! ```
//!
//! To follow it in the code: `server/connection.rs`, `gateway/worker.rs`, `gateway/journey.rs`, `gateway/admission.rs`,
//! `auth/authentication.rs`, `auth/authenticator.rs`, `jwt/token.rs`, `jwt/rules.rs`, `policy/select.rs`, `access/mod.rs`,
//! `limits/limiter.rs`, `proxy/send.rs`. Who asks why a request is refused has it decided once more by the
//! same code, before an observer: [`explain`]. What is answered when any step says no stands in one table,
//! `refusal/table.rs`.
//!
//! # How it comes to serve
//!
//! [`config`] says where the documents are; [`document`] reads them, [`definition`] and [`policy`]
//! parse them; `gateway/compile.rs` makes a [`gateway::Snapshot`] of them that needs no decision any
//! more but those about the request; what the documents name elsewhere, in [`secrets`], is fetched before,
//! and compiled anew when it changes. A [`node::Node`] serves a snapshot, and publishes the next one
//! when `admin`, the control API, is told to reload, or a file changes (`gateway/reload.rs`); documents that are the same by then
//! are not parsed again (`document/kept.rs`). What that changes it writes to the documents on the disk
//! (`gateway/change.rs`). Each worker thread has its own listeners, its
//! own upstream connections and its own cache of tokens; what they share, they only read,
//! but for the counters of limits, which are exact over all of them, and over all nodes with [`redis`].
//!
//! # What holds everywhere
//!
//! - Nothing opens by accident. A definition that could let somebody in if a part of it were ignored
//!   is refused with a finding; a running gateway keeps what it had.
//! - Modules are declared below in reading order, and each uses only those after it. [`jwt`] knows
//!   nothing of HTTP or time, [`definition`] alone knows Tyk's field names, [`document`] alone knows
//!   YAML. `tests/architecture.rs` keeps this.
//! - Text from outside cannot cause a panic: the lints forbid what could, and `unsafe` altogether.
//! - Tokens and secrets are in no log line, no error message and no `Debug` output.

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
#[cfg(any(fuzzing, test))]
#[doc(hidden)]
pub mod fuzzing;
pub mod node;
mod admin;
pub mod gateway;
pub mod server;
pub mod config;
pub mod definition;
pub mod auth;
pub mod middleware;
pub mod api_keys;
pub mod session;
pub mod policy;
pub mod access;
pub mod limits;
pub mod proxy;
pub mod http1;
pub mod telemetry;
pub mod jwks;
pub mod jwt;
pub mod explain;
pub mod versioning;
pub mod refusal;
pub mod redis;
pub mod secrets;
pub mod document;
pub mod api_address;
mod fetch;
mod lenient_base64;
mod lookalikes;
pub mod path_pattern;
pub mod listen;
mod query;
mod parallel;
mod percent;
mod calendar;
mod tls;
