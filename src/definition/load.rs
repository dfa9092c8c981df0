//! All definitions of a gateway.

use std::{collections::HashMap, sync::Arc};

use serde_json::Value;

use super::{
    Definition, Fetching, State, Templates, context::Context, fields::OPENAPI, raw::OpenApi, source::KeyCache,
};
use crate::{
    document::{Document, FieldPath, File, Finding, Findings, Kept},
    parallel,
    secrets::{Asked, DocumentValues, Lookup},
};

/// What was read.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The definitions without an error, by file name.
    pub definitions: Vec<Arc<Definition>>,
    /// The problems of all documents.
    pub findings: Findings,
}

/// What a gateway gives all its definitions.
#[derive(Clone, Debug)]
pub struct Given {
    /// What rules for errors may name.
    pub templates: Arc<Templates>,
    /// How key sets are fetched where a definition does not say.
    pub fetching: Fetching,
    /// Which APIs are served, by their tags; all, if there are none.
    pub tags: Vec<String>,
}

impl Given {
    /// Whether a definition would be the same with the other one.
    fn is_same(&self, other: &Self) -> bool {
        // Templates are compared when they are read.
        Arc::ptr_eq(&self.templates, &other.templates)
            && self.fetching == other.fetching
            && self.tags == other.tags
    }
}

/// What a document says, as long as its references stand for the same and it is given the same.
#[derive(Debug)]
pub struct Read {
    given: Arc<Given>,
    asked: Asked,
    /// Nothing where there is an error.
    definition: Option<Arc<Definition>>,
    findings: Findings,
}

/// Parses definitions, as far as that was not done before.
#[must_use]
pub fn load(files: &[Arc<Kept<Read>>], values: &DocumentValues<'_>, given: Given) -> Loaded {
    let (given, keys) = (Arc::new(given), KeyCache::default());
    let reads = parallel::map(files, |file| {
        let holds = |last: &Read| values.agree_with(&last.asked) && last.given.is_same(&given);
        file.make(holds, |file| Read::new(file, values, &given, &keys))
    });
    let mut loaded = Loaded::default();
    let mut taken = Taken::default();
    for (file, read) in files.iter().zip(&reads) {
        loaded.findings.append(read.findings.clone());
        let Some(definition) = &read.definition else { continue };
        match taken.take(file, definition) {
            Ok(()) => loaded.definitions.push(Arc::clone(definition)),
            Err((at, message)) => loaded.findings.error(file, &at, message),
        }
    }
    loaded
}

/// The fields whose references are resolved where they are parsed: what they hold is a key, which must not
/// be copied about with the document, and may be base64 of a reference.
const KEY_MATERIAL: [&str; 2] = ["source", "clientKey"];

impl Read {
    /// What it asked for.
    #[must_use]
    pub const fn asked(&self) -> &Asked {
        &self.asked
    }

    fn new(file: &Arc<File>, values: &DocumentValues<'_>, given: &Arc<Given>, keys: &KeyCache) -> Self {
        let (mut findings, lookup) = (Findings::default(), values.lookup());
        let definition = match Document::of(file) {
            Ok(document) => parse(document, &mut findings, &lookup, given, keys),
            Err(finding) => {
                findings.push(finding);
                None
            }
        };
        let definition = definition.filter(|_| !findings.has_errors()).map(Arc::new);
        let findings = lookup.hide_in_all(findings);
        Self { given: Arc::clone(given), asked: lookup.into_asked(), definition, findings }
    }
}

fn parse(
    mut document: Document,
    findings: &mut Findings,
    lookup: &Lookup<'_>,
    given: &Given,
    keys: &KeyCache,
) -> Option<Definition> {
    let (mut root, path) = (document.take_root(), document.path());
    if !is_openapi_3_0(&root) {
        findings.push(Finding::of_file(path, not_openapi_3_0(&root)));
        return None;
    }
    if root.get("x-tyk-api-gateway").is_none() {
        let message = "this document has no x-tyk-api-gateway; add the extension, or move the file elsewhere";
        findings.push(Finding::of_file(path, message));
        return None;
    }
    // The rest of the document describes the API to others.
    for extension in ["x-tyk-api-gateway", "x-claimgate"] {
        if let Some(value) = root.get_mut(extension) {
            let at = FieldPath::top().member(extension);
            lookup.expand_all(&document, &at, value, &KEY_MATERIAL, findings);
        }
    }
    OPENAPI.check(&document, &FieldPath::top(), &mut root, findings);
    let raw: OpenApi = match serde_json::from_value(root) {
        Ok(raw) => raw,
        Err(error) => {
            findings.push(Finding::of_file(path, format!("the document cannot be read: {error}")));
            return None;
        }
    };
    Context { document: &document, findings, lookup, keys, given }.parse(raw)
}

/// Which file has an API id, and which a place to listen.
#[derive(Default)]
struct Taken<'f> {
    ids: HashMap<&'f str, &'f File>,
    places: HashMap<(Option<&'f str>, &'f str), &'f File>,
}

impl<'f> Taken<'f> {
    /// In Tyk two APIs of one listen path move both, and neither answers where it says.
    ///
    /// # Errors
    /// What another API has already: the field, and a sentence.
    fn take(&mut self, file: &'f File, definition: &'f Definition) -> Result<(), (FieldPath, String)> {
        let tyk = FieldPath::top().member("x-tyk-api-gateway");
        if let Some(earlier) = self.ids.insert(&definition.id, file) {
            let earlier = earlier.path().display();
            let message = format!("the API id {} is that of {earlier} as well; change one", definition.id);
            return Err((tyk.members(&["info", "id"]), message));
        }
        if definition.state != State::Public {
            return Ok(());
        }
        let domain = definition.domain.as_ref().map(|domain| domain.canonical());
        let place = (domain, definition.listen_path.at.canonical());
        if let Some(earlier) = self.places.insert(place, file) {
            let message = format!(
                "the API in {} listens on {} as well; change one of the listen paths",
                earlier.path().display(),
                definition.listen_path.at.as_str()
            );
            return Err((tyk.members(&["server", "listenPath", "value"]), message));
        }
        Ok(())
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
