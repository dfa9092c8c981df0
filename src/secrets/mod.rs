//! Values that are kept outside the configuration and named in it: `env://NAME`, `file://PATH`.
//!
//! **Invariant:** the text of a reference is never a value. A reference that cannot be resolved is
//! an error, and so is one to a store that is not supported.

use std::{
    fmt, fs,
    path::{Component, Path, PathBuf},
};

use zeroize::Zeroizing;

/// The largest file that holds one value.
const MAX_FILE: u64 = 1024 * 1024;

/// How a text begins that names a value elsewhere.
const SCHEMES: [&str; 7] = ["env://", "file://", "secrets://", "consul://", "vault://", "kv://", "$kv{"];

/// A value that is not to be shown.
pub type Secret = Zeroizing<String>;

/// Where references are resolved.
#[derive(Clone, Debug)]
pub struct Secrets {
    base: PathBuf,
    env: fn(&str) -> Option<String>,
}

/// Why a reference has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unresolved(String);

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unresolved {}

impl Secrets {
    /// Files are looked up below `base`, an empty one being the working directory; `env` reads the
    /// environment.
    #[must_use]
    pub fn new(base: impl Into<PathBuf>, env: fn(&str) -> Option<String>) -> Self {
        let base = base.into();
        Self { base: if base.as_os_str().is_empty() { PathBuf::from(".") } else { base }, env }
    }

    /// Whether a text names a value elsewhere, be it resolvable or not.
    #[must_use]
    pub fn is_reference(text: &str) -> bool {
        SCHEMES.iter().any(|scheme| text.starts_with(scheme))
    }

    /// The value that a reference names, without the line end that editors put after it.
    ///
    /// # Errors
    /// [`Unresolved`] says what is missing and how to mend it.
    pub fn resolve(&self, reference: &str) -> Result<Secret, Unresolved> {
        let value = if matches!(reference, "env://" | "file://") {
            return Err(unresolved(format!("{reference} names nothing; write env://NAME or file://PATH")));
        } else if let Some(name) = reference.strip_prefix("env://") {
            let value = (self.env)(name).map(Zeroizing::new);
            value.ok_or_else(|| unresolved(format!("the environment variable {name} is not set; set it")))?
        } else if let Some(path) = reference.strip_prefix("file://") {
            self.read(path)?
        } else {
            let scheme = reference.split(['/', '{']).next().unwrap_or_default();
            return Err(unresolved(format!(
                "values from {scheme} cannot be resolved; use env://NAME or file://PATH"
            )));
        };
        let value: Secret = Zeroizing::new(value.trim_end_matches(['\n', '\r']).to_owned());
        if value.is_empty() {
            return Err(unresolved(format!("{reference} is empty; put a value there")));
        }
        if Self::is_reference(&value) {
            return Err(unresolved(format!("{reference} holds another reference; name the value itself")));
        }
        Ok(value)
    }

    fn read(&self, path: &str) -> Result<Secret, Unresolved> {
        if Path::new(path).components().any(|component| component == Component::ParentDir) {
            return Err(unresolved(
                "a file:// path must not contain .. ; name a file below the base folder".into(),
            ));
        }
        let path = self.base.join(path);
        let failed =
            |reason: &dyn fmt::Display| unresolved(format!("{} cannot be read: {reason}", path.display()));
        // Links are followed before the comparison: what counts is where the file is.
        let base = self.base.canonicalize().map_err(|e| failed(&e))?;
        let real = path.canonicalize().map_err(|e| failed(&e))?;
        if !real.starts_with(&base) {
            return Err(unresolved(format!(
                "{} is not below {}; move the file there, or set kv.file.base_path",
                path.display(),
                base.display()
            )));
        }
        let metadata = fs::metadata(&path).map_err(|e| failed(&e))?;
        if !metadata.is_file() || metadata.len() > MAX_FILE {
            return Err(failed(&"it is not a file of at most 1 MiB"));
        }
        fs::read_to_string(&path).map(Zeroizing::new).map_err(|e| failed(&e))
    }
}

const fn unresolved(reason: String) -> Unresolved {
    Unresolved(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "SET" => Some("value\n".into()),
            "EMPTY" => Some(String::new()),
            "NESTED" => Some("vault://x".into()),
            _ => None,
        }
    }

    #[test]
    fn references() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("key"), "from file\r\n").unwrap();
        let secrets = Secrets::new(folder.path(), env);
        let resolve = |reference: &str| secrets.resolve(reference).map(|value| value.to_string());
        assert_eq!(resolve("env://SET").as_deref(), Ok("value"));
        assert_eq!(resolve("file://key").as_deref(), Ok("from file"));
        let absolute = format!("file://{}", folder.path().join("key").display());
        assert_eq!(resolve(&absolute).as_deref(), Ok("from file"));
        let outside = tempfile::NamedTempFile::new().unwrap();
        std::os::unix::fs::symlink(outside.path(), folder.path().join("link")).unwrap();
        assert!(resolve("file://link").unwrap_err().0.contains("is not below"));
        let beside_nothing = Secrets::new("", env);
        let absolute = format!("file://{}", outside.path().display());
        assert!(beside_nothing.resolve(&absolute).unwrap_err().0.contains("is not below"));
        for bad in [
            "env://UNSET",
            "env://EMPTY",
            "env://NESTED",
            "env://",
            "file://none",
            "file://../key",
            "file:///etc/passwd",
            "file://",
            "consul://x",
            "vault://x",
            "secrets://x",
            "kv://x/y",
            "$kv{x}",
        ] {
            assert!(Secrets::is_reference(bad), "{bad}");
            assert!(resolve(bad).is_err(), "{bad}");
        }
        assert!(!Secrets::is_reference("https://idp.example/jwks.json"));
    }
}
