//! Which encrypted tokens are taken, and the path of one.

use std::borrow::Cow;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use super::{ContentEncryption, DecryptionKey, KeyManagement, content, token::EncryptedToken};
use crate::jwt::{Error, KeyError, Kid, Token};

/// The keys that decrypt tokens, and what they may be asked to do.
#[derive(Debug)]
pub struct Decryption {
    keys: Vec<DecryptionKey>,
    algorithms: Vec<KeyManagement>,
    encryptions: Vec<ContentEncryption>,
    required: bool,
}

impl Decryption {
    /// Takes tokens that were encrypted for one of these keys, in every way that the keys can do, and
    /// no others.
    ///
    /// # Errors
    /// [`KeyError`] when there is no key, or when nothing says which of several a token means.
    pub fn new(keys: Vec<DecryptionKey>) -> Result<Self, KeyError> {
        if keys.is_empty() {
            return Err(KeyError::new("there is no key to decrypt with; add one"));
        }
        for (n, key) in keys.iter().enumerate() {
            if key.kid().is_none() && keys.len() > 1 {
                return Err(KeyError::new(
                    "of several keys each needs a kid, which says which of them a token means; name them",
                ));
            }
            if keys.iter().take(n).any(|earlier| earlier.kid() == key.kid()) {
                let kid = key.kid().unwrap_or_default();
                return Err(KeyError::new(format!("two keys have the kid {kid}; rename one")));
            }
        }
        Ok(Self {
            keys,
            algorithms: KeyManagement::ALL.to_vec(),
            encryptions: ContentEncryption::ALL.to_vec(),
            required: true,
        })
    }

    /// The same, for these `alg` alone.
    ///
    /// # Errors
    /// [`KeyError`] for a key that could then be used for nothing.
    pub fn algorithms(self, algorithms: impl IntoIterator<Item = KeyManagement>) -> Result<Self, KeyError> {
        let algorithms: Vec<_> = algorithms.into_iter().collect();
        for key in &self.keys {
            if !key.algorithms().iter().any(|own| algorithms.contains(own)) {
                let name = key.kid().map_or_else(|| "the key".into(), |kid| format!("the key {kid}"));
                let can: Vec<&str> = key.algorithms().iter().map(|own| own.name()).collect();
                let reason = format!("{name} is one for {}, none of which is allowed here", can.join(", "));
                return Err(KeyError::new(reason));
            }
        }
        Ok(Self { algorithms, ..self })
    }

    /// The same, for these `enc` alone.
    #[must_use]
    pub fn content_encryptions(self, encryptions: impl IntoIterator<Item = ContentEncryption>) -> Self {
        Self { encryptions: encryptions.into_iter().collect(), ..self }
    }

    /// The same, and tokens that are only signed are taken as well, if `required` is false.
    #[must_use]
    pub fn required(self, required: bool) -> Self {
        Self { required, ..self }
    }

    /// The keys.
    #[must_use]
    pub fn keys(&self) -> &[DecryptionKey] {
        &self.keys
    }

    /// The signed token in `text`: what was encrypted, or `text` itself where a token need not be.
    /// Its signature was **not** checked.
    ///
    /// # Errors
    /// [`Error::TooLarge`] before anything else; [`Error::NotEncrypted`]; what is wrong with the
    /// header; [`Error::Decryption`]; [`Error::NotNested`] and [`Error::HeaderClaim`] for what was
    /// inside.
    pub fn open<'t>(&self, text: &'t str, max_bytes: usize) -> Result<Cow<'t, str>, Error> {
        if text.len() > max_bytes {
            return Err(Error::TooLarge);
        }
        if is_signed(text) {
            return if self.required { Err(Error::NotEncrypted) } else { Ok(text.into()) };
        }
        let token = EncryptedToken::parse(text)?;
        if !token.is_nested() {
            return Err(Error::NotNested);
        }
        let signed = String::from_utf8(self.content(&token)?).map_err(|_| Error::NotNested)?;
        if !is_signed(&signed) {
            return Err(Error::NotNested);
        }
        check_replicated(&token, &signed, max_bytes)?;
        Ok(signed.into())
    }

    /// What was encrypted, whatever it is.
    pub(in crate::jwt) fn content(&self, token: &EncryptedToken<'_>) -> Result<Vec<u8>, Error> {
        if self.allows(token) { self.decrypt(token) } else { Err(Error::AlgorithmNotAllowed) }
    }

    fn allows(&self, token: &EncryptedToken<'_>) -> bool {
        self.algorithms.contains(&token.algorithm)
            && self.encryptions.contains(&token.encryption)
            && self.keys.iter().any(|key| key.algorithms().contains(&token.algorithm))
    }

    /// What was encrypted. Whatever is wrong with the key, the work goes on with a random one up to
    /// the tag: then nobody can tell what it was (RFC 7516 section 11.5).
    fn decrypt(&self, token: &EncryptedToken<'_>) -> Result<Vec<u8>, Error> {
        if token.sealed.iv.len() != token.encryption.iv_len() {
            return Err(Error::Decryption);
        }
        let (key, is_meant) = self.find(token).ok_or(Error::Decryption)?;
        let mut random = Zeroizing::new(vec![0; token.encryption.key_len()]);
        SystemRandom::new().fill(&mut random).map_err(|_| Error::Decryption)?;
        let unwrapped = key.content_key(token).filter(|key| is_meant && key.len() == random.len());
        let content_key = unwrapped.unwrap_or(random);
        content::open(token.encryption, &content_key, token.aad.as_bytes(), &token.sealed)
            .ok_or(Error::Decryption)
    }

    /// The key that a token means, and whether it really does: for an unknown `kid` another key does
    /// the same work for nothing. A token without `kid` means the only key that fits. Nothing, if no
    /// key fits what the header says in the clear.
    fn find(&self, token: &EncryptedToken<'_>) -> Option<(&DecryptionKey, bool)> {
        let mut fitting = self.keys.iter().filter(|key| key.fits(token));
        let (first, is_only) = (fitting.next()?, fitting.next().is_none());
        if first.kid().is_none() {
            // It is the only key, so every name means it.
            return Some((first, true));
        }
        match token.kid() {
            Kid::Text(kid) => {
                let named = self.keys.iter().find(|key| key.kid() == Some(kid) && key.fits(token));
                Some(named.map_or((first, false), |key| (key, true)))
            }
            Kid::Absent => Some((first, is_only)),
            Kid::NotText => Some((first, false)),
        }
    }
}

/// Whether a text has as many segments as a compact JWS; whether it is one is found out when it is read.
fn is_signed(text: &str) -> bool {
    text.bytes().filter(|octet| *octet == b'.').count() == 2
}

/// Claims may be repeated in the header, where they can be read; then they must be the same ones (RFC
/// 7519 section 5.3).
fn check_replicated(token: &EncryptedToken<'_>, signed: &str, max_bytes: usize) -> Result<(), Error> {
    let repeated = ["iss", "sub", "aud"].into_iter().filter_map(|name| Some((name, token.header.get(name)?)));
    let mut claims = None;
    for (name, value) in repeated {
        if claims.is_none() {
            let inner = Token::parse(signed, max_bytes).map_err(|_| Error::NotNested)?;
            claims = Some(inner.unverified_claims()?);
        }
        if claims.as_ref().and_then(|claims| claims.get(name)) != Some(value) {
            return Err(Error::HeaderClaim);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::jwt::jwe::{
        AesSize,
        encrypt::{self, EncryptionKey},
        import_decryption_keys,
    };

    const GCM: ContentEncryption = ContentEncryption::Gcm(AesSize::A256);
    const SIGNED: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJpZHAiLCJhdWQiOlsiYSIsImIiXX0.c2ln";
    const MAX: usize = 16 * 1024;

    fn both(algorithm: KeyManagement, kid: Option<&str>) -> (DecryptionKey, EncryptionKey) {
        let text = encrypt::generate(algorithm).unwrap();
        (
            decryption_key(&text, kid, algorithm),
            EncryptionKey::from_text(&text, kid, Some(algorithm)).unwrap(),
        )
    }

    fn decryption_key(text: &str, kid: Option<&str>, algorithm: KeyManagement) -> DecryptionKey {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let material = STANDARD.decode(text.trim()).unwrap_or_else(|_| text.into());
        import_decryption_keys(&material, kid, Some(algorithm)).unwrap().remove(0)
    }

    fn with_segment(token: &str, n: usize, change: impl Fn(&str) -> String) -> String {
        let mut segments: Vec<String> = token.split('.').map(String::from).collect();
        segments[n] = change(&segments[n]);
        segments.join(".")
    }

    /// Another text of the same length; the first character has no bits to spare.
    fn flipped(segment: &str) -> String {
        let other = if segment.starts_with('A') { "B" } else { "A" };
        format!("{other}{}", segment.get(1..).unwrap_or_default())
    }

    #[test]
    fn every_algorithm_with_every_content_encryption() {
        for algorithm in KeyManagement::ALL {
            let (own, theirs) = both(algorithm, None);
            let decryption = Decryption::new(vec![own]).unwrap();
            let mut done = 0;
            for encryption in ContentEncryption::ALL {
                // The key that `generate` gives for direct use has 32 octets.
                if algorithm == KeyManagement::Dir && encryption.key_len() != 32 {
                    continue;
                }
                let token = theirs.encrypt(encryption, &json!({}), SIGNED).unwrap();
                assert_eq!(decryption.open(&token, MAX).as_deref(), Ok(SIGNED), "{algorithm} {encryption}");
                for n in 1..5 {
                    let changed = with_segment(&token, n, flipped);
                    let is_empty = token.split('.').nth(n) == Some("");
                    let text = if is_empty { with_segment(&token, n, |_| "AAAA".into()) } else { changed };
                    assert_eq!(
                        decryption.open(&text, MAX),
                        Err(Error::Decryption),
                        "{algorithm} {encryption}, segment {n}"
                    );
                }
                for cut in ["", "AAAA", "AAAAAAAAAAAAAAAA"] {
                    let short = with_segment(&token, 4, |_| cut.into());
                    assert_eq!(decryption.open(&short, MAX), Err(Error::Decryption), "a tag of {cut}");
                }
                done += 1;
            }
            assert!(done >= 2);
        }
    }

    #[test]
    fn one_answer_for_everything_that_fails() {
        let (one, to_one) = both(KeyManagement::EcdhEsKw(AesSize::A256), Some("one"));
        let (two, to_two) = both(KeyManagement::EcdhEsKw(AesSize::A256), Some("two"));
        let (rsa, to_rsa) = both(KeyManagement::RsaOaep256, Some("rsa"));
        let (_, to_stranger) = both(KeyManagement::EcdhEsKw(AesSize::A256), Some("one"));
        let decryption = Decryption::new(vec![one, two, rsa]).unwrap();
        let open = |key: &EncryptionKey, header| {
            let token = key.encrypt(GCM, &header, SIGNED).unwrap();
            decryption.open(&token, MAX).map(|signed| assert_eq!(signed, SIGNED))
        };
        assert_eq!(open(&to_one, json!({})), Ok(()));
        assert_eq!(open(&to_two, json!({})), Ok(()));
        assert_eq!(open(&to_rsa, json!({})), Ok(()));
        for (key, header, what) in [
            (&to_stranger, json!({}), "another key of the name"),
            (&to_one, json!({ "kid": "two" }), "the name of another key"),
            (&to_one, json!({ "kid": "three" }), "the name of no key, so that the first does the work"),
            (&to_rsa, json!({ "kid": "one" }), "the name of a key of another kind"),
            (&to_rsa, json!({ "kid": 7 }), "a name that is no text"),
            (
                &to_one,
                json!({ "epk": { "kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA" } }),
                "no point",
            ),
            (&to_one, json!({ "epk": null }), "no point at all"),
            (&to_one, json!({ "apu": "?" }), "a party that is no base64url"),
        ] {
            assert_eq!(open(key, header), Err(Error::Decryption), "{what}");
        }
    }

    #[test]
    fn a_token_without_a_name_means_the_only_key_that_fits() {
        let (ec, _) = both(KeyManagement::EcdhEs, Some("own"));
        let (rsa, to_rsa) = both(KeyManagement::RsaOaep256, Some("rsa"));
        let (other, _) = both(KeyManagement::EcdhEs, Some("other"));
        let mut nameless = ec.public_jwk().unwrap();
        nameless.as_object_mut().unwrap().remove("kid");
        let to_ec = EncryptionKey::from_text(&nameless.to_string(), None, None).unwrap();
        let token = to_ec.encrypt(GCM, &json!({}), SIGNED).unwrap();
        let alone = Decryption::new(vec![ec, rsa]).unwrap();
        assert_eq!(alone.open(&token, MAX).as_deref(), Ok(SIGNED));
        assert_eq!(alone.open(&to_rsa.encrypt(GCM, &json!({}), SIGNED).unwrap(), MAX).as_deref(), Ok(SIGNED));
        let Decryption { keys, .. } = alone;
        let ambiguous = Decryption::new(keys.into_iter().chain([other]).collect()).unwrap();
        assert_eq!(ambiguous.open(&token, MAX), Err(Error::Decryption));
    }

    #[test]
    fn what_may_be_used() {
        let wrap = KeyManagement::EcdhEsKw(AesSize::A256);
        let (own, theirs) = both(wrap, None);
        let token = theirs.encrypt(GCM, &json!({}), SIGNED).unwrap();
        let decryption = Decryption::new(vec![own]).unwrap();
        assert_eq!(decryption.open(SIGNED, MAX), Err(Error::NotEncrypted));
        assert_eq!(decryption.open(&token, token.len() - 1), Err(Error::TooLarge));
        let direct = EncryptionKey::from_text(
            &decryption.keys()[0].public_jwk().unwrap().to_string(),
            None,
            Some(KeyManagement::EcdhEs),
        );
        let direct = direct.unwrap().encrypt(GCM, &json!({}), SIGNED).unwrap();
        assert_eq!(decryption.open(&direct, MAX), Err(Error::AlgorithmNotAllowed), "the key is for {wrap}");
        let optional = decryption.required(false);
        assert_eq!(optional.open(SIGNED, MAX).as_deref(), Ok(SIGNED));
        assert_eq!(optional.open("a.b", MAX), Err(Error::Malformed));
        let narrow = optional.content_encryptions([ContentEncryption::Gcm(AesSize::A128)]);
        assert_eq!(narrow.open(&token, MAX), Err(Error::AlgorithmNotAllowed));
        assert!(narrow.algorithms([KeyManagement::RsaOaep]).is_err(), "the key could do nothing then");
    }

    #[test]
    fn what_is_inside() {
        let (own, theirs) = both(KeyManagement::Dir, None);
        let decryption = Decryption::new(vec![own]).unwrap();
        let open = |header, inside: &str| {
            let token = theirs.encrypt(GCM, &header, inside).unwrap();
            decryption.open(&token, MAX).map(Cow::into_owned)
        };
        let nested = theirs.encrypt(GCM, &json!({}), SIGNED).unwrap();
        for inside in ["", r#"{"sub":"admin"}"#, "eyJhbGciOiJub25lIn0.e30", nested.as_str()] {
            assert_eq!(open(json!({}), inside), Err(Error::NotNested), "{inside}");
        }
        let header = |iss: &str, aud: [&str; 2]| json!({ "iss": iss, "aud": aud });
        assert_eq!(open(header("idp", ["a", "b"]), SIGNED).as_deref(), Ok(SIGNED));
        assert_eq!(open(header("other", ["a", "b"]), SIGNED), Err(Error::HeaderClaim));
        assert_eq!(open(header("idp", ["b", "a"]), SIGNED), Err(Error::HeaderClaim));
        assert_eq!(open(json!({ "sub": "alice" }), SIGNED), Err(Error::HeaderClaim));
    }

    #[test]
    fn names_of_keys() {
        let key = |kid| both(KeyManagement::EcdhEs, kid).0;
        assert!(Decryption::new(Vec::new()).is_err());
        assert!(Decryption::new(vec![key(None)]).is_ok());
        assert!(Decryption::new(vec![key(None), key(Some("a"))]).is_err());
        assert!(Decryption::new(vec![key(Some("a")), key(Some("a"))]).is_err());
        assert!(Decryption::new(vec![key(Some("a")), key(Some("b"))]).is_ok());
    }
}
