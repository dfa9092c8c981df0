//! Paths as an OpenAPI document writes them.

use std::{borrow::Cow, fmt, str::Split};

use crate::path_pattern::loosened_segment;

/// A path of the OpenAPI document: literal, but for `{parameters}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PathTemplate(Vec<Segment>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Segment {
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

/// How much a path leaves open: the number of its parameters, and of those that are a whole segment.
pub(super) type Rank = (usize, usize);

/// How literally a path is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    Exact,
    /// In any letter case.
    AnyCase,
    /// As servers do that ignore letter case, parameters behind `;`, spaces and dots at the end of a
    /// segment, and a slash at the end of the path.
    Loose,
}

impl Reading {
    /// What stands between these two.
    pub(super) fn without<'t>(self, text: &'t str, before: &str, after: &str) -> Option<&'t str> {
        let (start, rest) = text.split_at_checked(before.len())?;
        let (value, end) = rest.split_at_checked(rest.len().checked_sub(after.len())?)?;
        let same = match self {
            Self::Exact => start == before && end == after,
            Self::AnyCase | Self::Loose => {
                start.eq_ignore_ascii_case(before) && end.eq_ignore_ascii_case(after)
            }
        };
        same.then_some(value)
    }

    pub(super) fn of_segment(self, text: &str) -> &str {
        match self {
            Self::Exact | Self::AnyCase => text,
            Self::Loose => loosened_segment(text),
        }
    }

    /// What all literal segments have in common that are one so read: the letter case of all letters is left out.
    pub(super) fn key(self, text: &str) -> Cow<'_, str> {
        let text = self.of_segment(text);
        match self {
            Self::Exact => text.into(),
            Self::AnyCase | Self::Loose if text.is_ascii() => {
                let is_lower = !text.bytes().any(|b| b.is_ascii_uppercase());
                if is_lower { text.into() } else { text.to_ascii_lowercase().into() }
            }
            Self::AnyCase | Self::Loose => text.to_uppercase().to_lowercase().into(),
        }
    }

    /// The segments of a path that begins with a slash.
    pub(super) fn segments(self, path: &str) -> Option<Split<'_, char>> {
        let path = path.strip_prefix('/')?;
        let path = if self == Self::Loose { path.strip_suffix('/').unwrap_or(path) } else { path };
        Some(path.split('/'))
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

    /// The segments as they are so read.
    pub(super) fn segments(&self, reading: Reading) -> &[Segment] {
        if reading == Reading::Loose { without_end(&self.0) } else { &self.0 }
    }

    /// Whether the document says itself how such paths end, extension and all.
    pub(super) fn ends_as_written(&self) -> bool {
        match self.0.last() {
            Some(Segment::Parameter(_, after)) => after.contains('.'),
            Some(Segment::Literal(_)) | None => true,
        }
    }

    /// How many segments it has; the root none.
    pub(super) fn depth(&self) -> usize {
        match &*self.0 {
            [Segment::Literal(root)] if root.is_empty() => 0,
            segments => segments.len(),
        }
    }

    pub(super) fn rank(&self) -> Rank {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_path() {
        for bad in ["", "x", "/{", "/}", "/{}", "/{a}{b}", "/a}b{c}"] {
            assert_eq!(PathTemplate::new(bad), Err(TemplateError), "{bad}");
        }
    }
}
