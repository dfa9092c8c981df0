//! How documents differ from those that are served.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::Arc,
};

use serde_json::Value;

use super::documents::Documents;
use crate::{
    definition::view,
    document::{Document, Findings, Kept},
    policy::entries,
};

/// How documents differ from those that are served, by their ids. What stood in a file that cannot be read now is
/// neither gone nor changed: nobody knows yet what it will say.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// These are new.
    pub added: Vec<String>,
    /// These are gone.
    pub removed: Vec<String>,
    /// Other things are written about these.
    pub changed: Vec<String>,
}

/// An organisation, and an id in it.
type Name = (String, String);
type Written = BTreeMap<Name, Value>;

impl Difference {
    pub(super) fn of_apis(old: &Documents, new: &Documents) -> Self {
        let api = |root: Value| {
            let id = view::id(&root)?.to_owned();
            Some(Written::from([((String::new(), id), root)]))
        };
        Self::of_files(&old.definitions, &new.definitions, &new.unread, api)
    }

    pub(super) fn of_policies(old: &Documents, new: &Documents) -> Self {
        let policies = |root: Value| {
            let entries = (root.is_object() || root.is_array()).then(|| entries(&root))?;
            let named = entries.iter().map(|e| ((e.org_id.to_owned(), e.id.to_owned()), e.to_value()));
            Some(named.collect())
        };
        Self::of_files(&old.policies, &new.policies, &new.unread_policies, policies)
    }

    /// Only files that are not the same are looked into.
    fn of_files<T>(
        old: &[Arc<Kept<T>>],
        new: &[Arc<Kept<T>>],
        unread: &Findings,
        written_in: impl Fn(Value) -> Option<Written>,
    ) -> Self {
        let read = |file: &Kept<T>| written_in(Document::of(file.file()).ok()?.take_root());
        let mut gone: HashMap<&Path, &Arc<Kept<T>>> = old.iter().map(|file| (file.path(), file)).collect();
        let (mut before, mut after) = (Written::new(), Written::new());
        for file in new {
            let old = gone.remove(file.path());
            if old.is_some_and(|old| Arc::ptr_eq(old, file)) {
                continue;
            }
            if let Some(written) = read(file) {
                after.extend(written);
                before.extend(old.and_then(|old| read(old)).unwrap_or_default());
            }
        }
        // A folder that cannot be listed is named itself.
        let is_unread =
            |file: &&&Arc<Kept<T>>| file.path().ancestors().any(|path| unread.has_errors_in(path));
        for file in gone.values().filter(|file| !is_unread(file)) {
            before.extend(read(file).unwrap_or_default());
        }
        Self::between(&before, &after)
    }

    fn between(old: &Written, new: &Written) -> Self {
        let of = |written: &Written, is_it: &dyn Fn(&Name, &Value) -> bool| -> Vec<String> {
            written.iter().filter(|(name, value)| is_it(name, value)).map(|((_, id), _)| id.clone()).collect()
        };
        Self {
            added: of(new, &|name, _| !old.contains_key(name)),
            removed: of(old, &|name, _| !new.contains_key(name)),
            changed: of(new, &|name, value| old.get(name).is_some_and(|old| old != value)),
        }
    }
}
