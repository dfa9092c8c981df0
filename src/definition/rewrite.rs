//! Other URLs for requests (`urlRewrite`).

use http::HeaderName;
use regex::{Regex, RegexBuilder};

use super::{
    context::Context,
    raw::{self, RewriteRule, RewriteTrigger},
    upstream::Servers,
    variables,
};
use crate::{
    api_address::ApiName,
    document::FieldPath,
    middleware::{
        Template,
        rewrite::{Condition, Input, RewriteTarget, Rule, Server, Trigger, UrlRewrite},
    },
};

/// The size of a compiled pattern, in octets.
const MAX_PATTERN: usize = 1 << 20;

/// Reads rewrites of operations.
pub(super) struct RewriteParser<'r, 'p> {
    pub(super) context: &'r mut Context<'p>,
    /// How other servers are spoken to: as those of the API.
    pub(super) servers: &'r Servers,
    pub(super) context_variables: bool,
    /// Takes the other APIs that requests are led to, each with its place in the document.
    pub(super) leads_to: &'r mut Vec<(ApiName, FieldPath)>,
}

impl RewriteParser<'_, '_> {
    /// The rewrite that stands at `at`; nothing if it is off, or wrong.
    pub(super) fn parse(mut self, at: &FieldPath, raw: &raw::UrlRewrite) -> Option<UrlRewrite> {
        if raw.enabled { self.rewrite(at, raw) } else { None }
    }

    fn rewrite(&mut self, at: &FieldPath, raw: &raw::UrlRewrite) -> Option<UrlRewrite> {
        let pattern = self.pattern(&at.member("pattern"), &raw.pattern);
        let groups = pattern.as_ref().map(Regex::captures_len);
        let target = self.target(&at.member("rewriteTo"), &raw.rewrite_to, groups);
        let mut triggers = Vec::with_capacity(raw.triggers.len());
        for (n, raw) in raw.triggers.iter().enumerate() {
            triggers.push(self.trigger(&at.member("triggers").element(n), raw, groups));
        }
        // Without one of them requests would go where another trigger, or none, leads them.
        let triggers = triggers.into_iter().collect::<Option<_>>()?;
        Some(UrlRewrite::new(pattern?, target?, triggers))
    }

    fn trigger(&mut self, at: &FieldPath, raw: &RewriteTrigger, groups: Option<usize>) -> Option<Trigger> {
        let condition = match &*raw.condition {
            "any" => Some(Condition::Any),
            "all" => Some(Condition::All),
            _ => {
                self.context.error(&at.member("condition"), "a condition is any or all; write one of them");
                None
            }
        };
        if raw.rules.is_empty() {
            let message = "a trigger without rules fires always with the condition all, and never with any; write its rules";
            self.context.warning(&at.member("rules"), message);
        }
        let target = self.target(&at.member("rewriteTo"), &raw.rewrite_to, groups);
        let mut rules = Vec::with_capacity(raw.rules.len());
        for (n, raw) in raw.rules.iter().enumerate() {
            rules.push(self.rule(&at.member("rules").element(n), raw));
        }
        let rules = rules.into_iter().collect::<Option<_>>()?;
        Some(Trigger { condition: condition?, rules, target: target? })
    }

    fn rule(&mut self, at: &FieldPath, raw: &RewriteRule) -> Option<Rule> {
        let pattern = self.pattern(&at.member("pattern"), &raw.pattern);
        let input = self.input(at, raw);
        Some(Rule { input: input?, pattern: pattern?, negate: raw.negate })
    }

    fn input(&mut self, at: &FieldPath, raw: &RewriteRule) -> Option<Input> {
        let name = &*raw.name;
        if name.is_empty() && matches!(&*raw.r#in, "header" | "query" | "sessionMetadata" | "requestContext")
        {
            self.context.error(&at.member("name"), "a rule needs the name of what it looks at; write it");
            return None;
        }
        let message = match &*raw.r#in {
            "header" => match name.parse::<HeaderName>() {
                Ok(name) => return Some(Input::Header(name)),
                Err(_) => {
                    let message = "this is not a header name (RFC 9110 section 5.1); correct it";
                    self.context.error(&at.member("name"), message);
                    return None;
                }
            },
            "query" => return Some(Input::Query(name.to_owned())),
            "path" => return Some(Input::Path(name.to_owned())),
            "sessionMetadata" => return Some(Input::SessionMetadata(name.to_owned())),
            "requestContext" => {
                let variable = Template::new(&format!("$tyk_context.{name}"));
                let what = "this rule, which never holds without it,";
                variables::check(self.context, &at.member("name"), what, &variable, self.context_variables);
                return Some(Input::RequestContext(name.to_owned(), variable));
            }
            "requestBody" => {
                "bodies are not looked at, and without this rule requests would go elsewhere; choose by another part of the request"
            }
            _ => "a rule looks at header, query, path, sessionMetadata or requestContext; write one of them",
        };
        self.context.error(&at.member("in"), message);
        None
    }

    fn pattern(&mut self, at: &FieldPath, text: &str) -> Option<Regex> {
        match RegexBuilder::new(text).size_limit(MAX_PATTERN).build() {
            Ok(pattern) => Some(pattern),
            Err(error) => {
                let error = error.to_string();
                let reason = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
                self.context.error(at, format!("this is no regular expression: {reason}; correct it"));
                None
            }
        }
    }

    /// Reads a target; the pattern has so many groups, the whole match among them.
    fn target(&mut self, at: &FieldPath, text: &str, groups: Option<usize>) -> Option<RewriteTarget> {
        let target = match RewriteTarget::new(text, |server| self.servers.configure(server)) {
            Ok(target) => target,
            Err(reason) => {
                self.context.error(at, reason.to_string());
                return None;
            }
        };
        if let Server::Api(address) = target.server() {
            self.leads_to.extend(address.api.name().map(|name| (name.clone(), at.clone())));
        }
        if groups.is_some_and(|groups| target.highest_group() >= groups) {
            let message = format!(
                "the pattern has no group {}, so it stands for nothing; correct the number",
                target.highest_group()
            );
            self.context.warning(at, message);
        }
        for variable in target.variables() {
            variables::check(self.context, at, "it", variable, self.context_variables);
        }
        Some(target)
    }
}
