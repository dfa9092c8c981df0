//! `claimgate run`

use std::{env, io, process::ExitCode};

use claimgate::{
    config::{Config, Flags},
    document::Findings,
    node::{Node, StartError},
    telemetry::init_log,
};
use tokio::signal::unix::{SignalKind, signal};

use super::BAD_CONFIGURATION;

pub(super) fn run(flags: &Flags) -> ExitCode {
    init_log();
    let mut findings = Findings::default();
    let config = Config::load(flags, env::vars_os(), &mut findings);
    findings.into_iter().for_each(|finding| eprintln!("{finding}"));
    let Some(config) = config else { return ExitCode::from(BAD_CONFIGURATION) };
    match Node::start(config) {
        Ok(node) => {
            let waited = wait_for_signal();
            node.stop();
            match waited {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => fail(&error),
            }
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

/// Returns after SIGTERM or SIGINT.
pub(super) fn wait_for_signal() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        Ok(())
    })
}
