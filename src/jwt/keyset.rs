//! The keys of one source, and which of them may check a token.

use std::{collections::HashMap, fmt};

use super::{Algorithm, AlgorithmSet, Family, Key, Kid};

/// What to do when a token does not name one key exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ambiguity {
    /// Of several keys with the token's `kid` none is used; a token without `kid` may use the key
    /// of a set that has only one that fits its algorithm.
    Refuse,
    /// Of several keys the first counts, and a token needs a `kid`, as in Tyk.
    FirstKey,
}

/// Why a set has no key for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoKey {
    /// The set has no key of that name: a newer set may.
    Unknown,
    /// The set has the key, and it may not be used for this token.
    Unfit,
}

/// A key that could not be imported, and costs only itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedKey {
    /// Its `kid`, or its place in the set.
    pub name: String,
    /// Why.
    pub reason: String,
}

impl fmt::Display for RejectedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.reason)
    }
}

/// The usable keys of one source.
#[derive(Debug, Default)]
pub struct KeySet {
    keys: Vec<Key>,
    by_kid: HashMap<Box<str>, Vec<usize>>,
    /// A single configured key has no name: every `kid` means it.
    single: bool,
    rejected: Vec<RejectedKey>,
}

impl KeySet {
    /// One key that was configured by itself; the `kid` of a token does not matter.
    #[must_use]
    pub fn single(key: Key) -> Self {
        Self { keys: vec![key], single: true, ..Self::default() }
    }

    /// The keys of a JWK set, in order.
    #[must_use]
    pub fn new(keys: Vec<Key>, rejected: Vec<RejectedKey>) -> Self {
        let mut by_kid: HashMap<Box<str>, Vec<usize>> = HashMap::with_capacity(keys.len());
        for (n, key) in keys.iter().enumerate() {
            // The empty `kid` finds the keys without one, as in Tyk.
            by_kid.entry(key.kid().unwrap_or_default().into()).or_default().push(n);
        }
        Self { keys, by_kid, single: false, rejected }
    }

    /// Whether this is one key without a name.
    #[must_use]
    pub const fn is_single(&self) -> bool {
        self.single
    }

    /// The usable keys.
    #[must_use]
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// The members that were not usable.
    #[must_use]
    pub fn rejected(&self) -> &[RejectedKey] {
        &self.rejected
    }

    /// Whether both sets hold the same keys under the same names.
    #[must_use]
    pub fn same_keys(&self, other: &Self) -> bool {
        self.single == other.single && self.keys == other.keys
    }

    /// Whether some key can do one of these algorithms.
    #[must_use]
    pub fn fits(&self, allowed: AlgorithmSet) -> bool {
        self.keys.iter().any(|key| usable(key, allowed))
    }

    /// The key that may check a token with this `kid` and algorithm.
    ///
    /// # Errors
    /// [`NoKey::Unknown`] when the set does not know the `kid`, [`NoKey::Unfit`] when it does.
    pub fn find(
        &self,
        kid: Kid<'_>,
        algorithm: Algorithm,
        allowed: AlgorithmSet,
        ambiguity: Ambiguity,
    ) -> Result<&Key, NoKey> {
        let fits = |key: &&Key| key.algorithms().contains(algorithm) && usable(key, allowed);
        if self.single {
            return self.keys.first().filter(fits).ok_or(NoKey::Unfit);
        }
        let named = match (kid, ambiguity) {
            (Kid::Text(kid), _) => self.by_kid.get(kid).ok_or(NoKey::Unknown)?,
            (Kid::Absent, Ambiguity::Refuse) => return only(self.keys.iter().filter(fits)),
            (Kid::Absent | Kid::NotText, _) => return Err(NoKey::Unfit),
        };
        let mut named = named.iter().filter_map(|n| self.keys.get(*n));
        match ambiguity {
            Ambiguity::Refuse => only(named.filter(fits)),
            Ambiguity::FirstKey => named.next().filter(fits).ok_or(NoKey::Unfit),
        }
    }
}

/// A secret that was fetched may be used where the owner asks for shared secrets and nothing else:
/// beside public keys, a set that everybody can read holds no secret.
fn usable(key: &Key, allowed: AlgorithmSet) -> bool {
    let common = key.algorithms().intersection(allowed);
    !common.is_empty() && (!key.is_fetched_secret() || allowed.only(Family::Hmac))
}

fn only<'k>(mut keys: impl Iterator<Item = &'k Key>) -> Result<&'k Key, NoKey> {
    match (keys.next(), keys.next()) {
        (Some(key), None) => Ok(key),
        _ => Err(NoKey::Unfit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwt::{import_key, sign::SigningKey};

    fn key(kid: Option<&str>) -> Key {
        let jwk = SigningKey::generate(Algorithm::EdDSA).unwrap().public_jwk(None).unwrap().to_string();
        let set = import_key(jwk.as_bytes(), Algorithm::EdDSA.into()).unwrap();
        let KeySet { mut keys, .. } = set;
        keys.remove(0).with_kid(kid)
    }

    fn find(set: &KeySet, kid: Kid<'_>, ambiguity: Ambiguity) -> Result<usize, NoKey> {
        let eddsa = Algorithm::EdDSA;
        let key = set.find(kid, eddsa, eddsa.into(), ambiguity)?;
        Ok(set.keys().iter().position(|own| own == key).unwrap())
    }

    #[test]
    fn what_a_token_names() {
        use Ambiguity::{FirstKey, Refuse};
        let set = KeySet::new(vec![key(Some("a")), key(Some("b")), key(Some("b")), key(None)], Vec::new());
        for (kid, strict, tyk) in [
            (Kid::Text("a"), Ok(0), Ok(0)),
            // Two keys of one name: nobody knows which is meant.
            (Kid::Text("b"), Err(NoKey::Unfit), Ok(1)),
            (Kid::Text(""), Ok(3), Ok(3)),
            (Kid::Text("c"), Err(NoKey::Unknown), Err(NoKey::Unknown)),
            (Kid::Absent, Err(NoKey::Unfit), Err(NoKey::Unfit)),
            (Kid::NotText, Err(NoKey::Unfit), Err(NoKey::Unfit)),
        ] {
            assert_eq!((find(&set, kid, Refuse), find(&set, kid, FirstKey)), (strict, tyk), "{kid:?}");
        }
        let one = KeySet::new(vec![key(Some("a"))], Vec::new());
        assert_eq!(find(&one, Kid::Absent, Refuse), Ok(0), "there is only one that can be meant");
        let single = KeySet::single(key(None));
        for kid in [Kid::Absent, Kid::Text("x"), Kid::NotText] {
            assert_eq!(find(&single, kid, Refuse), Ok(0));
            assert_eq!(find(&single, kid, FirstKey), Ok(0));
        }
    }

    #[test]
    fn a_jwk_without_a_name_is_like_a_pem() {
        let jwk = |kid| SigningKey::generate(Algorithm::EdDSA).unwrap().public_jwk(kid).unwrap().to_string();
        let import = |jwk: String| import_key(jwk.as_bytes(), Algorithm::EdDSA.into()).unwrap();
        let thumbprint = jwk(None);
        let mut members: serde_json::Value = serde_json::from_str(&thumbprint).unwrap();
        members.as_object_mut().unwrap().remove("kid");
        assert!(import(members.to_string()).is_single());
        assert!(!import(jwk(Some("a"))).is_single());
        assert!(import_key(br#"{"keys":[],"keys":[]}"#, Algorithm::EdDSA.into()).is_err());
    }

    #[test]
    fn secrets_are_as_long_as_their_hash() {
        use Algorithm::{HS256, HS384, HS512};
        for (octets, can) in [
            (32, vec![HS256]),
            (47, vec![HS256]),
            (48, vec![HS256, HS384]),
            (63, vec![HS256, HS384]),
            (64, vec![HS256, HS384, HS512]),
        ] {
            let key = Key::hmac(&vec![7; octets]).unwrap();
            assert_eq!(key.algorithms(), can.into_iter().collect(), "{octets}");
        }
        assert!(Key::hmac(&[7; 31]).is_err());
    }
}
