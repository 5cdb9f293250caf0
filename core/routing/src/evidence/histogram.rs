//! Latencies in buckets, fading.
//!
//! Duty: p95 and p99 of what was added in the last minutes, in fixed space.
//! Invariant: 8 buckets to each doubling, so a value read back is at most 12.5 % above one that was added (9 % on average); at most
//! [`BUCKETS`] of them. Percentiles are found when something is added, so that reading them costs nothing.
//! Leaves to others: when there is enough to believe them.

use crate::time::{Micros, Millis, Timestamp};

/// Buckets: 64 us to 134 s in 21 doublings, what is shorter in the first, what is longer in the last.
const BUCKETS: usize = 168;
/// 64 us is 2^6.
const FIRST_OCTAVE: u32 = 6;
/// One answer, in counts: 1/16 of an answer is left to round away after four halvings.
const ANSWER: u16 = 16;
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
    halved: Timestamp,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: [0; BUCKETS], total: 0, top: 0, p95: 0, p99: 0, halved: Timestamp::from_millis(0) }
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
        self.find_percentiles();
    }

    /// Upper ends of the buckets that hold the 95th and the 99th percentile.
    pub(super) fn percentiles(&self) -> (Micros, Micros) {
        (upper_end(self.p95), upper_end(self.p99))
    }

    fn find_percentiles(&mut self) {
        let mut above = 0;
        let mut p99 = None;
        for bucket in (0..=self.top).rev() {
            above += u32::from(self.counts.get(usize::from(bucket)).copied().unwrap_or(0));
            // More than 1 % lies in this bucket and above: the 99th percentile is here.
            if p99.is_none() && above.saturating_mul(100) > self.total {
                p99 = Some(bucket);
            }
            if above.saturating_mul(20) > self.total {
                self.p95 = bucket;
                self.p99 = p99.unwrap_or(bucket);
                return;
            }
        }
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

/// Log-linear: the octave from the leading bit, the eighth of it from the three bits after.
fn bucket_of(latency: Micros) -> u8 {
    let value = latency.0.max(1 << FIRST_OCTAVE);
    let octave = value.ilog2();
    let eighth = (value >> (octave - 3)) & 7;
    let bucket = u64::from(octave - FIRST_OCTAVE) * 8 + eighth;
    bucket.min(BUCKETS as u64 - 1) as u8
}

fn upper_end(bucket: u8) -> Micros {
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
        assert!(histogram.percentiles().1.0 < 1_200);
    }

    #[test]
    fn a_full_bucket_halves_them_all_and_keeps_the_shape() {
        let answers = 20_000;
        check((0..answers).map(|step| if step % 50 == 0 { 300_000 } else { 2_000 }), 2_000, 300_000);
    }
}
