//! The files with bodies of errors, which rules name (`template`).

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
};

/// The longest file, in octets.
const MAX_FILE: u64 = 1 << 20;

/// The files of one folder, as they were when it was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Templates {
    folder: PathBuf,
    /// Their texts by name, or why there is none.
    files: HashMap<String, Result<String, String>>,
}

impl Templates {
    /// Reads a folder. One that cannot be read is like an empty one, until a rule wants a file of it.
    #[must_use]
    pub fn read(folder: &Path) -> Self {
        let mut files = HashMap::new();
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if let Ok(name) = entry.file_name().into_string() {
                files.insert(name, read_file(&entry.path()).map_err(|error| error.to_string()));
            }
        }
        Self { folder: folder.to_owned(), files }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The text of a file, or why it cannot be read; nothing if there is no such file.
    pub(super) fn get(&self, name: &str) -> Option<Result<&str, &str>> {
        self.files.get(name).map(|text| text.as_deref().map_err(String::as_str))
    }
}

fn read_file(path: &Path) -> io::Result<String> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() || metadata.len() > MAX_FILE {
        return Err(io::Error::other("it is not a file of at most 1 MiB"));
    }
    fs::read_to_string(path)
}
