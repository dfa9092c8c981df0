//! The routes of the control API, each with the role that it takes: what is routed, what is let through and
//! what the OpenAPI document of the control API must describe is one list.

use axum::{
    Router,
    handler::Handler,
    http::Method,
    routing::{MethodFilter, on},
};

use super::Admin;
use crate::config::Role;

/// Everything that a group of routes answers, below `/tyk`.
#[derive(Default)]
pub(super) struct Routes {
    router: Router<Admin>,
    known: Vec<Route>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) method: Method,
    /// The path below `/tyk`, with the names of its variables.
    pub(super) path: &'static str,
    pub(super) role: Role,
}

/// A method of [`Routes`] for each method of HTTP.
macro_rules! methods {
    ($($name:ident $method:ident)*) => { $(
        pub(super) fn $name<H, T>(self, path: &'static str, role: Role, handler: H) -> Self
        where
            H: Handler<T, Admin>,
            T: 'static,
        {
            self.on((Method::$method, MethodFilter::$method), path, role, handler)
        }
    )* };
}

impl Routes {
    methods! { get GET post POST put PUT patch PATCH delete DELETE }

    fn on<H, T>(
        mut self,
        (method, filter): (Method, MethodFilter),
        path: &'static str,
        role: Role,
        handler: H,
    ) -> Self
    where
        H: Handler<T, Admin>,
        T: 'static,
    {
        self.router = self.router.route(path, on(filter, handler));
        self.known.push(Route { method, path, role });
        self
    }

    /// Both groups.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        self.known.extend(other.known);
        self
    }

    /// The same routes, whose bodies may have so many octets.
    pub(super) fn with_bodies_of(mut self, octets: usize) -> Self {
        self.router = self.router.layer(axum::extract::DefaultBodyLimit::max(octets));
        self
    }

    pub(super) fn into_parts(self) -> (Router<Admin>, Vec<Route>) {
        (self.router, self.known)
    }
}
