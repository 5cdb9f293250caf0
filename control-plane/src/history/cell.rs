//! One minute of one class on one channel.
//!
//! Duty: the sums that a page draws, and how two of them become one.
//! Invariant: counts and latencies add up exactly. A percentile of merged cells is the mean of theirs, weighted by successes: the real one cannot be known
//! from what is kept.
//! Leaves to others: keeping them (`detail`, `disk`).

use std::sync::Arc;

use lasso_jsonrpc::method::MethodClass;

/// Whose figures.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Series {
    pub(crate) profile: Box<str>,
    pub(crate) chain: Box<str>,
    pub(crate) channel: Box<str>,
    pub(crate) provider: Box<str>,
    pub(crate) class: MethodClass,
}

/// Attempts, added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Cell {
    /// All that ended.
    pub(crate) calls: u32,
    pub(crate) successes: u32,
    /// Those that the channel is to blame for.
    pub(crate) failures: u32,
    /// Sum of the latencies of successes, microseconds.
    pub(crate) latency: u64,
    /// Percentiles in microseconds; 0 when nothing was measured.
    pub(crate) p50: u32,
    pub(crate) p95: u32,
    pub(crate) p99: u32,
}

/// What happened in one minute.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Minute {
    /// Minutes since 1970.
    pub(crate) at: u64,
    pub(crate) cells: Vec<(Arc<Series>, Cell)>,
}

impl Cell {
    /// Both together.
    pub(crate) fn with(self, other: Self) -> Self {
        let percentile = |of: fn(&Self) -> u32| mean((of(&self), self.weight()), (of(&other), other.weight()));
        Self {
            calls: self.calls.saturating_add(other.calls),
            successes: self.successes.saturating_add(other.successes),
            failures: self.failures.saturating_add(other.failures),
            latency: self.latency.saturating_add(other.latency),
            p50: percentile(|cell| cell.p50),
            p95: percentile(|cell| cell.p95),
            p99: percentile(|cell| cell.p99),
        }
    }

    /// Mean latency of successes, microseconds.
    pub(crate) fn mean(&self) -> Option<u64> {
        self.latency.checked_div(u64::from(self.successes))
    }

    /// A cell of timeouts alone has percentiles too.
    fn weight(&self) -> u64 {
        u64::from(self.successes.max(1))
    }
}

fn mean((first, first_weight): (u32, u64), (second, second_weight): (u32, u64)) -> u32 {
    match (first, second) {
        (0, known) | (known, 0) => known,
        (first, second) => {
            let sum = u64::from(first) * first_weight + u64::from(second) * second_weight;
            u32::try_from(sum / (first_weight + second_weight)).unwrap_or(u32::MAX)
        }
    }
}

/// Adds a cell to a list that has each series at most once.
pub(crate) fn add(cells: &mut Vec<(Arc<Series>, Cell)>, series: &Arc<Series>, cell: Cell) {
    match cells.binary_search_by(|(own, _)| own.cmp(series)) {
        Ok(place) => {
            if let Some((_, own)) = cells.get_mut(place) {
                *own = own.with(cell);
            }
        }
        Err(place) => cells.insert(place, (Arc::clone(series), cell)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(first: Cell, second: Cell, both: Cell) {
        assert_eq!(first.with(second), both);
        assert_eq!(second.with(first), both);
    }

    fn cell(calls: u32, successes: u32, latency: u64, percentile: u32) -> Cell {
        let failures = calls - successes;
        Cell { calls, successes, failures, latency, p50: percentile, p95: percentile * 2, p99: percentile * 3 }
    }

    #[test]
    fn counts_add_up_and_percentiles_are_weighted_by_successes() {
        check(cell(10, 9, 900, 100), cell(1, 1, 200, 200), cell(11, 10, 1_100, 110));
        check(cell(3, 3, 30, 10), Cell::default(), cell(3, 3, 30, 10));
        check(
            Cell { calls: u32::MAX, ..Cell::default() },
            cell(1, 1, 5, 5),
            Cell { calls: u32::MAX, ..cell(1, 1, 5, 5) },
        );
    }

    #[test]
    fn a_mean_needs_a_success() {
        assert_eq!(cell(4, 3, 30, 10).mean(), Some(10));
        assert_eq!(cell(4, 0, 0, 10).mean(), None);
    }
}
