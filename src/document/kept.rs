//! Files that are read again and again, and made into something only when they have become others.

use std::{
    collections::HashMap,
    ops::Deref,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{File, Finding, Findings, read};
use crate::parallel;

/// A file that was read, and what was made of it last.
///
/// Whether a file is the same is told by what stands in it, and by nothing else. Its time and its size would
/// spare little, for to read a file that was read before takes a few microseconds, and they can be wrong: an
/// editor may write twice within one tick of the clock, and tools that copy set the time back.
#[derive(Debug)]
pub struct Kept<T> {
    file: Arc<File>,
    made: Mutex<Option<Arc<T>>>,
}

impl<T> Deref for Kept<T> {
    type Target = File;

    fn deref(&self) -> &File {
        &self.file
    }
}

impl<T> From<Arc<File>> for Kept<T> {
    fn from(file: Arc<File>) -> Self {
        Self { file, made: Mutex::new(None) }
    }
}

impl<T> Kept<T> {
    /// The file.
    #[must_use]
    pub const fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// What was made of it last, if that was done.
    #[must_use]
    pub fn last(&self) -> Option<Arc<T>> {
        self.made().clone()
    }

    /// What is made of it: what was made last, if that `holds` still.
    pub fn make(&self, holds: impl FnOnce(&T) -> bool, make: impl FnOnce(&Arc<File>) -> T) -> Arc<T> {
        if let Some(last) = self.last().filter(|last| holds(last)) {
            return last;
        }
        let new = Arc::new(make(&self.file));
        *self.made() = Some(Arc::clone(&new));
        new
    }

    fn made(&self) -> MutexGuard<'_, Option<Arc<T>>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a file, or all files of a folder that are documents by their name; those that cannot be read are
/// findings. A file that was read `before`, and in which the same stands, is that one.
#[must_use]
pub fn read_all<T: Send + Sync>(path: &Path, before: &[Arc<Kept<T>>]) -> (Vec<Arc<Kept<T>>>, Findings) {
    let mut findings = Findings::default();
    let files = read::list(path).unwrap_or_else(|finding| {
        findings.push(finding);
        Vec::new()
    });
    let before: HashMap<&Path, &Arc<Kept<T>>> = before.iter().map(|kept| (kept.path(), kept)).collect();
    let mut all = Vec::with_capacity(files.len());
    for read in parallel::map(&files, |file| read_again(file, before.get(&**file).copied())) {
        match read {
            Ok(kept) => all.push(kept),
            Err(finding) => findings.push(finding),
        }
    }
    (all, findings)
}

fn read_again<T>(path: &Path, before: Option<&Arc<Kept<T>>>) -> Result<Arc<Kept<T>>, Finding> {
    let text = read::read_text(path).map_err(|message| Finding::of_file(path, message))?;
    Ok(match before.filter(|before| *before.text() == *text) {
        Some(same) => Arc::clone(same),
        None => Arc::new(Arc::new(File::new(path, text)).into()),
    })
}
