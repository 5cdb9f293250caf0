//! Evidence of many attempts at once: from reports, to tables, and back.
//!
//! Duty: fold the sums of a report in ([`Evidence::absorb`]), say all of it in a few numbers ([`Evidence::summary`]) and follow such
//! numbers ([`Evidence::adopt`]).
//! Invariant: sums mean what their attempts would have meant one by one, as far as sums tell: what failed comes first but for the failures
//! since the last success, and answers of one report are as good as simultaneous.
//! Leaves to others: adding up (the ledger), which attempts a summary has not heard of yet (the ledger).

use super::{
    Evidence, FAILURE_HALF_LIFE, FAST_SURPRISE, Histogram, MOST_WEIGHT, Percentiles, SLOW_SURPRISE, SUCCESS_HALF_LIFE,
    Streak, Surprise, bucket_of, halved, micros,
};
use crate::report::{Ending, Sums};
use crate::table::Summary;
use crate::time::{Micros, Millis, Timestamp};

impl Evidence {
    /// Learns what a report adds up.
    pub fn absorb(&mut self, sums: &Sums, now: Timestamp) {
        if !sums.latencies.is_empty() {
            self.histogram.get_or_insert_default().add_all(&sums.latencies, now);
        }
        let (successes, failures) = (sums.ended(Ending::Success), sums.failures());
        if successes == 0 && failures == 0 {
            return;
        }
        self.fade_to(now);
        if successes == 0 {
            self.fail(failures);
            return;
        }
        let trailing = u64::from(sums.trailing_failures).min(failures);
        self.fail(failures - trailing);
        self.succeed(successes, sums);
        self.failures_in_a_row = 0;
        self.fail(trailing);
    }

    fn fail(&mut self, failures: u64) {
        let in_a_row = u8::try_from(failures).unwrap_or(u8::MAX);
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(in_a_row);
        if failures > 0 {
            self.surprise.fast = Streak::default();
        }
        self.count(0, failures);
        self.weight = (self.weight + failures as f32).min(MOST_WEIGHT);
    }

    fn succeed(&mut self, successes: u32, sums: &Sums) {
        self.count(u64::from(successes), 0);
        let latency = micros(sums.latency) / successes as f32;
        let known = if self.mean > 0.0 { self.weight } else { 0.0 };
        let slow = known > 0.0 && micros(sums.fastest) > 2.0 * self.mean;
        let fast = known > 0.0 && micros(sums.slowest) < self.mean / 3.0;
        let Surprise { slow: mut slower, fast: mut faster } = self.surprise;
        let surprised = slower
            .step_all(slow, latency, successes, SLOW_SURPRISE)
            .map(|found| (found, SLOW_SURPRISE))
            .or_else(|| faster.step_all(fast, latency, successes, FAST_SURPRISE).map(|found| (found, FAST_SURPRISE)));
        self.surprise = Surprise { slow: slower, fast: faster };
        match surprised {
            Some(((mean, rest), answers)) => {
                self.replace_mean(mean, answers);
                self.mix(latency, rest);
            }
            None => self.mix(latency, successes),
        }
    }

    /// Counts one kind of end, as one at a time would: plainly up to the cap, from there on each step forgets its part.
    fn count(&mut self, successes: u64, failures: u64) {
        let all = successes + failures;
        let room = (MOST_WEIGHT - self.successes - self.failures).max(0.0) as u64;
        let (plain, forgetful) = (all.min(room), all.saturating_sub(room));
        let add = |evidence: &mut Self, attempts: f32| {
            if successes > 0 {
                evidence.successes += attempts;
            } else {
                evidence.failures += attempts;
            }
        };
        add(self, plain as f32);
        if forgetful == 0 {
            return;
        }
        add(self, 1.0);
        self.limit_counts();
        let kept = (MOST_WEIGHT / (MOST_WEIGHT + 1.0)).powi(steps(forgetful - 1));
        self.successes *= kept;
        self.failures *= kept;
        add(self, MOST_WEIGHT * (1.0 - kept));
    }

    /// So many answers of that latency: a plain mean until the weight's cap is reached, a moving one from there on.
    fn mix(&mut self, latency: f32, answers: u32) {
        let known = if self.mean > 0.0 { self.weight } else { 0.0 };
        let room = (MOST_WEIGHT - known).max(0.0);
        let plain = (answers as f32).min(room.floor());
        if plain > 0.0 {
            self.mean += (latency - self.mean) * plain / (known + plain);
        }
        let moving = answers as f32 - plain;
        if moving > 0.0 {
            self.mean = latency + (self.mean - latency) * (1.0 - 1.0 / MOST_WEIGHT).powi(steps(moving as u64));
        }
        self.weight = (self.weight + answers as f32).min(MOST_WEIGHT);
    }

    /// All that others need to know of it.
    #[must_use]
    pub fn summary(&self, now: Timestamp) -> Summary {
        Summary { p95: self.p95(now), p99: self.p99(now), ..self.figures(now) }
    }

    /// The same without percentiles.
    pub(crate) fn figures(&self, now: Timestamp) -> Summary {
        Summary {
            mean: self.mean,
            weight: self.weight,
            successes: self.successes,
            failures: self.failures,
            failures_in_a_row: self.failures_in_a_row,
            p95: None,
            p99: None,
            age: now.since(self.updated),
        }
    }

    /// Follows the fleet: its numbers replace these, and its percentiles stand for those of the answers seen here, which are
    /// collected all the same for the time when nobody is there to follow ([`Evidence::go_alone`]).
    pub fn adopt(&mut self, summary: &Summary, now: Timestamp) {
        self.take(summary, now);
        let bucket = |end: Micros| bucket_of(Micros(end.0.saturating_sub(1)));
        self.percentiles =
            Percentiles::Fleet(summary.p95.zip(summary.p99).map(|(p95, p99)| (bucket(p95), bucket(p99))));
    }

    /// There is no fleet to follow: percentiles are those of the answers seen here.
    pub const fn go_alone(&mut self) {
        self.percentiles = Percentiles::Own;
    }

    /// Evidence that was written down, `latencies` as [`Evidence::latencies`] gave them.
    #[must_use]
    pub fn restored(summary: &Summary, latencies: &[(u8, u32)], now: Timestamp) -> Self {
        let mut evidence = Self::default();
        evidence.take(summary, now);
        if !latencies.is_empty() {
            evidence.histogram = Some(Box::new(Histogram::of_counts(latencies, evidence.updated)));
        }
        evidence
    }

    /// The latencies that its percentiles come from, as (bucket, sixteenths of an answer).
    #[must_use]
    pub fn latencies(&self) -> Vec<(u8, u32)> {
        self.histogram.as_deref().map(|histogram| histogram.counts().collect()).unwrap_or_default()
    }

    fn take(&mut self, summary: &Summary, now: Timestamp) {
        let finite = |value: f32| if value.is_finite() { value.max(0.0) } else { 0.0 };
        self.updated = now.before(summary.age);
        // What is older than the clock has faded by the difference.
        let unseen = Millis(summary.age.0.saturating_sub(now.since(self.updated).0));
        let fading = halved(unseen, SUCCESS_HALF_LIFE);
        self.mean = finite(summary.mean);
        self.weight = (finite(summary.weight) * fading).min(MOST_WEIGHT);
        self.successes = finite(summary.successes) * fading;
        self.failures = finite(summary.failures) * halved(unseen, FAILURE_HALF_LIFE);
        self.failures_in_a_row = summary.failures_in_a_row;
    }
}

/// After so many steps of 1/64 each nothing of what was before is left.
fn steps(of: u64) -> i32 {
    of.min(4_096) as i32
}

impl Streak {
    /// Adds answers that all belong to the streak, else ends it; once it is long enough, its mean and how many were left over.
    fn step_all(&mut self, belong: bool, latency: f32, answers: u32, long: u8) -> Option<(f32, u32)> {
        if !belong {
            *self = Self::default();
            return None;
        }
        let missing = u32::from(long.saturating_sub(self.count));
        let taken = answers.min(missing);
        self.count = self.count.saturating_add(taken as u8);
        self.sum += latency * taken as f32;
        (self.count >= long).then(|| (self.sum / f32::from(self.count), answers - taken))
    }
}

/// A percentile is told as the end of its bucket, so nothing is lost on the way.
#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{BUCKETS, PERCENTILE_WEIGHT, Prior};
    use super::*;
    use crate::fleet::view::Unqualified;

    const fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    /// An attempt: the latency of an answer in milliseconds, or a failure.
    type Attempt = Option<u64>;

    /// The attempts, added up as a worker does.
    fn sums(attempts: &[Attempt]) -> Sums {
        let mut sums = Sums::default();
        let mut buckets = [0_u32; BUCKETS];
        for attempt in attempts {
            match attempt {
                Some(millis) => {
                    let latency = Millis(*millis).as_micros();
                    sums.endings[Ending::Success as usize] += 1;
                    sums.trailing_failures = 0;
                    sums.latency.0 += latency.0;
                    sums.fastest = if sums.fastest.0 == 0 { latency } else { sums.fastest.min(latency) };
                    sums.slowest = sums.slowest.max(latency);
                    buckets[usize::from(bucket_of(latency))] += 1;
                }
                None => {
                    sums.endings[Ending::Server as usize] += 1;
                    sums.trailing_failures += 1;
                }
            }
        }
        sums.latencies = (0..).zip(buckets).filter(|(_, count)| *count > 0).collect();
        sums
    }

    fn one_by_one(evidence: &mut Evidence, attempts: &[Attempt], now: Timestamp) {
        for attempt in attempts {
            match attempt {
                Some(millis) => evidence.succeeded(Millis(*millis).as_micros(), now),
                None => evidence.failed(now),
            }
        }
    }

    /// The same batches as sums and one by one.
    #[track_caller]
    fn check(batches: &[(u64, Vec<Attempt>)]) -> Evidence {
        let (mut sums_of, mut singly) = (Evidence::default(), Evidence::default());
        for (when, attempts) in batches {
            sums_of.absorb(&sums(attempts), at(*when));
            one_by_one(&mut singly, attempts, at(*when));
            same(&sums_of, &singly, at(*when));
        }
        sums_of
    }

    #[track_caller]
    fn same(found: &Evidence, expected: &Evidence, now: Timestamp) {
        let (found, expected) = (found.summary(now), expected.summary(now));
        let near = |found: f32, expected: f32| (found - expected).abs() <= expected.abs() * 0.002 + 1e-3;
        assert!(near(found.mean, expected.mean), "mean {} for {}", found.mean, expected.mean);
        assert!(near(found.weight, expected.weight), "weight {} for {}", found.weight, expected.weight);
        assert!(near(found.successes, expected.successes), "successes {} for {}", found.successes, expected.successes);
        assert!(near(found.failures, expected.failures), "failures {} for {}", found.failures, expected.failures);
        assert_eq!(found.failures_in_a_row, expected.failures_in_a_row);
        assert_eq!((found.p95, found.p99, found.age), (expected.p95, expected.p99, expected.age));
    }

    fn answers(count: usize, millis: u64) -> Vec<Attempt> {
        vec![Some(millis); count]
    }

    #[test]
    fn even_answers_mean_the_same_at_once() {
        check(&[(1_000, answers(10, 20)), (1_100, answers(3, 20))]);
        check(&[(1_000, answers(500, 20)), (61_000, answers(500, 30)), (62_000, answers(7, 25))]);
    }

    #[test]
    fn different_answers_mean_the_same_below_the_cap() {
        check(&[(1_000, vec![Some(20), Some(25), Some(30)]), (9_000, vec![Some(30), Some(22), Some(21)])]);
    }

    #[test]
    fn failures_count_and_the_last_ones_are_in_a_row() {
        let batches = [(1_000, vec![None, None]), (1_100, vec![None, Some(20), None]), (1_200, vec![None, None])];
        let evidence = check(&batches);
        assert_eq!(evidence.unqualified(at(1_200)), Some(Unqualified::FailingNow));
    }

    #[test]
    fn a_batch_that_is_slower_throughout_replaces_the_mean() {
        let evidence = check(&[(1_000, answers(64, 5)), (1_100, answers(20, 300))]);
        assert!(evidence.mean().unwrap() > 299_000.0);
    }

    #[test]
    fn a_streak_goes_on_from_batch_to_batch() {
        let evidence = check(&[(1_000, answers(64, 5)), (1_100, answers(2, 300)), (1_200, answers(3, 300))]);
        assert!(evidence.mean().unwrap() > 299_000.0);
        check(&[(1_000, answers(64, 120)), (1_100, answers(2, 5)), (1_200, answers(1, 5)), (1_300, answers(9, 5))]);
    }

    #[test]
    fn a_mixed_batch_ends_a_streak() {
        let mut evidence = Evidence::default();
        evidence.absorb(&sums(&answers(64, 10)), at(1_000));
        for step in 0..10 {
            evidence.absorb(&sums(&answers(4, 60)), at(1_100 + step));
            evidence.absorb(&sums(&[Some(60), Some(10)]), at(1_100 + step));
        }
        assert!(evidence.mean().unwrap() < 50_000.0);
    }

    #[test]
    fn what_says_nothing_changes_nothing() {
        let mut evidence = Evidence::default();
        evidence.absorb(&sums(&answers(4, 10)), at(1_000));
        let mut neutral = Sums::default();
        neutral.endings[Ending::Neutral as usize] = 9;
        neutral.endings[Ending::RateLimited as usize] = 2;
        let before = evidence.summary(at(60_000));
        evidence.absorb(&neutral, at(60_000));
        assert_eq!(evidence.summary(at(60_000)), before);
    }

    #[test]
    fn a_summary_stands_for_the_evidence_it_is_of() {
        let (mut fleet, now) = (Evidence::default(), at(500_000));
        fleet.absorb(&sums(&answers(200, 40)), at(490_000));
        fleet.absorb(&sums(&[None, Some(300), None]), at(495_000));
        let mut worker = Evidence::default();
        worker.absorb(&sums(&answers(90, 1)), at(499_000));
        worker.adopt(&fleet.summary(now), now);
        let prior = Prior { mean: 20_000.0, per_try: Millis(500) };
        for later in [now, now.plus(Millis(7_000)), now.plus(Millis(90_000))] {
            assert_eq!(worker.standing(prior, later), fleet.standing(prior, later));
            assert_eq!((worker.p95(later), worker.p99(later)), (fleet.p95(later), fleet.p99(later)));
            assert_eq!(worker.unqualified(later), fleet.unqualified(later));
        }
        assert_eq!(worker.p50(now), None, "the fleet does not tell");
        worker.go_alone();
        assert!(worker.p99(now).unwrap() < Micros(1_200), "its own answers took a millisecond");
    }

    #[test]
    fn evidence_older_than_the_clock_has_faded() {
        let summary =
            Summary { mean: 1_000.0, weight: 64.0, successes: 64.0, age: Millis(70_000), ..Summary::default() };
        let restored = Evidence::restored(&summary, &[], at(10_000));
        assert!((restored.weight(at(10_000)) - 64.0 * 0.445).abs() < 0.5);
    }

    #[test]
    fn what_was_written_down_is_read_again() {
        let (mut evidence, now) = (Evidence::default(), at(500_000));
        evidence.absorb(&sums(&(0..200).map(|step| Some(20 + step % 30)).collect::<Vec<_>>()), at(490_000));
        let again = Evidence::restored(&evidence.summary(now), &evidence.latencies(), now);
        same(&again, &evidence, now);
        assert_eq!(again.p50(now), evidence.p50(now));
        assert!(again.p50(now).is_some() && again.weight(now) > PERCENTILE_WEIGHT);
    }

    #[test]
    fn nonsense_stays_finite() {
        let mut evidence = Evidence::default();
        let nonsense = Sums {
            endings: [u32::MAX; Ending::COUNT],
            trailing_failures: u32::MAX,
            latency: Micros(u64::MAX),
            fastest: Micros(u64::MAX),
            slowest: Micros(0),
            latencies: vec![(255, 7), (3, u32::MAX), (3, u32::MAX)],
        };
        let summary = Summary { mean: f32::NAN, weight: f32::INFINITY, ..Summary::default() };
        for step in 1..50 {
            evidence.absorb(&nonsense, at(step));
            assert!(evidence.mean().unwrap().is_finite() && evidence.weight(at(step)) <= MOST_WEIGHT);
            evidence.adopt(&summary, at(step));
            assert!(evidence.summary(at(step)).weight.is_finite());
        }
    }

    proptest! {
        /// Sums do not tell the order of a report's attempts, so each report has its early failures first and even answers.
        #[test]
        fn reports_mean_what_their_attempts_mean(
            batches in prop::collection::vec((1_u64..20_000, 0_usize..4, 0_usize..90, 15_u64..25, 0_usize..4), 1..30),
        ) {
            let mut now = 100_000;
            let batches: Vec<(u64, Vec<Attempt>)> = batches.into_iter().map(|(pause, early, count, millis, late)| {
                now += pause;
                (now, [vec![None; early], answers(count, millis), vec![None; late]].concat())
            }).collect();
            check(&batches);
        }
    }
}
