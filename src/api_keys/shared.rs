//! Keys that several nodes share in Redis: one hash, with a sealed entry for each key under its keyed hash.
//!
//! Redis is the truth, and every node has a copy of all of it, so that no request waits for Redis. A change is
//! made to what is in Redis by then, in one step with telling all nodes which key it is; each reads that one
//! again.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize as _;
use tokio::runtime::Handle;

use super::{
    StoredKey,
    digest::Digest,
    entry::{Entry, octets},
    seal::{Mark, Seal, mark},
};
use crate::{
    document::{Document, FieldPath, Findings},
    redis::{Channel, Failure, Scanned},
};

/// What a message about a key is about.
pub(crate) const TOPIC: &str = "key";
/// So many keys are kept.
pub(super) const MAX_KEYS: usize = 100_000;
/// The largest sealed entry in octets.
const MAX_ENTRY: usize = 256 * 1024;
/// Where nothing is kept but the sign that there are keys, so that a Redis that has lost everything is told
/// from one where the last key was deleted.
const SIGN: &str = "keys";

/// Changes one entry, if it is what it is thought to be, and there is room.
const CHANGE: &str = r"
local old = redis.call('HGET', KEYS[2], ARGV[3])
if (old or '') ~= ARGV[4] then return -1 end
if ARGV[5] == '' then
    redis.call('HDEL', KEYS[2], ARGV[3])
else
    if not old and redis.call('HLEN', KEYS[2]) > tonumber(ARGV[6]) then return -2 end
    redis.call('HSET', KEYS[2], ARGV[7], '1', ARGV[3], ARGV[5])
end
";

/// The keys of all nodes.
#[derive(Debug)]
pub(super) struct Shared {
    channel: Arc<Channel>,
    pub(super) tasks: Handle,
    seal: Seal,
    /// The name of the hash.
    name: String,
    max_stale: Duration,
    /// Held while the copy is made anew, so that an older one cannot replace a newer one.
    pub(super) turn: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

/// What is known of the copy of this node.
#[derive(Debug)]
struct State {
    marks: HashMap<Digest, Mark>,
    /// When it was as in Redis the last time.
    good: Instant,
    /// What was told of it in the log, so that it is told once.
    told: String,
}

/// Why the keys in Redis cannot be read, or one of them changed.
#[derive(Debug)]
pub(super) enum Trouble {
    Redis(Failure),
    /// There is nothing any more where there were keys.
    Gone,
    TooMany,
    TooLarge,
    /// Somebody else has changed it in between.
    Changed,
    /// What is there was not written by a node with the same secret.
    Foreign,
}

/// One key as it is in Redis.
#[derive(Default)]
pub(super) struct Kept {
    /// As it is there; empty where there is none.
    raw: Vec<u8>,
    pub(super) key: Option<Arc<StoredKey>>,
}

/// All keys as they are in Redis.
pub(super) struct All {
    pub(super) keys: Vec<Arc<StoredKey>>,
    /// How many entries cannot be opened.
    pub(super) foreign: usize,
    marks: HashMap<Digest, Mark>,
}

impl Shared {
    pub(super) fn new(channel: Arc<Channel>, seal: Seal, max_stale: Duration, tasks: Handle) -> Self {
        let name = channel.place(SIGN);
        let state = State { marks: HashMap::new(), good: Instant::now(), told: String::new() };
        Self {
            channel,
            tasks,
            seal,
            name,
            max_stale,
            turn: tokio::sync::Mutex::default(),
            state: Mutex::new(state),
        }
    }

    /// All keys; those that have not changed are the ones of `known`.
    pub(super) async fn all(
        &self,
        known: impl Fn(&Digest) -> Option<Arc<StoredKey>>,
        knows_any: bool,
    ) -> Result<All, Trouble> {
        let mut all = All { keys: Vec::new(), foreign: 0, marks: HashMap::new() };
        let (mut cursor, mut is_there) = (None, false);
        loop {
            let scanned = self.channel.link().scan(&self.name, cursor.as_deref(), MAX_ENTRY).await;
            let Scanned { next, fields } = scanned.map_err(Trouble::Redis)?;
            is_there |= !fields.is_empty();
            for (place, sealed) in fields.iter().filter(|(place, _)| place != SIGN.as_bytes()) {
                match self.read(place, sealed, &known) {
                    Some((digest, _, _)) if all.marks.contains_key(&digest) => {}
                    Some((digest, mark, key)) => {
                        all.marks.insert(digest, mark);
                        all.keys.push(key);
                    }
                    None => all.foreign = all.foreign.saturating_add(1),
                }
            }
            if all.keys.len().saturating_add(all.foreign) > MAX_KEYS {
                return Err(Trouble::TooMany);
            }
            let Some(next) = next else { break };
            cursor = Some(next);
        }
        if knows_any && !is_there { Err(Trouble::Gone) } else { Ok(all) }
    }

    fn read(
        &self,
        place: &[u8],
        sealed: &[u8],
        known: impl Fn(&Digest) -> Option<Arc<StoredKey>>,
    ) -> Option<(Digest, Mark, Arc<StoredKey>)> {
        let place = std::str::from_utf8(place).ok()?;
        let (digest, mark) = (Digest(octets(place)?), mark(sealed)?);
        let same = self.state().marks.get(&digest).is_some_and(|own| *own == mark);
        let key = known(&digest).filter(|_| same);
        let key = key.or_else(|| self.open(place, sealed).map(Arc::new))?;
        Some((digest, mark, key))
    }

    /// The key of an entry; nothing for what no node has written there.
    fn open(&self, place: &str, sealed: &[u8]) -> Option<StoredKey> {
        let text = String::from_utf8(self.seal.open(place, sealed)?).ok()?;
        let document = Document::parse("redis".as_ref(), text).ok()?;
        let entry = Entry::deserialize(document.root()).ok().filter(|entry| entry.id == place)?;
        let mut findings = Findings::default();
        let key = entry.into_key(&document, &FieldPath::top(), &mut findings).ok()??;
        (!findings.has_errors()).then_some(key)
    }

    /// The key with this hash of its id.
    pub(super) async fn one(&self, id: &Digest) -> Result<Kept, Trouble> {
        let place = place(id);
        let found = self.channel.link().field(&self.name, &place, MAX_ENTRY).await.map_err(Trouble::Redis)?;
        let Some(raw) = found else { return Ok(Kept { raw: Vec::new(), key: None }) };
        let key = self.open(&place, &raw).ok_or(Trouble::Foreign)?;
        Ok(Kept { raw, key: Some(Arc::new(key)) })
    }

    /// Puts a key where `old` is, or takes that away.
    pub(super) async fn change(
        &self,
        id: &Digest,
        old: &Kept,
        new: Option<&StoredKey>,
    ) -> Result<(), Trouble> {
        let place = place(id);
        let sealed = match new {
            Some(key) => self.sealed(&place, key).ok_or(Trouble::TooLarge)?,
            None => Vec::new(),
        };
        let room = MAX_KEYS.to_string();
        let arguments: [&[u8]; 5] = [place.as_bytes(), &old.raw, &sealed, room.as_bytes(), SIGN.as_bytes()];
        let done = self.channel.say_after(CHANGE, &self.name, &arguments, (TOPIC, &place)).await;
        match done.map_err(Trouble::Redis)? {
            -1 => Err(Trouble::Changed),
            -2 => Err(Trouble::TooMany),
            _ => Ok(()),
        }
    }

    fn sealed(&self, place: &str, key: &StoredKey) -> Option<Vec<u8>> {
        let entry = serde_json::to_vec(&Entry::of(key)).ok()?;
        self.seal.seal(place, entry).filter(|sealed| sealed.len() <= MAX_ENTRY)
    }

    /// Takes down what all keys are now.
    pub(super) fn note_all(&self, all: &mut All) {
        let mut state = self.state();
        state.marks = std::mem::take(&mut all.marks);
        state.good = Instant::now();
    }

    /// Takes down what one key is now; tells whether that is news.
    pub(super) fn note_one(&self, id: Digest, kept: &Kept) -> bool {
        let mut state = self.state();
        let new = mark(&kept.raw).filter(|_| kept.key.is_some());
        let old = match new {
            Some(mark) => state.marks.insert(id, mark),
            None => state.marks.remove(&id),
        };
        old != new
    }

    /// The copy is as in Redis at this moment.
    pub(super) fn is_good(&self) {
        self.state().good = Instant::now();
    }

    /// Forgets what is known of the copy, if that must not be used any more; tells whether it is so.
    pub(super) fn forget_if_too_old(&self) -> bool {
        let mut state = self.state();
        let is_too_old = state.good.elapsed() > self.max_stale;
        if is_too_old {
            state.marks.clear();
        }
        is_too_old
    }

    /// Whether nobody was told this the last time; the empty text for nothing to tell.
    pub(super) fn is_news(&self, told: &str) -> bool {
        let mut state = self.state();
        let is_news = state.told != told;
        told.clone_into(&mut state.told);
        is_news && !told.is_empty()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn place(id: &Digest) -> String {
    STANDARD.encode(id.0)
}

/// The hash of an id that a message is about.
pub(super) fn digest(place: &str) -> Option<Digest> {
    octets(place).map(Digest)
}
