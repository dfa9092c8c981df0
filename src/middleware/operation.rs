//! Operations of the OpenAPI document that are configured on their own.

use std::fmt;

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

/// The operations of an API.
#[derive(Clone, Debug, Default)]
pub struct Operations(Vec<Operation>);

/// A path of the OpenAPI document: literal, but for `{parameters}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathTemplate(Vec<Segment>);

#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// These operations.
    #[must_use]
    pub fn new(mut operations: Vec<Operation>) -> Self {
        // A path without parameters is matched before its templated counterparts (OpenAPI 3.0,
        // Paths Object).
        operations.sort_by_key(|operation| operation.path.parameters());
        Self(operations)
    }

    /// The operation of a request, by its whole decoded path. HEAD asks for what GET would, so it
    /// follows GET unless the document says otherwise (RFC 9110 section 9.3.2).
    #[must_use]
    pub fn find(&self, method: &Method, path: &str) -> Option<&Operation> {
        let of = |method: &Method| {
            self.0.iter().find(|operation| operation.method == method && operation.path.matches(path))
        };
        of(method).or_else(|| if method == Method::HEAD { of(&Method::GET) } else { None })
    }

    /// Every one.
    pub fn iter(&self) -> impl Iterator<Item = &Operation> {
        self.0.iter()
    }
}

impl Operation {
    /// Whether a request with this method needs no token: the one that was written, and no other.
    #[must_use]
    pub fn is_open_to(&self, method: &Method) -> bool {
        self.ignore_authentication && self.method == method
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
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        let Some(path) = path.strip_prefix('/') else { return false };
        let mut asked = path.split('/');
        self.0.iter().all(|segment| asked.next().is_some_and(|text| segment.matches(text)))
            && asked.next().is_none()
    }

    fn parameters(&self) -> usize {
        self.0.iter().filter(|segment| matches!(segment, Segment::Parameter(..))).count()
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
    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Literal(literal) => **literal == *text,
            Self::Parameter(before, after) => text
                .strip_prefix(&**before)
                .and_then(|rest| rest.strip_suffix(&**after))
                .is_some_and(|value| !value.is_empty()),
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
            good.iter().for_each(|path| assert!(template.matches(path), "{template:?} {path}"));
            bad.iter().for_each(|path| assert!(!template.matches(path), "{template:?} {path}"));
        }
        for bad in ["", "x", "/{", "/}", "/{}", "/{a}{b}", "/a}b{c}"] {
            assert_eq!(PathTemplate::new(bad), Err(TemplateError), "{bad}");
        }
    }

    #[test]
    fn literal_paths_come_first() {
        let operation = |path: &str, ignore_authentication| Operation {
            method: Method::GET,
            path: PathTemplate::new(path).unwrap(),
            ignore_authentication,
            request_headers: HeaderRules::default(),
            response_headers: HeaderRules::default(),
            mock: None,
        };
        let operations = Operations::new(vec![operation("/{x}", true), operation("/private", false)]);
        assert!(!operations.find(&Method::GET, "/private").unwrap().ignore_authentication);
        assert!(operations.find(&Method::GET, "/other").unwrap().ignore_authentication);
        let of_head = operations.find(&Method::HEAD, "/other").unwrap();
        assert!(of_head.is_open_to(&Method::GET) && !of_head.is_open_to(&Method::HEAD));
        assert!(operations.find(&Method::POST, "/other").is_none());
    }
}
