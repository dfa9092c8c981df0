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
    paths.extend(config.admin_tls.files().chain(config.redis_tls.files()).map(Path::to_owned));
    let templates = fs::read_dir(&config.template_path).into_iter().flatten().flatten();
    paths.extend(templates.map(|entry| entry.path()));
    paths
}

/// Where it is seen that one of the files becomes another one.
#[derive(Debug, Default)]
pub(crate) struct Hints {
    /// Whatever happens in these.
    folders: BTreeSet<PathBuf>,
    /// What happens to these names elsewhere.
    names: BTreeSet<PathBuf>,
}

impl Hints {
    /// The folders that are to be watched.
    pub(crate) fn folders(&self) -> BTreeSet<PathBuf> {
        let around = self.names.iter().filter_map(|name| name.parent()).map(Path::to_owned);
        self.folders.iter().cloned().chain(around).collect()
    }

    /// Whether what happens to this path may make another one of a file.
    pub(crate) fn concern(&self, path: &Path) -> bool {
        self.names.contains(path)
            || self.folders.contains(path)
            || path.parent().is_some_and(|folder| self.folders.contains(folder))
            // A folder around a file is another one.
            || self.names.iter().any(|name| name.parent() == Some(path))
    }
}

impl Files {
    /// Where it is seen that one of the files becomes another one. All paths are absolute, as those of events are.
    pub(super) fn hints(&self, config: &Config) -> Hints {
        let own = [Some(&config.definitions), config.policies.as_ref(), Some(&config.template_path)];
        let folders: BTreeSet<PathBuf> = own
            .into_iter()
            .flatten()
            .filter(|path| path.is_dir())
            .filter_map(|path| absolute(path))
            .collect();
        let names = self.looks.keys().filter_map(|path| absolute(path));
        let elsewhere = names.filter(|name| name.parent().is_none_or(|folder| !folders.contains(folder)));
        let names = elsewhere.flat_map(|name| link(&name).into_iter().chain([name])).collect();
        Hints { folders, names }
    }
}

fn absolute(path: &Path) -> Option<PathBuf> {
    std::path::absolute(path).ok()
}

/// The name beside a link through which it leads: Kubernetes puts another folder behind that, and leaves the link.
fn link(path: &Path) -> Option<PathBuf> {
    let target = fs::read_link(path).ok().filter(|target| target.is_relative())?;
    Some(path.parent()?.join(target.components().next()?))
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::symlink, sync::Arc};

    use tokio::runtime::{Builder, Runtime};

    use super::*;
    use crate::{
        config::Flags,
        document::{Document, Findings},
        gateway::{Cause, Change, Control},
        jwks::{HttpFetch, Registry},
    };

    /// A gateway with one API, in a folder of its own.
    fn gateway(folder: &Path, runtime: &Runtime) -> Control {
        let at = |name: &str| folder.join(name);
        fs::create_dir(at("api-definitions")).unwrap();
        fs::create_dir(at("policies")).unwrap();
        fs::write(at("api-definitions/a.yaml"), definition("a")).unwrap();
        fs::write(at("claimgate.yaml"), "definitions: api-definitions\npolicies: policies\n").unwrap();
        let flags = Flags { config: Some(at("claimgate.yaml")), fields: Vec::new() };
        let config = Config::load(&flags, [], &mut Findings::default()).unwrap();
        let registry = Registry::new(Arc::new(HttpFetch::new().unwrap()), runtime.handle().clone());
        let (control, findings) = runtime.block_on(Control::new(config, registry));
        control.unwrap_or_else(|| panic!("{:?}", findings.sorted()))
    }

    /// An API without keys.
    fn definition(id: &str) -> String {
        include_str!("../../api-definitions/status.yaml").replace("status", id)
    }

    #[test]
    fn only_what_others_write_to_our_files_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let tasks = runtime.handle();
        let control = gateway(folder.path(), &runtime);
        assert!(!control.has_changed());
        write("api-definitions/.hidden.json", "{");
        write("policies/.hidden.json", "{");
        write("api-definitions/notes.txt", "no document");
        write("beside.json", "{");
        assert!(!control.has_changed(), "what is no document of ours");
        // What the gateway writes itself waits for a reload.
        let put = |title: &str| {
            let id = "b".to_owned();
            let mut document = Document::parse(Path::new("b.yaml"), definition(&id)).unwrap().take_root();
            document["info"]["title"] = title.into();
            control.change(Change::PutApi { id, document }, tasks).unwrap();
        };
        put("new");
        assert!(!control.has_changed(), "a file of its own");
        put("another title");
        assert!(!control.has_changed(), "another text of that");
        control.change(Change::RemoveApi { id: "b".into() }, tasks).unwrap();
        assert!(!control.has_changed(), "a file that it takes away");
        put("anew");
        write("api-definitions/c.json", "{");
        assert!(control.has_changed(), "a file of somebody else");
        assert!(control.reload(Cause::Watch, tasks).is_err());
        assert!(!control.has_changed(), "what was no good is not tried again");
        write("api-definitions/c.json", "{ ");
        assert!(control.has_changed(), "until it is something else");
        fs::remove_file(folder.path().join("api-definitions/c.json")).unwrap();
        assert!(control.reload(Cause::Watch, tasks).is_ok() && !control.has_changed());
        write("policies/new.json", "{}");
        assert!(control.has_changed(), "a policy");
        fs::remove_file(folder.path().join("policies/new.json")).unwrap();
        assert!(!control.has_changed(), "it is as it was");
        fs::remove_file(folder.path().join("api-definitions/b.json")).unwrap();
        assert!(control.has_changed(), "a file of its own that somebody else takes away");
    }

    #[test]
    fn only_what_happens_to_our_files_is_a_hint() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("api-definitions")).unwrap();
        fs::create_dir(at("..v1")).unwrap();
        fs::write(at("..v1/claimgate.yaml"), "").unwrap();
        symlink("..v1", at("..data")).unwrap();
        symlink("..data/claimgate.yaml", at("claimgate.yaml")).unwrap();
        let flags = Flags { config: Some(at("claimgate.yaml")), fields: Vec::new() };
        let config = Config::load(&flags, [], &mut Findings::default()).unwrap();
        let hints = Files::now(&config, &[at("keys/one.pem")]).hints(&config);
        let watched = ["", "api-definitions", "keys"].map(&at);
        assert_eq!(hints.folders(), BTreeSet::from(watched.map(|path| absolute(&path).unwrap())));
        for (name, is_one) in [
            ("claimgate.yaml", true),
            ("..data", true),
            ("api-definitions/new.json", true),
            ("api-definitions", true),
            ("keys/one.pem", true),
            ("keys", true),
            ("keys/two.pem", false),
            ("audit.log", false),
            ("api-keys.json", false),
            (".claimgate.yaml.swp", false),
            ("api-definitions/deeper/new.json", false),
        ] {
            assert_eq!(hints.concern(&at(name)), is_one, "{name}");
        }
    }
}
