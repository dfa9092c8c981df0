//! Where keys come from.

use std::{collections::HashMap, sync::Arc};

use aws_lc_rs::digest;
use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use zeroize::Zeroizing;

use crate::{
    jwt::{AlgorithmSet, KeySet, import_key},
    secrets::{Secret, Secrets},
};

/// Base64 with or without padding, as people paste it.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// Keys that several definitions write alike are imported once. They are found by a digest of what
/// was written, which may be a secret.
#[derive(Debug, Default)]
pub(super) struct KeyCache(HashMap<(Vec<u8>, AlgorithmSet), Arc<KeySet>>);

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
    secrets: &Secrets,
    keys: &mut KeyCache,
) -> Result<Described, String> {
    let text = text(source, secrets)?;
    if is_url(&text) {
        return Ok(Described::Url(text.trim().to_owned()));
    }
    let name = (digest::digest(&digest::SHA256, text.as_bytes()).as_ref().to_vec(), allowed);
    if let Some(known) = keys.0.get(&name) {
        return Ok(Described::Keys(Arc::clone(known)));
    }
    let material = material(&text, secrets)?.ok_or(
        "this is neither a URL, nor base64, nor a reference; write the base64 of a key, or the URL of a key set",
    )?;
    if let Ok(url) = std::str::from_utf8(&material)
        && is_url(url)
    {
        return Ok(Described::Url(url.trim().to_owned()));
    }
    let set = import_key(&material, allowed).map_err(|reason| format!("the key cannot be used: {reason}"))?;
    let set = Arc::new(set);
    keys.0.insert(name, Arc::clone(&set));
    Ok(Described::Keys(set))
}

/// Reads the `source` of a key that is not fetched: base64 of it, the key itself, if it is text, or a
/// reference to either.
///
/// # Errors
/// A sentence that says why it is none of these, without repeating it.
pub(super) fn key_material(source: &str, secrets: &Secrets) -> Result<Zeroizing<Vec<u8>>, String> {
    let text = text(source, secrets)?;
    if is_url(&text) {
        return Err("private keys are not fetched; write a reference such as file://PATH".into());
    }
    let material = material(&text, secrets)?;
    material.ok_or_else(|| "this is neither PEM, nor a JWK, nor base64 of one, nor a reference".into())
}

/// What is written, or what it refers to.
fn text(source: &str, secrets: &Secrets) -> Result<Secret, String> {
    if Secrets::is_reference(source) {
        secrets.resolve(source).map_err(|e| e.to_string())
    } else {
        Ok(Zeroizing::new(source.trim().to_owned()))
    }
}

/// The key material that a text holds, if it does.
fn material(text: &str, secrets: &Secrets) -> Result<Option<Zeroizing<Vec<u8>>>, String> {
    if text.starts_with("-----BEGIN") || text.starts_with('{') {
        return Ok(Some(Zeroizing::new(text.as_bytes().to_vec())));
    }
    let compact: Zeroizing<String> = Zeroizing::new(text.split_ascii_whitespace().collect());
    let decoded = STANDARD.decode(&*compact).or_else(|_| URL_SAFE.decode(&*compact)).map(Zeroizing::new);
    let Ok(decoded) = decoded else { return Ok(None) };
    match std::str::from_utf8(&decoded) {
        Ok(reference) if Secrets::is_reference(reference.trim()) => {
            let value = secrets.resolve(reference.trim()).map_err(|e| e.to_string())?;
            Ok(Some(Zeroizing::new(value.as_bytes().to_vec())))
        }
        _ => Ok(Some(decoded)),
    }
}

fn is_url(text: &str) -> bool {
    let text = text.trim_start();
    ["http://", "https://"]
        .iter()
        .any(|scheme| text.get(..scheme.len()).is_some_and(|t| t.eq_ignore_ascii_case(scheme)))
}
