//! Latencies in buckets, fading.
//!
//! Duty: p95 and p99 of what was added in the last minutes, in fixed space.
//! Invariant: 8 buckets to each doubling, so a value read back is at most 12.5 % above one that was added (9 % on average); at most
//! [`BUCKETS`] of them. Percentiles are found when an answer is added, so that a request that reads them pays nothing.
//! Leaves to others: when there is enough to believe them.

use crate::time::{Micros, Millis, Timestamp};

/// Buckets: 64 us to 134 s in 21 doublings, what is shorter in the first, what is longer in the last.
pub const BUCKETS: usize = 168;
/// 64 us is 2^6.
const FIRST_OCTAVE: u32 = 6;
/// One answer, in counts: 1/16 of an answer is left to round away after four halvings.
const ANSWER: u16 = 16;
/// Most answers of one bucket that one report adds: more would only be halved away again.
const MOST_ANSWERS: u32 = 1 << 20;
/// Counts halve this often.
const HALF_LIFE: Millis = Millis::from_secs(60);

/// A histogram of latencies.
#[derive(Debug, Clone)]
pub(super) struct Histogram {
    counts: [u16; BUCKETS],
    total: u32,
    /// Highest bucket that may hold something: percentiles are sought from there down.
    top: u8,
    p95: u8,
    p99: u8,
    /// A report was added since percentiles were found: they are found when they are read.
    stale: bool,
    halved: Timestamp,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: [0; BUCKETS], total: 0, top: 0, p95: 0, p99: 0, stale: false, halved: Timestamp::from_millis(0) }
    }
}

impl Histogram {
    /// Adds an answer.
    pub(super) fn add(&mut self, latency: Micros, now: Timestamp) {
        self.fade_to(now);
        let bucket = bucket_of(latency);
        let Some(count) = self.counts.get_mut(usize::from(bucket)) else {
            return;
        };
        if *count > u16::MAX - ANSWER {
            self.halve(1);
            return self.add(latency, now);
        }
        *count += ANSWER;
        self.total += u32::from(ANSWER);
        self.top = self.top.max(bucket);
        (self.p95, self.p99) = self.find_percentiles();
        self.stale = false;
    }

    /// Adds what a report counted, as (bucket, answers).
    pub(super) fn add_all(&mut self, latencies: &[(u8, u32)], now: Timestamp) {
        self.fade_to(now);
        for &(bucket, answers) in latencies {
            self.add_many(bucket, answers.min(MOST_ANSWERS));
        }
        self.stale = true;
    }

    fn add_many(&mut self, bucket: u8, mut answers: u32) {
        while let Some(count) = self.counts.get_mut(usize::from(bucket)) {
            let room = u32::from((u16::MAX - *count) / ANSWER);
            let fitting = answers.min(room);
            *count += fitting as u16 * ANSWER;
            self.total += fitting * u32::from(ANSWER);
            if fitting > 0 {
                self.top = self.top.max(bucket);
            }
            answers -= fitting;
            if answers == 0 {
                return;
            }
            self.halve(1);
        }
    }

    /// The buckets that hold the 95th and the 99th percentile.
    pub(super) fn percentiles(&self) -> (u8, u8) {
        if self.stale { self.find_percentiles() } else { (self.p95, self.p99) }
    }

    /// Half of the answers were at least as fast. Found on reading: no request waits for it.
    pub(super) fn median(&self) -> Micros {
        let mut below = 0;
        for (bucket, &count) in (0_u8..).zip(&self.counts) {
            below += u32::from(count);
            if below.saturating_mul(2) >= self.total {
                return upper_end(bucket);
            }
        }
        upper_end(self.top)
    }

    /// What it holds, as (bucket, sixteenths of an answer).
    pub(super) fn counts(&self) -> impl Iterator<Item = (u8, u32)> + '_ {
        (0_u8..).zip(&self.counts).filter(|(_, count)| **count > 0).map(|(bucket, &count)| (bucket, u32::from(count)))
    }

    /// The same again; what is not a bucket or too many is cut.
    pub(super) fn of_counts(counts: &[(u8, u32)], now: Timestamp) -> Self {
        let mut histogram = Self { halved: now, ..Self::default() };
        for &(bucket, found) in counts {
            if let Some(count) = histogram.counts.get_mut(usize::from(bucket)) {
                *count = found.min(u32::from(u16::MAX)) as u16;
            }
        }
        histogram.halve(0);
        histogram.stale = true;
        histogram
    }

    fn find_percentiles(&self) -> (u8, u8) {
        let mut above = 0;
        let mut p99 = None;
        for bucket in (0..=self.top).rev() {
            above += u32::from(self.counts.get(usize::from(bucket)).copied().unwrap_or(0));
            // More than 1 % lies in this bucket and above: the 99th percentile is here.
            if p99.is_none() && above.saturating_mul(100) > self.total {
                p99 = Some(bucket);
            }
            if above.saturating_mul(20) > self.total {
                return (bucket, p99.unwrap_or(bucket));
            }
        }
        (0, 0)
    }

    fn fade_to(&mut self, now: Timestamp) {
        if self.total == 0 {
            self.halved = now;
            return;
        }
        let halvings = now.since(self.halved).0 / HALF_LIFE.0;
        if halvings > 0 {
            self.halve(halvings.min(16) as u32);
            self.halved = self.halved.plus(Millis(halvings.saturating_mul(HALF_LIFE.0)));
        }
    }

    fn halve(&mut self, times: u32) {
        for count in &mut self.counts {
            *count = count.checked_shr(times).unwrap_or(0);
        }
        self.total = self.counts.iter().map(|&count| u32::from(count)).sum();
        self.top = self.counts.iter().rposition(|&count| count > 0).unwrap_or(0) as u8;
    }
}

/// Which bucket a latency falls into. Log-linear: the octave from the leading bit, the eighth of it from the three bits after.
#[must_use]
pub fn bucket_of(latency: Micros) -> u8 {
    let value = latency.0.max(1 << FIRST_OCTAVE);
    let octave = value.ilog2();
    let eighth = (value >> (octave - 3)) & 7;
    let bucket = u64::from(octave - FIRST_OCTAVE) * 8 + eighth;
    bucket.min(BUCKETS as u64 - 1) as u8
}

/// The longest latency that falls into a bucket, plus one microsecond.
#[must_use]
pub fn upper_end(bucket: u8) -> Micros {
    let (octave, eighth) = (u32::from(bucket) / 8 + FIRST_OCTAVE, u64::from(bucket) % 8);
    Micros((9 + eighth) << (octave - 3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(latencies: impl IntoIterator<Item = u64>, p95: u64, p99: u64) {
        let mut histogram = Histogram::default();
        latencies.into_iter().for_each(|latency| histogram.add(Micros(latency), Timestamp::from_millis(0)));
        let (found95, found99) = histogram.percentiles();
        let (found95, found99) = (upper_end(found95), upper_end(found99));
        for (found, exact) in [(found95.0, p95), (found99.0, p99)] {
            assert!(found >= exact && found as f64 <= exact as f64 * 1.126, "{found} for {exact}");
        }
    }

    #[test]
    fn percentiles_are_within_a_bucket() {
        check([5_000], 5_000, 5_000);
        check((1..=1_000).map(|step| step * 1_000), 950_000, 990_000);
        check((1..=100).map(|step| if step > 98 { 400_000 } else { 10_000 }), 10_000, 400_000);
        check((1..=1_000).rev().map(|step| step * 70), 66_500, 69_300);
    }

    #[test]
    fn every_value_lies_under_the_end_of_its_bucket_and_over_the_one_before() {
        for value in (64..200_000_u64).step_by(37).chain([1 << 20, (1 << 26) - 1, 100_000_000]) {
            let bucket = bucket_of(Micros(value));
            assert!(value < upper_end(bucket).0);
            assert!(bucket == 0 || value >= upper_end(bucket - 1).0);
        }
    }

    #[test]
    fn what_is_too_short_or_too_long_is_in_the_outermost_buckets() {
        assert_eq!(bucket_of(Micros(0)), 0);
        assert_eq!(usize::from(bucket_of(Micros(u64::MAX))), BUCKETS - 1);
    }

    #[test]
    fn old_answers_fade() {
        let mut histogram = Histogram::default();
        (0..100).for_each(|_| histogram.add(Micros(800_000), Timestamp::from_millis(0)));
        (0..100).for_each(|_| histogram.add(Micros(1_000), Timestamp::from_millis(480_000)));
        assert!(upper_end(histogram.percentiles().1).0 < 1_200);
    }

    #[test]
    fn what_was_counted_elsewhere_is_the_same_as_one_by_one() {
        for answers in [1, 40, 3_000, 70_000] {
            let (mut one_by_one, mut at_once) = (Histogram::default(), Histogram::default());
            let now = Timestamp::from_millis(5_000);
            for (latency, times) in [(Micros(2_000), answers), (Micros(90_000), answers / 30)] {
                (0..times).for_each(|_| one_by_one.add(latency, now));
                at_once.add_all(&[(bucket_of(latency), times)], now);
            }
            assert_eq!(at_once.counts, one_by_one.counts, "{answers}");
            assert_eq!(at_once.percentiles(), one_by_one.percentiles(), "{answers}");
            assert_eq!(at_once.total, one_by_one.total, "{answers}");
        }
    }

    #[test]
    fn the_median_lies_in_the_middle() {
        let mut histogram = Histogram::default();
        (1..=1_000).for_each(|step| histogram.add(Micros(step * 1_000), Timestamp::from_millis(0)));
        assert!((500_000..=562_500).contains(&histogram.median().0), "{}", histogram.median());
    }

    #[test]
    fn a_full_bucket_halves_them_all_and_keeps_the_shape() {
        let answers = 20_000;
        check((0..answers).map(|step| if step % 50 == 0 { 300_000 } else { 2_000 }), 2_000, 300_000);
    }
}
