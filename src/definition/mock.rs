//! Mocked answers: written in the extension, or examples of the document (OpenAPI 3.0, Media Type Object).

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header::CONTENT_TYPE};
use serde_json::{Map, Value};

use super::{context::Context, raw};
use crate::{
    document::FieldPath,
    middleware::{
        ExampleBodies, ExampleBody, ExampleMedia, ExampleResponse, Examples, Mock, MockResponse, NoExample,
        header_field,
    },
    refusal::Profile,
};

/// How many values are made of one schema, and how deep references are followed: schemas may refer to themselves.
const MAX_VALUES: usize = 10_000;
const MAX_DEPTH: usize = 32;

/// Reads what an operation is answered with, whose `responses` these are.
pub(super) fn mock(
    context: &mut Context<'_>,
    at: &FieldPath,
    raw: &raw::MockResponse,
    responses: Option<&Value>,
) -> Option<Mock> {
    if !raw.enabled {
        return None;
    }
    if raw.from_oas_examples.enabled {
        let at = at.member("fromOASExamples");
        return examples(context, &at, &raw.from_oas_examples, responses)
            .map(|examples| Mock::Examples(Box::new(examples)));
    }
    fixed(context, at, raw).map(Mock::Fixed)
}

fn fixed(context: &mut Context<'_>, at: &FieldPath, raw: &raw::MockResponse) -> Option<MockResponse> {
    let status = status(context, at, raw.code);
    let mut headers = HeaderMap::new();
    for (n, header) in raw.headers.iter().enumerate() {
        match header_field(&header.name, &header.value) {
            Ok((name, value)) => {
                headers.append(name, value);
            }
            Err(reason) => context.error(&at.member("headers").element(n), reason.to_string()),
        }
    }
    if !raw.body.is_empty() && !headers.contains_key(CONTENT_TYPE) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    }
    let body = Bytes::from(raw.body.clone().into_bytes());
    Some(MockResponse { status: status?, headers, body })
}

/// The status of an answer: 200, if nothing is said.
fn status(context: &mut Context<'_>, at: &FieldPath, code: Option<u64>) -> Option<StatusCode> {
    let code = code.filter(|code| *code != 0).unwrap_or(200);
    let status = u16::try_from(code).ok().and_then(final_status);
    if status.is_none() {
        context.error(&at.member("code"), "an answer has a status from 200 to 999; correct it");
    }
    status
}

fn final_status(code: u16) -> Option<StatusCode> {
    StatusCode::from_u16(code).ok().filter(|status| !status.is_informational())
}

fn examples(
    context: &mut Context<'_>,
    at: &FieldPath,
    raw: &raw::FromOasExamples,
    responses: Option<&Value>,
) -> Option<Examples> {
    let status = status(context, at, raw.code)?;
    let media_type = if raw.content_type.is_empty() { "application/json" } else { &raw.content_type };
    let examples = Examples {
        status,
        media_type: bare(media_type).into(),
        name: Some(&*raw.example_name).filter(|name| !name.is_empty()).map(Into::into),
        responses: Document { root: context.document.root() }.responses(responses),
    };
    let usual = Mock::Examples(Box::new(examples.clone())).response(&HeaderMap::new(), Profile::Rfc);
    if let Err(reason) = usual {
        let field = match reason {
            NoExample::Code(_) | NoExample::Status(_) => "code",
            NoExample::MediaType(_) => "contentType",
            NoExample::Name(_) => "exampleName",
        };
        let message =
            format!("{reason}; add one to the document, or callers who do not ask for another get an error");
        context.warning(&at.member(field), message);
    }
    Some(examples)
}

/// A media type without its parameters, in lower case.
fn bare(media_type: &str) -> String {
    media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The document, whose parts may refer to others.
#[derive(Clone, Copy)]
struct Document<'d> {
    root: &'d Value,
}

impl<'d> Document<'d> {
    /// What stands there, or where it refers to (OpenAPI 3.0, Reference Object); nothing if that is not in the
    /// document.
    fn resolve(self, mut value: &'d Value) -> Option<&'d Value> {
        for _ in 0..MAX_DEPTH {
            let Some(reference) = value.get("$ref").and_then(Value::as_str) else { return Some(value) };
            value = self.root.pointer(reference.strip_prefix('#')?)?;
        }
        None
    }

    fn responses(self, responses: Option<&'d Value>) -> Vec<ExampleResponse> {
        let response = |(code, response): (&String, &'d Value)| {
            let status = final_status(code.parse().ok()?)?;
            let response = self.resolve(response)?;
            let content = object(response.get("content"));
            let media = content.filter_map(|(name, media)| self.media(name, media)).collect();
            Some(ExampleResponse { status, headers: self.headers(response.get("headers")), media })
        };
        object(responses).filter_map(response).collect()
    }

    /// The headers of a response. `Content-Type` is said elsewhere (OpenAPI 3.0, Response Object), and what
    /// says how the answer travels is nobody's example.
    fn headers(self, headers: Option<&'d Value>) -> HeaderMap {
        let field = |(name, header): (&String, &'d Value)| {
            let header = self.resolve(header)?;
            let example = header.get("example").cloned().or_else(|| self.of_schema(header.get("schema")))?;
            let text = example.as_str().map_or_else(|| example.to_string(), Into::into);
            header_field(name, &text).ok().filter(|(name, _)| *name != CONTENT_TYPE)
        };
        object(headers).filter_map(field).collect()
    }

    fn media(self, name: &str, media: &'d Value) -> Option<ExampleMedia> {
        let media_type = bare(name);
        let body = |example: &Value| {
            let is_json = media_type.ends_with("/json") || media_type.ends_with("+json");
            let text = example.as_str().filter(|_| !is_json).map(|text| Bytes::from(text.to_owned()));
            ExampleBody { json: example.to_string().into(), text }
        };
        let named = |(name, example): (&String, &'d Value)| {
            Some((name.as_str().into(), body(self.resolve(example)?.get("value")?)))
        };
        let bodies = match media.get("example") {
            Some(example) => ExampleBodies::One(body(example)),
            None => {
                let mut examples: Vec<(Box<str>, ExampleBody)> =
                    object(media.get("examples")).filter_map(named).collect();
                examples.sort_by(|(a, _), (b, _)| a.cmp(b));
                if examples.is_empty() {
                    ExampleBodies::One(body(&self.of_schema(media.get("schema"))?))
                } else {
                    ExampleBodies::Named(examples)
                }
            }
        };
        Some(ExampleMedia {
            content_type: HeaderValue::try_from(name).ok()?,
            media_type: media_type.into(),
            bodies,
        })
    }

    /// A value that fits a schema, as Tyk makes it.
    fn of_schema(self, schema: Option<&'d Value>) -> Option<Value> {
        Some(Made { document: self, left: MAX_VALUES }.value(schema?, 0))
    }
}

fn object(value: Option<&Value>) -> impl Iterator<Item = (&String, &Value)> {
    value.and_then(Value::as_object).into_iter().flat_map(Map::iter)
}

/// Values that are made of schemas.
struct Made<'d> {
    document: Document<'d>,
    /// How many more may be made.
    left: usize,
}

impl<'d> Made<'d> {
    /// The example of a schema, else one of each part of it.
    fn value(&mut self, schema: &'d Value, depth: usize) -> Value {
        self.left = self.left.saturating_sub(1);
        let schema = self.document.resolve(schema).filter(|_| self.left > 0 && depth < MAX_DEPTH);
        let Some(schema) = schema else { return Value::Null };
        if let Some(example) = schema.get("example") {
            return example.clone();
        }
        let depth = depth.saturating_add(1);
        let list =
            |name: &str| schema.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        match schema.get("type").and_then(Value::as_str) {
            Some("array") => {
                Value::Array(vec![schema.get("items").map_or(Value::Null, |items| self.value(items, depth))])
            }
            Some("object") => self.object(schema, depth),
            None if schema.get("properties").is_some() || !list("allOf").is_empty() => {
                self.object(schema, depth)
            }
            kind => match (list("enum").first(), kind) {
                (Some(first), _) => first.clone(),
                (None, Some("string")) => "string".into(),
                (None, Some("integer" | "number")) => 0.into(),
                (None, Some("boolean")) => true.into(),
                (None, _) => {
                    let first = list("oneOf").first().or_else(|| list("anyOf").first());
                    first.map_or(Value::Null, |schema| self.value(schema, depth))
                }
            },
        }
    }

    /// The properties of a schema, and those of the schemas that it is all of.
    fn object(&mut self, schema: &'d Value, depth: usize) -> Value {
        let mut members = Map::new();
        for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            if let Value::Object(own) = self.value(part, depth) {
                members.extend(own);
            }
        }
        for (name, property) in object(schema.get("properties")) {
            let value = self.value(property, depth);
            members.insert(name.clone(), value);
        }
        Value::Object(members)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn made(schema: &Value) -> Value {
        let root = json!({ "components": { "schemas": {
            "Name": { "type": "string", "example": "Ann" },
            "Tree": { "type": "object", "properties": {
                "left": { "$ref": "#/components/schemas/Tree" }, "right": { "$ref": "#/components/schemas/Tree" } } },
        } } });
        Document { root: &root }.of_schema(Some(schema)).unwrap()
    }

    #[test]
    fn values_of_schemas() {
        for (schema, value) in [
            (json!({ "type": "string" }), json!("string")),
            (json!({ "type": "string", "enum": ["a", "b"] }), json!("a")),
            (json!({ "type": "integer" }), json!(0)),
            (json!({ "type": "number" }), json!(0)),
            (json!({ "type": "boolean" }), json!(true)),
            (json!({}), json!(null)),
            (json!({ "type": "array", "items": { "type": "integer", "example": 7 } }), json!([7])),
            (json!({ "type": "array" }), json!([null])),
            (
                json!({ "type": "object", "properties": { "n": { "$ref": "#/components/schemas/Name" } } }),
                json!({ "n": "Ann" }),
            ),
            (
                json!({ "allOf": [{ "type": "object", "properties": { "a": { "type": "integer" } } }],
                    "properties": { "b": { "type": "boolean" } } }),
                json!({ "a": 0, "b": true }),
            ),
            (json!({ "oneOf": [{ "type": "string" }, { "type": "integer" }] }), json!("string")),
            (json!({ "$ref": "#/components/schemas/None" }), json!(null)),
            (json!({ "$ref": "https://elsewhere/schema" }), json!(null)),
        ] {
            assert_eq!(made(&schema), value, "{schema}");
        }
    }

    #[test]
    fn a_schema_of_itself_comes_to_an_end() {
        let made = made(&json!({ "$ref": "#/components/schemas/Tree" })).to_string();
        assert!(made.contains("null") && made.len() < 1 << 20);
    }
}
