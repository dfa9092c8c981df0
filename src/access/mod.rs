//! May this caller use this API, path and method, and has it the scopes for that?
//!
//! A policy grants APIs, and for an API either everything or a list of URLs with methods. A granted
//! URL starts where the path starts, with or without the listen path, and ends where a segment
//! ends: `/orders` grants `/orders` and `/orders/7`, but neither `/orders-internal` nor
//! `/private/orders`. A method must be listed exactly; HEAD is not GET.

mod scopes;
mod urls;

use std::{collections::HashMap, sync::Arc};

use http::Method;

use crate::refusal::Reason;

pub use scopes::{MissingScopes, RequiredScopes, SchemeScopes, is_scope};
pub use urls::UrlRule;

/// What a caller may do on one API.
#[derive(Clone, Debug)]
pub enum ApiRight {
    /// Everything.
    Whole,
    /// What one of these rules allows: a list from each policy.
    Urls(Vec<Arc<[UrlRule]>>),
}

impl ApiRight {
    /// What one of these rules allows.
    #[must_use]
    pub fn urls(rules: Vec<UrlRule>) -> Self {
        Self::Urls(vec![rules.into()])
    }

    /// Adds what another one allows.
    pub fn join(&mut self, other: &Self) {
        match (&mut *self, other) {
            (Self::Urls(own), Self::Urls(others)) => own.extend(others.iter().cloned()),
            _ => *self = Self::Whole,
        }
    }
}

/// What a caller may do, by API id.
#[derive(Clone, Debug, Default)]
pub struct Rights(HashMap<Arc<str>, ApiRight>);

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The id of the API.
    pub api: &'a str,
    /// The request's method.
    pub method: &'a Method,
    /// The decoded path: whole, and after the listen path.
    pub paths: [&'a str; 2],
    /// An upstream may read the path differently: no rule that names paths can grant it.
    pub ambiguous: bool,
}

impl Rights {
    /// Adds what a policy grants on an API to what others do.
    pub fn grant(&mut self, api: &Arc<str>, right: &ApiRight) {
        self.0
            .entry(Arc::clone(api))
            .and_modify(|earlier| earlier.join(right))
            .or_insert_with(|| right.clone());
    }

    /// Whether nothing is granted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The APIs on which something is granted.
    pub fn apis(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(AsRef::as_ref)
    }

    /// What is granted on an API.
    ///
    /// # Errors
    /// [`Reason::ApiNotGranted`].
    pub fn on(&self, api: &str) -> Result<&ApiRight, Reason> {
        self.0.get(api).ok_or(Reason::ApiNotGranted)
    }

    /// Whether these rights cover a request.
    ///
    /// # Errors
    /// [`Reason::ApiNotGranted`] or [`Reason::PathNotGranted`].
    pub fn check(&self, wanted: &Wanted<'_>) -> Result<(), Reason> {
        match self.on(wanted.api)? {
            ApiRight::Whole => Ok(()),
            ApiRight::Urls(rules) => {
                let granted = !wanted.ambiguous
                    && rules
                        .iter()
                        .flat_map(|rules| rules.iter())
                        .any(|rule| wanted.paths.iter().any(|path| rule.allows(wanted.method, path)));
                if granted { Ok(()) } else { Err(Reason::PathNotGranted) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_add_up_in_any_order() {
        let urls = |url: &str| ApiRight::urls(vec![UrlRule::new(url, [Method::GET]).unwrap()]);
        for (first, second, x, y) in [
            (urls("/x"), urls("/y"), true, true),
            (urls("/x"), urls("/x"), true, false),
            (ApiRight::Whole, urls("/x"), true, true),
            (urls("/x"), ApiRight::Whole, true, true),
        ] {
            let mut rights = Rights::default();
            rights.grant(&"a".into(), &first);
            rights.grant(&"a".into(), &second);
            let may = |path, ambiguous| {
                rights.check(&Wanted { api: "a", method: &Method::GET, paths: [path, path], ambiguous })
            };
            assert_eq!((may("/x", false).is_ok(), may("/y", false).is_ok()), (x, y), "{first:?} {second:?}");
            let whole = matches!(first, ApiRight::Whole) || matches!(second, ApiRight::Whole);
            assert_eq!(may("/x", true).is_ok(), whole);
        }
        let wanted = Wanted { api: "b", method: &Method::GET, paths: ["/", "/"], ambiguous: false };
        assert_eq!(Rights::default().check(&wanted), Err(Reason::ApiNotGranted));
    }
}
