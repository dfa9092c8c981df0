//! What one document asks of the values.

use std::{cell::RefCell, collections::BTreeMap};

use serde_json::Value;

use super::{
    DocumentValues, Expand, Secret, Unresolved,
    hidden::Hidden,
    reference::{Reference, expand},
    values::Known,
};
use crate::document::{Document, FieldPath, Findings, Way};

/// The values of a load, for one document. What it asks for is noted: as long as all of that stays the same,
/// so does what the document says.
#[derive(Debug)]
pub struct Lookup<'v> {
    values: &'v DocumentValues<'v>,
    asked: RefCell<Asked>,
}

/// What a document asked for, and what it was told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked(BTreeMap<Reference, Known>);

impl DocumentValues<'_> {
    /// The same values, for a document that has asked for none yet.
    #[must_use]
    pub const fn lookup(&self) -> Lookup<'_> {
        Lookup { values: self, asked: RefCell::new(Asked(BTreeMap::new())) }
    }

    /// Whether a document that has asked for this would be told the same. All of it counts as asked for then.
    #[must_use]
    pub fn agree_with(&self, asked: &Asked) -> bool {
        asked.0.iter().all(|(reference, known)| self.value(reference, &known.written) == known.value)
    }

    /// A document that has asked for this will most likely ask for it again: what is in a store is fetched then
    /// with the next [`Values::fetch`](super::Values::fetch).
    pub fn foresee(&self, asked: &Asked) {
        asked.0.iter().for_each(|(reference, known)| self.want(reference, &known.written));
    }
}

impl Expand for Lookup<'_> {
    fn expand(&self, text: &str) -> Result<Option<Secret>, Unresolved> {
        expand(text, |reference, written| self.value(reference, written))
    }
}

impl Lookup<'_> {
    /// Replaces the references in all texts below a field, except in members that are called as one of
    /// `kept`. What cannot be resolved stays as it is and is an error.
    pub fn expand_all(
        &self,
        document: &Document,
        at: &FieldPath,
        value: &mut Value,
        kept: &[&str],
        findings: &mut Findings,
    ) {
        self.expand_below(document, &Way::From(at), value, kept, findings);
    }

    fn expand_below(
        &self,
        document: &Document,
        at: &Way<'_>,
        value: &mut Value,
        kept: &[&str],
        findings: &mut Findings,
    ) {
        match value {
            Value::String(text) => match self.expand(text) {
                Ok(None) => {}
                Ok(Some(expanded)) => *text = (*expanded).to_owned(),
                Err(reason) => findings.error(document, &at.path(), reason.to_string()),
            },
            Value::Array(elements) => {
                for (n, element) in elements.iter_mut().enumerate() {
                    self.expand_below(document, &Way::Element(at, n), element, kept, findings);
                }
            }
            Value::Object(members) => {
                for (name, member) in members.iter_mut().filter(|(name, _)| !kept.contains(&name.as_str())) {
                    self.expand_below(document, &Way::Member(at, name), member, kept, findings);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn value(&self, reference: &Reference, written: &str) -> Result<Secret, Unresolved> {
        let value = self.values.value(reference, written);
        let known = Known { written: written.into(), value: value.clone() };
        self.asked.borrow_mut().0.insert(reference.clone(), known);
        value
    }

    /// A message without the values that the document asked for: where one stands in it, the reference does
    /// instead.
    #[must_use]
    pub fn hide_in(&self, message: &str) -> String {
        Hidden::new(self.asked.borrow().0.values()).hide_in(message)
    }

    /// Findings about the document, without those values.
    #[must_use]
    pub fn hide_in_all(&self, findings: Findings) -> Findings {
        let asked = self.asked.borrow();
        let hidden = Hidden::new(asked.0.values());
        findings.reworded(|message| hidden.hide_in(message))
    }

    /// What was asked for.
    #[must_use]
    pub fn into_asked(self) -> Asked {
        self.asked.into_inner()
    }
}
