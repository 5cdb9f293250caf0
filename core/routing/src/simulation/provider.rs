//! A provider that is only numbers, and its faults.

use crate::breaker::Category;
use crate::chance::Chance;
use crate::fixture::{DONE, failed};
use crate::outcome::{Blame, Mark, Row, Verdict};
use crate::time::{Micros, Millis, Timestamp};

/// How a provider does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Doing {
    Well,
    /// Nobody gets through.
    Dead,
    /// It takes requests and says nothing.
    Silent,
    /// So many of a hundred answers are errors.
    Failing(usize),
    /// So many times slower.
    Slow(u32),
    /// It refuses for its rate.
    Limiting,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Provider {
    pub(super) mean_ms: f64,
    pub(super) doing: Doing,
    /// Since when it does.
    pub(super) since: Timestamp,
}

/// Spread of the logarithm of its answers' times.
const SIGMA: f64 = 0.3;

impl Provider {
    /// What comes of an attempt, and after how long.
    pub(super) fn answer(&self, per_try: Millis, chance: &mut Chance) -> (Micros, Verdict) {
        let (slower, failing) = match self.doing {
            Doing::Dead => return (Micros(2_000), failed(Category::Network)),
            Doing::Limiting => return (Micros(5_000), REFUSED),
            Doing::Silent => (f64::INFINITY, 0),
            Doing::Failing(percent) => (1.0, percent),
            Doing::Slow(times) => (f64::from(times), 0),
            Doing::Well => (1.0, 0),
        };
        let (u, v) = (chance.unit(), chance.unit());
        let normal = (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos();
        let took = self.mean_ms * slower * 1_000.0 * (SIGMA * normal - SIGMA * SIGMA / 2.0).exp();
        let took = Micros(took as u64);
        if took >= per_try.as_micros() {
            return (per_try.as_micros(), Verdict { row: Row::TimedOut, ..failed(Category::Timeout) });
        }
        let fails = chance.below(100) < failing;
        (took, if fails { failed(Category::Server) } else { DONE })
    }
}

const REFUSED: Verdict = Verdict {
    row: Row::RateLimit,
    blame: Blame::None,
    mark: Mark::RateLimited(Some(Millis(3_000))),
    ..failed(Category::Server)
};
