//! The gateway's own configuration: a flag beats the environment, which beats `claimgate.yaml`,
//! which beats the default.
//!
//! Every field has one setter, which takes a text, whichever of the three it came from; so a field
//! means the same everywhere, and a problem is told with the place it came from.

mod admin;
mod draft;
mod fields;
mod keys;
mod kv;
mod own_secrets;
mod redis;
mod restart;
mod stores;

use std::{
    ffi::OsString,
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    definition::FetchSettings,
    document::{Document, Finding, Findings},
    limits::{OnFailure, XRateLimit},
    proxy::{self, TrustedProxies},
    redis::Settings,
    refusal::{Overrides, Profile},
    secrets::{AllowedReferences, Secrets},
    telemetry::AuditLog,
};

pub use self::redis::RedisTls;
pub use admin::{AdminKey, AdminTls, Role};
use draft::Draft;
pub use keys::KeyStore;
pub use restart::Waiting;

/// What the gateway runs with.
#[derive(Debug)]
pub struct Config {
    /// Where it listens for requests; port 0 for any free one.
    pub listen: Vec<SocketAddr>,
    /// How many threads serve requests; at least one.
    pub workers: usize,
    /// The folder of definitions.
    pub definitions: PathBuf,
    /// The folder or file of policies, if there is one.
    pub policies: Option<PathBuf>,
    /// Where API keys are kept.
    pub keys: KeyStore,
    /// In whose words requests are refused.
    pub errors: Profile,
    /// Where the control API listens, if it does.
    pub admin_listen: Option<SocketAddr>,
    /// Who may use it; without anybody only `/hello`, `/ready` and `/metrics` answer.
    pub admin_keys: Vec<AdminKey>,
    /// How it is reached over TLS.
    pub admin_tls: AdminTls,
    /// Where it is told who changed what.
    pub audit_log: AuditLog,
    /// Whose forwarding headers are believed.
    pub trusted_proxies: TrustedProxies,
    /// Which APIs are served, by their tags; all, if there are none.
    pub tags: Vec<String>,
    /// A line for each request goes to standard output.
    pub access_log: bool,
    /// How long a client may take to send the head of a request, and be idle between two.
    pub header_timeout: Duration,
    /// How long upstreams may take.
    pub upstream_timeouts: proxy::Timeouts,
    /// How long requests in flight may take after the gateway was told to stop.
    pub shutdown_timeout: Duration,
    /// What `X-RateLimit-*` in answers are about, if it is said.
    pub x_rate_limit: Option<XRateLimit>,
    /// What errors of all APIs look like instead.
    pub error_overrides: Overrides,
    /// The folder of templates of error bodies.
    pub template_path: PathBuf,
    /// How key sets are fetched where a definition does not say.
    pub fetching: FetchSettings,
    /// How long a key set is used before it is fetched again, where nothing else is said.
    pub key_set_life: Duration,
    /// Where references are resolved.
    pub secrets: Secrets,
    /// What documents may name in them; anything but [own secrets](Self::own_secrets), if nothing is said.
    pub allowed_references: Option<AllowedReferences>,
    /// What several nodes share, if they share anything.
    pub redis: Option<Settings>,
    /// The certificates for that.
    pub redis_tls: RedisTls,
    /// What becomes of limits while that cannot be reached.
    pub on_redis_failure: OnFailure,
    /// How often references are resolved again; never, if nothing is said.
    pub refresh_interval: Option<Duration>,
    /// Files are watched, and looked at this often where the system does not tell of their changes; nothing for
    /// not at all.
    pub watch: Option<Duration>,
    /// What all this was read from.
    origin: Origin,
}

/// What a configuration is read from, so that it can be read again.
#[derive(Clone)]
struct Origin {
    file: PathBuf,
    flags: Flags,
    env: Vec<(OsString, OsString)>,
    /// Whether anything stood in the file.
    is_written: bool,
}

/// Without the environment, which has secrets.
impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Origin").field("file", &self.file).finish_non_exhaustive()
    }
}

/// What was said on the command line, by field.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// The file to read instead of `claimgate.yaml`.
    pub config: Option<PathBuf>,
    /// Fields and their values.
    pub fields: Vec<(&'static str, String)>,
}

impl Config {
    /// Reads the configuration, or nothing if there is an error in it. `env` is the environment: the
    /// variables that matter begin with `CLAIMGATE_`. All problems go to `findings`.
    pub fn load(
        flags: &Flags,
        env: impl IntoIterator<Item = (OsString, OsString)>,
        findings: &mut Findings,
    ) -> Option<Self> {
        let file = flags.config.clone().unwrap_or_else(|| PathBuf::from("claimgate.yaml"));
        let is_ours = |(name, _): &(OsString, OsString)| name.as_encoded_bytes().starts_with(b"CLAIMGATE_");
        let env = env.into_iter().filter(is_ours).collect();
        Self::of(Origin { file, flags: flags.clone(), env, is_written: false }, findings)
    }

    /// Where its file is, or would be.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.origin.file
    }

    fn of(origin: Origin, findings: &mut Findings) -> Option<Self> {
        let Origin { file, flags, env, is_written: was_written } = &origin;
        let mut is_written = false;
        let mut draft = Draft::new(folder_of(file));
        if flags.config.is_some() || file.exists() {
            match Document::read(file) {
                Ok(document) => {
                    is_written = !document.root().is_null();
                    draft.apply_file(document, findings);
                }
                Err(finding) => {
                    is_written = true;
                    findings.push(finding);
                }
            }
        }
        if *was_written && !is_written {
            // Somebody may have just begun to write it anew; and the defaults know nobody's keys.
            let message = "nothing stands in this file any more; write it again, or start the gateway anew to run it with the defaults";
            findings.push(Finding::of_file(file, message));
            return None;
        }
        // What is not in the file is relative to where the program was started.
        draft.leave_file();
        for (name, value) in env {
            draft.apply_env(name, value.clone(), findings);
        }
        for (field, value) in &flags.fields {
            draft.apply_flag(field, value, findings);
        }
        draft.finish(Origin { is_written, ..origin }, findings)
    }
}

fn folder_of(file: &Path) -> PathBuf {
    file.parent().map_or_else(PathBuf::new, Path::to_path_buf)
}
