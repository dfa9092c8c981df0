//! What keys are called.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

/// The shortest key: what is shorter is nobody's secret. Tyk never looks shorter ones up.
pub(super) const MIN_LENGTH: usize = 3;
/// The longest one.
const MAX_LENGTH: usize = 1024;

/// The organisation and id of a key, from which the text that callers present is made.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyName {
    pub(super) org_id: Box<str>,
    pub(super) id: Box<str>,
}

/// Without the id, which opens what the key opens.
impl fmt::Debug for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyName").field("org_id", &self.org_id).finish_non_exhaustive()
    }
}

impl KeyName {
    /// The key of an organisation with this id; nothing if it cannot be one: it is shorter than 3 or
    /// longer than 1024 octets, or not printable ASCII without spaces.
    #[must_use]
    pub fn new(org_id: &str, id: &str) -> Option<Self> {
        let fits = (MIN_LENGTH..=MAX_LENGTH).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic());
        fits.then(|| Self { org_id: org_id.into(), id: id.into() })
    }

    /// The key that Tyk's text names: base64 of an object with `org`, `id` and `h`. Nothing for
    /// another text, which is an id alone.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let object: Value = serde_json::from_slice(&STANDARD.decode(text).ok()?).ok()?;
        let member = |name: &str| object.get(name).and_then(Value::as_str);
        let name = Self::new(member("org")?, member("id")?)?;
        (name.to_text() == text).then_some(name)
    }

    /// Tyk's text: what the control API answers, and callers may present.
    #[must_use]
    pub fn to_text(&self) -> String {
        // In this order, and without spaces, as Tyk writes it with `hash_key_function: murmur64`.
        STANDARD.encode(json!({ "org": self.org_id, "id": self.id, "h": "murmur64" }).to_string())
    }

    /// Tyk's hash of the key: what its control API calls `key_hash` and lists. It finds a key for
    /// administrators, and opens nothing.
    #[must_use]
    pub fn tyk_hash(&self) -> String {
        let (hash, _) = mur3::murmurhash3_x64_128(self.to_text().as_bytes(), 0);
        format!("{hash:016x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_hashes_are_tyks() {
        // As Tyk v5.13.1 answers.
        for (org_id, id, text, hash) in [
            (
                "org-keys-stored",
                "partner-a",
                "eyJvcmciOiJvcmcta2V5cy1zdG9yZWQiLCJpZCI6InBhcnRuZXItYSIsImgiOiJtdXJtdXI2NCJ9",
                "e0d623bb459d2d32",
            ),
            (
                "org-multi-and",
                "partner-key-multi-and",
                "eyJvcmciOiJvcmctbXVsdGktYW5kIiwiaWQiOiJwYXJ0bmVyLWtleS1tdWx0aS1hbmQiLCJoIjoibXVybXVyNjQifQ==",
                "0cb28c611e117c9f",
            ),
        ] {
            let name = KeyName::new(org_id, id).unwrap();
            assert_eq!((name.to_text().as_str(), name.tyk_hash().as_str()), (text, hash));
            assert_eq!(KeyName::from_text(text), Some(name));
        }
    }

    #[test]
    fn what_names_no_key() {
        for id in ["", "ab", "a b c", "a\nbc", "käse", &"x".repeat(1025)] {
            assert_eq!(KeyName::new("o", id), None, "{id:?}");
        }
        let encoded = |text: &str| STANDARD.encode(text);
        for text in [
            "partner-a".to_owned(),
            encoded("[]"),
            encoded(r#"{"org":"o","id":"abc"}"#),
            encoded(r#"{"id":"abc","org":"o","h":"murmur64"}"#),
            encoded(r#"{"org":"o","id":5,"h":"murmur64"}"#),
            format!(" {}", KeyName::new("o", "abc").unwrap().to_text()),
        ] {
            assert_eq!(KeyName::from_text(&text), None, "{text}");
        }
    }
}
