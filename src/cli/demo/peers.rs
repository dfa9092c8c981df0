//! What stands around the gateway in the demo: the identity providers and the upstream.

use std::{io, net::SocketAddr};

use axum::{
    Json, Router,
    extract::Request,
    http::{HeaderMap, Method, Uri},
    routing::get,
};
use claimgate::jwt::{Algorithm, KeyError, sign::SigningKey};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

/// An identity provider with its keys.
pub(super) struct Provider {
    name: &'static str,
    pub(super) issuer: &'static str,
    keys: Vec<SigningKey>,
}

impl Provider {
    fn new(name: &'static str, issuer: &'static str, algorithms: &[Algorithm]) -> Result<Self, KeyError> {
        let keys =
            algorithms.iter().map(|algorithm| SigningKey::generate(*algorithm)).collect::<Result<_, _>>()?;
        Ok(Self { name, issuer, keys })
    }

    /// A token signed by the provider's key for this algorithm.
    pub(super) fn sign(&self, algorithm: Algorithm, claims: &Value) -> Option<String> {
        let key = self.keys.iter().find(|key| key.algorithm() == algorithm)?;
        key.sign(&json!({ "kid": self.kid(algorithm) }), claims).ok()
    }

    fn kid(&self, algorithm: Algorithm) -> String {
        format!("{}-{}", self.name, algorithm.name().to_ascii_lowercase())
    }

    fn jwks(&self) -> Value {
        let keys = self.keys.iter().filter_map(|key| key.public_jwk(Some(&self.kid(key.algorithm()))));
        json!({ "keys": keys.collect::<Vec<_>>() })
    }
}

/// One provider with RSA keys, one with elliptic curves.
pub(super) struct Providers {
    pub(super) acme: Provider,
    pub(super) globex: Provider,
}

impl Providers {
    pub(super) fn new() -> Result<Self, KeyError> {
        Ok(Self {
            acme: Provider::new("acme", "https://acme.example", &[Algorithm::RS256, Algorithm::PS256])?,
            globex: Provider::new("globex", "https://globex.example", &[Algorithm::ES256, Algorithm::EdDSA])?,
        })
    }

    /// Serves the key sets on a free port.
    pub(super) async fn serve(&self) -> io::Result<SocketAddr> {
        let mut router = Router::new();
        for provider in [&self.acme, &self.globex] {
            let jwks = provider.jwks();
            let path = format!("/{}/jwks.json", provider.name);
            router = router.route(&path, get(|| async { Json(jwks) }));
        }
        serve(router).await
    }
}

/// Serves an upstream that tells what it was asked, on a free port.
pub(super) async fn serve_upstream() -> io::Result<SocketAddr> {
    serve(Router::new().fallback(echo)).await
}

async fn echo(method: Method, uri: Uri, headers: HeaderMap, _body: Request) -> Json<Value> {
    let headers: Map<String, Value> = headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()))
        .collect();
    Json(json!({ "method": method.as_str(), "target": uri.to_string(), "headers": headers }))
}

async fn serve(router: Router) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}
