//! All definitions of a gateway.

use std::{collections::HashMap, path::PathBuf, sync::Arc};

use serde_json::Value;

use super::{
    Definition, Fetching, State, Templates, context::Context, fields::OPENAPI, raw::OpenApi, source::KeyCache,
};
use crate::{
    document::{Document, FieldPath, File, Finding, Findings},
    secrets::DocumentValues,
};

/// What was read.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The definitions without an error, by file name.
    pub definitions: Vec<Definition>,
    /// The problems of all documents.
    pub findings: Findings,
}

/// What a gateway gives its definitions.
#[derive(Clone, Copy, Debug)]
pub struct Given<'l> {
    /// What references stand for.
    pub values: &'l DocumentValues<'l>,
    /// What rules for errors may name.
    pub templates: &'l Templates,
    /// How key sets are fetched where a definition does not say.
    pub fetching: &'l Fetching,
    /// Which APIs are served, by their tags; all, if there are none.
    pub tags: &'l [String],
}

/// Parses definitions, one after the other.
#[must_use]
pub fn load(files: &[Arc<File>], given: Given<'_>) -> Loaded {
    let mut loader = Loader::new(given);
    for file in files {
        match Document::of(file) {
            Ok(document) => loader.document(&document),
            Err(finding) => loader.loaded.findings.push(finding),
        }
    }
    loader.loaded
}

/// The fields whose references are resolved where they are parsed: what they hold is a key, which must not
/// be copied about with the document, and may be base64 of a reference.
const KEY_MATERIAL: [&str; 2] = ["source", "clientKey"];

struct Loader<'l> {
    given: Given<'l>,
    keys: KeyCache,
    /// Which file has an API id, and which a place to listen.
    ids: HashMap<Arc<str>, PathBuf>,
    places: HashMap<(Option<String>, String), PathBuf>,
    loaded: Loaded,
}

impl<'l> Loader<'l> {
    fn new(given: Given<'l>) -> Self {
        Self {
            given,
            keys: KeyCache::default(),
            ids: HashMap::new(),
            places: HashMap::new(),
            loaded: Loaded::default(),
        }
    }

    fn document(&mut self, document: &Document) {
        let path = document.path();
        let mut root = document.root().clone();
        let findings = &mut self.loaded.findings;
        if !is_openapi_3_0(&root) {
            return findings.push(Finding::of_file(path, not_openapi_3_0(&root)));
        }
        if root.get("x-tyk-api-gateway").is_none() {
            let message =
                "this document has no x-tyk-api-gateway; add the extension, or move the file elsewhere";
            return findings.push(Finding::of_file(path, message));
        }
        // The rest of the document describes the API to others.
        for extension in ["x-tyk-api-gateway", "x-claimgate"] {
            if let Some(value) = root.get_mut(extension) {
                let at = FieldPath::top().member(extension);
                self.given.values.expand_all(document, &at, value, &KEY_MATERIAL, findings);
            }
        }
        OPENAPI.check(document, &FieldPath::top(), &mut root, findings);
        let raw: OpenApi = match serde_json::from_value(root) {
            Ok(raw) => raw,
            Err(error) => {
                let message = format!("the document cannot be read: {error}");
                return findings.push(Finding::of_file(path, message));
            }
        };
        let context = Context::new(document, findings, &mut self.keys, self.given);
        let parsed = context.parse(raw);
        let Some(definition) = parsed.filter(|_| !self.loaded.findings.has_errors_in(document)) else {
            return;
        };
        if self.is_unique(document, &definition) {
            self.loaded.definitions.push(definition);
        }
    }

    /// In Tyk two APIs of one listen path move both, and neither answers where it says.
    fn is_unique(&mut self, document: &Document, definition: &Definition) -> bool {
        let tyk = FieldPath::top().member("x-tyk-api-gateway");
        let findings = &mut self.loaded.findings;
        if let Some(earlier) = self.ids.insert(Arc::clone(&definition.id), document.path().to_owned()) {
            let message =
                format!("the API id {} is that of {} as well; change one", definition.id, earlier.display());
            findings.error(document, &tyk.members(&["info", "id"]), message);
            return false;
        }
        if definition.state != State::Public {
            return true;
        }
        let domain = definition.domain.as_ref().map(|domain| domain.canonical().to_owned());
        let place = (domain, definition.listen_path.at.canonical().to_owned());
        if let Some(earlier) = self.places.insert(place, document.path().to_owned()) {
            let message = format!(
                "the API in {} listens on {} as well; change one of the listen paths",
                earlier.display(),
                definition.listen_path.at.as_str()
            );
            findings.error(document, &tyk.members(&["server", "listenPath", "value"]), message);
            return false;
        }
        true
    }
}

/// What a document is instead, as far as that is known.
fn not_openapi_3_0(root: &Value) -> &'static str {
    let version = root.get("openapi");
    if root.get("api_id").is_some()
        || root.get("proxy").is_some_and(|proxy| proxy.get("listen_path").is_some())
    {
        "this is a classic Tyk API definition; only Tyk OAS definitions are read: export it as one"
    } else if version.is_some_and(Value::is_number) {
        "openapi must be a text such as \"3.0.3\"; write it in quotes"
    } else if version.is_some() || root.get("swagger").is_some() {
        "this is another version of OpenAPI; only 3.0 is read, such as openapi: 3.0.3"
    } else {
        "this is not an OpenAPI 3.0 document; it needs a field openapi with a value such as 3.0.3"
    }
}

fn is_openapi_3_0(root: &Value) -> bool {
    root.get("openapi").and_then(Value::as_str).is_some_and(|version| version.starts_with("3.0"))
}
