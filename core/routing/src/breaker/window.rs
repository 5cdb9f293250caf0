//! The last ten seconds of attempts, for the failure ratio.
//!
//! Duty: count attempts and failures in ten buckets of a second.
//! Invariant: what is older than the current second and the nine before it does not count.
//! Leaves to others: what a bad ratio leads to.

use super::RATIO_ATTEMPTS;
use crate::time::{Millis, Timestamp};

const BUCKETS: usize = 10;
const BUCKET_MS: u64 = 1_000;

#[derive(Debug, Clone, Copy)]
struct Bucket {
    attempts: u32,
    failures: u32,
}

const EMPTY: Bucket = Bucket { attempts: 0, failures: 0 };

/// Counts of the last ten seconds.
#[derive(Debug, Clone)]
pub(super) struct Window {
    buckets: [Bucket; BUCKETS],
    /// Second that the newest bucket stands for.
    second: u64,
    /// First failure since the window was last free of them.
    failing_since: Option<Timestamp>,
}

impl Window {
    /// Nothing yet.
    pub(super) const EMPTY: Self = Self { buckets: [EMPTY; BUCKETS], second: 0, failing_since: None };

    /// Counts a success.
    pub(super) fn success(&mut self, now: Timestamp) {
        self.count(now, 1, 0);
    }

    /// Counts an attempt that is not held against the channel.
    pub(super) fn neutral(&mut self, now: Timestamp) {
        self.count(now, 1, 0);
    }

    /// Counts a failure.
    pub(super) fn failure(&mut self, now: Timestamp) {
        self.add(1, 1, now, now);
    }

    /// Counts what a report adds up; the first of its failures was at `first`.
    pub(super) fn add(&mut self, attempts: u32, failures: u32, first: Timestamp, now: Timestamp) {
        self.advance(now);
        if failures > 0 && self.totals().1 == 0 {
            self.failing_since = Some(first);
        }
        self.count(now, attempts, failures);
    }

    /// How long failures have been in it.
    pub(super) fn failing_for(&self, now: Timestamp) -> Millis {
        self.failing_since.map_or(Millis::ZERO, |since| now.since(since))
    }

    /// Whether half or more of enough attempts failed. To be asked right after counting.
    pub(super) fn is_bad(&self) -> bool {
        let (attempts, failures) = self.totals();
        attempts >= RATIO_ATTEMPTS && failures.saturating_mul(2) >= attempts
    }

    /// Attempts and failures in it. What is too old is gone only after counting.
    pub(super) fn totals(&self) -> (u32, u32) {
        self.buckets.iter().fold((0, 0), |(attempts, failures), bucket| {
            (attempts.saturating_add(bucket.attempts), failures.saturating_add(bucket.failures))
        })
    }

    fn count(&mut self, now: Timestamp, attempts: u32, failures: u32) {
        self.advance(now);
        if let Some(bucket) = self.buckets.get_mut((self.second % BUCKETS as u64) as usize) {
            bucket.attempts = bucket.attempts.saturating_add(attempts);
            bucket.failures = bucket.failures.saturating_add(failures);
        }
    }

    /// Empties the buckets that have become too old. A clock that steps back counts into the newest bucket.
    fn advance(&mut self, now: Timestamp) {
        let second = now.as_millis() / BUCKET_MS;
        let passed = second.saturating_sub(self.second).min(BUCKETS as u64);
        for step in 1..=passed {
            if let Some(bucket) = self.buckets.get_mut(((second - passed + step) % BUCKETS as u64) as usize) {
                *bucket = EMPTY;
            }
        }
        self.second = self.second.max(second);
    }
}
