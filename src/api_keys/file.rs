//! The file that keys survive a restart in.
//!
//! It holds hashes of keys and what the keys may do, and in the clear the secrets that tokens are verified
//! with. It is replaced as a whole, so that a crash leaves the old one or the new one.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use aws_lc_rs::rand;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::{
    StoredKey,
    entry::{Entry, octets},
};
use crate::document::{Document, Durability, FieldPath, Finding, Findings, Readers, replace};

const VERSION: u64 = 1;
const SALT: usize = 32;

/// Where keys are written, and the salt of their hashes.
#[derive(Debug)]
pub(super) struct KeyFile {
    /// Nothing where keys are to live as long as the process.
    path: Option<PathBuf>,
    salt: Salt,
}

/// The salt of the hashes of one store.
struct Salt([u8; SALT]);

/// Whoever has it can try guesses.
impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(…)")
    }
}

/// The keys could not be written, or nobody knows whether they outlive a crash of the machine.
#[derive(Debug)]
pub struct FileError {
    path: PathBuf,
    is_written: bool,
    source: io::Error,
}

impl FileError {
    /// Whether the change is made all the same.
    #[must_use]
    pub(super) const fn is_written(&self) -> bool {
        self.is_written
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, is_written, source } = self;
        let path = path.display();
        if *is_written {
            write!(
                f,
                "the key has changed, and nobody knows whether that outlives a crash: the folder of {path} cannot be synced: {source}; look after the disk, and send this again"
            )
        } else {
            write!(f, "the keys cannot be written to {path}: {source}; nothing has changed")
        }
    }
}

impl std::error::Error for FileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    version: u64,
    salt: String,
    keys: Vec<Entry>,
}

impl KeyFile {
    /// Reads the file, if there is one yet; nothing after an error.
    pub(super) fn open(path: Option<&Path>, findings: &mut Findings) -> Option<(Self, Vec<StoredKey>)> {
        let read = match path.map(|path| (path, path.try_exists())) {
            Some((path, Ok(true))) => read(path, findings).map(|(salt, keys)| (Some(salt), keys)),
            // A file that cannot be seen is not one that there is not: the first key would replace it.
            Some((_, Err(error))) => Err(unreadable(&error)),
            Some((_, Ok(false))) | None => Ok((None, Vec::new())),
        };
        let new = read.and_then(|(salt, keys)| {
            let salt = match salt {
                Some(salt) => salt,
                None => new_salt().ok_or("the system gives no random numbers")?,
            };
            Ok((Self { path: path.map(Path::to_owned), salt: Salt(salt) }, keys))
        });
        match new {
            Ok(opened) => Some(opened),
            Err(message) => {
                findings.push(Finding::of_file(path.unwrap_or_else(|| Path::new("keys.file")), message));
                None
            }
        }
    }

    pub(super) const fn salt(&self) -> &[u8] {
        &self.salt.0
    }

    /// Writes all keys.
    pub(super) fn write(&self, keys: &[&StoredKey]) -> Result<(), FileError> {
        let Some(path) = &self.path else { return Ok(()) };
        let mut keys: Vec<Entry> = keys.iter().map(|key| Entry::of(key)).collect();
        keys.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        let written = Written { version: VERSION, salt: STANDARD.encode(self.salt.0), keys };
        let written = serde_json::to_vec_pretty(&written).map_err(io::Error::from);
        let replaced = written.and_then(|octets| replace(path, &octets, Readers::Owner));
        let failed = |is_written, source| Err(FileError { path: path.clone(), is_written, source });
        match replaced {
            Ok(Durability::Synced) => Ok(()),
            Ok(Durability::Unknown(source)) => failed(true, source),
            Err(source) => failed(false, source),
        }
    }
}

type Read = ([u8; SALT], Vec<StoredKey>);

fn read(path: &Path, findings: &mut Findings) -> Result<Read, String> {
    let text = fs::read_to_string(path).map_err(|error| unreadable(&error))?;
    let document = Document::parse(path, text).map_err(|finding| finding.message)?;
    let written: Written = Written::deserialize(document.root())
        .map_err(|e| format!("this is not a file of keys: {e}; restore it, or name another file"))?;
    if written.version != VERSION {
        return Err(format!(
            "the file has version {}; this gateway reads version {VERSION}",
            written.version
        ));
    }
    let salt = octets(&written.salt).ok_or("its salt is not base64 of 32 octets; restore the file")?;
    let at_keys = FieldPath::top().member("keys");
    let mut keys = Vec::with_capacity(written.keys.len());
    for (n, entry) in written.keys.into_iter().enumerate() {
        let at = at_keys.element(n);
        keys.extend(entry.into_key(&document, &at, findings)?);
    }
    if findings.has_errors_in(document.path()) {
        return Err("the keys in this file cannot be used as they are; correct it".into());
    }
    Ok((salt, keys))
}

fn unreadable(error: &io::Error) -> String {
    format!("the file cannot be read: {error}")
}

fn new_salt() -> Option<[u8; SALT]> {
    let mut salt = [0; SALT];
    rand::fill(&mut salt).ok()?;
    Some(salt)
}
