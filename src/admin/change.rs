//! Changes to definitions and policies, made and answered.

use std::sync::Arc;

use axum::{
    Json,
    extract::{FromRequestParts, Query},
    http::{StatusCode, request::Parts},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;
use tokio::runtime::Handle;

use super::{
    Admin,
    answer::{digest_of, ended, error, findings, in_body, refused, switch},
    authorize::{Caller, Touched, UNSYNCED},
};
use crate::{
    config::Role,
    document::Finding,
    gateway::{Change, ChangeError, Changed, Control},
    refusal::Profile,
};

/// What the query of a change may say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// The change acts before it is answered.
    reload: bool,
}

/// The same of a policy.
#[derive(Clone, Debug)]
pub(super) struct AskedOfPolicy {
    pub(super) asked: Asked,
    /// Its organisation, where several have a policy of its id.
    pub(super) org_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    #[serde(default, deserialize_with = "switch")]
    reload: bool,
    org_id: Option<String>,
}

impl<S: Sync> FromRequestParts<S> for Asked {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        // An option of Tyk's that does nothing here must not seem to.
        match Query::<Parameters>::try_from_uri(&parts.uri) {
            Ok(Query(Parameters { reload, org_id: None })) => {
                let asked = Self { reload };
                asked.refusal(parts).map_or(Ok(asked), Err)
            }
            _ => {
                let message = "the only parameter of a change of an API is reload; leave the others out";
                Err(error(StatusCode::BAD_REQUEST, message))
            }
        }
    }
}

impl<S: Sync> FromRequestParts<S> for AskedOfPolicy {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let Ok(Query(Parameters { reload, org_id })) = Query::try_from_uri(&parts.uri) else {
            let message =
                "the only parameters of a change of a policy are reload and org_id; leave the others out";
            return Err(error(StatusCode::BAD_REQUEST, message));
        };
        let asked = Asked { reload };
        asked.refusal(parts).map_or(Ok(Self { asked, org_id }), Err)
    }
}

impl Asked {
    /// The answer to a caller who may not ask for this.
    fn refusal(self, parts: &Parts) -> Option<Response> {
        let caller = parts.extensions.get::<Caller>();
        // It would have everything act that others have written.
        caller.filter(|_| self.reload).and_then(|caller| caller.refused(Role::Operate))
    }
}

/// What a change is about.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    pub(super) kind: &'static str,
    pub(super) id: String,
}

/// What is done, in Tyk's words.
#[derive(Clone, Copy, Debug)]
pub(super) enum Done {
    Added,
    Modified,
    Deleted,
}

impl Done {
    const fn name(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Modified => "modified",
            Self::Deleted => "deleted",
        }
    }
}

/// What a request asks for, or why it cannot be.
pub(super) type Prepared = Result<(Subject, Change), Box<Response>>;

/// Makes the change that this finds in a request, and answers. It looks when it is the turn of the request, on a
/// thread that may be busy with that.
pub(super) async fn make(
    admin: Admin,
    done: Done,
    asked: Asked,
    prepare: impl FnOnce(&Control) -> Prepared + Send + 'static,
) -> Response {
    let Admin { control, tasks, aside, .. } = admin;
    let (own, handle) = (Arc::clone(&control), tasks.clone());
    let written = aside.changes.run(move || write(&own, &handle, done, prepare)).await;
    let (mut touched, changed) = match written {
        Ok(Ok(written)) => written,
        Ok(Err(refusal)) => return *refusal,
        Err(undone) => return undone.into_response(),
    };
    if asked.reload {
        let reloaded = control.ask_reload(&tasks).done().await;
        let refusal = match reloaded.as_deref() {
            Some(Ok(())) => None,
            Some(Err(findings)) => {
                Some(refused(StatusCode::UNPROCESSABLE_ENTITY, findings, Finding::to_string))
            }
            None => Some(ended()),
        };
        if let Some(refusal) = refusal {
            touched.outcome = Some("written, not loaded");
            return touched.mark(refusal);
        }
    }
    if let Some(unsynced) = &changed.unsynced {
        touched.outcome = Some(UNSYNCED);
        return touched.mark(error(StatusCode::INTERNAL_SERVER_ERROR, &unsynced.to_string()));
    }
    let mut body = json!({ "key": touched.id, "status": "ok", "action": done.name() });
    // In Tyk's answer there is nothing else.
    let profile = control.config().errors;
    if let (Profile::Rfc, false, Some(body)) = (profile, changed.warnings.is_empty(), body.as_object_mut()) {
        body.insert("warnings".into(), findings(&changed.warnings).into());
    }
    touched.mark(Json(body).into_response())
}

/// Writes the change down, and what the audit log says of it.
fn write(
    control: &Control,
    tasks: &Handle,
    done: Done,
    prepare: impl FnOnce(&Control) -> Prepared,
) -> Result<(Touched, Changed), Box<Response>> {
    let (Subject { kind, id }, change) = prepare(control)?;
    let touched = Touched { kind, id, ..Touched::default() };
    let changed = match control.change(change, tasks) {
        Ok(changed) => changed,
        Err(error) => return Err(Box::new(touched.mark(not_made(&error)))),
    };
    let [before, after] = [&changed.before, &changed.after].map(|value| value.as_ref().map(digest_of));
    Ok((Touched { outcome: Some(done.name()), before, after, ..touched }, changed))
}

fn not_made(why: &ChangeError) -> Response {
    let code = match why {
        ChangeError::Refused { file, findings } => {
            let text = |finding: &Finding| {
                if finding.file == *file { in_body(finding) } else { finding.to_string() }
            };
            return refused(StatusCode::BAD_REQUEST, findings, text);
        }
        ChangeError::Unknown => StatusCode::NOT_FOUND,
        ChangeError::Ambiguous
        | ChangeError::NoPolicies
        | ChangeError::OneFile { .. }
        | ChangeError::Overtaken { .. } => StatusCode::CONFLICT,
        ChangeError::Unwritten { .. } => StatusCode::INTERNAL_SERVER_ERROR,
    };
    error(code, &why.to_string())
}
