//! Rules for errors: `errorOverrides` of a definition, `error_overrides` of the gateway.

use http::{HeaderName, HeaderValue, StatusCode};
use regex::bytes::RegexBuilder;
use serde_json::Value;

use super::{
    Templates,
    raw::{self, Members},
};
use crate::{
    document::{Document, FieldPath, Findings},
    jwt::ClaimPath,
    middleware::header_field,
    refusal::{BodyTemplate, BodyTemplates, Condition, Flag, Member, Overrides, Replacement, Rule, Statuses},
};

/// How much memory a compiled pattern may take, in octets.
const MAX_PATTERN: usize = 1 << 20;

/// How a document spells the fields that findings name.
#[derive(Debug)]
pub(super) struct Names {
    status_code: &'static str,
    message_pattern: &'static str,
    body_field: &'static str,
    body_value: &'static str,
}

pub(super) static OF_DEFINITION: Names = Names {
    status_code: "statusCode",
    message_pattern: "messagePattern",
    body_field: "bodyField",
    body_value: "bodyValue",
};

static OF_GATEWAY: Names = Names {
    status_code: "status_code",
    message_pattern: "message_pattern",
    body_field: "body_field",
    body_value: "body_value",
};

/// Reads the gateway-wide rules: `value` is the checked field `name` of its configuration.
/// They may name `templates`.
#[must_use]
pub fn gateway_overrides(
    document: &Document,
    name: &str,
    value: Value,
    templates: &Templates,
    findings: &mut Findings,
) -> Overrides {
    let at = FieldPath::top().member(name);
    let rules: Members<Vec<raw::ErrorOverride>> = match raw::members(value) {
        Ok(rules) => rules,
        Err(error) => {
            findings.error(document, &at, format!("the rules cannot be read: {error}"));
            return Overrides::default();
        }
    };
    RuleParser { document, findings, templates, names: &OF_GATEWAY }.parse(&at, &rules)
}

/// One document's rules under way to [`Overrides`].
pub(super) struct RuleParser<'p> {
    pub(super) document: &'p Document,
    pub(super) findings: &'p mut Findings,
    pub(super) templates: &'p Templates,
    pub(super) names: &'static Names,
}

impl RuleParser<'_> {
    /// The rules; those with an error are left out, and the document is not served.
    pub(super) fn parse(mut self, at: &FieldPath, raw: &Members<Vec<raw::ErrorOverride>>) -> Overrides {
        let mut rules = Vec::new();
        for (statuses, of_status) in raw {
            let at = at.member(statuses);
            let Some(statuses) = read_statuses(statuses) else {
                self.error(&at, "errors are named by a status such as 403, or by their class: 4xx or 5xx");
                continue;
            };
            for (n, rule) in of_status.iter().enumerate() {
                let at = at.element(n);
                rules.push(Rule {
                    statuses,
                    condition: self.condition(&at.member("match"), &rule.r#match),
                    replacement: self.replacement(&at.member("response"), &rule.response),
                });
            }
        }
        Overrides::new(rules)
    }

    fn error(&mut self, at: &FieldPath, message: impl Into<String>) {
        self.findings.error(self.document, at, message);
    }

    fn condition(&mut self, at: &FieldPath, raw: &raw::ErrorMatch) -> Condition {
        let mut condition = Condition::default();
        if !raw.flag.is_empty() {
            condition.flag = Flag::from_code(&raw.flag);
            let at = at.member("flag");
            match condition.flag {
                None => {
                    let codes = Flag::ALL.iter().filter(|flag| flag.is_raised()).map(|flag| flag.code());
                    let codes = codes.collect::<Vec<_>>().join(", ");
                    self.error(&at, format!("this flag is not known; write one of {codes}"));
                }
                Some(flag) if !flag.is_raised() => {
                    let message = "no error carries this flag here, so it matches nothing";
                    self.findings.warning(self.document, &at, message);
                }
                Some(_) => {}
            }
        }
        if !raw.message_pattern.is_empty() {
            match RegexBuilder::new(&raw.message_pattern).size_limit(MAX_PATTERN).build() {
                Ok(pattern) => condition.pattern = Some(pattern),
                Err(error) => {
                    let message = format!("this is not a regular expression: {error}; correct it");
                    self.error(&at.member(self.names.message_pattern), message);
                }
            }
        }
        match (raw.body_field.is_empty(), raw.body_value.is_empty()) {
            (true, true) => {}
            (false, false) => match ClaimPath::strict(&raw.body_field) {
                Ok(path) => {
                    condition.member =
                        Some(Member { pointer: pointer(&path), value: raw.body_value.clone() });
                }
                Err(error) => self.error(&at.member(self.names.body_field), error.to_string()),
            },
            (true, false) => {
                self.error(&at.member(self.names.body_value), "a value of which member? name it as well");
            }
            (false, true) => {
                self.error(&at.member(self.names.body_field), "what must this member be? write its value");
            }
        }
        condition
    }

    fn replacement(&mut self, at: &FieldPath, raw: &raw::ErrorResponse) -> Replacement {
        let headers = raw.headers.iter();
        let headers = headers.filter_map(|(name, value)| self.header(&at.member("headers"), name, value));
        let headers = headers.collect();
        Replacement {
            status: raw.status_code.and_then(|code| self.status(&at.member(self.names.status_code), code)),
            body: self.body(at, raw),
            message: Some(raw.message.clone()).filter(|message| !message.is_empty()),
            headers,
        }
    }

    fn header(&mut self, at: &FieldPath, name: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
        match header_field(name, value) {
            Ok(field) => Some(field),
            Err(reason) => {
                self.error(&at.member(name), reason.to_string());
                None
            }
        }
    }

    /// Zero leaves the status as it is, as in Tyk.
    fn status(&mut self, at: &FieldPath, code: u64) -> Option<StatusCode> {
        if code == 0 {
            return None;
        }
        let status = u16::try_from(code).ok().and_then(|code| StatusCode::from_u16(code).ok());
        match status {
            Some(status) if matches!(status.as_u16(), 200..=599) => {
                if matches!(
                    status,
                    StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
                ) {
                    self.error(
                        at,
                        "an answer with this status has no body to tell the error in; use another",
                    );
                } else if status.is_success() {
                    let message = "callers and caches take an error with this status for a success";
                    self.findings.warning(self.document, at, message);
                }
                Some(status)
            }
            _ => {
                self.error(at, "an answer has a status from 200 to 599 (RFC 9110 section 15); correct it");
                None
            }
        }
    }

    /// The body that is written out, else the one in a file.
    fn body(&mut self, at: &FieldPath, raw: &raw::ErrorResponse) -> Option<BodyTemplates> {
        if !raw.body.is_empty() {
            let body = self.template(&at.member("body"), &raw.body)?;
            return Some(BodyTemplates { json: body.clone(), xml: body });
        }
        if raw.template.is_empty() {
            return None;
        }
        let at = at.member("template");
        let json = self.file(&at, &format!("{}.json", raw.template));
        let xml = self.file(&at, &format!("{}.xml", raw.template));
        let plain = if json.is_none() || xml.is_none() { self.file(&at, &raw.template) } else { None };
        let json = json.or_else(|| plain.clone());
        let xml = xml.or(plain).or_else(|| json.clone());
        if json.is_none() {
            let message = format!(
                "there is no {}.json in {}; put it there, or set template_path",
                raw.template,
                self.templates.folder().display()
            );
            self.error(&at, message);
        }
        Some(BodyTemplates { json: json?, xml: xml? })
    }

    /// The template in a file, if there is one.
    fn file(&mut self, at: &FieldPath, name: &str) -> Option<BodyTemplate> {
        match self.templates.get(name)? {
            Ok(text) => self.template(at, text),
            Err(reason) => {
                self.error(at, format!("{name} cannot be read: {reason}"));
                None
            }
        }
    }

    fn template(&mut self, at: &FieldPath, text: &str) -> Option<BodyTemplate> {
        match BodyTemplate::new(text) {
            Ok(template) => Some(template),
            Err(action) => {
                let message = format!(
                    "{{{{{action}}}}} is not supported in templates; use {{{{.Message}}}} and {{{{.StatusCode}}}} alone"
                );
                self.error(at, message);
                None
            }
        }
    }
}

/// A path as RFC 6901 writes it.
fn pointer(path: &ClaimPath) -> String {
    path.steps().map(|step| format!("/{}", step.replace('~', "~0").replace('/', "~1"))).collect()
}

fn read_statuses(text: &str) -> Option<Statuses> {
    match text {
        "4xx" => Some(Statuses::Class(4)),
        "5xx" => Some(Statuses::Class(5)),
        _ if text.len() == 3 => text.parse().ok().filter(|code| matches!(code, 400..=599)).map(Statuses::One),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses() {
        for (text, statuses) in [
            ("403", Some(Statuses::One(403))),
            ("599", Some(Statuses::One(599))),
            ("4xx", Some(Statuses::Class(4))),
            ("5xx", Some(Statuses::Class(5))),
            ("4XX", None),
            ("3xx", None),
            ("200", None),
            ("+40", None),
            ("0403", None),
            ("", None),
        ] {
            assert_eq!(read_statuses(text), statuses, "{text}");
        }
    }
}
