//! Files into values.

use std::{
    fmt,
    fs::{self, DirEntry},
    io::{self, Read as _},
    ops::Deref,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_yaml::UserMessageFormatter;

use super::{FieldPath, Finding, lines::Lines, write};

/// The largest file that is read, in octets.
pub const MAX_FILE: usize = 16 * 1024 * 1024;

/// What findings name in place of a file where there was only the body of a request.
const BODY: &str = "body.json";

/// A file that was read. What a gateway keeps of its documents: their values take many times as much memory,
/// and are wanted again only when they change.
#[derive(Debug)]
pub struct File {
    path: PathBuf,
    text: Box<str>,
    /// Once a finding has asked.
    lines: Mutex<Option<Lines>>,
}

/// A YAML or JSON file, and what stands in it.
#[derive(Debug)]
pub struct Document {
    file: Arc<File>,
    /// Nothing once it was taken.
    root: Option<Value>,
    /// The same, read again for those who still look into it.
    again: OnceLock<Value>,
}

impl File {
    /// Reads a file.
    ///
    /// # Errors
    /// One [`Finding`] that says why it cannot be read.
    pub fn read(path: &Path) -> Result<Self, Finding> {
        let text = read_text(path).map_err(|message| Finding::of_file(path, message))?;
        Ok(Self::new(path, text))
    }

    pub(super) fn new(path: &Path, text: String) -> Self {
        Self { path: path.into(), text: text.into(), lines: Mutex::default() }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its text.
    #[must_use]
    pub const fn text(&self) -> &str {
        &self.text
    }

    /// Whether this name may stand in it; no other file has to be parsed to find it.
    #[must_use]
    pub fn may_name(&self, name: &str) -> bool {
        // What is written with an escape, or folded over lines, does not look like the name.
        self.text.contains(name) || self.text.contains('\\') || name.contains(char::is_whitespace)
    }

    /// The line of a field.
    #[must_use]
    pub fn line(&self, field: &FieldPath) -> Option<u32> {
        let mut lines = self.lines();
        if lines.is_none() {
            *lines = serde_yaml::from_str_with_options(&self.text, yaml_options()).ok();
        }
        lines.as_ref()?.line(field)
    }

    /// Forgets where its fields stand, until somebody asks again.
    pub fn forget_lines(&self) {
        *self.lines() = None;
    }

    fn lines(&self) -> MutexGuard<'_, Option<Lines>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deref for Document {
    type Target = File;

    fn deref(&self) -> &File {
        &self.file
    }
}

impl Document {
    /// Reads a file; JSON if its name ends in `.json`, else YAML (of which JSON is a part).
    ///
    /// # Errors
    /// One [`Finding`] that says why the file is no document.
    pub fn read(path: &Path) -> Result<Self, Finding> {
        Self::of(&Arc::new(File::read(path)?))
    }

    /// Reads a text as if it stood in the file `path`.
    ///
    /// # Errors
    /// One [`Finding`] that says why the text is no document.
    pub fn parse(path: &Path, text: String) -> Result<Self, Finding> {
        Self::of(&Arc::new(File::new(path, text)))
    }

    /// Reads the JSON body of a request, which has no file.
    ///
    /// # Errors
    /// One [`Finding`] that says why the text is no document.
    pub fn of_body(text: String) -> Result<Self, Finding> {
        Self::parse(Path::new(BODY), text)
    }

    /// A value as if it had been the body of a request.
    #[must_use]
    pub fn of_value(value: Value) -> Self {
        let file = Arc::new(File::new(Path::new(BODY), String::new()));
        // What stands in it cannot be read again from there.
        Self { file, root: Some(value.clone()), again: value.into() }
    }

    /// What stands in a file that was read.
    ///
    /// # Errors
    /// One [`Finding`] that says why the file is no document.
    pub fn of(file: &Arc<File>) -> Result<Self, Finding> {
        let root = if is_json(&file.path) { parse_json(&file.text) } else { parse_yaml(&file.text) };
        match root {
            Ok(Strict(root)) => Ok(Self { file: Arc::clone(file), root: Some(root), again: OnceLock::new() }),
            Err((line, message)) => Err(Finding { line, ..Finding::of_file(file.path(), message) }),
        }
    }

    /// The file it was read from.
    #[must_use]
    pub const fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// The document that a file would be with this value in it.
    ///
    /// # Errors
    /// One [`Finding`] when nobody could read that file.
    pub fn with_root(path: &Path, value: &Value) -> Result<Self, Finding> {
        // A file that is read differently from what was meant must never be written. JSON is YAML.
        [is_json(path), true]
            .into_iter()
            .filter_map(|json| Self::parse(path, write::text(json, value)?).ok())
            .find(|document| document.root() == value && document.text().len() <= MAX_FILE)
            .ok_or_else(|| {
                let message = format!("this would be no file that can be read: it is larger than {} MiB, too deep, or has two members of one name", MAX_FILE >> 20);
                Finding::of_file(path, message)
            })
    }

    /// What stands in it, also when it was taken: few need it then, and it is read again for them.
    #[must_use]
    pub fn root(&self) -> &Value {
        let again = || Self::of(&self.file).ok().and_then(|document| document.root).unwrap_or_default();
        self.root.as_ref().unwrap_or_else(|| self.again.get_or_init(again))
    }

    /// Takes what stands in it, which may be changed then; findings still get their lines.
    #[must_use]
    pub fn take_root(&mut self) -> Value {
        self.root.take().unwrap_or_default()
    }
}

/// The files that [`read_all`](super::read_all) would read; none if it could not.
#[must_use]
pub fn files(path: &Path) -> Vec<PathBuf> {
    list(path).unwrap_or_default()
}

pub(super) fn list(path: &Path) -> Result<Vec<PathBuf>, Finding> {
    if path.is_file() { Ok(vec![path.to_owned()]) } else { list_folder(path) }
}

/// The files of a folder that are documents by their name, sorted.
fn list_folder(folder: &Path) -> Result<Vec<PathBuf>, Finding> {
    let unreadable = |e: io::Error| Finding::of_file(folder, format!("the folder cannot be read: {e}"));
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let path = entry.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let document = path.extension().and_then(|e| e.to_str()).is_some_and(|extension| {
            ["yaml", "yml", "json"].iter().any(|known| extension.eq_ignore_ascii_case(known))
        });
        if document && !hidden && !is_folder(&entry, &path) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Whether an entry leads to a folder. The system tells with the entry what it is, unless it is a link.
fn is_folder(entry: &DirEntry, path: &Path) -> bool {
    entry
        .file_type()
        .ok()
        .filter(|kind| !kind.is_symlink())
        .map_or_else(|| path.is_dir(), |kind| kind.is_dir())
}

fn is_json(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"))
}

pub(super) fn read_text(path: &Path) -> Result<String, String> {
    let failed = |e: io::Error| format!("the file cannot be read: {e}");
    // Before it is opened: opening a pipe waits for whoever writes into it.
    let metadata = fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err("this is not a file; name a YAML or JSON file".into());
    }
    let file = fs::File::open(path).map_err(failed)?;
    // One more, which tells that there is no more.
    let expected = usize::try_from(metadata.len()).unwrap_or(MAX_FILE).min(MAX_FILE).saturating_add(1);
    let mut octets = Vec::with_capacity(expected);
    file.take(MAX_FILE.saturating_add(1) as u64).read_to_end(&mut octets).map_err(failed)?;
    if octets.len() > MAX_FILE {
        return Err(format!("the file is larger than {} MiB; split it", MAX_FILE >> 20));
    }
    String::from_utf8(octets).map_err(|_| "the file is not UTF-8; save it in UTF-8".into())
}

/// Why a text is no document: the line, if there is one, and a sentence.
type Reason = (Option<u32>, String);

fn parse_json(text: &str) -> Result<Strict, Reason> {
    serde_json::from_str(text).map_err(|e| {
        let message = e.to_string();
        let message = message.split(" at line ").next().unwrap_or_default();
        (u32::try_from(e.line()).ok(), format!("this is not valid JSON: {message}"))
    })
}

fn parse_yaml(text: &str) -> Result<Strict, Reason> {
    serde_yaml::from_str_with_options(text, yaml_options()).map_err(|e| {
        let message = e.without_snippet().render_with_formatter(&UserMessageFormatter);
        let message = message.split(" at line ").next().unwrap_or_default().trim_end_matches(',');
        let line = e.location().and_then(|location| u32::try_from(location.line()).ok());
        (line.filter(|line| *line > 0), format!("this is not valid YAML: {message}"))
    })
}

/// Strict where YAML lets a reader guess (`no`, `010`, `1_000`), and bounded: a short file must not
/// become a long one.
fn yaml_options() -> serde_yaml::Options {
    serde_yaml::options! {
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        reject_unsupported_tags: true,
        budget: serde_yaml::budget! {
            max_aliases: 1_000,
            max_anchors: 1_000,
            max_recorded_anchor_events: 100_000,
            max_recorded_anchor_bytes: 4 * 1024 * 1024,
        },
    }
}

/// A value of which no object has two members with one name.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Strict;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Strict, E> {
        Ok(Strict(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Strict, E> {
        Ok(Strict(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Strict, E> {
        Ok(Strict(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Strict, E> {
        Number::from_f64(value)
            .map(|number| Strict(Value::Number(number)))
            .ok_or_else(|| E::custom("a number must be finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Strict, E> {
        Ok(Strict(Value::String(value.into())))
    }

    fn visit_unit<E>(self) -> Result<Strict, E> {
        Ok(Strict(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Strict, A::Error> {
        let mut elements = Vec::new();
        while let Some(Strict(element)) = access.next_element()? {
            elements.push(element);
        }
        Ok(Strict(Value::Array(elements)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Strict, A::Error> {
        let mut members = Map::new();
        while let Some((name, Strict(value))) = access.next_entry::<String, _>()? {
            if members.contains_key(&name) {
                return Err(A::Error::custom(format!("the member {name:?} comes twice; keep one of them")));
            }
            members.insert(name, value);
        }
        Ok(Strict(Value::Object(members)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_was_taken_is_still_there() {
        let value = serde_json::json!({ "a": [1] });
        let mut document = Document::of_value(value.clone());
        assert_eq!(document.root(), &value);
        assert_eq!(document.take_root(), value);
        assert_eq!(document.root(), &value);
    }

    #[test]
    fn what_may_name_something() {
        let file = |name: &str, text: &str| File::new(Path::new(name), text.into());
        for (text, name, may) in [
            (r#"{"id":"orders"}"#, "orders", true),
            (r#"{"id":"orders-v2"}"#, "orders", true),
            (r#"{"id":"payments"}"#, "orders", false),
            // The name may be there although it does not look like it.
            (r#"{"id":"\u006frders"}"#, "orders", true),
            ("id: our\n  orders", "our orders", true),
            ("id: payments", "our orders", true),
        ] {
            assert_eq!(file("a.yaml", text).may_name(name), may, "{name} in {text}");
            let document = Document::of(&Arc::new(file("a.yaml", text))).unwrap();
            let is_there = document.root().get("id").and_then(Value::as_str) == Some(name);
            assert!(may || !is_there, "{name} in {text}");
        }
    }
}
