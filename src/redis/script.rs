//! Scripts that Redis runs, all at once or not at all.

use std::fmt::Write as _;

use ::redis::{Cmd, Value};
use aws_lc_rs::digest;

use super::{Failure, Link, link::is_script_unknown};

/// A script, known by its digest once a server has seen it.
#[derive(Debug)]
pub(crate) struct Script {
    text: &'static str,
    digest: String,
}

impl Script {
    pub(crate) fn new(text: &'static str) -> Self {
        let octets = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
        let mut digest = String::with_capacity(40);
        for octet in octets.as_ref() {
            // Writing to a text cannot fail.
            let _ = write!(digest, "{octet:02x}");
        }
        Self { text, digest }
    }
}

impl Link {
    /// Runs a script; `rest` adds the number of keys, the keys and the arguments. A server that does not
    /// know it yet is sent its text.
    ///
    /// # Errors
    /// As [`Link::call`].
    pub(crate) async fn run(&self, script: &Script, rest: impl Fn(&mut Cmd)) -> Result<Value, Failure> {
        let mut command = Cmd::new();
        command.arg("EVALSHA").arg(&script.digest);
        rest(&mut command);
        match self.call(&command).await {
            Err(Failure::Error(error)) if is_script_unknown(&error) => {
                let mut command = Cmd::new();
                command.arg("EVAL").arg(script.text);
                rest(&mut command);
                self.call(&command).await
            }
            answered => answered,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_the_one_of_redis() {
        // FIPS 180-4, "abc".
        assert_eq!(Script::new("abc").digest, "a9993e364706816aba3e25717850c26c9cd0d89d");
    }
}
