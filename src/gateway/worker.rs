//! One request, from its head to the head of its answer.

use std::{
    cell::RefCell,
    net::{IpAddr, SocketAddr},
    rc::Rc,
    sync::Arc,
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version,
    header::{HOST, LOCATION, ORIGIN},
    request::Parts,
};
use hyper::body::{Body as _, Incoming};

use super::{
    api::Api,
    compile::{Route, Snapshot},
    limit::{self, Held},
    target::{BadTarget, Target},
};
use crate::{
    access::Wanted,
    auth::{self, Authentication},
    limits::{Asking, Limiter, Pass},
    lookalikes,
    middleware::{Facts, HeaderRules, NeedsToken, NotForwardable, Operation, ResourceMetadata, Verdict},
    proxy::{Body, BodyError, ClientBody, Forwarding, Sender, TrustedProxies},
    refusal::{Asked, Manner, Overrides, Profile, Reason, Refusal, Space},
    session::Session,
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
    limiter: Arc<Limiter>,
    held: Held,
    sender: Sender,
    trusted_proxies: Arc<TrustedProxies>,
    lines: Lines,
    counters: Counters,
}

/// Where a request comes from.
#[derive(Clone, Copy)]
struct Origin {
    /// Who is at the other end of the connection.
    peer: IpAddr,
    /// Who asked, perhaps through trusted proxies.
    client: IpAddr,
}

/// What was decided about a request before it is forwarded.
enum Admitted<'a> {
    /// It is answered here.
    Answer(Response<Bytes>),
    /// It goes to the upstream.
    Forward {
        session: Option<Session>,
        operation: Option<&'a Operation>,
        /// What is left of its limits; nothing for a preflight, which has none.
        pass: Option<Pass>,
    },
}

impl Worker {
    pub(crate) fn new(
        published: Arc<ArcSwap<Snapshot>>,
        limiter: Arc<Limiter>,
        sender: Sender,
        trusted_proxies: Arc<TrustedProxies>,
        lines: Lines,
        counters: Counters,
    ) -> Self {
        let current = RefCell::new(Rc::new(published.load_full()));
        let held = Held::default();
        Self { published, current, limiter, held, sender, trusted_proxies, lines, counters }
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
    pub(crate) async fn serve(
        self: Rc<Self>,
        peer: SocketAddr,
        request: Request<Incoming>,
    ) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let client = self.trusted_proxies.client(peer.ip(), &parts.headers);
        // Dropped at the end, or when the client leaves before.
        let mut line = self.lines.begin(client, &parts.method, parts.uri.path());
        let (response, refused) =
            self.route(Origin { peer: peer.ip(), client }, parts, body, line.as_mut()).await;
        if let Some(line) = &mut line {
            line.is_answered(response.status(), refused);
        }
        response
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
        let refuse = |refusal: &Refusal, space: Space<'_>, overrides: &Overrides| {
            let manner = Manner { profile: snapshot.profile, asked, space, overrides };
            (refusal.response(&manner).map(Body::from), Some(refusal.reason()))
        };
        let refuse_everywhere = |reason: Reason| {
            self.counters.refused("", reason);
            refuse(&reason.into(), Space::default(), &snapshot.overrides)
        };
        // The target borrows from the URI while the rest of the head changes on the way.
        let uri = std::mem::take(&mut parts.uri);
        let target = match Target::new(&uri, &parts) {
            Ok(target) => target,
            Err(BadTarget::Unclean(clean)) => return (redirect(&clean), None),
            Err(BadTarget::Invalid) => return refuse_everywhere(Reason::BadRequest),
        };
        let (api, taken) = match snapshot.router.find(&target.host_name, &target.path) {
            Some((Route::Api(api), taken)) => (api, taken),
            Some((Route::Metadata(api), taken)) => {
                let is_it = parts.method == Method::GET && taken == target.path.len();
                return match api.metadata.as_ref().filter(|_| is_it) {
                    Some(metadata) => (metadata.response().map(Body::from), None),
                    None => refuse_everywhere(Reason::NotFound),
                };
            }
            None => return refuse_everywhere(Reason::NotFound),
        };
        if let Some(line) = line {
            line.is_of(&api.id);
        }
        let has_body = !body.is_end_stream();
        let cors = api.cors.as_ref().map(|cors| cors.receive(&parts.method, &parts.headers, has_body));
        let pass_through = match cors {
            Some(Verdict::Answer(response)) => return (response.map(Body::from), None),
            Some(Verdict::PassThrough) => true,
            Some(Verdict::GoOn) | None => false,
        };
        let origin = api.cors.as_ref().and_then(|_| parts.headers.get(ORIGIN).cloned());
        let method = parts.method.clone();
        // The headers go to the upstream; what a refusal must tell of them stays.
        let is_https = api.metadata.is_some() && ResourceMetadata::is_https(&parts.headers);
        let profile = snapshot.profile;
        let exchange =
            Exchange { worker: self, api, profile, asked, target: &target, taken, pass_through, from };
        let (mut response, refused) = match exchange.run(parts, body).await {
            Ok(response) => (response, None),
            Err(refusal) => {
                self.counters.refused(&api.id, refusal.reason());
                let metadata = api.metadata.as_ref();
                let url = metadata.map(|m| m.url(is_https, target.host.as_ref(), &api.listen_path.value));
                let space = api.authentication.as_ref().map(|demand| demand.space(url.as_deref()));
                refuse(&refusal, space.unwrap_or_default(), &api.overrides)
            }
        };
        if let Some(cors) = &api.cors {
            cors.decorate(&method, origin.as_ref(), response.headers_mut());
        }
        (response, refused)
    }
}

/// One request on its way through one API.
struct Exchange<'e> {
    worker: &'e Worker,
    api: &'e Api,
    /// In whose words answers are given.
    profile: Profile,
    asked: Asked,
    target: &'e Target<'e>,
    /// How much of the decoded path the listen path takes.
    taken: usize,
    /// A preflight that the upstream answers: it carries no token.
    pass_through: bool,
    from: Origin,
}

impl<'e> Exchange<'e> {
    async fn run(&self, parts: Parts, body: Incoming) -> Result<Response<Body>, Refusal> {
        match self.admit(&parts).await? {
            Admitted::Answer(response) => Ok(response.map(Body::from)),
            Admitted::Forward { session, operation, pass } => {
                self.forward(parts, body, session.as_ref(), operation, pass.as_ref()).await
            }
        }
    }

    /// Everything that is decided before the upstream hears of a request, in order.
    async fn admit(&self, parts: &Parts) -> Result<Admitted<'e>, Refusal> {
        let api = self.api;
        if self.pass_through {
            return Ok(Admitted::Forward { session: None, operation: None, pass: None });
        }
        let below = self.target.path_below(self.taken);
        if let Some(metadata) = api.metadata.as_ref().filter(|metadata| metadata.is_at(below))
            && parts.method == Method::GET
        {
            return Ok(Admitted::Answer(metadata.response()));
        }
        let operation = api.operation(&parts.method, below, self.target.ambiguous);
        let session = match &api.authentication {
            Some(authentication) if self.is_due(authentication, parts, operation) => {
                Some(self.authenticate(authentication, parts).await?)
            }
            _ => None,
        };
        let pass = self.limit(&parts.method, below, session.as_ref()).await?;
        match operation.and_then(|operation| operation.mock.as_ref()) {
            Some(mock) => {
                let mut response = mock.response();
                limit::tell(&pass, self.profile, response.headers_mut());
                Ok(Admitted::Answer(response))
            }
            None => Ok(Admitted::Forward { session, operation, pass: Some(pass) }),
        }
    }

    /// Counts the request, once everything else has let it through; it may be held for a while.
    async fn limit(&self, method: &Method, below: &str, session: Option<&Session>) -> Result<Pass, Refusal> {
        let caller = session.and_then(|session| Some((session.caller(), session.plan(&self.api.id)?)));
        let asking = Asking {
            caller,
            api: &self.api.limits,
            method,
            paths: [&self.target.path, below],
            ambiguous: self.target.ambiguous,
        };
        limit::admit(&self.worker.limiter, &self.worker.held, &asking).await
    }

    /// Whether a request of this operation must show who it is from.
    fn is_due(&self, authentication: &Authentication, parts: &Parts, operation: Option<&Operation>) -> bool {
        let below = self.target.path_below(self.taken);
        match self.api.needs_token(operation, &parts.method, below) {
            NeedsToken::Always => true,
            NeedsToken::IfThereIsOne => authentication.has_credential(&parts.headers, self.target.query),
            NeedsToken::Never => false,
        }
    }

    /// The session of the caller, who may do what is asked for.
    async fn authenticate(&self, authentication: &Authentication, parts: &Parts) -> Result<Session, Refusal> {
        let session = authentication.authenticate(&parts.headers, self.target.query).await?;
        for check in session.warnings() {
            self.worker.counters.warned(&self.api.id, check);
        }
        let below = self.target.path_below(self.taken);
        session.rights().check(&Wanted {
            api: &self.api.id,
            method: &parts.method,
            paths: [&self.target.path, below],
            ambiguous: self.target.ambiguous,
        })?;
        self.api.check_scopes(&session, &parts.method, below, self.target.ambiguous)?;
        Ok(session)
    }

    async fn forward(
        &self,
        mut parts: Parts,
        body: Incoming,
        session: Option<&Session>,
        operation: Option<&'e Operation>,
        pass: Option<&Pass>,
    ) -> Result<Response<Body>, Refusal> {
        let api = self.api;
        let asked_headers = if api.reads_headers { parts.headers.clone() } else { HeaderMap::new() };
        let facts = Facts {
            session,
            path: &self.target.path,
            client: self.from.client,
            headers: &asked_headers,
            context: api.context_variables,
            claims_hide_header: self.profile == Profile::Tyk,
        };
        self.prepare(&mut parts, &facts, operation)?;
        // Before the upstream does anything.
        let render = |rules: &'e HeaderRules| rules.render(&facts).map_err(not_forwardable(&facts));
        let of_operation = operation.map(|operation| render(&operation.response_headers)).transpose()?;
        let of_api = render(&api.response_headers)?;
        let request = Request::from_parts(parts, ClientBody::new(body));
        let mut response =
            self.worker.sender.send(&api.upstream.endpoint, request).await.map_err(Reason::from)?;
        // What the upstream speaks is between it and us (RFC 9110 section 6.2).
        *response.version_mut() = Version::HTTP_11;
        let headers = response.headers_mut();
        Forwarding::prepare_response(headers);
        if let Some(pass) = pass {
            limit::tell(pass, self.profile, headers);
        }
        if let Some(rules) = of_operation {
            rules.apply(headers);
        }
        of_api.apply(headers);
        if api.overrides.concern(response.status()) {
            return self.override_answer(response).await;
        }
        Ok(response)
    }

    /// Changes an error of the upstream as the rules of the API say.
    async fn override_answer(&self, response: Response<Body>) -> Result<Response<Body>, Refusal> {
        let overrides = &self.api.overrides;
        let (mut head, mut body) = response.into_parts();
        let begin = if overrides.read_body(head.status) {
            body.peek(READ_AHEAD).await.map_err(|error| match error {
                BodyError::Upstream(_) => Reason::UpstreamBroken,
                BodyError::Silent => Reason::UpstreamTimeout,
            })?
        } else {
            Bytes::new()
        };
        // No challenge is made up for an upstream, so it needs no space.
        let manner = Manner { profile: self.profile, asked: self.asked, space: Space::default(), overrides };
        if let Some(new) = overrides.of_upstream(&manner, &mut head, &begin) {
            body = if self.asked.is_head() { Bytes::new() } else { new }.into();
        }
        Ok(Response::from_parts(head, body))
    }

    /// Makes the head of the request the one that the upstream gets. What belongs to the client's
    /// connection goes first, so that `Connection: X-User` cannot take away what is set here.
    fn prepare(
        &self,
        parts: &mut Parts,
        facts: &Facts<'_>,
        operation: Option<&Operation>,
    ) -> Result<(), Refusal> {
        let api = self.api;
        let host = self.target.host.as_ref();
        Forwarding { trusted: &self.worker.trusted_proxies, peer: self.from.peer, host }
            .prepare(&mut parts.headers);
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
        let host = host.filter(|_| api.upstream.preserve_host).unwrap_or(&api.upstream.host);
        parts.headers.insert(HOST, host.clone());
        let path = if api.listen_path.strip { self.target.raw_below(self.taken) } else { self.target.raw };
        if !path.starts_with('/') {
            // An escaped slash ended the listen path: joined to that of the upstream, it would not.
            return Err(Reason::BadRequest.into());
        }
        let query = query.as_deref().map_or(self.target.query, |query| Some(query).filter(|q| !q.is_empty()));
        let target = api.upstream.target(path, query).ok_or(Reason::BadRequest)?;
        parts.uri = Uri::from(target);
        parts.version = Version::HTTP_11;
        parts.extensions.clear();
        Ok(())
    }

    /// Takes the credentials out of the headers; gives the query without them, if they were there.
    fn strip_credentials(&self, headers: &mut HeaderMap) -> Option<String> {
        let authentication = self.api.authentication.as_ref().filter(|_| self.api.strip_credentials)?;
        authentication.strip_headers(headers);
        authentication.strip_query(self.target.query?)
    }
}

/// Whose fault it is that a value cannot stand in a header field.
fn not_forwardable(facts: &Facts<'_>) -> impl Fn(NotForwardable) -> Reason + Copy + use<> {
    let has_claims = facts.session.is_some();
    // Without claims it is the request's own: its path, or a header.
    move |_| if has_claims { Reason::ClaimNotForwardable } else { Reason::BadRequest }
}

fn redirect(target: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(Bytes::new()));
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    match HeaderValue::try_from(target) {
        Ok(target) => {
            response.headers_mut().insert(LOCATION, target);
        }
        Err(_) => *response.status_mut() = StatusCode::BAD_REQUEST,
    }
    response
}
