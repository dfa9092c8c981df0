//! Who may do what: the key that a request shows is found, its roles are looked at, and what comes of it is
//! written down.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::SystemTime,
};

use aws_lc_rs::{constant_time, digest};
use axum::{
    extract::{MatchedPath, Request, State},
    http::{Method, StatusCode},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use super::{
    Admin,
    answer::{ended, error},
    routes::Route,
};
use crate::{
    config::{AdminKey, Role},
    telemetry::AuditEntry,
};

const AUTHORIZATION: &str = "x-tyk-authorization";
/// In Tyk's words.
const NOBODY: &str = "Attempted administrative access with invalid or missing key!";

/// What the audit log says of a change that may be lost with a crash of the machine.
pub(super) const UNSYNCED: &str = "written, not synced";

/// Whose request it is, for handlers that need more than the role of their route.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    name: String,
    roles: Vec<Role>,
}

impl Caller {
    fn of(key: &AdminKey) -> Self {
        Self { name: key.name.clone(), roles: key.roles.clone() }
    }

    /// Nothing if the caller has this role, else the refusal.
    pub(super) fn refused(&self, role: Role) -> Option<Response> {
        let message = format!("the key {} is not for this: it has no role {}", self.name, role.name());
        (!self.roles.contains(&role)).then(|| error(StatusCode::FORBIDDEN, &message))
    }
}

/// What a request has changed, or would have: handlers leave it with their answer, for the audit log.
#[derive(Clone, Debug, Default)]
pub(super) struct Touched {
    pub(super) kind: &'static str,
    pub(super) id: String,
    /// What became of it; nothing if the status says it all.
    pub(super) outcome: Option<&'static str>,
    /// Digests of what was there, and of what is.
    pub(super) before: Option<String>,
    pub(super) after: Option<String>,
}

impl Touched {
    /// Leaves this with an answer.
    pub(super) fn mark(self, mut response: Response) -> Response {
        response.extensions_mut().insert(self);
        response
    }
}

/// Lets a request through whose key has the role that its route takes.
pub(super) async fn authorize(State(admin): State<Admin>, mut request: Request, next: Next) -> Response {
    let snapshot = admin.control.published().load_full();
    let given = request.headers().get(AUTHORIZATION).map(|value| value.as_bytes());
    let caller = given.and_then(|given| find(snapshot.admin_keys(), given)).map(Caller::of);
    let path = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let method = request.method().clone();
    let role = path.as_deref().and_then(|path| needed(&admin.routes, &method, path));
    let client = request.extensions().get::<SocketAddr>().map(SocketAddr::ip);
    let refusal = match (&caller, role) {
        (None, _) => Some(error(StatusCode::FORBIDDEN, NOBODY)),
        (Some(caller), Some(role)) => caller.refused(role),
        // Whatever is routed here: nobody has said who may do it.
        (Some(_), None) if path.is_some() => Some(super::not_supported().await),
        (Some(_), None) => Some(super::not_found().await.into_response()),
    };
    let who = caller.as_ref().map(|caller| caller.name.clone());
    if let Some(caller) = caller {
        request.extensions_mut().insert(caller);
    }
    let only_looked = role.is_none_or(|role| looks(role, &method));
    let begun = (!only_looked).then(|| admin.pending.begin());
    let answered = async move {
        let response = match refusal {
            Some(refusal) => refusal,
            None => next.run(request).await,
        };
        if !only_looked || response.status() == StatusCode::FORBIDDEN {
            write_down(&admin, who.as_deref(), client, &method, path.as_deref(), &response);
        }
        drop(begun);
        response
    };
    // A task of its own: what has begun is done and written down, also when the caller has hung up by then.
    tokio::spawn(answered).await.unwrap_or_else(|_| ended())
}

/// The key that is this one. All are compared, so that the time tells nothing: not which one it was, nor how
/// much of it was right.
fn find<'k>(keys: &'k [AdminKey], given: &[u8]) -> Option<&'k AdminKey> {
    let given = digest::digest(&digest::SHA256, given);
    let is_same = |key: &AdminKey| {
        let own = digest::digest(&digest::SHA256, key.secret.as_bytes());
        constant_time::verify_slices_are_equal(own.as_ref(), given.as_ref()).is_ok()
    };
    keys.iter().fold(None, |found, key| if is_same(key) { Some(key) } else { found })
}

/// The role that a route takes; nothing where there is no such route, which tells nothing.
fn needed(routes: &[Route], method: &Method, path: &str) -> Option<Role> {
    // HEAD is answered as GET is.
    let method = if method == Method::HEAD { &Method::GET } else { method };
    let path = path.strip_prefix("/tyk").unwrap_or(path);
    routes.iter().find(|route| route.path == path && route.method == *method).map(|route| route.role)
}

/// Whether such a request changes nothing.
fn looks(role: Role, method: &Method) -> bool {
    match role {
        Role::Read => true,
        Role::Write | Role::Keys => matches!(*method, Method::GET | Method::HEAD),
        Role::Operate => false,
    }
}

fn write_down(
    admin: &Admin,
    who: Option<&str>,
    client: Option<IpAddr>,
    method: &Method,
    path: Option<&str>,
    response: &Response,
) {
    let nothing = Touched::default();
    let touched = response.extensions().get::<Touched>().unwrap_or(&nothing);
    let code = response.status();
    let by_code = match code {
        StatusCode::FORBIDDEN if who.is_none() => "no key",
        StatusCode::FORBIDDEN => "no role",
        code if code.is_success() => "done",
        _ => "refused",
    };
    let entry = AuditEntry {
        who,
        client: client.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        method: method.as_str(),
        // What is no route was chosen by the caller.
        path: path.unwrap_or("unknown"),
        kind: Some(touched.kind).filter(|kind| !kind.is_empty()),
        id: Some(&*touched.id).filter(|id| !id.is_empty()),
        status: code.as_u16(),
        outcome: touched.outcome.unwrap_or(by_code),
        before: touched.before.as_deref(),
        after: touched.after.as_deref(),
    };
    admin.control.config().audit_log.write(SystemTime::now(), &entry);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, secret: &str) -> AdminKey {
        AdminKey { name: name.into(), ..AdminKey::of_secret(secret.into()) }
    }

    #[test]
    fn the_one_key_that_is_shown() {
        let keys = [key("a", "first"), key("b", "second"), key("c", "third")];
        for (given, name) in [("first", "a"), ("second", "b"), ("third", "c")] {
            assert_eq!(find(&keys, given.as_bytes()).unwrap().name, name);
        }
        for given in ["", "secon", "secondx", "SECOND", " second"] {
            assert!(find(&keys, given.as_bytes()).is_none(), "{given}");
        }
        assert!(find(&[], b"").is_none());
    }
}
