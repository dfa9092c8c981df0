//! The decryption keys of a JWT scheme.

use std::fmt;

use super::{raw, scheme::SchemeParser, source};
use crate::{
    document::FieldPath,
    jwt::{
        KeyError,
        jwe::{ContentEncryption, Decryption, DecryptionKey, KeyManagement, import_decryption_keys},
    },
};

impl SchemeParser<'_, '_> {
    /// How tokens are decrypted. What is wrong with it is told, and nothing is served then.
    pub(super) fn decryption(&mut self, decryption: Option<&raw::Decryption>) -> Option<Decryption> {
        let decryption = decryption?;
        let at = self.at_claimgate.member("decryption");
        let mut keys = Vec::with_capacity(decryption.keys.len());
        for (n, key) in decryption.keys.iter().enumerate() {
            keys.extend(self.decryption_key(key, &at.member("keys").element(n))?);
        }
        let at_algorithms = at.member("algorithms");
        let algorithms = decryption
            .algorithms
            .as_ref()
            .map(|names| self.names(names, &at_algorithms, &KeyManagement::ALL, KeyManagement::from_name));
        let encryptions = decryption.content_encryption.as_ref().map(|names| {
            let at = at.member("contentEncryption");
            self.names(names, &at, &ContentEncryption::ALL, ContentEncryption::from_name)
        });
        let parsed = self.told(Decryption::new(keys), &at.member("keys"))?;
        let parsed = parsed.required(decryption.required.unwrap_or(true));
        let parsed = match algorithms {
            Some(algorithms) => self.told(parsed.algorithms(algorithms?), &at_algorithms)?,
            None => parsed,
        };
        Some(match encryptions {
            Some(encryptions) => parsed.content_encryptions(encryptions?),
            None => parsed,
        })
    }

    fn decryption_key(&mut self, key: &raw::DecryptionKey, at: &FieldPath) -> Option<Vec<DecryptionKey>> {
        let algorithm = match &key.algorithm {
            None => None,
            Some(name) => {
                let name = std::slice::from_ref(name);
                let at = at.member("algorithm");
                self.names(name, &at, &KeyManagement::ALL, KeyManagement::from_name)?.pop()
            }
        };
        let at = at.member("source");
        if key.source.trim().is_empty() {
            self.context
                .error(&at, "there is no key; write a private key, or a reference such as file://PATH");
            return None;
        }
        match source::key_material(&key.source, self.context.lookup) {
            Ok(material) => {
                let keys = import_decryption_keys(&material, key.kid.as_deref(), algorithm);
                self.told(keys, &at)
            }
            Err(message) => {
                self.context.error(&at, message);
                None
            }
        }
    }

    /// The algorithms of a list that names them; nothing if one is unknown.
    fn names<T: Copy + fmt::Display>(
        &mut self,
        names: &[String],
        at: &FieldPath,
        all: &[T],
        from_name: fn(&str) -> Option<T>,
    ) -> Option<Vec<T>> {
        let parsed: Vec<Option<T>> = names.iter().map(|name| from_name(name)).collect();
        for (n, _) in parsed.iter().enumerate().filter(|(_, parsed)| parsed.is_none()) {
            let all: Vec<String> = all.iter().map(T::to_string).collect();
            let message = format!("unknown algorithm; the known ones are {}", all.join(", "));
            self.context.error(&at.element(n), message);
        }
        if names.is_empty() {
            self.context.error(at, "the list is empty, so nothing could be decrypted; name at least one");
        }
        parsed.into_iter().collect::<Option<Vec<T>>>().filter(|parsed| !parsed.is_empty())
    }

    fn told<T>(&mut self, result: Result<T, KeyError>, at: &FieldPath) -> Option<T> {
        result.map_err(|reason| self.context.error(at, format!("this cannot be used: {reason}"))).ok()
    }
}
