//! The sources of one API, in order.

use std::{sync::Arc, time::Duration};

use super::{
    Binding, Parties,
    source::{Source, wait_for_all},
};
use crate::jwt::{Algorithm, AlgorithmSet, Ambiguity, Key, Kid, NoKey};

/// How long a request waits for a fetch that may bring its key.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where the keys of an API come from. The first source with a key that fits the token decides; as in
/// Tyk, where the first key counts, the first that knows the `kid`.
#[derive(Clone, Debug, Default)]
pub struct KeySources(Vec<(Arc<Source>, Binding)>);

/// Why no key was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The key is there and may not be used for this token.
    Unfit,
    /// No source knows the key; a newer set may.
    Unknown,
    /// No source knows the key, and at least one never had any.
    Unavailable,
}

/// Where a key was found: what a verdict rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    source: usize,
    generation: u64,
    /// The key has no name: if it does not fit, a source that is to have the named one lacks it.
    otherwise: Option<Missing>,
}

impl Found {
    /// What is missing, if the key that was found turns out not to be the token's.
    #[must_use]
    pub const fn otherwise(self) -> Option<Missing> {
        self.otherwise
    }
}

impl KeySources {
    /// These sources, in this order.
    #[must_use]
    pub const fn new(sources: Vec<(Arc<Source>, Binding)>) -> Self {
        Self(sources)
    }

    /// The sources.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Source>> {
        self.0.iter().map(|(source, _)| source)
    }

    /// The source that a key was found in.
    #[must_use]
    pub fn source(&self, found: Found) -> Option<&Source> {
        self.0.get(found.source).map(|(source, _)| &**source)
    }

    /// Whether it matters who a token is from and for.
    #[must_use]
    pub fn are_bound(&self) -> bool {
        self.0.iter().any(|(_, binding)| !binding.is_open())
    }

    /// Uses the key that may check a token with this `kid` and algorithm, which says this of itself. A
    /// key without a name is used after those with one; what is missing of the others comes with it.
    ///
    /// # Errors
    /// [`Missing`] says why there is none.
    pub fn with_key<T>(
        &self,
        parties: &Parties,
        kid: Kid<'_>,
        algorithm: Algorithm,
        allowed: AlgorithmSet,
        ambiguity: Ambiguity,
        use_key: impl FnOnce(&Key) -> T,
    ) -> Result<(Found, T), Missing> {
        let (mut unavailable, mut unknown) = (false, false);
        let mut nameless = None;
        for (n, source) in self.admitted(parties, algorithm) {
            // Read before the keys: if they change in between, the verdict is stale at once.
            let found = Found { source: n, generation: source.generation(), otherwise: None };
            let keys = source.keys();
            let Some(keys) = keys.as_ref() else {
                unavailable = true;
                continue;
            };
            match keys.find(kid, algorithm, allowed, ambiguity) {
                Ok(_) if keys.is_single() && self.0.len() > 1 => {
                    nameless.get_or_insert_with(|| (found, Arc::clone(keys)));
                }
                Ok(key) => return Ok((found, use_key(key))),
                Err(NoKey::Unfit) if ambiguity == Ambiguity::FirstKey => return Err(Missing::Unfit),
                Err(NoKey::Unfit) => {}
                Err(NoKey::Unknown) => unknown = true,
            }
        }
        let missing = match (unavailable, unknown) {
            (true, _) => Missing::Unavailable,
            (false, true) => Missing::Unknown,
            (false, false) => Missing::Unfit,
        };
        let Some((found, keys)) = nameless else { return Err(missing) };
        let key = keys.find(kid, algorithm, allowed, ambiguity).map_err(|_| missing)?;
        let otherwise = Some(missing).filter(|missing| *missing != Missing::Unfit);
        Ok((Found { otherwise, ..found }, use_key(key)))
    }

    /// The sources that may verify such a token, each with its place.
    fn admitted<'s>(
        &'s self,
        parties: &'s Parties,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = (usize, &'s Source)> {
        let is_taken = self.0.iter().any(|(_, binding)| binding.names(parties));
        let admits = move |binding: &Binding| binding.admits(parties, algorithm, is_taken);
        let all = self.0.iter().enumerate();
        all.filter(move |(_, (_, binding))| admits(binding)).map(|(n, (source, _))| (n, &**source))
    }

    /// Whether the keys that a verdict rests on are still the ones in use.
    #[must_use]
    pub fn still(&self, found: Found) -> bool {
        self.0.get(found.source).is_some_and(|(source, _)| source.generation() == found.generation)
    }

    /// Fetches the sources that may verify such a token again, because none of them knows its key: within
    /// their cool-down, and waits a moment for the result. False when nothing was fetched.
    pub async fn refetch(&self, parties: &Parties, algorithm: Algorithm) -> bool {
        let asked: Vec<_> = self
            .admitted(parties, algorithm)
            .filter_map(|(_, source)| source.as_remote())
            .filter_map(|remote| Some((remote, remote.ask_for_unknown()?)))
            .collect();
        if asked.is_empty() {
            return false;
        }
        wait_for_all(asked, PATIENCE).await;
        true
    }

    /// How long it is until the next try of a source that may verify such a token and has no keys; a
    /// try that is under way may still bring some.
    #[must_use]
    pub fn until_next_try(&self, parties: &Parties, algorithm: Algorithm) -> Duration {
        let without_keys = self.admitted(parties, algorithm).filter(|(_, source)| source.keys().is_none());
        let times = without_keys.filter_map(|(_, source)| Some(source.as_remote()?.until_next()));
        times.min().unwrap_or(Duration::ZERO)
    }
}
