//! Tables of fields: what may stand in a document, and what becomes of it.

use serde_json::Value;

use super::{Document, FieldPath, Findings, Way};

/// An object of a document: its fields by name.
#[derive(Debug)]
pub struct Section {
    /// The fields that are known.
    pub fields: &'static [Field],
    /// What becomes of the others.
    pub unknown: Unknown,
}

/// What becomes of a field that no table names. One whose name is near a known one, or differs from
/// it by letter case alone, is always an error: it may be a misspelt check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// It is an error.
    Error,
    /// It is a warning.
    Warning,
    /// It belongs to somebody else.
    Ignore,
}

/// A field that is known.
#[derive(Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What may stand there.
    pub shape: Shape,
    /// What becomes of it.
    pub plan: Plan,
}

/// What becomes of a field. An object whose `enabled` is off, or that has none and nothing inside
/// that is on, and an empty value count as absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// It is honoured.
    Honour,
    /// It means nothing to a gateway.
    Ignore,
    /// It is not honoured: this is what happens instead.
    Warn(&'static str),
    /// Serving without it would let somebody in, skip a check or send something elsewhere.
    Refuse(&'static str),
    /// The same for a field without a switch: whatever is in it counts.
    RefuseContent(&'static str),
}

/// What may stand at a field.
#[derive(Debug)]
pub enum Shape {
    /// Anything.
    Any,
    /// `true` or `false`.
    Bool,
    /// A text.
    Text,
    /// A text that writes a duration.
    Duration,
    /// A whole number, not negative.
    Count,
    /// A number.
    Number,
    /// A list of texts.
    Texts,
    /// An object.
    Object(&'static Section),
    /// A list of values of one shape.
    List(&'static Self),
    /// An object whose names are free and whose values are of one shape.
    Map(&'static Self),
}

impl Field {
    /// A field that is honoured.
    #[must_use]
    pub const fn honour(name: &'static str, shape: Shape) -> Self {
        Self { name, shape, plan: Plan::Honour }
    }

    /// A field that means nothing here.
    #[must_use]
    pub const fn ignore(name: &'static str) -> Self {
        Self { name, shape: Shape::Any, plan: Plan::Ignore }
    }

    /// A field that is named in a warning.
    #[must_use]
    pub const fn warn(name: &'static str, instead: &'static str) -> Self {
        Self { name, shape: Shape::Any, plan: Plan::Warn(instead) }
    }

    /// A field without which the document is not served.
    #[must_use]
    pub const fn refuse(name: &'static str, reason: &'static str) -> Self {
        Self { name, shape: Shape::Any, plan: Plan::Refuse(reason) }
    }

    /// A field without a switch, without which the document is not served.
    #[must_use]
    pub const fn refuse_content(name: &'static str, reason: &'static str) -> Self {
        Self { name, shape: Shape::Any, plan: Plan::RefuseContent(reason) }
    }
}

impl Section {
    /// Checks a value against this table and takes out everything that is not honoured.
    pub fn check(&self, document: &Document, at: &FieldPath, value: &mut Value, findings: &mut Findings) {
        Check { document, findings }.section(self, &Way::From(at), value);
    }
}

const COUNT: &str = "a whole number that is not negative";
const DURATION: &str = "a duration such as 15s or 5m";

struct Check<'c> {
    document: &'c Document,
    findings: &'c mut Findings,
}

impl Check<'_> {
    fn section(&mut self, section: &Section, at: &Way<'_>, value: &mut Value) -> bool {
        let Value::Object(members) = value else {
            self.wrong(at, "an object", value);
            return false;
        };
        members.retain(|name, value| {
            let at = Way::Member(at, name);
            match section.fields.iter().find(|field| field.name == *name) {
                Some(field) => self.field(field, &at, value),
                None => self.unknown(section, &at, name),
            }
        });
        true
    }

    fn unknown(&mut self, section: &Section, at: &Way<'_>, name: &str) -> bool {
        match (nearest(name, section.fields), section.unknown) {
            (Some(near), _) => {
                self.findings.error(
                    self.document,
                    &at.path(),
                    format!("unknown field; did you mean {near}?"),
                );
            }
            (None, Unknown::Error) => {
                self.findings.error(
                    self.document,
                    &at.path(),
                    "unknown field; remove it, or correct its name",
                );
            }
            (None, Unknown::Warning) => {
                let message = "unknown field, ignored; remove it, or correct its name";
                self.findings.warning(self.document, &at.path(), message);
            }
            (None, Unknown::Ignore) => {}
        }
        false
    }

    /// Whether the field stays.
    fn field(&mut self, field: &Field, at: &Way<'_>, value: &mut Value) -> bool {
        if value.is_null() {
            return false;
        }
        match field.plan {
            Plan::Honour => self.shape(&field.shape, at, value),
            Plan::Ignore => false,
            Plan::Warn(instead) => {
                if is_on(value) {
                    self.findings.warning(self.document, &at.path(), instead);
                }
                false
            }
            Plan::Refuse(reason) => {
                if is_on(value) {
                    self.findings.error(self.document, &at.path(), reason);
                }
                false
            }
            Plan::RefuseContent(reason) => {
                if has_content(value) {
                    self.findings.error(self.document, &at.path(), reason);
                }
                false
            }
        }
    }

    fn shape(&mut self, shape: &Shape, at: &Way<'_>, value: &mut Value) -> bool {
        let wanted = match shape {
            Shape::Any => return true,
            Shape::Object(section) => return self.section(section, at, value),
            Shape::List(of) => return self.list(of, at, value),
            Shape::Texts => return self.list(&Shape::Text, at, value),
            Shape::Map(of) => return self.map(of, at, value),
            Shape::Bool if !value.is_boolean() => "true or false",
            Shape::Text if !value.is_string() => "a text",
            Shape::Duration if !value.is_string() => DURATION,
            Shape::Count if !value.is_u64() => COUNT,
            Shape::Number if !value.is_number() => "a number",
            _ => return true,
        };
        self.wrong(at, wanted, value);
        false
    }

    fn list(&mut self, of: &Shape, at: &Way<'_>, value: &mut Value) -> bool {
        let Value::Array(elements) = value else {
            self.wrong(at, "a list", value);
            return false;
        };
        let mut n = 0;
        elements.retain_mut(|element| {
            let at = Way::Element(at, n);
            n = n.saturating_add(1);
            if element.is_null() {
                self.wrong(&at, "a value", element);
                return false;
            }
            self.shape(of, &at, element)
        });
        true
    }

    fn map(&mut self, of: &Shape, at: &Way<'_>, value: &mut Value) -> bool {
        let Value::Object(members) = value else {
            self.wrong(at, "an object", value);
            return false;
        };
        members.retain(|name, member| self.shape(of, &Way::Member(at, name), member));
        true
    }

    fn wrong(&mut self, at: &Way<'_>, wanted: &str, found: &Value) {
        if let (Value::Number(number), COUNT | DURATION) = (found, wanted) {
            let message = format!("{wanted} is expected here, not {number}");
            return self.findings.error(self.document, &at.path(), message);
        }
        let (found, hint) = match found {
            Value::Null => ("nothing", ""),
            Value::Bool(_) => ("true or false", "; write it in quotes if a text is meant"),
            Value::Number(_) => ("a number", "; write it in quotes if a text is meant"),
            Value::String(_) => ("a text", ""),
            Value::Array(_) => ("a list", ""),
            Value::Object(_) => ("an object", ""),
        };
        let hint = if wanted == "a text" { hint } else { "" };
        self.findings.error(
            self.document,
            &at.path(),
            format!("{wanted} is expected here, not {found}{hint}"),
        );
    }
}

fn is_on(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(on) => *on,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(elements) => elements.iter().any(is_on),
        Value::Object(members) => match members.get("enabled") {
            Some(enabled) => is_on(enabled),
            // Settings alone switch nothing on; switches further inside do.
            None => members.values().any(|member| (member.is_object() || member.is_array()) && is_on(member)),
        },
    }
}

fn has_content(value: &Value) -> bool {
    match value {
        Value::Array(elements) => elements.iter().any(has_content),
        Value::Object(members) => members.values().any(has_content),
        scalar => is_on(scalar),
    }
}

/// The field whose name is nearest to `name`, if one is near.
fn nearest(name: &str, fields: &[Field]) -> Option<&'static str> {
    let lower = name.to_lowercase();
    let distance = |field: &Field| edits(&lower, &field.name.to_lowercase());
    let near = fields.iter().min_by_key(|field| distance(field))?;
    (distance(near) <= 1 + name.len() / 5).then_some(near.name)
}

/// The Levenshtein distance.
fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (n, ca) in a.chars().enumerate() {
        let mut diagonal = n;
        let mut left = n + 1;
        for (cell, cb) in row.iter_mut().skip(1).zip(b.chars()) {
            let substituted = diagonal + usize::from(ca != cb);
            diagonal = *cell;
            left = substituted.min(left + 1).min(diagonal + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = n + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    static INNER: Section = Section {
        fields: &[Field::honour("on", Shape::Bool), Field::ignore("note")],
        unknown: Unknown::Error,
    };
    static TOP: Section = Section {
        fields: &[
            Field::honour("name", Shape::Text),
            Field::honour("allowedIssuers", Shape::Texts),
            Field::honour("skew", Shape::Count),
            Field::honour("age", Shape::Duration),
            Field::honour("inner", Shape::Object(&INNER)),
            Field::honour("map", Shape::Map(&Shape::Object(&INNER))),
            Field::warn("cache", "answers are not cached"),
            Field::refuse("plugin", "plugins are not run"),
        ],
        unknown: Unknown::Warning,
    };

    fn check(name: &str, text: &str) -> (Value, Vec<String>) {
        let mut document = Document::parse(Path::new(name), text.into()).unwrap();
        let mut findings = Findings::default();
        let mut root = document.take_root();
        TOP.check(&document, &FieldPath::top(), &mut root, &mut findings);
        (root, findings.into_iter().map(|finding| finding.to_string()).collect())
    }

    #[test]
    fn good_documents_pass_whole() {
        let (root, findings) =
            check("f.yaml", "name: x\ninner: {on: true}\nmap: {a: {on: false}}\nskew: 3\n");
        assert_eq!(findings, [""; 0]);
        assert_eq!(root["map"]["a"]["on"], false);
    }

    #[test]
    fn every_problem_is_told_with_its_line() {
        let text = "name: 5\nallowedIssuers: x\nallowedIssuer: [x]\nskew: -1\ninner:\n  on: 'yes'\n  of: 1\nage: 15\n";
        let (root, findings) = check("f.yaml", text);
        assert_eq!(
            findings,
            [
                "error: f.yaml:1: name: a text is expected here, not a number; write it in quotes if a text is meant",
                "error: f.yaml:2: allowedIssuers: a list is expected here, not a text",
                "error: f.yaml:3: allowedIssuer: unknown field; did you mean allowedIssuers?",
                "error: f.yaml:4: skew: a whole number that is not negative is expected here, not -1",
                "error: f.yaml:6: inner.on: true or false is expected here, not a text",
                "error: f.yaml:7: inner.of: unknown field; did you mean on?",
                "error: f.yaml:8: age: a duration such as 15s or 5m is expected here, not 15",
            ]
        );
        assert_eq!(root, serde_json::json!({ "inner": {} }), "what is wrong is taken out");
    }

    #[test]
    fn unknown_names_near_a_known_one_are_never_passed_over() {
        static OPEN: Section =
            Section { fields: &[Field::honour("x-claimgate", Shape::Any)], unknown: Unknown::Ignore };
        let of = |section: &Section, text: &str| {
            let mut document = Document::parse(Path::new("f.yaml"), text.into()).unwrap();
            let mut findings = Findings::default();
            let mut root = document.take_root();
            section.check(&document, &FieldPath::top(), &mut root, &mut findings);
            findings.into_iter().map(|finding| finding.to_string()).collect::<Vec<_>>()
        };
        for (text, finding) in [
            ("x-Claimgate: 1", "error: f.yaml:1: x-Claimgate: unknown field; did you mean x-claimgate?"),
            ("x-claimgates: 1", "error: f.yaml:1: x-claimgates: unknown field; did you mean x-claimgate?"),
        ] {
            assert_eq!(of(&OPEN, text), [finding]);
        }
        assert_eq!(of(&OPEN, "servers: []"), [""; 0]);
        assert_eq!(of(&TOP, "Name: x"), ["error: f.yaml:1: Name: unknown field; did you mean name?"]);
        assert_eq!(
            of(&TOP, "other: x"),
            ["warning: f.yaml:1: other: unknown field, ignored; remove it, or correct its name"]
        );
    }

    #[test]
    fn switches_that_are_off_count_as_absent() {
        let (_, findings) =
            check("f.json", "{\"cache\":{\"enabled\":false},\n\"plugin\":{\"x\":1}, \"name\":null}");
        assert_eq!(findings, [""; 0]);
        let (_, findings) = check("f.json", "{\"plugin\":{\"path\":\"x\",\"bundle\":{\"enabled\":false}}}");
        assert_eq!(findings, [""; 0]);
        for plugin in [
            r#"{"path": "x", "bundle": {"enabled": true}}"#,
            r#"{"plugins": [{"enabled": true}]}"#,
            r#"{"enabled": true}"#,
            "[1]",
            "true",
        ] {
            let (_, findings) = check("f.json", &format!(r#"{{"plugin": {plugin}}}"#));
            assert_eq!(findings, ["error: f.json:1: plugin: plugins are not run"], "{plugin}");
        }
        let (_, findings) = check("f.json", "{\"cache\":{\"enabled\":true},\n\t\"plugin\":[1]}");
        assert_eq!(
            findings,
            [
                "warning: f.json:1: cache: answers are not cached",
                "error: f.json:2: plugin: plugins are not run"
            ]
        );
    }

    #[test]
    fn texts_that_are_no_documents() {
        let fails =
            |name: &str, text: &str| Document::parse(Path::new(name), text.into()).unwrap_err().to_string();
        assert_eq!(
            fails("f.json", "{\n\"a\": 1,\n\"a\": 2}"),
            "error: f.json:3: this is not valid JSON: the member \"a\" comes twice; keep one of them"
        );
        assert!(fails("f.json", "{\"a\": \n").starts_with("error: f.json:2: this is not valid JSON: EOF"));
        assert!(
            fails("f.yaml", "a: 1\na: 2\n").starts_with("error: f.yaml:2: this is not valid YAML: duplicate")
        );
        assert!(fails("f.yaml", "a: 1\n---\nb: 2\n").starts_with("error: f.yaml:3: "));
        assert!(fails("f.yaml", "a: !!python/object x\n").starts_with("error: f.yaml:1: "));
        assert!(fails("f.yaml", "a: *x\n").starts_with("error: f.yaml:1: "));
        assert!(fails("f.yaml", &format!("a: {}", "[".repeat(100_000))).starts_with("error: f.yaml:1: "));
    }

    #[test]
    fn alias_bombs_do_not_go_off() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for n in 1..10 {
            let aliases = vec![format!("*a{}", n - 1); 9].join(", ");
            bomb.push_str(&format!("a{n}: &a{n} [{aliases}]\n"));
        }
        assert!(Document::parse(Path::new("f.yaml"), bomb).is_err());
        let big = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), vec!["*a"; 50_000].join(","));
        assert!(Document::parse(Path::new("f.yaml"), big).is_err());
    }

    #[test]
    fn yaml_does_not_guess() {
        let document =
            Document::parse(Path::new("f.yaml"), "a: no\nb: 010\nc: 1_000\ny: 'true'\n".into()).unwrap();
        assert_eq!(*document.root(), serde_json::json!({ "a": "no", "b": "010", "c": "1_000", "y": "true" }));
    }
}
