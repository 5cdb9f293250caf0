//! A breaker that hears of attempts from reports, and one that follows such a breaker.
//!
//! Duty: the control plane's side: merge what many workers add up ([`Breaker::absorb`]), wait for probes, outlive a restart. The worker's
//! side: [`Breaker::trip`] and [`Breaker::reset`].
//! Invariant: the rules of opening and closing are those of [`Breaker::record`]. A success anywhere ends the run of all; of a report only the
//! end of its run is known, so a run that a success ended inside of one report opens nothing.
//! Leaves to others: whether reports of one Envoy alone are enough (`may_open`), who gets a trial, what a probe asks.

use super::{Attempt, Breaker, Category, Company, Phase, Policy, Run, Signal, State, Transition};
use crate::breaker::Kind;
use crate::report::{ChannelTally, RunTally, Trials};
use crate::time::{Millis, Timestamp};

/// Reports of the same moment come within this long of each other.
const ON_THE_WAY: Millis = Millis(100);

/// What of a breaker outlives a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kept {
    /// It was open for so much longer, or half-open when zero; `None`: closed.
    pub open: Option<Millis>,
    /// Category that opened it.
    pub because: Option<Category>,
    /// Openings in a row.
    pub opens: u32,
}

impl Breaker {
    /// Learns what a report adds up. While `may_open` is false it counts, and does not open.
    pub fn absorb(
        &mut self,
        tally: &ChannelTally,
        company: Company,
        may_open: bool,
        now: Timestamp,
    ) -> Option<Transition> {
        match self.phase {
            Phase::Closed => self.absorb_closed(tally, company, may_open, now),
            Phase::Tripped { .. } => {
                let of_trials = self.absorb_trials(&tally.trials, now);
                // A failed trial is news about now; a last resort's success may be older.
                if matches!(of_trials, Some(Transition::Opened { .. } | Transition::Closed)) {
                    return of_trials;
                }
                self.absorb_last_resort(tally.last_resort_successes, now).or(of_trials)
            }
        }
    }

    fn absorb_closed(
        &mut self,
        tally: &ChannelTally,
        company: Company,
        may_open: bool,
        now: Timestamp,
    ) -> Option<Transition> {
        if tally.attempts > 0 && !tally.unbroken {
            self.run = Run::NONE;
            self.succeeded = self.succeeded.max(now.before(tally.succeeded.unwrap_or_default()));
        }
        // A worker's run may be older than the last success of another one. Reports are not equally long on the way: what lies this close together is taken
        // to have happened in the order that lets the run stand, or a worker that opened on it would stop asking, and nobody else would ever know.
        let began = now.before(tally.run.age);
        let first = if self.succeeded.since(began) > ON_THE_WAY { self.succeeded } else { began };
        self.run.add(&tally.run, first);
        self.window.add(tally.attempts, tally.failures.min(tally.attempts), first, now);
        let category = if tally.run.billing { Some(Category::Billing) } else { tally.run.last };
        // Failures before the last success leave no category; the window remembers them all the same.
        let category = category.or((tally.failures > 0).then_some(Category::Server))?;
        (may_open && self.should_open(category, company, now)).then(|| self.open(category, now))
    }

    fn absorb_trials(&mut self, trials: &Trials, now: Timestamp) -> Option<Transition> {
        if trials.opening != self.ever_opened || self.state(now) != State::HalfOpen {
            return None;
        }
        match trials.failure {
            Some(category) => Some(self.open(category, now)),
            None => (0..trials.successes).find_map(|_| self.count_success(now)),
        }
    }

    fn absorb_last_resort(&mut self, successes: u32, now: Timestamp) -> Option<Transition> {
        let attempt = Attempt { started: now, kind: Kind::LastResort, ..Attempt::default() };
        let mut last = None;
        for _ in 0..successes {
            last = self.record_tripped(Signal::Success, &attempt, self.state(now) == State::HalfOpen, now).or(last);
            if last == Some(Transition::Closed) {
                break;
            }
        }
        last
    }

    /// A probe failed: one failure of that category, whoever was in company.
    pub fn probe_failed(&mut self, category: Category, company: Company, now: Timestamp) -> Option<Transition> {
        let mut run = RunTally { last: Some(category), ..RunTally::default() };
        match category {
            Category::Network | Category::Timeout => run.silent = 1,
            Category::Server => run.server = 1,
            Category::Auth => run.auth = 1,
            Category::Billing => run.billing = true,
        }
        let tally = ChannelTally { attempts: 1, failures: 1, run, unbroken: true, ..ChannelTally::default() };
        match self.phase {
            Phase::Closed => self.absorb_closed(&tally, company, true, now),
            // It is open because it failed; only trials say that it still does.
            Phase::Tripped { .. } => None,
        }
    }

    /// A probe that this opening waits for succeeded. It never closes: the clock must agree, but for a first opening, which may end early.
    /// True when that made it half-open.
    pub fn probe_succeeded(&mut self, now: Timestamp) -> bool {
        let was_open = matches!(self.state(now), State::Open { .. });
        let first = self.opens <= 1;
        if let Phase::Tripped { until, probed, .. } = &mut self.phase {
            *probed = true;
            if first && now < *until {
                *until = now;
            }
        }
        was_open && self.state(now) == State::HalfOpen
    }

    /// Whether openings end by a probe (and the clock) or by the clock alone, because nobody probes.
    pub fn wait_for_probes(&mut self, wait: bool, now: Timestamp) {
        // What became half-open by the clock stays so: somebody may be trying it.
        if wait
            && !self.waits_for_probe
            && let Phase::Tripped { until, probed, .. } = &mut self.phase
            && now >= *until
        {
            *probed = true;
        }
        self.waits_for_probe = wait;
    }

    /// It has another key: what was open for the old one's sake is half-open at once, and what failed so far is not held against the new one. True
    /// when that made it half-open.
    pub fn rekeyed(&mut self, now: Timestamp) -> bool {
        self.end_run(now);
        let refused = matches!(self.because(), Some(Category::Auth | Category::Billing));
        let was_open = matches!(self.state(now), State::Open { .. });
        if refused {
            self.opens = 0;
            self.half_open_now(now);
        }
        refused && was_open
    }

    /// What failed so far and what comes are not one run.
    pub fn end_run(&mut self, now: Timestamp) {
        if matches!(self.phase, Phase::Closed) {
            self.run = Run::NONE;
            self.succeeded = self.succeeded.max(now);
        }
    }

    /// Whether its opening lasts until a probe succeeds, whatever the clock says.
    #[must_use]
    pub const fn needs_probe(&self) -> bool {
        match self.phase {
            Phase::Tripped { probed, .. } => self.waits_for_probe && !probed,
            Phase::Closed => false,
        }
    }

    /// Until when an opening lasts at least; `None` when that has passed.
    #[must_use]
    pub fn deadline(&self, now: Timestamp) -> Option<Timestamp> {
        match self.phase {
            Phase::Tripped { until, .. } if now < until => Some(until),
            Phase::Tripped { .. } | Phase::Closed => None,
        }
    }

    /// Why it opened, while it is not closed.
    #[must_use]
    pub const fn because(&self) -> Option<Category> {
        match self.phase {
            Phase::Tripped { because, .. } => because,
            Phase::Closed => None,
        }
    }

    /// Its numbers.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Counts openings: a trial's outcome belongs to one of them.
    #[must_use]
    pub const fn openings(&self) -> u32 {
        self.ever_opened
    }

    /// Failures in a row, however they were answered.
    #[must_use]
    pub const fn failures_in_a_row(&self) -> u32 {
        self.run.failures()
    }

    /// Attempts and failures of the last seconds.
    #[must_use]
    pub fn recent(&self) -> (u32, u32) {
        self.window.totals()
    }

    /// Successes that a half-open one has had.
    #[must_use]
    pub const fn trial_successes(&self) -> u32 {
        match self.phase {
            Phase::Tripped { successes, .. } => successes,
            Phase::Closed => 0,
        }
    }

    /// Follows a breaker that is open until then, whatever this one thinks. Openings in a row are not counted: they are the other's.
    pub fn trip(&mut self, until: Timestamp, now: Timestamp) {
        match (self.state(now), &mut self.phase) {
            (State::Open { .. }, Phase::Tripped { until: own, .. }) => *own = until,
            (State::Closed | State::HalfOpen | State::Open { .. }, _) => self.trip_at(now, until, None),
        }
    }

    /// Follows a breaker that is closed. A closed one keeps its run: the other has not heard of it yet.
    pub fn reset(&mut self, now: Timestamp) {
        match self.phase {
            Phase::Closed => {}
            Phase::Tripped { .. } => self.close(now),
        }
    }

    /// What is to be written down of it.
    #[must_use]
    pub fn kept(&self, now: Timestamp) -> Kept {
        let open = match self.phase {
            Phase::Closed => None,
            Phase::Tripped { until, .. } => Some(until.since(now)),
        };
        Kept { open, because: self.because(), opens: self.opens }
    }

    /// As it was written down `ago`: open if its deadline is still to come, half-open if that has passed.
    #[must_use]
    pub fn restored(policy: Policy, seed: u64, kept: Kept, ago: Millis, now: Timestamp) -> Self {
        let mut breaker = Self::new(policy, seed);
        breaker.opens = kept.opens;
        match kept.open {
            Some(left) => {
                let until = now.plus(Millis(left.0.saturating_sub(ago.0)));
                breaker.trip_at(now, until, kept.because);
                breaker.ever_opened = 1;
                if let Phase::Tripped { probed, .. } = &mut breaker.phase {
                    *probed = until <= now;
                }
            }
            // How long it has been closed is not known; as long as it was away is certain.
            None if kept.opens > 0 => breaker.closed_since = Some(now.before(ago)),
            None => {}
        }
        breaker
    }

    /// Numbers openings from there on, so that trials of an earlier life are not taken for those of this one.
    #[must_use]
    pub const fn numbered_from(mut self, number: u32) -> Self {
        self.ever_opened = self.ever_opened.wrapping_add(number);
        self
    }
}
