//! What is decided about a request before its upstream hears of it, in order.
//!
//! Nothing here knows of bodies and connections: the same decisions can be made about a request that is
//! only described, to explain what would become of it.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Response, StatusCode, Uri,
    header::{ACCESS_CONTROL_REQUEST_METHOD, CONTENT_LENGTH, LOCATION},
    request::Parts,
};

use super::{
    api::Api,
    compile::{Route, Snapshot},
    explained,
    limit::{Gate, Told},
    rate_limits,
    target::{BadTarget, Target},
};
use crate::{
    access::Wanted,
    auth::{self, Authentication},
    explain::Observer,
    limits::{ApiLimits, Asking, Caller, Counted, Pass},
    middleware::{
        Exempt, NeedsToken, NoExample, Place, ResourceMetadata, Said, Verdict, check_announced_size,
    },
    proxy::Client,
    refusal::{Asked, Manner, Profile, Reason, Refusal},
    session::Session,
};

/// Where a request leads.
pub(super) struct Found<'r> {
    pub(super) api: &'r Api,
    pub(super) target: Target<'r>,
    /// How much of the decoded path the listen path takes.
    pub(super) taken: usize,
    /// The upstream sees the path without that.
    pub(super) strips: bool,
    /// The version has been chosen.
    pub(super) is_version: bool,
}

impl<'r> Found<'r> {
    /// A request for an API whose listen path takes so much of its path.
    pub(super) fn at_listen_path(api: &'r Api, target: Target<'r>, taken: usize) -> Self {
        Self { api, target, taken, strips: api.definition.listen_path.strip, is_version: false }
    }
}

/// A request that leads to no API.
pub(super) enum Elsewhere<'r> {
    /// Its path is not clean: this is the one that is meant.
    Redirect(String),
    /// It asks for the metadata of an API.
    Metadata(&'r ResourceMetadata),
    Refused(Reason),
}

/// Finds the API of a request with this URI and the rest of its head.
pub(super) fn find<'r>(
    snapshot: &'r Snapshot,
    uri: &'r Uri,
    parts: &Parts,
    observer: impl Observer,
) -> Result<Found<'r>, Elsewhere<'r>> {
    let target = Target::new(uri, parts);
    observer.note(|| explained::target(&target));
    let target = target.map_err(|bad| match bad {
        BadTarget::Unclean(clean) => Elsewhere::Redirect(clean),
        BadTarget::Invalid => Elsewhere::Refused(Reason::BadRequest),
    })?;
    let route = snapshot.router.find(&target.host_name, &target.path);
    observer.note(|| explained::route(route.map(|(route, _)| route), &target));
    match route {
        Some((Route::Api(api), taken)) => Ok(Found::at_listen_path(api, target, taken)),
        Some((Route::Metadata(api), taken)) => {
            let is_it = parts.method == Method::GET && taken == target.path.len();
            let metadata = api.definition.metadata.as_ref().filter(|_| is_it);
            Err(metadata.map_or(Elsewhere::Refused(Reason::NotFound), Elsewhere::Metadata))
        }
        None => Err(Elsewhere::Refused(Reason::NotFound)),
    }
}

/// The answer that leads to a clean path.
pub(super) fn redirect(target: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    match HeaderValue::try_from(target) {
        Ok(target) => {
            response.headers_mut().insert(LOCATION, target);
        }
        Err(_) => *response.status_mut() = StatusCode::BAD_REQUEST,
    }
    response
}

/// A request for an API, as far as decisions depend on where it leads.
#[derive(Clone, Copy)]
pub(super) struct Admission<'r> {
    pub(super) api: &'r Api,
    /// In whose words answers are given.
    pub(super) profile: Profile,
    /// What answers say of limits.
    pub(super) told: Told,
    pub(super) target: &'r Target<'r>,
    /// How much of the decoded path the listen path takes.
    pub(super) taken: usize,
    /// The upstream sees the path without that.
    pub(super) strips: bool,
    pub(super) asker: Asker,
}

/// Who asks an API.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker {
    /// The client.
    pub(super) client: Client,
    /// Another API has led the request here.
    pub(super) is_api: bool,
}

/// What was decided about a request.
pub(super) enum Admitted<'r> {
    /// It is answered here.
    Answer(Response<Bytes>),
    /// The operation answers itself, instead of its upstream.
    Mocked(Response<Bytes>, Forward<'r>),
    /// It goes to the upstream.
    Forward(Forward<'r>),
}

/// A request that goes to the upstream.
#[derive(Default)]
pub(super) struct Forward<'r> {
    pub(super) session: Option<Session>,
    /// What is said of it.
    pub(super) said: Said<'r>,
    /// The largest body it may have, if its length is not known before it has come.
    pub(super) body_limit: Option<u64>,
    /// What is left of its limits; nothing for a preflight, which has none.
    pub(super) pass: Option<Pass>,
}

impl Forward<'_> {
    /// The method that goes on instead of this one.
    pub(super) fn to_method(&self, method: &Method) -> Option<&Method> {
        self.said.operation?.to_method_of(method)
    }
}

impl<'r> Admission<'r> {
    pub(super) fn new(found: &'r Found<'_>, snapshot: &Snapshot, asker: Asker) -> Self {
        let Found { api, target, taken, strips, .. } = found;
        let Snapshot { profile, told, .. } = *snapshot;
        Self { api, profile, told, target, taken: *taken, strips: *strips, asker }
    }

    /// The answer to a request that was refused.
    pub(super) fn refuse(&self, refusal: &Refusal, asked: Asked, is_https: bool) -> Response<Bytes> {
        let api = self.api;
        let host = self.target.host.as_ref();
        let url = api.definition.metadata.as_ref().map(|m| m.url(is_https, host, self.listen_path()));
        let space = api.authentication.as_ref().map(|demand| demand.space(url.as_deref()));
        let (profile, space) = (self.profile, space.unwrap_or_default());
        let manner = Manner { profile, asked, space, overrides: &api.overrides };
        api.worded(refusal).response(&manner)
    }

    /// Where the request has found the API.
    fn listen_path(&self) -> &str {
        if self.taken == 0 {
            self.api.definition.listen_path.at.as_str()
        } else {
            self.target.raw_above(self.taken)
        }
    }

    /// What CORS makes of the request, before anything else is asked.
    pub(super) fn preflight(
        &self,
        method: &Method,
        headers: &HeaderMap,
        has_body: bool,
        observer: impl Observer,
    ) -> Verdict {
        let Some(cors) = &self.api.cors else { return Verdict::GoOn };
        let verdict = cors.receive(method, headers, has_body);
        observer.note(|| explained::cors(&verdict));
        verdict
    }

    /// Whether the API answers the client at all.
    fn check_address(&self, observer: impl Observer) -> Result<(), Reason> {
        let addresses = &self.api.definition.restrictions.addresses;
        if addresses.is_empty() {
            return Ok(());
        }
        let checked = addresses.check(self.asker.client.known());
        observer.note(|| explained::address(self.asker.client, checked));
        checked.map_err(|_| Reason::AddressDenied)
    }

    /// How large the body of the request may be, if the head does not tell that it is smaller.
    fn limit_body(
        &self,
        method: &Method,
        headers: &HeaderMap,
        observer: impl Observer,
    ) -> Result<Option<u64>, Reason> {
        if self.api.definition.restrictions.sizes.is_empty() {
            return Ok(None);
        }
        let Some(limit) = self.api.definition.restrictions.sizes.find(&self.place(method)) else {
            return Ok(None);
        };
        let checked = check_announced_size(limit, method, headers, self.profile);
        observer.note(|| explained::size(limit, headers, checked));
        checked?;
        Ok((!headers.contains_key(CONTENT_LENGTH)).then_some(limit))
    }

    /// Whether the operation is open to those who ask, of whom it may need no token.
    fn check_lists(&self, method: &Method, needs: NeedsToken, observer: impl Observer) -> Result<(), Reason> {
        let lists = &self.api.definition.restrictions.paths;
        if lists.is_empty() {
            return Ok(());
        }
        let exempt = Exempt { from_allow: needs == NeedsToken::Never, from_internal: self.asker.is_api };
        let checked = lists.check(&self.place(method), exempt, self.profile);
        observer.note(|| explained::path_lists(checked));
        checked.map_err(|_| Reason::OperationForbidden)
    }

    /// Whether a preflight may pass without a token. The lists are about the request that it announces as
    /// well: whoever allows `PUT /orders` does not list the OPTIONS that browsers send before it.
    pub(super) fn check_preflight(
        &self,
        method: &Method,
        headers: &HeaderMap,
        observer: impl Observer,
    ) -> Result<(), Reason> {
        self.check_address(observer)?;
        let announced = headers.get(ACCESS_CONTROL_REQUEST_METHOD);
        let Some(announced) = announced.and_then(|method| Method::from_bytes(method.as_bytes()).ok()) else {
            return self.check_lists(method, NeedsToken::Always, observer);
        };
        // It need not be allowed itself.
        self.check_lists(method, NeedsToken::Never, observer)?;
        let (below, ambiguous) = (self.target.path_below(self.taken), self.target.ambiguous);
        let said = self.api.said(&announced, below, ambiguous);
        let needs = self.api.needs_token(&said, &announced, below, ambiguous);
        self.check_lists(&announced, needs, observer)
    }

    fn place<'p>(&'p self, method: &'p Method) -> Place<'p> {
        Place { method, path: self.target.path_below(self.taken), ambiguous: self.target.ambiguous }
    }

    /// What the document says of the request.
    pub(super) fn said(&self, method: &Method) -> Said<'r> {
        self.api.said(method, self.target.path_below(self.taken), self.target.ambiguous)
    }

    /// Everything else. A request that passes is counted, but for what it was `counted` for already, and
    /// unless somebody only wants to see it pass.
    pub(super) async fn run(
        &self,
        method: &Method,
        headers: &HeaderMap,
        counted: &Counted,
        gate: &Gate,
        observer: impl Observer,
    ) -> Result<Admitted<'r>, Refusal> {
        let api = self.api;
        self.check_address(observer)?;
        let below = self.target.path_below(self.taken);
        if let Some(metadata) = api.definition.metadata.as_ref().filter(|metadata| metadata.is_at(below))
            && *method == Method::GET
        {
            observer.note(explained::metadata);
            return Ok(Admitted::Answer(metadata.response()));
        }
        let said = self.said(method);
        observer.note(|| explained::operation(&said, self.target));
        let body_limit = self.limit_body(method, headers, observer)?;
        let needs = api.needs_token(&said, method, below, self.target.ambiguous);
        let demanded = self.demand(needs, headers, observer);
        let asks_for_limits = demanded.is_some() && rate_limits::are_asked_for(method, below);
        // What is answered here is none of the operations, which need not be allowed then.
        self.check_lists(method, if asks_for_limits { NeedsToken::Never } else { needs }, observer)?;
        let session = match demanded {
            Some(authentication) => {
                let session = self.authenticate(authentication, headers, observer).await?;
                if asks_for_limits {
                    return self.rate_limits(&session, method, gate, observer).await.map(Admitted::Answer);
                }
                self.authorize(&session, method, observer)?;
                Some(session)
            }
            None => None,
        };
        let asking = self.asking(method, (session.as_ref(), &said), counted);
        let pass = self.limit(&asking, session.as_ref(), gate, observer).await?;
        let forward = Forward { session, said, body_limit, pass: None };
        match said.operation.and_then(|operation| operation.mock.as_ref()) {
            Some(mock) => {
                let made = mock.response(headers, self.profile);
                observer.note(|| explained::mock(&made));
                let unmatched =
                    |none: NoExample| Refusal::with_detail(Reason::MockUnmatched, none.to_string());
                let mut response = made.map_err(unmatched)?;
                self.told.tell(&pass, response.headers_mut());
                Ok(Admitted::Mocked(response, forward))
            }
            None => Ok(Admitted::Forward(Forward { pass: Some(pass), ..forward })),
        }
    }

    /// What a request that needs a token so must show of who it is from, if it must.
    fn demand(
        &self,
        needs: NeedsToken,
        headers: &HeaderMap,
        observer: impl Observer,
    ) -> Option<&'r Authentication> {
        let Some(authentication) = &self.api.authentication else {
            observer.note(explained::open_api);
            return None;
        };
        let is_due = match needs {
            NeedsToken::Always => true,
            NeedsToken::IfThereIsOne => authentication.has_credential(headers, self.target.query()),
            NeedsToken::Never => false,
        };
        observer.note(|| explained::demand(needs, is_due));
        is_due.then_some(authentication)
    }

    /// The session of the caller.
    pub(super) async fn authenticate<O: Observer>(
        &self,
        authentication: &Authentication,
        headers: &HeaderMap,
        observer: O,
    ) -> Result<Session, Refusal> {
        let session = authentication.decide(headers, self.target.query(), observer).await?;
        session.warnings().iter().for_each(|check| observer.warned(check));
        observer.note(|| auth::api_right(self.api.id(), &session));
        Ok(session)
    }

    /// Whether the caller may do what is asked for.
    fn authorize(&self, session: &Session, method: &Method, observer: impl Observer) -> Result<(), Refusal> {
        let below = self.target.path_below(self.taken);
        let wanted = Wanted {
            api: self.api.id(),
            method,
            paths: [&self.target.path, below],
            ambiguous: self.target.ambiguous,
            unanchored: self.api.definition.unanchored_paths,
        };
        let granted = session.rights().check(&wanted);
        if granted != Err(Reason::ApiNotGranted) {
            observer.note(|| explained::path_right(&wanted, granted));
        }
        granted?;
        let scopes = self.api.check_scopes(session, method, below, self.target.ambiguous);
        if let Some(check) = session.scope_check() {
            observer.note(|| explained::scopes(check, session, &scopes));
        }
        scopes.map_err(|lacking| Refusal::insufficient_scope(lacking.required, lacking.missing))
    }

    /// Counts the request, once everything else has let it through; it may be held for a while.
    async fn limit<O: Observer>(
        &self,
        asking: &Asking<'_>,
        session: Option<&Session>,
        gate: &Gate,
        observer: O,
    ) -> Result<Pass, Refusal> {
        if O::WATCHES {
            let seen = gate.look(asking, self.told).await;
            observer.note(|| explained::limits(&seen, &explained::counted(session, self.api)));
            return seen;
        }
        gate.admit(asking, self.told).await
    }

    /// Tells a caller the limits of its own on this API. That is no request to the API, and not counted as one; but
    /// so that it is no work without end either, it has a pace of its own.
    async fn rate_limits<O: Observer>(
        &self,
        session: &Session,
        method: &Method,
        gate: &Gate,
        observer: O,
    ) -> Result<Response<Bytes>, Refusal> {
        session.rights().on(self.api.id())?;
        if !O::WATCHES {
            gate.ask(session.caller(), self.told)?;
        }
        observer.note(explained::rate_limits);
        let (nothing, alone) = (Counted::default(), ApiLimits::default().skipping(true, false));
        let asking =
            Asking { api: &alone, ..self.asking(method, (Some(session), &Said::default()), &nothing) };
        let pass = gate.left(&asking).await?;
        let rate = asking.caller.and_then(|(_, plan)| plan.limits().rate.allowance);
        Ok(rate_limits::response(rate, &pass))
    }

    /// Takes down what the request was counted for.
    pub(super) fn count(&self, method: &Method, forward: &Forward<'_>, counted: &mut Counted) {
        let known = (forward.session.as_ref(), &forward.said);
        counted.add(&self.asking(method, known, &Counted::default()));
    }

    fn asking<'a>(
        &'a self,
        method: &'a Method,
        (session, said): (Option<&'a Session>, &Said<'a>),
        counted: &'a Counted,
    ) -> Asking<'a> {
        let limits = &self.api.definition.limits;
        Asking {
            caller: session.and_then(|session| session.limited(self.api.id())),
            api: limits,
            operation: said.rate,
            among: session.map_or(Caller::EVERYBODY, |session| session.among(limits)),
            method,
            paths: [&self.target.path, self.target.path_below(self.taken)],
            ambiguous: self.target.ambiguous,
            counted,
        }
    }
}
