//! One request, from its head to the head of its answer.

use std::{
    cell::RefCell,
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, StatusCode, Version,
    header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ORIGIN},
    request::Parts,
};
use http_body::Body as _;
use tokio::time::Instant;

use super::{
    admission::{self, Admission, Elsewhere, Forward, Found},
    compile::Snapshot,
    journey::{Guide, Journey, Turn, Way},
    limit::Gate,
    outgoing::{Origin, Outgoing, Prepared},
};
use crate::{
    auth,
    explain::{Observer, Unobserved},
    http1::Incoming,
    limits::Limiter,
    middleware::{Cors, ResourceMetadata},
    proxy::{
        Answer, Body, BodyError, ClientBody, Forwarding, Handshake, Sender, Sending, TrustedProxies, Tunnel,
        Tunnels, content_type,
    },
    refusal::{Asked, Manner, Profile, Reason, Refusal, Space},
    telemetry::{Counters, Line, Lines},
};

/// How much of an upstream's error rules of `errorOverrides` look at, in octets.
const READ_AHEAD: usize = 64 * 1024;

/// How long a WebSocket outlives the token or key that opened it: it need not end in the midst of a word, and
/// clients whose clocks go differently are let in for as long.
const AFTER_TOKEN: Duration = Duration::from_secs(60);

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
    tunnels: Tunnels,
    trusted_proxies: Arc<TrustedProxies>,
    lines: Lines,
    counters: Counters,
}

impl Worker {
    pub(crate) fn new(
        published: Arc<ArcSwap<Snapshot>>,
        limiter: Limiter,
        (sender, tunnels): (Sender, Tunnels),
        trusted_proxies: Arc<TrustedProxies>,
        lines: Lines,
        counters: Counters,
    ) -> Self {
        let current = RefCell::new(Rc::new(published.load_full()));
        Self {
            published,
            current,
            gate: Gate::new(limiter),
            sender,
            tunnels,
            trusted_proxies,
            lines,
            counters,
        }
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

    /// Lets go of a snapshot that is served no more, also where no request comes.
    pub(crate) fn catch_up(&self) {
        drop(self.snapshot());
    }

    pub(crate) fn lines(&self) -> &Lines {
        &self.lines
    }

    pub(crate) fn sender(&self) -> &Sender {
        &self.sender
    }

    pub(crate) fn tunnels(&self) -> &Tunnels {
        &self.tunnels
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
        let mut line = self.lines.begin(client.nearest(), &parts.method, parts.uri.path());
        async move {
            let from = Origin { peer, client };
            let (response, refused) = self.route(from, parts, body, &mut line).await;
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
        line: &mut Option<Line>,
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

/// Says what the content of an answer is, where its upstream does not: in Tyk every answer does.
async fn name_content(response: &mut Response<Body>) -> Result<(), Reason> {
    let headers = response.headers();
    let is_named = headers.contains_key(CONTENT_TYPE) || headers.contains_key(CONTENT_ENCODING);
    if !is_named && !response.body().is_end_stream() {
        let begin = response.body_mut().peek(1).await.map_err(|error| unfinished(&error))?;
        let content_type = HeaderValue::from_static(content_type(&begin));
        response.headers_mut().insert(CONTENT_TYPE, content_type);
    }
    Ok(())
}

/// Why the beginning of an answer does not come.
fn unfinished(error: &BodyError) -> Reason {
    match error {
        BodyError::Broken => Reason::UpstreamBroken,
        BodyError::Request => Reason::BodyBroken,
        BodyError::Late => Reason::UpstreamTimeout,
    }
}

/// How long a WebSocket may last that was opened with something that expires in this second.
fn life(expires: i64, now: SystemTime) -> Duration {
    let end = Duration::from_secs(u64::try_from(expires).unwrap_or_default()).saturating_add(AFTER_TOKEN);
    end.saturating_sub(now.duration_since(UNIX_EPOCH).unwrap_or_default()).max(AFTER_TOKEN)
}

/// A request that may go to an upstream.
struct Admitted<'a> {
    outgoing: Outgoing<'a>,
    forward: Forward<'a>,
    way: Way<'a>,
    /// It asks for a WebSocket.
    handshake: Option<Handshake>,
    line: &'a mut Option<Line>,
}

/// What CORS adds to the answer: that of the first API on the way that has it, for the page sees no other.
type Sharing<'e> = (&'e Cors, Method, Option<HeaderValue>);

impl<'e> Exchange<'e> {
    async fn run(
        &self,
        mut found: Found<'e>,
        mut parts: Parts,
        mut body: Incoming,
        line: &mut Option<Line>,
    ) -> (Response<Body>, Option<Reason>) {
        let handshake = Handshake::take(&parts, &mut body);
        let mut journey = Journey::default();
        let mut sharing: Option<Sharing<'e>> = None;
        let (mut response, refused) = loop {
            let api = found.api;
            if let Some(line) = line.as_mut() {
                line.is_of(api.id());
            }
            if let (None, Some(cors)) = (&sharing, &api.cors) {
                sharing = Some((cors, parts.method.clone(), parts.headers.get(ORIGIN).cloned()));
            }
            // The headers go to the upstream; what a refusal must tell of them stays.
            let is_https = api.definition.metadata.is_some() && ResourceMetadata::is_https(&parts.headers);
            let told = Warnings { counters: &self.worker.counters, api: api.id() };
            let result = match self.guide.turn(&found, &mut parts, &mut journey, told).await {
                Ok(Turn::Preflight(response)) => return (response.map(Body::from), None),
                Ok(Turn::Answer(response)) => Ok(response.map(Body::from)),
                Ok(Turn::Upstream(outgoing, forward, way)) => {
                    let admitted = Admitted { outgoing, forward, way, handshake, line };
                    self.forward((parts, body), admitted, &mut journey).await
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
                    self.worker.counters.refused(api.id(), refusal.reason());
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
        Admitted { outgoing, forward, way: Way { upstreams, url }, handshake, line }: Admitted<'_>,
        journey: &mut Journey<'_>,
    ) -> Result<Response<Body>, Refusal> {
        let Admission { api, profile, told, .. } = outgoing.admission;
        let pick = upstreams.take_turn();
        let Prepared { asked, limit, changes } =
            outgoing.prepare(&mut parts, pick.clone(), url, &forward, journey)?;
        let handshake = handshake.filter(|_| parts.method == Method::GET);
        if handshake.is_some() {
            Handshake::ask(&mut parts.headers);
        }
        let body = ClientBody::new(body, journey.body_limit(forward.body_limit));
        let is_made_head = parts.method == Method::HEAD && !self.asked.is_head();
        let sending = Sending { pick, asked: &asked, limit, handshake };
        let mut response =
            match self.worker.sender.send(sending, (parts, body)).await.map_err(Reason::from)? {
                Answer::Plain(response) => response,
                Answer::Switched(mut response, tunnel) => {
                    Forwarding::prepare_response(response.headers_mut());
                    changes.apply(response.headers_mut());
                    Handshake::ask(response.headers_mut());
                    self.open(tunnel, journey.expires(forward.session.as_ref()), line.take());
                    return Ok(response);
                }
            };
        // What the upstream speaks is between it and us (RFC 9110 section 6.2).
        *response.version_mut() = Version::HTTP_11;
        let headers = response.headers_mut();
        Forwarding::prepare_response(headers);
        if is_made_head {
            // That of a body which nobody sends (RFC 9110 section 8.6): the client would wait for it.
            headers.remove(CONTENT_LENGTH);
        }
        if let Some(pass) = &journey.pass(forward.pass) {
            told.tell(pass, headers);
        }
        changes.apply(headers);
        if let Some(expiry) = &api.expiry {
            expiry.announce(headers);
        }
        if profile == Profile::Tyk {
            name_content(&mut response).await?;
        }
        if api.overrides.concern(response.status()) {
            return self.override_answer(outgoing.admission, response).await;
        }
        Ok(response)
    }

    /// Joins both sides of a WebSocket, which was opened with something that expires in this second. The line
    /// of the request is written when it ends.
    fn open(&self, tunnel: Tunnel, expires: Option<i64>, mut line: Option<Line>) {
        if let Some(line) = &mut line {
            line.is_answered(StatusCode::SWITCHING_PROTOCOLS, None);
        }
        // In Tyk it may last for ever.
        let expires = expires.filter(|_| self.guide.snapshot.profile == Profile::Rfc);
        let end = expires.and_then(|expires| Instant::now().checked_add(life(expires, SystemTime::now())));
        self.worker.tunnels.open(tunnel, end, move |traffic| {
            if let Some(line) = &mut line {
                line.has_carried(traffic.received, traffic.sent);
            }
        });
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
            body.peek(READ_AHEAD).await.map_err(|error| unfinished(&error))?
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_websocket_ends_a_minute_after_its_token() {
        let now = UNIX_EPOCH + Duration::from_secs(1000);
        // One that has expired already was forgiven the difference of two clocks.
        for (expires, seconds) in [(1600, 660), (1000, 60), (900, 60), (-5, 60)] {
            assert_eq!(life(expires, now).as_secs(), seconds, "{expires}");
        }
        assert!(life(i64::MAX, now) > Duration::from_secs(1 << 40));
    }
}
