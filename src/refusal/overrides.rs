//! Rules that change what an error looks like (`errorOverrides`): the gateway's own refusals, and
//! errors that an upstream answers with.
//!
//! **Invariant:** a rule changes the answer and nothing else. It is looked for when the decision
//! has fallen, and cannot take it back.

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, StatusCode,
    header::{
        ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH,
        CONTENT_RANGE, CONTENT_TYPE, ETAG, LAST_MODIFIED, TRAILER, TRANSFER_ENCODING, WWW_AUTHENTICATE,
    },
    response::Parts,
};
use regex::bytes::Regex;

use super::{
    Flag, Manner, Profile,
    answer::{add_plain_challenges, json_escaped, xml_escaped},
};

/// The code of an upstream's error in a body of profile `rfc`.
const UPSTREAM_ERROR: &str = "upstream_error";

/// Rules, in the order in which they are tried.
#[derive(Clone, Debug, Default)]
pub struct Overrides(Vec<Arc<Rule>>);

/// What happens to some errors.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The statuses that it is for.
    pub statuses: Statuses,
    /// Which of their answers.
    pub condition: Condition,
    /// What is answered instead.
    pub replacement: Replacement,
}

/// One status, or a hundred of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statuses {
    /// `403`.
    One(u16),
    /// `4xx`, by its first digit.
    Class(u16),
}

/// Which answers a rule is for: those that one of its parts fits; all if it has none.
#[derive(Clone, Debug, Default)]
pub struct Condition {
    /// The kind of error.
    pub flag: Option<Flag>,
    /// What is found in the message of a refusal, or in the body of an upstream's answer.
    pub pattern: Option<Regex>,
    /// What a member of the body must be.
    pub member: Option<Member>,
}

/// A member of a JSON body and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Where it is (RFC 6901).
    pub pointer: String,
    /// The text that it must be; of numbers and truth values as JSON writes them.
    pub value: String,
}

/// What is answered instead; whatever is left out stays as it was.
#[derive(Clone, Debug, Default)]
pub struct Replacement {
    /// The status.
    pub status: Option<StatusCode>,
    /// The whole body.
    pub body: Option<BodyTemplates>,
    /// The message in the gateway's own form of an error, and in templates.
    pub message: Option<String>,
    /// Header fields that are set.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// A body, in JSON and in XML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyTemplates {
    /// For most callers.
    pub json: BodyTemplate,
    /// For those whom profile `tyk` answers in XML.
    pub xml: BodyTemplate,
}

/// A text with `{{.StatusCode}}` and `{{.Message}}` in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyTemplate(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    StatusCode,
    Message,
}

/// How a message is written into a body, so that it stays a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escaping {
    Json,
    Markup,
    None,
}

/// An answer, as conditions see it.
struct Seen<'s> {
    flag: Option<Flag>,
    /// What patterns are looked for in.
    text: &'s [u8],
    body: &'s [u8],
}

/// What a refusal looks like before a rule changes it.
pub(super) struct Original<'o> {
    pub(super) flag: Option<Flag>,
    /// Its `error` in profile `rfc`.
    pub(super) error: &'static str,
    pub(super) message: &'o str,
}

impl Overrides {
    /// These rules. Those for one status are tried before those for a class of them; otherwise their
    /// order stays.
    #[must_use]
    pub fn new(mut rules: Vec<Rule>) -> Self {
        rules.sort_by_key(|rule| matches!(rule.statuses, Statuses::Class(_)));
        Self(rules.into_iter().map(Arc::new).collect())
    }

    /// These rules, and then the others.
    #[must_use]
    pub fn followed_by(mut self, others: &Self) -> Self {
        self.0.extend(others.0.iter().cloned());
        self
    }

    /// Whether an answer of an upstream with this status could be changed.
    #[must_use]
    pub fn concern(&self, status: StatusCode) -> bool {
        self.of(status).next().is_some()
    }

    /// Whether that depends on its body.
    #[must_use]
    pub fn read_body(&self, status: StatusCode) -> bool {
        self.of(status).any(|rule| rule.condition.pattern.is_some() || rule.condition.member.is_some())
    }

    fn of(&self, status: StatusCode) -> impl Iterator<Item = &Rule> {
        self.0.iter().map(|rule| &**rule).filter(move |rule| rule.statuses.contain(status))
    }

    /// Changes a refusal that is worded already; gives its new body, if it gets one.
    pub(super) fn of_refusal(
        &self,
        manner: &Manner<'_>,
        head: &mut Parts,
        body: &Bytes,
        original: &Original<'_>,
    ) -> Option<Bytes> {
        let seen = Seen { flag: original.flag, text: original.message.as_bytes(), body };
        let rule = self.of(head.status).find(|rule| rule.condition.fits_refusal(&seen))?;
        let body = rule.replacement.apply(manner, head, original);
        if manner.profile == Profile::Rfc
            && head.status == StatusCode::UNAUTHORIZED
            && !head.headers.contains_key(WWW_AUTHENTICATE)
        {
            // RFC 9110 section 15.5.2: a 401 has one.
            add_plain_challenges(manner.space, &mut head.headers);
        }
        body
    }

    /// Changes the head of an upstream's answer, whose body begins with `body` where a rule
    /// [reads it](Self::read_body). Gives the new body, if it gets one.
    #[must_use]
    pub fn of_upstream(&self, manner: &Manner<'_>, head: &mut Parts, body: &[u8]) -> Option<Bytes> {
        // What is encoded says nothing as it is.
        let is_encoded = head.headers.contains_key(CONTENT_ENCODING);
        let body = if is_encoded { &[] } else { body };
        let flag = head.status.is_server_error().then_some(Flag::UpstreamStatus);
        let seen = Seen { flag, text: body, body };
        let rule = self.of(head.status).find(|rule| rule.condition.fits_upstream(&seen))?;
        let original = Original { flag, error: UPSTREAM_ERROR, message: "" };
        rule.replacement.apply(manner, head, &original)
    }
}

impl Statuses {
    const fn contain(self, status: StatusCode) -> bool {
        match self {
            Self::One(own) => own == status.as_u16(),
            Self::Class(digit) => digit == status.as_u16() / 100,
        }
    }
}

impl Condition {
    fn fits_refusal(&self, seen: &Seen<'_>) -> bool {
        let is_empty = self.flag.is_none() && self.pattern.is_none() && self.member.is_none();
        is_empty || self.flag.is_some_and(|flag| seen.flag == Some(flag)) || self.fits_content(seen)
    }

    /// A flag other than that of upstream errors is one of refusals alone, and so is its rule.
    fn fits_upstream(&self, seen: &Seen<'_>) -> bool {
        match self.flag {
            Some(flag) => seen.flag == Some(flag),
            None => (self.pattern.is_none() && self.member.is_none()) || self.fits_content(seen),
        }
    }

    fn fits_content(&self, seen: &Seen<'_>) -> bool {
        self.member.as_ref().is_some_and(|member| member.is_in(seen.body))
            || self.pattern.as_ref().is_some_and(|pattern| pattern.is_match(seen.text))
    }
}

impl Member {
    fn is_in(&self, body: &[u8]) -> bool {
        let Ok(body) = serde_json::from_slice::<serde_json::Value>(body) else { return false };
        let text = match body.pointer(&self.pointer) {
            Some(serde_json::Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => return false,
        };
        text == self.value
    }
}

impl Replacement {
    /// Changes a head; gives the new body, if there is one.
    fn apply(&self, manner: &Manner<'_>, head: &mut Parts, original: &Original<'_>) -> Option<Bytes> {
        if let Some(status) = self.status {
            head.status = status;
        }
        let body = self.new_body(manner, head.status, original);
        if let Some((content_type, _)) = &body {
            // What described the body that was there.
            for name in [
                ACCEPT_RANGES,
                CONTENT_DISPOSITION,
                CONTENT_ENCODING,
                CONTENT_LANGUAGE,
                CONTENT_LENGTH,
                CONTENT_RANGE,
                ETAG,
                LAST_MODIFIED,
                TRAILER,
                TRANSFER_ENCODING,
            ] {
                head.headers.remove(name);
            }
            head.headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        for (name, value) in &self.headers {
            head.headers.insert(name, value.clone());
        }
        body.map(|(_, body)| body)
    }

    fn new_body(
        &self,
        manner: &Manner<'_>,
        status: StatusCode,
        original: &Original<'_>,
    ) -> Option<(&'static str, Bytes)> {
        let message = self.message.as_deref();
        let Some(templates) = &self.body else {
            let (content_type, body) = manner.worded(original.error, message?);
            return Some((content_type, body.into()));
        };
        let xml = manner.xml();
        let template = if xml.is_some() { &templates.xml } else { &templates.json };
        let content_type = xml.unwrap_or("application/json");
        let own = self.headers.iter().rfind(|(name, _)| *name == CONTENT_TYPE);
        let escaping = Escaping::of(own.and_then(|(_, value)| value.to_str().ok()).unwrap_or(content_type));
        let body = template.render(status, message.unwrap_or(original.message), escaping);
        Some((content_type, body.into()))
    }
}

impl BodyTemplate {
    /// Reads a text.
    ///
    /// # Errors
    /// The action between braces that is neither of the two.
    pub fn new(text: &str) -> Result<Self, String> {
        // Other pairs of braces are text, unless the text has an action of this kind.
        let has_actions = text.contains("{{.");
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, (action, after))) =
            rest.split_once("{{").and_then(|(before, rest)| Some((before, rest.split_once("}}")?)))
        {
            parts.push(Part::Text(before.into()));
            parts.push(match action.trim_matches(|c: char| c.is_whitespace() || c == '-') {
                ".Message" => Part::Message,
                ".StatusCode" => Part::StatusCode,
                other if has_actions => return Err(other.into()),
                _ => Part::Text(format!("{{{{{action}}}}}")),
            });
            rest = after;
        }
        parts.push(Part::Text(rest.into()));
        Ok(Self(parts))
    }

    fn render(&self, status: StatusCode, message: &str, escaping: Escaping) -> String {
        let message = escaping.escape(message);
        let mut body = String::new();
        for part in &self.0 {
            body.push_str(match part {
                Part::Text(text) => text,
                Part::StatusCode => status.as_str(),
                Part::Message => &message,
            });
        }
        body
    }
}

impl Escaping {
    /// What a body of this type needs.
    fn of(content_type: &str) -> Self {
        let content_type = content_type.to_ascii_lowercase();
        if content_type.contains("html") || content_type.contains("xml") {
            Self::Markup
        } else if content_type.trim_start().starts_with("text/plain") {
            Self::None
        } else {
            // Escaped as in JSON it stays a text in scripts as well.
            Self::Json
        }
    }

    fn escape(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::None => text.into(),
            Self::Markup => xml_escaped(text),
            Self::Json => {
                // Also where a browser takes JSON for a page.
                json_escaped(text)
                    .replace('<', "\\u003c")
                    .replace('\'', "\\u0027")
                    .replace('`', "\\u0060")
                    .replace('>', "\\u003e")
                    .replace('&', "\\u0026")
                    .into()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(text: &str, message: &str, content_type: &str) -> String {
        let template = BodyTemplate::new(text).unwrap();
        template.render(StatusCode::FORBIDDEN, message, Escaping::of(content_type))
    }

    #[test]
    fn templates() {
        let message = "a \"b\"\n<c>&";
        for (text, content_type, rendered) in [
            ("plain", "application/json", "plain"),
            ("", "application/json", ""),
            (
                "{\"code\":{{.StatusCode}},\"m\":\"{{ .Message }}\"}",
                "application/problem+json",
                "{\"code\":403,\"m\":\"a \\\"b\\\"\\n\\u003cc\\u003e\\u0026\"}",
            ),
            ("<p>{{- .Message -}}</p>", "text/html", "<p>a &#34;b&#34;\n&lt;c&gt;&amp;</p>"),
            ("{{.Message}}", "text/plain", message),
            ("'{{.Message}}'", "application/javascript", "'a \\\"b\\\"\\n\\u003cc\\u003e\\u0026'"),
            ("{{ not an action", "text/plain", "{{ not an action"),
            ("{{x}}", "text/plain", "{{x}}"),
        ] {
            assert_eq!(render(text, message, content_type), rendered, "{text}");
        }
        assert_eq!(BodyTemplate::new("{{.Message}}{{if .X}}").unwrap_err(), "if .X");
        assert_eq!(BodyTemplate::new("{{.Messages}}").unwrap_err(), ".Messages");
    }

    #[test]
    fn members() {
        let body = br#"{"a":{"b":["x",{"c":5,"d":true,"e":"t"}]}}"#;
        for (pointer, value, is_in) in [
            ("/a/b/0", "x", true),
            ("/a/b/0", "y", false),
            ("/a/b/1/c", "5", true),
            ("/a/b/1/d", "true", true),
            ("/a/b/1/e", "t", true),
            ("/a/b/2", "x", false),
        ] {
            let member = Member { pointer: pointer.into(), value: value.into() };
            assert_eq!(member.is_in(body), is_in, "{pointer}");
            assert!(!member.is_in(&body[..20]), "half a document");
        }
    }
}
