//! What becomes of limits while Redis cannot be asked.

use super::Which;

/// What becomes of a limit while Redis cannot be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// Requests pass; none is counted.
    Open,
    /// Requests are refused.
    Closed,
    /// The node counts on its own, beginning with nothing.
    #[default]
    Local,
}

/// The choice for each kind of limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OnFailure {
    /// For rates of callers.
    pub rate: Choice,
    /// For quotas of callers.
    pub quota: Choice,
    /// For rates of APIs and operations, which all callers share.
    pub api_rate: Choice,
}

/// What becomes of one limit, which may say so itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FailureRule {
    /// What is said where the limit is written; of several such places the strictest.
    said: Option<Choice>,
    /// One of several places says something, and another one leaves it to the choice for the kind.
    also_of_kind: bool,
}

impl FailureRule {
    /// What is said where the limit is written; with nothing, what is chosen for its kind.
    #[must_use]
    pub const fn new(said: Option<Choice>) -> Self {
        Self { said, also_of_kind: false }
    }

    /// What holds for a limit that is written in two places.
    fn and(self, other: Self) -> Self {
        let is_left = self.said.is_some() != other.said.is_some();
        let said = self.said.into_iter().chain(other.said).reduce(Choice::or_stricter);
        Self { said, also_of_kind: is_left || self.also_of_kind || other.also_of_kind }
    }

    /// What becomes of it where this is chosen for its kind.
    #[must_use]
    pub fn choice(self, of_kind: Choice) -> Choice {
        match self.said {
            Some(said) if self.also_of_kind => said.or_stricter(of_kind),
            Some(said) => said,
            None => of_kind,
        }
    }
}

/// What holds for a limit that is written in several places.
impl FromIterator<Self> for FailureRule {
    fn from_iter<T: IntoIterator<Item = Self>>(rules: T) -> Self {
        rules.into_iter().reduce(Self::and).unwrap_or_default()
    }
}

impl Choice {
    /// The one that lets less through.
    fn or_stricter(self, other: Self) -> Self {
        match (self, other) {
            (Self::Closed, _) | (_, Self::Closed) => Self::Closed,
            (Self::Local, _) | (_, Self::Local) => Self::Local,
            (Self::Open, Self::Open) => Self::Open,
        }
    }

    /// All of them.
    pub const ALL: [Self; 3] = [Self::Open, Self::Closed, Self::Local];

    /// How it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Local => "local",
        }
    }

    /// The choice that is written like this.
    ///
    /// # Errors
    /// What to write instead.
    pub fn read(text: &str) -> Result<Self, &'static str> {
        let choice = Self::ALL.into_iter().find(|choice| choice.name() == text);
        choice.ok_or("without Redis a limit is open, closed, or local to each node; write one of these")
    }
}

impl OnFailure {
    pub(super) const fn of(self, which: Which) -> Choice {
        match which {
            Which::Rate => self.rate,
            Which::Quota => self.quota,
            Which::Api => self.api_rate,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Choice::{Closed, Local, Open},
        *,
    };

    #[test]
    fn of_several_the_strictest() {
        for (said, of_kind, expected) in [
            (&[][..], Local, Local),
            (&[None, None], Open, Open),
            (&[Some(Open)], Closed, Open),
            (&[Some(Closed)], Open, Closed),
            (&[Some(Open), Some(Local)], Closed, Local),
            (&[Some(Open), None], Closed, Closed),
            (&[Some(Open), None, Some(Open)], Local, Local),
            (&[Some(Local), None], Open, Local),
            (&[None, Some(Closed), None], Open, Closed),
        ] {
            let rules = || said.iter().map(|said| FailureRule::new(*said));
            let (there, back): (FailureRule, FailureRule) = (rules().collect(), rules().rev().collect());
            assert_eq!((there.choice(of_kind), back), (expected, there), "{said:?} {of_kind:?}");
        }
    }
}
