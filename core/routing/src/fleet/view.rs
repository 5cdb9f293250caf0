//! All that a fleet shows, at one instant: for the API, metrics, history and pages.
//!
//! Invariant: plain data without secrets; nothing in it can be routed with.

use lasso_jsonrpc::method::MethodClass;

use super::event::{Health, Manual};
use crate::catalog::Transport;
use crate::report::{Dropped, Ending, Selection, Stage};
use crate::table::{Barred, BreakerView};
use crate::time::{Micros, Millis};

/// The fleet at one instant.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct View {
    /// Of the catalog in force.
    pub generation: Box<str>,
    /// Chains, in the order of the catalog.
    pub chains: Vec<ChainView>,
    /// Channels, in the order of the catalog.
    pub channels: Vec<ChannelStatus>,
    /// Evidence, in the order of chains, classes and channels; only where there is some.
    pub standings: Vec<StandingRow>,
    /// Envoys that report.
    pub nodes: Vec<NodeStatus>,
    /// Since the start.
    pub totals: Totals,
}

/// A chain of a profile.
#[derive(Debug, Clone, PartialEq)]
pub struct ChainView {
    /// Profile.
    pub profile: Box<str>,
    /// Chain, by its id in the profile.
    pub chain: Box<str>,
    /// EIP-155 id.
    pub chain_id: u64,
    /// The default strategy's name.
    pub strategy: &'static str,
    /// The highest believed head, extrapolated to now.
    pub best_head: Option<u64>,
    /// Time between blocks.
    pub block_time: Millis,
    /// Whether the block time was measured.
    pub block_time_measured: bool,
    /// Out when it lags by more.
    pub max_lag: u64,
    /// Selections since the start, by the index in [`Selection::ALL`].
    pub selections: [u64; Selection::COUNT],
    /// Requests since the start, by the index in [`Stage::ALL`].
    pub requests: [u64; Stage::COUNT],
    /// Its channels: index into [`View::channels`], and the provider's id in this profile.
    pub members: Vec<(usize, Box<str>)>,
}

impl ChainView {
    /// Requests that came so far.
    #[must_use]
    pub fn request_count(&self, stage: Stage) -> u64 {
        self.requests.get(stage as usize).copied().unwrap_or(0)
    }
}

/// A channel.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelStatus {
    /// Its id.
    pub channel: Box<str>,
    /// Transport.
    pub transport: Transport,
    /// The fleet's breaker.
    pub breaker: BreakerView,
    /// It is open although its time is over, until a probe succeeds.
    pub waits_for_probe: bool,
    /// How often it opened since the start.
    pub openings: u32,
    /// What a person said about it.
    pub manual: Manual,
    /// How long its rate-limit mark lasts.
    pub limited: Option<Millis>,
    /// Why it never serves.
    pub barred: Option<Barred>,
    /// Whether it has a live socket; `None` over HTTP.
    pub connected: Option<bool>,
    /// How it does.
    pub health: Health,
    /// Whether it can serve: up, limited or down.
    pub availability: Availability,
    /// Its own head, extrapolated to now, if it was heard of lately.
    pub head: Option<u64>,
    /// How long ago it last showed a head.
    pub head_age: Option<Millis>,
    /// It leads alone and has not proved its head.
    pub unproved: bool,
    /// Blocks behind the best believed head; negative: ahead of it.
    pub lag: Option<i64>,
    /// Attempts that have not ended, over the fleet.
    pub in_flight: u64,
    /// Attempts by how they ended since the start, by the index in [`Ending::ALL`].
    pub endings: [u64; Ending::COUNT],
    /// Learned limits, as text for people.
    pub limits: Vec<String>,
}

/// Whether a channel can serve now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Availability {
    /// Yes.
    #[default]
    Up,
    /// Yes, but only when others cannot: rate-limited, half-open or behind.
    Limited,
    /// No.
    Down,
}

impl Availability {
    /// Name in metrics and views.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Limited => "limited",
            Self::Down => "down",
        }
    }
}

/// One row of a leaderboard, before it is ranked.
#[derive(Debug, Clone, PartialEq)]
pub struct StandingRow {
    /// Index into [`View::chains`].
    pub chain: usize,
    /// Index into [`View::channels`].
    pub channel: usize,
    /// The provider's id.
    pub provider: Box<str>,
    /// Class.
    pub class: MethodClass,
    /// Weight of the evidence, in attempts.
    pub weight: f32,
    /// Share of successes among what counts, as observed (0 to 1), faded.
    pub success: f32,
    /// Mean latency of successes, microseconds; `None` before the first.
    pub mean: Option<f32>,
    /// What an answer costs, failures included, microseconds.
    pub expected: f32,
    /// What `fastest` ranks by, microseconds.
    pub index: f32,
    /// Percentiles of latency, when enough is known.
    pub p50: Option<Micros>,
    /// 95th percentile.
    pub p95: Option<Micros>,
    /// 99th percentile.
    pub p99: Option<Micros>,
    /// Why it is not believed; `None` when it qualifies.
    pub unqualified: Option<Unqualified>,
    /// Attempts by how they ended since the start, by the index in [`Ending::ALL`].
    pub endings: [u64; Ending::COUNT],
    /// Its part of the class's attempts lately, 0 to 1.
    pub share: f32,
    /// Rank among the chain's channels in this class, by score, from 1.
    pub rank: u32,
    /// `success x 1000/(1000 + mean_ms) x log10(max(calls, 10))`.
    pub score: f32,
    /// How long ago it last changed.
    pub age: Millis,
    /// Sum of latencies of successes since the start.
    pub latency_total: Micros,
    /// Latencies of successes and lengths of timeouts since the start, as (bucket, count), ascending.
    pub latencies: Vec<(u8, u64)>,
}

/// Why evidence is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unqualified {
    /// Older than five minutes.
    Old,
    /// Too few attempts.
    Thin,
    /// Too few successes.
    Failing,
    /// Failures in a row.
    FailingNow,
}

impl Unqualified {
    /// Name in views.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Old => "old",
            Self::Thin => "too_few_calls",
            Self::Failing => "too_few_successes",
            Self::FailingNow => "failing_now",
        }
    }
}

/// An Envoy that reports.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeStatus {
    /// Its node id.
    pub node: Box<str>,
    /// Region.
    pub region: Box<str>,
    /// Streams open, one a worker and one of the main thread.
    pub streams: u32,
    /// Workers that asked a provider in the last 10 s.
    pub active: u32,
    /// Its generations: what each worker routes by, newest last.
    pub generations: Vec<Box<str>>,
    /// Versions of its filters.
    pub versions: Vec<Box<str>>,
    /// Its failures are its own.
    pub set_aside: bool,
    /// Attempts reported since the start.
    pub attempts: u64,
    /// Reports since the start.
    pub reports: u64,
    /// How long ago the last report came.
    pub last_report: Option<Millis>,
    /// What there was no room for.
    pub dropped: Dropped,
}

/// Sums since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Reports that counted.
    pub reports: u64,
    /// Reports that had counted before.
    pub repeated: u64,
    /// Attempts.
    pub attempts: u64,
    /// Tables sent.
    pub tables: u64,
    /// Cells in those tables.
    pub cells: u64,
    /// Trials leased.
    pub trials: u64,
    /// Explorations leased.
    pub explorations: u64,
    /// Streams refused.
    pub refused: u64,
    /// Parts of reports about channels or chains that the catalog does not have.
    pub unknown: u64,
}
