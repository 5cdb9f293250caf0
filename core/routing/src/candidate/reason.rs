//! Why a channel is not asked, in words.

use std::fmt;

use crate::catalog::ChannelIdx;
use crate::time::Millis;

/// A channel that is not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejection {
    /// Which.
    pub channel: ChannelIdx,
    /// Why; the first reason found.
    pub because: Because,
}

/// Why a channel is not asked. `Display` is what clients and logs read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Because {
    /// The request wants the other transport.
    OtherTransport,
    /// A WebSocket channel without a live connection.
    NotConnected,
    /// Its breaker is open, or half-open with all trials taken.
    BreakerOpen {
        /// Until it may be asked again.
        wait: Millis,
    },
    /// The fleet's breaker is half-open, and the trials are others'.
    NoTrial,
    /// A person has opened its breaker.
    OpenedByHand,
    /// It answers for another chain.
    WrongChain,
    /// It is declared not to serve the method.
    UnsupportedMethod,
    /// It is declared to serve at most so many blocks at once.
    BlockRange {
        /// So many.
        most: u64,
    },
    /// It is declared to have blocks at most so far behind the head.
    BlockAge {
        /// So far.
        most: u64,
    },
    /// An archive is needed and it has none.
    NotArchival,
    /// It said that it does not serve the method.
    LacksMethod {
        /// Until it is asked again.
        wait: Millis,
    },
    /// It said that it serves at most so many blocks at once.
    LearnedRange {
        /// So many.
        most: u64,
    },
    /// It did not have blocks further behind the head.
    LearnedAge {
        /// So far.
        most: u64,
    },
    /// It said that it does not know the block tag.
    LacksTag,
    /// It is behind.
    Lagging {
        /// By so many blocks.
        by: u64,
    },
    /// It does not have the block yet.
    BlockAhead {
        /// The block.
        block: u64,
        /// What it has.
        head: u64,
    },
    /// Our budget there is spent.
    BudgetSpent {
        /// Until there is some again.
        wait: Millis,
    },
    /// The request said so.
    Excluded,
}

/// What a degraded decision looks away from, mildest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Degraded {
    /// Every budget is spent.
    Budget,
    /// Everybody is behind.
    Head,
    /// Everybody was found unable.
    Learned,
    /// Everybody is declared unable.
    Capability,
    /// The request excluded everybody.
    Excluded,
}

impl Degraded {
    /// As it stands in logs and meta.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Budget => "budget",
            Self::Head => "head",
            Self::Learned => "learned limit",
            Self::Capability => "capability",
            Self::Excluded => "excluded",
        }
    }
}

impl Because {
    /// What fail-open would look away from; `None` for what it never does.
    pub(super) const fn fault(&self) -> Option<Degraded> {
        match self {
            Self::OtherTransport
            | Self::NotConnected
            | Self::BreakerOpen { .. }
            | Self::NoTrial
            | Self::OpenedByHand
            | Self::WrongChain => None,
            Self::UnsupportedMethod | Self::BlockRange { .. } | Self::BlockAge { .. } | Self::NotArchival => {
                Some(Degraded::Capability)
            }
            Self::LacksMethod { .. } | Self::LearnedRange { .. } | Self::LearnedAge { .. } | Self::LacksTag => {
                Some(Degraded::Learned)
            }
            Self::Lagging { .. } | Self::BlockAhead { .. } => Some(Degraded::Head),
            Self::BudgetSpent { .. } => Some(Degraded::Budget),
            Self::Excluded => Some(Degraded::Excluded),
        }
    }

    /// How long until its breaker may let a call through, if time or a trial is all it takes: then it can be a last resort.
    pub(super) const fn wait_for_breaker(&self) -> Option<Millis> {
        /// Tables come about this often.
        const NEXT_TABLE: Millis = Millis(100);
        match self {
            Self::BreakerOpen { wait } => Some(*wait),
            Self::NoTrial => Some(NEXT_TABLE),
            Self::OtherTransport
            | Self::NotConnected
            | Self::OpenedByHand
            | Self::WrongChain
            | Self::UnsupportedMethod
            | Self::BlockRange { .. }
            | Self::BlockAge { .. }
            | Self::NotArchival
            | Self::LacksMethod { .. }
            | Self::LearnedRange { .. }
            | Self::LearnedAge { .. }
            | Self::LacksTag
            | Self::Lagging { .. }
            | Self::BlockAhead { .. }
            | Self::BudgetSpent { .. }
            | Self::Excluded => None,
        }
    }

    /// The order among those that are kept all the same: the highest head first, the budget that is free soonest first.
    pub(super) const fn badness(&self, head: u64) -> u64 {
        match self {
            Self::Lagging { .. } | Self::BlockAhead { .. } => u64::MAX - head,
            Self::BudgetSpent { wait } => wait.0,
            Self::OtherTransport
            | Self::NotConnected
            | Self::BreakerOpen { .. }
            | Self::NoTrial
            | Self::OpenedByHand
            | Self::WrongChain
            | Self::UnsupportedMethod
            | Self::BlockRange { .. }
            | Self::BlockAge { .. }
            | Self::NotArchival
            | Self::LacksMethod { .. }
            | Self::LearnedRange { .. }
            | Self::LearnedAge { .. }
            | Self::LacksTag
            | Self::Excluded => 0,
        }
    }
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherTransport => f.write_str("another transport was asked for"),
            Self::NotConnected => f.write_str("ws needs a live connection"),
            Self::BreakerOpen { wait } => write!(f, "breaker open for {wait}"),
            Self::NoTrial => f.write_str("breaker half-open, its trials are given to others"),
            Self::OpenedByHand => f.write_str("breaker opened by hand"),
            Self::WrongChain => f.write_str("it answers for another chain"),
            Self::UnsupportedMethod => f.write_str("method not supported"),
            Self::BlockRange { most } => write!(f, "at most {most} blocks at once"),
            Self::BlockAge { most } => write!(f, "at most {most} blocks behind the head"),
            Self::NotArchival => f.write_str("not archival"),
            Self::LacksMethod { wait } => write!(f, "method not served there, asked again in {wait}"),
            Self::LearnedRange { most } => write!(f, "at most {most} blocks at once, as it said"),
            Self::LearnedAge { most } => write!(f, "nothing more than {most} blocks behind the head, as it showed"),
            Self::LacksTag => f.write_str("block tag not known there"),
            Self::Lagging { by } => write!(f, "{by} blocks behind"),
            Self::BlockAhead { block, head } => write!(f, "at block {head}, {block} is needed"),
            Self::BudgetSpent { wait } => write!(f, "budget spent for {wait}"),
            Self::Excluded => f.write_str("excluded by the request"),
        }
    }
}
