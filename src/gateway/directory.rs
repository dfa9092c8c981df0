//! Which API is meant by an id or a name.

use std::{collections::HashMap, path::Path, sync::Arc};

use crate::{
    api_address::{ApiName, folded_name},
    definition::{self, Definition},
    document::{File, Findings, Kept},
};

/// The APIs of a gateway, by id and by name; each by its place among them.
#[derive(Debug, Default)]
pub(super) struct Directory {
    ids: HashMap<Arc<str>, usize>,
    /// Nothing where several have the name: it could mean either.
    names: HashMap<String, Option<usize>>,
}

impl Directory {
    /// A directory of APIs with these ids and names, in this order.
    pub(super) fn new<'a>(apis: impl Iterator<Item = (&'a Arc<str>, &'a str)>) -> Self {
        let mut directory = Self::default();
        for (place, (id, name)) in apis.enumerate() {
            directory.ids.insert(Arc::clone(id), place);
            let named = directory.names.entry(folded_name(name)).or_insert(Some(place));
            if *named != Some(place) {
                *named = None;
            }
        }
        directory
    }

    /// The API with this id.
    pub(super) fn by_id(&self, id: &str) -> Option<usize> {
        self.ids.get(id).copied()
    }

    /// The API that is referred to so. An id goes before a name.
    pub(super) fn find(&self, name: &ApiName) -> Option<usize> {
        self.by_id(name.as_id()).or_else(|| self.names.get(name.as_folded_name()).copied().flatten())
    }
}

/// Tells of APIs that others lead requests to, and that none reaches.
pub(super) fn warn_about_lost_ways(
    files: &[Arc<Kept<definition::Read>>],
    definitions: &[Arc<Definition>],
    findings: &mut Findings,
) {
    let directory = Directory::new(definitions.iter().map(|d| (&d.id, &*d.name)));
    let files: HashMap<&Path, &File> = files.iter().map(|file| (file.path(), &**file.file())).collect();
    for definition in definitions.iter().filter(|definition| !definition.leads_to.is_empty()) {
        let Some(file) = files.get(&*definition.file) else { continue };
        for (name, at) in &definition.leads_to {
            let why = match directory.find(name).and_then(|place| definitions.get(place)) {
                None => "does not exist, or several have the name",
                Some(other) if !other.is_active() => "is not active here",
                Some(other) if is_open_version(definition, name, other) => {
                    let message = format!(
                        "this API asks for credentials, and its version {name} does not: nothing of this API is asked before a version, so everybody who names that one is let in; switch authentication on in {name}"
                    );
                    findings.warning(file, at, message);
                    continue;
                }
                Some(_) => continue,
            };
            let message = format!(
                "the API {name} {why}; requests that are led to it are refused: name another, or add it"
            );
            findings.warning(file, at, message);
        }
    }
}

/// Whether the other API is a version of this one, and lets everybody in where this one does not.
fn is_open_version(definition: &Definition, name: &ApiName, other: &Definition) -> bool {
    let is_version =
        definition.versions.as_ref().is_some_and(|versions| versions.others.values().any(|own| own == name));
    is_version && definition.security.is_some() && other.security.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_go_before_names_and_two_of_a_name_are_none() {
        let apis = [("a", "Orders"), ("orders", "b"), ("c", "Same #eu"), ("d", "same"), ("e", "My API")];
        let apis = apis.map(|(id, name)| (Arc::from(id), name));
        let directory = Directory::new(apis.iter().map(|(id, name)| (id, *name)));
        for (name, place) in [
            ("a", Some(0)),
            ("A", None),
            ("orders", Some(1)),
            ("Orders", Some(0)),
            ("b", Some(1)),
            ("same", None),
            ("my-api", Some(4)),
            ("My API", Some(4)),
            ("nothing", None),
        ] {
            assert_eq!(directory.find(&ApiName::new(name)), place, "{name}");
        }
    }
}
