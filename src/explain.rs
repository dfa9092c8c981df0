//! What was decided about a request, step by step, for the owner of an API who asks why.
//!
//! What decides takes an [`Observer`] and tells it of each step. That of a request does not listen: the
//! compiler leaves nothing of that; whoever wants to know decides the same thing again for a
//! [`Recorder`]. So an explanation cannot differ from what requests meet: it is made by the same code.
//!
//! The words of a [`Step`] repeat what the request and its token say: they are for eyes that may see
//! them, never for the log, nor for the caller. What could be used is not among them: tokens as text,
//! signatures, secrets, keys.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use crate::refusal::Reason;

/// Who is told how a request is decided. An observer that says nothing else hears nothing.
pub trait Observer: Copy + fmt::Debug {
    /// Whether the decision is made only to be seen: nothing is counted or kept then, and nothing that
    /// was kept is used.
    const WATCHES: bool = false;

    /// The time at which it is decided.
    fn now(self) -> SystemTime {
        SystemTime::now()
    }

    /// Something was decided.
    fn note(self, _step: impl FnOnce() -> Step) {}

    /// The steps from here on are those of a scheme of a requirement, which has this place, from 1 on.
    fn enter(self, _requirement: usize, _scheme: &str) {}

    /// The steps from here on are those of no scheme.
    fn leave(self) {}

    /// Of the requirements that were not met, this one gives the answer.
    fn settle(self, _requirement: usize) {}

    /// The caller's token failed this check, which only warns.
    fn warned(self, _check: &Arc<str>) {}
}

/// Nobody.
#[derive(Clone, Copy, Debug)]
pub struct Unobserved;

impl Observer for Unobserved {}

/// One step of a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The stable name.
    pub name: Box<str>,
    /// The scheme that it belongs to, if it does.
    pub scheme: Option<SchemeOf>,
    /// What came out.
    pub outcome: Outcome,
    /// What was wanted, if anything was.
    pub expected: Option<String>,
    /// What there was.
    pub found: String,
    /// Whether it is this step that refuses the request.
    pub decides: bool,
}

/// Where in the demands of an API a scheme stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemeOf {
    /// The place of the requirement, from 1 on.
    pub requirement: usize,
    /// The name of the scheme.
    pub name: Box<str>,
}

/// What came out of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All is as it should be.
    Passed,
    /// It is not, and is let through.
    Warned,
    /// It is not, which is a reason to refuse.
    Failed(Reason),
    /// It was not looked at.
    Skipped,
}

impl Outcome {
    /// What came out, if this is why it failed.
    #[must_use]
    pub fn of(reason: Option<Reason>) -> Self {
        reason.map_or(Self::Passed, Self::Failed)
    }

    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Passed => "ok",
            Self::Warned => "warn",
            Self::Failed(_) => "fail",
            Self::Skipped => "skip",
        }
    }

    /// Why it failed.
    #[must_use]
    pub const fn reason(self) -> Option<Reason> {
        match self {
            Self::Failed(reason) => Some(reason),
            Self::Passed | Self::Warned | Self::Skipped => None,
        }
    }
}

impl Step {
    /// A step of this name in which this was found.
    pub fn new(name: impl Into<Box<str>>, outcome: Outcome, found: impl Into<String>) -> Self {
        let (name, found) = (name.into(), found.into());
        Self { name, scheme: None, outcome, expected: None, found, decides: false }
    }

    /// The same, in which this was wanted.
    #[must_use]
    pub fn expecting(self, expected: impl Into<String>) -> Self {
        Self { expected: Some(expected.into()), ..self }
    }
}

/// Keeps the steps of one decision at a given time.
#[derive(Debug)]
pub struct Recorder {
    time: SystemTime,
    recorded: Mutex<Recorded>,
}

#[derive(Debug, Default)]
struct Recorded {
    steps: Vec<Step>,
    scheme: Option<SchemeOf>,
    /// The requirement that gives the answer, if several could.
    settled: Option<usize>,
}

impl Recorder {
    /// The decision is made as if it were this time.
    #[must_use]
    pub fn new(time: SystemTime) -> Self {
        Self { time, recorded: Mutex::default() }
    }

    /// The steps, with the one marked that gave this answer.
    #[must_use]
    pub fn into_steps(self, answer: Option<Reason>) -> Vec<Step> {
        let Recorded { mut steps, settled, .. } =
            self.recorded.into_inner().unwrap_or_else(PoisonError::into_inner);
        let answers = |step: &&mut Step| {
            let of_settled = step.scheme.as_ref().zip(settled).is_none_or(|(own, n)| own.requirement == n);
            of_settled && step.outcome.reason().is_some_and(|reason| Some(reason) == answer)
        };
        if let Some(step) = steps.iter_mut().find(answers) {
            step.decides = true;
        }
        steps
    }

    fn recorded(&self) -> MutexGuard<'_, Recorded> {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for &Recorder {
    const WATCHES: bool = true;

    fn now(self) -> SystemTime {
        self.time
    }

    fn note(self, step: impl FnOnce() -> Step) {
        let step = step();
        let mut recorded = self.recorded();
        let scheme = recorded.scheme.clone();
        recorded.steps.push(Step { scheme, ..step });
    }

    fn enter(self, requirement: usize, scheme: &str) {
        self.recorded().scheme = Some(SchemeOf { requirement, name: scheme.into() });
    }

    fn leave(self) {
        self.recorded().scheme = None;
    }

    fn settle(self, requirement: usize) {
        self.recorded().settled = Some(requirement);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_step_that_decides_is_the_first_with_the_reason_of_the_answer() {
        let failed = |name, reason| Step::new(name, Outcome::Failed(reason), "");
        let decides = |settled: usize, answer| {
            let recorder = Recorder::new(SystemTime::UNIX_EPOCH);
            let observer = &recorder;
            observer.note(|| Step::new("api", Outcome::Passed, ""));
            for requirement in [1, 2] {
                observer.enter(requirement, "jwt");
                observer.note(|| failed("exp", Reason::TokenExpired));
                observer.note(|| failed("iss", Reason::IssuerMissing));
            }
            observer.leave();
            observer.note(|| failed("rights", Reason::ApiNotGranted));
            observer.settle(settled);
            let steps = recorder.into_steps(answer);
            steps.iter().position(|step| step.decides)
        };
        for (settled, answer, step) in [
            (1, Some(Reason::TokenExpired), Some(1)),
            (2, Some(Reason::TokenExpired), Some(3)),
            (2, Some(Reason::IssuerMissing), Some(4)),
            (1, Some(Reason::ApiNotGranted), Some(5)),
            (1, Some(Reason::NotFound), None),
            (1, None, None),
        ] {
            assert_eq!(decides(settled, answer), step, "{settled} {answer:?}");
        }
    }
}
