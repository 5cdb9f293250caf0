//! What the answers look like.
//!
//! Duty: from a [`View`] to rows for people and pages; the types here are the schemas of the OpenAPI document.
//! Invariant: a field's name carries its unit; a number that is not known is `null`, never zero.
//! Leaves to others: which rows are asked for (`scope`).

use lasso_routing::fleet::view::{Availability, ChainView, ChannelStatus, StandingRow, View};
use lasso_routing::report::{Ending, Selection, Stage};
use lasso_routing::table::BreakerView;
use lasso_routing::time::{Micros, Millis};
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A chain of a profile, and its channels.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Chain {
    profile: String,
    chain: String,
    /// EIP-155 id.
    chain_id: u64,
    strategy: &'static str,
    /// The highest believed head, extrapolated to now.
    best_head: Option<u64>,
    block_time_ms: u64,
    /// Else it is the configured or the usual one.
    block_time_measured: bool,
    /// A channel that lags by more gets no reads of `latest`.
    max_lag_blocks: u64,
    /// Channels that can serve now.
    usable: usize,
    /// Requests of clients since the start: `started`, and `answered`, `failed`, `refused` or `cancelled`.
    requests: BTreeMap<&'static str, u64>,
    /// How channels were chosen since the start: `selected` or `fail_fast`, and what else a selection was.
    selections: BTreeMap<&'static str, u64>,
    channels: Vec<Channel>,
}

/// A channel as a chain of a profile has it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Channel {
    /// The provider's id in this profile.
    provider: String,
    #[serde(flatten)]
    breaker: Breaker,
    #[serde(flatten)]
    head: Head,
    in_flight: u64,
    /// Attempts since the start, by how they ended; those that never happened are left out.
    attempts: BTreeMap<&'static str, u64>,
    /// Learned limits.
    limits: Vec<String>,
}

/// Whether a channel gets traffic.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Breaker {
    channel: String,
    /// `http` or `ws`.
    transport: &'static str,
    /// `healthy`, `degraded` or `unhealthy`.
    health: &'static str,
    /// `up`, `limited` or `down`.
    availability: &'static str,
    /// `closed`, `open` or `half_open`.
    breaker: &'static str,
    /// How long an open breaker stays so at least; `null` when it is not open, open until a person closes it, or until what it waits for.
    open_for_ms: Option<u64>,
    /// `probe`: its time is over, and it is open until a probe succeeds.
    waits_for: Option<&'static str>,
    /// Since the start.
    openings: u32,
    /// What a person said: `open`, `close` or `auto`.
    manual: &'static str,
    /// How long its rate-limit mark lasts.
    rate_limited_for_ms: Option<u64>,
    /// Why it never serves.
    barred: Option<&'static str>,
    /// Over WebSocket: whether it has a live socket, without which it is not asked. `null` over HTTP.
    connected: Option<bool>,
}

/// What a channel has shown of the chain.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Head {
    /// Its newest block, extrapolated to now.
    head: Option<u64>,
    /// How long ago it last showed one.
    head_age_ms: Option<u64>,
    /// Blocks behind the best believed head; negative: ahead of it.
    lag_blocks: Option<i64>,
    /// It leads alone and has not proved its head.
    unproved: bool,
}

/// A row of a leaderboard.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Standing {
    /// From 1, by score.
    rank: u32,
    provider: String,
    channel: String,
    transport: &'static str,
    /// `success x 1000/(1000 + mean_ms) x log10(max(calls, 10))`.
    score: f64,
    /// Share of successes lately, 0 to 1.
    success: f64,
    mean_ms: Option<f64>,
    p50_ms: Option<f64>,
    p95_ms: Option<f64>,
    p99_ms: Option<f64>,
    /// What an answer costs, failures included.
    expected_ms: f64,
    /// What `fastest` ranks by.
    index_ms: f64,
    /// Attempts since the start.
    calls: u64,
    /// Its part of the method's attempts lately, 0 to 1.
    share: f64,
    /// Weight of what is known, in attempts.
    weight: f64,
    /// Whether `fastest` believes it.
    qualified: bool,
    /// Why not: `old`, `too_few_calls`, `too_few_successes` or `failing_now`.
    unqualified_because: Option<&'static str>,
    /// How long ago it last changed.
    age_ms: u64,
}

impl Chain {
    /// With those of its channels that pass.
    pub(crate) fn of(view: &View, chain: &ChainView, passes: impl Fn(&ChannelStatus) -> bool) -> Self {
        let members: Vec<_> = members(view, chain).filter(|(status, _)| passes(status)).collect();
        Self {
            profile: chain.profile.to_string(),
            chain: chain.chain.to_string(),
            chain_id: chain.chain_id,
            strategy: chain.strategy,
            best_head: chain.best_head,
            block_time_ms: chain.block_time.0,
            block_time_measured: chain.block_time_measured,
            max_lag_blocks: chain.max_lag,
            usable: members.iter().filter(|(status, _)| is_usable(status)).count(),
            requests: Stage::ALL.iter().map(|stage| (stage.name(), chain.request_count(*stage))).collect(),
            selections: Selection::ALL.iter().map(|it| it.name()).zip(chain.selections).collect(),
            channels: members.into_iter().map(|(status, provider)| Channel::of(status, provider)).collect(),
        }
    }
}

impl Channel {
    pub(crate) fn of(status: &ChannelStatus, provider: &str) -> Self {
        let attempts = Ending::ALL.iter().zip(status.endings).filter(|(_, count)| *count > 0);
        Self {
            provider: provider.to_owned(),
            breaker: Breaker::of(status),
            head: Head::of(status),
            in_flight: status.in_flight,
            attempts: attempts.map(|(ending, count)| (ending.name(), count)).collect(),
            limits: status.limits.clone(),
        }
    }
}

impl Breaker {
    pub(crate) fn of(status: &ChannelStatus) -> Self {
        let (breaker, left) = match status.breaker {
            BreakerView::Closed => ("closed", None),
            BreakerView::Open { left } => ("open", left),
            BreakerView::HalfOpen => ("half_open", None),
        };
        Self {
            channel: status.channel.to_string(),
            transport: status.transport.name(),
            health: status.health.name(),
            availability: status.availability.name(),
            breaker,
            open_for_ms: millis(left.filter(|_| !status.waits_for_probe)),
            waits_for: status.waits_for_probe.then_some("probe"),
            openings: status.openings,
            manual: status.manual.name(),
            rate_limited_for_ms: millis(status.limited),
            barred: status.barred.map(|barred| barred.name()),
            connected: status.connected,
        }
    }
}

impl Head {
    pub(crate) fn of(status: &ChannelStatus) -> Self {
        Self {
            head: status.head,
            head_age_ms: millis(status.head_age),
            lag_blocks: status.lag,
            unproved: status.unproved,
        }
    }
}

impl Standing {
    pub(crate) fn of(row: &StandingRow, status: &ChannelStatus) -> Self {
        Self {
            rank: row.rank,
            provider: row.provider.to_string(),
            channel: status.channel.to_string(),
            transport: status.transport.name(),
            score: rounded(row.score),
            success: rounded(row.success),
            mean_ms: row.mean.map(|mean| rounded(mean / 1_000.0)),
            p50_ms: in_millis(row.p50),
            p95_ms: in_millis(row.p95),
            p99_ms: in_millis(row.p99),
            expected_ms: rounded(row.expected / 1_000.0),
            index_ms: rounded(row.index / 1_000.0),
            calls: row.endings.iter().sum(),
            share: rounded(row.share),
            weight: rounded(row.weight),
            qualified: row.unqualified.is_none(),
            unqualified_because: row.unqualified.map(|because| because.name()),
            age_ms: row.age.0,
        }
    }
}

/// The channels of a chain, with their providers' ids.
pub(crate) fn members<'a>(view: &'a View, chain: &'a ChainView) -> impl Iterator<Item = (&'a ChannelStatus, &'a str)> {
    chain.members.iter().filter_map(|(channel, provider)| Some((view.channels.get(*channel)?, &**provider)))
}

/// Whether a channel can serve, if only when others cannot.
pub(crate) fn is_usable(status: &ChannelStatus) -> bool {
    match status.availability {
        Availability::Up | Availability::Limited => true,
        Availability::Down => false,
    }
}

pub(crate) fn millis(length: Option<Millis>) -> Option<u64> {
    length.map(|length| length.0)
}

fn in_millis(length: Option<Micros>) -> Option<f64> {
    length.map(|length| length.0 as f64 / 1_000.0)
}

/// Three decimals: the rest of an `f32` is noise. What is no number (0/0) is 0.
fn rounded(value: f32) -> f64 {
    if value.is_finite() { (f64::from(value) * 1_000.0).round() / 1_000.0 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(left: Option<u64>, waits_for_probe: bool, open_for_ms: Option<u64>, waits_for: Option<&str>) {
        let mut status = crate::testing::fleet::view().channels.remove(0);
        (status.breaker, status.waits_for_probe) = (BreakerView::Open { left: left.map(Millis) }, waits_for_probe);
        let row = Breaker::of(&status);
        assert_eq!((row.open_for_ms, row.waits_for), (open_for_ms, waits_for));
    }

    #[test]
    fn an_opening_lasts_so_long_or_until_what_it_waits_for() {
        check(Some(1_500), false, Some(1_500), None);
        check(Some(0), true, None, Some("probe"));
        check(None, false, None, None);
    }
}
