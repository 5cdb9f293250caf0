//! How fast and how reliable a channel has been with one class of methods.
//!
//! Duty: fold attempts into a few numbers that fade: latency of successes, successes and blamed failures, and from them what an
//! answer is expected to cost. Neutral outcomes (reverts, client errors, cancelled) never get here.
//! Invariant: size does not grow with traffic; every number read is finite. Reading takes a handful of float operations: fading is a
//! power of two put together from bits, so no `exp` runs per candidate.
//! Leaves to others: what unknown channels are presumed to do ([`Prior`] is given), and the ranking (`strategy`).

mod fade;
mod histogram;

#[cfg(test)]
mod tests;

use crate::time::{Micros, Millis, Timestamp};
use fade::halved;
use histogram::Histogram;

/// The weight of the latency and the count of successes halve in this long.
pub const SUCCESS_HALF_LIFE: Millis = Millis::from_secs(60);
/// The count of blamed failures halves in this long: a healed channel leads again in seconds.
pub const FAILURE_HALF_LIFE: Millis = Millis::from_secs(5);
/// Cap of the latency's weight: at a high rate the last second decides.
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
    histogram: Option<Box<Histogram>>,
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

    /// An attempt failed and the channel is to blame.
    pub fn failed(&mut self, now: Timestamp) {
        self.fade_to(now);
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        self.failures += 1.0;
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
        let age = now.since(self.updated);
        let (weight, share, in_a_row) = QUALIFIED;
        let successes = self.successes * halved(age, SUCCESS_HALF_LIFE);
        let attempts = successes + self.failures * halved(age, FAILURE_HALF_LIFE);
        age < QUALIFIED_AGE
            && self.weight(now) >= weight
            && successes >= share * attempts
            && self.failures_in_a_row < in_a_row
    }

    /// 95 of 100 answers were at least as fast; `None` while too few are known.
    #[must_use]
    pub fn p95(&self, now: Timestamp) -> Option<Micros> {
        self.percentiles(now).map(|(p95, _)| p95)
    }

    /// 99 of 100 answers were at least as fast; `None` while too few are known.
    #[must_use]
    pub fn p99(&self, now: Timestamp) -> Option<Micros> {
        self.percentiles(now).map(|(_, p99)| p99)
    }

    fn percentiles(&self, now: Timestamp) -> Option<(Micros, Micros)> {
        let histogram = self.histogram.as_deref()?;
        (self.weight(now) >= PERCENTILE_WEIGHT).then(|| histogram.percentiles())
    }

    fn replace_mean(&mut self, mean: f32, answers: u8) {
        self.mean = mean;
        self.weight = f32::from(answers);
        self.surprise = Surprise::default();
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
