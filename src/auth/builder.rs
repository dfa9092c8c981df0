//! An authenticator for a service of one's own.

use std::fmt;

use std::sync::Arc;

use http::{HeaderName, header::AUTHORIZATION};

use super::{Authenticator, Place, Places};
use crate::{
    jwks::{KeySources, Registry, RemoteSource, Source},
    jwt::{Algorithm, ClaimPath, KeyError, Rules, SubjectClaims, import_key},
    refusal::Profile,
};

/// Makes an [`Authenticator`]. It needs at least one key source; without places it looks at the
/// `Authorization` header.
#[derive(Debug)]
pub struct Builder {
    rules: Rules,
    remote: Vec<RemoteSource>,
    keys: Vec<Vec<u8>>,
    places: Vec<Place>,
    realm: String,
}

/// Why there is no authenticator.
#[derive(Debug)]
pub enum BuildError {
    /// No algorithm is allowed.
    NoAlgorithm,
    /// There is no key source.
    NoKeySource,
    /// A key cannot be used.
    Key(KeyError),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAlgorithm => f.write_str("no algorithm is allowed; allow at least one"),
            Self::NoKeySource => f.write_str("there is no key source; add a jwks_uri or a key"),
            Self::Key(reason) => write!(f, "a key cannot be used: {reason}"),
        }
    }
}

impl std::error::Error for BuildError {}

impl Authenticator {
    /// Starts with the algorithms that may sign.
    pub fn builder(algorithms: impl IntoIterator<Item = Algorithm>) -> Builder {
        Builder {
            rules: Rules::new(algorithms.into_iter().collect()),
            remote: Vec::new(),
            keys: Vec::new(),
            places: Vec::new(),
            realm: "api".into(),
        }
    }
}

impl Builder {
    /// Adds a key set URL; several are merged and looked up by `kid`.
    #[must_use]
    pub fn jwks_uri(mut self, url: impl Into<String>) -> Self {
        let time_to_live = RemoteSource::DEFAULT_TIME_TO_LIVE;
        self.remote.push(RemoteSource { url: url.into(), time_to_live });
        self
    }

    /// Adds a public key (PEM or DER), certificate, JWK, JWK set or shared secret.
    #[must_use]
    pub fn key(mut self, material: impl Into<Vec<u8>>) -> Self {
        self.keys.push(material.into());
        self
    }

    /// `iss` must be one of these.
    #[must_use]
    pub fn issuers(mut self, issuers: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.rules.issuers = issuers.into_iter().map(Into::into).collect();
        self
    }

    /// `aud` must have one of these.
    #[must_use]
    pub fn audiences(mut self, audiences: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.rules.audiences = audiences.into_iter().map(Into::into).collect();
        self
    }

    /// These claims must be there.
    #[must_use]
    pub fn required_claims(mut self, claims: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.rules.required_claims =
            claims.into_iter().map(|claim| ClaimPath::lenient(claim.as_ref())).collect();
        self
    }

    /// The claims that name the caller, in order; `sub` comes last.
    #[must_use]
    pub fn subject_claims(mut self, claims: &[&str]) -> Self {
        self.rules.subject_claims = SubjectClaims::new(claims);
        self
    }

    /// Any other rule.
    #[must_use]
    pub fn rules(mut self, change: impl FnOnce(&mut Rules)) -> Self {
        change(&mut self.rules);
        self
    }

    /// Looks at this header field.
    #[must_use]
    pub fn header(mut self, name: HeaderName) -> Self {
        self.places.push(Place::Header(name));
        self
    }

    /// Looks at this parameter of the query.
    #[must_use]
    pub fn query(mut self, name: impl Into<String>) -> Self {
        self.places.push(Place::Query(name.into()));
        self
    }

    /// Looks at this cookie.
    #[must_use]
    pub fn cookie(mut self, name: impl Into<String>) -> Self {
        self.places.push(Place::Cookie(name.into()));
        self
    }

    /// The protection space that challenges name.
    #[must_use]
    pub fn realm(mut self, realm: impl Into<String>) -> Self {
        self.realm = realm.into();
        self
    }

    /// The authenticator; its key sets are fetched and kept fresh by `registry`.
    ///
    /// # Errors
    /// [`BuildError`] when there is no algorithm, no key source, or an unusable key.
    pub fn build(mut self, registry: &Registry) -> Result<Authenticator, BuildError> {
        if self.rules.algorithms.is_empty() {
            return Err(BuildError::NoAlgorithm);
        }
        let mut sources: Vec<Arc<Source>> =
            self.remote.iter().map(|remote| registry.remote(remote)).collect();
        for (n, material) in self.keys.iter().enumerate() {
            let keys = import_key(material, self.rules.algorithms).map_err(BuildError::Key)?;
            sources.push(Arc::new(Source::fixed(format!("key {n}"), Arc::new(keys))));
        }
        if sources.is_empty() {
            return Err(BuildError::NoKeySource);
        }
        if self.places.is_empty() {
            self.places.push(Place::Header(AUTHORIZATION));
        }
        let places = Places::new(self.places, Profile::Rfc);
        Ok(Authenticator::new(places, self.rules, KeySources::new(sources), None, Profile::Rfc, &self.realm))
    }
}
