//! The breaker's words: what it is told, what it says, where it stands.

use crate::catalog::spec::BreakerSpec;
use crate::time::{Millis, Timestamp};

/// Numbers of one breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Failures in a row that open it.
    pub failures: u32,
    /// Successes in a row that close it from half-open.
    pub successes: u32,
    /// First opening; doubles with each opening in a row.
    pub min: Millis,
    /// Longest opening.
    pub max: Millis,
}

impl From<&BreakerSpec> for Policy {
    fn from(spec: &BreakerSpec) -> Self {
        Self {
            failures: spec.failures,
            successes: spec.successes,
            min: Millis(u64::from(spec.recovery_min_ms)),
            max: Millis(u64::from(spec.recovery_max_ms)),
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::from(&BreakerSpec::default())
    }
}

/// Why an attempt failed, as far as a breaker cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Category {
    /// Not reached, or cut off.
    Network,
    /// Reached, silent.
    Timeout,
    /// Answered, wrongly.
    Server,
    /// Refused us.
    Auth,
    /// Wants to be paid.
    Billing,
}

impl Category {
    /// Name in logs and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Timeout => "timeout",
            Self::Server => "server",
            Self::Auth => "auth",
            Self::Billing => "billing",
        }
    }
}

/// What an attempt's end means to a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// It did its work.
    Success,
    /// It is to blame.
    Failure(Category),
    /// It says nothing about the channel.
    Ignore,
}

/// The breaker's answer before an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Go on.
    Admitted,
    /// Go on if [`Breaker::take_trial`] gives a permit when the attempt starts.
    Trial,
    /// Not before `until`.
    Rejected {
        /// When it is worth asking again.
        until: Timestamp,
    },
}

/// On what terms an attempt started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// Admitted by a closed breaker.
    #[default]
    Ordinary,
    /// With a permit of a half-open one.
    Trial,
    /// Not admitted: every other was open too (then it has a slot), or had failed the call.
    LastResort,
}

/// Whether the chain has anybody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Company {
    /// Other channels of the chain are admitted.
    #[default]
    Others,
    /// This is the chain's only admitted channel: better a bad answer than none, so only silence opens it.
    Alone,
}

/// What the breaker must know of an attempt besides its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attempt {
    /// When it started.
    pub started: Timestamp,
    /// Any number that differs between methods; only compared.
    pub method: u16,
    /// On what terms.
    pub kind: Kind,
    /// Whether there was another channel when it ended.
    pub company: Company,
}

/// Where the breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Traffic flows.
    Closed,
    /// No traffic until then.
    Open {
        /// End of the opening.
        until: Timestamp,
    },
    /// Trials only.
    HalfOpen,
}

impl State {
    /// Name in logs, meta and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open { .. } => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

/// A change of state that a recorded outcome caused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    /// It opened, or opened again.
    Opened {
        /// End of the opening.
        until: Timestamp,
        /// Category of the failure that did it.
        because: Category,
    },
    /// A last resort answered: trials from now on.
    HalfOpened,
    /// It closed; blamed failures of its evidence are history.
    Closed,
}
