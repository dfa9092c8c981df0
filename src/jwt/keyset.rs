//! The keys of one source, and which of them may check a token.

use std::{collections::HashMap, fmt};

use super::{Algorithm, AlgorithmSet, Family, Key, Kid};

/// What to do when a token does not name one key exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ambiguity {
    /// Of several keys with the token's `kid` none is used; a token without `kid` may use the key
    /// of a set that has only one that fits its algorithm.
    Refuse,
    /// Of several keys the first counts, and a token needs a `kid`, as in Tyk.
    FirstKey,
}

/// Why a set has no key for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoKey {
    /// The set has no key of that name: a newer set may.
    Unknown,
    /// The set has the key, and it may not be used for this token.
    Unfit,
}

/// A key that could not be imported, and costs only itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedKey {
    /// Its `kid`, or its place in the set.
    pub name: String,
    /// Why.
    pub reason: String,
}

impl fmt::Display for RejectedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.reason)
    }
}

/// The usable keys of one source.
#[derive(Debug, Default)]
pub struct KeySet {
    keys: Vec<Key>,
    by_kid: HashMap<Box<str>, Vec<usize>>,
    /// A single configured key has no name: every `kid` means it.
    single: bool,
    rejected: Vec<RejectedKey>,
}

impl KeySet {
    /// One key that was configured by itself; the `kid` of a token does not matter.
    #[must_use]
    pub fn single(key: Key) -> Self {
        Self { keys: vec![key], single: true, ..Self::default() }
    }

    /// The keys of a JWK set, in order.
    #[must_use]
    pub fn new(keys: Vec<Key>, rejected: Vec<RejectedKey>) -> Self {
        let mut by_kid: HashMap<Box<str>, Vec<usize>> = HashMap::with_capacity(keys.len());
        for (n, key) in keys.iter().enumerate() {
            // The empty `kid` finds the keys without one, as in Tyk.
            by_kid.entry(key.kid().unwrap_or_default().into()).or_default().push(n);
        }
        Self { keys, by_kid, single: false, rejected }
    }

    /// Whether this is one key without a name.
    #[must_use]
    pub const fn is_single(&self) -> bool {
        self.single
    }

    /// The usable keys.
    #[must_use]
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// The members that were not usable.
    #[must_use]
    pub fn rejected(&self) -> &[RejectedKey] {
        &self.rejected
    }

    /// Whether both sets hold the same keys under the same names.
    #[must_use]
    pub fn same_keys(&self, other: &Self) -> bool {
        self.single == other.single && self.keys == other.keys
    }

    /// Whether some key can do one of these algorithms.
    #[must_use]
    pub fn fits(&self, allowed: AlgorithmSet) -> bool {
        self.keys.iter().any(|key| usable(key, allowed))
    }

    /// The key that may check a token with this `kid` and algorithm.
    ///
    /// # Errors
    /// [`NoKey::Unknown`] when the set does not know the `kid`, [`NoKey::Unfit`] when it does.
    pub fn find(
        &self,
        kid: Kid<'_>,
        algorithm: Algorithm,
        allowed: AlgorithmSet,
        ambiguity: Ambiguity,
    ) -> Result<&Key, NoKey> {
        let fits = |key: &&Key| key.algorithms().contains(algorithm) && usable(key, allowed);
        if self.single {
            return self.keys.first().filter(fits).ok_or(NoKey::Unfit);
        }
        let named = match (kid, ambiguity) {
            (Kid::Text(kid), _) => self.by_kid.get(kid).ok_or(NoKey::Unknown)?,
            (Kid::Absent, Ambiguity::Refuse) => return only(self.keys.iter().filter(fits)),
            (Kid::Absent | Kid::NotText, _) => return Err(NoKey::Unfit),
        };
        let mut named = named.iter().filter_map(|n| self.keys.get(*n));
        match ambiguity {
            Ambiguity::Refuse => only(named.filter(fits)),
            Ambiguity::FirstKey => named.next().filter(fits).ok_or(NoKey::Unfit),
        }
    }
}

/// A secret that was fetched may be used where the owner asks for shared secrets and nothing else:
/// beside public keys, a set that everybody can read holds no secret.
fn usable(key: &Key, allowed: AlgorithmSet) -> bool {
    let common = key.algorithms().intersection(allowed);
    !common.is_empty() && (!key.is_fetched_secret() || allowed.only(Family::Hmac))
}

fn only<'k>(mut keys: impl Iterator<Item = &'k Key>) -> Result<&'k Key, NoKey> {
    match (keys.next(), keys.next()) {
        (Some(key), None) => Ok(key),
        _ => Err(NoKey::Unfit),
    }
}
