//! How fast and how reliable a channel has been with one class of methods.
//!
//! Duty: fold attempts into a few numbers that fade: latency of successes, successes and blamed failures, and from them what an
//! answer is expected to cost. Neutral outcomes (reverts, client errors, cancelled) never get here.
//! Invariant: size does not grow with traffic; every number read is finite. Reading takes a handful of float operations: fading is a
//! power of two put together from bits, so no `exp` runs per candidate.
//! Leaves to others: what unknown channels are presumed to do ([`Prior`] is given), and the ranking (`strategy`).

mod fade;
mod histogram;
mod merge;

#[cfg(test)]
mod tests;

use crate::fleet::view::Unqualified;
use crate::time::{Micros, Millis, Timestamp};
pub(crate) use fade::halved;
use histogram::Histogram;
pub use histogram::{BUCKETS, bucket_of, upper_end};

/// The weight of the latency and the count of successes halve in this long.
pub const SUCCESS_HALF_LIFE: Millis = Millis::from_secs(60);
/// The count of blamed failures halves in this long: a healed channel leads again in seconds.
pub const FAILURE_HALF_LIFE: Millis = Millis::from_secs(5);
/// Cap of the latency's weight, and of successes and failures together: at a high rate the last second decides. Without it a provider that did well for long
/// could fail for just as long before its failures weighed anything.
pub const MOST_WEIGHT: f32 = 64.0;
/// Weight of the prior, in attempts.
pub const PRIOR_WEIGHT: f32 = 3.0;
/// A failure costs the per-try timeout, but never more than this.
pub const MOST_PENALTY: Millis = Millis(1_000);
/// Below this weight percentiles say nothing.
pub const PERCENTILE_WEIGHT: f32 = 50.0;
/// Evidence older than this does not qualify.
pub const QUALIFIED_AGE: Millis = Millis::from_secs(300);
/// Weight and share of successes that qualify, and the failures in a row that disqualify.
pub const QUALIFIED: (f32, f32, u8) = (3.0, 0.75, 3);
/// This many answers running, all slower than twice the mean, replace it.
pub const SLOW_SURPRISE: u8 = 5;
/// This many answers running, all faster than a third of the mean, replace it.
pub const FAST_SURPRISE: u8 = 3;

/// Presumed latency of a class that nobody has answered, microseconds.
pub(crate) const UNKNOWN_MEAN: f32 = 100_000.0;
/// A channel that nobody asked for this long may be explored.
pub(crate) const QUIET: Millis = Millis::from_secs(5);
/// After a pleasant surprise, so many more answers replace the mean.
pub(crate) const FOLLOW_UPS: u8 = FAST_SURPRISE - 1;
/// One call in this many may explore.
pub(crate) const EXPLORE_ONE_IN: u64 = 200;

/// Evidence of one (chain in a profile, channel, method class). Owned by the ledger, written when attempts end.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// Mean latency of successes in microseconds; 0 before the first.
    mean: f32,
    /// `n`, `s` and `f` as they were at `updated`.
    weight: f32,
    successes: f32,
    failures: f32,
    updated: Timestamp,
    failures_in_a_row: u8,
    surprise: Surprise,
    percentiles: Percentiles,
    histogram: Option<Box<Histogram>>,
}

/// Where the percentiles come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Percentiles {
    /// From what was added here.
    #[default]
    Own,
    /// From the fleet, as the buckets of p95 and p99; `None` while too few answers are known there.
    Fleet(Option<(u8, u8)>),
}

/// Answers in a row that contradict the mean.
#[derive(Debug, Clone, Copy, Default)]
struct Surprise {
    slow: Streak,
    fast: Streak,
}

#[derive(Debug, Clone, Copy, Default)]
struct Streak {
    count: u8,
    sum: f32,
}

impl Streak {
    /// Adds an answer that belongs to the streak, else ends it; the mean of a streak that has become long enough.
    fn step(&mut self, belongs: bool, latency: f32, long: u8) -> Option<f32> {
        if !belongs {
            *self = Self::default();
            return None;
        }
        self.count += 1;
        self.sum += latency;
        (self.count >= long).then(|| self.sum / f32::from(self.count))
    }
}

/// What is presumed of a channel before it has shown anything.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prior {
    /// Presumed mean latency in microseconds: the class's mean over the chain x the channel's speed.
    pub mean: f32,
    /// The per-try timeout of the attempt in question.
    pub per_try: Millis,
}

/// Evidence as it stands at one instant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standing {
    /// Weight of the latency, in attempts, 0 to 64.
    pub n: f32,
    /// Probability of success.
    pub p: f32,
    /// Mean latency with the prior mixed in, microseconds.
    pub mean: f32,
    /// What an answer costs, failures included, microseconds.
    pub expected: f32,
    /// `expected` with the benefit of the doubt, microseconds: what channels are ranked by.
    pub index: f32,
}

impl Evidence {
    /// An attempt brought an answer.
    pub fn succeeded(&mut self, latency: Micros, now: Timestamp) {
        self.fade_to(now);
        self.failures_in_a_row = 0;
        self.successes += 1.0;
        self.limit_counts();
        self.histogram.get_or_insert_default().add(latency, now);
        let latency = micros(latency);
        // With no latency yet the weight may still count failures: those say nothing about speed.
        let known = if self.mean > 0.0 { self.weight } else { 0.0 };
        let slow = self.surprise.slow.step(known > 0.0 && latency > 2.0 * self.mean, latency, SLOW_SURPRISE);
        let fast = self.surprise.fast.step(known > 0.0 && latency < self.mean / 3.0, latency, FAST_SURPRISE);
        match (slow, fast) {
            (Some(mean), _) => self.replace_mean(mean, SLOW_SURPRISE),
            (None, Some(mean)) => self.replace_mean(mean, FAST_SURPRISE),
            (None, None) => {
                self.mean += (latency - self.mean) / (known + 1.0).min(MOST_WEIGHT);
                self.weight = (self.weight + 1.0).min(MOST_WEIGHT);
            }
        }
    }

    /// It was left alone for a while and is about to be asked again: what comes back weighs as much as all that was known of its speed.
    pub fn doubt(&mut self, now: Timestamp) {
        self.fade_to(now);
        self.weight = self.weight.min(1.0);
    }

    /// Whether the last answers were so much faster than the mean that the next ones may replace it: worth asking again at once.
    #[must_use]
    pub const fn is_surprisingly_fast(&self) -> bool {
        self.surprise.fast.count > 0
    }

    /// An attempt failed and the channel is to blame.
    pub fn failed(&mut self, now: Timestamp) {
        self.fade_to(now);
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        self.surprise.fast = Streak::default();
        self.failures += 1.0;
        self.limit_counts();
        self.weight = (self.weight + 1.0).min(MOST_WEIGHT);
    }

    /// An attempt was cut after `length`. Only the percentiles learn of it, so that a method that slows everywhere gets more time; blame
    /// is settled when the request ends, by [`Evidence::failed`].
    pub fn timed_out(&mut self, length: Micros, now: Timestamp) {
        self.histogram.get_or_insert_default().add(length, now);
    }

    /// The breaker closed: what failed before is history.
    pub const fn forget_failures(&mut self) {
        self.failures = 0.0;
        self.failures_in_a_row = 0;
    }

    /// All that a ranking needs, at once.
    #[must_use]
    pub fn standing(&self, prior: Prior, now: Timestamp) -> Standing {
        let age = now.since(self.updated);
        let fading = halved(age, SUCCESS_HALF_LIFE);
        let n = self.weight * fading;
        let p = self.reliability(fading, age);
        let known = if self.mean > 0.0 { n } else { 0.0 };
        let mean = (known * self.mean + PRIOR_WEIGHT * prior.mean) / (known + PRIOR_WEIGHT);
        let penalty = micros(prior.per_try.min(MOST_PENALTY).as_micros());
        let expected = mean + (1.0 - p) / p * penalty;
        let index = expected * (1.0 - 0.5 / (n + 1.0).sqrt());
        Standing { n, p, mean, expected, index }
    }

    fn reliability(&self, fading: f32, age: Millis) -> f32 {
        let successes = self.successes * fading + PRIOR_WEIGHT;
        successes / (successes + self.failures * halved(age, FAILURE_HALF_LIFE))
    }

    /// Weight of the latency at `now`, in attempts.
    #[must_use]
    pub fn weight(&self, now: Timestamp) -> f32 {
        self.weight * halved(now.since(self.updated), SUCCESS_HALF_LIFE)
    }

    /// Mean latency of its successes in microseconds, without any prior; `None` before the first.
    #[must_use]
    pub fn mean(&self) -> Option<f32> {
        (self.mean > 0.0).then_some(self.mean)
    }

    /// When it last changed.
    #[must_use]
    pub const fn updated(&self) -> Timestamp {
        self.updated
    }

    /// Whether it is enough, fresh and good enough to be believed.
    #[must_use]
    pub fn is_qualified(&self, now: Timestamp) -> bool {
        self.unqualified(now).is_none()
    }

    /// Why it is not to be believed; `None` when it is.
    #[must_use]
    pub fn unqualified(&self, now: Timestamp) -> Option<Unqualified> {
        let age = now.since(self.updated);
        let (weight, share, in_a_row) = QUALIFIED;
        let successes = self.successes * halved(age, SUCCESS_HALF_LIFE);
        let attempts = successes + self.failures * halved(age, FAILURE_HALF_LIFE);
        if age >= QUALIFIED_AGE {
            Some(Unqualified::Old)
        } else if self.failures_in_a_row >= in_a_row {
            Some(Unqualified::FailingNow)
        } else if self.weight(now) < weight {
            Some(Unqualified::Thin)
        } else {
            (successes < share * attempts).then_some(Unqualified::Failing)
        }
    }

    /// Share of successes among what counts, as observed, 0 to 1; 1 while nothing counts.
    #[must_use]
    pub fn success(&self, now: Timestamp) -> f32 {
        let age = now.since(self.updated);
        let successes = self.successes * halved(age, SUCCESS_HALF_LIFE);
        let attempts = successes + self.failures * halved(age, FAILURE_HALF_LIFE);
        if attempts > 1e-6 { successes / attempts } else { 1.0 }
    }

    /// Half of the answers were at least as fast; `None` while too few are known, or where only the fleet's percentiles are.
    #[must_use]
    pub fn p50(&self, now: Timestamp) -> Option<Micros> {
        let histogram = self.histogram.as_deref().filter(|_| self.percentiles == Percentiles::Own)?;
        (self.weight(now) >= PERCENTILE_WEIGHT).then(|| histogram.median())
    }

    /// 95 of 100 answers were at least as fast; `None` while too few are known.
    #[must_use]
    pub fn p95(&self, now: Timestamp) -> Option<Micros> {
        self.percentiles(now).map(|(p95, _)| upper_end(p95))
    }

    /// 99 of 100 answers were at least as fast; `None` while too few are known.
    #[must_use]
    pub fn p99(&self, now: Timestamp) -> Option<Micros> {
        self.percentiles(now).map(|(_, p99)| upper_end(p99))
    }

    fn percentiles(&self, now: Timestamp) -> Option<(u8, u8)> {
        let known = match self.percentiles {
            Percentiles::Own => self.histogram.as_deref().map(Histogram::percentiles),
            Percentiles::Fleet(known) => known,
        };
        known.filter(|_| self.weight(now) >= PERCENTILE_WEIGHT)
    }

    fn replace_mean(&mut self, mean: f32, answers: u8) {
        self.mean = mean;
        self.weight = f32::from(answers);
        self.surprise = Surprise::default();
    }

    /// Keeps the ratio of successes to failures, and forgets what lies further back than [`MOST_WEIGHT`] attempts.
    fn limit_counts(&mut self) {
        let attempts = self.successes + self.failures;
        if attempts > MOST_WEIGHT {
            let kept = MOST_WEIGHT / attempts;
            self.successes *= kept;
            self.failures *= kept;
        }
    }

    fn fade_to(&mut self, now: Timestamp) {
        let age = now.since(self.updated);
        let fading = halved(age, SUCCESS_HALF_LIFE);
        self.weight *= fading;
        self.successes *= fading;
        self.failures *= halved(age, FAILURE_HALF_LIFE);
        self.updated = self.updated.max(now);
    }
}

/// Mean latency of a class over a chain's channels in microseconds, each by its weight; `None` when nobody has answered.
pub fn class_mean<'a>(channels: impl IntoIterator<Item = &'a Evidence>, now: Timestamp) -> Option<f32> {
    weighted_mean(channels.into_iter().filter_map(|evidence| Some((evidence.mean()?, evidence.weight(now)))))
}

/// How much slower than its peers a channel is: the weighted mean, over the classes it has evidence for, of its mean / the class's
/// mean. 1 without evidence.
pub fn speed<'a>(classes: impl IntoIterator<Item = (&'a Evidence, f32)>, now: Timestamp) -> f32 {
    let ratios = classes.into_iter().filter_map(|(evidence, class_mean)| {
        (class_mean > 0.0).then_some(())?;
        Some((evidence.mean()? / class_mean, evidence.weight(now)))
    });
    weighted_mean(ratios).unwrap_or(1.0)
}

fn weighted_mean(values: impl Iterator<Item = (f32, f32)>) -> Option<f32> {
    let (sum, weight) = values.fold((0.0, 0.0), |(sum, total), (value, weight)| (sum + value * weight, total + weight));
    // Evidence that has all but faded would make this a quotient of two nothings.
    (weight > 1e-6).then(|| sum / weight)
}

/// Exact enough: an `f32` holds 16 s to the microsecond, and longer ones to 1 part in 16 million.
fn micros(length: Micros) -> f32 {
    length.0.max(1) as f32
}
