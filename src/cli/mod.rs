//! The command line.

/// Prints a line on standard output. That its reader has gone, as in `claimgate check | head -1`, is
/// no fault.
macro_rules! say {
    ($($part:tt)*) => {{
        use std::io::Write as _;
        _ = writeln!(std::io::stdout(), $($part)*);
    }};
}

mod check;
mod demo;
mod explain;
mod run;
mod signals;
mod token;

use std::{path::PathBuf, process::ExitCode};

use claimgate::config::Flags;
use clap::{Args, Parser, Subcommand};

/// An API gateway that authenticates JSON Web Tokens, configured by Tyk OAS definitions and policies.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the APIs of a folder of definitions.
    Run(RunFlags),
    /// Read everything that `run` would, start nothing, and tell what is wrong.
    Check(RunFlags),
    /// Tell what becomes of a request, or whether an API takes a token, and why: step by step, with the
    /// configuration that `run` would have. Ends with 0 if it is let through, 1 if it is refused, and 2 if
    /// the question or the configuration is wrong.
    Explain(Box<explain::ExplainFlags>),
    /// Identity provider, echo upstream and gateway in one process: prints requests to try.
    Demo(demo::DemoFlags),
    /// Make keys, their JWKS, and test tokens.
    #[command(subcommand)]
    Token(token::TokenCommand),
}

/// What `run` and `check` take.
#[derive(Args, Debug)]
struct RunFlags {
    /// Configuration file [default: claimgate.yaml, if there is one].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder of Tyk OAS definitions [default: api-definitions].
    #[arg(long, value_name = "DIR")]
    definitions: Option<String>,
    /// Folder or file of policies [default: policies, if there is one].
    #[arg(long, value_name = "PATH")]
    policies: Option<String>,
    /// Address to listen on, may be given several times [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDR")]
    listen: Vec<String>,
    /// Threads that serve requests, 0 for one per core [default: 0].
    #[arg(long, value_name = "N")]
    workers: Option<String>,
    /// Whose error answers: rfc or tyk [default: rfc].
    #[arg(long, value_name = "PROFILE")]
    errors: Option<String>,
}

impl From<RunFlags> for Flags {
    fn from(flags: RunFlags) -> Self {
        let listen = (!flags.listen.is_empty()).then(|| flags.listen.join(","));
        let fields = [
            ("definitions", flags.definitions),
            ("policies", flags.policies),
            ("listen", listen),
            ("workers", flags.workers),
            ("errors", flags.errors),
        ];
        let fields = fields.into_iter().filter_map(|(field, value)| Some((field, value?))).collect();
        Self { config: flags.config, fields }
    }
}

/// The process ends with this after bad usage or bad configuration.
const BAD_CONFIGURATION: u8 = 2;

impl Cli {
    pub(crate) fn run(self) -> ExitCode {
        match self.command {
            Command::Run(flags) => run::run(&flags.into()),
            Command::Check(flags) => check::check(&flags.into()),
            Command::Explain(flags) => explain::explain(*flags),
            Command::Demo(flags) => demo::demo(&flags),
            Command::Token(command) => token::token(command),
        }
    }
}
