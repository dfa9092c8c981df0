//! Other URLs for requests (`urlRewrite`).
//!
//! **Invariants:** where a request goes is chosen by the definition alone. What a caller says, in a claim or
//! in the URL, is data: it chooses neither host nor API. What a variable stands for stays in its segment or
//! parameter; what a group has matched of a path does not become a parameter, and in profile `rfc` what it has
//! matched of a query stays in the value that it is put into.

mod target;
mod trigger;

use http::HeaderMap;
use regex::{Captures, Regex};

pub use target::{RewriteTarget, Rewritten, Server, TargetError};
pub use trigger::{Condition, Input, Rule, Trigger};

use super::Facts;
use crate::refusal::Profile;

/// Another URL for the requests whose URL matches a pattern.
#[derive(Debug)]
pub struct UrlRewrite {
    pattern: Regex,
    target: RewriteTarget,
    triggers: Vec<Trigger>,
}

/// The request whose URL is rewritten.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'r> {
    /// The raw path as it was asked for, with the listen path.
    pub path: &'r str,
    /// The same below the listen path.
    pub below: &'r str,
    /// Both decoded, if nobody can read them in another way.
    pub decoded: Option<[&'r str; 2]>,
    /// The raw query, without credentials that the upstream must not see.
    pub query: Option<&'r str>,
    /// The headers that go on.
    pub headers: &'r HeaderMap,
    /// In Tyk a group that has matched several parameters writes several.
    pub profile: Profile,
}

impl UrlRewrite {
    /// Leads requests that match the pattern to the target; to that of a trigger, if one fires.
    #[must_use]
    pub const fn new(pattern: Regex, target: RewriteTarget, triggers: Vec<Trigger>) -> Self {
        Self { pattern, target, triggers }
    }

    /// Whether a rule looks at headers.
    #[must_use]
    pub fn reads_headers(&self) -> bool {
        self.triggers.iter().any(Trigger::reads_headers)
    }

    /// The targets: of the rewrite itself, and of its triggers.
    pub fn targets(&self) -> impl Iterator<Item = &RewriteTarget> {
        let of_triggers = self.triggers.iter().map(|trigger| &trigger.target);
        [&self.target].into_iter().chain(of_triggers)
    }

    /// Where a request goes on; nothing if its URL stays as it is.
    ///
    /// The pattern is searched for in path and query, as they were asked for. If it is not found, the path
    /// below the listen path is searched, for a pattern may begin with `^`, and then the decoded path.
    #[must_use]
    pub fn rewrite(&self, subject: &Subject<'_>, facts: &Facts<'_>) -> Option<Rewritten<'_>> {
        let with_query = |path: &str| match subject.query {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        };
        let [decoded, decoded_below] = subject.decoded.map_or([None; 2], |both| both.map(Some));
        let ways = [
            (Some(subject.path), false),
            (Some(subject.below), false),
            (decoded.filter(|path| *path != subject.path), true),
            (decoded_below.filter(|path| *path != subject.below), true),
        ];
        for (path, is_decoded) in ways {
            let Some(path) = path else { continue };
            let text = with_query(path);
            if let Some(captures) = self.pattern.captures(&text) {
                let one_value = subject.profile == Profile::Rfc;
                let groups = Groups { captures, path: path.len(), is_decoded, one_value };
                return Some(self.to(&groups, subject, facts));
            }
        }
        None
    }

    fn to(&self, groups: &Groups<'_>, subject: &Subject<'_>, facts: &Facts<'_>) -> Rewritten<'_> {
        let mut captured = Vec::new();
        let mut triggers = self.triggers.iter().enumerate();
        let fired = triggers.find(|(n, trigger)| trigger.fires(*n, subject, facts, &mut captured));
        fired.map_or(&self.target, |(_, trigger)| &trigger.target).render(groups, &captured, facts)
    }
}

/// What the pattern has found.
struct Groups<'t> {
    captures: Captures<'t>,
    /// How much of the text is path.
    path: usize,
    /// The path was decoded before.
    is_decoded: bool,
    /// What stands in a value stays one value.
    one_value: bool,
}

/// What rules have found, by the names that variables have for it.
type Captured = Vec<(String, String)>;
