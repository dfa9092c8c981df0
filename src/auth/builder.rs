//! An authenticator for a service of one's own.

use std::{fmt, sync::Arc, time::Duration};

use http::{HeaderName, header::AUTHORIZATION};
use zeroize::Zeroizing;

use super::{Authenticator, Place, Places};
use crate::{
    jwks::{Binding, FetchOptions, KeySources, Registry, RemoteSource, Source, UrlError},
    jwt::{
        Algorithm, Audiences, Check, ClaimPath, ClaimRule, KeyError, Requirement, Rules, RulesError,
        SubjectClaims, TokenType, import_key, jwe::Decryption,
    },
    refusal::Profile,
};

/// Makes an [`Authenticator`]. It needs at least one key source; without places it looks at the
/// `Authorization` header.
pub struct Builder {
    rules: Rules,
    remotes: Vec<Remote>,
    fetching: FetchOptions,
    keys: Vec<Zeroizing<Vec<u8>>>,
    places: Vec<Place>,
    decryption: Option<Decryption>,
    realm: String,
}

/// Where keys are fetched.
enum Remote {
    KeySet(String),
    Issuer(String),
}

/// Without the keys, which may be secrets.
impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("realm", &self.realm)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

/// Why there is no authenticator.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// No algorithm is allowed.
    NoAlgorithm,
    /// The rules make no sense.
    Rules(RulesError),
    /// There is no key source.
    NoKeySource,
    /// A text is no key set URL or issuer; the number is its place among them.
    Url(usize, UrlError),
    /// A key cannot be used; the number is its place among them.
    Key(usize, KeyError),
    /// Several keys have no name, so that nothing says which of them a token means.
    NamelessKeys,
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAlgorithm => f.write_str("no algorithm is allowed; allow at least one"),
            Self::Rules(reason) => reason.fmt(f),
            Self::NoKeySource => f.write_str("there is no key source; add a jwks_uri, an issuer or a key"),
            Self::Url(n, reason) => write!(f, "fetched key source {n}: {reason}"),
            Self::Key(n, reason) => write!(f, "key {n} cannot be used: {reason}"),
            Self::NamelessKeys => f.write_str(
                "several keys have no kid, and nothing says which of them a token means; give a JWK set with a kid for each",
            ),
        }
    }
}

impl std::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Url(_, reason) => Some(reason),
            Self::Key(_, reason) => Some(reason),
            Self::Rules(reason) => Some(reason),
            Self::NoAlgorithm | Self::NoKeySource | Self::NamelessKeys => None,
        }
    }
}

impl Authenticator {
    /// Starts with the algorithms that may sign. Tokens need an `exp` unless
    /// [`required_claims`](Builder::required_claims) says otherwise.
    pub fn builder(algorithms: impl IntoIterator<Item = Algorithm>) -> Builder {
        let rules = Rules::new(algorithms.into_iter().collect());
        let (remotes, keys, places) = (Vec::new(), Vec::new(), Vec::new());
        let (fetching, decryption) = (FetchOptions::default(), None);
        Builder { rules, remotes, fetching, keys, places, decryption, realm: "api".into() }
            .required_claims(["exp"])
    }
}

impl Builder {
    /// Adds a key set URL; several are merged and looked up by `kid`.
    #[must_use]
    pub fn jwks_uri(mut self, url: impl Into<String>) -> Self {
        self.remotes.push(Remote::KeySet(url.into()));
        self
    }

    /// Adds the key set that the metadata of an issuer names (RFC 8414, OpenID Connect Discovery). Its
    /// keys verify tokens of this issuer alone, and no other source does.
    #[must_use]
    pub fn discover(mut self, issuer: impl Into<String>) -> Self {
        self.remotes.push(Remote::Issuer(issuer.into()));
        self
    }

    /// How key sets are fetched.
    #[must_use]
    pub fn fetching(mut self, options: FetchOptions) -> Self {
        self.fetching = options;
        self
    }

    /// Adds a public key (PEM or DER), certificate, JWK, JWK set or shared secret. A key without `kid`
    /// is used whatever `kid` a token has.
    #[must_use]
    pub fn key(mut self, material: impl Into<Vec<u8>>) -> Self {
        self.keys.push(Zeroizing::new(material.into()));
        self
    }

    /// Takes encrypted tokens around signed ones; tokens that are only signed no more, unless
    /// [`Decryption::required`] says otherwise.
    #[must_use]
    pub fn decryption(mut self, decryption: Decryption) -> Self {
        self.decryption = Some(decryption);
        self
    }

    /// `iss` must be one of these.
    #[must_use]
    pub fn issuers(self, issuers: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.require(Requirement::Issuer(texts(issuers)))
    }

    /// `aud` must have one of these, unless a [`check`](Self::check) wants them all.
    #[must_use]
    pub fn audiences(self, audiences: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.require(Requirement::Audience(texts(audiences), Audiences::Any))
    }

    /// These claims must be there, instead of `exp` alone.
    #[must_use]
    pub fn required_claims(self, claims: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let paths: Vec<_> = claims.into_iter().map(|claim| ClaimPath::lenient(claim.as_ref())).collect();
        let requirement = Requirement::Claims(paths);
        if requirement.flaw().is_some() {
            return self.rules(|rules| rules.unset(&requirement));
        }
        self.require(requirement)
    }

    /// `typ` must be one of these media types, such as `at+jwt` (RFC 8725 section 3.11).
    #[must_use]
    pub fn types(self, types: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let types = types.into_iter().map(|text| TokenType::new(text.as_ref()));
        self.require(Requirement::Type(types.collect()))
    }

    /// The token must be an access token of RFC 9068, so that no ID token passes for one. The RFC also
    /// wants [`issuers`](Self::issuers) and [`audiences`](Self::audiences) to be checked (section 4).
    #[must_use]
    pub fn access_tokens(self) -> Self {
        self.require(Requirement::AccessToken)
    }

    /// `iat` must be there, and at most this long ago; parts of a second are cut off.
    #[must_use]
    pub fn max_age(self, age: Duration) -> Self {
        self.require(Requirement::MaxAge(seconds(age)))
    }

    /// `exp` and `iat` must be there, and at most this far apart; parts of a second are cut off.
    #[must_use]
    pub fn max_lifetime(self, lifetime: Duration) -> Self {
        self.require(Requirement::MaxLifetime(seconds(lifetime)))
    }

    /// Who the token was issued to (`azp`, `client_id`) must be one of these.
    #[must_use]
    pub fn authorized_parties(self, parties: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.require(Requirement::AuthorizedParty(texts(parties)))
    }

    /// A claim must be as this rule says. The name tells it apart from other checks.
    #[must_use]
    pub fn claim(self, name: &str, rule: ClaimRule) -> Self {
        self.check(Check::new(Requirement::Claim(rule)).named(name))
    }

    fn require(self, requirement: Requirement) -> Self {
        self.check(Check::new(requirement))
    }

    /// Any check, in any mode. The names of those that only warned are in
    /// [`Session::warnings`](crate::session::Session::warnings).
    #[must_use]
    pub fn check(mut self, check: Check) -> Self {
        self.rules.set(check);
        self
    }

    /// The claims that name the caller, in order; `sub` comes last.
    #[must_use]
    pub fn subject_claims(mut self, claims: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
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
    /// [`BuildError`] says what is missing or wrong.
    pub fn build(mut self, registry: &Registry) -> Result<Authenticator, BuildError> {
        if self.rules.algorithms.is_empty() {
            return Err(BuildError::NoAlgorithm);
        }
        self.rules.validate().map_err(BuildError::Rules)?;
        let mut sources: Vec<(Arc<Source>, Binding)> = Vec::new();
        for (n, remote) in self.remotes.iter().enumerate() {
            let options = self.fetching.clone();
            let (remote, binding) = match remote {
                Remote::KeySet(url) => (RemoteSource::key_set(url, options), Binding::default()),
                Remote::Issuer(issuer) => {
                    (RemoteSource::issuer(issuer, options), Binding::to_issuer(issuer.as_str()))
                }
            };
            let remote = remote.map_err(|e| BuildError::Url(n, e))?;
            sources.push((registry.remote(&remote), binding));
        }
        let mut nameless = 0;
        for (n, material) in self.keys.iter().enumerate() {
            let keys = import_key(material, self.rules.algorithms).map_err(|e| BuildError::Key(n, e))?;
            nameless += usize::from(keys.is_single());
            let source = Source::fixed(format!("key {n}"), Arc::new(keys));
            sources.push((Arc::new(source), Binding::default()));
        }
        if nameless > 1 {
            return Err(BuildError::NamelessKeys);
        }
        if sources.is_empty() {
            return Err(BuildError::NoKeySource);
        }
        if self.places.is_empty() {
            self.places.push(Place::Header(AUTHORIZATION));
        }
        let places = Places::new(self.places, Profile::Rfc);
        let keys = KeySources::new(sources);
        Ok(Authenticator::new(places, self.rules, keys, None, Profile::Rfc, &self.realm, Arc::default())
            .with_decryption(self.decryption.map(Arc::new)))
    }
}

fn texts(values: impl IntoIterator<Item = impl Into<String>>) -> Vec<String> {
    values.into_iter().map(Into::into).collect()
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}
