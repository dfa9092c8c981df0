//! Where a field stands in its file.
//!
//! Lines are wanted for findings only, so they are not kept while a good document is read: the
//! text is read a second time when the first finding asks.

use std::{fmt, iter, sync::Arc};

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::Spanned;

/// A step on the way to a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Into the member with this name.
    Member(Box<str>),
    /// Into the element with this number, from 0.
    Element(usize),
}

/// The way from the top of a document to a field. There is one for every field that is looked at, and most
/// begin alike: what is above is shared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldPath(Option<Arc<Last>>);

/// The last step of a way.
#[derive(Debug, PartialEq, Eq)]
struct Last {
    above: FieldPath,
    step: Step,
}

impl FieldPath {
    /// The top of the document.
    #[must_use]
    pub const fn top() -> Self {
        Self(None)
    }

    /// The member with this name, below.
    #[must_use]
    pub fn member(&self, name: &str) -> Self {
        self.below(Step::Member(name.into()))
    }

    /// The members with these names, one below the other.
    #[must_use]
    pub fn members(&self, names: &[&str]) -> Self {
        names.iter().fold(self.clone(), |path, name| path.member(name))
    }

    /// The element with this number, below.
    #[must_use]
    pub fn element(&self, n: usize) -> Self {
        self.below(Step::Element(n))
    }

    fn below(&self, step: Step) -> Self {
        Self(Some(Arc::new(Last { above: self.clone(), step })))
    }

    /// The steps, from the top.
    fn steps(&self) -> Vec<&Step> {
        let last = self.0.as_deref();
        let mut steps: Vec<_> =
            iter::successors(last, |last| last.above.0.as_deref()).map(|last| &last.step).collect();
        steps.reverse();
        steps
    }
}

/// The way to a field while somebody walks through a document: a [`FieldPath`] only where one is asked for.
#[derive(Clone, Copy, Debug)]
pub enum Way<'w> {
    /// Where the walk began.
    From(&'w FieldPath),
    /// The member with this name, below.
    Member(&'w Self, &'w str),
    /// The element with this number, below.
    Element(&'w Self, usize),
}

impl Way<'_> {
    /// The way from the top of the document.
    #[must_use]
    pub fn path(&self) -> FieldPath {
        match self {
            Self::From(path) => (*path).clone(),
            Self::Member(above, name) => above.path().member(name),
            Self::Element(above, n) => above.path().element(*n),
        }
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, step) in self.steps().into_iter().enumerate() {
            match step {
                Step::Element(n) => write!(f, "[{n}]")?,
                Step::Member(name) if name.contains(['.', '[', ' ']) => write!(f, "[{name:?}]")?,
                Step::Member(name) => write!(f, "{}{name}", if n == 0 { "" } else { "." })?,
            }
        }
        Ok(())
    }
}

/// The lines of a document, as a tree of its form.
#[derive(Debug)]
pub(super) struct Lines(Branch);

#[derive(Debug)]
enum Branch {
    Leaf,
    List(Vec<Spanned<Lines>>),
    Map(Vec<(Spanned<String>, Spanned<Lines>)>),
}

impl Lines {
    /// The line of the field, or of the last step of the path that is there.
    pub(super) fn line(&self, path: &FieldPath) -> Option<u32> {
        let (mut here, mut line) = (self, 1);
        for step in path.steps() {
            let next = match (step, &here.0) {
                (Step::Element(n), Branch::List(elements)) => {
                    elements.get(*n).map(|element| (&element.value, element.referenced.line()))
                }
                (Step::Member(name), Branch::Map(members)) => members
                    .iter()
                    .find(|(member, _)| *member.value == **name)
                    .map(|(member, value)| (&value.value, member.referenced.line())),
                _ => None,
            };
            let Some((below, number)) = next else { break };
            (here, line) = (below, number);
        }
        u32::try_from(line).ok()
    }
}

impl<'de> Deserialize<'de> for Lines {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LinesVisitor).map(Self)
    }
}

struct LinesVisitor;

impl<'de> Visitor<'de> for LinesVisitor {
    type Value = Branch;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a document")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Branch, E> {
        Ok(Branch::Leaf)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Branch, E> {
        Ok(Branch::Leaf)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Branch, E> {
        Ok(Branch::Leaf)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Branch, E> {
        Ok(Branch::Leaf)
    }

    fn visit_str<E>(self, _: &str) -> Result<Branch, E> {
        Ok(Branch::Leaf)
    }

    fn visit_unit<E>(self) -> Result<Branch, E> {
        Ok(Branch::Leaf)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Branch, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = access.next_element()? {
            elements.push(element);
        }
        Ok(Branch::List(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Branch, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = access.next_entry()? {
            members.push(member);
        }
        Ok(Branch::Map(members))
    }
}
