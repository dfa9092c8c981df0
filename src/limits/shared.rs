//! Counting in Redis: exact over all nodes, one round trip for a request.
//!
//! One script decides everything that a request asks, in the order and with the meaning of the counters in
//! memory. Of a cluster counters may be on several nodes: those that everybody shares, or a tenant. They are
//! asked node by node in the same order, and what was taken of the quota goes back if a later one refuses or
//! cannot be asked. Whatever happens in between, a request that passes was counted by every counter before,
//! so never more pass than may.

use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use ::redis::{Cmd, Value};
use tracing::debug;

use super::{
    Allowance, Choice, Denied, Which,
    demand::{Counter, Each, Tally},
    limiter::{At, Ledger, Mode},
    reservations::{Unused, Window},
};
use crate::redis::{Failure, Link, Script, Servers};

static SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("count.lua")));

/// The greatest number that the script counts with.
const MAX_NUMBER: u64 = (1 << 53) - 1;
/// Longer windows never end; the end of a shorter one is below [`MAX_NUMBER`].
const MAX_PERIOD: u64 = MAX_NUMBER / 2;

/// What a process did instead of asking Redis each time.
#[derive(Debug, Default)]
pub(super) struct Figures {
    refills: AtomicU64,
    reserved: AtomicU64,
    returned: AtomicU64,
    fallbacks: Each<[AtomicU64; 3]>,
}

/// The same, to be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SharedFigures {
    /// How often requests were counted ahead.
    pub refills: u64,
    /// How many were.
    pub reserved: u64,
    /// How many of them went back unused.
    pub returned: u64,
    /// How often a limit could not be asked, and which choice decided instead.
    pub fallbacks: Vec<(Which, Choice, u64)>,
}

impl Figures {
    fn fell_back(&self, which: Which, choice: Choice) {
        let counters = self.fallbacks.of(which);
        let own = Choice::ALL.iter().zip(counters).find(|(own, _)| **own == choice);
        own.map(|(_, counter)| counter.fetch_add(1, Ordering::Relaxed));
    }

    pub(super) fn read(&self) -> SharedFigures {
        let get = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        let of = |which| {
            let counters = self.fallbacks.of(which);
            Choice::ALL.into_iter().zip(counters).map(move |(choice, counter)| (which, choice, get(counter)))
        };
        SharedFigures {
            refills: get(&self.refills),
            reserved: get(&self.reserved),
            returned: get(&self.returned),
            fallbacks: Which::ALL.into_iter().flat_map(of).filter(|(_, _, number)| *number > 0).collect(),
        }
    }
}

/// What a counter in Redis says.
#[derive(Clone, Copy, Debug)]
struct Answer {
    tally: Tally,
    /// The end of its window, which names it.
    window: u64,
}

/// Why there is no answer; whoever asks has a choice for that.
#[derive(Debug)]
struct NoAnswer;

/// One request on its way through the counters.
struct Asking<'a> {
    ledger: &'a Arc<Ledger>,
    link: &'a Arc<Link>,
    counters: &'a Each<Option<Counter>>,
    at: At,
    /// What was taken of what the node holds.
    held: Each<Option<Window>>,
    /// What a call has taken of the quota.
    taken: Option<Unused>,
    tallies: Each<Option<Tally>>,
}

/// Counts in Redis, up to the first counter that refuses.
///
/// # Errors
/// [`Denied`], when Redis cannot be asked and a limit is closed then.
pub(super) async fn count(
    ledger: &Arc<Ledger>,
    link: &Arc<Link>,
    counters: &Each<Option<Counter>>,
    at: At,
) -> Result<Each<Option<Tally>>, Denied> {
    let (held, tallies) = (Each::default(), Each::default());
    let mut asking = Asking { ledger, link, counters, at, held, taken: None, tallies };
    if at.mode == Mode::Count {
        asking.take_of_held();
    }
    let decided = match asking.ask().await {
        Ok(()) => Ok(()),
        Err(NoAnswer) => asking.fall_back(),
    };
    asking.settle();
    if decided.is_err() || asking.refuses() == Some(Which::Api) {
        asking.give_back_taken().await;
    }
    decided.map(|()| asking.tallies)
}

impl Asking<'_> {
    /// Takes what the node has counted ahead, and sees to it that there is more of it.
    fn take_of_held(&mut self) {
        let may_refill = self.link.is_up();
        for which in Which::ALL {
            let Some(counter) = self.counters.of(which) else { continue };
            let taken = self.ledger.reservations.take(counter, self.at.nanos, may_refill);
            if let Some(wanted) = taken.refill {
                let (ledger, link) = (Arc::clone(self.ledger), Arc::clone(self.link));
                // On its own, so that it ends well when the client leaves.
                tokio::spawn(refill(ledger, link, *counter, wanted));
            }
            if let Some((tally, window)) = taken.tally {
                *self.tallies.of_mut(which) = Some(tally);
                *self.held.of_mut(which) = Some(window);
            }
        }
    }

    /// The counters that Redis must be asked for.
    fn open(&self) -> Vec<(Which, Counter)> {
        let is_open = |(which, _): &(Which, &Counter)| self.tallies.of(*which).is_none();
        self.counters.present().filter(is_open).map(|(which, counter)| (which, *counter)).collect()
    }

    /// Asks for everything that is open, until something refuses.
    async fn ask(&mut self) -> Result<(), NoAnswer> {
        let is_cluster = matches!(self.link.redis().settings().servers, Servers::Cluster(_));
        let open = self.open();
        // Of a cluster only counters that are on one server can be asked in one call.
        for together in open.chunk_by(|(_, one), (_, next)| !is_cluster || one.key.tag() == next.key.tag()) {
            self.ask_for(together).await?;
            if self.refuses().is_some() {
                break;
            }
        }
        Ok(())
    }

    /// Asks for these, in one call.
    async fn ask_for(&mut self, open: &[(Which, Counter)]) -> Result<(), NoAnswer> {
        let answers = self.call(open).await?;
        // What it has taken of the quota the script gives back itself.
        let has_passed = answers.iter().all(|answer| answer.tally.counted);
        for ((which, counter), mut answer) in open.iter().zip(answers) {
            if self.at.mode == Mode::Look {
                // What this node holds is left for it.
                let held = self.ledger.reservations.held(&counter.key, answer.window);
                answer.tally.used = answer.tally.used.saturating_sub(held);
                answer.tally.counted = answer.tally.used < counter.allowance.requests();
            } else if *which == Which::Quota && has_passed {
                let window = Window { id: answer.window, end: u64::MAX };
                self.taken = Some(Unused { key: counter.key, requests: 1, window });
            }
            *self.tallies.of_mut(*which) = Some(answer.tally);
        }
        Ok(())
    }

    async fn call(&self, open: &[(Which, Counter)]) -> Result<Vec<Answer>, NoAnswer> {
        if !self.link.is_up() {
            return Err(NoAnswer);
        }
        let prefix = &self.link.redis().settings().prefix;
        let names: Vec<String> = open.iter().map(|(_, counter)| counter.key.name(prefix)).collect();
        let act = if self.at.mode == Mode::Count { "count" } else { "look" };
        let build = |command: &mut Cmd| {
            command.arg(names.len()).arg(&names).arg(act);
            for (which, counter) in open {
                let limit = counter.allowance.requests().min(MAX_NUMBER);
                command.arg(limit).arg(period(counter.allowance)).arg(u8::from(*which == Which::Quota));
            }
        };
        let answer = self.link.run(&SCRIPT, build).await.map_err(|failure| told(&failure))?;
        answers(&answer).filter(|answers| is_whole(answers, open.len())).ok_or_else(|| {
            debug!("redis answers otherwise than the script of counters does");
            NoAnswer
        })
    }

    /// The first counter that refuses.
    fn refuses(&self) -> Option<Which> {
        let refuses = |which: &Which| self.tallies.of(*which).is_some_and(|tally| !tally.counted);
        Which::ALL.into_iter().find(refuses)
    }

    /// Decides what Redis was to decide, as was chosen for that.
    fn fall_back(&mut self) -> Result<(), Denied> {
        let open = self.open();
        let choice = |(which, counter): &(Which, Counter)| {
            counter.on_failure.choice(self.ledger.on_failure.of(*which))
        };
        for asked in &open {
            self.ledger.figures.fell_back(asked.0, choice(asked));
        }
        if let Some((which, _)) = open.iter().find(|asked| choice(asked) == Choice::Closed) {
            let which = *which;
            Which::ALL.into_iter().for_each(|which| self.give_back_held(which));
            return Err(Denied::Unavailable(which));
        }
        let mut local: Each<Option<Counter>> = Each::default();
        for (which, counter) in open.iter().filter(|asked| choice(asked) == Choice::Local) {
            *local.of_mut(*which) = Some(*counter);
        }
        let Self { ledger, at, tallies, .. } = self;
        let note = |which, _: &Counter, tally: Tally| {
            *tallies.of_mut(which) = Some(tally);
            if tally.counted { Ok(()) } else { Err(()) }
        };
        // The verdict finds the one that refuses.
        let _ = ledger.count(|which| *local.of(which), *at, note);
        Ok(())
    }

    /// What was taken of what the node holds goes back when another counter refuses: all that was to be
    /// asked after that one, and of the quota also what was before it.
    fn settle(&mut self) {
        let Some(refused) = self.refuses() else { return };
        for which in Which::ALL.into_iter().skip_while(|which| *which != refused).skip(1) {
            self.give_back_held(which);
            *self.tallies.of_mut(which) = None;
        }
        if refused == Which::Api {
            self.give_back_held(Which::Quota);
        }
    }

    /// Gives back what a call has taken of the quota: what came after it has refused, or could not be asked.
    async fn give_back_taken(&mut self) {
        let Some(taken) = self.taken.take() else { return };
        let (ledger, link) = (Arc::clone(self.ledger), Arc::clone(self.link));
        // On its own, so that it ends well when the client leaves.
        let _ = tokio::spawn(async move { give_back(&ledger, &link, &taken).await }).await;
    }

    fn give_back_held(&mut self, which: Which) {
        if let (Some(counter), Some(window)) = (self.counters.of(which), self.held.of_mut(which).take()) {
            self.ledger.reservations.give_back(&counter.key, window);
        }
    }
}

/// Reserves so many requests more.
async fn refill(ledger: Arc<Ledger>, link: Arc<Link>, counter: Counter, wanted: u64) {
    // Redis measures the rest of the window later, so it does not end before that is over.
    let asked = ledger.nanos(Instant::now());
    let name = counter.key.name(&link.redis().settings().prefix);
    let build = |command: &mut Cmd| {
        let limit = counter.allowance.requests().min(MAX_NUMBER);
        command.arg(1).arg(&name).arg("reserve").arg(limit).arg(period(counter.allowance)).arg(wanted);
    };
    let answer = link.run(&SCRIPT, build).await.map_err(|failure| told(&failure)).ok();
    let (granted, used, window) = match answer.as_ref().and_then(numbers) {
        Some([granted, used, left, id]) if granted > 0 => {
            (whole(granted), whole(used), Window { id: whole(id), end: end(asked, left) })
        }
        _ => (0, 0, Window::default()),
    };
    if granted > 0 {
        ledger.figures.refills.fetch_add(1, Ordering::Relaxed);
        ledger.figures.reserved.fetch_add(granted, Ordering::Relaxed);
    }
    ledger.reservations.refilled(&counter.key, granted, used, window, ledger.nanos(Instant::now()));
}

/// Gives back what was counted in this window. If that fails, it stays used until the window ends.
pub(super) async fn give_back(ledger: &Ledger, link: &Link, unused: &Unused) {
    let name = unused.key.name(&link.redis().settings().prefix);
    let build = |command: &mut Cmd| {
        command.arg(1).arg(&name).arg("return").arg(unused.requests).arg(unused.window.id);
    };
    if link.run(&SCRIPT, build).await.is_ok() {
        ledger.figures.returned.fetch_add(unused.requests, Ordering::Relaxed);
    }
}

fn told(failure: &Failure) -> NoAnswer {
    debug!(?failure, "redis cannot be asked");
    NoAnswer
}

/// The length of a window in microseconds, at least one; 0 for one that never ends.
fn period(allowance: Allowance) -> u64 {
    let micros = allowance.period().and_then(|period| u64::try_from(period.as_nanos().div_ceil(1_000)).ok());
    micros.filter(|micros| *micros < MAX_PERIOD).unwrap_or_default()
}

/// When so many microseconds after that moment are over; negative ones never.
fn end(from: u64, micros: i64) -> u64 {
    match u64::try_from(micros) {
        Ok(micros) => from.saturating_add(micros.saturating_mul(1_000)),
        Err(_) => u64::MAX,
    }
}

fn whole(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

fn answers(answer: &Value) -> Option<Vec<Answer>> {
    let Value::Array(counters) = answer else { return None };
    let one = |counter: &Value| {
        let [counted, used, left, window] = numbers(counter)?;
        let renewed_in = u64::try_from(left).ok().map(Duration::from_micros);
        let tally = Tally { used: whole(used), renewed_in, counted: counted == 1 };
        Some(Answer { tally, window: whole(window) })
    };
    counters.iter().map(one).collect()
}

/// Whether every counter has answered up to the first that refuses.
fn is_whole(answers: &[Answer], asked: usize) -> bool {
    let refused = answers.iter().position(|answer| !answer.tally.counted);
    answers.len() == refused.map_or(asked, |place| place.saturating_add(1))
}

fn numbers(answer: &Value) -> Option<[i64; 4]> {
    let Value::Array(values) = answer else { return None };
    let number = |value: &Value| match value {
        Value::Int(number) => Some(*number),
        _ => None,
    };
    let numbers: Vec<i64> = values.iter().map(number).collect::<Option<_>>()?;
    numbers.try_into().ok()
}
