//! The control API: its own listener, with Tyk's routes, bodies and codes.
//!
//! `/hello`, `/ready` and `/metrics` answer everybody who can reach the listener. Everything under `/tyk/` needs
//! a key in `x-tyk-authorization` that has the role of the route ([`authorize`]); without keys in the configuration
//! nobody has one. Each module is a group of [routes]; what they change goes through [`Control`].

mod answer;
mod apis;
mod aside;
mod authorize;
mod body;
mod change;
mod explain;
mod health;
mod jwks;
mod keys;
mod listener;
mod openapi;
mod pending;
mod policies;
mod references;
mod reload;
mod routes;

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use aws_lc_rs::rand;
use axum::{
    Router,
    http::{Request, StatusCode, Uri},
    middleware::from_fn_with_state,
    response::{IntoResponse as _, Response},
};
use tokio::{runtime::Handle, sync::watch};
use tower_service::Service as _;

use answer::error;
use aside::Aside;
use listener::Secured;
use pending::Pending;
use routes::{Route, Routes};

use crate::{
    gateway::{Control, Documents},
    http1::Incoming,
    server::{self, Limits},
};

#[derive(Clone)]
struct Admin {
    control: Arc<Control>,
    tasks: Handle,
    routes: Arc<[Route]>,
    pending: Pending,
    aside: Sorts,
}

/// The sorts of work that are done aside, each of which may be held up without the others.
#[derive(Clone)]
struct Sorts {
    /// To look at documents, which are parsed for that.
    looks: Aside,
    /// To change documents: that is done one by one.
    changes: Aside,
    /// To change API keys, for which the disk or Redis is waited for.
    keys: Aside,
}

impl Default for Sorts {
    fn default() -> Self {
        Self { looks: Aside::on(2), changes: Aside::on(1), keys: Aside::on(4) }
    }
}

impl Admin {
    /// Answers from the documents that are served.
    async fn look(&self, answer: impl FnOnce(&Documents) -> Response + Send + 'static) -> Response {
        let served = self.control.served();
        let answered = self.aside.looks.run(move || answer(&served)).await;
        answered.unwrap_or_else(|undone| undone.into_response())
    }
}

/// Serves the control API until `stop` turns true, and what has begun by then is done.
pub(crate) async fn serve(
    listener: TcpListener,
    control: Arc<Control>,
    tasks: Handle,
    limits: Limits,
    stop: watch::Receiver<bool>,
) {
    let secured = Secured(Arc::clone(&control));
    let pending = Pending::default();
    let app = app(control, tasks, pending.clone());
    let answer = move |peer: SocketAddr, mut request: Request<Incoming>| {
        if let Some(uri) = without_final_slash(request.uri()) {
            *request.uri_mut() = uri;
        }
        request.extensions_mut().insert(peer);
        let mut app = app.clone();
        let (head, body) = request.into_parts();
        body::with(body, move |body| {
            let answered = app.call(Request::from_parts(head, body));
            async { answered.await.unwrap_or_else(|never| match never {}) }
        })
    };
    match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => {
            server::serve(listener, secured, answer, limits, stop).await;
            pending.ended().await;
        }
        Err(error) => tracing::error!(%error, "the control API cannot listen"),
    }
}

fn app(control: Arc<Control>, tasks: Handle, pending: Pending) -> Router {
    let (router, routes) = all_routes().into_parts();
    let admin = Admin { control, tasks, routes: routes.into(), pending, aside: Sorts::default() };
    let guarded = router
        .fallback(not_found)
        .method_not_allowed_fallback(not_supported)
        .layer(from_fn_with_state(admin.clone(), authorize::authorize));
    health::routes().nest("/tyk", guarded).with_state(admin)
}

/// Everything that is answered below `/tyk`.
fn all_routes() -> Routes {
    apis::routes()
        .and(policies::routes())
        .and(keys::routes())
        .and(jwks::routes())
        .and(reload::routes())
        .and(explain::routes())
        .and(references::routes())
        .and(openapi::routes())
}

async fn not_found() -> (StatusCode, &'static str) {
    (StatusCode::NOT_FOUND, "Not Found")
}

async fn not_supported() -> Response {
    error(StatusCode::METHOD_NOT_ALLOWED, "Method not supported")
}

/// Tyk takes most of its routes with a slash at their end as well.
fn without_final_slash(uri: &Uri) -> Option<Uri> {
    let path = uri.path().strip_suffix('/').filter(|path| path.starts_with("/tyk/"))?;
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    format!("{path}{query}").parse().ok()
}

/// Whether an id may become the name of a file.
fn is_good_id(id: &str) -> bool {
    let is_good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '~');
    (1..=128).contains(&id.len()) && !id.starts_with('.') && !id.contains("..") && id.chars().all(is_good)
}

/// 128 random bits, in hexadecimal digits; nothing if the system gives none.
fn random_id() -> Option<String> {
    let mut octets = [0; 16];
    rand::fill(&mut octets).ok()?;
    Some(octets.iter().map(|octet| format!("{octet:02x}")).collect())
}

fn no_random() -> Response {
    error(StatusCode::INTERNAL_SERVER_ERROR, "the system gives no random numbers")
}

#[cfg(test)]
mod tests {
    use super::is_good_id;

    #[test]
    fn ids_that_may_name_a_file() {
        for good in ["a", "A-1_b.c~", &"x".repeat(128)] {
            assert!(is_good_id(good), "{good}");
        }
        for bad in ["", ".", "..", ".a", "a..b", "a/b", "a b", "a\0", "ä", &"x".repeat(129)] {
            assert!(!is_good_id(bad), "{bad:?}");
        }
    }
}
