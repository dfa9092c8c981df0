//! The limiter against a simple reference, over long random schedules: the same requests at the same
//! times must have the same answers.
//!
//! The reference keeps every request that was let through, and counts them anew for each question.

use std::time::{Duration, Instant};

use http::Method;

use super::{
    Allowance, ApiLimits, Asking, Caller, Counted, Denied, Endpoints, Limiter, Limits, Pass, Plan, Quota,
    Rate, SharedRate, Throttle, Which, at_once,
};

const STEPS: usize = 20_000;
const CALLERS: usize = 4;

/// What one limit lets through, as the documentation says it.
struct Reference {
    requests: u64,
    /// In milliseconds; nothing for ever.
    period: Option<u64>,
    /// When each was let through, in order, as far as that matters.
    passed: Vec<u64>,
}

/// What the reference says of one limit: how many are left, and when the window ends.
type Left = (u64, Option<u64>);

impl Reference {
    fn new(allowance: Allowance) -> Self {
        let period = allowance.period().map(|period| u64::try_from(period.as_millis()).unwrap());
        Self { requests: allowance.requests(), period, passed: Vec::new() }
    }

    /// The requests of the window of this moment: windows follow each other, each opened by a request.
    fn window(&self, now: u64) -> (Option<u64>, u64) {
        let (mut start, mut used) = (None, 0);
        for time in &self.passed {
            let is_over = |start: u64| self.period.is_some_and(|period| *time >= start + period);
            if start.is_none_or(is_over) {
                (start, used) = (Some(*time), 0);
            }
            used += 1;
        }
        match start {
            Some(start) if self.period.is_none_or(|period| now < start + period) => (Some(start), used),
            _ => (None, 0),
        }
    }

    fn pass(&mut self, now: u64) {
        if self.window(now).0.is_none() {
            // Only so that it does not take for ever: a window that is over matters no more.
            self.passed.clear();
        }
        self.passed.push(now);
    }

    fn left(&self, now: u64) -> Left {
        let (start, used) = self.window(now);
        (self.requests - used, self.period.map(|period| start.unwrap_or(now) + period - now))
    }

    fn has_room(&self, now: u64) -> bool {
        self.left(now).0 > 0
    }
}

/// The limits of everybody on one API.
struct World {
    rates: Vec<Option<Reference>>,
    endpoints: Vec<Reference>,
    quotas: Vec<Option<Reference>>,
    api: Option<Reference>,
    throttle: Option<Throttle>,
}

/// What is answered: passed with what is left of rate and quota, or refused by which limit, until when.
#[derive(Debug, PartialEq)]
enum Answer {
    Passed(Option<Left>, Option<Left>),
    Refused(Which, Option<u64>, Option<Throttle>),
}

impl World {
    fn ask(&mut self, caller: usize, endpoint: bool, counts: bool, now: u64) -> Answer {
        let Self { rates, endpoints, quotas, api, throttle } = self;
        let rate = if endpoint { Some(&mut endpoints[caller]) } else { rates[caller].as_mut() };
        let (mut rate, mut quota, mut api) = (rate, quotas[caller].as_mut(), api.as_mut());
        let refused = |limit: &Option<&mut Reference>| {
            let limit = limit.as_ref().filter(|limit| !limit.has_room(now))?;
            Some(limit.left(now).1)
        };
        if let Some(until) = refused(&rate) {
            return Answer::Refused(Which::Rate, until, *throttle);
        }
        let pass = |limit: &mut Option<&mut Reference>| {
            if let Some(limit) = limit.as_mut().filter(|_| counts) {
                limit.pass(now);
            }
        };
        // Whatever becomes of it, it was within the rate.
        pass(&mut rate);
        if let Some(until) = refused(&quota) {
            return Answer::Refused(Which::Quota, until, None);
        }
        if let Some(until) = refused(&api) {
            return Answer::Refused(Which::Api, until, None);
        }
        pass(&mut quota);
        pass(&mut api);
        let left = |limit: Option<&mut Reference>| limit.map(|limit| limit.left(now));
        Answer::Passed(left(rate), left(quota))
    }
}

fn answer(decided: Result<Pass, Denied>) -> Answer {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap();
    match decided {
        Ok(pass) => {
            let left = |standing: Option<super::Standing>| {
                standing.map(|standing| (standing.remaining, standing.renewed_in.map(millis)))
            };
            Answer::Passed(left(pass.rate), left(pass.quota_left))
        }
        Err(Denied::Exceeded(exceeded)) => {
            Answer::Refused(exceeded.which, exceeded.renewed_in.map(millis), exceeded.throttle)
        }
        Err(Denied::Unavailable(which)) => panic!("{which:?}"),
    }
}

/// One schedule: random limits, random requests at random times.
fn run(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let rate = |random: &mut fastrand::Rng| {
        let some = random.u8(..4) > 0;
        Allowance::rate(f64::from(random.u8(1..6)), f64::from(random.u8(1..40)) / 10.0).filter(|_| some)
    };
    let throttle = Some(Throttle { interval: Duration::from_millis(random.u64(1..9)), retries: 3 });
    let throttle = throttle.filter(|_| random.bool());
    let (mut plans, mut world) = (
        Vec::new(),
        World { rates: Vec::new(), endpoints: Vec::new(), quotas: Vec::new(), api: None, throttle },
    );
    for caller in 0..CALLERS {
        let allowance = rate(&mut random);
        let quota = match random.u8(..3) {
            0 => Quota::Unset,
            _ => Quota::new(random.i64(1..30), random.i64(0..20)),
        };
        let endpoint = Allowance::rate(f64::from(random.u8(1..4)), 0.7).unwrap();
        let mut endpoints = Endpoints::default();
        endpoints.add(Method::POST, "/x", endpoint).unwrap();
        let limits = Limits { rate: Rate { allowance, throttle }, quota };
        plans.push((
            Caller::new(None, &caller.to_string()),
            Plan::new(limits, endpoints, "api", &["session"]),
        ));
        world.rates.push(allowance.map(Reference::new));
        world.endpoints.push(Reference::new(endpoint));
        world.quotas.push(match quota {
            Quota::Limited(allowance) => Some(Reference::new(allowance)),
            Quota::Unset | Quota::Unlimited => None,
        });
    }
    let shared = rate(&mut random);
    world.api = shared.map(Reference::new);
    let api = ApiLimits::new(shared.map(|rate| SharedRate::of_api("org", "api", rate)));
    let origin = Instant::now();
    let limiter = Limiter::in_memory(origin);
    let mut now = 0;
    for step in 0..STEPS {
        // Often at once, sometimes at the very end of a window, sometimes long after.
        now += match random.u8(..10) {
            0..6 => 0,
            6..9 => random.u64(..200),
            _ => random.u64(..3_000),
        };
        let caller = random.usize(..CALLERS);
        let (endpoint, counts) = (random.u8(..4) == 0, random.u8(..5) > 0);
        let method = if endpoint { Method::POST } else { Method::GET };
        let (name, plan) = &plans[caller];
        let asking = Asking {
            caller: Some(((*name).into(), plan)),
            api: &api,
            operation: None,
            among: Caller::EVERYBODY,
            method: &method,
            paths: ["/api/x", "/x"],
            ambiguous: false,
            counted: &Counted::default(),
        };
        let clock = || origin + Duration::from_millis(now);
        let decided = if counts {
            at_once(limiter.admit(&asking, clock))
        } else {
            at_once(limiter.look(&asking, clock))
        };
        let expected = world.ask(caller, endpoint, counts, now);
        assert_eq!(answer(decided), expected, "seed {seed}, step {step}, at {now} ms");
    }
}

#[test]
fn the_limiter_does_what_a_simple_reference_does() {
    for seed in 0..10 {
        run(seed);
    }
}
