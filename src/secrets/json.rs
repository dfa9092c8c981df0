//! Parts of values that are JSON.

use serde_json::Value;
use zeroize::Zeroize as _;

use super::{Secret, reference::Field};

/// A JSON value whose texts are wiped when it is dropped.
pub(super) struct Wiped(pub(super) Value);

impl Wiped {
    pub(super) fn parse(octets: &[u8]) -> Option<Self> {
        serde_json::from_slice(octets).ok().map(Self)
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

/// Deep values are bounded by the parser.
fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(elements) => elements.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The object at a place of a document, as text.
pub(super) fn object_at(octets: &[u8], pointer: &str) -> Option<Secret> {
    let document = Wiped::parse(octets)?;
    document.0.pointer(pointer).filter(|value| value.is_object()).map(|object| object.to_string().into())
}

/// A part of a value: a text as it is, anything else as JSON.
pub(super) fn part(value: &Secret, field: &Field) -> Option<Secret> {
    if *field == Field::Whole {
        return Some(value.clone());
    }
    let document = Wiped::parse(value.as_bytes())?;
    let part = match field {
        Field::Whole => Some(&document.0),
        Field::Pointer(pointer) => document.0.pointer(&format!("/{pointer}")),
        Field::Dotted(name) => document
            .0
            .get(name)
            .or_else(|| name.split('.').try_fold(&document.0, |value, member| value.get(member))),
    };
    Some(match part? {
        Value::Null => return None,
        Value::String(text) => text.as_str().into(),
        other => other.to_string().into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        let value = Secret::from(r#"{"a":{"b":["x",7]},"a.c":"dot","d/e":true,"n":null,"p":"PEM"}"#);
        for (field, expected) in [
            (Field::Pointer("a/b/0".into()), Some("x")),
            (Field::Pointer("a/b/1".into()), Some("7")),
            (Field::Pointer("a/b/2".into()), None),
            (Field::Pointer("d~1e".into()), Some("true")),
            (Field::Pointer("a/b".into()), Some(r#"["x",7]"#)),
            (Field::Pointer("n".into()), None),
            (Field::Dotted("p".into()), Some("PEM")),
            (Field::Dotted("a.c".into()), Some("dot")),
            (Field::Dotted("a.x".into()), None),
            (Field::Dotted("none".into()), None),
        ] {
            assert_eq!(part(&value, &field).as_deref(), expected, "{field:?}");
        }
        let text = Secret::from("not JSON");
        assert_eq!(part(&text, &Field::Whole).as_deref(), Some("not JSON"));
        assert_eq!(part(&text, &Field::Pointer("a".into())), None);
    }
}
