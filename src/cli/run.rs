//! `claimgate run`

use std::{env, process::ExitCode};

use claimgate::{
    config::{Config, Flags},
    document::Findings,
    node::{Node, StartError},
    telemetry::init_log,
};
use tracing::info;

use super::{
    BAD_CONFIGURATION,
    signals::{Signals, Wish},
};

pub(super) fn run(flags: &Flags) -> ExitCode {
    let _log = init_log();
    let mut findings = Findings::default();
    let config = Config::load(flags, env::vars_os(), &mut findings);
    findings.into_iter().for_each(|finding| eprintln!("{finding}"));
    let Some(config) = config else { return ExitCode::from(BAD_CONFIGURATION) };
    // Before the start, which may take a while: whoever wants it to end meanwhile is heard too.
    let signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => return fail(&error),
    };
    match Node::start(config) {
        Ok(node) => {
            signals.serving();
            while signals.next() == Wish::Reload {
                // What is wrong with the documents is in the log, and the old ones go on.
                let _ = node.reload();
            }
            info!("told to end; requests in flight are finished");
            node.stop();
            ExitCode::SUCCESS
        }
        Err(StartError::Findings(findings)) => {
            findings.iter().for_each(|finding| eprintln!("{finding}"));
            ExitCode::from(BAD_CONFIGURATION)
        }
        Err(error) => fail(&error),
    }
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}
