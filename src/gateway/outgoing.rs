//! The head of a request as its upstream gets it, and what is changed in the answer.

use std::{borrow::Cow, net::IpAddr, time::Duration};

use http::{HeaderMap, Version, request::Parts};

use super::{
    admission::{Admission, Forward},
    api::Api,
    explained,
    journey::{Journey, Lead, Onward, Url, Way},
    target,
};
use crate::{
    auth::Authentication,
    explain::Observer,
    lookalikes,
    middleware::{
        Facts, HeaderRules, NotForwardable, Operation, Rendered,
        rewrite::{Rewritten, Server, Subject},
    },
    proxy::{AskedFor, Client, Forwarding, Pick, TrustedProxies},
    refusal::{Profile, Reason, Refusal},
    session::Session,
};

/// Where a request comes from.
#[derive(Clone, Copy)]
pub(super) struct Origin {
    /// Who is at the other end of the connection.
    pub(super) peer: IpAddr,
    /// Who asked, perhaps through trusted proxies.
    pub(super) client: Client,
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
        mut pick: Pick<'_>,
        url: Option<Url>,
        forward: &Forward<'o>,
        journey: &mut Journey<'_>,
    ) -> Result<Prepared<'o>, Refusal> {
        self.leave_client(&mut parts.headers, journey);
        if let Some(stripped) = journey.stripped.take() {
            parts.headers = stripped;
        }
        let asked_headers = self.asked_headers(&parts.headers);
        let facts = self.facts(&asked_headers, forward.session.as_ref(), journey.request_id());
        self.strip_credentials(&mut parts.headers);
        self.change(&mut parts.headers, &facts, forward.said.operation)?;
        let (path, query) = match url {
            Some(Url { path, query }) => (path.into(), query.map(Cow::from)),
            None => (self.path_onward()?.into(), self.query_without_credentials(journey)),
        };
        let asked = AskedFor { path, query, host: self.admission.target.host.as_ref() };
        if let Some(method) = journey.new_method(&parts.method, None, forward) {
            parts.method = method.clone();
        }
        let upstream = pick.next().ok_or(Reason::UpstreamUnreachable)?;
        upstream.aim(&asked, parts).ok_or(Reason::BadRequest)?;
        parts.version = Version::HTTP_11;
        parts.extensions.clear();
        let changes = self.rendered_changes(&facts, forward)?;
        Ok(Prepared { asked, limit: forward.said.time_limit, changes })
    }

    /// What the answer to a request with these headers is changed to, where no upstream gives it.
    pub(super) fn answer_changes(
        &self,
        headers: &HeaderMap,
        forward: &Forward<'o>,
        journey: &mut Journey<'_>,
    ) -> Result<AnswerChanges<'o>, Refusal> {
        self.rendered_changes(&self.facts(headers, forward.session.as_ref(), journey.request_id()), forward)
    }

    fn rendered_changes(
        &self,
        facts: &Facts<'_>,
        forward: &Forward<'o>,
    ) -> Result<AnswerChanges<'o>, Refusal> {
        let render = |rules: &'o HeaderRules| rules.render(facts).map_err(not_forwardable(facts));
        let of_operation =
            forward.said.operation.map(|operation| render(&operation.response_headers)).transpose()?;
        Ok(AnswerChanges { of_operation, of_api: render(&self.admission.api.definition.response_headers)? })
    }

    /// Makes the head the one that another API gets. It asks for the credentials that the client sent;
    /// the upstream behind it gets none that this API strips.
    pub(super) fn lead_on(
        &self,
        parts: &mut Parts,
        forward: &Forward<'_>,
        journey: &mut Journey<'_>,
    ) -> Result<(), Refusal> {
        self.leave_client(&mut parts.headers, journey);
        let asked_headers = self.asked_headers(&parts.headers);
        let facts = self.facts(&asked_headers, forward.session.as_ref(), journey.request_id());
        if self.admission.api.definition.strip_authorization_data {
            journey.stripped.get_or_insert_with(|| parts.headers.clone());
        }
        if let Some(stripped) = &mut journey.stripped {
            self.strip_credentials(stripped);
            self.change(stripped, &facts, forward.said.operation)?;
        }
        self.change(&mut parts.headers, &facts, forward.said.operation)
    }

    /// Where an admitted request goes on.
    pub(super) fn lead(&self, rewritten: Option<Rewritten<'o>>) -> Result<Lead<'o>, Refusal> {
        let Admission { api, target, .. } = self.admission;
        let Some(Rewritten { to, path, query, .. }) = rewritten else {
            return Ok(api.lead(self.path_onward()?, target.query()));
        };
        Ok(match to {
            Server::Api(address) => Lead::Api(Onward { address, path, query }),
            Server::Other(upstreams) => Lead::Upstreams(Way { upstreams, url: Some(Url { path, query }) }),
            Server::Same => match api.lead(&path, query.as_deref()) {
                Lead::Upstreams(way) => Lead::Upstreams(Way { url: Some(Url { path, query }), ..way }),
                onward @ Lead::Api(_) => onward,
            },
        })
    }

    /// The URL that the request gets, if it gets another one.
    pub(super) fn rewrite(
        &self,
        parts: &mut Parts,
        forward: &Forward<'o>,
        journey: &mut Journey<'_>,
        observer: impl Observer,
    ) -> Result<Option<Rewritten<'o>>, Refusal> {
        let Admission { target, taken, profile, .. } = self.admission;
        let Some(rewrite) = forward.said.rewrite else { return Ok(None) };
        self.leave_client(&mut parts.headers, journey);
        let facts = self.facts(&parts.headers, forward.session.as_ref(), journey.request_id());
        let mut headers = Cow::Borrowed(&parts.headers);
        if rewrite.reads_headers() {
            self.strip_credentials(headers.to_mut());
            self.change(headers.to_mut(), &facts, forward.said.operation)?;
        }
        let query = self.query_without_credentials(journey);
        let subject = Subject {
            path: &target.raw,
            below: target.raw_below(taken),
            decoded: (!target.ambiguous).then(|| [&*target.path, target.path_below(taken)]),
            query: query.as_deref(),
            headers: &headers,
            profile,
        };
        let mut rewritten = rewrite.rewrite(&subject, &facts);
        if let Some(Rewritten { to: Server::Same, path, .. }) = &mut rewritten {
            self.take_listen_path(path);
        }
        let is_acceptable = |url: &Rewritten<'_>| match profile {
            Profile::Rfc => target::is_safe(&url.path) && !url.has_empty_segment,
            // An escaped slash in a claim is sent as such, dots around it or not. What the request itself
            // says is not trusted as far as that.
            Profile::Tyk => target::has_no_dot_segment(&url.path) && target::is_safe(&url.unvouched),
        };
        let reason = match &rewritten {
            Some(url) if !is_acceptable(url) && url.has_variables => Some(Reason::ClaimNotForwardable),
            Some(url) if !is_acceptable(url) => Some(Reason::BadRequest),
            _ => None,
        };
        observer.note(|| explained::rewritten(rewritten.as_ref(), reason));
        reason.map_or(Ok(rewritten), |reason| Err(reason.into()))
    }

    /// Takes the listen path off a new path, as off every other one: in Tyk it may be written there, or be
    /// a part of what the pattern has found.
    fn take_listen_path(&self, path: &mut String) {
        let Admission { api, target, taken, .. } = self.admission;
        let own = target.raw.strip_suffix(target.raw_below(taken)).unwrap_or(&target.raw);
        let below = path.strip_prefix(own).filter(|_| api.definition.listen_path.strip);
        match below {
            Some("") => "/".clone_into(path),
            Some(below) if below.starts_with('/') => *path = below.to_owned(),
            _ => {}
        }
    }

    /// The raw path behind what the API takes of it.
    fn path_onward(&self) -> Result<&'o str, Refusal> {
        let Admission { target, taken, strips, .. } = self.admission;
        let path = if strips { target.raw_below(taken) } else { &target.raw };
        // Where an escaped slash ends the listen path, the path of the upstream would not end with it.
        if path.starts_with('/') { Ok(path) } else { Err(Reason::BadRequest.into()) }
    }

    /// What belongs to the client's connection goes first, so that `Connection: X-User` cannot take
    /// away what is set here.
    fn leave_client(&self, headers: &mut HeaderMap, journey: &mut Journey<'_>) {
        if journey.has_left {
            return;
        }
        journey.has_left = true;
        let host = self.admission.target.host.as_ref();
        Forwarding { trusted: self.trusted_proxies, peer: self.from.peer, host }.prepare(headers);
    }

    /// The headers that templates read.
    fn asked_headers(&self, headers: &HeaderMap) -> HeaderMap {
        if self.admission.api.reads_headers { headers.clone() } else { HeaderMap::new() }
    }

    fn facts<'f>(&self, headers: &'f HeaderMap, session: Option<&'f Session>, request_id: u128) -> Facts<'f>
    where
        'o: 'f,
    {
        Facts {
            session,
            path: &self.admission.target.path,
            client: self.from.client.nearest(),
            headers,
            query: self.admission.target.query(),
            request_id,
            context: self.admission.api.definition.context_variables,
            claims_hide_header: self.admission.profile == Profile::Tyk,
        }
    }

    /// Sets what the API and the operation set.
    fn change(
        &self,
        headers: &mut HeaderMap,
        facts: &Facts<'_>,
        operation: Option<&Operation>,
    ) -> Result<(), Refusal> {
        let api = self.admission.api;
        if !api.about_caller.is_empty() {
            lookalikes::remove_all(headers, &api.about_caller);
        }
        let not_forwardable = not_forwardable(facts);
        api.definition.request_headers.apply(headers, facts).map_err(not_forwardable)?;
        if let Some(operation) = operation {
            operation.request_headers.apply(headers, facts).map_err(not_forwardable)?;
        }
        api.definition.claim_headers.apply(headers, facts.session).map_err(not_forwardable)?;
        Ok(())
    }

    /// Takes the credentials out of the headers.
    fn strip_credentials(&self, headers: &mut HeaderMap) {
        if let Some(authentication) = stripping(self.admission.api) {
            authentication.strip_headers(headers);
        }
    }

    /// The query without the credentials of this API and of those before it.
    fn query_without_credentials(&self, journey: &Journey<'_>) -> Option<Cow<'o, str>> {
        let query = self.admission.target.query()?;
        let apis = journey.stripping.iter().copied().chain([self.admission.api]);
        let stripped = apis.filter_map(stripping).fold(None, |stripped: Option<String>, authentication| {
            authentication.strip_query(stripped.as_deref().unwrap_or(query)).or(stripped)
        });
        match stripped {
            None => Some(query.into()),
            Some(stripped) => Some(stripped).filter(|query| !query.is_empty()).map(Cow::from),
        }
    }
}

/// Whose credentials the upstream must not see.
fn stripping(api: &Api) -> Option<&Authentication> {
    api.authentication.as_ref().filter(|_| api.definition.strip_authorization_data)
}

/// Whose fault it is that a value cannot stand in a header field.
fn not_forwardable(facts: &Facts<'_>) -> impl Fn(NotForwardable) -> Reason + Copy + use<> {
    let has_claims = facts.session.is_some();
    // Without claims it is the request's own: its path, or a header.
    move |_| if has_claims { Reason::ClaimNotForwardable } else { Reason::BadRequest }
}
