//! Verified claims.

use super::json::{Object, Value};

/// The claims of a token whose signature was verified (RFC 7519 section 4).
///
/// There is no other way to get one that holds a claim than [`Token::verify`](super::Token::verify).
#[derive(Clone, Debug)]
pub struct Claims {
    members: Object,
    pub(super) replaced_surrogate: bool,
}

impl Claims {
    pub(super) const fn new(members: Object, replaced_surrogate: bool) -> Self {
        Self { members, replaced_surrogate }
    }

    /// The claims of a caller without a token.
    pub(crate) fn none() -> Self {
        Self::new(Object::default(), false)
    }

    /// The claim with this name, at the top level.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.members.get(name)
    }

    /// The text claim with this name, at the top level.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }

    /// All claims.
    #[must_use]
    pub const fn members(&self) -> &Object {
        &self.members
    }

    /// The issuer (`iss`), if it is a text.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.text("iss")
    }

    /// The end of the token's life (`exp`) in seconds since the epoch, if it is a usable number.
    #[must_use]
    pub fn expires(&self) -> Option<i64> {
        super::window::seconds(self.get("exp")?)
    }
}
