//! The log.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::{EnvFilter, fmt};

/// Writes the log to standard error. `RUST_LOG` says what is written; warnings and what operators
/// want to know, if it does not.
pub fn init_log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,claimgate=info"));
    // A program that embeds this one has its own log.
    let colours = io::stderr().is_terminal();
    let _ = fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(colours)
        .with_target(false)
        .try_init();
}
