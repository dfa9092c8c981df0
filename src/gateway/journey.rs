//! A request on its way from API to API, until one has an upstream or an answer.
//!
//! Each API on the way asks what it asks of a request from outside: its own authentication, rights, limits
//! and middleware. What the client sent reaches each of them; what one of them keeps from its upstream
//! reaches none behind it. The limits of a caller that several of them share count once.

use bytes::Bytes;
use http::{HeaderMap, Method, Response, request::Parts};

use super::{
    admission::{Admission, Admitted, Asker, Forward, Found},
    api::Api,
    compile::Snapshot,
    explained,
    limit::Gate,
    outgoing::{Origin, Outgoing},
    target::Target,
};
use crate::{
    api_address::{Addressee, ApiAddress, ApiName},
    auth::Authentication,
    definition::Destination,
    explain::{Observer, Unobserved},
    limits::{Counted, Pass},
    middleware::Verdict,
    proxy::{TrustedProxies, Upstreams},
    refusal::{Profile, Reason, Refusal},
    session::Session,
    versioning::{Version, Versions},
};

/// How often a request is led on to an API.
const MAX_LEVEL: u8 = 5;

/// What the APIs that a request has passed leave for those behind them.
#[derive(Default)]
pub(super) struct Journey<'s> {
    level: u8,
    /// Another API has let it through; the base of a version has not.
    is_led: bool,
    /// It is a preflight that an API has let pass without a token. Who sent it is not known, so it stays what
    /// it is: with another method it would do what a preflight never does.
    is_preflight: bool,
    /// What an address on the way has said instead of [`MAX_LEVEL`].
    limit: Option<u8>,
    counted: Counted,
    /// What is left of the limits that the request has passed.
    pass: Option<Pass>,
    /// When the first of the sessions on the way ends, in seconds since the epoch.
    expires: Option<i64>,
    /// What `$tyk_context.request_id` stands for, once somebody has asked.
    request_id: Option<u128>,
    /// The largest body that the APIs on the way take.
    body_limit: Option<u64>,
    /// Those whose credentials the upstream must not see.
    pub(super) stripping: Vec<&'s Api>,
    /// The headers without these credentials, as far as they differ from those that the next API asks.
    pub(super) stripped: Option<HeaderMap>,
    /// What belongs to the client's connection has been taken out of the headers.
    pub(super) has_left: bool,
}

/// Where an API leads a request that it let through.
pub(super) enum Lead<'s> {
    Upstreams(Way<'s>),
    Api(Onward<'s>),
}

/// Out of the gateway.
pub(super) struct Way<'s> {
    pub(super) upstreams: &'s Upstreams,
    /// The URL that the request got; nothing if it keeps its own.
    pub(super) url: Option<Url>,
}

/// A raw path and query that a request got on its way.
pub(super) struct Url {
    pub(super) path: String,
    pub(super) query: Option<String>,
}

/// On to an API of the gateway, with this raw path below its listen path, and this query.
pub(super) struct Onward<'s> {
    pub(super) address: &'s ApiAddress,
    pub(super) path: String,
    pub(super) query: Option<String>,
}

impl<'s> Journey<'s> {
    /// What is left of all limits that the request has passed.
    pub(super) fn pass(&self, pass: Option<Pass>) -> Option<Pass> {
        match (pass, self.pass) {
            (Some(pass), Some(earlier)) => Some(pass.after(earlier)),
            (pass, earlier) => pass.or(earlier),
        }
    }

    /// When the first of all sessions ends, with that of this API.
    pub(super) fn expires(&self, session: Option<&Session>) -> Option<i64> {
        session.and_then(Session::expires).into_iter().chain(self.expires).min()
    }

    /// The number of the request, the same for all who ask.
    pub(super) fn request_id(&mut self) -> u128 {
        *self.request_id.get_or_insert_with(|| fastrand::u128(..))
    }

    /// The method that a request goes on with instead of its own: that of an address, or of the operation.
    pub(super) fn new_method<'m>(
        &self,
        method: &Method,
        of_address: Option<&'m Method>,
        forward: &'m Forward<'_>,
    ) -> Option<&'m Method> {
        of_address.or_else(|| forward.to_method(method)).filter(|_| !self.is_preflight)
    }

    /// The largest body that this API and those before it take.
    pub(super) fn body_limit(&self, limit: Option<u64>) -> Option<u64> {
        limit.into_iter().chain(self.body_limit).min()
    }

    /// One more API.
    fn step(&mut self) -> Result<(), Refusal> {
        let limit = self.limit.unwrap_or(MAX_LEVEL);
        if self.level >= limit {
            return Err(Refusal::with_detail(Reason::LoopTooDeep, limit.to_string()));
        }
        self.level = self.level.saturating_add(1);
        Ok(())
    }

    /// Leads a request on that an API has let through, which is described by `parts`.
    fn go_on(
        &mut self,
        snapshot: &'s Snapshot,
        found: &Found<'s>,
        (outgoing, forward): (&Outgoing<'_>, &Forward<'_>),
        onward: Onward<'_>,
        parts: &mut Parts,
    ) -> Result<Found<'s>, Refusal> {
        self.step()?;
        self.is_led = true;
        self.limit = onward.address.loop_limit.or(self.limit);
        let api = match &onward.address.api {
            Addressee::Itself => found.api,
            Addressee::Named(name) => snapshot.find(name).ok_or_else(|| unknown(found.api))?,
        };
        outgoing.lead_on(parts, forward, self)?;
        // A preflight that is let through has asked no limits.
        if forward.pass.is_some() {
            outgoing.admission.count(&parts.method, forward, &mut self.counted);
        }
        self.pass = self.pass(forward.pass);
        self.expires = self.expires(forward.session.as_ref());
        self.body_limit = self.body_limit(forward.body_limit);
        if found.api.definition.strip_authorization_data {
            self.stripping.push(found.api);
        }
        if let Some(method) = self.new_method(&parts.method, onward.address.method.as_ref(), forward) {
            parts.method = method.clone();
        }
        let target = found.target.led_to(onward.path, onward.query).map_err(|_| Reason::BadRequest)?;
        let taken = listen_path(api, &target.path, outgoing.admission.profile);
        // Whoever goes on at the same API has been through the choice of its version.
        let is_version = onward.address.api == Addressee::Itself;
        Ok(Found { is_version, ..Found::at_listen_path(api, target, taken) })
    }

    /// Finds the version of an API that a request asks for; nothing if it stays as it is.
    fn choose_version(
        &mut self,
        snapshot: &'s Snapshot,
        found: &Found<'s>,
        versions: &'s Versions,
        parts: &mut Parts,
        observer: impl Observer,
    ) -> Result<Option<Found<'s>>, Refusal> {
        let profile = snapshot.profile;
        let below = found.target.path_below(found.taken);
        let named = versions.named(&parts.headers, found.target.query(), below, profile);
        let exists = |api: &ApiName| snapshot.find(api).is_some();
        let chosen = named.clone().and_then(|named| versions.choose(named.as_deref(), exists));
        observer.note(|| explained::version(&named, &chosen, versions));
        let chosen = chosen?;
        let stripped = strip_version(versions, found, below, profile)?;
        if let Some(name) = versions.stripped_header() {
            parts.headers.remove(name);
            self.stripped.as_mut().and_then(|headers| headers.remove(name));
        }
        let (api, target) = match (chosen, stripped) {
            (Version::Itself, None) => return Ok(None),
            (Version::Itself, Some(target)) => (found.api, target),
            (Version::Api(name), target) => {
                self.step()?;
                let api = snapshot.find(name).ok_or(Reason::VersionUnknown)?;
                (api, target.unwrap_or_else(|| found.target.to_owned()))
            }
        };
        let is_version = chosen == Version::Itself;
        Ok(Some(Found { api, target, is_version, ..*found }))
    }
}

/// The target without what names the version in it; nothing if it stays as it is.
fn strip_version(
    versions: &Versions,
    found: &Found<'_>,
    below: &str,
    profile: Profile,
) -> Result<Option<Target<'static>>, Refusal> {
    let target = &found.target;
    let length = versions.stripped(below, profile);
    if length > 0 {
        return target.without(found.taken, length).ok_or_else(|| Reason::BadRequest.into()).map(Some);
    }
    let query = target.query().and_then(|query| versions.stripped_query(query, profile));
    Ok(query.map(|query| Target {
        query: Some(query).filter(|query| !query.is_empty()).map(Into::into),
        ..target.to_owned()
    }))
}

/// What every API on the way is asked with.
pub(super) struct Guide<'s> {
    pub(super) snapshot: &'s Snapshot,
    pub(super) gate: &'s Gate,
    pub(super) from: Origin,
    pub(super) trusted_proxies: &'s TrustedProxies,
    /// Whether the request has a body.
    pub(super) has_body: bool,
}

/// What becomes of a request at one API.
#[expect(clippy::large_enum_variant, reason = "a request is moved once, which costs less than a box")]
pub(super) enum Turn<'f, 's> {
    /// It was a preflight, and is answered here.
    Preflight(Response<Bytes>),
    /// It is answered here.
    Answer(Response<Bytes>),
    /// It goes to the upstream.
    Upstream(Outgoing<'f>, Forward<'f>, Way<'f>),
    /// It goes on at an API.
    Api(Found<'s>),
}

impl<'s> Guide<'s> {
    /// The request, as the API that it has come to is asked.
    pub(super) fn admission<'f>(&self, found: &'f Found<'s>, journey: &Journey<'_>) -> Admission<'f> {
        let is_api = journey.is_led && !journey.is_preflight;
        let asker = Asker { client: self.from.client, is_api };
        Admission::new(found, self.snapshot, asker)
    }

    /// Asks one API. What it changes in the request for the next one is changed in `parts`.
    pub(super) async fn turn<'f>(
        &self,
        found: &'f Found<'s>,
        parts: &mut Parts,
        journey: &mut Journey<'s>,
        observer: impl Observer,
    ) -> Result<Turn<'f, 's>, Refusal>
    where
        's: 'f,
    {
        let admission = self.admission(found, journey);
        let outgoing = Outgoing { admission, from: self.from, trusted_proxies: self.trusted_proxies };
        let verdict = admission.preflight(&parts.method, &parts.headers, self.has_body, observer);
        let is_passing = match verdict {
            Verdict::Answer(response) => return Ok(Turn::Preflight(response)),
            Verdict::PassThrough => true,
            Verdict::GoOn => false,
        };
        if let Some(versions) = found.api.definition.versions.as_ref().filter(|_| !found.is_version) {
            let chosen = journey.choose_version(self.snapshot, found, versions, parts, observer)?;
            if let Some(version) = chosen {
                return Ok(Turn::Api(version));
            }
        }
        if found.api.expiry.as_ref().is_some_and(|expiry| expiry.has_passed(observer.now())) {
            observer.note(explained::expired);
            return Err(Reason::ApiExpired.into());
        }
        let forward = if is_passing {
            admission.check_preflight(&parts.method, &parts.headers, observer)?;
            journey.is_preflight = true;
            Forward { said: admission.said(&parts.method), ..Forward::default() }
        } else {
            let counted = &journey.counted;
            match admission.run(&parts.method, &parts.headers, counted, self.gate, observer).await? {
                Admitted::Answer(response) => return Ok(Turn::Answer(response)),
                Admitted::Mocked(mut response, forward) => {
                    outgoing.answer_changes(&parts.headers, &forward, journey)?.apply(response.headers_mut());
                    return Ok(Turn::Answer(response));
                }
                Admitted::Forward(forward) => forward,
            }
        };
        let rewritten = outgoing.rewrite(parts, &forward, journey, observer)?;
        match outgoing.lead(rewritten)? {
            Lead::Upstreams(way) => Ok(Turn::Upstream(outgoing, forward, way)),
            Lead::Api(onward) => {
                let next = journey.go_on(self.snapshot, found, (&outgoing, &forward), onward, parts);
                observer.note(|| explained::led_on(&next));
                next.map(Turn::Api)
            }
        }
    }
}

/// What the first API asks for that a request comes to and that is not open, as far as its versions and
/// upstreams tell; the operations on the way may lead elsewhere.
pub(super) fn first_asking<'s>(
    snapshot: &'s Snapshot,
    mut found: Found<'s>,
    parts: &Parts,
) -> Option<&'s Authentication> {
    let (mut journey, mut parts) = (Journey::default(), parts.clone());
    while let Some(versions) = found.api.definition.versions.as_ref().filter(|_| !found.is_version) {
        match journey.choose_version(snapshot, &found, versions, &mut parts, Unobserved).ok()? {
            Some(version) => found = version,
            None => break,
        }
    }
    let mut api = found.api;
    while api.authentication.is_none()
        && let Destination::Api(next) = &api.definition.destination
    {
        journey.step().ok()?;
        api = snapshot.find(next.address.api.name()?)?;
    }
    api.authentication.as_ref()
}

/// Tyk has other words for an address in a rewrite.
fn unknown(from: &Api) -> Refusal {
    let words = match from.definition.destination {
        Destination::Upstreams(_) => "Can't detect loop target",
        Destination::Api(_) => "Couldn't detect target",
    };
    Refusal::with_detail(Reason::ApiUnknown, words)
}

/// How much of a path that leads to an API is its listen path. In an address the path is the one below it;
/// Tyk takes the listen path for that as well.
fn listen_path(api: &Api, path: &str, profile: Profile) -> usize {
    let is_taken = profile == Profile::Tyk && api.definition.listen_path.strip;
    api.definition.listen_path.at.take(path).filter(|_| is_taken).unwrap_or_default()
}

impl Api {
    /// Where the API leads a request, whose raw path below the listen path and whose query these are.
    pub(super) fn lead(&self, path: &str, query: Option<&str>) -> Lead<'_> {
        match &self.definition.destination {
            Destination::Upstreams(upstreams) => Lead::Upstreams(Way { upstreams, url: None }),
            Destination::Api(api) => {
                let (path, query) = api.target(path, query);
                Lead::Api(Onward { address: &api.address, path, query })
            }
        }
    }
}
