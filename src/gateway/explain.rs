//! Why a request is let through or refused: the decision is made once more, before an observer.

use std::{net::IpAddr, sync::Arc};

use bytes::Bytes;
use http::{
    Method, Response, Uri,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING},
    request::Parts,
    uri::PathAndQuery,
};
use serde_json::{Value, json};

use super::{
    admission::{self, Admission, Asker, Elsewhere, Found},
    compile::Snapshot,
    explained,
    journey::{self, Guide, Journey, Turn, Way},
    limit::Gate,
    outgoing::Origin,
    question::{About, Question, QuestionError},
    target::Target,
};
use crate::{
    explain::{Observer as _, Recorder, Step, Unobserved},
    middleware::ResourceMetadata,
    proxy::{Client, TrustedProxies},
    refusal::{Asked, Reason, Refusal},
};

/// What would become of a request, and why.
#[derive(Debug)]
pub struct Explanation {
    /// The id of the API that answers, if one does.
    pub api: Option<Arc<str>>,
    /// The steps of the decision, in order.
    pub steps: Vec<Step>,
    /// The end.
    pub end: End,
}

/// What would become of a request.
#[derive(Debug)]
pub enum End {
    /// It goes to the upstream; or the API takes the token, if nothing else was asked.
    Passes,
    /// It gets this answer, without the upstream and without a refusal.
    Answered(Response<Bytes>),
    /// It is refused, and this is what the client gets.
    Refused(Reason, Response<Bytes>),
}

/// What the parts of an explanation are made with.
pub(super) struct Scene<'s> {
    pub(super) snapshot: &'s Snapshot,
    pub(super) gate: Gate,
    pub(super) trusted_proxies: &'s TrustedProxies,
}

impl Scene<'_> {
    pub(super) async fn explain(&self, question: &Question) -> Result<Explanation, QuestionError> {
        let recorder = Recorder::new(question.time);
        let client = question.client;
        let token = question.token.as_ref().map(|token| token.as_str());
        let (api, end) = match &question.about {
            About::Api(id) => self.token(id, token.unwrap_or_default(), client, &recorder).await?,
            About::Request(parts) => self.request(Parts::clone(parts), token, client, &recorder).await?,
        };
        let reason = match &end {
            End::Refused(reason, _) => Some(*reason),
            End::Passes | End::Answered(_) => None,
        };
        let mut steps = recorder.into_steps(reason);
        // Paths, hosts and what is wanted of claims may come from references. Whoever may ask may not know their
        // values.
        let texts =
            steps.iter_mut().flat_map(|Step { found, expected, .. }| expected.iter_mut().chain([found]));
        self.snapshot.withheld.hide_in_all(texts);
        Ok(Explanation { api, steps, end })
    }

    /// Whether an API takes a token.
    async fn token(
        &self,
        id: &str,
        token: &str,
        client: IpAddr,
        recorder: &Recorder,
    ) -> Result<(Option<Arc<str>>, End), QuestionError> {
        let snapshot = self.snapshot;
        let unknown = || QuestionError::UnknownApi(snapshot.ids().map(Into::into).collect());
        let api = snapshot.api(id).ok_or_else(unknown)?;
        let mut headers = http::HeaderMap::new();
        let authentication = api.authentication.as_ref();
        let query = authentication.and_then(|demand| demand.put(token, &mut headers, None));
        let raw = api.definition.listen_path.at.as_str();
        let (host_name, query) = (String::new(), query.as_deref());
        let target = Target {
            host: None,
            host_name,
            raw: raw.into(),
            path: raw.into(),
            query: query.map(Into::into),
            ambiguous: false,
        };
        let found = Found::at_listen_path(api, target, raw.len());
        let asker = Asker { client: Client::Known(client), is_api: false };
        let admission = Admission::new(&found, snapshot, asker);
        let id = Some(Arc::clone(api.id()));
        let Some(authentication) = authentication else {
            recorder.note(explained::open_api);
            return Ok((id, End::Passes));
        };
        let taken = match admission.authenticate(authentication, &headers, recorder).await {
            Ok(session) => session.rights().on(api.id()).map(|_| ()).map_err(Refusal::from),
            Err(refusal) => Err(refusal),
        };
        let Err(refusal) = taken else {
            recorder.note(explained::path_not_asked);
            return Ok((id, End::Passes));
        };
        let answer = admission.refuse(&refusal, Asked::new(&Method::GET, &headers), false);
        Ok((id, End::Refused(refusal.reason(), answer)))
    }

    /// What becomes of a request, with a token where the API looks for one.
    async fn request(
        &self,
        mut parts: Parts,
        token: Option<&str>,
        client: IpAddr,
        recorder: &Recorder,
    ) -> Result<(Option<Arc<str>>, End), QuestionError> {
        let snapshot = self.snapshot;
        if let Some(token) = token {
            self.put(token, &mut parts);
        }
        let uri = std::mem::take(&mut parts.uri);
        let asked = Asked::new(&parts.method, &parts.headers);
        let found = match admission::find(snapshot, &uri, &parts, recorder) {
            Ok(found) => found,
            Err(Elsewhere::Redirect(clean)) => {
                return Ok((None, End::Answered(admission::redirect(&clean))));
            }
            Err(Elsewhere::Metadata(metadata)) => return Ok((None, End::Answered(metadata.response()))),
            Err(Elsewhere::Refused(reason)) => {
                return Ok((None, End::Refused(reason, snapshot.refuse(reason, asked))));
            }
        };
        let guide = Guide {
            snapshot,
            gate: &self.gate,
            from: Origin { peer: client, client: Client::Known(client) },
            trusted_proxies: self.trusted_proxies,
            has_body: has_body(&parts),
        };
        Ok(Self::follow(&guide, found, parts, asked, recorder).await)
    }

    /// Follows a request from API to API.
    async fn follow<'s>(
        guide: &Guide<'s>,
        mut found: Found<'s>,
        mut parts: Parts,
        asked: Asked,
        recorder: &Recorder,
    ) -> (Option<Arc<str>>, End) {
        let mut journey = Journey::default();
        loop {
            let is_https = ResourceMetadata::is_https(&parts.headers);
            let result = match guide.turn(&found, &mut parts, &mut journey, recorder).await {
                Ok(Turn::Api(next)) => {
                    found = next;
                    continue;
                }
                Ok(Turn::Preflight(answer) | Turn::Answer(answer)) => Ok(Some(answer)),
                Ok(Turn::Upstream(outgoing, forward, Way { upstreams, url })) => {
                    let pick = upstreams.next_turn();
                    let prepared = outgoing.prepare(&mut parts, pick, url, &forward, &mut journey);
                    recorder.note(|| explained::forwarded(&prepared, &parts));
                    prepared.map(|_| None)
                }
                Err(refusal) => Err(refusal),
            };
            let end = match result {
                Ok(None) => End::Passes,
                Ok(Some(answer)) => End::Answered(answer),
                Err(refusal) => {
                    let admission = guide.admission(&found, &journey);
                    End::Refused(refusal.reason(), admission.refuse(&refusal, asked, is_https))
                }
            };
            return (Some(Arc::clone(found.api.id())), end);
        }
    }

    /// Puts a token where the first API on the way that wants one looks for it, instead of what is there.
    fn put(&self, token: &str, parts: &mut Parts) {
        let uri = parts.uri.clone();
        let Ok(found) = admission::find(self.snapshot, &uri, parts, Unobserved) else { return };
        let Some(authentication) = journey::first_asking(self.snapshot, found, parts) else { return };
        authentication.strip_headers(&mut parts.headers);
        let query = uri.query().and_then(|query| authentication.strip_query(query));
        let query = query.as_deref().or_else(|| uri.query());
        if let Some(query) =
            authentication.put(token, &mut parts.headers, query).or_else(|| query.map(Into::into))
        {
            parts.uri = with_query(&uri, &query);
        }
    }
}

fn with_query(uri: &Uri, query: &str) -> Uri {
    let mut parts = uri.clone().into_parts();
    let path = uri.path();
    let target = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
    parts.path_and_query = PathAndQuery::try_from(target).ok();
    Uri::from_parts(parts).unwrap_or_default()
}

/// Whether a head announces a body.
fn has_body(parts: &Parts) -> bool {
    let length = parts.headers.get(CONTENT_LENGTH);
    parts.headers.contains_key(TRANSFER_ENCODING) || length.is_some_and(|length| length != "0")
}

impl Explanation {
    /// Whether the request goes on, or gets an answer that is no refusal.
    #[must_use]
    pub const fn is_let_through(&self) -> bool {
        !matches!(self.end, End::Refused(..))
    }

    /// The same as JSON, with stable names.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let answer = match &self.end {
            End::Passes => Value::Null,
            End::Answered(response) => json!({ "status": response.status().as_u16() }),
            End::Refused(reason, response) => json!({
                "status": response.status().as_u16(),
                "reason": reason.code(),
                "body": String::from_utf8_lossy(response.body()),
            }),
        };
        json!({
            "allowed": self.is_let_through(),
            "api": self.api.as_deref(),
            "answer": answer,
            "steps": self.steps.iter().map(step).collect::<Vec<Value>>(),
        })
    }
}

fn step(step: &Step) -> Value {
    let scheme = step.scheme.as_ref();
    json!({
        "step": step.name,
        "requirement": scheme.map(|scheme| scheme.requirement),
        "scheme": scheme.map(|scheme| &scheme.name),
        "outcome": step.outcome.name(),
        "reason": step.outcome.reason().map(Reason::code),
        "expected": step.expected,
        "found": step.found,
        "decides": step.decides,
    })
}
