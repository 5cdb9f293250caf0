//! What happens to a fleet, and what it wants done.

use lasso_jsonrpc::method::MethodClass;

use crate::breaker::Category;
use crate::report::Report;
use crate::table::{Barred, Table};
use crate::time::{Micros, Millis};

/// A stream, by a number that the shell gives it and never gives again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WorkerId(pub u64);

/// What a worker says of itself first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hello {
    /// Envoy's node id; workers of one Envoy share it.
    pub node: Box<str>,
    /// Region, when it has one.
    pub region: Box<str>,
    /// Drawn when the VM started: with `seq` it names a report.
    pub instance: u64,
    /// Of its catalog.
    pub generation: Box<str>,
    /// Of the filter.
    pub version: Box<str>,
}

/// Something happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A stream opened and said hello.
    Joined(WorkerId, Hello),
    /// A stream ended.
    Left(WorkerId),
    /// A report came. Boxed: the other events are small.
    Reported(WorkerId, Box<Report>),
    /// A worker has taken the table of that version.
    TableTaken(WorkerId, u64),
    /// A probe ended.
    Probed(Probe),
    /// A person decided about a breaker.
    Decided {
        /// Channel, by its id.
        channel: Box<str>,
        /// What.
        decision: Manual,
    },
    /// A ws channel has a live socket for calls, or has none any more.
    Sockets {
        /// Channel, by its id.
        channel: Box<str>,
        /// It has one, and it has lasted.
        connected: bool,
    },
    /// A ws channel's `newHeads` brought a block.
    HeadSeen {
        /// Channel, by its id.
        channel: Box<str>,
        /// Its number.
        number: u64,
    },
}

/// What a person can say about a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Manual {
    /// Open until told otherwise.
    Open,
    /// Closed until told otherwise.
    Close,
    /// As outcomes say.
    #[default]
    Auto,
}

impl Manual {
    /// As the admin API has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Close => "close",
            Self::Auto => "auto",
        }
    }
}

/// How a probe ended. What the hub hears from a ws channel when it connects is told in the same words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Channel, by its id.
    pub channel: Box<str>,
    /// How long ago it left.
    pub started: Millis,
    /// How long it took.
    pub latency: Micros,
    /// What came back.
    pub found: Found,
}

/// What a probe found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The answer to `eth_chainId`.
    ChainId(u64),
    /// The answer to `eth_blockNumber`.
    Head(u64),
    /// A block of that number could be read.
    Block(u64),
    /// A block of that number could not be read, though the channel answered.
    NoBlock(u64),
    /// Another method than those answered: the one that a billing or auth failure was about.
    Answered,
    /// Nothing useful.
    Failed(Category),
    /// It did not leave: our own way to the providers is broken, which says nothing about them.
    NotSent,
}

/// A probe to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Channel, by its id.
    pub channel: Box<str>,
    /// What to ask.
    pub ask: Ask,
}

/// What a probe asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// `eth_chainId`.
    ChainId,
    /// `eth_blockNumber`.
    Head,
    /// `eth_getBlockByNumber` of that number, without transactions.
    Block(u64),
    /// A call of that class with harmless params: one that failed for its key or its bill.
    Method(MethodClass),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Tell a worker that its report counts.
    Ack(WorkerId, u64),
    /// Tell a worker what the fleet knows. Boxed: the other actions are small.
    Send(WorkerId, Box<Table>),
    /// A stream is one too many.
    Refuse(WorkerId),
    /// Tell whoever listens.
    Tell(Notice),
    /// Make a probe, and tell how it ended.
    Probe(Order),
    /// A breaker, a mark or a decision changed: write them down now.
    Save,
}

/// Something that people and machines want to hear of.
#[derive(Debug, Clone, PartialEq)]
pub enum Notice {
    /// A breaker opened.
    BreakerOpened {
        /// Channel.
        channel: Box<str>,
        /// Why; `None` when a person did it.
        because: Option<Category>,
        /// For how long; `None` until told otherwise.
        length: Option<Millis>,
    },
    /// A breaker is half-open.
    BreakerHalfOpened {
        /// Channel.
        channel: Box<str>,
    },
    /// A breaker closed.
    BreakerClosed {
        /// Channel.
        channel: Box<str>,
        /// A person did it.
        manual: bool,
    },
    /// A channel is marked as rate-limited.
    RateLimited {
        /// Channel.
        channel: Box<str>,
        /// For how long.
        length: Millis,
    },
    /// A channel's rate-limit mark ended.
    RateLimitEnded {
        /// Channel.
        channel: Box<str>,
    },
    /// A channel's health changed.
    HealthChanged {
        /// Channel.
        channel: Box<str>,
        /// What it was.
        from: Health,
        /// What it is.
        to: Health,
    },
    /// An Envoy fails where others do not.
    SetAside {
        /// Its node id.
        node: Box<str>,
    },
    /// An Envoy that was set aside counts again.
    Returned {
        /// Its node id.
        node: Box<str>,
    },
    /// A channel will never be asked.
    Barred {
        /// Channel.
        channel: Box<str>,
        /// Why.
        because: Barred,
    },
    /// A channel that was barred may be asked again.
    Unbarred {
        /// Channel.
        channel: Box<str>,
    },
    /// A sampled request. Boxed: the other notices are small.
    Decided(Box<crate::report::Decision>),
    /// A worker had no room for something.
    Dropped {
        /// Envoy's node id.
        node: Box<str>,
        /// What.
        dropped: crate::report::Dropped,
    },
}

/// How a channel does, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Health {
    /// Nothing speaks against it.
    #[default]
    Healthy,
    /// It failed lately, not often enough to be left alone.
    Degraded,
    /// It failed as often in a row as opens its breaker, or its breaker is open.
    Unhealthy,
}

impl Health {
    /// Name in logs, metrics and views.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        }
    }
}
