//! May this caller use this API, path and method, and has it the scopes for that?
//!
//! A policy grants APIs, and for an API either everything or a list of URLs with methods. A granted
//! URL starts where the path starts, with or without the listen path, and ends where a segment
//! ends: `/orders` grants `/orders` and `/orders/7`, but neither `/orders-internal` nor
//! `/private/orders`, unless an API wants it as in Tyk (`unanchoredPaths`). A method must be listed exactly; HEAD is not GET.

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
    pub fn join(&mut self, other: &Self, together: Together) {
        match (&mut *self, other, together) {
            (Self::Urls(own), Self::Urls(others), _) => own.extend(others.iter().cloned()),
            (Self::Whole, Self::Whole, _) | (Self::Urls(_), Self::Whole, Together::Listed) => {}
            (Self::Whole, Self::Urls(_), Together::Listed) => *self = other.clone(),
            (_, _, Together::Everything) => *self = Self::Whole,
        }
    }
}

/// How the rights of several policies add up. It decides what two allow of which one grants the whole API, and the
/// other one a list of URLs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Together {
    /// The whole API: each policy adds what it grants.
    #[default]
    Everything,
    /// The list alone, as in Tyk, which joins the lists, and where none is left has no restriction.
    Listed,
}

/// What a caller may do, by API id.
#[derive(Clone, Debug, Default)]
pub struct Rights {
    by_api: HashMap<Arc<str>, ApiRight>,
    together: Together,
}

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
    /// A rule is about every path that has what it is about anywhere in it, as in Tyk.
    pub unanchored: bool,
}

impl Rights {
    /// No rights yet; those that are added are joined in this way.
    #[must_use]
    pub fn joined(together: Together) -> Self {
        Self { by_api: HashMap::new(), together }
    }

    /// Adds what a policy grants on an API to what others do.
    pub fn grant(&mut self, api: &Arc<str>, right: &ApiRight) {
        let together = self.together;
        self.by_api
            .entry(Arc::clone(api))
            .and_modify(|earlier| earlier.join(right, together))
            .or_insert_with(|| right.clone());
    }

    /// Whether nothing is granted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_api.is_empty()
    }

    /// The APIs on which something is granted.
    pub fn apis(&self) -> impl Iterator<Item = &str> {
        self.by_api.keys().map(AsRef::as_ref)
    }

    /// What is granted on an API.
    ///
    /// # Errors
    /// [`Reason::ApiNotGranted`].
    pub fn on(&self, api: &str) -> Result<&ApiRight, Reason> {
        self.by_api.get(api).ok_or(Reason::ApiNotGranted)
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
                        .any(|rule| wanted.paths.iter().any(|path| rule.allows(wanted, path)));
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
        let (all, nothing) = ((true, true), (false, false));
        for (first, second, together, (x, y)) in [
            (urls("/x"), urls("/y"), Together::Everything, all),
            (urls("/x"), urls("/y"), Together::Listed, all),
            (urls("/x"), urls("/x"), Together::Everything, (true, false)),
            (ApiRight::Whole, urls("/x"), Together::Everything, all),
            (urls("/x"), ApiRight::Whole, Together::Everything, all),
            (ApiRight::Whole, urls("/x"), Together::Listed, (true, false)),
            (urls("/x"), ApiRight::Whole, Together::Listed, (true, false)),
            (ApiRight::Whole, ApiRight::Whole, Together::Listed, all),
            // A list that grants nothing is one as well.
            (ApiRight::urls(Vec::new()), ApiRight::Whole, Together::Listed, nothing),
        ] {
            let mut rights = Rights::joined(together);
            rights.grant(&"a".into(), &first);
            rights.grant(&"a".into(), &second);
            let may = |path, ambiguous| {
                rights.check(&Wanted {
                    api: "a",
                    method: &Method::GET,
                    paths: [path, path],
                    ambiguous,
                    unanchored: false,
                })
            };
            assert_eq!((may("/x", false).is_ok(), may("/y", false).is_ok()), (x, y), "{first:?} {second:?}");
            let is_whole = |right: &ApiRight| matches!(right, ApiRight::Whole);
            let whole = match together {
                Together::Everything => is_whole(&first) || is_whole(&second),
                Together::Listed => is_whole(&first) && is_whole(&second),
            };
            assert_eq!(may("/x", true).is_ok(), whole);
        }
        let wanted =
            Wanted { api: "b", method: &Method::GET, paths: ["/", "/"], ambiguous: false, unanchored: false };
        assert_eq!(Rights::default().check(&wanted), Err(Reason::ApiNotGranted));
    }
}
