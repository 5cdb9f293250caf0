//! A provider's own rate limit, kept by us: a token bucket of one second's worth.
//!
//! Invariant: over any long time no more calls than the rate are let through, but for those that fail-open sends on purpose (they are
//! counted, so the debt is paid back).

use crate::time::{Millis, Timestamp};

/// A budget of calls.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket {
    /// An even part of the limit, for each worker that the catalog knows of.
    even: f64,
    per_second: f64,
    tokens: f64,
    updated: Timestamp,
}

impl Bucket {
    pub(super) const fn new(per_second: f64) -> Self {
        Self { even: per_second, per_second, tokens: Self::depth(per_second), updated: Timestamp::from_millis(0) }
    }

    /// A rate under one a second still lets one call through at a time.
    const fn depth(per_second: f64) -> f64 {
        per_second.max(1.0)
    }

    /// Follows a new configuration.
    pub(super) const fn adopt(&mut self, per_second: f64) {
        self.even = per_second;
        self.set_rate(per_second);
    }

    /// So many even parts of the limit are this worker's.
    pub(super) const fn divide(&mut self, parts: f64) {
        self.set_rate(self.even * parts);
    }

    const fn set_rate(&mut self, per_second: f64) {
        self.per_second = per_second;
        self.tokens = self.tokens.min(Self::depth(per_second));
    }

    fn tokens_at(&self, now: Timestamp) -> f64 {
        let earned = now.since(self.updated).0 as f64 / 1_000.0 * self.per_second;
        (self.tokens + earned).min(Self::depth(self.per_second))
    }

    /// How long until a call may go; zero when one may now.
    pub(super) fn wait(&self, now: Timestamp) -> Millis {
        let missing = 1.0 - self.tokens_at(now);
        if missing <= 0.0 { Millis::ZERO } else { Millis((missing / self.per_second * 1_000.0).ceil() as u64) }
    }

    /// A call goes. Debt is bounded: a minute of it would outlast any reason for it.
    pub(super) fn spend(&mut self, now: Timestamp) {
        let most_debt = -60.0 * self.per_second;
        self.tokens = (self.tokens_at(now) - 1.0).max(most_debt);
        self.updated = self.updated.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn a_second_of_calls_may_come_at_once_then_the_rate_holds() {
        let mut bucket = Bucket::new(5.0);
        for _ in 0..5 {
            assert_eq!(bucket.wait(at(0)), Millis::ZERO);
            bucket.spend(at(0));
        }
        assert_eq!(bucket.wait(at(0)), Millis(200));
        assert_eq!(bucket.wait(at(200)), Millis::ZERO);
    }

    #[test]
    fn a_rate_under_one_lets_one_through_at_a_time() {
        let mut bucket = Bucket::new(0.5);
        bucket.spend(at(0));
        assert_eq!(bucket.wait(at(0)), Millis(2_000));
        assert_eq!(bucket.wait(at(2_000)), Millis::ZERO);
    }

    #[test]
    fn what_was_sent_in_need_is_paid_back() {
        let mut bucket = Bucket::new(1.0);
        (0..4).for_each(|_| bucket.spend(at(0)));
        assert_eq!(bucket.wait(at(0)), Millis(4_000));
    }

    #[test]
    fn a_smaller_budget_holds_at_once() {
        let mut bucket = Bucket::new(100.0);
        bucket.adopt(1.0);
        bucket.spend(at(0));
        assert_eq!(bucket.wait(at(0)), Millis(1_000));
    }
}
