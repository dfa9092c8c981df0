//! The operations of an OpenAPI document, and which of them a request asks for.

use std::{cmp::Reverse, collections::BTreeMap, iter};

use http::Method;

use super::{
    Operation, Said,
    operation::NeedsToken,
    path_template::{PathTemplate, Reading},
    path_tree::{Extent, PathTree},
    said::{AT_ONCE, Matches},
    wide_paths::{WidePath, WidePaths},
};
use crate::{access::SchemeScopes, limits::SharedRate, path_pattern::PatternError};

/// The paths of an API and their operations.
#[derive(Debug)]
pub struct Operations {
    /// Those that say more come first: more segments, then fewer parameters.
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
    /// Whether one has a rate of its own.
    have_rates: bool,
}

/// A path of the document.
#[derive(Debug)]
pub(super) struct PathItem {
    path: PathTemplate,
    /// Those that are configured on their own.
    operations: Vec<Operation>,
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
        let key = |path: &PathTemplate| (Reverse(path.depth()), path.rank(), path.clone());
        let mut items: BTreeMap<_, Vec<Operation>> = BTreeMap::new();
        items.extend(declared.iter().map(|path| (key(path), Vec::new())));
        let have_scopes = operations.iter().any(|operation| operation.scopes.is_some());
        let have_rates = operations.iter().any(|operation| operation.rate.is_some());
        for operation in operations {
            items.entry(key(&operation.path)).or_default().push(operation);
        }
        let paths: Vec<_> =
            items.into_iter().map(|((.., path), operations)| PathItem { path, operations }).collect();
        let mut own = Self {
            exact: PathTree::new(Reading::Exact),
            any_case: None,
            ignores_case: false,
            anywhere: WidePaths::default(),
            loose: PathTree::new(Reading::Loose),
            paths,
            scopes,
            have_scopes,
            have_rates,
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

    /// All that is said of a request, by its decoded path, which may be `ambiguous`.
    #[must_use]
    pub fn said(&self, method: &Method, path: &str, ambiguous: bool) -> Said<'_> {
        if self.paths.is_empty() {
            return Said::default();
        }
        let found = self.matches(method, path);
        let rate = if self.have_rates { self.rate(&found, path, ambiguous) } else { None };
        Said { rate, ..found.said(ambiguous) }
    }

    /// What the paths say that this one is, or begins with; then those that it holds anywhere, where these count.
    fn matches<'m>(&self, method: &'m Method, path: &str) -> Matches<'_, 'm> {
        let mut found = Matches::new(method);
        let tree = match &self.any_case {
            Some(any_case) if self.ignores_case => {
                let written = self.exact.first(path).and_then(|number| self.paths.get(number));
                written.into_iter().for_each(|item| found.add(AT_ONCE, item, Extent::Whole));
                any_case
            }
            _ => &self.exact,
        };
        tree.visit_beginnings(path, |number, extent| {
            if let Some(item) = self.paths.get(number) {
                found.add(number.saturating_add(1), item, extent);
            }
        });
        if !self.anywhere.is_empty() {
            let methods = [Some(method), (*method == Method::HEAD).then_some(&Method::GET)];
            let held = methods.into_iter().flatten().flat_map(|m| self.anywhere.as_written(m, path));
            let held = held.filter_map(|(item, operation)| self.paths.get(*item)?.operations.get(*operation));
            held.for_each(|operation| found.add_held(operation));
        }
        found
    }

    /// The rate of the operation. Where a server could take the path for that of one that says more, the one of
    /// both that allows less counts; of an ambiguous path, the one of its method that does.
    fn rate<'o>(&'o self, found: &Matches<'o, '_>, path: &str, ambiguous: bool) -> Option<&'o SharedRate> {
        let mut tightest = found.rate();
        let mut add = |number: usize| {
            if let Some(rate) =
                self.paths.get(number).and_then(|item| item.of(found.method(), |o| o.rate.as_ref()))
            {
                tightest = Some(tightest.map_or(rate, |own| own.or_less(rate)));
            }
        };
        if ambiguous {
            (0..self.paths.len()).for_each(add);
        } else {
            self.loose.visit_beginnings(path, |number, _| {
                if found.rate_is_behind(number.saturating_add(1)) {
                    add(number);
                }
            });
        }
        tightest
    }

    fn item(&self, path: &str) -> Option<&PathItem> {
        let of_case = || self.any_case.as_ref().filter(|_| self.ignores_case)?.first(path);
        self.paths.get(self.exact.first(path).or_else(of_case)?)
    }

    /// The operation that opens this path in its letter case too, though it is not found in that. What the document
    /// declares in just this letter case is another one, whatever is said of it.
    fn opened_in_any_case(&self, method: &Method, path: &str) -> Option<&Operation> {
        let any_case = self.any_case.as_ref().filter(|_| self.exact.first(path).is_none())?;
        let item = self.paths.get(any_case.first(path)?)?;
        item.operation(method).filter(|operation| operation.authentication_ignores_case)
    }

    /// What some server could take a path for that is `found` to us, and that leaves open no more than that; of
    /// a path that is none of the document's to us, all.
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

    /// Whether requests for this method and path need a token, for which this very operation was found, if one was:
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
        // One whose path only stands somewhere in this one says no more of it than any that it could be.
        let is_held = found.is_some() && !self.anywhere.is_empty() && self.item(path).is_none();
        let meant = self.could_mean(path, (!is_held).then_some(&operation.path));
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
    pub(super) fn operation(&self, method: &Method) -> Option<&Operation> {
        self.of(method, Some)
    }

    /// What is said of this method here.
    pub(super) fn of<'o, T>(
        &'o self,
        method: &Method,
        what: impl Fn(&'o Operation) -> Option<T>,
    ) -> Option<T> {
        let of = |method: &Method| self.operations.iter().find(|own| own.method == *method).and_then(&what);
        of(method).or_else(|| if *method == Method::HEAD { of(&Method::GET) } else { None })
    }
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
    use std::time::Duration;

    use super::*;
    use crate::{access::RequiredScopes, limits::Allowance};

    fn operation(method: Method, path: &str, is_open: bool) -> Operation {
        let authentication = if is_open { NeedsToken::Never } else { NeedsToken::Always };
        Operation { authentication, ..Operation::new(method, PathTemplate::new(path).unwrap()) }
    }

    fn is_open(operations: &Operations, method: &Method, path: &str) -> bool {
        let found = operations.said(method, path, false).exact;
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
        assert!(operations.said(&Method::HEAD, "/other", false).exact.is_some());
        assert!(operations.said(&Method::POST, "/other", false).exact.is_none());
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
        assert!(
            all.said(&Method::GET, "/other", false).exact.is_some()
                && all.said(&Method::GET, "/other/", false).exact.is_none()
        );
    }

    #[test]
    fn what_is_declared_in_just_this_letter_case_is_not_opened_in_any() {
        let operations = || {
            let open = operation(Method::GET, "/users/me", true);
            vec![Operation { authentication_ignores_case: true, ..open }]
        };
        let closed = || operation(Method::GET, "/users/{name}", false);
        let declared = [PathTemplate::new("/users/{name}").unwrap()];
        let of = |operations| Operations::new(operations, &declared, SchemeScopes::default());
        // Whether something is said of the other one or not.
        let configured = || of(operations().into_iter().chain([closed()]).collect());
        for operations in [of(operations()), of(operations()).ignoring_case(), configured()] {
            let is_open = |path: &str| is_open(&operations, &Method::GET, path);
            assert!(is_open("/users/me") && is_open("/Users/ME"));
            assert!(!is_open("/users/ME") && !is_open("/users/Me"));
        }
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
        let templated = Operations::new(
            vec![operation(Method::GET, "/health", true)],
            &["/admin/{id}", "/{tenant}/files/{name}.json"].map(|path| PathTemplate::new(path).unwrap()),
            SchemeScopes::default(),
        );
        let templated = templated.anywhere().unwrap();
        let is_open = |path: &str| self::is_open(&templated, &Method::GET, path);
        for path in ["/health", "/health/", "/healthx", "/health/x", "/x/health", "/admin/x/health"] {
            assert!(is_open(path), "{path}");
        }
        for path in [
            "/admin/health",
            "/Admin/health",
            "/admin/health/",
            "/admin./health",
            "/admin;x/healthy",
            "/x/files/health.json",
            "/x/FILES/health.json",
            "/health/files/a.JSON/",
        ] {
            assert!(!is_open(path), "{path}");
        }
        assert!(operations.said(&Method::HEAD, "/x/a/7", false).exact.is_some());
        assert!(operations.said(&Method::POST, "/x/a/7", false).exact.is_none());
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

    fn timed(method: &str, path: &str, seconds: u64) -> Operation {
        let time_limit = Some(Duration::from_secs(seconds));
        Operation { time_limit, ..operation(method.parse().unwrap(), path, false) }
    }

    /// What is said of a path: the operation that it is, the one that it is or is below, and for how long.
    fn said<'o>(
        operations: &'o Operations,
        method: &str,
        path: &str,
    ) -> (Option<&'o Operation>, String, u64) {
        let said = operations.said(&method.parse().unwrap(), path, false);
        let name = said.operation.map(|own| format!("{} {}", own.method, own.path)).unwrap_or_default();
        (said.exact, name, said.time_limit.map_or(0, |limit| limit.as_secs()))
    }

    #[test]
    fn what_is_said_of_a_path_holds_for_what_is_below_it() {
        let operations = || {
            vec![
                timed("GET", "/", 1),
                timed("GET", "/a", 2),
                timed("GET", "/{x}/b", 3),
                timed("GET", "/a/b", 4),
                timed("GET", "/a/{x}/c", 5),
                operation(Method::GET, "/a/silent", false),
                timed("HEAD", "/head", 6),
            ]
        };
        let declared = ["/a/declared", "/a/declared/{x}"].map(|path| PathTemplate::new(path).unwrap());
        let mut turned = operations();
        turned.reverse();
        for operations in [operations(), turned] {
            let operations = Operations::new(operations, &declared, SchemeScopes::default());
            for (method, path, is_exact, name, seconds) in [
                ("GET", "/", true, "GET /", 1),
                ("GET", "/a", true, "GET /a", 2),
                ("GET", "/a/", false, "GET /a", 2),
                ("GET", "/ab", false, "GET /", 1),
                ("GET", "/a/b", true, "GET /a/b", 4),
                ("GET", "/a/b/c", true, "GET /a/{}/c", 5),
                ("GET", "/a/b/d", false, "GET /a/b", 4),
                ("GET", "/x/b", true, "GET /{}/b", 3),
                ("GET", "/x/b/y", false, "GET /{}/b", 3),
                // Of which something else is said.
                ("GET", "/a/silent", true, "GET /a/silent", 2),
                ("GET", "/a/silent/x", false, "GET /a/silent", 2),
                // Of which nothing is said, and which is no other operation all the same.
                ("GET", "/a/declared", false, "", 2),
                ("GET", "/a/declared/7/x", false, "", 2),
                ("HEAD", "/a", true, "GET /a", 2),
                ("HEAD", "/head/x", false, "HEAD /head", 6),
                ("POST", "/a", false, "", 0),
                ("GET", "/A", false, "GET /", 1),
            ] {
                let (exact, found, limit) = said(&operations, method, path);
                let expected = (is_exact, name.to_owned(), seconds);
                assert_eq!((exact.is_some(), found, limit), expected, "{method} {path}");
            }
        }
    }

    #[test]
    fn what_is_said_of_a_path_in_any_letter_case() {
        let operations = vec![timed("GET", "/Users", 1), timed("GET", "/users", 2), timed("GET", "/a/b", 3)];
        let operations = Operations::new(operations, &[], SchemeScopes::default()).ignoring_case();
        for (path, seconds) in
            [("/Users", 1), ("/users", 2), ("/A/B", 3), ("/a/B/x", 3), ("/a/b", 3), ("/a", 0), ("/x/a/b", 0)]
        {
            assert_eq!(said(&operations, "GET", path).2, seconds, "{path}");
        }
        assert_ne!(said(&operations, "GET", "/USERS").2, 0);
    }

    #[test]
    fn what_is_said_of_a_path_anywhere() {
        let operations = vec![timed("GET", "/x", 1), timed("GET", "/x/y", 2), timed("HEAD", "/h", 3)];
        let declared = [PathTemplate::new("/z/x").unwrap()];
        let operations = Operations::new(operations, &declared, SchemeScopes::default()).anywhere().unwrap();
        for (method, path, name, seconds) in [
            ("GET", "/x", "GET /x", 1),
            ("GET", "/xx", "GET /x", 1),
            ("GET", "/x/y/z", "GET /x/y", 2),
            ("GET", "/q/x/y", "GET /x/y", 2),
            ("HEAD", "/q/x/h", "HEAD /h", 3),
            ("HEAD", "/q/x", "GET /x", 1),
            // It is an operation of its own, of which Tyk says the same.
            ("GET", "/z/x", "", 1),
            ("GET", "/q", "", 0),
        ] {
            let (_, found, limit) = said(&operations, method, path);
            assert_eq!((&*found, limit), (name, seconds), "{method} {path}");
        }
    }

    #[test]
    fn a_path_that_can_be_read_differently_is_no_operation_and_goes_its_way() {
        let operations = Operations::new(vec![timed("GET", "/a", 1)], &[], SchemeScopes::default());
        let said = operations.said(&Method::GET, "/a/b%2fc", true);
        assert!(said.exact.is_none() && said.operation.is_none());
        assert_eq!(said.time_limit, Some(Duration::from_secs(1)));
    }

    #[test]
    fn no_spelling_leads_around_a_rate() {
        let rate = |method: Method, path: &str, requests: f64| Operation {
            rate: Some(shared(requests)),
            ..operation(method, path, false)
        };
        fn shared(requests: f64) -> SharedRate {
            SharedRate::of_api("org", &requests.to_string(), Allowance::rate(requests, 60.0).unwrap())
        }
        let operations = Operations::new(
            vec![
                rate(Method::GET, "/", 9.0),
                rate(Method::GET, "/users/{id}", 5.0),
                rate(Method::GET, "/users/me", 7.0),
                rate(Method::POST, "/Login/", 2.0),
                operation(Method::HEAD, "/users/me", false),
            ],
            &[],
            SchemeScopes::default(),
        );
        for (method, path, ambiguous, expected) in [
            ("GET", "/users/7", false, Some(5.0)),
            ("GET", "/users/7/orders", false, Some(5.0)),
            ("GET", "/users/me", false, Some(7.0)),
            ("HEAD", "/users/me", false, Some(7.0)),
            // One more counter is not one more chance.
            ("GET", "/users/ME", false, Some(5.0)),
            ("GET", "/users/me;x", false, Some(5.0)),
            ("GET", "/Users/7", false, Some(5.0)),
            ("GET", "/other", false, Some(9.0)),
            ("POST", "/Login/", false, Some(2.0)),
            ("POST", "/LOGIN;jsessionid=1", false, Some(2.0)),
            ("POST", "/login.", false, Some(2.0)),
            ("POST", "/log-in", false, None),
            ("GET", "/q%2fx", true, Some(5.0)),
            ("HEAD", "/q%2fx", true, Some(5.0)),
            ("PUT", "/q%2fx", true, None),
        ] {
            let found = operations.said(&method.parse().unwrap(), path, ambiguous).rate;
            assert_eq!(found.copied(), expected.map(shared), "{method} {path}");
        }
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
