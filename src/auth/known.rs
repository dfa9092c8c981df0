//! Callers whose tokens were granted something.
//!
//! Tyk keeps a session for each of them, and refuses a later token that selects no policy in other
//! words than those for a stranger. Nothing but these words depends on what is kept here.

use std::{
    collections::HashSet,
    fmt,
    hash::BuildHasher as _,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::session::Identity;

/// How many are kept; then all of them are forgotten.
const MAX_CALLERS: usize = 65_536;

/// The callers of one authenticator.
#[derive(Default)]
pub(super) struct KnownCallers {
    seed: foldhash::quality::RandomState,
    hashes: Mutex<HashSet<u64>>,
}

impl KnownCallers {
    pub(super) fn insert(&self, caller: &Identity<'_>) {
        let hash = self.seed.hash_one(caller);
        let mut hashes = self.hashes();
        if hashes.len() >= MAX_CALLERS {
            hashes.clear();
        }
        hashes.insert(hash);
    }

    pub(super) fn contains(&self, caller: &Identity<'_>) -> bool {
        let hash = self.seed.hash_one(caller);
        self.hashes().contains(&hash)
    }

    fn hashes(&self) -> MutexGuard<'_, HashSet<u64>> {
        self.hashes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for KnownCallers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KnownCallers").finish_non_exhaustive()
    }
}
