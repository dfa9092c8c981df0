//! Values into files, each replaced as a whole: a crash leaves the old one or the new one.

use std::{
    fs::{self, File, Metadata, Permissions},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown},
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

/// Whether what is written outlives a crash of the machine.
#[derive(Debug)]
#[must_use]
pub enum Durability {
    /// It does.
    Synced,
    /// It is written, and nobody knows.
    Unknown(io::Error),
}

/// Why a file is as it was.
#[derive(Debug)]
pub enum WriteError {
    /// It is not what it was taken for: somebody else has written it.
    Overtaken,
    /// The system refuses.
    System(io::Error),
}

impl From<io::Error> for WriteError {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl Durability {
    /// Of both.
    pub fn and(self, other: Self) -> Self {
        if matches!(self, Self::Synced) { other } else { self }
    }
}

/// Puts a file in the place of another one, or where there is none yet. A link stays, and what it leads to
/// is replaced.
///
/// # Errors
/// When the system refuses; the old file is as it was then.
pub fn replace(path: &Path, octets: &[u8], readers: Readers) -> io::Result<Durability> {
    Prepared::new(path, octets, readers)?.put()
}

/// Puts a text in the place of another one that stands in the file, as [`replace`] does, with the readers that it had.
///
/// # Errors
/// [`WriteError`]; the file is as it was then. Who writes it between our look and the end of this is not seen.
pub fn exchange(path: &Path, old: &str, new: &str) -> Result<Durability, WriteError> {
    let prepared = Prepared::new(path, new.as_bytes(), Readers::AsBefore)?;
    // As late as can be: there is no way to do both at once.
    must_hold(path, old)?;
    Ok(prepared.put()?)
}

/// Makes a file that only its owner can read.
///
/// # Errors
/// [`WriteError`]; there was a file or link of this name already if it was overtaken.
pub fn create(path: &Path, text: &str) -> Result<Durability, WriteError> {
    match beside(path, text.as_bytes(), None)?.persist_noclobber(path) {
        Ok(_) => Ok(sync_folder(path)),
        Err(failed) if failed.error.kind() == io::ErrorKind::AlreadyExists => Err(WriteError::Overtaken),
        Err(failed) => Err(failed.error.into()),
    }
}

/// Takes a file away in which this text stands; of a link only the link.
///
/// # Errors
/// [`WriteError`]; the file is as it was then. Who writes it between our look and the end of this is not seen.
pub fn remove(path: &Path, old: &str) -> Result<Durability, WriteError> {
    must_hold(path, old)?;
    fs::remove_file(path)?;
    Ok(sync_folder(path))
}

/// Whether this text stands in a file.
///
/// # Errors
/// [`WriteError`] if it does not.
pub fn must_hold(path: &Path, text: &str) -> Result<(), WriteError> {
    match fs::read(path) {
        Ok(octets) if octets == text.as_bytes() => Ok(()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        Ok(_) | Err(_) => Err(WriteError::Overtaken),
    }
}

/// A file that is whole and on the disk, and has another name still.
struct Prepared {
    file: NamedTempFile,
    real: PathBuf,
}

impl Prepared {
    fn new(path: &Path, octets: &[u8], readers: Readers) -> io::Result<Self> {
        let real = match fs::canonicalize(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
            real => real?,
        };
        let old = match readers {
            Readers::AsBefore => fs::metadata(&real).ok(),
            Readers::Owner => None,
        };
        Ok(Self { file: beside(&real, octets, old.as_ref())?, real })
    }

    fn put(self) -> io::Result<Durability> {
        self.file.persist(&self.real)?;
        Ok(sync_folder(&self.real))
    }
}

/// A file in the same folder, whose name begins with a dot, so that nobody reads what a crash leaves; its readers
/// are those of an old one, or its owner alone.
fn beside(path: &Path, octets: &[u8], old: Option<&Metadata>) -> io::Result<NamedTempFile> {
    let mut file = NamedTempFile::new_in(folder_of(path))?;
    file.write_all(octets)?;
    if let Some(old) = old {
        let mode =
            if keep_owners(file.as_file(), old)? { old.mode() } else { mode_in_another_group(old.mode()) };
        file.as_file().set_permissions(Permissions::from_mode(mode))?;
    }
    file.as_file().sync_all()?;
    Ok(file)
}

/// Gives a file the owner and the group of an old one, as far as the system lets us; tells whether it has the group.
fn keep_owners(file: &File, old: &Metadata) -> io::Result<bool> {
    let new = file.metadata()?;
    if (new.uid(), new.gid()) == (old.uid(), old.gid()) {
        return Ok(true);
    }
    let both = fchown(file, Some(old.uid()), Some(old.gid()));
    Ok(both.or_else(|_| fchown(file, None, Some(old.gid()))).is_ok())
}

/// What a file lets a group do that is not the one it was for: as much as everybody.
const fn mode_in_another_group(mode: u32) -> u32 {
    (mode & !0o070) | ((mode & 0o007) << 3)
}

/// A new name is on the disk when its folder is.
fn sync_folder(path: &Path) -> Durability {
    let synced = File::open(folder_of(path)).and_then(|folder| folder.sync_all());
    synced.map_or_else(Durability::Unknown, |()| Durability::Synced)
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
    use std::os::unix::fs::{chown, symlink};

    use super::*;

    fn synced<E: std::fmt::Debug>(written: Result<Durability, E>) {
        assert!(matches!(written.unwrap(), Durability::Synced));
    }

    #[test]
    fn files_are_replaced_with_their_readers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        synced(replace(&path, b"1", Readers::AsBefore));
        assert_eq!(mode(), 0o600);
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        synced(exchange(&path, "1", "2"));
        assert_eq!((mode(), fs::read(&path).unwrap()), (0o644, b"2".to_vec()));
        synced(replace(&path, b"3", Readers::Owner));
        assert_eq!(mode(), 0o600);
        assert_eq!(fs::read(&path).unwrap(), b"3");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
    }

    /// Of all others only root may give files away; for them the owner stays who it was.
    #[test]
    fn owners_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        let owners =
            || fs::metadata(&path).map(|file| (file.uid(), file.gid(), file.mode() & 0o777)).unwrap();
        fs::write(&path, "1").unwrap();
        let _ = chown(&path, Some(4242), Some(4243));
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let before = owners();
        synced(exchange(&path, "1", "2"));
        assert_eq!(owners(), before);
        for (old, new) in [(0o640, 0o600), (0o644, 0o644), (0o660, 0o600), (0o664, 0o644), (0o604, 0o644)] {
            assert_eq!(mode_in_another_group(old), new, "{old:o}");
        }
    }

    #[test]
    fn what_somebody_else_has_written_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        let overtaken = |written| assert!(matches!(written, Err(WriteError::Overtaken)), "{written:?}");
        overtaken(exchange(&path, "1", "2"));
        overtaken(remove(&path, "1"));
        fs::write(&path, "of somebody else").unwrap();
        overtaken(exchange(&path, "1", "2"));
        overtaken(remove(&path, "1"));
        overtaken(create(&path, "2"));
        assert_eq!(fs::read(&path).unwrap(), b"of somebody else");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
        synced(remove(&path, "of somebody else"));
        assert!(!path.exists());
    }

    #[test]
    fn links_stay() {
        let folder = tempfile::tempdir().unwrap();
        let [real, link, lost] = ["real", "link", "lost"].map(|name| folder.path().join(name));
        fs::write(&real, "1").unwrap();
        symlink("real", &link).unwrap();
        symlink("nowhere", &lost).unwrap();
        synced(exchange(&link, "1", "2"));
        assert_eq!(fs::read(&real).unwrap(), b"2");
        assert!(link.is_symlink());
        create(&lost, "3").unwrap_err();
        assert!(!folder.path().join("nowhere").exists());
        synced(remove(&link, "2"));
        assert!(real.exists() && !link.exists());
    }
}
