//! Which settings a running gateway takes over from a file that has changed, and which only its start does.

use super::Config;
use crate::document::Findings;

/// A setting that has changed, and acts with a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its name.
    pub setting: &'static str,
    /// What it says now, as far as it may be shown.
    value: String,
}

/// Keeps the fields of the second that the start has used up, and names those that differ.
macro_rules! keep {
    ($new:ident, $running:ident: $($field:ident $name:literal),* $(,)?) => {{
        let mut waiting: Vec<Waiting> = Vec::new();
        $(
            if $new.$field != $running.$field {
                waiting.push(Waiting { setting: $name, value: format!("{:?}", $new.$field) });
                $new.$field.clone_from(&$running.$field);
            }
        )*
        waiting
    }};
}

impl Config {
    /// The configuration as its file is now. Threads, sockets and clocks stay what they are: a field that they
    /// were made of keeps its value until a restart; which of them should have another one is told beside. Nothing
    /// if there is an error in the file.
    pub fn again(&self, findings: &mut Findings) -> Option<(Self, Vec<Waiting>)> {
        let mut new = Self::of(self.origin.clone(), findings)?;
        let waiting = keep!(new, self:
            listen "listen",
            workers "workers",
            keys "keys",
            admin_listen "admin.listen",
            trusted_proxies "trustedProxies",
            access_log "access_log",
            header_timeout "timeouts.header",
            upstream_timeouts "timeouts.connect, .response or .idle",
            shutdown_timeout "timeouts.shutdown",
            redis "redis",
            on_redis_failure "redis.onFailure",
            refresh_interval "kv.refresh_interval",
            watch "watch",
        );
        Some((new, waiting))
    }
}
