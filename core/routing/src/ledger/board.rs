//! Evidence of one (chain in a profile, method class): a seat for each channel.
//!
//! Invariant: what is the same for many calls (priors, percentiles, who is failing) is kept and renewed at most five times a second; what
//! a call needs fresh (a standing) takes a few float operations.

use super::tally::LineNo;
use crate::evidence::{EXPLORE_ONE_IN, Evidence, FOLLOW_UPS, Prior, QUIET, Standing, UNKNOWN_MEAN, class_mean, speed};
use crate::time::{Micros, Millis, Timestamp};

/// Priors are renewed when they are this old.
const RENEW: Millis = Millis(200);
/// Evidence that is enough to say that a channel fails: this much of it, and not this old.
const SETTLED: f32 = 3.0;
const OLD: Millis = Millis::from_secs(300);

/// One channel's seat.
#[derive(Debug, Clone, Default)]
pub(super) struct Seat {
    pub(super) evidence: Evidence,
    /// When it was last asked, in this class.
    pub(super) asked: Timestamp,
    /// Attempts of this class that have not ended.
    pub(super) in_flight: u16,
    /// Where its attempts since the last report are added up.
    pub(super) line: LineNo,
    /// The table that replaced its evidence last, as this worker counts them.
    pub(super) told_in: u32,
    /// How often the exploration may still be followed up.
    follow_ups: u8,
    /// As of the last renewal.
    p99: Option<Micros>,
    /// There is enough fresh evidence, and it speaks against the channel; as of the last renewal.
    failing: bool,
}

impl Seat {
    /// It was explored, the answer was a pleasant surprise, and none that was asked for since is out.
    fn is_followed_up(&self) -> bool {
        self.follow_ups > 0 && self.evidence.is_surprisingly_fast() && self.asked <= self.evidence.updated()
    }

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

    pub(super) fn is_asking(&self, place: usize) -> bool {
        self.seats.get(place).is_some_and(|seat| seat.in_flight > 0)
    }

    pub(super) fn is_failing(&self, place: usize) -> bool {
        self.seats.get(place).is_some_and(|seat| seat.failing)
    }

    pub(super) fn p99(&self, place: usize) -> Option<Micros> {
        self.seats.get(place)?.p99
    }

    /// Which of these places was asked longest ago, if that is long and exploring is within its share. One whose last answer was a pleasant surprise is asked
    /// again at once: a few such answers make it a leader, and waiting for each of them would keep a healed provider out for long.
    pub(super) fn quiet(&self, places: impl Iterator<Item = usize> + Clone, now: Timestamp) -> Option<usize> {
        let seat = |place: &usize| self.seats.get(*place);
        let surprising = |place: &usize| seat(place).is_some_and(Seat::is_followed_up);
        if let Some(place) = places.clone().find(surprising) {
            return Some(place);
        }
        if (self.explored + 1) * EXPLORE_ONE_IN > self.calls {
            return None;
        }
        let asked = |place: &usize| seat(place).map_or(now, |seat| seat.asked);
        places.filter(|place| now.since(asked(place)) >= QUIET).min_by_key(asked)
    }

    /// The place is being explored: nobody else needs to.
    pub(super) fn explore(&mut self, place: usize, now: Timestamp) {
        self.explored += 1;
        if let Some(seat) = self.seats.get_mut(place) {
            if now.since(seat.asked) >= QUIET {
                seat.evidence.doubt(now);
                seat.follow_ups = FOLLOW_UPS;
            } else {
                seat.follow_ups = seat.follow_ups.saturating_sub(1);
            }
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
