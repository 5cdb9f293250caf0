//! Attempts and latencies by channel and method class: the part of the page that grows with what clients ask for.
//!
//! Invariant: a class that was collapsed stays so: were it to come back, `other` would lose what it had, and Prometheus would take that for
//! a restart.

use std::collections::{BTreeMap, BTreeSet};

use lasso_jsonrpc::method::MethodClass;
use lasso_routing::evidence::upper_end;
use lasso_routing::fleet::view::{StandingRow, View};
use lasso_routing::report::Ending;
use lasso_routing::time::Micros;

use super::page::Page;
use super::table::{ATTEMPT_DURATION, ATTEMPTS, METHODS_COLLAPSED};

/// Upper ends of the histogram's buckets, in microseconds. Each is the end of one of the finer buckets of the reports, so nothing is guessed.
pub(super) const ENDS: [u64; 12] =
    [1_024, 2_560, 5_120, 10_240, 24_576, 49_152, 98_304, 262_144, 524_288, 1_048_576, 2_621_440, 10_485_760];

/// Series of one row at most: one an ending; buckets, the last one, sum and count.
const SERIES: usize = Ending::COUNT + ENDS.len() + 3;

/// Collapses classes until a page has room.
pub(super) fn collapse(view: &View, most: usize, collapsed: &mut BTreeSet<MethodClass>) {
    let mut attempts: BTreeMap<MethodClass, u64> = BTreeMap::new();
    for row in &view.standings {
        *attempts.entry(row.class).or_default() += row.endings.iter().sum::<u64>();
    }
    attempts.remove(&MethodClass::OTHER);
    attempts.retain(|class, _| !collapsed.contains(class));
    let mut fewest: Vec<_> = attempts.into_iter().map(|(class, count)| (count, class)).collect();
    fewest.sort_unstable();
    for (_, class) in fewest {
        if rows(view, collapsed).count().saturating_mul(SERIES) <= most {
            return;
        }
        collapsed.insert(class);
    }
}

/// Of which chain, on which channel, of which class.
type Key = (usize, usize, MethodClass);

fn rows(view: &View, collapsed: &BTreeSet<MethodClass>) -> impl Iterator<Item = Key> {
    let keys: BTreeSet<Key> = view.standings.iter().map(|row| key(row, collapsed)).collect();
    keys.into_iter()
}

fn key(row: &StandingRow, collapsed: &BTreeSet<MethodClass>) -> Key {
    let class = if collapsed.contains(&row.class) { MethodClass::OTHER } else { row.class };
    (row.chain, row.channel, class)
}

/// What rows of one key sum up to.
#[derive(Debug, Default)]
struct Sum<'a> {
    provider: &'a str,
    endings: [u64; Ending::COUNT],
    /// By the index in [`ENDS`]; the last has what is longer.
    latencies: [u64; ENDS.len() + 1],
    seconds: f64,
}

impl<'a> Sum<'a> {
    fn add(&mut self, row: &'a StandingRow) {
        self.provider = &row.provider;
        for (sum, count) in self.endings.iter_mut().zip(row.endings) {
            *sum += count;
        }
        for (bucket, count) in &row.latencies {
            let Micros(end) = upper_end(*bucket);
            let at = ENDS.iter().position(|coarse| end <= *coarse).unwrap_or(ENDS.len());
            self.latencies[at] += count;
            // The middle of a fine bucket is at most 6 % off.
            let start = bucket.checked_sub(1).map_or(0, |before| upper_end(before).0);
            self.seconds += *count as f64 * (start + end) as f64 / 2e6;
        }
    }
}

pub(super) fn write(page: &mut Page, view: &View, collapsed: &BTreeSet<MethodClass>) {
    page.one(&METHODS_COLLAPSED, &[], collapsed.len() as u64);
    let mut sums: BTreeMap<Key, Sum<'_>> = BTreeMap::new();
    for row in &view.standings {
        sums.entry(key(row, collapsed)).or_default().add(row);
    }
    let named = |(chain, channel, class): &Key| {
        let (chain, channel) = (view.chains.get(*chain)?, view.channels.get(*channel)?);
        Some([&*chain.profile, &*chain.chain, &*channel.channel, class.name()])
    };
    let mut attempts = page.metric(&ATTEMPTS);
    for (key, sum) in &sums {
        let Some([profile, chain, channel, method]) = named(key) else { continue };
        // What never happened has no series: most endings are rare. Success is always there, so that a share can be taken.
        let ended = Ending::ALL.iter().zip(sum.endings);
        for (ending, count) in ended.filter(|(ending, count)| **ending == Ending::Success || *count > 0) {
            attempts.sample(&[profile, chain, sum.provider, channel, method, ending.name()], count);
        }
    }
    let mut durations = page.metric(&ATTEMPT_DURATION);
    for (key, sum) in &sums {
        let Some([profile, chain, channel, method]) = named(key) else { continue };
        let mut below = 0;
        let buckets = ENDS.iter().zip(sum.latencies).map(|(end, count)| {
            below += count;
            (*end as f64 / 1e6, below)
        });
        let buckets: Vec<_> = buckets.collect();
        let count = sum.latencies.iter().sum();
        durations.histogram(&[profile, chain, sum.provider, channel, method], &buckets, count, sum.seconds);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lasso_routing::evidence::BUCKETS;

    #[test]
    fn every_coarse_bucket_ends_where_a_fine_one_does() {
        let fine: Vec<u64> = (0..BUCKETS).map(|bucket| upper_end(bucket as u8).0).collect();
        assert!(ENDS.iter().all(|end| fine.contains(end)), "{ENDS:?}");
    }
}
