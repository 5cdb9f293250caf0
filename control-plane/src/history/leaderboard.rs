//! The leaderboard at one instant.
//!
//! Duty: take it out of a view. Invariant: one place for each series with evidence; figures as the view has them.
//! Leaves to others: scores and ranks (`lasso_routing::fleet`), writing them down (`disk`).

use std::sync::Arc;

use lasso_routing::fleet::view::{StandingRow, View};

use super::cell::Series;

/// The leaderboards of one hour.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Hour {
    /// Hours since 1970.
    pub(crate) at: u64,
    pub(crate) places: Vec<(Arc<Series>, Place)>,
}

/// One row.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Place {
    pub(crate) rank: u32,
    pub(crate) score: f32,
    /// 0 to 1.
    pub(crate) success: f32,
    /// Of the class's attempts, 0 to 1.
    pub(crate) share: f32,
    /// Attempts since the control plane started.
    pub(crate) calls: u64,
    /// Microseconds.
    pub(crate) mean: Option<u32>,
    pub(crate) p50: Option<u32>,
    pub(crate) p95: Option<u32>,
    pub(crate) p99: Option<u32>,
}

impl Hour {
    pub(crate) fn of(view: &View, at: u64) -> Self {
        let place = |row: &StandingRow| {
            let micros = |value: lasso_routing::time::Micros| u32::try_from(value.0).unwrap_or(u32::MAX);
            Place {
                rank: row.rank,
                score: row.score,
                success: row.success,
                share: row.share,
                calls: row.endings.iter().sum(),
                mean: row.mean.map(|mean| mean as u32),
                p50: row.p50.map(micros),
                p95: row.p95.map(micros),
                p99: row.p99.map(micros),
            }
        };
        let places =
            view.standings.iter().filter_map(|row| Some((Arc::new(Series::of(view, row)?), place(row)))).collect();
        Self { at, places }
    }
}

impl Series {
    /// Whose figures a row of a view has.
    pub(crate) fn of(view: &View, row: &StandingRow) -> Option<Self> {
        let (chain, channel) = (view.chains.get(row.chain)?, view.channels.get(row.channel)?);
        Some(Self {
            profile: chain.profile.clone(),
            chain: chain.chain.clone(),
            channel: channel.channel.clone(),
            provider: row.provider.clone(),
            class: row.class,
        })
    }
}
