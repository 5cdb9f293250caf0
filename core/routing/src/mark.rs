//! A provider asked us to slow down.
//!
//! Duty: remember until when a channel is marked as rate-limited. A marked channel is demoted, not excluded, and never blamed.
//! Invariant: refusals while a mark is in force do not lengthen the doubling: a burst of fifty refusals is one.
//! Leaves to others: reading `Retry-After` and its kin (`outcome`), what demoted means (`candidate`).

use crate::time::{Millis, Timestamp};

/// First mark when the provider does not say how long.
pub const FIRST: Millis = Millis::from_secs(1);
/// Longest mark that we make up.
pub const LONGEST_OWN: Millis = Millis::from_secs(60);
/// Longest mark that we believe.
pub const LONGEST_GIVEN: Millis = Millis::from_secs(3_600);
/// After this long without a refusal, counted from the mark's end, the doubling starts over.
pub const CLEAN: Millis = Millis::from_secs(60);

/// The rate-limit mark of one channel. Owned by the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RateLimitMark {
    until: Timestamp,
    /// Marks in a row whose length we made up.
    own: u32,
}

impl RateLimitMark {
    /// End of the mark, if one is in force.
    #[must_use]
    pub fn until(&self, now: Timestamp) -> Option<Timestamp> {
        (now < self.until).then_some(self.until)
    }

    /// Marks in a row whose length we made up.
    #[must_use]
    pub const fn own_in_a_row(&self) -> u32 {
        self.own
    }

    /// As it was written down: `left` of a mark, and how many were made up before.
    #[must_use]
    pub fn restored(left: Millis, own: u32, now: Timestamp) -> Self {
        Self { until: now.plus(left.min(LONGEST_GIVEN)), own }
    }

    /// The provider refused for its rate; `given` is how long it said to wait.
    pub fn refused(&mut self, given: Option<Millis>, now: Timestamp) {
        if now.since(self.until) >= CLEAN {
            self.own = 0;
        }
        match given {
            Some(wait) => self.until = self.until.max(now.plus(wait.min(LONGEST_GIVEN))),
            None if now < self.until => {}
            None => {
                let doubled = FIRST.0.saturating_mul(1_u64.checked_shl(self.own).unwrap_or(u64::MAX));
                self.until = now.plus(Millis(doubled).min(LONGEST_OWN));
                self.own = self.own.saturating_add(1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    /// Refusals as (when, what the provider said), and the end of the mark after the last of them.
    #[track_caller]
    fn check(refusals: &[(u64, Option<u64>)], until: Option<u64>) {
        let mut mark = RateLimitMark::default();
        let mut now = at(0);
        for &(when, given) in refusals {
            now = at(when);
            mark.refused(given.map(Millis), now);
        }
        assert_eq!(mark.until(now), until.map(at), "after {refusals:?}");
    }

    #[test]
    fn an_unmarked_channel_has_no_mark() {
        assert_eq!(RateLimitMark::default().until(at(0)), None);
    }

    #[test]
    fn what_the_provider_says_holds() {
        check(&[(100, Some(7_000))], Some(7_100));
        check(&[(100, Some(7_000)), (200, Some(1_000))], Some(7_100));
        check(&[(100, Some(7_000)), (200, Some(9_000))], Some(9_200));
    }

    #[test]
    fn an_absurd_wait_is_an_hour() {
        check(&[(0, Some(u64::MAX))], Some(3_600_000));
    }

    #[test]
    fn without_a_word_it_doubles_from_one_second_to_sixty() {
        check(&[(0, None)], Some(1_000));
        check(&[(0, None), (1_000, None)], Some(3_000));
        check(&[(0, None), (1_000, None), (3_000, None)], Some(7_000));
        let refusals: Vec<_> = [0, 1, 3, 7, 15, 31, 63, 123].map(|second| (second * 1_000, None)).into();
        check(&refusals, Some(183_000));
    }

    #[test]
    fn a_burst_of_refusals_is_one() {
        check(&[(0, None), (10, None), (20, None), (999, None)], Some(1_000));
    }

    #[test]
    fn a_clean_minute_forgets() {
        check(&[(0, None), (1_000, None), (3_000 + 59_999, None)], Some(62_999 + 4_000));
        check(&[(0, None), (1_000, None), (3_000 + 60_000, None)], Some(63_000 + 1_000));
    }

    #[test]
    fn it_ends_by_itself() {
        let mut mark = RateLimitMark::default();
        mark.refused(None, at(0));
        assert_eq!(mark.until(at(999)), Some(at(1_000)));
        assert_eq!(mark.until(at(1_000)), None);
    }
}
