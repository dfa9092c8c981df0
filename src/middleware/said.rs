//! What a document says of a request, wherever it says it.

use std::time::Duration;

use http::Method;

use super::{Operation, operations::PathItem, path_tree::Extent, rewrite::UrlRewrite};
use crate::limits::SharedRate;

/// What is said of a request. What is said of an operation holds for its path and for what is below it, as in Tyk;
/// but who needs no token, and which scopes are asked for, is about the path alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct Said<'o> {
    /// The operation whose path this is.
    pub exact: Option<&'o Operation>,
    /// The operation whose headers, method and mocked answer count: that of the most specific path of the document
    /// which the request's is, or begins with. What is declared below an operation is not the same.
    pub operation: Option<&'o Operation>,
    /// The URL that it gets instead, of the most specific operation that has one.
    pub rewrite: Option<&'o UrlRewrite>,
    /// How long everything may take, likewise.
    pub time_limit: Option<Duration>,
    /// How often, whoever calls.
    pub rate: Option<&'o SharedRate>,
}

/// What has been found so far for a request. It is added with its place: of two, the one of the lower place counts.
pub(super) struct Matches<'o, 'm> {
    method: &'m Method,
    whole: First<&'o PathItem>,
    /// What the path is held to be where none of the document is meant.
    held: Option<&'o Operation>,
    nearest: First<&'o PathItem>,
    rewrite: First<&'o UrlRewrite>,
    time_limit: First<Duration>,
    rate: First<&'o SharedRate>,
}

/// Before all others.
pub(super) const AT_ONCE: usize = 0;
/// Behind all others.
const LAST: usize = usize::MAX;

/// What has the lowest place so far.
struct First<T>(Option<(usize, T)>);

impl<T: Copy> First<T> {
    fn add(&mut self, place: usize, value: Option<T>) {
        if let Some(value) = value
            && self.0.is_none_or(|(own, _)| place < own)
        {
            self.0 = Some((place, value));
        }
    }

    fn value(&self) -> Option<T> {
        self.0.map(|(_, value)| value)
    }
}

impl<'o, 'm> Matches<'o, 'm> {
    pub(super) const fn new(method: &'m Method) -> Self {
        Self {
            method,
            whole: First(None),
            held: None,
            nearest: First(None),
            rewrite: First(None),
            time_limit: First(None),
            rate: First(None),
        }
    }

    pub(super) const fn method(&self) -> &'m Method {
        self.method
    }

    /// The request's path is that of this item, or begins with it.
    pub(super) fn add(&mut self, place: usize, item: &'o PathItem, extent: Extent) {
        if extent == Extent::Whole {
            self.whole.add(place, Some(item));
        }
        self.nearest.add(place, Some(item));
        self.rewrite.add(place, item.of(self.method, |operation| operation.rewrite.as_ref()));
        self.time_limit.add(place, item.of(self.method, |operation| operation.time_limit));
        self.rate.add(place, item.of(self.method, |operation| operation.rate.as_ref()));
    }

    /// The path of this operation stands anywhere in the request's, which counts after all that begins it.
    pub(super) fn add_held(&mut self, operation: &'o Operation) {
        self.held = self.held.or(Some(operation));
        self.rewrite.add(LAST, operation.rewrite.as_ref());
        self.time_limit.add(LAST, operation.time_limit);
        self.rate.add(LAST, operation.rate.as_ref());
    }

    pub(super) fn rate(&self) -> Option<&'o SharedRate> {
        self.rate.value()
    }

    /// Whether a rate of this place would come before the one that was found.
    pub(super) fn rate_is_behind(&self, place: usize) -> bool {
        self.rate.0.is_none_or(|(own, _)| place < own)
    }

    /// All of it but the rate. A path that could be read differently is that of no operation; where its requests go
    /// and how long they may take is decided as we read it.
    pub(super) fn said(&self, ambiguous: bool) -> Said<'o> {
        let of = |item: &First<&'o PathItem>| item.value().and_then(|item| item.operation(self.method));
        let (exact, operation) = match self.whole.value() {
            _ if ambiguous => (None, None),
            Some(_) => (of(&self.whole), of(&self.whole)),
            None => (self.held, self.held.or_else(|| of(&self.nearest))),
        };
        let (rewrite, time_limit) = (self.rewrite.value(), self.time_limit.value());
        Said { exact, operation, rewrite, time_limit, rate: None }
    }
}
