//! Authentication of requests: find the token, verify it, derive the session.
//!
//! An [`Authenticator`] checks the tokens of one JWT scheme, a [`KeyAuthenticator`] the keys of one API
//! key scheme; an [`Authentication`] is what an API demands,
//! one scheme or several. The gateway has one for each API; [`AuthLayer`] puts one in front of any
//! `http` service. A refusal is a response, not an error: the service behind the layer is not
//! called, and the connection goes on.
//!
//! # In front of an axum service
//!
//! ```no_run
//! use axum::{Extension, Router, routing::get};
//! use claimgate::{
//!     auth::{AuthLayer, Authenticator},
//!     jwks::{HttpFetch, Registry},
//!     jwt::Algorithm,
//!     session::Session,
//! };
//! use std::{error::Error, sync::Arc};
//!
//! async fn orders(Extension(session): Extension<Session>) -> String {
//!     format!("the orders of {}", session.subject())
//! }
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), Box<dyn Error>> {
//!     // Key sets are fetched and kept fresh on a thread of the registry's own.
//!     let registry = Registry::start(Arc::new(HttpFetch::new()?))?;
//!     let authenticator = Authenticator::builder([Algorithm::RS256, Algorithm::ES256])
//!         .jwks_uri("https://idp.example/.well-known/jwks.json")
//!         .issuers(["https://idp.example/"])
//!         .audiences(["orders"])
//!         .required_claims(["exp"])
//!         .build(&registry)?;
//!     let app = Router::new().route("/orders", get(orders)).layer(AuthLayer::new(authenticator));
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//!     Ok(axum::serve(listener, app).await?)
//! }
//! ```

mod api_key;
mod authentication;
mod authenticator;
mod builder;
mod cache;
mod explained;
mod known;
mod layer;
mod place;
mod refused;
mod security;
mod stored_secrets;

pub use api_key::KeyAuthenticator;
pub use authentication::{Authentication, Method};
pub use authenticator::{Authenticator, Grants, Keys};
pub use builder::{BuildError, Builder};
pub use cache::VerifiedTokens;
pub(crate) use cache::forget_on_this_thread;
pub(crate) use explained::api_right;
pub use layer::{Auth, AuthBody, AuthLayer};
pub use place::{Credential, Place, Places};
pub use security::{Requirement, Security};
pub use stored_secrets::StoredSecrets;
