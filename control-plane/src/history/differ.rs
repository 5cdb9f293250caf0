//! From sums since the start to what happened since the last look.
//!
//! Duty: subtract one view from the next.
//! Invariant: pure; every attempt that two views saw happen is in exactly one difference. Sums that shrank were started anew and count whole.
//! Bound: one entry for each series of a chain that the last view had.
//! Leaves to others: when to look.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lasso_routing::evidence::upper_end;
use lasso_routing::fleet::view::{StandingRow, View};
use lasso_routing::report::Ending;

use super::cell::{Cell, Series};

/// The last look.
#[derive(Debug, Default)]
pub(crate) struct Differ {
    seen: BTreeMap<Arc<Series>, Sums>,
}

#[derive(Debug, Clone, Default)]
struct Sums {
    endings: [u64; Ending::COUNT],
    latency: u64,
    /// As (bucket, count), ascending.
    latencies: Vec<(u8, u64)>,
}

impl Differ {
    /// The first look: what is in it happened before.
    pub(crate) fn new(view: &View) -> Self {
        let mut differ = Self::default();
        let _ = differ.step(view);
        differ
    }

    /// What happened since the last look; only series with something.
    pub(crate) fn step(&mut self, view: &View) -> Vec<(Arc<Series>, Cell)> {
        let mut cells = Vec::new();
        for row in &view.standings {
            let Some(series) = Series::of(view, row) else { continue };
            let series = self.seen.get_key_value(&series).map_or_else(|| Arc::new(series), |(own, _)| Arc::clone(own));
            let now = Sums::of(row);
            let cell = self.seen.get(&series).map_or_else(|| now.since(&Sums::default()), |before| now.since(before));
            if cell.calls > 0 {
                cells.push((Arc::clone(&series), cell));
            }
            self.seen.insert(series, now);
        }
        // A series without evidence is left out of a view, and comes back with its old sums: it is remembered while its chain is there.
        let chains: BTreeSet<(&str, &str)> = view.chains.iter().map(|chain| (&*chain.profile, &*chain.chain)).collect();
        self.seen.retain(|series, _| chains.contains(&(&*series.profile, &*series.chain)));
        cells
    }
}

impl Sums {
    fn of(row: &StandingRow) -> Self {
        Self { endings: row.endings, latency: row.latency_total.0, latencies: row.latencies.clone() }
    }

    fn since(&self, before: &Self) -> Cell {
        let nothing = Self::default();
        let shrank = self.endings.iter().zip(&before.endings).any(|(now, before)| now < before);
        let before = if shrank { &nothing } else { before };
        let mut cell = Cell { latency: self.latency.saturating_sub(before.latency), ..Cell::default() };
        for ((now, before), ending) in self.endings.iter().zip(&before.endings).zip(Ending::ALL) {
            let count = u32::try_from(now.saturating_sub(*before)).unwrap_or(u32::MAX);
            cell.calls = cell.calls.saturating_add(count);
            if ending == Ending::Success {
                cell.successes = count;
            } else if ending.is_blamed() {
                cell.failures = cell.failures.saturating_add(count);
            }
        }
        let latencies = self.latencies_since(before);
        (cell.p50, cell.p95, cell.p99) =
            (percentile(&latencies, 50), percentile(&latencies, 95), percentile(&latencies, 99));
        cell
    }

    fn latencies_since(&self, before: &Self) -> Vec<(u8, u64)> {
        let earlier: BTreeMap<u8, u64> = before.latencies.iter().copied().collect();
        let grown =
            |(bucket, count): &(u8, u64)| (*bucket, count.saturating_sub(earlier.get(bucket).copied().unwrap_or(0)));
        self.latencies.iter().map(grown).collect()
    }
}

/// Upper end of the bucket below which that many of a hundred lie; 0 of nothing.
fn percentile(latencies: &[(u8, u64)], percent: u64) -> u32 {
    let total: u64 = latencies.iter().map(|(_, count)| count).sum();
    let mut below = 0;
    for (bucket, count) in latencies {
        below += count;
        if total > 0 && below * 100 >= total * percent {
            return u32::try_from(upper_end(*bucket).0).unwrap_or(u32::MAX);
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::sample::view;

    fn differences(views: &[View]) -> Vec<Vec<(u32, u32, u32, u64)>> {
        let mut differ = Differ::new(&View::default());
        let look = |view: &View| {
            let cells = differ.step(view);
            cells.iter().map(|(_, cell)| (cell.calls, cell.successes, cell.failures, cell.latency)).collect()
        };
        views.iter().map(look).collect()
    }

    #[test]
    fn each_attempt_is_in_one_difference() {
        let views = [view(&[("a", 3, 1)]), view(&[("a", 3, 1)]), view(&[("a", 5, 1), ("b", 1, 0)])];
        let expected = [vec![(4, 3, 1, 3_000)], vec![], vec![(2, 2, 0, 2_000), (1, 1, 0, 1_000)]];
        assert_eq!(differences(&views), expected);
    }

    #[test]
    fn a_series_that_left_the_view_and_came_back_is_not_counted_again() {
        let views = [view(&[("a", 3, 0)]), view(&[]), view(&[("a", 4, 0)])];
        assert_eq!(differences(&views), [vec![(3, 3, 0, 3_000)], vec![], vec![(1, 1, 0, 1_000)]]);
    }

    #[test]
    fn sums_that_start_anew_count_whole() {
        assert_eq!(differences(&[view(&[("a", 9, 0)]), view(&[("a", 2, 0)])])[1], [(2, 2, 0, 2_000)]);
    }

    #[test]
    fn what_the_first_look_finds_happened_before() {
        let mut differ = Differ::new(&view(&[("a", 9, 0)]));
        assert_eq!(differ.step(&view(&[("a", 10, 0)]))[0].1.calls, 1);
    }

    #[test]
    fn percentiles_are_the_minutes_own() {
        let mut later = view(&[("a", 100, 0)]);
        let mut differ = Differ::new(&later);
        later.standings[0].endings[Ending::Success as usize] += 10;
        later.standings[0].latencies.push((40, 10));
        let (_, cell) = differ.step(&later)[0];
        assert_eq!((cell.p50, cell.p99), (upper_end(40).0 as u32, upper_end(40).0 as u32));
    }
}
