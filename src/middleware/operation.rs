//! Operations of the OpenAPI document that are configured on their own.

use std::{collections::BTreeMap, fmt, iter};

use http::Method;

use super::{HeaderRules, MockResponse};
use crate::{access::SchemeScopes, path_pattern::loosened_segment};

/// What happens to requests of one operation.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Its method.
    pub method: Method,
    /// Its path, below the listen path.
    pub path: PathTemplate,
    /// Whether its requests need a token.
    pub authentication: NeedsToken,
    /// The scopes that it asks for itself; without them those of all other requests.
    pub scopes: Option<SchemeScopes>,
    /// Changes to the request's headers, after those of the API.
    pub request_headers: HeaderRules,
    /// Changes to the answer's headers, before those of the API.
    pub response_headers: HeaderRules,
    /// The answer instead of the upstream's.
    pub mock: Option<MockResponse>,
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
#[derive(Clone, Debug, Default)]
pub struct Operations {
    paths: Vec<PathItem>,
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

/// A path of the OpenAPI document: literal, but for `{parameters}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PathTemplate(Vec<Segment>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Literal(Box<str>),
    /// Anything between these two, at least one character and no slash.
    Parameter(Box<str>, Box<str>),
}

/// Why a text is not such a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TemplateError;

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a path starts with a slash and has at most one {parameter} in each segment; correct it")
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
        let paths = items.into_iter().map(|((_, path), operations)| PathItem { path, operations });
        Self { paths: paths.collect(), scopes, have_scopes }
    }

    /// The operation of a request, by its whole decoded path.
    #[must_use]
    pub fn find(&self, method: &Method, path: &str) -> Option<&Operation> {
        self.item(path)?.operation(method)
    }

    fn item(&self, path: &str) -> Option<&PathItem> {
        self.paths.iter().find(|item| item.path.matches(path, Reading::Exact))
    }

    /// Whether requests of an operation that was found for this method and path need a token: what the
    /// operation says counts for the method that is written and no other, and only if no server could
    /// take the path for another one of the document.
    #[must_use]
    pub fn needs_token(&self, operation: &Operation, method: &Method, path: &str) -> NeedsToken {
        let asked = Asked::new(path, Some(&operation.path));
        let mut meant = self.paths.iter().filter(|item| asked.could_mean(item));
        match operation.authentication {
            NeedsToken::Always => NeedsToken::Always,
            loose if operation.method == method && meant.all(|item| item.path == operation.path) => loose,
            NeedsToken::IfThereIsOne | NeedsToken::Never => NeedsToken::Always,
        }
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
        let asked = Asked::new(path, found.map(|item| &item.path));
        let others = self.paths.iter().filter(|_| self.have_scopes);
        let meant = others.filter(move |item| ambiguous || asked.could_mean(item));
        iter::once(found).chain(meant.map(Some)).map(move |item| {
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
        let of = |method: &Method| self.operations.iter().find(|operation| operation.method == method);
        of(method).or_else(|| if method == Method::HEAD { of(&Method::GET) } else { None })
    }
}

/// The path of a request, as servers may read it that are less exact than we.
#[derive(Clone, Copy)]
struct Asked<'a> {
    path: &'a str,
    /// The path without what looks like the extension of a file, which some take for the format of the
    /// answer and no part of the name.
    bare: Option<&'a str>,
    /// How much that leaves open which we found.
    rank: Option<Rank>,
}

impl<'a> Asked<'a> {
    /// This path, and the one of the document that it is to us.
    fn new(path: &'a str, found: Option<&PathTemplate>) -> Self {
        let is_written = found.is_some_and(PathTemplate::ends_as_written);
        let bare = if is_written { None } else { without_extension(path) };
        Self { path, bare, rank: found.map(PathTemplate::rank) }
    }

    /// Whether some server could take the path for this one, which leaves open no more than what we
    /// found.
    fn could_mean(&self, item: &PathItem) -> bool {
        let matches = |path: &str| item.path.matches(path, Reading::Loose);
        self.rank.is_none_or(|rank| item.path.rank() <= rank)
            && (matches(self.path) || self.bare.is_some_and(matches))
    }
}

/// The path without the extension of its last segment, if that has one.
fn without_extension(path: &str) -> Option<&str> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let (before, last) = path.split_at_checked(path.rfind('/')?.checked_add(1)?)?;
    let (name, _) = Reading::Loose.of_segment(last).rsplit_once('.')?;
    path.get(..before.len().checked_add(name.len())?).filter(|_| !name.is_empty())
}

/// How much a path leaves open: the number of its parameters, and of those that are a whole segment.
type Rank = (usize, usize);

/// How literally a path is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    Exact,
    /// As servers do that ignore letter case, parameters behind `;`, spaces and dots at the end of a
    /// segment, and a slash at the end of the path.
    Loose,
}

impl Reading {
    /// What stands between these two.
    fn without<'t>(self, text: &'t str, before: &str, after: &str) -> Option<&'t str> {
        let (start, rest) = text.split_at_checked(before.len())?;
        let (value, end) = rest.split_at_checked(rest.len().checked_sub(after.len())?)?;
        let same = match self {
            Self::Exact => start == before && end == after,
            Self::Loose => start.eq_ignore_ascii_case(before) && end.eq_ignore_ascii_case(after),
        };
        same.then_some(value)
    }

    fn of_segment(self, text: &str) -> &str {
        match self {
            Self::Exact => text,
            Self::Loose => loosened_segment(text),
        }
    }
}

impl PathTemplate {
    /// Reads a path of the OpenAPI document.
    ///
    /// # Errors
    /// [`TemplateError`] when it is none.
    pub fn new(path: &str) -> Result<Self, TemplateError> {
        let path = path.strip_prefix('/').ok_or(TemplateError)?;
        path.split('/').map(segment).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a decoded path is one of these.
    fn matches(&self, path: &str, reading: Reading) -> bool {
        let Some(path) = path.strip_prefix('/') else { return false };
        let (own, path) = match (reading, &*self.0) {
            (Reading::Exact, own) => (own, path),
            (Reading::Loose, own) => (without_end(own), path.strip_suffix('/').unwrap_or(path)),
        };
        let mut asked = path.split('/');
        let fits = |segment: &Segment, text| segment.matches(reading.of_segment(text), reading);
        own.iter().all(|segment| asked.next().is_some_and(|text| fits(segment, text)))
            && asked.next().is_none()
    }

    /// Whether the document says itself how such paths end, extension and all.
    fn ends_as_written(&self) -> bool {
        match self.0.last() {
            Some(Segment::Parameter(_, after)) => after.contains('.'),
            Some(Segment::Literal(_)) | None => true,
        }
    }

    fn rank(&self) -> Rank {
        let parameters = || {
            self.0.iter().filter_map(|segment| match segment {
                Segment::Parameter(before, after) => Some(before.is_empty() && after.is_empty()),
                Segment::Literal(_) => None,
            })
        };
        (parameters().count(), parameters().filter(|is_whole| *is_whole).count())
    }
}

/// As it is written, but for the names of parameters, which do not matter.
impl fmt::Display for PathTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|segment| match segment {
            Segment::Literal(literal) => write!(f, "/{literal}"),
            Segment::Parameter(before, after) => write!(f, "/{before}{{}}{after}"),
        })
    }
}

/// Whether two texts are one to a server that ignores letter case, that of all letters.
fn is_same_word(a: &str, b: &str) -> bool {
    let letters = |text: &str| text.to_uppercase().to_lowercase();
    a.eq_ignore_ascii_case(b) || (!(a.is_ascii() && b.is_ascii()) && letters(a) == letters(b))
}

/// The segments of a path without the empty one that a slash at its end makes.
fn without_end(segments: &[Segment]) -> &[Segment] {
    match segments {
        [rest @ .., Segment::Literal(last)] if last.is_empty() && !rest.is_empty() => rest,
        all => all,
    }
}

fn segment(text: &str) -> Result<Segment, TemplateError> {
    let Some((before, rest)) = text.split_once('{') else {
        return if text.contains('}') { Err(TemplateError) } else { Ok(Segment::Literal(text.into())) };
    };
    let (name, after) = rest.split_once('}').ok_or(TemplateError)?;
    if name.is_empty() || before.contains('}') || after.contains(['{', '}']) {
        return Err(TemplateError);
    }
    Ok(Segment::Parameter(before.into(), after.into()))
}

impl Segment {
    fn matches(&self, text: &str, reading: Reading) -> bool {
        match self {
            Self::Literal(literal) if reading == Reading::Loose => {
                is_same_word(reading.of_segment(literal), text)
            }
            Self::Literal(literal) => **literal == *text,
            Self::Parameter(before, after) => {
                reading.without(text, before, after).is_some_and(|value| !value.is_empty())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::RequiredScopes;

    #[test]
    fn paths_are_exact() {
        for (template, good, bad) in [
            (
                "/health",
                vec!["/health"],
                vec!["/health/", "/healthz", "/HEALTH", "/x/health", "/", "health", "/health/x"],
            ),
            ("/", vec!["/"], vec!["", "/x", "//"]),
            ("/users/{id}", vec!["/users/1"], vec!["/users/", "/users", "/users/1/2", "/users/1/"]),
            ("/files/{name}.json", vec!["/files/a.json"], vec!["/files/.json", "/files/a.xml"]),
        ] {
            let template = PathTemplate::new(template).unwrap();
            let matches = |path: &str| template.matches(path, Reading::Exact);
            good.iter().for_each(|path| assert!(matches(path), "{template:?} {path}"));
            bad.iter().for_each(|path| assert!(!matches(path), "{template:?} {path}"));
        }
        for bad in ["", "x", "/{", "/}", "/{}", "/{a}{b}", "/a}b{c}"] {
            assert_eq!(PathTemplate::new(bad), Err(TemplateError), "{bad}");
        }
    }

    fn operation(method: Method, path: &str, is_open: bool) -> Operation {
        Operation {
            method,
            path: PathTemplate::new(path).unwrap(),
            authentication: if is_open { NeedsToken::Never } else { NeedsToken::Always },
            scopes: None,
            request_headers: HeaderRules::default(),
            response_headers: HeaderRules::default(),
            mock: None,
        }
    }

    fn is_open(operations: &Operations, method: &Method, path: &str) -> bool {
        let found = operations.find(method, path);
        found.is_some_and(|own| operations.needs_token(own, method, path) == NeedsToken::Never)
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
