//! A token goes in, verified claims come out.
//!
//! Everything in this module is pure: no I/O, no clock, no HTTP types. The time is an argument, keys
//! are handed in, and whatever is decided here can be decided again by a test with a table.
//!
//! Reading order: [`Token::parse`] takes a compact JWS apart (out of an encrypted token comes one by
//! [`jwe`]), [`KeySet::find`] names the one key
//! that may check it, [`Token::verify`] checks the signature and gives the [`Claims`], and
//! [`Rules::check`] walks a list of [`Check`]s to decide whether these claims are good enough, here
//! and now.
//!
//! **Invariant:** nothing in the header of a token chooses anything but a key that the owner has
//! configured: `jwk`, `jku`, `x5u` and `x5c` are never looked at (RFC 8725 section 3.10).
//!
//! **Invariant:** one key has one algorithm family. A public key cannot become a shared secret
//! because [`Key`] has no way to say so (RFC 8725 section 3.1).
//!
//! **Invariant:** [`Claims`] are made by [`Token::verify`] alone.

mod algorithm;
mod check;
mod claim_rule;
mod claims;
mod der;
mod error;
mod flaw;
mod import;
pub mod json;
pub mod jwe;
mod jwk;
mod key;
mod keyset;
mod locator;
mod path;
mod report;
mod rules;
mod scopes;
pub mod sign;
mod subject;
mod token;
mod token_type;
#[cfg(test)]
mod vectors;
mod weak;
mod window;

pub use algorithm::{Algorithm, AlgorithmSet, Family};
pub use check::{Audiences, Check, Checked, Mode, Outcome, Requirement};
pub use claim_rule::{ClaimRule, Comparison, Expect, Pattern, Quantifier};
pub use claims::Claims;
pub use error::Error;
pub use flaw::RulesError;
pub use import::import_key;
pub use jwk::parse_jwks;
pub use key::{Key, KeyError};
pub use keyset::{Ambiguity, KeySet, NoKey, RejectedKey};
pub use locator::{JsonPointer, Locator};
pub use path::{ClaimPath, PathError};
pub use rules::{Evidence, Reading, Rules, Skew};
pub use scopes::ScopeClaims;
pub use subject::{SubjectClaims, SubjectError};
pub use token::{Kid, Token};
pub use token_type::TokenType;
pub use window::Window;
