//! The references of a document.

use serde_json::Value;

use super::{DocumentValues, Expand as _};
use crate::document::{Document, FieldPath, Findings};

impl DocumentValues<'_> {
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
        match value {
            Value::String(text) => match self.expand(text) {
                Ok(None) => {}
                Ok(Some(expanded)) => *text = (*expanded).to_owned(),
                Err(reason) => findings.error(document, at, reason.to_string()),
            },
            Value::Array(elements) => {
                for (n, element) in elements.iter_mut().enumerate().filter(|(_, element)| may_hold(element)) {
                    self.expand_all(document, &at.element(n), element, kept, findings);
                }
            }
            Value::Object(members) => {
                for (name, member) in members.iter_mut().filter(|(_, member)| may_hold(member)) {
                    if !kept.contains(&name.as_str()) {
                        self.expand_all(document, &at.member(name), member, kept, findings);
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

/// Whether there may be a reference in a value, so that its path is worth writing down.
fn may_hold(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains("://") || text.contains('$'),
        Value::Array(_) | Value::Object(_) => true,
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}
