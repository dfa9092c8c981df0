//! A key as it is kept: hashes by which it is found, and what it is.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{StoredKey, body, digest::Digest};
use crate::document::{Document, FieldPath, Findings};

/// A key as it is kept. The secret that tokens are verified with is in the clear.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    pub(super) id: String,
    text: String,
    key_hash: String,
    epoch: u64,
    session: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

impl Entry {
    pub(super) fn of(key: &StoredKey) -> Self {
        let [id, text] = key.digests.map(|digest| STANDARD.encode(digest.0));
        Self {
            id,
            text,
            key_hash: key.tyk_hash().to_owned(),
            epoch: key.epoch,
            session: key.fields().clone(),
            secret: key.secret.as_ref().map(|secret| secret.to_string()),
        }
    }

    /// The key at this place of a document; nothing if `findings` says why.
    ///
    /// # Errors
    /// When it is not under the hash of a key.
    pub(super) fn into_key(
        self,
        document: &Document,
        at: &FieldPath,
        findings: &mut Findings,
    ) -> Result<Option<StoredKey>, String> {
        let digests = octets(&self.id).zip(octets(&self.text));
        let (id, text) = digests.ok_or_else(|| format!("{at} is not the hash of a key; restore the file"))?;
        let body = body::parse(document, &at.member("session"), Value::Object(self.session), findings);
        Ok(body.map(|mut body| {
            body.secret = self.secret.map(Into::into);
            StoredKey::new([Digest(id), Digest(text)], &self.key_hash, self.epoch, body)
        }))
    }
}

/// Base64 of so many octets.
pub(super) fn octets<const N: usize>(text: &str) -> Option<[u8; N]> {
    STANDARD.decode(text).ok()?.try_into().ok()
}
