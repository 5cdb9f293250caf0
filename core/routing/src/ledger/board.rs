//! Evidence of one (chain in a profile, method class): a seat for each channel.
//!
//! Invariant: what is the same for many calls (priors, percentiles, who is failing) is kept and renewed at most five times a second; what
//! a call needs fresh (a standing) takes a few float operations.

use crate::evidence::{Evidence, Prior, Standing, class_mean, speed};
use crate::time::{Micros, Millis, Timestamp};

/// Presumed latency of a class that nobody has answered.
const UNKNOWN_MEAN: f32 = 100_000.0;
/// Priors are renewed when they are this old.
const RENEW: Millis = Millis(200);
/// A channel that nobody asked for this long may be explored.
const QUIET: Millis = Millis::from_secs(5);
/// One call in this many may explore.
const EXPLORE_ONE_IN: u64 = 200;
/// Evidence that is enough to say that a channel fails: this much of it, and not this old.
const SETTLED: f32 = 3.0;
const OLD: Millis = Millis::from_secs(300);

/// One channel's seat.
#[derive(Debug, Clone, Default)]
pub(super) struct Seat {
    pub(super) evidence: Evidence,
    /// When it was last asked, in this class.
    pub(super) asked: Timestamp,
    /// As of the last renewal.
    p99: Option<Micros>,
    /// There is enough fresh evidence, and it speaks against the channel; as of the last renewal.
    failing: bool,
}

impl Seat {
    fn renew(&mut self, now: Timestamp) {
        let believable = self.evidence.weight(now) >= SETTLED && now.since(self.evidence.updated()) < OLD;
        self.failing = believable && !self.evidence.is_qualified(now);
        self.p99 = self.evidence.p99(now);
    }
}

/// The seats of one class.
#[derive(Debug, Clone)]
pub(super) struct Board {
    pub(super) seats: Vec<Seat>,
    mean: f32,
    renewed: Option<Timestamp>,
    calls: u64,
    explored: u64,
}

impl Board {
    pub(super) fn new(seats: usize) -> Self {
        Self::of(vec![Seat::default(); seats])
    }

    pub(super) const fn of(seats: Vec<Seat>) -> Self {
        Self { seats, mean: UNKNOWN_MEAN, renewed: None, calls: 0, explored: 0 }
    }

    /// Counts a call; renews what is kept when it is old.
    pub(super) fn renew(&mut self, now: Timestamp) {
        self.calls += 1;
        if self.renewed.is_none_or(|renewed| now.since(renewed) >= RENEW) {
            self.mean = class_mean(self.seats.iter().map(|seat| &seat.evidence), now).unwrap_or(UNKNOWN_MEAN);
            self.seats.iter_mut().for_each(|seat| seat.renew(now));
            self.renewed = Some(now);
        }
    }

    pub(super) fn standing(&self, place: usize, speed: f32, per_try: Millis, now: Timestamp) -> Option<Standing> {
        Some(self.seats.get(place)?.evidence.standing(Prior { mean: self.mean * speed, per_try }, now))
    }

    pub(super) fn is_failing(&self, place: usize) -> bool {
        self.seats.get(place).is_some_and(|seat| seat.failing)
    }

    pub(super) fn p99(&self, place: usize) -> Option<Micros> {
        self.seats.get(place)?.p99
    }

    /// Which of these places was asked longest ago, if that is long and exploring is within its share.
    pub(super) fn quiet(&self, places: impl Iterator<Item = usize>, now: Timestamp) -> Option<usize> {
        if (self.explored + 1) * EXPLORE_ONE_IN > self.calls {
            return None;
        }
        let asked = |place: &usize| self.seats.get(*place).map_or(now, |seat| seat.asked);
        places.filter(|place| now.since(asked(place)) >= QUIET).min_by_key(asked)
    }

    /// The place is being explored: nobody else needs to.
    pub(super) fn explore(&mut self, place: usize, now: Timestamp) {
        self.explored += 1;
        if let Some(seat) = self.seats.get_mut(place) {
            seat.asked = now;
        }
    }
}

/// How much slower than its peers each channel is, over all classes that were used.
pub(super) fn speeds(boards: &[Option<Box<Board>>], members: usize, now: Timestamp) -> Vec<f32> {
    let used = || boards.iter().flatten();
    (0..members)
        .map(|place| {
            speed(used().filter_map(|board| board.seats.get(place).map(|seat| (&seat.evidence, board.mean))), now)
        })
        .collect()
}
