//! Evidence of one class on one channel of one chain in a profile, and what else is counted there.
//!
//! Invariant: what is told to workers is as of [`Cell::told`]; small drifts are not news ([`Cell::news`]), so that what a table costs
//! follows from what happens and not from how much traffic there is.

use lasso_jsonrpc::method::MethodClass;

use crate::evidence::{BUCKETS, Evidence, FOLLOW_UPS, QUALIFIED, halved};
use crate::report::{Ending, Sums};
use crate::table::Summary;
use crate::time::{Micros, Millis, Timestamp};

/// What was told is told again when it is this old and there is something new.
const REFRESH: Millis = Millis::from_secs(5);
/// Percentiles are compared with what was told after this long.
const LOOK_AGAIN: Millis = Millis(1_000);
/// The count of attempts that a share of traffic is made of halves in this long.
const SHARE_HALF_LIFE: Millis = Millis::from_secs(30);

/// How soon a change is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum News {
    /// When it is its turn.
    Usual,
    /// Before what is usual: it may change who leads.
    Urgent,
}

/// One cell.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    pub(super) book: usize,
    pub(super) place: usize,
    pub(super) class: MethodClass,
    pub(super) evidence: Evidence,
    pub(super) endings: [u64; Ending::COUNT],
    pub(super) latency_total: Micros,
    pub(super) latencies: Latencies,
    /// Attempts lately, at `asked`.
    lately: f32,
    /// When a report last had attempts, or a worker was last sent to explore.
    pub(super) asked: Timestamp,
    /// How often an exploration may still be followed up.
    pub(super) follow_ups: u8,
    told: Option<(Summary, Timestamp)>,
    /// It waits to be told.
    pub(super) waits: Option<News>,
}

impl Cell {
    pub(super) fn new(book: usize, place: usize, class: MethodClass) -> Self {
        Self {
            book,
            place,
            class,
            evidence: Evidence::default(),
            endings: [0; Ending::COUNT],
            latency_total: Micros(0),
            latencies: Latencies::default(),
            lately: 0.0,
            asked: Timestamp::default(),
            follow_ups: 0,
            told: None,
            waits: None,
        }
    }

    /// Counts what a report adds up; `believed` when it is evidence, too.
    pub(super) fn take(&mut self, sums: &Sums, believed: bool, now: Timestamp) {
        for (total, &count) in self.endings.iter_mut().zip(&sums.endings) {
            *total = total.saturating_add(u64::from(count));
        }
        self.latency_total.0 = self.latency_total.0.saturating_add(sums.latency.0);
        self.latencies.add(&sums.latencies);
        self.lately = self.share_weight(now) + sums.attempts() as f32;
        self.asked = self.asked.max(now);
        if believed {
            self.evidence.absorb(sums, now);
        }
    }

    /// A worker is sent to explore it: what comes back is to weigh as much as what is known.
    pub(super) fn explore(&mut self, follow_up: bool, now: Timestamp) {
        if follow_up {
            self.follow_ups = self.follow_ups.saturating_sub(1);
        } else {
            if self.has_evidence() {
                self.evidence.doubt(now);
            }
            self.follow_ups = FOLLOW_UPS;
        }
        self.asked = now;
    }

    /// Attempts lately, faded.
    pub(super) fn share_weight(&self, now: Timestamp) -> f32 {
        self.lately * halved(now.since(self.asked), SHARE_HALF_LIFE)
    }

    /// Whether there is anything that a worker could want to know.
    pub(super) fn has_evidence(&self) -> bool {
        self.evidence.updated() > Timestamp::default()
    }

    /// Whether what was told has become wrong.
    pub(super) fn news(&self, now: Timestamp) -> Option<News> {
        if !self.has_evidence() {
            return None;
        }
        let Some((told, when)) = &self.told else { return Some(News::Urgent) };
        let found = self.evidence.figures(now);
        let differ = |by: f32, found: f32, told: f32| (found - told).abs() > by * told.abs().max(1.0);
        let part = |summary: &Summary| (summary.failures + 0.1) / (summary.failures + summary.successes + 0.2);
        let failing = |summary: &Summary| summary.failures_in_a_row >= QUALIFIED.2;
        let success = (part(&found) - part(told)).abs();
        if failing(&found) != failing(told) || success > 0.1 || differ(0.3, found.mean, told.mean) {
            return Some(News::Urgent);
        }
        let age = now.since(*when);
        // Percentiles cost more to find than all the rest, and nobody is led by them.
        let slower = || {
            let slowest = |p99: Option<Micros>| p99.map_or(0.0, |p99| p99.0 as f32);
            age >= LOOK_AGAIN && differ(0.2, slowest(self.evidence.p99(now)), slowest(told.p99))
        };
        let usual = success > 0.02
            || differ(0.05, found.mean, told.mean)
            || differ(0.25, found.weight, told.weight)
            || age >= REFRESH
            || slower();
        usual.then_some(News::Usual)
    }

    /// It is told as it is now.
    pub(super) fn tell(&mut self, now: Timestamp) {
        self.told = Some((self.evidence.summary(now), now));
        self.waits = None;
    }

    /// The same cell in another book.
    pub(super) fn moved(self, book: usize, place: usize) -> Self {
        Self { book, place, waits: None, ..self }
    }
}

/// Counts by bucket since the start: only the buckets between the lowest and the highest that were used take space.
#[derive(Debug, Clone, Default)]
pub(super) struct Latencies {
    first: u8,
    counts: Vec<u64>,
}

impl Latencies {
    fn add(&mut self, latencies: &[(u8, u32)]) {
        for &(bucket, count) in latencies.iter().filter(|(bucket, _)| usize::from(*bucket) < BUCKETS) {
            if self.counts.is_empty() {
                self.first = bucket;
            }
            if bucket < self.first {
                let missing = usize::from(self.first - bucket);
                self.counts.splice(0..0, std::iter::repeat_n(0, missing));
                self.first = bucket;
            }
            let place = usize::from(bucket - self.first);
            if self.counts.len() <= place {
                self.counts.resize(place + 1, 0);
            }
            if let Some(total) = self.counts.get_mut(place) {
                *total = total.saturating_add(u64::from(count));
            }
        }
    }

    /// As (bucket, count), ascending.
    pub(super) fn all(&self) -> Vec<(u8, u64)> {
        let counts = (self.first..).zip(&self.counts);
        counts.filter(|(_, count)| **count > 0).map(|(bucket, &count)| (bucket, count)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn answers(count: u32, millis: u64, failures: u32) -> Sums {
        let latency = Millis(millis).as_micros();
        let mut sums = Sums { latency: Micros(latency.0 * u64::from(count)), ..Sums::default() };
        (sums.fastest, sums.slowest) = (latency, latency);
        sums.endings[Ending::Success as usize] = count;
        sums.endings[Ending::Server as usize] = failures;
        sums
    }

    /// After 64 answers of 20 ms that were told, is this news?
    #[track_caller]
    fn check(later: u64, sums: &Sums, news: Option<News>) {
        let mut cell = Cell::new(0, 0, MethodClass::OTHER);
        cell.take(&answers(64, 20, 0), true, at(1_000));
        assert_eq!(cell.news(at(1_000)), Some(News::Urgent), "nothing was told yet");
        cell.tell(at(1_000));
        cell.take(sums, true, at(1_000 + later));
        assert_eq!(cell.news(at(1_000 + later)), news, "{sums:?}");
    }

    #[test]
    fn more_of_the_same_is_no_news_until_it_is_old() {
        check(100, &answers(50, 20, 0), None);
        check(100, &answers(50, 20, 1), None);
        check(4_999, &answers(1, 20, 0), None);
        check(5_000, &answers(1, 20, 0), Some(News::Usual));
    }

    #[test]
    fn what_may_change_the_leader_is_urgent() {
        check(100, &answers(20, 22, 0), None);
        check(100, &answers(64, 23, 0), Some(News::Usual));
        check(100, &answers(20, 300, 0), Some(News::Urgent));
        check(100, &answers(20, 20, 5), Some(News::Usual));
        check(100, &answers(0, 0, 3), Some(News::Urgent));
        check(100, &answers(20, 20, 20), Some(News::Urgent));
    }

    #[test]
    fn buckets_between_the_lowest_and_the_highest_take_space() {
        let mut latencies = Latencies::default();
        latencies.add(&[(40, 2), (44, 1)]);
        latencies.add(&[(38, 7), (40, 1), (255, 9)]);
        assert_eq!(latencies.all(), [(38, 7), (40, 3), (44, 1)]);
        assert_eq!(latencies.counts.len(), 7);
    }

    #[test]
    fn a_share_is_of_what_was_asked_lately() {
        let mut cell = Cell::new(0, 0, MethodClass::OTHER);
        cell.take(&answers(100, 20, 0), true, at(1_000));
        assert!((cell.share_weight(at(31_000)) - 50.0).abs() < 0.1);
    }
}
