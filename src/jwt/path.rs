//! Paths into claims.

use std::fmt;

use super::{
    Claims,
    json::{Object, Value},
};

/// Where a claim is: a name at the top level, or a path of names.
///
/// `a.b` names the member `b` of the claim `a`; `list.0` the first element of a list; `\.` is a dot
/// that belongs to a name. Names of claims may themselves hold dots (`https://idp.example/roles`),
/// so there are two ways to look one up: [`ClaimPath::find`] takes a claim of exactly that name
/// first, as identities and policies do, [`ClaimPath::walk`] follows the path alone, as Tyk's custom
/// claim rules do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPath {
    text: Box<str>,
    steps: Box<[Box<str>]>,
}

/// Why a text is not a path into claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// A step is empty: the text is empty, starts or ends with a dot, or has two in a row.
    EmptyStep,
    /// The text uses a wildcard or query character that is not supported.
    Query(char),
    /// The text is no JSON Pointer to a claim.
    Pointer,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptyStep => f.write_str(
                "the path has an empty step; write names with single dots between them, and `\\.` for a dot in a name",
            ),
            Self::Pointer => f.write_str(
                "this is not a JSON Pointer to a claim (RFC 6901); write /name/name, with ~1 for a slash in a name and ~0 for a tilde",
            ),
            Self::Query(c) => write!(
                f,
                "`{c}` is a query character that is not supported in paths; name the members one by one, or write `\\{c}` if it belongs to a name"
            ),
        }
    }
}

impl std::error::Error for PathError {}

impl ClaimPath {
    /// The path that `text` writes. A text that is no path is still the name of a claim.
    #[must_use]
    pub fn lenient(text: &str) -> Self {
        Self::strict(text).unwrap_or_else(|_| Self { text: text.into(), steps: [text.into()].into() })
    }

    /// The path that `text` writes, or why it is none.
    ///
    /// # Errors
    /// [`PathError`] for an empty step or a query character.
    pub fn strict(text: &str) -> Result<Self, PathError> {
        let mut steps = vec![String::new()];
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            match c {
                '.' => steps.push(String::new()),
                '*' | '?' | '#' | '|' | '@' => return Err(PathError::Query(c)),
                _ => {
                    let literal = if c == '\\' { chars.next().unwrap_or('\\') } else { c };
                    if let Some(step) = steps.last_mut() {
                        step.push(literal);
                    }
                }
            }
        }
        // `a\..b` is more likely a slip than a name that ends with a dot, and Tyk reads it as neither.
        if steps.iter().any(String::is_empty) || text.contains("..") {
            return Err(PathError::EmptyStep);
        }
        Ok(Self { text: text.into(), steps: steps.into_iter().map(Into::into).collect() })
    }

    /// The path as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The names and positions on the way.
    pub fn steps(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().map(|step| &**step)
    }

    /// The claim of exactly this name, else what the path leads to.
    #[must_use]
    pub fn find<'c>(&self, claims: &'c Claims) -> Option<&'c Value> {
        self.find_in(claims.members())
    }

    /// The same among claims that nobody has verified.
    pub(super) fn find_in<'c>(&self, members: &'c Object) -> Option<&'c Value> {
        members.get(&self.text).or_else(|| self.walk_members(members))
    }

    /// What the path leads to, through objects and lists.
    #[must_use]
    pub fn walk<'c>(&self, claims: &'c Claims) -> Option<&'c Value> {
        let (first, rest) = self.steps.split_first()?;
        rest.iter().try_fold(claims.get(first)?, |value, step| match value {
            Value::Object(object) => object.get(step),
            Value::Array(elements) => elements.get(step.parse::<usize>().ok()?),
            _ => None,
        })
    }

    /// What the path leads to, through objects only.
    fn walk_members<'c>(&self, members: &'c Object) -> Option<&'c Value> {
        let (first, rest) = self.steps.split_first()?;
        rest.iter().try_fold(members.get(first)?, |value, step| {
            value.as_object().and_then(|object: &Object| object.get(step))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwt::json;

    fn claims() -> Claims {
        let text =
            r#"{"a":{"b":"nested","c.d":"dotted"},"a.b":"literal","list":[{"n":"one"}],"https://x/y":"url"}"#;
        let Value::Object(members) = json::parse(text.as_bytes()).unwrap().value else { panic!() };
        Claims::new(members, false)
    }

    #[test]
    fn find_and_walk() {
        let claims = claims();
        let find =
            |path: &str| ClaimPath::lenient(path).find(&claims).and_then(Value::as_str).map(String::from);
        let walk = |path: &str| {
            ClaimPath::strict(path).unwrap().walk(&claims).and_then(Value::as_str).map(String::from)
        };
        assert_eq!(find("a.b").as_deref(), Some("literal"));
        assert_eq!(walk("a.b").as_deref(), Some("nested"));
        assert_eq!(walk("a.c\\.d").as_deref(), Some("dotted"));
        assert_eq!(walk("list.0.n").as_deref(), Some("one"));
        assert_eq!(find("list.0.n"), None);
        assert_eq!(walk("list.1.n"), None);
        assert_eq!(find("https://x/y").as_deref(), Some("url"));
        assert_eq!(walk("a.b.c"), None);
    }

    #[test]
    fn texts_that_are_no_paths() {
        for text in ["", ".", "a.", ".a", "a..b", "a\\..b"] {
            assert_eq!(ClaimPath::strict(text), Err(PathError::EmptyStep), "{text}");
        }
        assert_eq!(ClaimPath::strict("a.#"), Err(PathError::Query('#')));
        assert_eq!(ClaimPath::lenient("a..b").as_str(), "a..b");
    }
}
