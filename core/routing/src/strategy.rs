//! In which order to ask: the strategies and their registry.
//!
//! Duty: put the candidates of one call ([`Row`]s) in order. Each strategy is one module with one function over rows.
//! Invariant: ranking permutes: no candidate is lost or doubled; the same rows and seed give the same order.
//! To add one: a module here, a variant and a row in [`Strategy::ALL`], a table of tests.
//! Leaves to others: who is a candidate ([`crate::candidate`]), tiers and trials ([`crate::plan`](mod@crate::plan)), the figures ([`crate::ledger`]).

mod cheapest;
mod fastest;
mod latency_weighted;
mod load_balanced;
mod priority;
mod round_robin;

use crate::catalog::{ChannelIdx, Transport};
use crate::chance::Chance;

/// A policy for the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strategy {
    /// Smallest expected cost of an answer, spread over the near-best.
    Fastest,
    /// A race weighted by expected cost.
    LatencyWeighted,
    /// Uniform shuffle.
    LoadBalanced,
    /// Rotation.
    RoundRobin,
    /// Ascending `priority`.
    Priority,
    /// Ascending price, ties by fastest.
    Cheapest,
}

impl Strategy {
    /// Every strategy.
    pub const ALL: [Self; 6] =
        [Self::Fastest, Self::LatencyWeighted, Self::LoadBalanced, Self::RoundRobin, Self::Priority, Self::Cheapest];

    /// As clients and configurations write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fastest => "fastest",
            Self::LatencyWeighted => "latency-weighted",
            Self::LoadBalanced => "load-balanced",
            Self::RoundRobin => "round-robin",
            Self::Priority => "priority",
            Self::Cheapest => "cheapest",
        }
    }

    /// The strategy of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|strategy| strategy.name() == name)
    }

    /// Whether it learns from what it asks: only then is asking a quiet channel worth a call. `cheapest` does not explore: that would
    /// spend the user's money.
    pub(crate) const fn explores(self) -> bool {
        match self {
            Self::Fastest | Self::LatencyWeighted => true,
            Self::LoadBalanced | Self::RoundRobin | Self::Priority | Self::Cheapest => false,
        }
    }

    /// Whether it looks at evidence, so that the others need not pay for figures.
    pub(crate) const fn weighs_evidence(self) -> bool {
        match self {
            Self::Fastest | Self::LatencyWeighted | Self::Cheapest => true,
            Self::LoadBalanced | Self::RoundRobin | Self::Priority => false,
        }
    }

    pub(crate) fn rank(self, rows: &mut [Row], circumstances: &mut Circumstances) {
        match self {
            Self::Fastest => fastest::rank(rows, circumstances),
            Self::LatencyWeighted => latency_weighted::rank(rows, circumstances),
            Self::LoadBalanced => load_balanced::rank(rows, circumstances),
            Self::RoundRobin => round_robin::rank(rows, circumstances),
            Self::Priority => priority::rank(rows),
            Self::Cheapest => cheapest::rank(rows, circumstances),
        }
    }
}

/// What a strategy may know besides the rows.
#[derive(Debug)]
pub(crate) struct Circumstances {
    /// Chance, seeded by the caller.
    pub(crate) chance: Chance,
    /// How many calls of this chain this worker has ranked by rotation.
    pub(crate) turn: u64,
    /// The answer depends on the newest block.
    pub(crate) reads_head: bool,
}

/// How willing a channel's breaker and marks are: a stable sort key over every strategy's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tier {
    Closed,
    RateLimited,
    HalfOpen,
    /// Not admitted: no strategy ranks it.
    LastResort,
}

/// One candidate with all the figures that a strategy may weigh.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    // Kept to one cache line: sorting moves whole rows.
    pub(crate) channel: ChannelIdx,
    /// Where it stands in the chain's list of channels.
    pub(crate) place: u16,
    pub(crate) provider: u16,
    pub(crate) transport: Transport,
    pub(crate) tier: Tier,
    /// When its rate-limit mark ends, in milliseconds; 0 without one.
    pub(crate) limited_until: u64,
    pub(crate) priority: u32,
    /// Price for this method; infinite when unknown.
    pub(crate) cost: f32,
    /// Expected cost of an answer in microseconds, failures included.
    pub(crate) expected: f32,
    /// `expected`, seen with optimism.
    pub(crate) index: f32,
    /// Weight of the evidence about its latency.
    pub(crate) weight: f32,
    /// Its evidence speaks against it: too few successes, or a run of failures.
    pub(crate) failing: bool,
    /// One of its calls of this class in this worker has no answer yet.
    pub(crate) asking: bool,
    /// Its calls in this worker that have no answer yet, whatever they ask.
    pub(crate) in_flight: u32,
    /// Extrapolated head; 0 when unknown.
    pub(crate) head: u64,
    /// Least-bad order among candidates kept by fail-open: lower first.
    pub(crate) badness: u64,
}

const _: () = assert!(size_of::<Row>() <= 64);

/// Uniform shuffle (Fisher-Yates).
fn shuffle(rows: &mut [Row], chance: &mut Chance) {
    for end in (1..rows.len()).rev() {
        rows.swap(end, chance.below(end + 1));
    }
}

#[cfg(test)]
mod tests;
