//! May this request pass, and what is left?

use std::time::{Duration, Instant};

use http::Method;

use super::{
    Allowance, ApiLimits, Caller, Plan, Quota, Scope, Throttle,
    counters::Counters,
    endpoints::Place,
    key::{Key, nanos},
};

/// Decides which requests are within their limits. One for a process: its counters are shared by
/// all threads and outlive every reload.
#[derive(Debug)]
pub struct Limiter {
    counters: Counters,
    origin: Instant,
}

/// A request, as far as limits go.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'r> {
    /// Who asks, and what limits that one; nothing where nobody needs to be known.
    pub caller: Option<(Caller, &'r Plan)>,
    /// What limits everybody.
    pub api: &'r ApiLimits,
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
    const fn place(&self) -> Place<'r> {
        Place { method: self.method, paths: self.paths, ambiguous: self.ambiguous }
    }

    /// The rate that all callers share, if it counts for the request.
    fn rate_of_everybody(&self) -> Option<(Allowance, Scope)> {
        let limits = |_: &(Allowance, Scope)| self.api.limits_everybody();
        let rate = self.api.rate(&self.place()).filter(limits)?;
        (!self.counted.contains(Caller::EVERYBODY, rate.1)).then_some(rate)
    }
}

/// What a request was counted for already. One that passes several APIs may find the same limit again,
/// and counts once.
#[derive(Clone, Debug, Default)]
pub struct Counted(Vec<(Caller, Scope)>);

impl Counted {
    /// The request has passed these limits.
    pub fn add(&mut self, asking: &Asking<'_>) {
        let place = asking.place();
        if let Some((caller, plan)) = asking.caller {
            let rate = plan.rate(&place).map(|(_, _, scope)| scope);
            self.0.extend(rate.into_iter().chain([plan.quota().1]).map(|scope| (caller, scope)));
        }
        self.0.extend(asking.rate_of_everybody().map(|(_, scope)| (Caller::EVERYBODY, scope)));
    }

    fn contains(&self, caller: Caller, scope: Scope) -> bool {
        self.0.contains(&(caller, scope))
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

/// Whether the request is there, or only thought of.
#[derive(Clone, Copy, Debug)]
enum Mode {
    Count,
    Look,
}

/// When, in nanoseconds since the origin, and how limits are asked.
#[derive(Clone, Copy, Debug)]
struct At {
    nanos: u64,
    mode: Mode,
}

impl Limiter {
    /// A limiter that has counted nothing; it measures time from `origin`.
    #[must_use]
    pub fn new(origin: Instant) -> Self {
        Self { counters: Counters::default(), origin }
    }

    /// Counts a request at this time, if it is within all limits: the rate of its caller, the quota,
    /// the rate of the API. One over a rate uses no quota. The clock is read only if there is a limit.
    ///
    /// # Errors
    /// [`Exceeded`] for the first limit that it is over.
    pub fn admit(&self, asking: &Asking<'_>, now: impl FnOnce() -> Instant) -> Result<Pass, Box<Exceeded>> {
        self.decide(asking, now, Mode::Count)
    }

    /// Whether a request would be within all limits at this time, and what is left before it. Nothing
    /// is counted.
    ///
    /// # Errors
    /// [`Exceeded`] for the first limit that it would be over.
    pub fn look(&self, asking: &Asking<'_>, now: impl FnOnce() -> Instant) -> Result<Pass, Box<Exceeded>> {
        self.decide(asking, now, Mode::Look)
    }

    fn decide(
        &self,
        asking: &Asking<'_>,
        now: impl FnOnce() -> Instant,
        mode: Mode,
    ) -> Result<Pass, Box<Exceeded>> {
        let limited = |(_, plan): &(Caller, &Plan)| plan.limits_anything();
        let mut pass =
            Pass { quota: asking.caller.map_or(Quota::Unset, |(_, plan)| plan.quota().0), ..Pass::default() };
        if !asking.caller.as_ref().is_some_and(limited) && !asking.api.limits_everybody() {
            return Ok(pass);
        }
        let at = At { nanos: nanos(now().saturating_duration_since(self.origin)), mode };
        let mut quota_taken = None;
        if let Some((caller, plan)) = asking.caller {
            self.take_rate(caller, plan, asking, at, &mut pass)?;
            quota_taken = self.take_quota(caller, plan, asking, at, &mut pass)?;
        }
        if let Some((allowance, scope)) = asking.rate_of_everybody() {
            let (_, standing, passes) = self.take("api", Caller::EVERYBODY, scope, allowance, at);
            if !passes {
                if let (Some((key, start)), Mode::Count) = (quota_taken, mode) {
                    self.counters.give_back(&key, start);
                }
                return Err(Exceeded::new(Which::Api, &standing, pass));
            }
        }
        Ok(pass)
    }

    fn take_rate(
        &self,
        caller: Caller,
        plan: &Plan,
        asking: &Asking<'_>,
        at: At,
        pass: &mut Pass,
    ) -> Result<(), Box<Exceeded>> {
        let counts = |scope| !asking.api.skips_rate() && !asking.counted.contains(caller, scope);
        let Some((name, allowance, scope)) =
            plan.rate(&asking.place()).filter(|(_, _, scope)| counts(*scope))
        else {
            return Ok(());
        };
        let (_, standing, passes) = self.take(name, caller, scope, allowance, at);
        pass.rate = Some(standing);
        if passes {
            return Ok(());
        }
        let mut exceeded = Exceeded::new(Which::Rate, &standing, *pass);
        exceeded.throttle = plan.throttle();
        Err(exceeded)
    }

    /// Gives what was counted, so that it can be given back.
    fn take_quota(
        &self,
        caller: Caller,
        plan: &Plan,
        asking: &Asking<'_>,
        at: At,
        pass: &mut Pass,
    ) -> Result<Option<(Key, u64)>, Box<Exceeded>> {
        let (Quota::Limited(allowance), scope) = plan.quota() else { return Ok(None) };
        if asking.api.skips_quota() || asking.counted.contains(caller, scope) {
            return Ok(None);
        }
        let (taken, standing, passes) = self.take("quota", caller, scope, allowance, at);
        pass.quota_left = Some(standing);
        if passes { Ok(Some(taken)) } else { Err(Exceeded::new(Which::Quota, &standing, *pass)) }
    }

    fn take(
        &self,
        name: &'static str,
        caller: Caller,
        scope: Scope,
        allowance: Allowance,
        at: At,
    ) -> ((Key, u64), Standing, bool) {
        let key = Key::new(caller, scope, allowance);
        let count = match at.mode {
            Mode::Count => self.counters.take(&key, allowance.requests(), at.nanos),
            Mode::Look => self.counters.look(&key, allowance.requests(), at.nanos),
        };
        let passed = Duration::from_nanos(at.nanos.saturating_sub(count.start));
        let standing = Standing {
            name,
            allowance,
            remaining: allowance.requests().saturating_sub(count.used),
            renewed_in: allowance.period().map(|period| period.saturating_sub(passed)),
        };
        ((key, count.start), standing, count.counted)
    }
}

impl Exceeded {
    fn new(which: Which, standing: &Standing, left: Pass) -> Box<Self> {
        Box::new(Self { which, renewed_in: standing.renewed_in, throttle: None, left })
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Endpoints, Limits, Rate},
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
        ApiLimits::new("org", "api", Allowance::rate(rate, 10.0), Endpoints::default())
    }

    static NOTHING: Counted = Counted(Vec::new());

    struct Scene {
        limiter: Limiter,
        start: Instant,
    }

    impl Scene {
        fn new() -> Self {
            let start = Instant::now();
            Self { limiter: Limiter::new(start), start }
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
            let caller = Some((Caller::new(None, subject), plan));
            let asking =
                Asking { caller, api, method, paths: ["/api/x", "/x"], ambiguous: false, counted: &NOTHING };
            self.limiter.admit(&asking, || self.start + Duration::from_secs(second))
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
        let caller = Some((Caller::new(None, "a"), &plan));
        let method = &Method::GET;
        let asking = Asking {
            caller,
            api: &api,
            method,
            paths: ["/api/x", "/x"],
            ambiguous: false,
            counted: &NOTHING,
        };
        let look = |second| {
            let seen = scene.limiter.look(&asking, || scene.start + Duration::from_secs(second));
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
        assert_eq!([ask("b", 10), ask("b", 20)], [None, None]);
        assert_eq!(ask("b", 30), Some((Which::Quota, Some(71))));
    }

    #[test]
    fn a_request_counts_once_for_each_limit_that_it_meets() {
        fn asking<'a>(plan: &'a Plan, api: &'a ApiLimits, counted: &'a Counted) -> Asking<'a> {
            let caller = Some((Caller::new(None, "a"), plan));
            Asking { caller, api, method: &Method::GET, paths: ["/x", "/x"], ambiguous: false, counted }
        }
        let (scene, plan) = (Scene::new(), plan(9.0, 9));
        let first = api(9.0);
        let second = ApiLimits::new("org", "b", Allowance::rate(9.0, 10.0), Endpoints::default());
        let mut counted = Counted::default();
        let mut left = Vec::new();
        for api in [&first, &second, &first] {
            let pass = scene.limiter.admit(&asking(&plan, api, &counted), || scene.start).unwrap();
            left.push((pass.rate.map(|s| s.remaining), pass.quota_left.map(|s| s.remaining)));
            counted.add(&asking(&plan, api, &NOTHING));
        }
        assert_eq!(left, [(Some(8), Some(8)), (None, None), (None, None)]);
        for api in [&first, &second] {
            let (allowance, scope) = asking(&plan, api, &NOTHING).rate_of_everybody().unwrap();
            let key = Key::new(Caller::EVERYBODY, scope, allowance);
            assert_eq!(scene.limiter.counters.look(&key, 9, 0).used, 1);
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
        let limiter = Limiter::new(Instant::now());
        let nothing = Plan::new(Limits::default(), Endpoints::default(), "api", &["session"]);
        let api = ApiLimits::default();
        let caller = Some((Caller::new(None, "a"), &nothing));
        let asking = Asking {
            caller,
            api: &api,
            method: &Method::GET,
            paths: ["/", "/"],
            ambiguous: false,
            counted: &NOTHING,
        };
        assert_eq!(limiter.admit(&asking, || panic!("the clock was read")), Ok(Pass::default()));
    }
}
