//! `claimgate check`

use std::{env, process::ExitCode};

use claimgate::{
    config::{Config, Flags},
    document::{Findings, Severity},
    gateway,
};

pub(super) fn check(flags: &Flags) -> ExitCode {
    let mut findings = Findings::default();
    let config = Config::load(flags, env::vars_os(), &mut findings);
    if let Some(config) = &config
        && let Err(error) = gateway::check(config, &mut findings)
    {
        eprintln!("error: {error}");
        return ExitCode::FAILURE;
    }
    let findings = findings.sorted();
    findings.iter().for_each(|finding| say!("{finding}"));
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let warnings = findings.len().saturating_sub(errors);
    let unread = if config.is_none() { "; definitions and policies were not looked at" } else { "" };
    say!("{}, {}{unread}", count(errors, "error"), count(warnings, "warning"));
    if errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
