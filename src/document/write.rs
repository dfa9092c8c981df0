//! Values into files, each replaced as a whole: a crash leaves the old one or the new one.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use serde_json::Value;
use tempfile::NamedTempFile;

/// Who may read a file that takes the place of another one. A new one is for its owner alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// Its owner alone.
    Owner,
    /// Whoever could read the old one.
    AsBefore,
}

/// Puts a file in the place of another one, or where there is none yet. A link stays, and what it leads to
/// is replaced.
///
/// # Errors
/// When the system refuses; the old file is as it was then.
pub fn replace(path: &Path, octets: &[u8], readers: Readers) -> io::Result<()> {
    let real = fs::canonicalize(path);
    let path = match &real {
        Ok(real) => real,
        Err(error) if error.kind() == io::ErrorKind::NotFound => path,
        Err(_) => return real.map(|_| ()),
    };
    let file = beside(path, octets)?;
    if readers == Readers::AsBefore
        && let Ok(old) = fs::metadata(path)
    {
        file.as_file().set_permissions(old.permissions())?;
    }
    file.persist(path)?;
    sync_folder(path)
}

/// Makes a file that only its owner can read.
///
/// # Errors
/// When the system refuses, or there is a file or link of this name already.
pub fn create(path: &Path, octets: &[u8]) -> io::Result<()> {
    beside(path, octets)?.persist_noclobber(path)?;
    sync_folder(path)
}

/// Takes a file away; of a link only the link.
///
/// # Errors
/// When the system refuses.
pub fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path)?;
    sync_folder(path)
}

/// A file in the same folder, whose name begins with a dot, so that nobody reads what a crash leaves.
fn beside(path: &Path, octets: &[u8]) -> io::Result<NamedTempFile> {
    let mut file = NamedTempFile::new_in(folder_of(path))?;
    file.write_all(octets)?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// A new name is on the disk when its folder is.
fn sync_folder(path: &Path) -> io::Result<()> {
    fs::File::open(folder_of(path))?.sync_all()
}

fn folder_of(path: &Path) -> PathBuf {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or_else(|| Path::new(".")).to_owned()
}

/// A value as people write it in a file of this name: JSON, or YAML.
pub(super) fn text(is_json: bool, value: &Value) -> Option<String> {
    if is_json {
        let mut text = serde_json::to_string_pretty(value).ok()?;
        text.push('\n');
        return Some(text);
    }
    serde_yaml::to_string(value).ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn files_are_replaced_with_their_readers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        replace(&path, b"1", Readers::AsBefore).unwrap();
        assert_eq!(mode(), 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        replace(&path, b"2", Readers::AsBefore).unwrap();
        assert_eq!((mode(), fs::read(&path).unwrap()), (0o644, b"2".to_vec()));
        replace(&path, b"3", Readers::Owner).unwrap();
        assert_eq!(mode(), 0o600);
        assert_eq!(create(&path, b"4").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"3");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn links_stay() {
        let folder = tempfile::tempdir().unwrap();
        let [real, link, lost] = ["real", "link", "lost"].map(|name| folder.path().join(name));
        fs::write(&real, "1").unwrap();
        symlink("real", &link).unwrap();
        symlink("nowhere", &lost).unwrap();
        replace(&link, b"2", Readers::AsBefore).unwrap();
        assert_eq!(fs::read(&real).unwrap(), b"2");
        assert!(link.is_symlink());
        create(&lost, b"3").unwrap_err();
        assert!(!folder.path().join("nowhere").exists());
        remove(&link).unwrap();
        assert!(real.exists() && !link.exists());
    }
}
