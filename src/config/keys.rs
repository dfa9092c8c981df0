//! Where API keys are kept: the section `keys`.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    draft::{duration, from},
    kv::setter,
};
use crate::{document::Findings, secrets::Secret};

/// How long a node uses the keys that it knows while Redis cannot be asked, unless something else is said.
const MAX_STALE: Duration = Duration::from_secs(60 * 60);

/// Where API keys are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyStore {
    /// In this file, or in memory alone.
    File(Option<PathBuf>),
    /// In Redis, for all nodes.
    Redis {
        /// What entries are sealed with, or a reference to it.
        secret: Secret,
        /// How long a node uses the keys that it knows while Redis cannot be asked.
        max_stale: Duration,
    },
}

/// Sets one field from a text, or says what is wrong with it. Paths are relative to the folder.
type Set = fn(&mut Draft, &str, &Path) -> Result<(), String>;

/// What is known of it so far.
#[derive(Debug, Default)]
pub(super) struct Draft {
    file: Option<Option<PathBuf>>,
    is_redis: bool,
    secret: Option<Secret>,
    max_stale: Option<Duration>,
}

const FIELDS: &[(&str, Set)] = &[
    ("file", Draft::set_file),
    ("store", |draft, text, _| {
        draft.is_redis = match text {
            "file" => false,
            "redis" => true,
            _ => return Err("keys are kept in a file or in redis; write one of these".into()),
        };
        Ok(())
    }),
    ("secret", |draft, text, _| {
        draft.secret = Some(text.trim()).filter(|text| !text.is_empty()).map(Secret::from);
        Ok(())
    }),
    ("maxStale", |draft, text, _| duration(text).map(|time| draft.max_stale = Some(time))),
];

impl Draft {
    /// The fields that [`Draft::set`] knows.
    pub(super) fn fields() -> impl Iterator<Item = String> {
        FIELDS.iter().map(|(field, _)| format!("keys.{field}"))
    }

    /// Sets a field; nothing if it is none of ours.
    pub(super) fn set(&mut self, field: &str, text: &str, folder: &Path) -> Option<Result<(), String>> {
        let set = setter(FIELDS, field.strip_prefix("keys.")?)?;
        Some(set(self, text, folder))
    }

    fn set_file(&mut self, path: &str, folder: &Path) -> Result<(), String> {
        if path.is_empty() {
            return Err("the path is empty; write one".into());
        }
        let file = (path != "none").then(|| folder.join(path));
        if file.as_ref().is_some_and(|file| file.extension().is_none_or(|extension| extension != "json")) {
            return Err(
                "keys are kept in a file whose name ends in .json, or in none; write one of these".into()
            );
        }
        self.file = Some(file);
        Ok(())
    }

    /// The setting; `findings` say what is wrong with it.
    pub(super) fn finish(self, beside: &Path, has_redis: bool, findings: &mut Findings) -> KeyStore {
        let in_file = KeyStore::File(self.file.clone().unwrap_or_else(|| Some(beside.join("api-keys.json"))));
        let mut wrong = |field: &str, message: &str| findings.push(from(field, message.into()));
        if !self.is_redis {
            for (field, is_there) in
                [("keys.secret", self.secret.is_some()), ("keys.maxStale", self.max_stale.is_some())]
            {
                if is_there {
                    wrong(field, "this is for keys in Redis; write store: redis beside it, or leave it out");
                }
            }
            return in_file;
        }
        if !has_redis {
            wrong("keys.store", "it is not said where Redis is; write redis, or leave this out");
        }
        if self.file.is_some() {
            wrong("keys.file", "keys are kept in a file or in Redis; leave this or keys.store out");
        }
        let Some(secret) = self.secret else {
            wrong(
                "keys.secret",
                "keys in Redis are sealed with a secret that all nodes have; write at least 32 random characters, or a reference to them",
            );
            return in_file;
        };
        KeyStore::Redis { secret, max_stale: self.max_stale.unwrap_or(MAX_STALE) }
    }
}
