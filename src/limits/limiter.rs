//! May this request pass, and what is left?

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::Method;
use tokio::time::sleep;

use super::{
    Allowance, ApiLimits, Caller, Callers, OnFailure, Plan, Quota, Scope, SharedRate, Throttle,
    counters::Counters,
    demand::{Counter, Each, Tally, Verdict},
    endpoints::Place,
    key::{Key, nanos},
    reservations::{Reservations, Unused},
    shared::{self, SharedFigures},
};
use crate::redis::Link;

/// How often a caller may ask for what is left of its limits: no request to an API, and nothing limits it otherwise.
const ASKING: Allowance = Allowance::every(60, Duration::from_secs(60));

/// How often what is not used is looked for.
const TENDING: Duration = Duration::from_millis(250);

/// Decides which requests are within their limits. One for a thread.
#[derive(Clone, Debug)]
pub struct Limiter {
    ledger: Arc<Ledger>,
    /// What leads to the counters that nodes share; nothing while there is one node.
    link: Option<Arc<Link>>,
}

/// What a process has counted. It outlives every reload.
#[derive(Debug)]
pub struct Ledger {
    pub(super) counters: Counters,
    pub(super) reservations: Reservations,
    pub(super) on_failure: OnFailure,
    pub(super) figures: shared::Figures,
    origin: Instant,
}

/// A request, as far as limits go.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'r> {
    /// For whom it is counted, and what limits these; nothing where nobody needs to be known.
    pub caller: Option<(Callers, &'r Plan)>,
    /// What limits everybody.
    pub api: &'r ApiLimits,
    /// What limits those of the operation instead.
    pub operation: Option<&'r SharedRate>,
    /// And for whom that is counted.
    pub among: Caller,
    /// The request's method.
    pub method: &'r Method,
    /// The decoded path: whole, and after the listen path.
    pub paths: [&'r str; 2],
    /// An upstream may read the path differently.
    pub ambiguous: bool,
    /// What does not count again.
    pub counted: &'r Counted,
}

impl<'r> Asking<'r> {
    pub(super) const fn place(&self) -> Place<'r> {
        Place { method: self.method, paths: self.paths, ambiguous: self.ambiguous }
    }
}

/// What a request was counted for already. One that passes several APIs may find the same limit again,
/// and counts once.
#[derive(Clone, Debug, Default)]
pub struct Counted(Vec<Key>);

impl Counted {
    /// The request has passed these limits. What an API skips it has not counted, so that the next one does.
    pub fn add(&mut self, asking: &Asking<'_>) {
        let counters = Which::ALL.into_iter().filter_map(|which| asking.counter(which));
        self.0.extend(counters.map(|counter| counter.key));
    }

    pub(super) fn contains(&self, counter: &Key) -> bool {
        self.0.contains(counter)
    }
}

/// What is left of one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The limit's name in the field `RateLimit`.
    pub name: &'static str,
    /// What is allowed.
    pub allowance: Allowance,
    /// How many more requests.
    pub remaining: u64,
    /// When the whole allowance is there again; nothing for never.
    pub renewed_in: Option<Duration>,
}

/// A request is within its limits; this is what is left of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pass {
    /// Of the caller's rate, if one counts.
    pub rate: Option<Standing>,
    /// The caller's quota.
    pub quota: Quota,
    /// What is left of it, if it counts.
    pub quota_left: Option<Standing>,
}

impl Pass {
    /// What is left after a request has passed another API before, with this left of its limits.
    #[must_use]
    pub fn after(self, earlier: Self) -> Self {
        Self {
            rate: self.rate.or(earlier.rate),
            quota: if self.quota == Quota::Unset { earlier.quota } else { self.quota },
            quota_left: self.quota_left.or(earlier.quota_left),
        }
    }
}

/// A request is over a limit, and was not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// Over which one.
    pub which: Which,
    /// When that one lets requests through again; nothing for never.
    pub renewed_in: Option<Duration>,
    /// Whether and how it is to be held.
    pub throttle: Option<Throttle>,
    /// What is left of the limits of the caller that were asked.
    pub left: Pass,
}

/// A kind of limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The rate of the caller.
    Rate,
    /// The quota of the caller.
    Quota,
    /// The rate of the API or operation, which all callers share.
    Api,
}

/// Why a request does not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// It is over a limit.
    Exceeded(Box<Exceeded>),
    /// A limit of this kind cannot be asked, and is closed then.
    Unavailable(Which),
}

impl From<Box<Exceeded>> for Denied {
    fn from(exceeded: Box<Exceeded>) -> Self {
        Self::Exceeded(exceeded)
    }
}

/// Whether the request is there, or only thought of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Count,
    Look,
}

/// When, in nanoseconds since the origin, and how limits are asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct At {
    pub(super) nanos: u64,
    pub(super) mode: Mode,
}

impl Which {
    /// In the order in which limits are asked.
    pub(super) const ALL: [Self; 3] = [Self::Rate, Self::Quota, Self::Api];

    /// How it is called in figures and settings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Quota => "quota",
            Self::Api => "apiRate",
        }
    }
}

impl Limiter {
    /// A limiter that has counted nothing, and counts in memory; it measures time from `origin`.
    #[must_use]
    pub fn in_memory(origin: Instant) -> Self {
        Self::new(Arc::new(Ledger::new(origin, OnFailure::default())), None)
    }

    /// A limiter of this ledger; with a link, of the counters that nodes share.
    #[must_use]
    pub const fn new(ledger: Arc<Ledger>, link: Option<Arc<Link>>) -> Self {
        Self { ledger, link }
    }

    /// Counts a request at this time, if it is within all limits: the rate of its caller, the quota,
    /// the rate of the API. One over a rate uses no quota. The clock is read only if there is a limit.
    /// Without a link this is done when it is polled first.
    ///
    /// # Errors
    /// [`Denied`] for the first limit that it is over.
    pub async fn admit(&self, asking: &Asking<'_>, now: impl FnOnce() -> Instant) -> Result<Pass, Denied> {
        self.decide(asking, now, Mode::Count).await
    }

    /// Whether a request would be within all limits at this time, and what is left before it. Nothing
    /// is counted.
    ///
    /// # Errors
    /// [`Denied`] for the first limit that it would be over.
    pub async fn look(&self, asking: &Asking<'_>, now: impl FnOnce() -> Instant) -> Result<Pass, Denied> {
        self.decide(asking, now, Mode::Look).await
    }

    /// Counts that a caller asks for what is left of its limits. This is counted in memory only: it keeps callers
    /// from having the servers of limits asked without end.
    ///
    /// # Errors
    /// [`Exceeded`] by the caller's rate, when it has asked 60 times within a minute.
    pub fn ask(&self, caller: Caller, now: Instant) -> Result<(), Box<Exceeded>> {
        let counter = Counter::new("asking", caller, Scope::new(&["asking"]), ASKING);
        let (tally, _) = self.ledger.take(&counter, At { nanos: self.ledger.nanos(now), mode: Mode::Count });
        if tally.counted {
            return Ok(());
        }
        let (which, left) = (Which::Rate, Pass::default());
        Err(Box::new(Exceeded { which, renewed_in: tally.renewed_in, throttle: None, left }))
    }

    /// Gives back what this process has counted ahead and does not use, for ever. One for a process.
    pub async fn tend(&self) {
        loop {
            sleep(TENDING).await;
            let now = self.ledger.nanos(Instant::now());
            self.give_back(self.ledger.reservations.idle(now)).await;
        }
    }

    /// Gives back everything that was counted ahead: the process ends.
    pub async fn give_everything_back(&self) {
        let now = self.ledger.nanos(Instant::now());
        self.give_back(self.ledger.reservations.all(now)).await;
    }

    async fn give_back(&self, unused: Vec<Unused>) {
        let Some(link) = &self.link else { return };
        for unused in unused {
            shared::give_back(&self.ledger, link, &unused).await;
        }
    }

    /// What was done instead of asking Redis each time.
    #[must_use]
    pub fn shared_figures(&self) -> SharedFigures {
        self.ledger.figures.read()
    }

    async fn decide(
        &self,
        asking: &Asking<'_>,
        now: impl FnOnce() -> Instant,
        mode: Mode,
    ) -> Result<Pass, Denied> {
        match &self.link {
            None => Ok(self.ledger.decide(asking, now, mode)?),
            Some(_) if !asking.is_limited() => Ok(Verdict::of(asking).pass),
            Some(link) => {
                let at = At { nanos: self.ledger.nanos(now()), mode };
                // In a box, so that requests of a single node do not carry it.
                Box::pin(self.decide_shared(link, asking, at)).await
            }
        }
    }

    async fn decide_shared(&self, link: &Arc<Link>, asking: &Asking<'_>, at: At) -> Result<Pass, Denied> {
        let counters = Each::new(|which| asking.counter(which));
        let tallies = shared::count(&self.ledger, link, &counters, at).await?;
        let mut verdict = Verdict::of(asking);
        for which in Which::ALL {
            if let (Some(counter), Some(tally)) = (counters.of(which), tallies.of(which)) {
                verdict.add(which, counter, tally)?;
            }
        }
        Ok(verdict.pass)
    }
}

impl Ledger {
    /// Nothing is counted yet; time is measured from `origin`.
    #[must_use]
    pub fn new(origin: Instant, on_failure: OnFailure) -> Self {
        Self {
            counters: Counters::default(),
            reservations: Reservations::default(),
            on_failure,
            figures: shared::Figures::default(),
            origin,
        }
    }

    /// Decides in memory, at once.
    fn decide(
        &self,
        asking: &Asking<'_>,
        now: impl FnOnce() -> Instant,
        mode: Mode,
    ) -> Result<Pass, Box<Exceeded>> {
        let mut verdict = Verdict::of(asking);
        if !asking.is_limited() {
            return Ok(verdict.pass);
        }
        let at = At { nanos: self.nanos(now()), mode };
        self.count(
            |which| asking.counter(which),
            at,
            |which, counter, tally| verdict.add(which, counter, &tally),
        )?;
        Ok(verdict.pass)
    }

    /// A time as counters measure it.
    pub(super) fn nanos(&self, now: Instant) -> u64 {
        nanos(now.saturating_duration_since(self.origin))
    }

    /// Counts in memory, one counter after the other, and tells what each says. The first that refuses is
    /// the last: `tell` gives what it makes of that.
    ///
    /// # Errors
    /// What `tell` gives.
    #[inline]
    pub(super) fn count<E>(
        &self,
        counter: impl Fn(Which) -> Option<Counter>,
        at: At,
        mut tell: impl FnMut(Which, &Counter, Tally) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut quota_taken = None;
        for which in Which::ALL {
            let Some(counter) = counter(which) else { continue };
            let (tally, start) = self.take(&counter, at);
            if let Err(refused) = tell(which, &counter, tally) {
                if let (Which::Api, Some((quota, start)), Mode::Count) = (which, quota_taken, at.mode) {
                    self.counters.give_back(&quota, start);
                }
                return Err(refused);
            }
            if which == Which::Quota {
                quota_taken = Some((counter.key, start));
            }
        }
        Ok(())
    }

    /// Counts in memory; gives when the window began as well.
    fn take(&self, counter: &Counter, at: At) -> (Tally, u64) {
        let requests = counter.allowance.requests();
        let count = match at.mode {
            Mode::Count => self.counters.take(&counter.key, requests, at.nanos),
            Mode::Look => self.counters.look(&counter.key, requests, at.nanos),
        };
        let passed = Duration::from_nanos(at.nanos.saturating_sub(count.start));
        let renewed_in = counter.allowance.period().map(|period| period.saturating_sub(passed));
        (Tally { used: count.used, renewed_in, counted: count.counted }, count.start)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Endpoints, Limits, Rate, at_once},
        *,
    };

    /// A plan with so many requests in 10 seconds, and so many in 100.
    fn plan(rate: f64, quota: i64) -> Plan {
        let rate = Rate { allowance: Allowance::rate(rate, 10.0), throttle: None };
        let mut endpoints = Endpoints::default();
        endpoints.add(Method::POST, "/x", Allowance::rate(1.0, 10.0).unwrap()).unwrap();
        Plan::new(Limits { rate, quota: Quota::new(quota, 100) }, endpoints, "api", &["session"])
    }

    fn api(rate: f64) -> ApiLimits {
        ApiLimits::new(Allowance::rate(rate, 10.0).map(|rate| SharedRate::of_api("org", "api", rate)))
    }

    static NOTHING: Counted = Counted(Vec::new());

    /// What is counted in memory is never unavailable.
    fn exceeded(decided: Result<Pass, Denied>) -> Result<Pass, Box<Exceeded>> {
        decided.map_err(|denied| match denied {
            Denied::Exceeded(exceeded) => exceeded,
            Denied::Unavailable(which) => panic!("{which:?}"),
        })
    }

    struct Scene {
        limiter: Limiter,
        start: Instant,
    }

    impl Scene {
        fn new() -> Self {
            let start = Instant::now();
            Self { limiter: Limiter::in_memory(start), start }
        }

        /// Sends a request of a subject at this second.
        fn ask(
            &self,
            subject: &str,
            plan: &Plan,
            api: &ApiLimits,
            method: &Method,
            second: u64,
        ) -> Result<Pass, Box<Exceeded>> {
            let (caller, among) = (Some((Caller::new(None, subject).into(), plan)), Caller::EVERYBODY);
            let asking = Asking {
                caller,
                api,
                operation: None,
                among,
                method,
                paths: ["/api/x", "/x"],
                ambiguous: false,
                counted: &NOTHING,
            };
            exceeded(at_once(self.limiter.admit(&asking, || self.start + Duration::from_secs(second))))
        }
    }

    fn over(result: Result<Pass, Box<Exceeded>>) -> Option<(Which, Option<u64>)> {
        result.err().map(|exceeded| (exceeded.which, exceeded.renewed_in.map(|time| time.as_secs())))
    }

    #[test]
    fn the_rate_goes_first_and_uses_no_quota_when_exceeded() {
        let (scene, plan, api) = (Scene::new(), plan(2.0, 3), ApiLimits::default());
        let ask = |second| over(scene.ask("a", &plan, &api, &Method::GET, second));
        assert_eq!(
            [ask(0), ask(1), ask(2), ask(4)],
            [None, None, Some((Which::Rate, Some(8))), Some((Which::Rate, Some(6)))]
        );
        // One over the quota uses the rate, as in Tyk.
        assert_eq!(
            [ask(10), ask(11), ask(12)],
            [None, Some((Which::Quota, Some(89))), Some((Which::Rate, Some(8)))]
        );
        assert_eq!(over(scene.ask("b", &plan, &api, &Method::GET, 12)), None);
    }

    #[test]
    fn asking_has_a_pace_of_its_own() {
        let scene = Scene::new();
        let ask = |subject: &str, second: u64| {
            let asked =
                scene.limiter.ask(Caller::new(None, subject), scene.start + Duration::from_secs(second));
            asked.map_err(|exceeded| (exceeded.which, exceeded.renewed_in.unwrap().as_secs()))
        };
        assert!((0..60).all(|n| ask("a", n / 2).is_ok()));
        assert_eq!(ask("a", 45), Err((Which::Rate, 15)));
        assert_eq!((ask("b", 45), ask("a", 60)), (Ok(()), Ok(())));
    }

    #[test]
    fn what_is_left_is_told() {
        let (scene, plan, api) = (Scene::new(), plan(5.0, 3), ApiLimits::default());
        scene.ask("a", &plan, &api, &Method::GET, 0).unwrap();
        let pass = scene.ask("a", &plan, &api, &Method::GET, 4).unwrap();
        let told = |standing: Option<Standing>| {
            standing.map(|s| (s.name, s.allowance.requests(), s.remaining, s.renewed_in.unwrap().as_secs()))
        };
        assert_eq!(told(pass.rate), Some(("rate", 5, 3, 6)));
        assert_eq!(told(pass.quota_left), Some(("quota", 3, 1, 96)));
    }

    #[test]
    fn who_looks_counts_nothing() {
        let (scene, plan, api) = (Scene::new(), plan(2.0, 3), api(9.0));
        let caller = Some((Caller::new(None, "a").into(), &plan));
        let method = &Method::GET;
        let asking = Asking {
            caller,
            api: &api,
            operation: None,
            among: Caller::EVERYBODY,
            method,
            paths: ["/api/x", "/x"],
            ambiguous: false,
            counted: &NOTHING,
        };
        let look = |second| {
            let now = || scene.start + Duration::from_secs(second);
            let seen = exceeded(at_once(scene.limiter.look(&asking, now)));
            seen.map(|pass| (pass.rate.unwrap().remaining, pass.quota_left.unwrap().remaining))
        };
        let count = |second| scene.ask("a", &plan, &api, &Method::GET, second).unwrap();
        assert_eq!([look(0).unwrap(), look(0).unwrap()], [(2, 3), (2, 3)]);
        count(0);
        assert_eq!([look(1).unwrap(), look(1).unwrap()], [(1, 2), (1, 2)]);
        count(1);
        for _ in 0..2 {
            let exceeded = look(2).unwrap_err();
            assert_eq!((exceeded.which, exceeded.renewed_in), (Which::Rate, Some(Duration::from_secs(8))));
        }
        // The window has ended, and nobody has opened another.
        assert_eq!(look(11).unwrap(), (2, 1));
        count(12);
    }

    #[test]
    fn the_api_is_everybodys_and_one_over_it_uses_no_quota() {
        let (scene, plan, api) = (Scene::new(), plan(9.0, 2), api(1.0));
        let ask = |subject, second| over(scene.ask(subject, &plan, &api, &Method::GET, second));
        assert_eq!(ask("a", 0), None);
        for _ in 0..3 {
            assert_eq!(ask("b", 1), Some((Which::Api, Some(9))));
        }
        // What the API refused did not open the window of the quota either.
        assert_eq!([ask("b", 10), ask("b", 20)], [None, None]);
        assert_eq!(ask("b", 30), Some((Which::Quota, Some(80))));
    }

    #[test]
    fn a_request_counts_once_for_each_limit_that_it_meets() {
        fn asking<'a>(plan: &'a Plan, api: &'a ApiLimits, counted: &'a Counted) -> Asking<'a> {
            let (caller, among) = (Some((Caller::new(None, "a").into(), plan)), Caller::EVERYBODY);
            let (method, paths) = (&Method::GET, ["/x", "/x"]);
            Asking { caller, api, operation: None, among, method, paths, ambiguous: false, counted }
        }
        let (scene, plan) = (Scene::new(), plan(9.0, 9));
        let first = api(9.0);
        let second = Allowance::rate(9.0, 10.0).map(|rate| SharedRate::of_api("org", "b", rate));
        let second = ApiLimits::new(second);
        let mut counted = Counted::default();
        let mut left = Vec::new();
        for api in [&first, &second, &first] {
            let pass = at_once(scene.limiter.admit(&asking(&plan, api, &counted), || scene.start)).unwrap();
            left.push((pass.rate.map(|s| s.remaining), pass.quota_left.map(|s| s.remaining)));
            counted.add(&asking(&plan, api, &NOTHING));
        }
        assert_eq!(left, [(Some(8), Some(8)), (None, None), (None, None)]);
        for api in [&first, &second] {
            let key = asking(&plan, api, &NOTHING).counter(Which::Api).unwrap().key;
            assert_eq!(scene.limiter.ledger.counters.look(&key, 9, 0).used, 1);
        }
    }

    #[test]
    fn an_endpoint_is_counted_on_its_own() {
        let (scene, plan, api) = (Scene::new(), plan(1.0, 0), ApiLimits::default());
        let ask = |method| over(scene.ask("a", &plan, &api, &method, 0)).map(|(which, _)| which);
        assert_eq!([ask(Method::POST), ask(Method::GET)], [None, None]);
        assert_eq!([ask(Method::POST), ask(Method::GET)], [Some(Which::Rate), Some(Which::Rate)]);
    }

    #[test]
    fn what_an_api_skips() {
        for (rate, quota, expected) in [
            (true, true, [None, None, None]),
            (true, false, [None, None, Some(Which::Quota)]),
            (false, true, [None, Some(Which::Rate), Some(Which::Rate)]),
        ] {
            let (scene, plan, api) = (Scene::new(), plan(1.0, 2), api(1.0).skipping(rate, quota));
            let ask = || over(scene.ask("a", &plan, &api, &Method::GET, 0)).map(|(which, _)| which);
            assert_eq!([ask(), ask(), ask()], expected, "{rate} {quota}");
        }
    }

    #[test]
    fn nothing_is_asked_where_nothing_is_limited() {
        let limiter = Limiter::in_memory(Instant::now());
        let nothing = Plan::new(Limits::default(), Endpoints::default(), "api", &["session"]);
        let api = ApiLimits::default();
        let caller = Some((Caller::new(None, "a").into(), &nothing));
        let asking = Asking {
            caller,
            api: &api,
            operation: None,
            among: Caller::EVERYBODY,
            method: &Method::GET,
            paths: ["/", "/"],
            ambiguous: false,
            counted: &NOTHING,
        };
        assert_eq!(at_once(limiter.admit(&asking, || panic!("the clock was read"))), Ok(Pass::default()));
    }
}
