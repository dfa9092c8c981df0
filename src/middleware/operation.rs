//! Operations of the OpenAPI document that are configured on their own.

use std::{collections::BTreeMap, fmt};

use http::Method;

use super::{HeaderRules, MockResponse};

/// What happens to requests of one operation.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Its method.
    pub method: Method,
    /// Its path, below the listen path.
    pub path: PathTemplate,
    /// Requests need no token (`ignoreAuthentication`).
    pub ignore_authentication: bool,
    /// Changes to the request's headers, after those of the API.
    pub request_headers: HeaderRules,
    /// Changes to the answer's headers, before those of the API.
    pub response_headers: HeaderRules,
    /// The answer instead of the upstream's.
    pub mock: Option<MockResponse>,
}

/// The paths of an API and their operations.
#[derive(Clone, Debug, Default)]
pub struct Operations(Vec<PathItem>);

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
    /// templated path is.
    #[must_use]
    pub fn new(operations: Vec<Operation>, declared: &[PathTemplate]) -> Self {
        // A path without parameters is matched before its templated counterparts (OpenAPI 3.0,
        // Paths Object), and one that says more of a segment before one that says less.
        let key = |path: &PathTemplate| (path.rank(), path.clone());
        let mut items: BTreeMap<_, Vec<Operation>> = BTreeMap::new();
        items.extend(declared.iter().map(|path| (key(path), Vec::new())));
        for operation in operations {
            items.entry(key(&operation.path)).or_default().push(operation);
        }
        Self(items.into_iter().map(|((_, path), operations)| PathItem { path, operations }).collect())
    }

    /// The operation of a request, by its whole decoded path. HEAD asks for what GET would, so it
    /// follows GET unless the document says otherwise (RFC 9110 section 9.3.2).
    #[must_use]
    pub fn find(&self, method: &Method, path: &str) -> Option<&Operation> {
        let item = self.0.iter().find(|item| item.path.matches(path, Reading::Exact))?;
        let of = |method: &Method| item.operations.iter().find(|operation| operation.method == method);
        of(method).or_else(|| if method == Method::HEAD { of(&Method::GET) } else { None })
    }

    /// Whether requests of an operation that was found for this method and path need no token: it says
    /// so, for the method that is written and no other, and no server could take the path for another
    /// one of the document.
    #[must_use]
    pub fn is_open(&self, operation: &Operation, method: &Method, path: &str) -> bool {
        let rank = operation.path.rank();
        let could_be_meant =
            |item: &&PathItem| item.path.matches(path, Reading::Loose) && item.path.rank() <= rank;
        operation.ignore_authentication
            && operation.method == method
            && self.0.iter().filter(could_be_meant).all(|item| item.path == operation.path)
    }

    /// Those that are configured on their own.
    pub fn iter(&self) -> impl Iterator<Item = &Operation> {
        self.0.iter().flat_map(|item| &item.operations)
    }
}

/// How literally a path is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    Exact,
    /// As servers do that ignore letter case, parameters behind `;`, and spaces and dots at the end.
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
            Self::Loose => text.split(';').next().unwrap_or_default().trim_end_matches([' ', '.']),
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
        let mut asked = path.split('/');
        let fits = |segment: &Segment, text| segment.matches(reading.of_segment(text), reading);
        self.0.iter().all(|segment| asked.next().is_some_and(|text| fits(segment, text)))
            && asked.next().is_none()
    }

    /// How much is left open: the number of parameters, and of those that are a whole segment.
    fn rank(&self) -> (usize, usize) {
        let parameters = || {
            self.0.iter().filter_map(|segment| match segment {
                Segment::Parameter(before, after) => Some(before.is_empty() && after.is_empty()),
                Segment::Literal(_) => None,
            })
        };
        (parameters().count(), parameters().filter(|is_whole| *is_whole).count())
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
            Self::Literal(literal) if reading == Reading::Loose => literal.eq_ignore_ascii_case(text),
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

    fn operation(method: Method, path: &str, ignore_authentication: bool) -> Operation {
        Operation {
            method,
            path: PathTemplate::new(path).unwrap(),
            ignore_authentication,
            request_headers: HeaderRules::default(),
            response_headers: HeaderRules::default(),
            mock: None,
        }
    }

    fn is_open(operations: &Operations, method: &Method, path: &str) -> bool {
        operations.find(method, path).is_some_and(|operation| operations.is_open(operation, method, path))
    }

    #[test]
    fn literal_paths_come_first() {
        let operations = Operations::new(
            vec![operation(Method::GET, "/{x}", true), operation(Method::GET, "/private", false)],
            &[],
        );
        assert!(!operations.find(&Method::GET, "/private").unwrap().ignore_authentication);
        assert!(operations.find(&Method::GET, "/other").unwrap().ignore_authentication);
        assert!(operations.find(&Method::HEAD, "/other").is_some());
        assert!(operations.find(&Method::POST, "/other").is_none());
    }

    #[test]
    fn what_says_more_comes_first() {
        let get = |path: &str, open| operation(Method::GET, path, open);
        let opens = |operations: Vec<Operation>, declared: &[&str], path: &str| {
            let declared: Vec<_> = declared.iter().map(|path| PathTemplate::new(path).unwrap()).collect();
            is_open(&Operations::new(operations, &declared), &Method::GET, path)
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
            &[PathTemplate::new("/users/me").unwrap()],
        );
        let is_open = |method: Method, path: &str| is_open(&operations, &method, path);
        assert!(is_open(Method::GET, "/users/7") && is_open(Method::GET, "/users/administrator"));
        assert!(!is_open(Method::HEAD, "/users/7") && !is_open(Method::POST, "/users/7"));
        for path in
            ["me", "admin", "admin;x=1", "admin;", "admin ", "admin.", "ADMIN", "Me", "me.;x", "7/x", ""]
        {
            assert!(!is_open(Method::GET, &format!("/users/{path}")), "{path}");
        }
    }
}
