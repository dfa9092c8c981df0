//! The files that a gateway was loaded from, and whether they are still the same.
//!
//! What counts is what can be seen without reading them: another name in a folder, another file behind a name
//! (its inode: Kubernetes puts a new folder behind a link), another size, another time of change.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use crate::{config::Config, document};

/// Files, and how they looked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Files {
    /// Nothing where there is none.
    looks: BTreeMap<PathBuf, Option<Look>>,
    /// The files that references name.
    references: Vec<PathBuf>,
}

/// How a file looks from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Files {
    /// What a reload with this configuration would read now, and these files of references.
    pub(super) fn now(config: &Config, references: &[PathBuf]) -> Self {
        let mut files = Self::default();
        for path in documents(config) {
            files.note(&path);
        }
        files.with_references(references)
    }

    pub(super) fn with_references(mut self, references: &[PathBuf]) -> Self {
        for path in references {
            self.note(path);
        }
        self.references = references.to_owned();
        self
    }

    pub(super) fn references(&self) -> &[PathBuf] {
        &self.references
    }

    /// How a file looks now is known: the gateway reads it, or has written it itself.
    pub(super) fn note(&mut self, path: &Path) {
        self.looks.insert(path.to_owned(), Look::of(path));
    }

    /// A file that the gateway has taken away itself.
    pub(super) fn forget(&mut self, path: &Path) {
        self.looks.remove(path);
    }

    /// How a file looked before it was read.
    pub(super) fn put(&mut self, path: &Path, look: Option<Look>) {
        self.looks.insert(path.to_owned(), look);
    }
}

impl Look {
    pub(super) fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        })
    }
}

fn documents(config: &Config) -> Vec<PathBuf> {
    let mut paths = vec![config.file().to_owned()];
    for folder in [Some(&*config.definitions), config.policies.as_deref()].into_iter().flatten() {
        paths.extend(document::files(folder));
    }
    paths.extend(config.admin_tls.files().map(Path::to_owned));
    let templates = fs::read_dir(&config.template_path).into_iter().flatten().flatten();
    paths.extend(templates.map(|entry| entry.path()));
    paths
}

impl Files {
    /// The folders in which something happens when one of the files becomes another one.
    pub(super) fn folders(&self, config: &Config) -> BTreeSet<PathBuf> {
        let own = [Some(&config.definitions), config.policies.as_ref(), Some(&config.template_path)];
        let own = own.into_iter().flatten().filter(|path| path.is_dir()).cloned();
        let around =
            self.looks.keys().filter_map(|path| path.parent()).map(|folder| {
                if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder.to_owned() }
            });
        own.chain(around).collect()
    }
}
