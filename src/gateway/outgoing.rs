//! The head of a request as its upstream gets it, and what is changed in the answer.

use std::{borrow::Cow, net::IpAddr, time::Duration};

use http::{HeaderMap, Version, request::Parts};

use super::admission::Admission;
use crate::{
    lookalikes,
    middleware::{Facts, HeaderRules, NotForwardable, Operation, Rendered},
    proxy::{AskedFor, Forwarding, Pick, TrustedProxies},
    refusal::{Profile, Reason, Refusal},
    session::Session,
};

/// Where a request comes from.
#[derive(Clone, Copy)]
pub(super) struct Origin {
    /// Who is at the other end of the connection.
    pub(super) peer: IpAddr,
    /// Who asked, perhaps through trusted proxies.
    pub(super) client: IpAddr,
}

/// A request that was admitted, on its way out.
#[derive(Clone, Copy)]
pub(super) struct Outgoing<'o> {
    pub(super) admission: Admission<'o>,
    pub(super) from: Origin,
    pub(super) trusted_proxies: &'o TrustedProxies,
}

/// What goes out, besides the head itself.
pub(super) struct Prepared<'o> {
    /// What the upstreams are asked for, whichever it will be.
    pub(super) asked: AskedFor<'o>,
    /// How long everything may take, if the operation says so.
    pub(super) limit: Option<Duration>,
    pub(super) changes: AnswerChanges<'o>,
}

/// Changes to the headers of the answer.
pub(super) struct AnswerChanges<'o> {
    of_operation: Option<Rendered<'o>>,
    of_api: Rendered<'o>,
}

impl AnswerChanges<'_> {
    pub(super) fn apply(self, headers: &mut HeaderMap) {
        if let Some(rules) = self.of_operation {
            rules.apply(headers);
        }
        self.of_api.apply(headers);
    }
}

impl<'o> Outgoing<'o> {
    /// Makes the head the one that the first upstream of `pick` gets. What the answer will be changed to
    /// is known before the upstream does anything.
    pub(super) fn prepare(
        &self,
        parts: &mut Parts,
        mut pick: Pick<'o>,
        session: Option<&Session>,
        operation: Option<&'o Operation>,
    ) -> Result<Prepared<'o>, Refusal> {
        let api = self.admission.api;
        let below = self.admission.target.path_below(self.admission.taken);
        let limit = api.time_limits.find(&parts.method, below).copied();
        let asked_headers = if api.reads_headers { parts.headers.clone() } else { HeaderMap::new() };
        let facts = Facts {
            session,
            path: &self.admission.target.path,
            client: self.from.client,
            headers: &asked_headers,
            context: api.context_variables,
            claims_hide_header: self.admission.profile == Profile::Tyk,
        };
        let asked = self.change(parts, &facts, operation)?;
        let upstream = pick.next().ok_or(Reason::UpstreamUnreachable)?;
        upstream.aim(&asked, parts).ok_or(Reason::BadRequest)?;
        parts.version = Version::HTTP_11;
        parts.extensions.clear();
        let render = |rules: &'o HeaderRules| rules.render(&facts).map_err(not_forwardable(&facts));
        let of_operation = operation.map(|operation| render(&operation.response_headers)).transpose()?;
        let changes = AnswerChanges { of_operation, of_api: render(&api.response_headers)? };
        Ok(Prepared { asked, limit, changes })
    }

    /// What belongs to the client's connection goes first, so that `Connection: X-User` cannot take
    /// away what is set here.
    fn change(
        &self,
        parts: &mut Parts,
        facts: &Facts<'_>,
        operation: Option<&Operation>,
    ) -> Result<AskedFor<'o>, Refusal> {
        let Admission { api, target, taken, .. } = self.admission;
        let host = target.host.as_ref();
        Forwarding { trusted: self.trusted_proxies, peer: self.from.peer, host }.prepare(&mut parts.headers);
        let query = self.strip_credentials(&mut parts.headers);
        if !api.about_caller.is_empty() {
            lookalikes::remove_all(&mut parts.headers, &api.about_caller);
        }
        let not_forwardable = not_forwardable(facts);
        api.request_headers.apply(&mut parts.headers, facts).map_err(not_forwardable)?;
        if let Some(operation) = operation {
            operation.request_headers.apply(&mut parts.headers, facts).map_err(not_forwardable)?;
        }
        api.claim_headers.apply(&mut parts.headers, facts.session).map_err(not_forwardable)?;
        let path = if api.listen_path.strip { target.raw_below(taken) } else { target.raw };
        if !path.starts_with('/') {
            // An escaped slash ended the listen path: joined to that of the upstream, it would not.
            return Err(Reason::BadRequest.into());
        }
        let query = match query {
            Some(stripped) => Some(Cow::from(stripped)).filter(|query| !query.is_empty()),
            None => target.query.map(Cow::from),
        };
        Ok(AskedFor { path: path.into(), query, host })
    }

    /// Takes the credentials out of the headers; gives the query without them, if they were there.
    fn strip_credentials(&self, headers: &mut HeaderMap) -> Option<String> {
        let Admission { api, target, .. } = self.admission;
        let authentication = api.authentication.as_ref().filter(|_| api.strip_credentials)?;
        authentication.strip_headers(headers);
        authentication.strip_query(target.query?)
    }
}

/// Whose fault it is that a value cannot stand in a header field.
fn not_forwardable(facts: &Facts<'_>) -> impl Fn(NotForwardable) -> Reason + Copy + use<> {
    let has_claims = facts.session.is_some();
    // Without claims it is the request's own: its path, or a header.
    move |_| if has_claims { Reason::ClaimNotForwardable } else { Reason::BadRequest }
}
