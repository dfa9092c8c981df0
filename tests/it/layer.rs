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
    let sources: Vec<_> = authenticator.keys().iter().cloned().collect();
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
