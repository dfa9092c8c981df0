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

impl Choice {
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
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|choice| choice.name() == name)
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
