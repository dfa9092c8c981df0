//! Tokens that were found good, so that they are not verified again.
//!
//! A verdict is found by the whole token and belongs to one [`Authenticator`](super::Authenticator).
//! It is used only while the keys that gave it are in use and the times of the token hold; the
//! authenticator checks both each time. Refused tokens are not kept: they cost their sender as much
//! as us, and a flood of them must not push out good ones.
//!
//! Two levels: a small table for each thread, which a hit reads without touching memory that another
//! core writes, and behind it a cache for all threads, bounded by octets.

use std::{
    cell::RefCell,
    hash::{BuildHasher, Hasher},
    sync::Arc,
};

use moka::sync::Cache;

use super::authenticator::Basis;
use crate::{jwt::Window, session::Session};

/// Slots of a thread's table; a power of two.
const SLOTS: u64 = 1024;
/// Heavier entries stay out of the thread's table, whose size nobody else bounds.
const MAX_HOT_OCTETS: u32 = 16 * 1024;

/// Verdicts of all authenticators of a process.
pub struct VerifiedTokens {
    shared: Cache<u64, Arc<Verdict>, HashAsIs>,
    seed: foldhash::quality::RandomState,
}

/// A token that was found good.
pub(super) struct Verdict {
    authenticator: u64,
    token: Box<str>,
    pub(super) session: Session,
    /// What it rests on.
    pub(super) basis: Basis,
    /// The time for which the claims give this verdict.
    pub(super) holds: Window,
    octets: u32,
}

/// A hash and its verdict, or nothing yet.
type Slot = Option<(u64, Arc<Verdict>)>;

thread_local! {
    static HOT: RefCell<Vec<Slot>> = const { RefCell::new(Vec::new()) };
}

impl VerifiedTokens {
    /// The size of the shared level if nothing else is said.
    pub const DEFAULT_OCTETS: u64 = 64 * 1024 * 1024;

    /// A cache of at most this many octets.
    #[must_use]
    pub fn new(max_octets: u64) -> Self {
        let shared = Cache::builder()
            .max_capacity(max_octets)
            .weigher(|_, verdict: &Arc<Verdict>| verdict.octets)
            .build_with_hasher(HashAsIs(0));
        Self { shared, seed: foldhash::quality::RandomState::default() }
    }

    fn hash(&self, authenticator: u64, token: &str) -> u64 {
        self.seed.hash_one((authenticator, token))
    }

    /// The verdict about this token, if it was found good by this authenticator.
    pub(super) fn get(&self, authenticator: u64, token: &str) -> Option<Arc<Verdict>> {
        let hash = self.hash(authenticator, token);
        HOT.with_borrow_mut(|hot| {
            let slot = slot(hot, hash)?;
            if let Some((own, verdict)) = slot
                && *own == hash
                && verdict.is_about(authenticator, token)
            {
                return Some(Arc::clone(verdict));
            }
            let verdict = self.shared.get(&hash).filter(|verdict| verdict.is_about(authenticator, token))?;
            if verdict.octets <= MAX_HOT_OCTETS {
                *slot = Some((hash, Arc::clone(&verdict)));
            }
            Some(verdict)
        })
    }

    /// Keeps a verdict.
    pub(super) fn insert(
        &self,
        authenticator: u64,
        token: &str,
        session: Session,
        basis: Basis,
        holds: Window,
    ) {
        let octets = octets(token, &session);
        let verdict = Verdict { authenticator, token: token.into(), session, basis, holds, octets };
        self.shared.insert(self.hash(authenticator, token), Arc::new(verdict));
    }

    /// Drops the verdict about this token.
    pub(super) fn remove(&self, authenticator: u64, token: &str) {
        let hash = self.hash(authenticator, token);
        self.shared.invalidate(&hash);
        HOT.with_borrow_mut(|hot| {
            if let Some(slot) = slot(hot, hash) {
                *slot = None;
            }
        });
    }
}

fn slot(hot: &mut Vec<Slot>, hash: u64) -> Option<&mut Slot> {
    if hot.is_empty() {
        hot.resize_with(usize::try_from(SLOTS).unwrap_or(1), || None);
    }
    hot.get_mut(usize::try_from(hash % SLOTS).ok()?)
}

impl Verdict {
    fn is_about(&self, authenticator: u64, token: &str) -> bool {
        self.authenticator == authenticator && *self.token == *token
    }
}

/// About what a verdict takes in memory: its token, what was decoded from it, its grant, and the
/// entry itself.
fn octets(token: &str, session: &Session) -> u32 {
    const FIXED: usize = 1024;
    let decoded = session.claims().members().octets().saturating_add(session.header().octets());
    let grant = session.octets_of_grant();
    let payload = session.payload().map_or(0, str::len);
    let all = [token.len(), decoded, grant, payload, FIXED].into_iter().fold(0, usize::saturating_add);
    u32::try_from(all).unwrap_or(u32::MAX)
}

/// Empties the table of this thread: its authenticators have been replaced.
pub(crate) fn forget_on_this_thread() {
    HOT.with_borrow_mut(Vec::clear);
}

impl Default for VerifiedTokens {
    fn default() -> Self {
        Self::new(Self::DEFAULT_OCTETS)
    }
}

impl std::fmt::Debug for VerifiedTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifiedTokens").field("entries", &self.shared.entry_count()).finish_non_exhaustive()
    }
}

/// The keys are hashes already.
#[derive(Clone)]
struct HashAsIs(u64);

impl BuildHasher for HashAsIs {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        self.clone()
    }
}

impl Hasher for HashAsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, octets: &[u8]) {
        // Not reached: a u64 is written as one.
        self.0 = octets.iter().fold(self.0, |hash, octet| hash.rotate_left(8) ^ u64::from(*octet));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
