//! Values that are on this machine: the environment, files, and the configuration itself.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Component, Path, PathBuf},
};

use zeroize::Zeroizing;

use super::{
    Secret, Unresolved, json,
    reference::{Piece, Place, Reference, pieces},
};

/// The largest value, in octets.
pub(super) const MAX_VALUE: usize = 1024 * 1024;

/// A store on this machine.
#[derive(Clone, Debug)]
pub enum LocalStore {
    /// Environment variables whose names begin like this.
    Variables {
        /// How they begin.
        prefix: String,
        /// Whether the rest of the name is turned into capitals.
        uppercase: bool,
    },
    /// Values in the configuration.
    Inline(BTreeMap<String, Secret>),
    /// Files below this folder.
    Files(PathBuf),
}

/// What is on this machine.
#[derive(Clone)]
pub(super) struct Local {
    pub(super) env: fn(&str) -> Option<String>,
    pub(super) stores: BTreeMap<String, LocalStore>,
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local").field("stores", &self.stores).finish_non_exhaustive()
    }
}

impl Local {
    /// The value at a place; nothing if that is not on this machine.
    pub(super) fn read(&self, place: &Place) -> Option<Result<Secret, Unresolved>> {
        match place {
            Place::Variable(name) => Some(self.variable(name)),
            Place::Stored { store, path } => Some(match self.stores.get(store)? {
                LocalStore::Variables { prefix, uppercase } => {
                    let name = full_name(prefix, *uppercase, path);
                    (self.env)(&name).map(Into::into).ok_or_else(|| unset(&name))
                }
                LocalStore::Inline(values) => values.get(path).cloned().ok_or_else(|| {
                    Unresolved::new(format!(
                        "the store {store} has no value {path} in claimgate.yaml; add it there"
                    ))
                }),
                LocalStore::Files(base) => read_file(base, path),
            }),
        }
    }

    /// The file at a place; nothing if there is something else.
    pub(super) fn file(&self, place: &Place) -> Option<PathBuf> {
        match place {
            Place::Stored { store, path } => match self.stores.get(store)? {
                LocalStore::Files(base) => Some(base.join(path)),
                LocalStore::Variables { .. } | LocalStore::Inline(_) => None,
            },
            Place::Variable(_) => None,
        }
    }

    /// The variable at a place; nothing if there is something else.
    pub(super) fn variable_at(&self, place: &Place) -> Option<String> {
        match place {
            Place::Variable(name) => Some(name.clone()),
            Place::Stored { store, path } => match self.stores.get(store)? {
                LocalStore::Variables { prefix, uppercase } => Some(full_name(prefix, *uppercase, path)),
                LocalStore::Files(_) | LocalStore::Inline(_) => None,
            },
        }
    }

    /// Tyk reads some fields of a definition under the name as it is, and others under this longer one.
    fn variable(&self, name: &str) -> Result<Secret, Unresolved> {
        let longer = || (self.env)(&format!("TYK_SECRET_{}", name.to_ascii_uppercase()));
        (self.env)(name).or_else(longer).map(Into::into).ok_or_else(|| unset(name))
    }
}

fn full_name(prefix: &str, uppercase: bool, path: &str) -> String {
    let name = if uppercase { path.to_ascii_uppercase() } else { path.to_owned() };
    format!("{prefix}{name}")
}

fn unset(name: &str) -> Unresolved {
    Unresolved::new(format!("the environment variable {name} is not set; set it"))
}

fn read_file(base: &Path, path: &str) -> Result<Secret, Unresolved> {
    if Path::new(path).components().any(|component| component == Component::ParentDir) {
        return Err(Unresolved::new(
            "a file:// path must not contain .. ; name a file below the base folder",
        ));
    }
    let path = base.join(path);
    let failed =
        |reason: &dyn fmt::Display| Unresolved::new(format!("{} cannot be read: {reason}", path.display()));
    // Links are followed before the comparison: what counts is where the file is.
    let real_base = base.canonicalize().map_err(|e| failed(&e))?;
    let real = path.canonicalize().map_err(|e| failed(&e))?;
    if !real.starts_with(&real_base) {
        return Err(Unresolved::new(format!(
            "{} is not below {}; move the file there, or set kv.file.base_path",
            path.display(),
            real_base.display()
        )));
    }
    if real.starts_with("/proc") {
        return Err(failed(&"it tells of a process, and is no place for a value"));
    }
    let metadata = fs::metadata(&real).map_err(|e| failed(&e))?;
    if !metadata.is_file() || metadata.len() > MAX_VALUE as u64 {
        return Err(failed(&"it is not a file of at most 1 MiB"));
    }
    let octets = fs::read(&real).map(Zeroizing::new).map_err(|e| failed(&e))?;
    std::str::from_utf8(&octets).map(Secret::from).map_err(|_| failed(&"it is not UTF-8"))
}

/// A password or token of our own: as it is written, or where it is on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential(Secret);

impl Credential {
    /// The credential that a text is or names.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// What it is, or names.
    pub(super) const fn written(&self) -> &Secret {
        &self.0
    }

    /// # Errors
    /// [`Unresolved`] when it names what is not there, or not on this machine.
    pub(super) fn resolve(&self, local: &Local) -> Result<Secret, Unresolved> {
        let Some(pieces) = pieces(&self.0)? else {
            return if self.0.trim().is_empty() {
                Err(Unresolved::new("this is empty; write a value, or a reference such as env://NAME"))
            } else {
                Ok(self.0.clone())
            };
        };
        let [Piece::Reference(reference, written)] = &*pieces else {
            return Err(Unresolved::new("this is a reference with text around it; write one or the other"));
        };
        let value = local.read(&reference.place).ok_or_else(|| {
            Unresolved::new(format!("{written} is in a store; this must be known before any store is asked: use env://, file:// or secrets://"))
        })?;
        finish(&value?, reference, written)
    }
}

/// The part that is wanted of what a place holds, without the line end that editors put after it.
pub(super) fn finish(value: &Secret, reference: &Reference, written: &str) -> Result<Secret, Unresolved> {
    let part = json::part(value, &reference.field).ok_or_else(|| {
        Unresolved::new(format!("{written} names a part that its value does not have; correct it"))
    })?;
    let part: Secret = part.trim_end_matches(['\n', '\r']).into();
    if part.is_empty() {
        return Err(Unresolved::new(format!("{written} is empty; put a value there")));
    }
    if !matches!(pieces(&part), Ok(None)) {
        return Err(Unresolved::new(format!("{written} holds another reference; name the value itself")));
    }
    Ok(part)
}
