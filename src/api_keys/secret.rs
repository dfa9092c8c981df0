//! What verifies the tokens that name a key.

use zeroize::Zeroizing;

use crate::{
    jwt::{AlgorithmSet, KeySet, import_key},
    secrets::is_like_reference,
};

/// A secret for tokens; the empty one is none.
pub(super) type Secret = Zeroizing<String>;

/// The keys that a secret is, for these algorithms.
///
/// # Errors
/// A sentence that says why it is none, without repeating it.
pub(super) fn keys(secret: &Secret, allowed: AlgorithmSet) -> Result<KeySet, String> {
    if is_like_reference(secret.as_bytes()) {
        return Err("this is the text of a reference or URL, which everybody may know, and no secret; nothing is looked up for a stored key: put the secret itself there".into());
    }
    import_key(secret.as_bytes(), allowed).map_err(|reason| reason.to_string())
}
