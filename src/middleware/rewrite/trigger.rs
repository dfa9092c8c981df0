//! Other targets for some requests.

use std::borrow::Cow;

use http::HeaderName;
use regex::Regex;

use super::{Captured, RewriteTarget, Subject};
use crate::{
    middleware::{Facts, Template},
    query,
};

/// A target of its own for requests of which rules hold.
#[derive(Debug)]
pub struct Trigger {
    /// How many must hold.
    pub condition: Condition,
    /// The rules.
    pub rules: Vec<Rule>,
    /// The target.
    pub target: RewriteTarget,
}

/// How many rules must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// One.
    Any,
    /// Each.
    All,
}

/// A rule: one of the values that it looks at matches a pattern, or one does not, if that is negated.
/// Where there is no value at all it does not hold.
#[derive(Debug)]
pub struct Rule {
    /// What it looks at.
    pub input: Input,
    /// What is looked for.
    pub pattern: Regex,
    /// It holds for values that do not match.
    pub negate: bool,
}

/// What a rule looks at.
#[derive(Debug)]
pub enum Input {
    /// The lines of a header field.
    Header(HeaderName),
    /// The values of a parameter in the query that can be decoded.
    Query(String),
    /// The segments of the decoded path. What is found has this name.
    Path(String),
    /// A text of the metadata of policies.
    SessionMetadata(String),
    /// A variable of `$tyk_context`, by its name.
    RequestContext(String, Template),
}

impl Input {
    fn values<'r>(&'r self, subject: &Subject<'r>, facts: &Facts<'r>) -> Vec<Cow<'r, str>> {
        match self {
            Self::Header(name) => {
                let fields = subject.headers.get_all(name).iter();
                fields.map(|field| String::from_utf8_lossy(field.as_bytes())).collect()
            }
            Self::Query(name) => {
                query::parameters(name, subject.query.unwrap_or_default()).flatten().collect()
            }
            Self::Path(_) => facts.path.split('/').map(Cow::from).collect(),
            Self::SessionMetadata(name) => {
                let value = facts.session.and_then(|session| session.meta_data().get(name)?.as_str());
                value.map(Cow::from).into_iter().collect()
            }
            Self::RequestContext(_, variable) => Some(variable.text(facts))
                .filter(|text| !text.is_empty())
                .map(Cow::from)
                .into_iter()
                .collect(),
        }
    }

    /// What variables call the `n`th value that this rule has found, of which the `nth_found` of the paths
    /// it is.
    fn name(&self, n: usize, nth_found: usize) -> String {
        match self {
            Self::Header(name) => format!("{}-{n}", canonical(name)),
            Self::Query(name) => format!("{name}-{n}"),
            Self::Path(name) => format!("{name}-{nth_found}"),
            Self::SessionMetadata(name) | Self::RequestContext(name, _) => name.clone(),
        }
    }
}

impl Trigger {
    pub(super) fn reads_headers(&self) -> bool {
        self.rules.iter().any(|rule| matches!(rule.input, Input::Header(_)))
    }

    /// Whether the rules hold of a request. What they have found is put to the rest.
    pub(super) fn fires(
        &self,
        number: usize,
        subject: &Subject<'_>,
        facts: &Facts<'_>,
        captured: &mut Captured,
    ) -> bool {
        let mut of_paths = 0_usize;
        let mut held = 0_usize;
        for rule in &self.rules {
            let mut holds = false;
            for (n, value) in rule.input.values(subject, facts).iter().enumerate() {
                let found = rule.pattern.captures(value);
                if found.is_some() == rule.negate {
                    continue;
                }
                holds = true;
                let Some(found) = found else { continue };
                let name = format!("trigger-{number}-{}", rule.input.name(n, of_paths));
                of_paths = of_paths.saturating_add(usize::from(matches!(rule.input, Input::Path(_))));
                let text = |n| found.get(n).map_or("", |group| group.as_str()).to_owned();
                captured
                    .extend((1..found.len()).map(|n| (format!("{name}-{}", n.saturating_sub(1)), text(n))));
                captured.push((name, text(0)));
            }
            held = held.saturating_add(usize::from(holds));
        }
        match self.condition {
            Condition::Any => held > 0,
            Condition::All => held == self.rules.len(),
        }
    }
}

/// The name of a field as Tyk writes it: each word with a capital.
fn canonical(name: &HeaderName) -> String {
    let word = |word: &str| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_ascii_uppercase() + rest
    };
    name.as_str().split('-').map(word).collect::<Vec<_>>().join("-")
}
