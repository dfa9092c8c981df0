//! The tower layer in a service of one's own: axum, with keys of a live provider.

use std::sync::Arc;

use axum::{Extension, Router, body::Body, routing::get};
use claimgate::{
    auth::{AuthLayer, Authenticator},
    jwks::{HttpFetch, Registry},
    jwt::Algorithm,
    session::Session,
};
use http::{Request, StatusCode};
use serde_json::json;
use tower::ServiceExt as _;

use crate::support::{claims, key, provider};

async fn whoami(Extension(session): Extension<Session>, request: Request<Body>) -> String {
    format!("{} {:?}", session.subject(), request.headers().get("authorization"))
}

#[tokio::test]
async fn in_front_of_axum() {
    let idp = provider(&[("one", key(Algorithm::ES256))]);
    let registry = Registry::start(Arc::new(HttpFetch::new().unwrap())).unwrap();
    let authenticator = Authenticator::builder([Algorithm::ES256])
        .jwks_uri(idp.url())
        .issuers(["https://idp.test"])
        .audiences(["orders"])
        .realm("shop")
        .build(&registry)
        .unwrap();
    let sources: Vec<_> = authenticator.sources().cloned().collect();
    Registry::prefetch(sources, std::time::Duration::from_secs(5)).await;
    let app =
        Router::new().route("/whoami", get(whoami)).layer(AuthLayer::new(authenticator).strip_credentials());
    let send = |token: Option<String>| {
        let mut request = Request::get("/whoami");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        app.clone().oneshot(request.body(Body::empty()).unwrap())
    };
    let sign = |changes| key(Algorithm::ES256).sign(&json!({ "kid": "one" }), &claims(changes)).unwrap();
    let response = send(Some(sign(json!({})))).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let body = axum::body::to_bytes(response.into_body(), 1024).await.unwrap();
    assert_eq!(&body[..], b"alice None");
    let response = send(None).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(response.headers()["www-authenticate"], "Bearer realm=\"shop\"");
    for changes in [json!({ "aud": "invoices" }), json!({ "iss": "x" }), json!({ "exp": 1 })] {
        assert_eq!(send(Some(sign(changes))).await.unwrap().status(), StatusCode::UNAUTHORIZED);
    }
}

/// Answers with what it was asked for; must be polled ready before each call.
#[derive(Default)]
struct Careful {
    ready: bool,
}

impl Clone for Careful {
    fn clone(&self) -> Self {
        Self { ready: false }
    }
}

impl tower::Service<Request<Body>> for Careful {
    type Response = http::Response<Body>;
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        self.ready = true;
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called without being polled ready");
        std::future::ready(Ok(http::Response::new(Body::from(request.uri().to_string()))))
    }
}

#[tokio::test]
async fn behind_other_layers_and_before_any_service() {
    use tower::Layer as _;
    let registry = Registry::start(Arc::new(HttpFetch::new().unwrap())).unwrap();
    let material = key(Algorithm::ES256).public_jwk(Some("one")).unwrap().to_string();
    let authenticator =
        Authenticator::builder([Algorithm::ES256]).key(material).query("token").build(&registry).unwrap();
    let service = AuthLayer::new(authenticator).strip_credentials().layer(Careful::default());
    let token = key(Algorithm::ES256).sign(&json!({ "kid": "one" }), &claims(json!({}))).unwrap();
    for (uri, status, reason) in [
        (format!("/x?a=1&token={token}&b=2"), StatusCode::OK, None),
        ("/x?a=1".into(), StatusCode::UNAUTHORIZED, Some(claimgate::refusal::Reason::TokenMissing)),
        (
            "/x?token=nonsense".into(),
            StatusCode::UNAUTHORIZED,
            Some(claimgate::refusal::Reason::TokenMalformed),
        ),
    ] {
        let request = Request::get(&uri).body(Body::empty()).unwrap();
        let response = service.clone().oneshot(request).await.unwrap();
        // Layers around this one learn why.
        let told = response.extensions().get::<claimgate::refusal::Reason>().copied();
        assert_eq!((response.status(), told), (status, reason), "{uri}");
        if status == StatusCode::OK {
            let body = axum::body::to_bytes(Body::new(response.into_body()), 1024).await.unwrap();
            assert_eq!(&body[..], b"/x?a=1&b=2");
        }
    }
    // What layers such as those for CORS ask of a body.
    let _ = claimgate::auth::AuthBody::<Body>::default();
}
