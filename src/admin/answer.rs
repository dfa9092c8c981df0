//! Bodies: those that are read, and those that are answered, in Tyk's form.

use aws_lc_rs::digest;
use axum::{
    Json,
    body::Bytes,
    extract::rejection::BytesRejection,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::{
    document::{Document, Finding, Severity},
    gateway::{Control, Untold},
    refusal::Profile,
};

/// Tyk's answer about what was asked for.
pub(super) fn status(code: StatusCode, status: &str, message: &str) -> Response {
    (code, Json(json!({ "status": status, "message": message }))).into_response()
}

/// A refusal.
pub(super) fn error(code: StatusCode, message: &str) -> Response {
    status(code, "error", message)
}

/// A refusal with its reasons, as text and one by one.
pub(super) fn refused(code: StatusCode, findings: &[Finding], text: impl Fn(&Finding) -> String) -> Response {
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error);
    let message: Vec<String> = errors.map(text).collect();
    let body =
        json!({ "status": "error", "message": message.join("\n"), "findings": self::findings(findings) });
    (code, Json(body)).into_response()
}

/// Findings one by one.
pub(super) fn findings(findings: &[Finding]) -> Vec<Value> {
    let of = |finding: &Finding| {
        let severity = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        json!({
            "severity": severity,
            "file": finding.file.display().to_string(),
            "line": finding.line,
            "field": finding.field,
            "message": finding.message,
        })
    };
    findings.iter().map(of).collect()
}

/// What is wrong with a body, and where.
pub(super) fn in_body(finding: &Finding) -> String {
    match &finding.field {
        Some(field) if !field.is_empty() => format!("{field}: {}", finding.message),
        _ => finding.message.clone(),
    }
}

/// What was asked of all nodes is done here, and the others do not know of it.
pub(super) fn only_here(untold: &Untold) -> Response {
    error(StatusCode::SERVICE_UNAVAILABLE, &format!("this node does it, but {untold}"))
}

/// The task that worked out the answer ended: a fault of ours.
pub(super) fn ended() -> Response {
    error(StatusCode::INTERNAL_SERVER_ERROR, "the change ended unexpectedly")
}

/// Why a body is no document: too large, or not what it should be.
pub(super) struct Unreadable {
    pub(super) code: StatusCode,
    pub(super) reason: String,
}

impl Unreadable {
    /// The refusal, in Tyk's words; where nobody expects these and no more, with the reason.
    pub(super) fn answer(&self, control: &Control, tyk: &str) -> Response {
        match control.config().errors {
            Profile::Tyk => error(self.code, tyk),
            Profile::Rfc => error(self.code, &format!("{tyk}: {}", self.reason)),
        }
    }
}

/// The object that a body is.
pub(super) fn object(body: Result<Bytes, BytesRejection>) -> Result<Document, Unreadable> {
    let malformed = |reason: String| Unreadable { code: StatusCode::BAD_REQUEST, reason };
    let body = body.map_err(|rejected| Unreadable {
        code: rejected.status(),
        reason: "the body cannot be read, or is too large".into(),
    })?;
    let text = std::str::from_utf8(&body).map_err(|_| malformed("the body is not UTF-8".into()))?;
    let document = Document::of_body(text.to_owned());
    let document = document.map_err(|finding| malformed(finding.message))?;
    if document.root().is_object() { Ok(document) } else { Err(malformed("an object is expected".into())) }
}

/// A switch in a query: `true` and `1` are on, as in Tyk, and anything else is off.
pub(super) fn switch<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok(text == "true" || text == "1")
}

/// The SHA-256 of a value as compact JSON, in hexadecimal digits.
pub(super) fn digest_of(value: &Value) -> String {
    let digest = digest::digest(&digest::SHA256, value.to_string().as_bytes());
    digest.as_ref().iter().map(|octet| format!("{octet:02x}")).collect()
}
