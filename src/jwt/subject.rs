//! Whose token it is.

use std::fmt;

use super::{ClaimPath, Claims, json::Object};

/// The claims that name the caller, in order (`subjectClaims`, older: `identityBaseField`).
#[derive(Clone, Debug)]
pub struct SubjectClaims(Box<[ClaimPath]>);

/// Why a token names nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubjectError {
    /// None of the claims is there as a text.
    Missing,
    /// The claim that decides is the empty text.
    Empty {
        /// Its name.
        claim: Box<str>,
    },
}

impl fmt::Display for SubjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("no claim names the caller"),
            Self::Empty { claim } => write!(f, "the claim {claim}, which names the caller, is empty"),
        }
    }
}

impl SubjectClaims {
    /// These claims in this order; `sub` is tried after them unless it is among them.
    pub fn new(names: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let mut paths: Vec<ClaimPath> =
            names.into_iter().map(|name| ClaimPath::lenient(name.as_ref())).collect();
        if !paths.iter().any(|path| path.as_str() == "sub") {
            paths.push(ClaimPath::lenient("sub"));
        }
        Self(paths.into())
    }

    /// The caller's name: the first claim that is a text. An empty text stops the search.
    ///
    /// # Errors
    /// [`SubjectError`] when no claim is a text, or the first one is empty.
    pub fn resolve<'c>(&self, claims: &'c Claims) -> Result<&'c str, SubjectError> {
        self.resolve_in(claims.members())
    }

    /// The same of claims that nobody has verified: good for choosing a key, and for nothing else.
    ///
    /// # Errors
    /// [`SubjectError`] when no claim is a text, or the first one is empty.
    pub fn resolve_in<'c>(&self, members: &'c Object) -> Result<&'c str, SubjectError> {
        let found = self.0.iter().find_map(|path| Some((path, path.find_in(members)?.as_str()?)));
        match found {
            None => Err(SubjectError::Missing),
            Some((path, "")) => Err(SubjectError::Empty { claim: path.as_str().into() }),
            Some((_, subject)) => Ok(subject),
        }
    }
}

impl Default for SubjectClaims {
    fn default() -> Self {
        Self::new(&[] as &[&str])
    }
}
