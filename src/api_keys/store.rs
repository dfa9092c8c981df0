//! All keys of this gateway.

use std::{
    collections::HashMap,
    fmt,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use serde_json::Value;
use tokio::runtime::Handle;
use tracing::{error, warn};

use super::{
    KeyName, StoredKey, body,
    digest::{Digest, Hasher},
    file::{FileError, KeyFile},
    name::MIN_LENGTH,
    seal::SharedSecret,
    shared::{self, Kept, MAX_KEYS, Shared, Trouble},
};
use crate::{
    document::{Document, FieldPath, Findings},
    redis::{Channel, Failure},
};

const NO_API_KEY: &str = "without a secret this key would become an API key, and its id stands in every token that names it; leave this out to keep the secret, or delete the key and make another one";

/// How often a change is tried anew because another node has changed the same key.
const TRIES: u32 = 8;

/// The keys that are stored. Requests read a snapshot of them; each change makes a new one, after it
/// was written to the file, or to Redis.
#[derive(Debug)]
pub struct ApiKeys {
    hasher: Hasher,
    index: ArcSwap<Index>,
    /// Goes up with every change.
    generation: AtomicU64,
    shelf: Shelf,
}

/// Where keys outlive the process.
#[derive(Debug)]
enum Shelf {
    /// Held while a change is made.
    File(Mutex<KeyFile>),
    Shared(Shared),
}

#[derive(Clone, Debug)]
struct Index {
    by_id: HashMap<Digest, Arc<StoredKey>>,
    by_text: HashMap<Digest, Arc<StoredKey>>,
    /// Another key than these is none. Not so while Redis cannot be asked: another node may have made it.
    is_whole: bool,
}

/// How nodes share keys.
#[derive(Debug)]
pub struct Sharing {
    /// Where they tell each other of changes.
    pub channel: Arc<Channel>,
    /// What entries are sealed with, the same on all nodes.
    pub secret: SharedSecret,
    /// How long the copy of a node is used while Redis cannot be asked.
    pub max_stale: Duration,
    /// Where calls of Redis run.
    pub tasks: Handle,
}

/// Why there is no such key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfound {
    /// There is none.
    Unknown,
    /// Nobody can tell at the moment.
    Unavailable,
}

/// Where a key is kept.
#[derive(Clone, Copy)]
struct Place<'p> {
    digests: [Digest; 2],
    tyk_hash: &'p str,
    org_id: &'p str,
}

impl<'p> Place<'p> {
    fn of(key: &'p StoredKey) -> Self {
        Self { digests: key.digests, tyk_hash: key.tyk_hash(), org_id: key.org_id() }
    }
}

/// What becomes of what has been counted of the limits of a key that is told anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// It counts on.
    Kept,
    /// It is forgotten.
    Anew,
}

/// What a key is told.
enum Told<'d> {
    /// What it is from now on.
    Body(&'d Document),
    /// Which policies it has from now on; all else stays as it is by then.
    Policies(&'d [String]),
}

/// What a key is told that has these policies from now on, and is this by now.
fn with_policies(policies: &[String], known: &StoredKey) -> Document {
    let mut fields = known.fields().clone();
    fields.remove("apply_policy_id");
    fields.insert("apply_policies".into(), policies.into());
    Document::of_value(Value::Object(fields))
}

/// What a change has changed. Both keys are those of this change, whatever others have made of it by now.
#[derive(Debug)]
pub struct Changed {
    /// The key before, if there was one.
    pub before: Option<Arc<StoredKey>>,
    /// The key from then on, if there is one.
    pub after: Option<Arc<StoredKey>>,
    /// What is odd about the body.
    pub odd: Findings,
    /// Why nobody knows whether it outlives a crash of the machine.
    pub unsynced: Option<FileError>,
}

/// Why a key is not what it was told to be.
#[derive(Debug)]
pub enum ChangeError {
    /// There is no such key any more.
    Gone,
    /// What is wrong with the body.
    Body(Findings),
    /// The key would open nothing: it has neither rights nor policies.
    NoRights,
    /// The change could not be written.
    File(FileError),
    /// Redis did not take it.
    Shared(SharedError),
}

/// Why a change is not in Redis.
#[derive(Debug)]
pub struct SharedError(Trouble);

impl SharedError {
    /// Whether it may go better another time.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        matches!(self.0, Trouble::Redis(_) | Trouble::Changed)
    }
}

impl fmt::Display for SharedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Trouble::Redis(Failure::Down) => f.write_str("Redis cannot be reached; nothing has changed"),
            Trouble::Redis(_) => f.write_str("Redis did not answer properly; nobody knows whether the key has changed: look at it, or send this again"),
            Trouble::Gone => f.write_str("there are no keys in Redis any more, where there were some; restore it"),
            Trouble::TooMany => write!(f, "there are more than {MAX_KEYS} keys in Redis; delete some"),
            Trouble::TooLarge => f.write_str("the key is too large: at most 256 KiB; nothing has changed"),
            Trouble::Changed => f.write_str("other nodes keep changing this key; nothing has changed: try again"),
            Trouble::Foreign => f.write_str("what Redis has for this key was not written by a node with the same keys.secret; nothing has changed"),
        }
    }
}

impl std::error::Error for SharedError {}

impl ApiKeys {
    /// The keys of this file, which is made when there is the first key; without one they live as
    /// long as the process. Nothing after an error.
    pub fn load(path: Option<&Path>, findings: &mut Findings) -> Option<Self> {
        let (file, keys) = KeyFile::open(path, findings)?;
        let index = Index::of(keys.into_iter().map(Arc::new), true);
        Some(Self {
            hasher: Hasher::new(file.salt()),
            index: ArcSwap::from_pointee(index),
            generation: AtomicU64::new(0),
            shelf: Shelf::File(Mutex::new(file)),
        })
    }

    /// The keys that all nodes share; none is known before `read_again`.
    #[must_use]
    pub fn shared(Sharing { channel, secret, max_stale, tasks }: Sharing) -> Self {
        Self {
            hasher: secret.hasher,
            index: ArcSwap::from_pointee(Index::of([], false)),
            generation: AtomicU64::new(0),
            shelf: Shelf::Shared(Shared::new(channel, secret.seal, max_stale, tasks)),
        }
    }

    /// The key that a caller of an API of this organisation presents: its id, or its text.
    ///
    /// # Errors
    /// [`Unfound`].
    pub fn find(&self, org_id: &str, presented: &str) -> Result<Arc<StoredKey>, Unfound> {
        if presented.len() < MIN_LENGTH {
            return Err(Unfound::Unknown);
        }
        let index = self.index.load();
        let unfound = if index.is_whole { Unfound::Unknown } else { Unfound::Unavailable };
        if index.by_id.is_empty() {
            return Err(unfound);
        }
        let by_text = index.by_text.get(&self.hasher.of_text(presented));
        let of_org = by_text.filter(|key| key.org_id() == org_id);
        of_org.or_else(|| index.by_id.get(&self.hasher.of_id(org_id, presented))).cloned().ok_or(unfound)
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

    /// Stores the key of this name, and returns what that has changed. One that there is keeps its
    /// secret unless the body has another one, and never loses it: without a secret it would open to
    /// everybody who has read its name in a token. May wait for the disk.
    ///
    /// # Errors
    /// [`ChangeError`]; nothing has changed then.
    pub fn put(&self, name: &KeyName, body: &Document) -> Result<Changed, ChangeError> {
        self.insert(
            Place { digests: self.hasher.of_name(name), tyk_hash: &name.tyk_hash(), org_id: &name.org_id },
            &Told::Body(body),
            Counted::Anew,
        )
    }

    /// Tells a stored key anew, whatever its name is, and returns what that has changed; its secret stays
    /// as well. May wait for the disk.
    ///
    /// # Errors
    /// [`ChangeError`]; nothing has changed then.
    pub fn modify(&self, key: &StoredKey, body: &Document, counted: Counted) -> Result<Changed, ChangeError> {
        self.insert(Place::of(key), &Told::Body(body), counted)
    }

    /// Gives a stored key these policies instead of those that it has, and returns what that has changed. What
    /// has been counted of its limits stays. May wait for the disk.
    ///
    /// # Errors
    /// [`ChangeError`]; nothing has changed then.
    pub fn apply_policies(&self, key: &StoredKey, policies: &[String]) -> Result<Changed, ChangeError> {
        self.insert(Place::of(key), &Told::Policies(policies), Counted::Kept)
    }

    fn insert(&self, place: Place<'_>, told: &Told<'_>, counted: Counted) -> Result<Changed, ChangeError> {
        self.change(place.digests, |known| {
            renewed(place, told, counted, known).map(|(key, odd)| (Some(Arc::new(key)), odd))
        })
    }

    /// Takes a key away. May wait for the disk, or for Redis.
    ///
    /// # Errors
    /// [`ChangeError`]; the key is still there then.
    pub fn remove(&self, key: &StoredKey) -> Result<Changed, ChangeError> {
        self.change(key.digests, |_| Ok((None, Findings::default())))
    }

    /// Makes of the key that there is by then the one that `change` makes of it.
    fn change(
        &self,
        [of_id, of_text]: [Digest; 2],
        change: impl Fn(Option<&StoredKey>) -> Result<(Option<Arc<StoredKey>>, Findings), ChangeError>,
    ) -> Result<Changed, ChangeError> {
        match &self.shelf {
            Shelf::File(file) => {
                let file = file.lock().unwrap_or_else(PoisonError::into_inner);
                let mut index = Index::clone(&self.index.load());
                let before = index.by_id.remove(&of_id);
                let (after, odd) = change(before.as_deref())?;
                index.by_text.remove(&of_text);
                if let Some(key) = &after {
                    index.insert(Arc::clone(key));
                }
                let unsynced = self.write(&file, index).map_err(ChangeError::File)?;
                Ok(Changed { before, after, odd, unsynced })
            }
            Shelf::Shared(shared) => shared.tasks.block_on(self.change_shared(shared, of_id, change)),
        }
    }

    /// Writes all keys, and has them count; tells why nobody knows whether that outlives a crash.
    fn write(&self, file: &KeyFile, index: Index) -> Result<Option<FileError>, FileError> {
        let keys: Vec<&StoredKey> = index.by_id.values().map(AsRef::as_ref).collect();
        let unsynced = match file.write(&keys) {
            Err(why) if !why.is_written() => return Err(why),
            written => written.err(),
        };
        self.publish(index);
        Ok(unsynced)
    }

    fn publish(&self, index: Index) {
        self.index.store(Arc::new(index));
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// The same for keys in Redis.
    async fn change_shared(
        &self,
        shared: &Shared,
        id: Digest,
        change: impl Fn(Option<&StoredKey>) -> Result<(Option<Arc<StoredKey>>, Findings), ChangeError>,
    ) -> Result<Changed, ChangeError> {
        let refused = |trouble| ChangeError::Shared(SharedError(trouble));
        let mut tries = 0;
        let changed = loop {
            let old = shared.one(&id).await.map_err(refused)?;
            let (after, odd) = change(old.key.as_deref())?;
            match shared.change(&id, &old, after.as_deref()).await {
                Err(Trouble::Changed) if tries < TRIES => tries += 1,
                Err(trouble) => return Err(refused(trouble)),
                Ok(()) => break Changed { before: old.key, after, odd, unsynced: None },
            }
        };
        // It is answered when this node knows it as well; if that fails now, it is read with all others soon.
        self.read_one(shared, id).await;
        Ok(changed)
    }

    /// Whether every key that there is is known here.
    pub(crate) fn are_whole(&self) -> bool {
        self.index.load().is_whole
    }

    /// Reads all keys in Redis again; nothing to do for keys that are not there.
    pub(crate) async fn read_again(&self) {
        let Shelf::Shared(shared) = &self.shelf else { return };
        let _turn = shared.turn.lock().await;
        let old = self.index.load_full();
        let known = |id: &Digest| old.by_id.get(id).cloned();
        match shared.all(known, !old.by_id.is_empty()).await {
            Ok(mut all) => {
                shared.note_all(&mut all);
                let new = Index::of(all.keys, true);
                let foreign = match all.foreign {
                    0 => String::new(),
                    number => format!(
                        "{number} entries of the keys in Redis were not written by a node with the same keys.secret; they open nothing"
                    ),
                };
                if new.has_the_keys_of(&old) {
                    self.index.store(Arc::new(Index { is_whole: true, ..Index::clone(&old) }));
                } else {
                    self.publish(new);
                }
                if shared.is_news(&foreign) {
                    warn!("{foreign}");
                }
            }
            Err(trouble) => {
                let told = SharedError(trouble).to_string();
                self.lose_touch_of(shared);
                if shared.is_news(&told) {
                    error!("the keys in Redis cannot be read: {told}");
                }
            }
        }
    }

    /// Reads the key again that a message is about.
    pub(crate) async fn read_named(&self, place: &str) {
        if let (Shelf::Shared(shared), Some(id)) = (&self.shelf, shared::digest(place)) {
            self.read_one(shared, id).await;
        }
    }

    async fn read_one(&self, shared: &Shared, id: Digest) {
        let _turn = shared.turn.lock().await;
        let kept = match shared.one(&id).await {
            Ok(kept) => kept,
            Err(Trouble::Foreign) => Kept::default(),
            Err(_) => return self.lose_touch_of(shared),
        };
        if !shared.note_one(id, &kept) {
            return;
        }
        let mut index = Index::clone(&self.index.load());
        if let Some(old) = index.by_id.remove(&id) {
            let [_, of_text] = old.digests;
            index.by_text.remove(&of_text);
        }
        if let Some(key) = kept.key {
            index.insert(key);
        }
        self.publish(index);
    }

    /// Redis was asked just now, and nothing is missing here.
    pub(crate) fn keep_touch(&self) {
        if let Shelf::Shared(shared) = &self.shelf {
            shared.is_good();
        }
    }

    /// Redis cannot be asked: keys that are not known may be there, and those that are known are used for a
    /// while.
    pub(crate) async fn lose_touch(&self) {
        if let Shelf::Shared(shared) = &self.shelf {
            let _turn = shared.turn.lock().await;
            self.lose_touch_of(shared);
        }
    }

    /// The same for whoever has the turn.
    fn lose_touch_of(&self, shared: &Shared) {
        let index = self.index.load_full();
        if shared.forget_if_too_old() && !index.by_id.is_empty() {
            self.publish(Index::of([], false));
            error!("Redis could not be asked for too long; no API key is accepted until it can");
        } else if index.is_whole {
            self.index.store(Arc::new(Index { is_whole: false, ..Index::clone(&index) }));
        }
    }
}

/// The key of this place as it was told to be, and what is odd about that.
fn renewed(
    Place { digests, tyk_hash, org_id }: Place<'_>,
    told: &Told<'_>,
    counted: Counted,
    known: Option<&StoredKey>,
) -> Result<(StoredKey, Findings), ChangeError> {
    let parsed;
    let document = match told {
        Told::Body(document) => *document,
        Told::Policies(policies) => {
            parsed = with_policies(policies, known.ok_or(ChangeError::Gone)?);
            &parsed
        }
    };
    let mut findings = Findings::default();
    let body = body::parse(document, &FieldPath::top(), document.root().clone(), &mut findings);
    if body.as_ref().is_some_and(|body| !body.is_within(org_id)) {
        let at = FieldPath::top().member("org_id");
        let message = "the key belongs to another organisation; leave this out, or correct it";
        findings.error(document, &at, message);
    }
    let mut body = match body {
        Some(body) if !findings.has_errors() && !body.has_rights() => return Err(ChangeError::NoRights),
        Some(body) if !findings.has_errors() => body.within(org_id),
        _ => return Err(ChangeError::Body(findings)),
    };
    if known.is_some_and(StoredKey::is_for_tokens) {
        if body.secret.as_ref().is_some_and(|secret| secret.is_empty()) {
            findings.error(document, &FieldPath::top().members(&body::JWT_SECRET), NO_API_KEY);
            return Err(ChangeError::Body(findings));
        }
        body.secret = body.secret.or_else(|| known.and_then(|known| known.secret.clone()));
    }
    let epoch = known.filter(|_| counted == Counted::Kept);
    let epoch = epoch.map_or_else(|| fastrand::u64(..), |known| known.epoch);
    Ok((StoredKey::new(digests, tyk_hash, epoch, body), findings))
}

impl Index {
    fn of(keys: impl IntoIterator<Item = Arc<StoredKey>>, is_whole: bool) -> Self {
        let mut index = Self { by_id: HashMap::new(), by_text: HashMap::new(), is_whole };
        for key in keys {
            index.insert(key);
        }
        index
    }

    /// Whether both have the very same keys.
    fn has_the_keys_of(&self, other: &Self) -> bool {
        let is_same = |(id, key): (&Digest, &Arc<StoredKey>)| {
            other.by_id.get(id).is_some_and(|own| Arc::ptr_eq(own, key))
        };
        self.by_id.len() == other.by_id.len() && self.by_id.iter().all(is_same)
    }

    fn insert(&mut self, key: Arc<StoredKey>) {
        let [of_id, of_text] = key.digests;
        self.by_id.insert(of_id, Arc::clone(&key));
        self.by_text.insert(of_text, key);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn each_change_tells_what_it_has_changed_itself() {
        let keys = ApiKeys::load(None, &mut Findings::default()).unwrap();
        let name = KeyName::new("", "a-key").unwrap();
        let body = r#"{ "access_rights": { "a": { "api_id": "a" } } }"#;
        let body = Document::parse(Path::new("body"), body.to_owned()).unwrap();
        let put = || (0..50).map(|_| keys.put(&name, &body).unwrap()).collect::<Vec<_>>();
        let mut all: Vec<Changed> = thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(put)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        let last = keys.with_hash(&name.tyk_hash()).unwrap();
        all.push(keys.remove(&last).unwrap());
        assert!(all.last().unwrap().after.is_none());
        // Each key but the last was that before of one change, and no change but one found none.
        let addresses = |keys: fn(&Changed) -> &Option<Arc<StoredKey>>| {
            let mut all: Vec<_> = all.iter().map(|changed| keys(changed).as_ref().map(Arc::as_ptr)).collect();
            all.sort_unstable();
            all
        };
        assert_eq!(addresses(|changed| &changed.before), addresses(|changed| &changed.after));
    }
}
