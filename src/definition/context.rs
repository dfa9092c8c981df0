//! What the parsers of a definition share.

use super::{Given, source::KeyCache};
use crate::{
    document::{Document, FieldPath, Findings},
    jwt::Locator,
    secrets::Lookup,
};

/// One document under the parsers' hands, and what they share.
pub(super) struct Context<'p> {
    pub(super) document: &'p Document,
    pub(super) findings: &'p mut Findings,
    pub(super) lookup: &'p Lookup<'p>,
    pub(super) keys: &'p KeyCache,
    pub(super) given: &'p Given,
}

impl Context<'_> {
    pub(super) fn error(&mut self, at: &FieldPath, message: impl Into<String>) {
        self.findings.error(self.document, at, message);
    }

    pub(super) fn warning(&mut self, at: &FieldPath, message: impl Into<String>) {
        self.findings.warning(self.document, at, message);
    }

    /// Whether an error was told of a field, or of something in it: what is missing because of that was not
    /// left out.
    pub(super) fn is_broken(&self, at: &FieldPath) -> bool {
        self.findings.has_errors_at(self.document, at)
    }

    /// The claim that a field names, by name, path or JSON Pointer.
    pub(super) fn locator(&mut self, at: &FieldPath, text: &str) -> Option<Locator> {
        if text.is_empty() {
            self.error(at, "it must be said which claim is meant; name it");
            return None;
        }
        Locator::parse(text).map_err(|reason| self.error(at, reason.to_string())).ok()
    }
}
