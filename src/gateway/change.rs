//! Changes to the documents on the disk, which the control API makes.
//!
//! A change is made to what is on the disk by then, whatever is served; it is tried as a whole, as a reload
//! would, and written only if the gateway would load it. It acts with the next reload.
//!
//! The file that holds an API or a policy is replaced, whatever its name; what is new gets a file of its id.
//! YAML stays YAML, but loses its comments: the last text of a file that may have some is kept beside it.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::Value;
use tokio::runtime::Handle;

use super::{control::Control, documents::Documents};
use crate::{
    config::Config,
    definition::view,
    document::{self, Document, Durability, Finding, Kept, Readers, WriteError},
    policy::{Entry, entries, is_empty, with_one_more},
};

/// How many names are tried for a new file.
const MAX_NAMES: u32 = 100;

/// One change.
#[derive(Clone, Debug)]
pub enum Change {
    /// The API of this id is this one from now on, whether it was there or not.
    PutApi {
        /// Its id, which stands in the document too.
        id: String,
        /// Its definition.
        document: Value,
    },
    /// The API of this id has another OpenAPI document from now on. What that does not tell the gateway stays.
    PatchApi {
        /// Its id; if it stands in the document, it is this one.
        id: String,
        /// The OpenAPI document.
        openapi: Value,
    },
    /// There is no API of this id any more.
    RemoveApi {
        /// Its id.
        id: String,
    },
    /// The policy of this id and organisation is this one from now on, whether it was there or not.
    PutPolicy {
        /// Its id, which stands in the policy too.
        id: String,
        /// What it says.
        policy: Value,
    },
    /// There is no policy of this id any more.
    RemovePolicy {
        /// Its id.
        id: String,
        /// Its organisation; it may be left out where only one has a policy of this id.
        org_id: Option<String>,
    },
}

/// What a change has changed.
#[derive(Debug)]
pub struct Changed {
    /// What was written before.
    pub before: Option<Value>,
    /// What is written now.
    pub after: Option<Value>,
    /// What is odd about it.
    pub warnings: Vec<Finding>,
    /// Why nobody knows whether it outlives a crash of the machine.
    pub unsynced: Option<Unsynced>,
}

/// A file that is written, and may be lost with the next crash of the machine.
#[derive(Debug)]
pub struct Unsynced {
    /// The file.
    pub file: PathBuf,
    /// What the system says.
    pub source: io::Error,
}

impl fmt::Display for Unsynced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} has changed, and nobody knows whether that outlives a crash: its folder cannot be synced: {}; look after the disk, and send this again",
            self.file.display(),
            self.source
        )
    }
}

impl std::error::Error for Unsynced {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Why a change was not made; nothing was written.
#[derive(Debug)]
pub enum ChangeError {
    /// What is to go is not there.
    Unknown,
    /// More than one organisation has a policy of this id.
    Ambiguous,
    /// The gateway would not load it; `file` is where it would have been written.
    Refused {
        /// The file of the change.
        file: PathBuf,
        /// Why.
        findings: Vec<Finding>,
    },
    /// The gateway was started without policies.
    NoPolicies,
    /// This one file, in whose place no folder is configured, holds one document and no more.
    OneFile {
        /// The file.
        file: PathBuf,
    },
    /// Somebody else has written the file since it was read.
    Overtaken {
        /// The file.
        file: PathBuf,
    },
    /// The system did not let it be written.
    Unwritten {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl fmt::Display for ChangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("it is not there"),
            Self::Ambiguous => {
                f.write_str("several organisations have a policy of this id; say which one in org_id")
            }
            Self::Refused { .. } => f.write_str("the gateway would not load this; nothing has changed"),
            Self::NoPolicies => f.write_str("this gateway was started without policies; make a folder for them, name it in policies, and start it anew"),
            Self::OneFile { file } => write!(
                f,
                "{} is one file with one document in it; move it into a folder, and name that folder in its place",
                file.display()
            ),
            Self::Overtaken { file } => write!(
                f,
                "somebody else has written {} meanwhile; nothing has changed here: look at what it says now, and send this again",
                file.display()
            ),
            Self::Unwritten { file, source } => {
                write!(f, "{} cannot be written: {source}; nothing has changed", file.display())
            }
        }
    }
}

impl std::error::Error for ChangeError {}

impl Change {
    /// The id of the API that is there from now on, and of the one that is not.
    fn api(&self) -> (Option<String>, Option<String>) {
        match self {
            Self::PutApi { id, .. } | Self::PatchApi { id, .. } => (Some(id.clone()), None),
            Self::RemoveApi { id } => (None, Some(id.clone())),
            Self::PutPolicy { .. } | Self::RemovePolicy { .. } => (None, None),
        }
    }
}

/// A change, worked out: what becomes of which file.
struct Step {
    file: PathBuf,
    write: Write,
    /// What was written before.
    before: Option<Value>,
}

enum Write {
    /// There is no such file yet.
    Create(String),
    Replace {
        old: String,
        new: String,
    },
    Remove {
        old: String,
    },
    /// It says so already.
    Nothing,
}

impl Control {
    /// Changes the documents on the disk; what is served goes on. Must be called on a thread that may block.
    ///
    /// # Errors
    /// [`ChangeError`]; nothing has changed then.
    pub fn change(&self, change: Change, tasks: &Handle) -> Result<Changed, ChangeError> {
        // Nobody else changes anything meanwhile, and nothing is loaded.
        let mut loaded = self.loaded();
        let config = Arc::clone(&loaded.source().config);
        let mut documents = Documents::read(&config, Some(&loaded.source().documents));
        let (put, removed) = change.api();
        let (step, after) = documents.step(change, &config)?;
        let values = config.secrets.values();
        let (parsed, findings) = tasks.block_on(documents.resolve(&config, &values));
        let findings = findings.sorted();
        if parsed.is_none() {
            return Err(ChangeError::Refused { file: step.file, findings });
        }
        let unsynced = step.run()?;
        // What the gateway writes itself acts when somebody says so.
        match step.write {
            Write::Remove { .. } => loaded.files.forget(&step.file),
            Write::Create(_) | Write::Replace { .. } | Write::Nothing => loaded.files.note(&step.file),
        }
        if let Some(id) = put {
            loaded.removed.remove(&id);
        }
        loaded.removed.extend(removed);
        let warnings = findings.into_iter().filter(|finding| finding.file == step.file).collect();
        Ok(Changed { before: step.before, after, warnings, unsynced })
    }
}

impl Documents {
    /// Makes a change to what was read. Tells what is to be written for it, and what is new.
    fn step(&mut self, change: Change, config: &Config) -> Result<(Step, Option<Value>), ChangeError> {
        let path = &*config.definitions;
        let definitions = Shelf { files: &mut self.definitions, path };
        let policies = config.policies.as_deref();
        let policies = policies.map(|path| Shelf { files: &mut self.policies, path });
        let policies = policies.ok_or(ChangeError::NoPolicies);
        Ok(match change {
            Change::PutApi { id, document } => (definitions.put_api(&id, &document)?, Some(document)),
            Change::PatchApi { id, openapi } => {
                let (_, old) = definitions.find_api(&id).ok_or(ChangeError::Unknown)?;
                let document = view::updated(&old, openapi);
                (definitions.put_api(&id, &document)?, Some(document))
            }
            Change::RemoveApi { id } => (definitions.remove_api(&id)?, None),
            Change::PutPolicy { id, policy } => (policies?.put_policy(&id, &policy)?, Some(policy)),
            Change::RemovePolicy { id, org_id } => (policies?.remove_policy(&id, org_id.as_deref())?, None),
        })
    }
}

/// The documents of a folder, or of one file.
struct Shelf<'s, T> {
    files: &'s mut Vec<Arc<Kept<T>>>,
    path: &'s Path,
}

impl<T> Shelf<'_, T> {
    fn put_api(self, id: &str, document: &Value) -> Result<Step, ChangeError> {
        match self.find_api(id) {
            Some((at, before)) => self.replace(at, document, Some(before)),
            None => self.add(id, document),
        }
    }

    fn remove_api(self, id: &str) -> Result<Step, ChangeError> {
        let (at, before) = self.find_api(id).ok_or(ChangeError::Unknown)?;
        // Without it neither a reload nor the next start would find anything to read.
        self.refuse_one_file()?;
        Ok(self.remove(at, before))
    }

    fn find_api(&self, id: &str) -> Option<(usize, Value)> {
        let mut naming = self.naming(id).into_iter();
        let (at, mut document) = naming.find(|(_, document)| view::id(document.root()) == Some(id))?;
        Some((at, document.take_root()))
    }

    fn put_policy(self, id: &str, policy: &Value) -> Result<Step, ChangeError> {
        let org_id = policy.get("org_id").and_then(Value::as_str).unwrap_or_default();
        let naming = self.naming(id);
        let of_id = policies_of(&naming, id);
        let known = of_id.iter().find(|(_, _, entry)| entry.org_id == org_id);
        if let Some((at, document, entry)) = known {
            let (root, before) = (entry.replaced(document.root(), policy.clone()), entry.to_value());
            return self.replace(*at, &root, Some(before));
        }
        let Some(file) = self.files.first().filter(|_| self.path.is_file()) else {
            return self.add(id, policy);
        };
        let document = Document::of(file.file()).map_err(refused)?;
        match with_one_more(document.root(), id, policy.clone()) {
            Some(root) => self.replace(0, &root, None),
            // A file that names each by its id has one of each.
            None if !of_id.is_empty() => Err(ChangeError::Ambiguous),
            None => Err(ChangeError::OneFile { file: self.path.to_owned() }),
        }
    }

    fn remove_policy(self, id: &str, org_id: Option<&str>) -> Result<Step, ChangeError> {
        let naming = self.naming(id);
        let mut found = policies_of(&naming, id);
        found.retain(|(_, _, entry)| org_id.is_none_or(|org_id| entry.org_id == org_id));
        let [(at, document, entry)] = *found else {
            return Err(if found.is_empty() { ChangeError::Unknown } else { ChangeError::Ambiguous });
        };
        let (before, left) = (entry.to_value(), entry.removed(document.root()));
        // The one file of all policies stays, whatever is left: a gateway without it does not start.
        if is_empty(&left) && !self.path.is_file() {
            return Ok(self.remove(at, before));
        }
        self.replace(at, &left, Some(before))
    }

    /// The documents that may be about this id, each with its place. One that is none is told of when the whole
    /// is tried.
    fn naming(&self, id: &str) -> Vec<(usize, Document)> {
        let may = self.files.iter().enumerate().filter(|(_, file)| file.may_name(id));
        may.filter_map(|(at, file)| Some((at, Document::of(file.file()).ok()?))).collect()
    }

    /// A file of its own for what is new.
    fn add(self, id: &str, root: &Value) -> Result<Step, ChangeError> {
        self.refuse_one_file()?;
        let file = free_name(self.path, id);
        let document = of_value(&file, root)?;
        let write = Write::Create(document.text().to_owned());
        self.files.push(kept(&document));
        // Findings are told in the order of the files' names, as a reload would.
        self.files.sort_by(|a, b| a.path().cmp(b.path()));
        Ok(Step { file, write, before: None })
    }

    /// What is one file has no room for another one, and cannot do without its own.
    fn refuse_one_file(&self) -> Result<(), ChangeError> {
        if self.path.is_file() { Err(ChangeError::OneFile { file: self.path.to_owned() }) } else { Ok(()) }
    }

    fn replace(self, at: usize, root: &Value, before: Option<Value>) -> Result<Step, ChangeError> {
        let own = self.files.get_mut(at).ok_or(ChangeError::Unknown)?;
        let file = own.path().to_owned();
        if Document::of(own.file()).is_ok_and(|document| document.root() == root) {
            return Ok(Step { file, write: Write::Nothing, before });
        }
        let document = of_value(&file, root)?;
        let new = document.text().to_owned();
        let old = std::mem::replace(own, kept(&document)).text().to_owned();
        Ok(Step { file, write: Write::Replace { old, new }, before })
    }

    fn remove(self, at: usize, before: Value) -> Step {
        let file = self.files.remove(at);
        let write = Write::Remove { old: file.text().to_owned() };
        Step { file: file.path().to_owned(), write, before: Some(before) }
    }
}

impl Step {
    /// Writes it, if the file still says what it said when it was read.
    fn run(&self) -> Result<Option<Unsynced>, ChangeError> {
        let file = self.file.clone();
        match self.write.run(&self.file) {
            Ok(Durability::Synced) => Ok(None),
            Ok(Durability::Unknown(source)) => Ok(Some(Unsynced { file, source })),
            Err(WriteError::Overtaken) => Err(ChangeError::Overtaken { file }),
            Err(WriteError::System(source)) => Err(ChangeError::Unwritten { file, source }),
        }
    }
}

impl Write {
    fn run(&self, file: &Path) -> Result<Durability, WriteError> {
        match self {
            Self::Create(text) => document::create(file, text),
            Self::Replace { old, new } if is_yaml(file) && old.contains('#') => {
                document::must_hold(file, old)?;
                let kept = document::replace(&kept_aside(file), old.as_bytes(), Readers::Owner)?;
                Ok(kept.and(document::exchange(file, old, new)?))
            }
            Self::Replace { old, new } => document::exchange(file, old, new),
            Self::Remove { old } => document::remove(file, old),
            Self::Nothing => Ok(Durability::Synced),
        }
    }
}

fn of_value(file: &Path, root: &Value) -> Result<Document, ChangeError> {
    Document::with_root(file, root).map_err(refused)
}

fn kept<T>(document: &Document) -> Arc<Kept<T>> {
    Arc::new(Arc::clone(document.file()).into())
}

fn refused(finding: Finding) -> ChangeError {
    ChangeError::Refused { file: finding.file.clone(), findings: vec![finding] }
}

/// The policies of this id among these documents, each with its document and the place of that.
fn policies_of<'d>(documents: &'d [(usize, Document)], id: &str) -> Vec<(usize, &'d Document, Entry<'d>)> {
    let all = documents.iter().flat_map(|(at, document)| {
        entries(document.root()).into_iter().map(move |entry| (*at, document, entry))
    });
    all.filter(|(_, _, entry)| entry.id == id).collect()
}

/// A file of this name, which is that of an id and so has no path in it, that there is not yet. An older file
/// of that name may hold something else.
fn free_name(folder: &Path, id: &str) -> PathBuf {
    let name = |n: u32| folder.join(if n == 0 { format!("{id}.json") } else { format!("{id}-{n}.json") });
    let is_free = |file: &PathBuf| file.symlink_metadata().is_err();
    (0..MAX_NAMES).map(name).find(is_free).unwrap_or_else(|| name(MAX_NAMES))
}

fn is_yaml(file: &Path) -> bool {
    file.extension().is_none_or(|extension| !extension.eq_ignore_ascii_case("json"))
}

/// Where the last text of a YAML file stays whose comments would be lost.
fn kept_aside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".bak");
    name.into()
}
