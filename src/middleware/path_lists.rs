//! Which operations of an API are open at all, whoever asks (`allow`, `block`, `internal`).

use http::Method;

use super::{
    Place,
    path_template::{PathTemplate, Reading},
    path_tree::PathTree,
    wide_paths::{Case, WidePaths},
};
use crate::refusal::Profile;

/// The operations that may be asked for, and those that may not.
#[derive(Clone, Debug, Default)]
pub struct PathLists {
    /// The only ones that may be; nothing, if all may.
    pub allowed: Option<Allowed>,
    /// Those that may not be, allowed or not.
    pub closed: WidePaths<Closed>,
}

/// The operations that may be asked for.
#[derive(Clone, Debug)]
pub enum Allowed {
    /// Those whose paths a request's path is, or begins with.
    Beginnings(Box<Beginnings>),
    /// Those whose paths a request's path holds anywhere.
    Anywhere(WidePaths<()>),
}

/// Operations that are allowed, and what is below them.
#[derive(Clone, Debug)]
pub struct Beginnings {
    as_written: PathTree,
    any_case: PathTree,
    /// The methods, by the numbers of the paths.
    methods: Vec<Method>,
}

/// Why an operation is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// It is blocked.
    Block,
    /// It is for other APIs of the gateway.
    Internal,
}

/// Which lists are not about a request. A block is about every one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Exempt {
    /// Nobody looks at its token, so it may without being allowed, as in Tyk.
    pub from_allow: bool,
    /// It comes from another API.
    pub from_internal: bool,
}

/// Why a request may not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forbidden {
    /// It asks for what is closed.
    Closed(Closed),
    /// Other operations are allowed.
    NotAllowed,
}

impl PathLists {
    /// Whether there is nothing on any list.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.allowed.is_none() && self.closed.is_empty()
    }

    /// Whether a request may go on.
    ///
    /// # Errors
    /// [`Forbidden`] says which list is in the way.
    pub fn check(&self, place: &Place<'_>, exempt: Exempt, profile: Profile) -> Result<(), Forbidden> {
        let case = match profile {
            // Many servers ignore letter case.
            Profile::Rfc => Case::Any,
            Profile::Tyk => Case::AsWritten,
        };
        let is_closed = |closed: &&Closed| !(exempt.from_internal && **closed == Closed::Internal);
        if !self.closed.is_empty()
            && let Some(closed) = self.closed.find(place, case).find(is_closed)
        {
            return Err(Forbidden::Closed(*closed));
        }
        match &self.allowed {
            Some(allowed) if !exempt.from_allow && !allowed.holds(place) => Err(Forbidden::NotAllowed),
            _ => Ok(()),
        }
    }
}

impl Allowed {
    /// A path that servers could read differently is not allowed: nobody knows what it asks for.
    fn holds(&self, place: &Place<'_>) -> bool {
        !place.ambiguous
            && match self {
                Self::Beginnings(beginnings) => beginnings.hold(place),
                Self::Anywhere(paths) => paths.as_written(place.method, place.path).next().is_some(),
            }
    }
}

impl Beginnings {
    /// These operations, each with whether its letter case does not matter.
    #[must_use]
    pub fn new(operations: impl IntoIterator<Item = (Method, PathTemplate, bool)>) -> Self {
        let (mut as_written, mut any_case) = (PathTree::new(Reading::Exact), PathTree::new(Reading::AnyCase));
        let mut methods = Vec::new();
        for (number, (method, path, ignore_case)) in operations.into_iter().enumerate() {
            let tree = if ignore_case { &mut any_case } else { &mut as_written };
            tree.insert(&path, number);
            methods.push(method);
        }
        Self { as_written, any_case, methods }
    }

    /// A method must be listed: to ask with HEAD is not to ask with GET, as in policies.
    fn hold(&self, place: &Place<'_>) -> bool {
        let mut held = false;
        for tree in [&self.as_written, &self.any_case] {
            tree.visit_beginnings(place.path, |number, _| {
                held |= self.methods.get(number) == Some(place.method);
            });
        }
        held
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::middleware::WidePath;

    const EXEMPT: Exempt = Exempt { from_allow: true, from_internal: true };
    const MAY: Result<(), Forbidden> = Ok(());
    const NOT_ALLOWED: Result<(), Forbidden> = Err(Forbidden::NotAllowed);
    const BLOCKED: Result<(), Forbidden> = Err(Forbidden::Closed(Closed::Block));

    fn lists(allowed: &[(&str, bool)], blocked: &[&str]) -> PathLists {
        let allowed = (!allowed.is_empty()).then(|| {
            let operation =
                |(path, any): &(&str, bool)| (Method::GET, PathTemplate::new(path).unwrap(), *any);
            Allowed::Beginnings(Box::new(Beginnings::new(allowed.iter().map(operation))))
        });
        let closed = blocked.iter().map(|path| WidePath {
            method: Method::GET,
            path: (*path).into(),
            ignore_case: false,
            value: Closed::Block,
        });
        PathLists { allowed, closed: WidePaths::new(closed.collect()).unwrap() }
    }

    #[test]
    fn allowed_is_what_begins_so() {
        let lists = lists(&[("/x", false), ("/users/{id}", true)], &[]);
        for (method, path, ambiguous, expected) in [
            ("GET", "/x", false, MAY),
            ("GET", "/x/", false, MAY),
            ("GET", "/x/y", false, MAY),
            ("GET", "/USERS/1", false, MAY),
            ("HEAD", "/x", false, NOT_ALLOWED),
            ("POST", "/x", false, NOT_ALLOWED),
            ("GET", "/X", false, NOT_ALLOWED),
            ("GET", "/xx", false, NOT_ALLOWED),
            ("GET", "/x;a", false, NOT_ALLOWED),
            ("GET", "/z/x", false, NOT_ALLOWED),
            ("GET", "/x/y", true, NOT_ALLOWED),
            ("GET", "/users/", false, NOT_ALLOWED),
        ] {
            let method = method.parse().unwrap();
            let place = Place { method: &method, path, ambiguous };
            for profile in [Profile::Rfc, Profile::Tyk] {
                assert_eq!(lists.check(&place, Exempt::default(), profile), expected, "{method} {path}");
                assert_eq!(lists.check(&place, EXEMPT, profile), MAY, "{method} {path}");
            }
        }
    }

    #[test]
    fn what_is_blocked_is_so_for_everybody() {
        let lists = lists(&[("/x", false)], &["/x/secret"]);
        let check = |path: &str, exempt, profile| {
            lists.check(&Place { method: &Method::GET, path, ambiguous: false }, exempt, profile)
        };
        let nothing = Exempt::default();
        for profile in [Profile::Rfc, Profile::Tyk] {
            assert_eq!(check("/x/public", nothing, profile), MAY);
            for path in ["/x/secret", "/x/secret/7", "/x/secrets", "/x;a=b/secret"] {
                assert_eq!(
                    (check(path, nothing, profile), check(path, EXEMPT, profile)),
                    (BLOCKED, BLOCKED),
                    "{path}"
                );
            }
        }
        assert_eq!(check("/x/Secret", nothing, Profile::Rfc), BLOCKED);
        assert_eq!(check("/x/Secret", nothing, Profile::Tyk), MAY);
    }
}
