//! What references stand for.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{
    Expand, Secret, Secrets, Unresolved,
    hidden::{Hidden, Withheld},
    local::finish,
    reference::{Place, Reference, expand},
};
use crate::document::Findings;

/// What the references of one load stand for. Parsers ask for values while they read; what is in a store
/// is not there yet then, and is noted: [`Values::fetch`] gets it, and the documents are parsed again.
#[derive(Debug)]
pub struct Values {
    secrets: Secrets,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What was asked for.
    known: BTreeMap<Reference, Known>,
    /// What was fetched and nobody has asked for yet.
    fetched: BTreeMap<Reference, Known>,
    /// What is to be fetched, and how it is written.
    wanted: BTreeMap<Reference, String>,
}

/// A reference that was resolved, or could not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// How it is written.
    pub(super) written: String,
    pub(super) value: Result<Secret, Unresolved>,
}

/// As the settings of the gateway have them. Documents have [`DocumentValues`](super::DocumentValues).
impl Expand for Values {
    fn expand(&self, text: &str) -> Result<Option<Secret>, Unresolved> {
        expand(text, |reference, written| self.value(reference, written))
    }
}

impl Values {
    pub(super) fn new(secrets: Secrets) -> Self {
        Self { secrets, state: Mutex::default() }
    }

    /// What a reference stands for, as far as that is known already or stands on this machine. It does not count
    /// as one that is in use.
    pub(super) fn peek(&self, reference: &Reference, written: &str) -> Result<Secret, Unresolved> {
        let state = self.state();
        if let Some(known) = state.known.get(reference).or_else(|| state.fetched.get(reference)) {
            return known.value.clone();
        }
        drop(state);
        match self.secrets.local().read(&reference.place) {
            Some(value) => finish(&value?, reference, written),
            None => Err(Unresolved::new(format!("{written} is not fetched yet"))),
        }
    }

    /// What a reference stands for, if that is known; else it is noted to be fetched.
    pub(super) fn value(&self, reference: &Reference, written: &str) -> Result<Secret, Unresolved> {
        let mut state = self.state();
        if let Some(known) = state.known.get(reference) {
            return known.value.clone();
        }
        let known = match state.fetched.remove(reference) {
            Some(fetched) => fetched,
            None => Known { written: written.into(), value: self.read(&mut state, reference, written)? },
        };
        let value = known.value.clone();
        state.known.insert(reference.clone(), known);
        value
    }

    /// What is on this machine.
    ///
    /// # Errors
    /// [`Unresolved`] when it is elsewhere; it is noted to be fetched then.
    fn read(
        &self,
        state: &mut State,
        reference: &Reference,
        written: &str,
    ) -> Result<Result<Secret, Unresolved>, Unresolved> {
        match self.secrets.local().read(&reference.place) {
            Some(value) => Ok(value.and_then(|value| finish(&value, reference, written))),
            None if !self.secrets.has_remote(&reference.place) => {
                Ok(Err(Secrets::no_store(&reference.place)))
            }
            None => {
                state.wanted.insert(reference.clone(), written.into());
                Err(Unresolved::new(format!("{written} is not fetched yet")))
            }
        }
    }

    /// Notes that a value is to be fetched, if it is in a store and not known.
    pub(super) fn want(&self, reference: &Reference, written: &str) {
        let mut state = self.state();
        let is_known = state.known.contains_key(reference) || state.fetched.contains_key(reference);
        if !is_known && self.secrets.has_remote(&reference.place) {
            state.wanted.insert(reference.clone(), written.into());
        }
    }

    /// Whether values were asked for that are to be fetched.
    #[must_use]
    pub fn are_incomplete(&self) -> bool {
        !self.state().wanted.is_empty()
    }

    /// Fetches what was asked for: each place once, several at a time, bounded in time.
    pub async fn fetch(&self) {
        let wanted = std::mem::take(&mut self.state().wanted);
        let places: BTreeSet<Place> = wanted.keys().map(|reference| reference.place.clone()).collect();
        let fetched = self.secrets.fetch(places).await;
        let mut state = self.state();
        for (reference, written) in wanted {
            let value = fetched.get(&reference.place).cloned().unwrap_or_else(|| {
                Err(Unresolved::new(format!("{written} was not fetched in time; look at its store")))
            });
            let value = value.and_then(|value| finish(&value, &reference, &written));
            state.fetched.insert(reference, Known { written, value });
        }
    }

    /// The same references, resolved again. What has no value any more keeps its last one; which these
    /// are, and why, is returned.
    pub async fn fetch_again(&self) -> (Self, Vec<(String, Unresolved)>) {
        let again = Self::new(self.secrets.clone());
        let last: Vec<(Reference, Known)> =
            self.state().known.iter().map(|(reference, known)| (reference.clone(), known.clone())).collect();
        for (reference, known) in &last {
            // What is on this machine is known at once; the others are noted.
            let _ = again.value(reference, &known.written);
        }
        again.fetch().await;
        let mut failing = Vec::new();
        for (reference, known) in last {
            if let (Err(reason), Ok(_)) = (again.value(&reference, &known.written), &known.value) {
                failing.push((known.written.clone(), reason));
                again.state().known.insert(reference, known);
            }
        }
        (again, failing)
    }

    /// How the references are written whose values are others than `before`.
    #[must_use]
    pub fn changed_since(&self, before: &Self) -> Vec<String> {
        let before: BTreeMap<Reference, Known> = before.state().known.clone();
        let state = self.state();
        let changed = state.known.iter().filter(|(reference, known)| {
            before.get(reference).is_some_and(|before| before.value != known.value)
        });
        changed.map(|(_, known)| known.written.clone()).collect()
    }

    /// The same values, but for those of the references that are written like this: they are as before.
    #[must_use]
    pub fn keeping(&self, written: &str, before: &Self) -> Self {
        let before = before.state().known.clone();
        let mut known = self.state().known.clone();
        for (reference, now) in known.iter_mut().filter(|(_, now)| now.written == written) {
            if let Some(before) = before.get(reference) {
                now.clone_from(before);
            }
        }
        Self { secrets: self.secrets.clone(), state: Mutex::new(State { known, ..State::default() }) }
    }

    /// How all references are written.
    #[must_use]
    pub fn written(&self) -> Vec<String> {
        self.state().known.values().map(|known| known.written.clone()).collect()
    }

    /// The file at a place; nothing if there is something else.
    pub(super) fn file(&self, place: &Place) -> Option<PathBuf> {
        self.secrets.local().file(place)
    }

    /// The environment variable at a place; nothing if there is something else.
    pub(super) fn variable(&self, place: &Place) -> Option<String> {
        self.secrets.local().variable_at(place)
    }

    /// The files that references name.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let state = self.state();
        state.known.keys().filter_map(|reference| self.file(&reference.place)).collect()
    }

    /// Findings without values.
    #[must_use]
    pub fn hide_in_all(&self, findings: Findings) -> Findings {
        let state = self.state();
        let hidden = Hidden::new(state.known.values());
        findings.reworded(|message| hidden.hide_in(message))
    }

    /// The values, to be taken out of what is told about what they were compiled into.
    #[must_use]
    pub fn withheld(&self) -> Withheld {
        Withheld::new(self.state().known.values().cloned().collect())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
