//! A compact JWE, taken apart (RFC 7516 section 7.1).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{ContentEncryption, KeyManagement, content::Sealed};
use crate::jwt::{
    Error, Kid,
    json::{self, Object, Value},
};

/// An encrypted token whose header was read; nothing was decrypted yet.
pub(in crate::jwt) struct EncryptedToken<'a> {
    pub(super) header: Object,
    pub(super) algorithm: KeyManagement,
    pub(super) encryption: ContentEncryption,
    /// The first segment, which the tag covers as it is written.
    pub(super) aad: &'a str,
    pub(super) encrypted_key: Vec<u8>,
    pub(super) sealed: Sealed,
}

impl<'a> EncryptedToken<'a> {
    /// Takes a token apart that has five segments of unpadded base64url, the first of them a JSON
    /// object with unique members.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::Critical`], [`Error::Compressed`] or [`Error::AlgorithmUnknown`].
    pub(in crate::jwt) fn parse(text: &'a str) -> Result<Self, Error> {
        let mut segments = text.split('.');
        let mut segment = || segments.next().ok_or(Error::Malformed);
        let (aad, rest) = (segment()?, [segment()?, segment()?, segment()?, segment()?]);
        if segments.next().is_some() {
            return Err(Error::Malformed);
        }
        let Value::Object(header) = json::parse(&decode(aad)?).map_err(|_| Error::Malformed)?.value else {
            return Err(Error::Malformed);
        };
        if header.get("crit").is_some() {
            return Err(Error::Critical);
        }
        if header.get("zip").is_some() {
            return Err(Error::Compressed);
        }
        let name = |name| header.get(name).and_then(Value::as_str).ok_or(Error::AlgorithmUnknown);
        let algorithm = KeyManagement::from_name(name("alg")?).ok_or(Error::AlgorithmUnknown)?;
        let encryption = ContentEncryption::from_name(name("enc")?).ok_or(Error::AlgorithmUnknown)?;
        let [encrypted_key, iv, ciphertext, tag] = rest.map(decode);
        let sealed = Sealed { iv: iv?, ciphertext: ciphertext?, tag: tag? };
        Ok(Self { header, algorithm, encryption, aad, encrypted_key: encrypted_key?, sealed })
    }

    /// Whether the header says that a JWT was encrypted. It must (RFC 7519 section 5.2): without `cty`
    /// the plaintext would be claims that nobody signed. Providers also name the kind of JWT, such as
    /// `at+jwt` (RFC 9068; the suffix is that of RFC 8417 section 7.2). Media types are compared without
    /// letter case, and without `application/` (RFC 7515 section 4.1.10).
    pub(super) fn is_nested(&self) -> bool {
        let cty = self.header.get("cty").and_then(Value::as_str).unwrap_or_default();
        let (prefix, name) = cty.split_once('/').unwrap_or(("application", cty));
        let kind = name.rsplit_once('+').map_or(name, |(_, suffix)| suffix);
        prefix.eq_ignore_ascii_case("application") && kind.eq_ignore_ascii_case("JWT")
    }

    /// The key that the header names.
    pub(super) fn kid(&self) -> Kid<'_> {
        Kid::of_header(&self.header)
    }
}

fn decode(segment: &str) -> Result<Vec<u8>, Error> {
    URL_SAFE_NO_PAD.decode(segment).map_err(|_| Error::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(header: &str, rest: &str) -> Result<(), Error> {
        let text = format!("{}{rest}", URL_SAFE_NO_PAD.encode(header));
        let token = EncryptedToken::parse(&text)?;
        if token.is_nested() { Ok(()) } else { Err(Error::NotNested) }
    }

    #[test]
    fn headers() {
        let with =
            |members: &str| parse(&format!(r#"{{"alg":"dir","enc":"A128GCM"{members}}}"#), "..AA.AA.AA");
        for cty in ["JWT", "jwt", "application/jwt", "Application/JWT", "at+jwt", "application/AT+JWT"] {
            assert_eq!(with(&format!(r#","cty":"{cty}""#)), Ok(()), "{cty}");
        }
        for (members, error) in [
            ("", Error::NotNested),
            (r#","cty":"text/jwt""#, Error::NotNested),
            (r#","cty":"json""#, Error::NotNested),
            (r#","cty":"jwt+json""#, Error::NotNested),
            (r#","cty":"text/at+jwt""#, Error::NotNested),
            (r#","cty":["JWT"]"#, Error::NotNested),
            (r#","cty":"JWT","zip":"DEF""#, Error::Compressed),
            (r#","cty":"JWT","zip":null"#, Error::Compressed),
            (r#","cty":"JWT","crit":[]"#, Error::Critical),
            (r#","cty":"JWT","alg":"dir""#, Error::Malformed),
        ] {
            assert_eq!(with(members), Err(error), "{members}");
        }
        for header in [
            r#"{"cty":"JWT"}"#,
            r#"{"alg":"RSA1_5","enc":"A128GCM","cty":"JWT"}"#,
            r#"{"alg":"PBES2-HS256+A128KW","p2c":2000000000,"enc":"A128GCM","cty":"JWT"}"#,
            r#"{"alg":"none","enc":"A128GCM","cty":"JWT"}"#,
            r#"{"alg":["dir"],"enc":"A128GCM","cty":"JWT"}"#,
            r#"{"alg":"dir","cty":"JWT"}"#,
            r#"{"alg":"dir","enc":"none","cty":"JWT"}"#,
        ] {
            assert_eq!(parse(header, "..AA.AA.AA"), Err(Error::AlgorithmUnknown), "{header}");
        }
    }

    #[test]
    fn segments() {
        let header = r#"{"alg":"dir","enc":"A128GCM","cty":"JWT"}"#;
        assert_eq!(parse(header, "...."), Ok(()), "what is too short is found out where it is used");
        for rest in [
            "",
            ".",
            "..",
            "...",
            ".....",
            "..A.AA.AA",
            "..AB.AA.AA",
            "..AA=.AA.AA",
            "..AA.+A.AA",
            ". .AA.AA.AA",
        ] {
            assert_eq!(parse(header, rest), Err(Error::Malformed), "{rest}");
        }
        assert_eq!(parse("[]", "..AA.AA.AA"), Err(Error::Malformed));
    }
}
