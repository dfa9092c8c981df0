//! Where keys come from.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aws_lc_rs::digest;
use zeroize::Zeroizing;

use crate::{
    jwt::{AlgorithmSet, KeySet, import_key},
    lenient_base64,
    secrets::{Expand as _, Lookup, Secret, is_like_reference},
};

/// Keys that several definitions write alike are imported once. They are found by a digest of what
/// was written, which may be a secret.
#[derive(Debug, Default)]
pub(super) struct KeyCache(Mutex<Known>);

type Known = HashMap<(Vec<u8>, AlgorithmSet), Arc<KeySet>>;

impl KeyCache {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a `source` turned out to be.
pub(super) enum Described {
    /// Keys.
    Keys(Arc<KeySet>),
    /// Where a key set is to be fetched.
    Url(String),
}

/// Reads `source`: a key set URL; base64 of one, of a public key (PEM or DER), certificate, JWK, JWK
/// set or shared secret; such a key itself, if it is text; or a reference to any of these. Base64 of
/// a reference names the key material itself.
///
/// # Errors
/// A sentence that says why it is none of these, without repeating it.
pub(super) fn parse(
    source: &str,
    allowed: AlgorithmSet,
    lookup: &Lookup<'_>,
    keys: &KeyCache,
) -> Result<Described, String> {
    let text = Text::of(source, lookup)?;
    if is_url(&text.text) {
        return Ok(Described::Url(text.text.trim().to_owned()));
    }
    let name = (digest::digest(&digest::SHA256, text.text.as_bytes()).as_ref().to_vec(), allowed);
    if let Some(known) = keys.known().get(&name) {
        return Ok(Described::Keys(Arc::clone(known)));
    }
    let material = text.material()?.ok_or(
        "this is neither a URL, nor base64, nor a reference; write the base64 of a key, or the URL of a key set",
    )?;
    if let Ok(url) = std::str::from_utf8(&material)
        && is_url(url)
    {
        return Ok(Described::Url(url.trim().to_owned()));
    }
    let set = import_key(&material, allowed).map_err(|reason| format!("the key cannot be used: {reason}"))?;
    Ok(Described::Keys(Arc::clone(keys.known().entry(name).or_insert_with(|| Arc::new(set)))))
}

/// Reads the `source` of a key that is not fetched: base64 of it, the key itself, if it is text, or a
/// reference to either.
///
/// # Errors
/// A sentence that says why it is none of these, without repeating it.
pub(super) fn key_material(source: &str, lookup: &Lookup<'_>) -> Result<Zeroizing<Vec<u8>>, String> {
    let text = Text::of(source, lookup)?;
    if is_url(&text.text) {
        return Err("private keys are not fetched; write a reference such as file://PATH".into());
    }
    text.material()?
        .ok_or_else(|| "this is neither PEM, nor a JWK, nor base64 of one, nor a reference".into())
}

/// What a source says.
struct Text<'l> {
    text: Secret,
    /// Who knows what it refers to as base64; nobody where it came from a reference itself, for a value
    /// holds no other one.
    lookup: Option<&'l Lookup<'l>>,
}

impl<'l> Text<'l> {
    /// What is written, or what it refers to.
    fn of(source: &str, lookup: &'l Lookup<'l>) -> Result<Self, String> {
        Ok(match lookup.expand(source).map_err(|e| e.to_string())? {
            Some(value) => Self { text: value.trim().into(), lookup: None },
            None => Self { text: source.trim().into(), lookup: Some(lookup) },
        })
    }

    /// The key material that it holds, if it does.
    fn material(&self) -> Result<Option<Zeroizing<Vec<u8>>>, String> {
        let text = &*self.text;
        if text.starts_with("-----BEGIN") || text.starts_with('{') {
            return Ok(Some(Zeroizing::new(text.as_bytes().to_vec())));
        }
        let Some(decoded) = lenient_base64::decode(text) else { return Ok(None) };
        let written = std::str::from_utf8(&decoded).unwrap_or_default();
        if let Some(lookup) = self.lookup
            && let Some(value) = lookup.expand(written).map_err(|e| e.to_string())?
        {
            return Ok(Some(Zeroizing::new(value.as_bytes().to_vec())));
        }
        if is_like_reference(&decoded) && !is_url(written) {
            return Err("this is the text of a reference, which everybody can read, and no key; write a reference to a store that is configured".into());
        }
        Ok(Some(decoded))
    }
}

fn is_url(text: &str) -> bool {
    let text = text.trim_start();
    ["http://", "https://"]
        .iter()
        .any(|scheme| text.get(..scheme.len()).is_some_and(|t| t.eq_ignore_ascii_case(scheme)))
}
