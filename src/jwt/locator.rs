//! Where a rule finds its claim.

use super::{
    ClaimPath, Claims, PathError,
    json::{Object, Value},
};

/// Where a rule finds its claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Locator {
    /// The claim of exactly this name, else what the path leads to through objects.
    Named(ClaimPath),
    /// What the path leads to, through objects and lists, as Tyk looks for the claims of custom rules.
    Path(ClaimPath),
    /// What a JSON Pointer leads to.
    Pointer(JsonPointer),
}

impl Locator {
    /// A JSON Pointer, if the text begins with a slash, else a name or a path of names.
    ///
    /// # Errors
    /// [`PathError`] says what is wrong with the path or the pointer.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        if text.starts_with('/') {
            return JsonPointer::parse(text).map(Self::Pointer);
        }
        ClaimPath::strict(text).map(Self::Named)
    }

    /// The text that was parsed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Named(path) | Self::Path(path) => path.as_str(),
            Self::Pointer(pointer) => &pointer.text,
        }
    }

    /// The value in these claims.
    #[must_use]
    pub fn find<'c>(&self, claims: &'c Claims) -> Option<&'c Value> {
        match self {
            Self::Named(path) => path.find(claims),
            Self::Path(path) => path.walk(claims),
            Self::Pointer(pointer) => pointer.find(claims.members()),
        }
    }
}

/// A JSON Pointer (RFC 6901): `/realm_access/roles/0`, with `~1` for a slash in a name and `~0` for a
/// tilde. It means one place and no other, whatever dots names hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonPointer {
    text: Box<str>,
    claim: Box<str>,
    steps: Box<[Box<str>]>,
}

impl JsonPointer {
    /// The pointer that `text` writes. One without a name between two slashes is more likely a slip
    /// than a claim without a name.
    ///
    /// # Errors
    /// [`PathError::Pointer`].
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let names = text.strip_prefix('/').ok_or(PathError::Pointer)?;
        let mut steps = names.split('/').map(unescape);
        let claim = steps.next().flatten().ok_or(PathError::Pointer)?;
        let steps: Option<Vec<Box<str>>> = steps.collect();
        Ok(Self { text: text.into(), claim, steps: steps.ok_or(PathError::Pointer)?.into() })
    }

    fn find<'c>(&self, claims: &'c Object) -> Option<&'c Value> {
        self.steps.iter().try_fold(claims.get(&self.claim)?, |value, step| match value {
            Value::Object(object) => object.get(step),
            Value::Array(elements) => elements.get(index(step)?),
            _ => None,
        })
    }
}

/// A name without its escapes; nothing if it is empty, or one is unknown.
fn unescape(name: &str) -> Option<Box<str>> {
    let mut chars = name.chars();
    let mut unescaped = String::with_capacity(name.len());
    while let Some(c) = chars.next() {
        unescaped.push(match c {
            '~' => match chars.next()? {
                '0' => '~',
                '1' => '/',
                _ => return None,
            },
            c => c,
        });
    }
    Some(unescaped).filter(|name| !name.is_empty()).map(Into::into)
}

/// The place in a list: digits without a zero before them (RFC 6901 section 4).
fn index(step: &str) -> Option<usize> {
    let plain = step == "0" || !step.starts_with('0');
    Some(step).filter(|step| plain && step.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwt::json;

    #[test]
    fn a_pointer_means_one_place() {
        let text = r#"{"a":{"b":1,"c/d":2,"e~f":3},"a.b":4,"l":[{"n":5}],"https://x/y":6,"~1":7}"#;
        let Value::Object(members) = json::parse(text.as_bytes()).unwrap().value else { panic!() };
        let claims = Claims::new(members, false);
        let find = |text: &str| Locator::parse(text).unwrap().find(&claims).map(ToString::to_string);
        for (pointer, found) in [
            ("/a/b", Some("1")),
            ("/a/c~1d", Some("2")),
            ("/a/e~0f", Some("3")),
            ("/a.b", Some("4")),
            ("/l/0/n", Some("5")),
            ("/https:~1~1x~1y", Some("6")),
            ("/~01", Some("7")),
            ("/l/00/n", None),
            ("/l/-", None),
            ("/l/+0/n", None),
            ("/l/1", None),
            ("/a/b/0", None),
            ("/A/b", None),
        ] {
            assert_eq!(find(pointer).as_deref(), found, "{pointer}");
        }
        assert_eq!(find("a.b").as_deref(), Some("4"), "a name goes before a path");
        assert_eq!(find("https://x/y").as_deref(), Some("6"));
    }

    #[test]
    fn texts_that_are_no_pointers() {
        for text in ["/", "/a/", "//a", "/a//b", "/a~", "/a~2b", "/~"] {
            assert_eq!(Locator::parse(text), Err(PathError::Pointer), "{text}");
        }
        assert_eq!(Locator::parse("a..b"), Err(PathError::EmptyStep));
    }
}
