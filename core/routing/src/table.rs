//! What the control plane tells a worker: what the fleet knows.
//!
//! Duty: the shape of a routing table, free of any wire.
//! Invariant: times are ages and lengths left, never instants. A full table replaces what was known; a delta has what changed since the
//! version before.
//! Leaves to others: making it (`fleet`), following it ([`crate::ledger`]), the wire (`lasso-proto`).

use lasso_jsonrpc::method::MethodClass;

use crate::report::{Lesson, SeenHead};
use crate::time::{Micros, Millis};

/// A routing table for one worker.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Table {
    /// Counts the tables of one stream from 1.
    pub version: u64,
    /// Everything; else what changed since the version before.
    pub full: bool,
    /// The last report of this worker that it includes.
    pub covers: u64,
    /// This worker's Envoy fails where others do not: its reports open nothing, and it is to go by its own breakers.
    pub set_aside: bool,
    /// The part of each provider's own rate limit that is this worker's, 0 to 1; 0 while it has asked nothing.
    pub share: f32,
    /// Evidence.
    pub cells: Vec<Cell>,
    /// Breakers and marks.
    pub channels: Vec<ChannelView>,
    /// Heads.
    pub heads: Vec<SeenHead>,
    /// Time between blocks by chain id, where it was measured.
    pub block_times: Vec<(u64, Millis)>,
    /// Learned limits.
    pub lessons: Vec<Lesson>,
    /// What this worker, and no other, may do.
    pub leases: Vec<Lease>,
}

/// Evidence of one class on one channel of one chain in a profile.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// Profile.
    pub profile: Box<str>,
    /// Chain, by its id in the profile.
    pub chain: Box<str>,
    /// Channel, by its id.
    pub channel: Box<str>,
    /// Class.
    pub class: MethodClass,
    /// What is known.
    pub summary: Summary,
}

/// Evidence in a few numbers ([`crate::evidence::Evidence::summary`]).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Summary {
    /// Mean latency of successes, microseconds; 0 before the first.
    pub mean: f32,
    /// Weight of the latency, in attempts, `age` ago.
    pub weight: f32,
    /// Successes, faded, `age` ago.
    pub successes: f32,
    /// Blamed failures, faded, `age` ago.
    pub failures: f32,
    /// Blamed failures in a row.
    pub failures_in_a_row: u8,
    /// 95th percentile, when enough is known.
    pub p95: Option<Micros>,
    /// 99th percentile, when enough is known.
    pub p99: Option<Micros>,
    /// How long ago it changed.
    pub age: Millis,
}

/// One channel's breaker and mark.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelView {
    /// Channel, by its id.
    pub channel: Box<str>,
    /// The fleet's breaker.
    pub breaker: BreakerView,
    /// Counts its openings: a trial's outcome belongs to one of them.
    pub opening: u32,
    /// How long the rate-limit mark lasts.
    pub limited: Option<Millis>,
    /// Never to be asked, whatever its breaker says.
    pub barred: Option<Barred>,
    /// Over WebSocket: it has a live socket, and can be asked.
    pub connected: bool,
}

/// Where the fleet's breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BreakerView {
    /// Traffic flows.
    #[default]
    Closed,
    /// No traffic.
    Open {
        /// How long it stays so. `None`: until a person says otherwise.
        left: Option<Millis>,
    },
    /// Trials only, by lease.
    HalfOpen,
}

/// Why a channel never serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Barred {
    /// It serves another chain than the one configured.
    WrongChain,
}

impl Barred {
    /// As it stands in logs, views and reasons.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::WrongChain => "wrong_chain",
        }
    }
}

/// Something that one worker may do once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// What.
    pub right: Right,
    /// How long it holds.
    pub left: Millis,
}

/// What a lease allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Right {
    /// One trial of a half-open breaker.
    Trial {
        /// Channel, by its id.
        channel: Box<str>,
        /// Of which opening.
        opening: u32,
    },
    /// One replay-safe, cheap call to a channel that nobody asked for a while.
    Explore {
        /// Profile.
        profile: Box<str>,
        /// Chain.
        chain: Box<str>,
        /// Channel.
        channel: Box<str>,
        /// Class.
        class: MethodClass,
    },
}
