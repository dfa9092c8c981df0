//! API keys: credentials that this gateway stores itself, made through the control API with Tyk's
//! bodies.
//!
//! A key belongs to an organisation and has an id: one that its owner chose, or a random one. Callers
//! present the id alone, or Tyk's text of both ([`KeyName`]). What a key may do is its own, in the
//! fields of a policy, or that of the policies that it names ([`StoredKey`]). [`ApiKeys`] keeps them in
//! memory, and in one file or, for several nodes, in Redis, found by a keyed hash: none holds what a caller
//! presents.

mod body;
mod digest;
mod entry;
mod file;
mod name;
mod seal;
mod secret;
mod shared;
mod store;
mod stored;

pub use file::FileError;
pub use name::KeyName;
pub use seal::SharedSecret;
pub(crate) use shared::TOPIC;
pub use store::{ApiKeys, ChangeError, Changed, Counted, SharedError, Sharing, Unfound};
pub use stored::StoredKey;
