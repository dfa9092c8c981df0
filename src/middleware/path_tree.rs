//! Many paths of a document at once: which of them a request's path is, segment by segment.

use std::{collections::HashMap, str::Split};

use super::path_template::{PathTemplate, Reading, Segment};

/// Paths by their segments, so that the paths a request's is not cost nothing. Each has a number; a walk
/// finds all that match, in no order.
#[derive(Clone, Debug)]
pub(super) struct PathTree {
    reading: Reading,
    root: Node,
}

/// How much of a request's path a path of the document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    Whole,
    Beginning,
}

#[derive(Clone, Debug, Default)]
struct Node {
    /// By the [`key`](Reading::key) of the segment.
    literals: HashMap<Box<str>, Self>,
    parameters: Vec<Parameter>,
    /// The paths that end here.
    ends: Vec<usize>,
}

#[derive(Clone, Debug)]
struct Parameter {
    before: Box<str>,
    after: Box<str>,
    next: Node,
}

impl PathTree {
    /// No paths, so read.
    pub(super) fn new(reading: Reading) -> Self {
        Self { reading, root: Node::default() }
    }

    pub(super) fn insert(&mut self, path: &PathTemplate, number: usize) {
        let mut node = &mut self.root;
        for segment in path.segments(self.reading) {
            node = match segment {
                Segment::Literal(text) => node.literals.entry(self.reading.key(text).into()).or_default(),
                Segment::Parameter(before, after) => node.parameter(before, after),
            };
        }
        node.ends.push(number);
    }

    /// Calls `found` with each path that this one is.
    pub(super) fn visit(&self, path: &str, mut found: impl FnMut(usize)) {
        let Some(segments) = self.reading.segments(path) else { return };
        self.root.visit(self.reading, segments, &mut |node, rest| {
            if rest.is_none() {
                node.ends.iter().copied().for_each(&mut found);
            }
        });
    }

    /// The first of the paths that this one is.
    pub(super) fn first(&self, path: &str) -> Option<usize> {
        let mut first = None;
        self.visit(path, |number| first = Some(first.map_or(number, |other: usize| other.min(number))));
        first
    }

    /// Calls `found` with each path that this one is, or begins with, and with which of the two it is: `/x`
    /// begins `/x/y` and not `/xy`, and `/x/` begins `/x/y` and not `/x`.
    pub(super) fn visit_beginnings(&self, path: &str, mut found: impl FnMut(usize, Extent)) {
        let Some(segments) = self.reading.segments(path) else { return };
        self.root.visit(self.reading, segments, &mut |node, rest| {
            let extent = if rest.is_none() { Extent::Whole } else { Extent::Beginning };
            node.ends.iter().for_each(|number| found(*number, extent));
            let with_slash = rest.filter(|rest| !rest.is_empty()).and_then(|_| node.literals.get(""));
            with_slash
                .into_iter()
                .flat_map(|node| &node.ends)
                .for_each(|number| found(*number, Extent::Beginning));
        });
    }
}

impl Node {
    fn parameter(&mut self, before: &str, after: &str) -> &mut Self {
        let same = |own: &Parameter| *own.before == *before && *own.after == *after;
        let at = self.parameters.iter().position(same).unwrap_or_else(|| {
            let new = Parameter { before: before.into(), after: after.into(), next: Self::default() };
            self.parameters.push(new);
            self.parameters.len().saturating_sub(1)
        });
        #[expect(clippy::indexing_slicing, reason = "it was found there, or has just been put there")]
        &mut self.parameters[at].next
    }

    /// Calls `at` with each place that the segments lead past, and the segment that comes next there. It
    /// goes no deeper than the paths of the document do, however long the request's is.
    fn visit<'t>(
        &'t self,
        reading: Reading,
        mut segments: Split<'t, char>,
        at: &mut impl FnMut(&'t Self, Option<&'t str>),
    ) {
        let next = segments.next();
        at(self, next);
        let Some(text) = next else { return };
        if !self.literals.is_empty()
            && let Some(node) = self.literals.get(&*reading.key(text))
        {
            node.visit(reading, segments.clone(), at);
        }
        for Parameter { before, after, next } in &self.parameters {
            let value = reading.without(reading.of_segment(text), before, after);
            if value.is_some_and(|value| !value.is_empty()) {
                next.visit(reading, segments.clone(), at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(reading: Reading, paths: &[&str]) -> PathTree {
        let mut tree = PathTree::new(reading);
        for (number, path) in paths.iter().enumerate() {
            tree.insert(&PathTemplate::new(path).unwrap(), number);
        }
        tree
    }

    #[test]
    fn paths_are_exact() {
        for (template, good, bad) in [
            (
                "/health",
                vec!["/health"],
                vec!["/health/", "/healthz", "/HEALTH", "/x/health", "/", "health", "/health/x", ""],
            ),
            ("/", vec!["/"], vec!["", "/x", "//"]),
            ("/users/{id}", vec!["/users/1"], vec!["/users/", "/users", "/users/1/2", "/users/1/"]),
            ("/files/{name}.json", vec!["/files/a.json"], vec!["/files/.json", "/files/a.xml"]),
        ] {
            let tree = tree(Reading::Exact, &[template]);
            good.iter().for_each(|path| assert_eq!(tree.first(path), Some(0), "{template} {path}"));
            bad.iter().for_each(|path| assert_eq!(tree.first(path), None, "{template} {path}"));
        }
    }

    #[test]
    fn the_first_of_all_that_match() {
        let paths = ["/a/{b}.c", "/a/{b}", "/{a}/b", "/a/b", "/a/{b}/{c}"];
        let tree = tree(Reading::Exact, &paths);
        for (path, expected) in [
            ("/a/x.c", Some(0)),
            ("/a/b", Some(1)),
            ("/x/b", Some(2)),
            ("/a/b/c", Some(4)),
            ("/x/y", None),
            ("/a/b/c/d", None),
        ] {
            assert_eq!(tree.first(path), expected, "{path}");
        }
    }

    #[test]
    fn letter_case() {
        for reading in [Reading::AnyCase, Reading::Loose] {
            let tree = tree(reading, &["/Users/{id}.Json", "/\u{e9}t\u{e9}", "/key"]);
            assert_eq!(tree.first("/uSERS/7.JSON"), Some(0));
            assert_eq!(tree.first("/\u{c9}T\u{c9}"), Some(1));
            assert_eq!(tree.first("/\u{212a}ey"), Some(2));
        }
        assert_eq!(tree(Reading::AnyCase, &["/key"]).first("/key;x"), None);
        assert_eq!(tree(Reading::Loose, &["/key"]).first("/KEY;x/"), Some(0));
    }

    #[test]
    fn beginnings_end_with_a_segment() {
        let begins = |template: &str, path: &str| {
            let mut extent = None;
            tree(Reading::Exact, &[template]).visit_beginnings(path, |_, found| extent = Some(found));
            extent
        };
        assert_eq!(begins("/x", "/x"), Some(Extent::Whole));
        assert_eq!(begins("/x", "/x/"), Some(Extent::Beginning));
        for (template, good, bad) in [
            ("/x", vec!["/x", "/x/", "/x/deep/er"], vec!["/xx", "/deep/x", "/X", "/", ""]),
            ("/x/", vec!["/x/", "/x/y"], vec!["/x", "/xy"]),
            ("/", vec!["/", "/x", "/x/y"], vec![""]),
            ("/users/{id}", vec!["/users/1", "/users/1/2"], vec!["/users/", "/users"]),
        ] {
            good.iter().for_each(|path| assert!(begins(template, path).is_some(), "{template} {path}"));
            bad.iter().for_each(|path| assert!(begins(template, path).is_none(), "{template} {path}"));
        }
    }
}
