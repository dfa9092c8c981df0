//! All keys of this gateway.

use std::{
    collections::HashMap,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;

use super::{
    KeyName, StoredKey, body,
    digest::{Digest, Hasher},
    file::{FileError, KeyFile},
    name::MIN_LENGTH,
};
use crate::document::{Document, FieldPath, Findings};

const NO_API_KEY: &str = "without a secret this key would become an API key, and its id stands in every token that names it; leave this out to keep the secret, or delete the key and make another one";

/// The keys that are stored. Requests read a snapshot of them; each change makes a new one, after it
/// was written to the file.
#[derive(Debug)]
pub struct ApiKeys {
    hasher: Hasher,
    index: ArcSwap<Index>,
    /// Goes up with every change.
    generation: AtomicU64,
    /// Held while a change is made.
    file: Mutex<KeyFile>,
}

#[derive(Clone, Debug, Default)]
struct Index {
    by_id: HashMap<Digest, Arc<StoredKey>>,
    by_text: HashMap<Digest, Arc<StoredKey>>,
}

/// Where a key is kept.
#[derive(Clone, Copy)]
struct Place<'p> {
    digests: [Digest; 2],
    tyk_hash: &'p str,
    org_id: &'p str,
}

/// What becomes of what has been counted of the limits of a key that is told anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// It counts on.
    Kept,
    /// It is forgotten.
    Anew,
}

/// Why a key is not what it was told to be.
#[derive(Debug)]
pub enum ChangeError {
    /// What is wrong with the body.
    Body(Findings),
    /// The key would open nothing: it has neither rights nor policies.
    NoRights,
    /// The change could not be written; nothing has changed.
    File(FileError),
}

impl ApiKeys {
    /// The keys of this file, which is made when there is the first key; without one they live as
    /// long as the process. Nothing after an error.
    pub fn load(path: Option<&Path>, findings: &mut Findings) -> Option<Self> {
        let (file, keys) = KeyFile::open(path, findings)?;
        let index = Index::new(keys);
        Some(Self {
            hasher: Hasher::new(file.salt()),
            index: ArcSwap::from_pointee(index),
            generation: AtomicU64::new(0),
            file: Mutex::new(file),
        })
    }

    /// The key that a caller of an API of this organisation presents: its id, or its text.
    #[must_use]
    pub fn find(&self, org_id: &str, presented: &str) -> Option<Arc<StoredKey>> {
        if presented.len() < MIN_LENGTH {
            return None;
        }
        let index = self.index.load();
        if index.by_id.is_empty() {
            return None;
        }
        let by_text = index.by_text.get(&self.hasher.of_text(presented));
        let of_org = by_text.filter(|key| key.org_id() == org_id);
        of_org.or_else(|| index.by_id.get(&self.hasher.of_id(org_id, presented))).cloned()
    }

    /// The key that an administrator names, by its text, or by its id and organisation; the
    /// organisation may be left out while only one has such an id.
    #[must_use]
    pub fn named(&self, name: &str, org_id: Option<&str>) -> Option<Arc<StoredKey>> {
        let index = self.index.load();
        if let Some(key) = index.by_text.get(&self.hasher.of_text(name)) {
            return Some(Arc::clone(key));
        }
        if let Some(org_id) = org_id {
            return index.by_id.get(&self.hasher.of_id(org_id, name)).cloned();
        }
        let mut org_ids: Vec<&str> = index.by_id.values().map(|key| key.org_id()).collect();
        org_ids.sort_unstable();
        org_ids.dedup();
        let mut found = org_ids.iter().filter_map(|org_id| index.by_id.get(&self.hasher.of_id(org_id, name)));
        found.next().filter(|_| found.next().is_none()).cloned()
    }

    /// The key with this hash of Tyk's.
    #[must_use]
    pub fn with_hash(&self, tyk_hash: &str) -> Option<Arc<StoredKey>> {
        self.index.load().by_id.values().find(|key| key.tyk_hash() == tyk_hash).cloned()
    }

    /// Tyk's hashes of all keys, sorted.
    #[must_use]
    pub fn hashes(&self) -> Vec<String> {
        let index = self.index.load();
        let mut hashes: Vec<String> = index.by_id.values().map(|key| key.tyk_hash().to_owned()).collect();
        hashes.sort_unstable();
        hashes
    }

    /// Changes with every key that is changed or taken away.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Stores the key of this name, and returns what is odd about its body. One that there is keeps its
    /// secret unless the body has another one, and never loses it: without a secret it would open to
    /// everybody who has read its name in a token. May wait for the disk.
    ///
    /// # Errors
    /// [`ChangeError`]; nothing has changed then.
    pub fn put(&self, name: &KeyName, body: &Document) -> Result<Findings, ChangeError> {
        self.insert(
            Place { digests: self.hasher.of_name(name), tyk_hash: &name.tyk_hash(), org_id: &name.org_id },
            body,
            Counted::Anew,
        )
    }

    /// Tells a stored key anew, whatever its name is, and returns what is odd about the body; its secret stays
    /// as well. May wait for the disk.
    ///
    /// # Errors
    /// [`ChangeError`]; nothing has changed then.
    pub fn modify(
        &self,
        key: &StoredKey,
        body: &Document,
        counted: Counted,
    ) -> Result<Findings, ChangeError> {
        self.insert(
            Place { digests: key.digests, tyk_hash: key.tyk_hash(), org_id: key.org_id() },
            body,
            counted,
        )
    }

    fn insert(
        &self,
        place: Place<'_>,
        document: &Document,
        counted: Counted,
    ) -> Result<Findings, ChangeError> {
        let Place { digests, tyk_hash, org_id } = place;
        let mut findings = Findings::default();
        let body = body::parse(document, &FieldPath::top(), document.root().clone(), &mut findings);
        if body.as_ref().is_some_and(|body| !body.is_within(org_id)) {
            let at = FieldPath::top().member("org_id");
            findings.error(
                document,
                &at,
                "the key belongs to another organisation; leave this out, or correct it",
            );
        }
        let mut body = match body {
            Some(body) if !findings.has_errors() && !body.has_rights() => return Err(ChangeError::NoRights),
            Some(body) if !findings.has_errors() => body.within(org_id),
            _ => return Err(ChangeError::Body(findings)),
        };
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut index = Index::clone(&self.index.load());
        let [of_id, _] = &digests;
        let known = index.by_id.get(of_id);
        if known.is_some_and(|known| known.is_for_tokens()) {
            if body.secret.as_ref().is_some_and(|secret| secret.is_empty()) {
                findings.error(document, &FieldPath::top().members(&body::JWT_SECRET), NO_API_KEY);
                return Err(ChangeError::Body(findings));
            }
            body.secret = body.secret.or_else(|| known.and_then(|known| known.secret.clone()));
        }
        let epoch = known.filter(|_| counted == Counted::Kept);
        let epoch = epoch.map_or_else(|| fastrand::u64(..), |known| known.epoch);
        index.insert(Arc::new(StoredKey::new(digests, tyk_hash, epoch, body)));
        self.publish(&mut file, index).map_err(ChangeError::File)?;
        Ok(findings)
    }

    /// Takes a key away. May wait for the disk.
    ///
    /// # Errors
    /// [`FileError`]; the key is still there then.
    pub fn remove(&self, key: &StoredKey) -> Result<(), FileError> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut index = Index::clone(&self.index.load());
        let [of_id, of_text] = &key.digests;
        index.by_id.remove(of_id);
        index.by_text.remove(of_text);
        self.publish(&mut file, index)
    }

    fn publish(&self, file: &mut KeyFile, index: Index) -> Result<(), FileError> {
        let keys: Vec<&StoredKey> = index.by_id.values().map(AsRef::as_ref).collect();
        file.write(&keys)?;
        self.index.store(Arc::new(index));
        self.generation.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }
}

impl Index {
    fn new(keys: Vec<StoredKey>) -> Self {
        let mut index = Self::default();
        for key in keys {
            index.insert(Arc::new(key));
        }
        index
    }

    fn insert(&mut self, key: Arc<StoredKey>) {
        let [of_id, of_text] = key.digests;
        self.by_id.insert(of_id, Arc::clone(&key));
        self.by_text.insert(of_text, key);
    }
}
