//! What must be met to come in, in the words of OpenAPI: one of several security requirements, each
//! of which is one or more schemes.

use std::{iter, sync::Arc};

/// Schemes that a caller must all pass; one of them gives the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement<S> {
    /// Those that are checked before it, in order.
    pub before: Vec<S>,
    /// The one that gives the session.
    pub session: S,
    /// Those that are checked after it, in order.
    pub after: Vec<S>,
}

impl<S> From<S> for Requirement<S> {
    /// This scheme alone.
    fn from(session: S) -> Self {
        Self { before: Vec::new(), session, after: Vec::new() }
    }
}

impl<S> Requirement<S> {
    /// The schemes, in the order in which they are checked.
    pub fn schemes(&self) -> impl Iterator<Item = &S> {
        self.before.iter().chain([&self.session]).chain(&self.after)
    }

    fn map<T>(&self, f: &mut impl FnMut(&S) -> T) -> Requirement<T> {
        Requirement {
            before: self.before.iter().map(&mut *f).collect(),
            session: f(&self.session),
            after: self.after.iter().map(f).collect(),
        }
    }
}

/// Requirements of which a caller must meet one. There is at least one: nothing to meet would be an
/// open door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Security<S> {
    /// The one that is tried first.
    pub first: Requirement<S>,
    /// The others, in order.
    pub others: Vec<Requirement<S>>,
}

impl<S> From<S> for Security<S> {
    /// This scheme alone.
    fn from(scheme: S) -> Self {
        Self { first: scheme.into(), others: Vec::new() }
    }
}

impl<S> Security<S> {
    /// These requirements, in this order; nothing if there are none.
    #[must_use]
    pub fn new(requirements: Vec<Requirement<S>>) -> Option<Self> {
        let mut requirements = requirements.into_iter();
        Some(Self { first: requirements.next()?, others: requirements.collect() })
    }

    /// The requirements, in order.
    pub fn requirements(&self) -> impl Iterator<Item = &Requirement<S>> {
        iter::once(&self.first).chain(&self.others)
    }

    fn schemes(&self) -> impl Iterator<Item = &S> {
        self.requirements().flat_map(Requirement::schemes)
    }

    /// The same requirements of something else.
    #[must_use]
    pub fn map<T>(&self, mut f: impl FnMut(&S) -> T) -> Security<T> {
        Security {
            first: self.first.map(&mut f),
            others: self.others.iter().map(|requirement| requirement.map(&mut f)).collect(),
        }
    }
}

impl<S> Security<Arc<S>> {
    /// All schemes, each once.
    #[must_use]
    pub fn distinct_schemes(&self) -> Vec<&Arc<S>> {
        let mut distinct: Vec<&Arc<S>> = Vec::new();
        for scheme in self.schemes() {
            if !distinct.iter().any(|known| Arc::ptr_eq(known, scheme)) {
                distinct.push(scheme);
            }
        }
        distinct
    }
}
