//! Operations of the OpenAPI document that are configured on their own.

use std::{collections::BTreeMap, iter};

use http::Method;

use super::{
    HeaderRules, Mock,
    path_template::{PathTemplate, Reading},
    path_tree::PathTree,
    wide_paths::{WidePath, WidePaths},
};
use crate::{access::SchemeScopes, path_pattern::PatternError};

/// What happens to requests of one operation.
#[derive(Clone, Debug)]
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

/// The paths of an API and their operations.
#[derive(Clone, Debug)]
pub struct Operations {
    /// Those that leave less open come first.
    paths: Vec<PathItem>,
    /// Which of them a path is.
    exact: PathTree,
    /// The same in any letter case, where an operation is meant so.
    any_case: Option<PathTree>,
    /// Whether all are (`ignoreCase`).
    ignores_case: bool,
    /// Those whose paths are looked for anywhere in a path that is none of the document's: which item, and which
    /// operation of it.
    anywhere: WidePaths<(usize, usize)>,
    /// Which of them some server could take a path for.
    loose: PathTree,
    /// The scopes that all requests need whose operation asks for none itself.
    scopes: SchemeScopes,
    /// Whether one does.
    have_scopes: bool,
}

#[derive(Clone, Debug)]
struct PathItem {
    path: PathTemplate,
    /// Those that are configured on their own.
    operations: Vec<Operation>,
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
        }
    }

    /// The method that the upstream gets for this one, if it is another: HEAD, for which an operation of GET
    /// is found as well, stays what it is.
    #[must_use]
    pub fn to_method_of(&self, method: &Method) -> Option<&Method> {
        self.to_method.as_ref().filter(|_| self.method == method)
    }
}

impl Default for Operations {
    fn default() -> Self {
        Self::new(Vec::new(), &[], SchemeScopes::default())
    }
}

impl Operations {
    /// These operations, and all paths that the document declares: where one of them is meant, no
    /// templated path is. `scopes` is what requests need whose operation asks for none itself.
    #[must_use]
    pub fn new(operations: Vec<Operation>, declared: &[PathTemplate], scopes: SchemeScopes) -> Self {
        // A path without parameters is matched before its templated counterparts (OpenAPI 3.0,
        // Paths Object), and one that says more of a segment before one that says less.
        let key = |path: &PathTemplate| (path.rank(), path.clone());
        let mut items: BTreeMap<_, Vec<Operation>> = BTreeMap::new();
        items.extend(declared.iter().map(|path| (key(path), Vec::new())));
        let have_scopes = operations.iter().any(|operation| operation.scopes.is_some());
        for operation in operations {
            items.entry(key(&operation.path)).or_default().push(operation);
        }
        let paths: Vec<_> =
            items.into_iter().map(|((_, path), operations)| PathItem { path, operations }).collect();
        let mut own = Self {
            exact: PathTree::new(Reading::Exact),
            any_case: None,
            ignores_case: false,
            anywhere: WidePaths::default(),
            loose: PathTree::new(Reading::Loose),
            paths,
            scopes,
            have_scopes,
        };
        (own.exact, own.loose) = (own.tree(Reading::Exact), own.tree(Reading::Loose));
        if own.iter().any(|operation| operation.authentication_ignores_case) {
            own.any_case = Some(own.tree(Reading::AnyCase));
        }
        own
    }

    /// The same in any letter case, where none is meant as it is written.
    #[must_use]
    pub fn ignoring_case(mut self) -> Self {
        self.any_case = Some(self.tree(Reading::AnyCase));
        self.ignores_case = true;
        self
    }

    /// The same anywhere in paths that are none of the document's.
    ///
    /// # Errors
    /// [`PatternError`] when there are too many to be searched for at once.
    pub fn anywhere(mut self) -> Result<Self, PatternError> {
        let numbered = self.paths.iter().enumerate().flat_map(|(item, path)| {
            path.operations.iter().enumerate().map(move |(n, operation)| ((item, n), operation))
        });
        let wide = numbered.map(|(value, operation)| WidePath {
            method: operation.method.clone(),
            path: operation.path.to_string(),
            ignore_case: self.ignores_case,
            value,
        });
        self.anywhere = WidePaths::new(wide.collect())?;
        Ok(self)
    }

    fn tree(&self, reading: Reading) -> PathTree {
        let mut tree = PathTree::new(reading);
        self.paths.iter().enumerate().for_each(|(number, item)| tree.insert(&item.path, number));
        tree
    }

    /// The operation of a request, by its whole decoded path.
    #[must_use]
    pub fn find(&self, method: &Method, path: &str) -> Option<&Operation> {
        match self.item(path) {
            Some(item) => item.operation(method),
            None if self.anywhere.is_empty() => None,
            None => of_method(method, |method| {
                let (item, operation) = self.anywhere.first(method, path)?;
                self.paths.get(*item)?.operations.get(*operation)
            }),
        }
    }

    fn item(&self, path: &str) -> Option<&PathItem> {
        let of_case = || self.any_case.as_ref().filter(|_| self.ignores_case)?.first(path);
        self.paths.get(self.exact.first(path).or_else(of_case)?)
    }

    /// The operation that opens this path in its letter case too, though it is not found in that.
    fn opened_in_any_case(&self, method: &Method, path: &str) -> Option<&Operation> {
        let item = self.paths.get(self.any_case.as_ref()?.first(path)?)?;
        item.operation(method).filter(|operation| operation.authentication_ignores_case)
    }

    /// What some server could take a path for that is `found` to us, and that leaves open no more than that.
    fn could_mean(&self, path: &str, found: Option<&PathTemplate>) -> Vec<&PathItem> {
        // Some servers take what looks like the extension of a file for the format of the answer, and for no
        // part of the name.
        let is_written = found.is_some_and(PathTemplate::ends_as_written);
        let bare = if is_written { None } else { without_extension(path) };
        let rank = found.map(PathTemplate::rank);
        let mut numbers = Vec::new();
        self.loose.visit(path, |number| numbers.push(number));
        if let Some(bare) = bare {
            self.loose.visit(bare, |number| numbers.push(number));
        }
        numbers.sort_unstable();
        numbers.dedup();
        let leaves_no_more = |item: &&PathItem| rank.is_none_or(|rank| item.path.rank() <= rank);
        numbers.into_iter().filter_map(|number| self.paths.get(number)).filter(leaves_no_more).collect()
    }

    /// Whether requests for this method and path need a token, for which this operation was found, if one was:
    /// what the operation says counts for the method that is written and no other, and only if no server could
    /// take the path for another one of the document.
    #[must_use]
    pub fn needs_token(&self, found: Option<&Operation>, method: &Method, path: &str) -> NeedsToken {
        let Some(operation) = found.or_else(|| self.opened_in_any_case(method, path)) else {
            return NeedsToken::Always;
        };
        if operation.authentication == NeedsToken::Always || operation.method != method {
            return NeedsToken::Always;
        }
        let meant = self.could_mean(path, Some(&operation.path));
        let is_meant_alone = meant.iter().all(|item| item.path == operation.path);
        if is_meant_alone { operation.authentication } else { NeedsToken::Always }
    }

    /// The scopes that a request needs, each of them: those of its operation, and those of every other
    /// one that a server could take its path for; of a path that is `ambiguous`, those of all.
    pub fn scopes(
        &self,
        method: &Method,
        path: &str,
        ambiguous: bool,
    ) -> impl Iterator<Item = &SchemeScopes> {
        let found = if ambiguous { None } else { self.item(path) };
        let meant = match (self.have_scopes, ambiguous) {
            (false, _) => Vec::new(),
            (true, false) => self.could_mean(path, found.map(|item| &item.path)),
            (true, true) => self.paths.iter().collect(),
        };
        iter::once(found).chain(meant.into_iter().map(Some)).map(move |item| {
            let own = item.and_then(|item| item.operation(method)?.scopes.as_ref());
            own.unwrap_or(&self.scopes)
        })
    }

    /// Those that are configured on their own.
    pub fn iter(&self) -> impl Iterator<Item = &Operation> {
        self.paths.iter().flat_map(|item| &item.operations)
    }
}

impl PathItem {
    /// The operation of this method. HEAD asks for what GET would, so it follows GET unless the document
    /// says otherwise (RFC 9110 section 9.3.2).
    fn operation(&self, method: &Method) -> Option<&Operation> {
        of_method(method, |method| self.operations.iter().find(|operation| operation.method == method))
    }
}

fn of_method<T>(method: &Method, find: impl Fn(&Method) -> Option<T>) -> Option<T> {
    find(method).or_else(|| if method == Method::HEAD { find(&Method::GET) } else { None })
}

/// The path without the extension of its last segment, if that has one.
fn without_extension(path: &str) -> Option<&str> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let (before, last) = path.split_at_checked(path.rfind('/')?.checked_add(1)?)?;
    let (name, _) = Reading::Loose.of_segment(last).rsplit_once('.')?;
    path.get(..before.len().checked_add(name.len())?).filter(|_| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::RequiredScopes;

    fn operation(method: Method, path: &str, is_open: bool) -> Operation {
        let authentication = if is_open { NeedsToken::Never } else { NeedsToken::Always };
        Operation { authentication, ..Operation::new(method, PathTemplate::new(path).unwrap()) }
    }

    fn is_open(operations: &Operations, method: &Method, path: &str) -> bool {
        let found = operations.find(method, path);
        operations.needs_token(found, method, path) == NeedsToken::Never
    }

    #[test]
    fn literal_paths_come_first() {
        let operations = Operations::new(
            vec![operation(Method::GET, "/{x}", true), operation(Method::GET, "/private", false)],
            &[],
            SchemeScopes::default(),
        );
        assert!(!is_open(&operations, &Method::GET, "/private"));
        assert!(is_open(&operations, &Method::GET, "/other"));
        assert!(operations.find(&Method::HEAD, "/other").is_some());
        assert!(operations.find(&Method::POST, "/other").is_none());
    }

    #[test]
    fn what_says_more_comes_first() {
        let get = |path: &str, open| operation(Method::GET, path, open);
        let opens = |operations: Vec<Operation>, declared: &[&str], path: &str| {
            let declared: Vec<_> = declared.iter().map(|path| PathTemplate::new(path).unwrap()).collect();
            is_open(&Operations::new(operations, &declared, SchemeScopes::default()), &Method::GET, path)
        };
        let files = || vec![get("/files/{name}", true), get("/files/{name}.json", false)];
        assert!(opens(files(), &[], "/files/a.txt"));
        for path in ["/files/secret.json", "/files/secret.JSON", "/files/secret.json;x"] {
            assert!(!opens(files(), &[], path), "{path}");
        }
        let documents = || vec![get("/docs/{name}.json", true)];
        assert!(opens(documents(), &["/docs/{name}"], "/docs/x.json"));
        assert!(!opens(documents(), &["/docs/{name}"], "/docs/x.txt"));
        // Two paths that say as much: nobody knows which is meant.
        let crossed = || vec![get("/a/{b}", true), get("/{a}/b", false)];
        assert!(!opens(crossed(), &[], "/a/b") && opens(crossed(), &[], "/a/c"));
    }

    #[test]
    fn an_open_operation_opens_nothing_beside_it() {
        let operations = Operations::new(
            vec![operation(Method::GET, "/users/{id}", true), operation(Method::GET, "/users/admin", false)],
            &["/users/me", "/users/\u{e9}t\u{e9}", "/users/key"].map(|path| PathTemplate::new(path).unwrap()),
            SchemeScopes::default(),
        );
        let is_open = |method: Method, path: &str| is_open(&operations, &method, path);
        assert!(is_open(Method::GET, "/users/7") && is_open(Method::GET, "/users/administrator"));
        assert!(is_open(Method::GET, "/users/7.json") && is_open(Method::GET, "/users/.me"));
        assert!(!is_open(Method::HEAD, "/users/7") && !is_open(Method::POST, "/users/7"));
        for path in [
            "me",
            "admin",
            "admin;x=1",
            "admin;",
            "admin ",
            "admin.",
            "ADMIN",
            "Me",
            "me.;x",
            "7/x",
            "",
            "admin.json",
            "ME.JSON",
            "me.json;x",
            "me.json.",
            "\u{c9}T\u{c9}",
            "\u{212a}ey",
        ] {
            assert!(!is_open(Method::GET, &format!("/users/{path}")), "{path}");
        }
    }

    #[test]
    fn an_open_operation_in_any_letter_case() {
        let open = Operation { authentication_ignores_case: true, ..operation(Method::GET, "/health", true) };
        let closed = operation(Method::GET, "/Other", true);
        let operations = Operations::new(vec![open, closed], &[], SchemeScopes::default());
        let is_open = |method: Method, path: &str| is_open(&operations, &method, path);
        assert!(is_open(Method::GET, "/HEALTH") && is_open(Method::GET, "/Other"));
        assert!(!is_open(Method::POST, "/HEALTH") && !is_open(Method::GET, "/other"));
        assert!(!is_open(Method::GET, "/HEALTH/x") && !is_open(Method::GET, "/x/HEALTH"));
        let all = operations.ignoring_case();
        assert!(all.find(&Method::GET, "/other").is_some() && all.find(&Method::GET, "/other/").is_none());
    }

    #[test]
    fn anywhere() {
        let operations = Operations::new(
            vec![operation(Method::GET, "/health", true), operation(Method::GET, "/a/{id}", false)],
            &[PathTemplate::new("/admin/health").unwrap()],
            SchemeScopes::default(),
        );
        let operations = operations.anywhere().unwrap();
        let is_open = |path: &str| is_open(&operations, &Method::GET, path);
        for path in ["/health", "/healthx", "/health/x", "/x/health"] {
            assert!(is_open(path), "{path}");
        }
        // What the document declares is no other operation, and what a server could take for it neither.
        for path in ["/admin/health", "/Admin/health", "/HEALTH", "/x"] {
            assert!(!is_open(path), "{path}");
        }
        assert!(operations.find(&Method::HEAD, "/x/a/7").is_some());
        assert!(operations.find(&Method::POST, "/x/a/7").is_none());
    }

    #[test]
    fn extensions_that_the_document_writes_are_names() {
        let operations = Operations::new(
            vec![operation(Method::GET, "/status.json", true), operation(Method::GET, "/{x}/a.json", true)],
            &["/status", "/{x}/a"].map(|path| PathTemplate::new(path).unwrap()),
            SchemeScopes::default(),
        );
        assert!(is_open(&operations, &Method::GET, "/status.json"));
        assert!(is_open(&operations, &Method::GET, "/b/a.json"));
    }

    fn scopes(scope: &str) -> SchemeScopes {
        SchemeScopes::new([("jwt".into(), RequiredScopes::one_of(vec![vec![scope.into()]]))])
    }

    /// What a request needs, of some operations and of an API whose other requests need `all`.
    fn needed(method: &Method, path: &str, ambiguous: bool) -> Vec<String> {
        let asks = |method: Method, path: &str, scope: &str| Operation {
            scopes: Some(scopes(scope)),
            ..operation(method, path, false)
        };
        let operations = Operations::new(
            vec![
                asks(Method::GET, "/users/{id}", "read"),
                asks(Method::GET, "/users/me", "me"),
                asks(Method::POST, "/users/", "write"),
                asks(Method::GET, "/v1;x/y", "odd"),
            ],
            &[PathTemplate::new("/users/free").unwrap()],
            scopes("all"),
        );
        let mut needed: Vec<String> = operations
            .scopes(method, path, ambiguous)
            .map(|scopes| scopes.check("jwt", |_| false).unwrap_err().required)
            .collect();
        needed.sort();
        needed.dedup();
        needed
    }

    #[test]
    fn a_path_that_can_be_read_differently_needs_the_scopes_of_every_reading() {
        let get = |path: &str| needed(&Method::GET, path, false);
        for (path, expected) in [
            ("/users/7", &["read"][..]),
            ("/users/me", &["me"]),
            ("/users/free", &["all"]),
            ("/elsewhere", &["all"]),
            ("/users/ME", &["me", "read"]),
            ("/users/me;x=1", &["me", "read"]),
            ("/users/FREE", &["all", "read"]),
            // No path of the document, to whoever reads it exactly.
            ("/Users/7", &["all", "read"]),
            ("/users/7/", &["all", "read"]),
            ("/users/me/", &["all", "me", "read"]),
            ("/users/me ", &["me", "read"]),
            // To some servers an extension is the format of the answer, and no part of the name.
            ("/users/me.json", &["me", "read"]),
            ("/users/7.json", &["read"]),
            ("/Users/7.json", &["all", "read"]),
            ("/v1;x/y.xml", &["all", "odd"]),
            ("/V1/y", &["all", "odd"]),
            ("/elsewhere.json", &["all"]),
            ("/v1;x/y", &["odd"]),
        ] {
            assert_eq!(get(path), expected, "{path}");
        }
        assert_eq!(needed(&Method::HEAD, "/users/7", false), ["read"]);
        assert_eq!(needed(&Method::POST, "/users/", false), ["write"]);
        assert_eq!(needed(&Method::POST, "/users", false), ["all", "write"]);
        assert_eq!(needed(&Method::POST, "/users/7", false), ["all"]);
        assert_eq!(needed(&Method::GET, "/users/a/me", true), ["all", "me", "odd", "read"]);
    }
}
