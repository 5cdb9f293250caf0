//! What a worker tells the control plane: what it saw, added up.
//!
//! Duty: the shape of a report, free of any wire. A report's size follows from how many (channel, class) pairs had traffic, not from how much.
//! Invariant: every attempt that was settled is in exactly one report, in exactly one [`Ending`]. Times are ages and lengths, never
//! instants: clocks differ.
//! Leaves to others: adding up ([`crate::ledger`]), merging (`fleet`), the wire (`lasso-proto`).

mod chain;

pub use chain::{ChainCounts, ChainTally, Selection, Stage};
use lasso_jsonrpc::block::Tag;
use lasso_jsonrpc::method::MethodClass;

use crate::breaker::Category;
use crate::outcome::{Blame, Row, Verdict, Weighs};
use crate::time::{Micros, Millis};

/// Most tallies in one report. What goes beyond is counted under the class `other`, without latencies.
pub const MOST_TALLIES: usize = 4_096;
/// Most sampled decisions in one report; errors come first.
pub const MOST_DECISIONS: usize = 64;
/// Most lessons in one report; more wait for the next.
pub const MOST_LESSONS: usize = 256;

/// What one worker saw since its last report.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Report {
    /// Counts the reports of one worker from 1. A report that is sent again has its number again.
    pub seq: u64,
    /// Attempts by (profile, chain, channel, class).
    pub tallies: Vec<Tally>,
    /// The same attempts by channel, as breakers and marks need them.
    pub channels: Vec<ChannelTally>,
    /// Requests and selections by (profile, chain), where there were some.
    pub chains: Vec<ChainTally>,
    /// Newest blocks that channels have shown.
    pub heads: Vec<SeenHead>,
    /// What channels turned out not to do.
    pub lessons: Vec<Lesson>,
    /// Some of the requests, errors first.
    pub decisions: Vec<Decision>,
    /// What there was no room for.
    pub dropped: Dropped,
}

/// How an attempt ended, as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// It brought what was asked for.
    Success,
    /// It brought an answer that says nothing about the channel: a revert, a client's mistake, something that it does not serve.
    Neutral,
    /// It was refused for its rate.
    RateLimited,
    /// It was given up: the client left, or nobody else answered either.
    Abandoned,
    /// Blamed: not reached, or cut off.
    Network,
    /// Blamed: silent.
    Timeout,
    /// Blamed: answered wrongly.
    Server,
    /// Blamed: refused us.
    Auth,
    /// Blamed: wants to be paid.
    Billing,
}

impl Ending {
    /// How many there are.
    pub const COUNT: usize = 9;

    /// All of them, each at its own index.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Success,
        Self::Neutral,
        Self::RateLimited,
        Self::Abandoned,
        Self::Network,
        Self::Timeout,
        Self::Server,
        Self::Auth,
        Self::Billing,
    ];

    /// Name in metrics, logs and on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Neutral => "neutral",
            Self::RateLimited => "rate_limited",
            Self::Abandoned => "abandoned",
            Self::Network => "network",
            Self::Timeout => "timeout",
            Self::Server => "server",
            Self::Auth => "auth",
            Self::Billing => "billing",
        }
    }

    /// Whether the channel is to blame.
    #[must_use]
    pub const fn is_blamed(self) -> bool {
        match self {
            Self::Network | Self::Timeout | Self::Server | Self::Auth | Self::Billing => true,
            Self::Success | Self::Neutral | Self::RateLimited | Self::Abandoned => false,
        }
    }
}

impl From<Category> for Ending {
    fn from(category: Category) -> Self {
        match category {
            Category::Network => Self::Network,
            Category::Timeout => Self::Timeout,
            Category::Server => Self::Server,
            Category::Auth => Self::Auth,
            Category::Billing => Self::Billing,
        }
    }
}

impl From<&Verdict> for Ending {
    fn from(verdict: &Verdict) -> Self {
        match verdict.blame {
            Blame::Counts(category) | Blame::Opens(category, _) => category.into(),
            Blame::None if verdict.row == Row::RateLimit => Self::RateLimited,
            Blame::None if verdict.row == Row::TimedOut => Self::Abandoned,
            Blame::None if verdict.weighs() == Weighs::Success => Self::Success,
            Blame::None => Self::Neutral,
            Blame::Ignored => Self::Abandoned,
        }
    }
}

/// Attempts of one class on one channel of one chain in a profile.
#[derive(Debug, Clone, PartialEq)]
pub struct Tally {
    /// Profile.
    pub profile: Box<str>,
    /// Chain, by its id in the profile.
    pub chain: Box<str>,
    /// Channel, by its id.
    pub channel: Box<str>,
    /// Class.
    pub class: MethodClass,
    /// Sums.
    pub sums: Sums,
}

/// Attempts, added up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sums {
    /// How many ended how, by the index in [`Ending::ALL`].
    pub endings: [u32; Ending::COUNT],
    /// Blamed failures since the last success.
    pub trailing_failures: u32,
    /// Sum of the latencies of successes.
    pub latency: Micros,
    /// The fastest success; zero without one.
    pub fastest: Micros,
    /// The slowest success.
    pub slowest: Micros,
    /// Latencies of successes and the lengths of timeouts, as (bucket, count) in ascending order of the buckets of
    /// [`crate::evidence::bucket_of`].
    pub latencies: Vec<(u8, u32)>,
}

impl Sums {
    /// Attempts that ended so.
    #[must_use]
    pub fn ended(&self, ending: Ending) -> u32 {
        self.endings.get(ending as usize).copied().unwrap_or(0)
    }

    /// All attempts.
    #[must_use]
    pub fn attempts(&self) -> u64 {
        self.endings.iter().map(|&count| u64::from(count)).sum()
    }

    /// Attempts that the channel is to blame for.
    #[must_use]
    pub fn failures(&self) -> u64 {
        Ending::ALL.iter().filter(|ending| ending.is_blamed()).map(|&ending| u64::from(self.ended(ending))).sum()
    }
}

/// Attempts on one channel, whoever asked for what.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ChannelTally {
    /// Channel, by its id.
    pub channel: Box<str>,
    /// Attempts that a breaker counts: successes and failures, not what it ignores.
    pub attempts: u32,
    /// Those of them that are held against the channel.
    pub failures: u32,
    /// The failures since the last success. While `unbroken`, these continue what the last report said.
    pub run: RunTally,
    /// There was no success: the run goes on.
    pub unbroken: bool,
    /// What the trials of a half-open breaker brought.
    pub trials: Trials,
    /// Attempts on an open channel, because there was no other, that succeeded.
    pub last_resort_successes: u32,
    /// Attempts that have not ended.
    pub in_flight: u32,
    /// How often it was refused for its rate.
    pub refusals: u32,
    /// How long the refusals said to wait, at most.
    pub told_to_wait: Option<Millis>,
    /// How long ago the last success became known, if there was one. Absent in what older filters say.
    pub succeeded: Option<Millis>,
}

/// Failures in a row. Those that were under way when the first one became known count with it as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RunTally {
    /// Not reached or silent.
    pub silent: u32,
    /// Answered wrongly.
    pub server: u32,
    /// Refused us.
    pub auth: u32,
    /// Classes of methods that were refused, as far as two.
    pub auth_classes: [Option<MethodClass>; 2],
    /// It wants to be paid.
    pub billing: bool,
    /// The category of the last failure.
    pub last: Option<Category>,
    /// How long ago it began: when the first one became known, or when the silence began.
    pub age: Millis,
}

/// What trials brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Trials {
    /// Of which opening ([`crate::table::ChannelView::opening`]).
    pub opening: u32,
    /// Successes.
    pub successes: u32,
    /// A failure, if there was one.
    pub failure: Option<Category>,
}

/// The newest block that a channel has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shown {
    /// Its number.
    pub number: u64,
    /// The highest number that it has shown as a block that can be read; 0 for none.
    pub proved: u64,
    /// How long ago this number was first seen.
    pub first: Millis,
    /// How long ago it last answered.
    pub last: Millis,
}

/// A head, and whose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenHead {
    /// Channel, by its id.
    pub channel: Box<str>,
    /// What it showed.
    pub shown: Shown,
}

/// What a channel turned out not to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lesson {
    /// Channel, by its id; its siblings do not either.
    pub channel: Box<str>,
    /// What.
    pub limit: Limit,
    /// How long that is still to be remembered.
    pub left: Millis,
}

/// One learned limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Limit {
    /// At most so many blocks at once.
    Range(u64),
    /// No state more than so many blocks behind the head.
    StateAge(u64),
    /// Nothing more than so many blocks behind the head.
    Age(u64),
    /// Not this method of the table.
    Class(MethodClass),
    /// Not this method outside of the table.
    Name(Box<str>),
    /// Not this block tag.
    Tag(Tag),
}

/// One request as it was routed.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The request's id, as in its meta.
    pub request_id: u64,
    /// Profile.
    pub profile: Box<str>,
    /// Chain.
    pub chain: Box<str>,
    /// Class of the method.
    pub class: MethodClass,
    /// The strategy's name.
    pub strategy: Box<str>,
    /// Why the first candidate was the first.
    pub reason: Box<str>,
    /// How many candidates there were.
    pub candidates: u32,
    /// Attempts: channel, how it ended (a row's name), how long it took.
    pub attempts: Vec<(Box<str>, Box<str>, Micros)>,
    /// The client got an answer of a provider.
    pub answered: bool,
    /// How long screening and planning took.
    pub selection: Micros,
    /// From the request's parsing to its end.
    pub total: Micros,
}

/// What there was no room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dropped {
    /// Attempts counted under `other`, without latencies.
    pub coarsened: u64,
    /// Decisions that were not sampled.
    pub decisions: u64,
    /// Lessons that were forgotten.
    pub lessons: u64,
    /// Attempts that are counted nowhere: when they ended, nobody knew their channel any more, or too many channels had gone.
    pub lost: u64,
}
