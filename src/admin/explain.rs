//! Why a token or a request would be let through or refused, decided by the running gateway.

use axum::{
    Json,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{Admin, answer::status, routes::Routes};
use crate::{
    config::Role,
    gateway::{Asked, Question, QuestionError, parse_time},
};

/// The largest question in octets: a head with a token as large as any that is taken.
const MAX_QUESTION: usize = 256 * 1024;

pub(super) fn routes() -> Routes {
    Routes::default().post("/jwt/explain", Role::Read, explain).with_bodies_of(MAX_QUESTION)
}

/// What is asked. A field that is not known is an error: it might have been meant to matter.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    api: Option<String>,
    token: Option<String>,
    method: Option<String>,
    url: Option<String>,
    #[serde(default)]
    headers: Map<String, Value>,
    at: Option<Value>,
    client: Option<String>,
}

async fn explain(State(admin): State<Admin>, body: Result<Bytes, BytesRejection>) -> Response {
    let body = match body {
        Ok(body) => Zeroizing::new(body.to_vec()),
        Err(rejected) => {
            return status(rejected.status(), "error", "the body cannot be read, or is too large");
        }
    };
    let question = match question(&body) {
        Ok(question) => question,
        Err(message) => return status(StatusCode::BAD_REQUEST, "error", &message),
    };
    match admin.control.explain(&question).await {
        Ok(explanation) => Json(explanation.to_json()).into_response(),
        Err(QuestionError::UnknownApi(_)) => status(StatusCode::NOT_FOUND, "error", "API not found"),
        Err(error) => status(StatusCode::BAD_REQUEST, "error", &error.to_string()),
    }
}

fn question(body: &[u8]) -> Result<Question, String> {
    // The reader would repeat what it found, which may be a token.
    let Body { api, token, method, url, headers, at, client } = serde_json::from_slice(body).map_err(|error| {
        format!(
            "the body is no question (line {}, column {}): a JSON object with api, token, method, url, headers, at and client",
            error.line(),
            error.column()
        )
    })?;
    let time =
        at.map(|at| time(&at).ok_or("at is a time such as \"2026-11-21T10:00:00Z\", or seconds since 1970"));
    let mut fields = Vec::new();
    for (name, value) in headers {
        let values = match value {
            Value::Array(values) => values,
            value => vec![value],
        };
        for value in values {
            let Value::String(value) = value else { return Err(format!("the header {name:?} is no text")) };
            fields.push((name.clone(), value));
        }
    }
    let token = token.map(Zeroizing::new);
    let asked = Asked { api, method, url, headers: fields, token, time: time.transpose()?, client };
    Question::new(asked).map_err(|error| error.to_string())
}

fn time(at: &Value) -> Option<std::time::SystemTime> {
    match at {
        Value::Number(seconds) => parse_time(&seconds.to_string()),
        Value::String(text) => parse_time(text),
        _ => None,
    }
}
