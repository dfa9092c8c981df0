//! One request, from its head to the head of its answer.

use std::{cell::RefCell, net::SocketAddr, rc::Rc, sync::Arc};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, Version,
    header::{CONTENT_LENGTH, ORIGIN},
    request::Parts,
};
use hyper::body::{Body as _, Incoming};

use super::{
    admission::{self, Admission, Elsewhere, Forward, Found},
    compile::Snapshot,
    journey::{Guide, Journey, Turn},
    limit::{self, Gate},
    outgoing::{Origin, Outgoing, Prepared},
};
use crate::{
    auth,
    explain::{Observer, Unobserved},
    limits::Limiter,
    middleware::{Cors, ResourceMetadata},
    proxy::{Body, BodyError, ClientBody, Forwarding, Sender, TrustedProxies, Upstreams},
    refusal::{Asked, Manner, Reason, Refusal, Space},
    telemetry::{Counters, Line, Lines},
};

/// How much of an upstream's error rules of `errorOverrides` look at, in octets.
const READ_AHEAD: usize = 64 * 1024;

/// A snapshot, counted by one thread.
type Local = Rc<Arc<Snapshot>>;

/// What one thread serves requests with.
pub(crate) struct Worker {
    /// Where a new snapshot appears.
    published: Arc<ArcSwap<Snapshot>>,
    /// The snapshot in use: counted by this thread alone, so that no request writes memory that
    /// another core reads.
    current: RefCell<Local>,
    gate: Gate,
    sender: Sender,
    trusted_proxies: Arc<TrustedProxies>,
    lines: Lines,
    counters: Counters,
}

impl Worker {
    pub(crate) fn new(
        published: Arc<ArcSwap<Snapshot>>,
        limiter: Limiter,
        sender: Sender,
        trusted_proxies: Arc<TrustedProxies>,
        lines: Lines,
        counters: Counters,
    ) -> Self {
        let current = RefCell::new(Rc::new(published.load_full()));
        Self { published, current, gate: Gate::new(limiter), sender, trusted_proxies, lines, counters }
    }

    fn snapshot(&self) -> Local {
        let published = self.published.load();
        let mut current = self.current.borrow_mut();
        if !Arc::ptr_eq(&published, &current) {
            *current = Rc::new(Arc::clone(&published));
            auth::forget_on_this_thread();
        }
        Rc::clone(&current)
    }

    pub(crate) fn lines(&self) -> &Lines {
        &self.lines
    }

    pub(crate) fn sender(&self) -> &Sender {
        &self.sender
    }

    /// Answers one request of a peer.
    pub(crate) fn serve(
        self: Rc<Self>,
        peer: SocketAddr,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Body>> {
        let (parts, body) = request.into_parts();
        // A listener for both families shows IPv4 peers as IPv6 ones.
        let peer = peer.ip().to_canonical();
        let client = self.trusted_proxies.client(peer, &parts.headers);
        // Dropped at the end, or when the client leaves before: who leaves at once does so before
        // the future is polled, so the line begins before it.
        let mut line = self.lines.begin(client, &parts.method, parts.uri.path());
        async move {
            let from = Origin { peer, client };
            let (response, refused) = self.route(from, parts, body, line.as_mut()).await;
            if let Some(line) = &mut line {
                line.is_answered(response.status(), refused);
            }
            response
        }
    }

    /// Finds the API that answers, and turns its refusals into answers.
    async fn route(
        &self,
        from: Origin,
        mut parts: Parts,
        body: Incoming,
        line: Option<&mut Line>,
    ) -> (Response<Body>, Option<Reason>) {
        let snapshot = self.snapshot();
        let asked = Asked::new(&parts.method, &parts.headers);
        let refuse_everywhere = |reason: Reason| {
            self.counters.refused("", reason);
            (snapshot.refuse(reason, asked).map(Body::from), Some(reason))
        };
        // The target borrows from the URI while the rest of the head changes on the way.
        let uri = std::mem::take(&mut parts.uri);
        let found = match admission::find(&snapshot, &uri, &parts, Unobserved) {
            Ok(found) => found,
            Err(Elsewhere::Redirect(clean)) => return (admission::redirect(&clean).map(Body::from), None),
            Err(Elsewhere::Metadata(metadata)) => return (metadata.response().map(Body::from), None),
            Err(Elsewhere::Refused(reason)) => return refuse_everywhere(reason),
        };
        let guide = Guide {
            snapshot: &snapshot,
            gate: &self.gate,
            from,
            trusted_proxies: &self.trusted_proxies,
            has_body: !body.is_end_stream(),
        };
        Exchange { worker: self, guide, asked }.run(found, parts, body, line).await
    }
}

/// Counts the checks that only warned.
#[derive(Clone, Copy, Debug)]
struct Warnings<'w> {
    counters: &'w Counters,
    api: &'w str,
}

impl Observer for Warnings<'_> {
    fn warned(self, check: &Arc<str>) {
        self.counters.warned(self.api, check);
    }
}

/// One request, to its answer.
struct Exchange<'e> {
    worker: &'e Worker,
    guide: Guide<'e>,
    asked: Asked,
}

/// What CORS adds to the answer: that of the first API on the way that has it, for the page sees no other.
type Sharing<'e> = (&'e Cors, Method, Option<HeaderValue>);

impl<'e> Exchange<'e> {
    async fn run(
        &self,
        mut found: Found<'e>,
        mut parts: Parts,
        body: Incoming,
        mut line: Option<&mut Line>,
    ) -> (Response<Body>, Option<Reason>) {
        let mut journey = Journey::default();
        let mut sharing: Option<Sharing<'e>> = None;
        let (mut response, refused) = loop {
            let api = found.api;
            if let Some(line) = line.as_mut() {
                line.is_of(&api.id);
            }
            if let (None, Some(cors)) = (&sharing, &api.cors) {
                sharing = Some((cors, parts.method.clone(), parts.headers.get(ORIGIN).cloned()));
            }
            // The headers go to the upstream; what a refusal must tell of them stays.
            let is_https = api.metadata.is_some() && ResourceMetadata::is_https(&parts.headers);
            let told = Warnings { counters: &self.worker.counters, api: &api.id };
            let result = match self.guide.turn(&found, &mut parts, &mut journey, told).await {
                Ok(Turn::Preflight(response)) => return (response.map(Body::from), None),
                Ok(Turn::Answer(response)) => Ok(response.map(Body::from)),
                Ok(Turn::Upstream(outgoing, forward, upstreams)) => {
                    let request = (parts, body);
                    self.forward(request, (outgoing, forward), upstreams, &mut journey).await
                }
                Ok(Turn::Api(next)) => {
                    found = next;
                    continue;
                }
                Err(refusal) => Err(refusal),
            };
            break match result {
                Ok(response) => (response, None),
                Err(refusal) => {
                    self.worker.counters.refused(&api.id, refusal.reason());
                    let admission = self.guide.admission(&found, &journey);
                    let answer = admission.refuse(&refusal, self.asked, is_https);
                    (answer.map(Body::from), Some(refusal.reason()))
                }
            };
        };
        if let Some((cors, method, origin)) = sharing {
            cors.decorate(&method, origin.as_ref(), response.headers_mut());
        }
        (response, refused)
    }

    async fn forward(
        &self,
        (mut parts, body): (Parts, Incoming),
        (outgoing, forward): (Outgoing<'_>, Forward<'_>),
        upstreams: &Upstreams,
        journey: &mut Journey<'_>,
    ) -> Result<Response<Body>, Refusal> {
        let Admission { api, profile, .. } = outgoing.admission;
        let pick = upstreams.take_turn();
        let Prepared { asked, limit, changes } =
            outgoing.prepare(&mut parts, pick.clone(), &forward, journey)?;
        let body = ClientBody::new(body, journey.body_limit(forward.body_limit));
        let request = Request::from_parts(parts, body);
        let is_made_head = *request.method() == Method::HEAD && !self.asked.is_head();
        let sending = self.worker.sender.send(pick, &asked, limit, request);
        let mut response = sending.await.map_err(Reason::from)?;
        // What the upstream speaks is between it and us (RFC 9110 section 6.2).
        *response.version_mut() = Version::HTTP_11;
        let headers = response.headers_mut();
        Forwarding::prepare_response(headers);
        if is_made_head {
            // That of a body which nobody sends (RFC 9110 section 8.6): the client would wait for it.
            headers.remove(CONTENT_LENGTH);
        }
        if let Some(pass) = &journey.pass(forward.pass) {
            limit::tell(pass, profile, headers);
        }
        changes.apply(headers);
        if api.overrides.concern(response.status()) {
            return self.override_answer(outgoing.admission, response).await;
        }
        Ok(response)
    }

    /// Changes an error of the upstream as the rules of the API say.
    async fn override_answer(
        &self,
        Admission { api, profile, .. }: Admission<'_>,
        response: Response<Body>,
    ) -> Result<Response<Body>, Refusal> {
        let overrides = &api.overrides;
        let (mut head, mut body) = response.into_parts();
        let begin = if overrides.read_body(head.status) {
            body.peek(READ_AHEAD).await.map_err(|error| match error {
                BodyError::Upstream(_) => Reason::UpstreamBroken,
                BodyError::Late => Reason::UpstreamTimeout,
            })?
        } else {
            Bytes::new()
        };
        // No challenge is made up for an upstream, so it needs no space.
        let manner = Manner { profile, asked: self.asked, space: Space::default(), overrides };
        if let Some(new) = overrides.of_upstream(&manner, &mut head, &begin) {
            body = if self.asked.is_head() { Bytes::new() } else { new }.into();
        }
        Ok(Response::from_parts(head, body))
    }
}
