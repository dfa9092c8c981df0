//! One operation of the OpenAPI document that is configured on its own.

use std::time::Duration;

use http::Method;

use super::{HeaderRules, Mock, path_template::PathTemplate, rewrite::UrlRewrite};
use crate::{access::SchemeScopes, limits::SharedRate};

/// What is said of the requests of one operation. [`Said`](super::Said) tells which of it holds for what is below
/// its path as well.
#[derive(Debug)]
pub struct Operation {
    /// Its method.
    pub method: Method,
    /// Its path, below the listen path.
    pub path: PathTemplate,
    /// Whether its requests need a token.
    pub authentication: NeedsToken,
    /// Whether that counts for its path in any letter case.
    pub authentication_ignores_case: bool,
    /// The scopes that it asks for itself; without them those of all other requests.
    pub scopes: Option<SchemeScopes>,
    /// Changes to the request's headers, after those of the API.
    pub request_headers: HeaderRules,
    /// Changes to the answer's headers, before those of the API.
    pub response_headers: HeaderRules,
    /// The method that the upstream gets.
    pub to_method: Option<Method>,
    /// The answer instead of the upstream's.
    pub mock: Option<Mock>,
    /// The URL that they get instead.
    pub rewrite: Option<UrlRewrite>,
    /// How long everything may take.
    pub time_limit: Option<Duration>,
    /// How often, whoever calls.
    pub rate: Option<SharedRate>,
}

/// Whether requests of an operation need a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NeedsToken {
    /// They do.
    #[default]
    Always,
    /// One that carries a token needs a good one (`optionalAuthentication`).
    IfThereIsOne,
    /// Nobody looks (`ignoreAuthentication`).
    Never,
}

impl Operation {
    /// An operation of which nothing is said.
    #[must_use]
    pub fn new(method: Method, path: PathTemplate) -> Self {
        Self {
            method,
            path,
            authentication: NeedsToken::Always,
            authentication_ignores_case: false,
            scopes: None,
            request_headers: HeaderRules::default(),
            response_headers: HeaderRules::default(),
            to_method: None,
            mock: None,
            rewrite: None,
            time_limit: None,
            rate: None,
        }
    }

    /// The method that the upstream gets for this one, if it is another: HEAD, for which an operation of GET
    /// is found as well, stays what it is.
    #[must_use]
    pub fn to_method_of(&self, method: &Method) -> Option<&Method> {
        self.to_method.as_ref().filter(|_| self.method == method)
    }
}
