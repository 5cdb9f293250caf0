//! Whether a channel gets traffic at all.
//!
//! Duty: turn the ends of attempts into closed, open or half-open, and say before an attempt whether it may start.
//! Invariant: policy-free. It knows categories of failure, not HTTP nor JSON-RPC; who is to blame was decided before. Outcomes of
//! attempts that started before an opening change nothing after it, so stragglers neither close nor prolong it.
//! Leaves to others: classification (`outcome`), ranking (`candidate`, `strategy`), merging the workers' views (control plane).
//!
//! Closed opens on a *run* of failures in a row that has also lasted [`RUN_LENGTH`], or on a *ratio* over the last ten seconds. A run
//! without a length opens at random at a thousand calls a second; the ratio is held to the same length, or one dropped connection
//! with twenty streams on it would be a verdict. Failures of attempts that were under way when the run's first failure became known
//! are that same failure and count as one with it. Silence is another matter: it has lasted since the attempt started or, if later, the
//! last success, and each attempt that waited through it counts. So a provider that hangs under many calls at once is left as soon as
//! the first few of them have timed out, and one that is only slow to some is not.
//!
//! Open lasts `min x 2^opens`, at most `max`, plus up to 5 % so that workers do not come back in step. Then trials, a few at a time;
//! successes in a row close it, any failure opens it again for longer.

mod fleet;
mod last_resort;
mod run;
mod terms;
mod window;

#[cfg(test)]
mod tests;

use crate::chance::Chance;
use crate::time::{Millis, Timestamp};
pub use fleet::Kept;
use last_resort::Slots;
use run::Run;
pub(crate) use run::beginning;
pub use terms::{Admission, Attempt, Category, Company, Kind, Policy, Signal, State, Transition};
use window::Window;

/// How long a run of failures must have lasted before it opens.
pub const RUN_LENGTH: Millis = Millis(500);
/// Failures in a row of one of the quick categories (network and timeout, auth) that open, unless the policy asks for fewer.
pub const QUICK_FAILURES: u32 = 3;
/// Different methods that auth failures must have hit: one client calling what its plan lacks is not a dead key.
pub const AUTH_METHODS: u32 = 2;
/// Attempts within the window before its ratio means anything.
pub const RATIO_ATTEMPTS: u32 = 20;
/// First opening after auth failures, and the longest.
pub const AUTH_OPEN: (Millis, Millis) = (Millis::from_secs(10), Millis::from_secs(600));
/// Opening after a billing failure.
pub const BILLING_OPEN: Millis = Millis::from_secs(600);
/// After this long closed, earlier openings are forgotten.
pub const FORGET_OPENS: Millis = Millis::from_secs(600);
/// Trials at once in one worker, which nobody coordinates with the others.
pub const TRIALS: u32 = 1;
/// A trial's permit comes back by itself after this long.
pub const TRIAL_LEASE: Millis = Millis::from_secs(2);

/// The breaker of one channel. Owned by the ledger; written when attempts start and end.
#[derive(Debug, Clone)]
pub struct Breaker {
    policy: Policy,
    seed: u64,
    phase: Phase,
    /// Openings in a row, and how many ever (the jitter's counter).
    opens: u32,
    ever_opened: u32,
    closed_since: Option<Timestamp>,
    /// Probes run: an opening ends when one has succeeded, not by the clock alone.
    waits_for_probe: bool,
    /// Silence does not begin before: the last success that is known, or when it closed or its run was ended.
    succeeded: Timestamp,
    run: Run,
    window: Window,
    slots: Slots,
}

/// The state as it is stored. Half-open by the clock is found on reading: [`Breaker::state`].
#[derive(Debug, Clone, Copy)]
enum Phase {
    Closed,
    /// Open before `until`, half-open after it.
    Tripped {
        at: Timestamp,
        until: Timestamp,
        because: Option<Category>,
        /// A probe has succeeded since.
        probed: bool,
        successes: u32,
        permits: u32,
        last_permit: Timestamp,
    },
}

impl Breaker {
    /// A closed breaker. `seed` spreads the ends of openings.
    #[must_use]
    pub const fn new(policy: Policy, seed: u64) -> Self {
        Self {
            policy,
            seed,
            phase: Phase::Closed,
            opens: 0,
            ever_opened: 0,
            closed_since: None,
            waits_for_probe: false,
            succeeded: Timestamp::from_millis(0),
            run: Run::NONE,
            window: Window::EMPTY,
            slots: Slots::NEW,
        }
    }

    /// Follows a new configuration; what was learned stays.
    pub const fn adopt(&mut self, policy: Policy) {
        self.policy = policy;
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> State {
        match self.phase {
            Phase::Closed => State::Closed,
            Phase::Tripped { until, probed, .. } if now < until || (self.waits_for_probe && !probed) => {
                State::Open { until }
            }
            Phase::Tripped { .. } => State::HalfOpen,
        }
    }

    /// Whether an attempt may start now. Looks only: a ranking asks many and starts one.
    #[must_use]
    pub fn admit(&self, now: Timestamp) -> Admission {
        match self.phase {
            Phase::Closed => Admission::Admitted,
            Phase::Tripped { until, .. } if now < until => Admission::Rejected { until },
            Phase::Tripped { permits, last_permit, .. } => {
                if permits < TRIALS || now.since(last_permit) >= TRIAL_LEASE {
                    Admission::Trial
                } else {
                    Admission::Rejected { until: last_permit.plus(TRIAL_LEASE) }
                }
            }
        }
    }

    /// Takes a permit for a trial that starts now; `false` when there is none.
    pub fn take_trial(&mut self, now: Timestamp) -> bool {
        if self.admit(now) != Admission::Trial {
            return false;
        }
        if let Phase::Tripped { permits, last_permit, .. } = &mut self.phase {
            if now.since(*last_permit) >= TRIAL_LEASE {
                *permits = 0;
            }
            *permits += 1;
            *last_permit = now;
        }
        true
    }

    /// Gives a permit back when the trial's stream is gone, whatever it brought.
    pub const fn return_trial(&mut self) {
        if let Phase::Tripped { permits, .. } = &mut self.phase {
            *permits = permits.saturating_sub(1);
        }
    }

    /// Whether [`Breaker::take_last_resort`] would give a slot now, else when it will.
    #[must_use]
    pub fn last_resort(&self, now: Timestamp) -> Admission {
        self.slots.peek(now).map_or(Admission::Trial, |until| Admission::Rejected { until })
    }

    /// Takes a slot for an attempt on this channel although it is not admitted, because none of the chain is.
    pub fn take_last_resort(&mut self, now: Timestamp) -> bool {
        self.slots.take(now)
    }

    /// Whether it may be asked after all others have failed a call: unless a last resort has failed just now.
    #[must_use]
    pub fn may_come_last(&self, now: Timestamp) -> bool {
        self.slots.is_rested(now)
    }

    /// A last resort was not answered in time, and nobody is to blame.
    pub const fn last_resort_was_silent(&mut self, now: Timestamp) {
        self.slots.shrink(now);
    }

    /// Learns how an attempt ended.
    pub fn record(&mut self, signal: Signal, attempt: &Attempt, now: Timestamp) -> Option<Transition> {
        if attempt.kind == Kind::LastResort {
            match signal {
                Signal::Success => self.slots.grow(),
                Signal::Failure(_) => self.slots.shrink(now),
                Signal::Ignore => {}
            }
        }
        match self.phase {
            // Kept out by the fleet's breaker, or closed since: that it would fail was known, here too.
            Phase::Closed if attempt.kind == Kind::LastResort && matches!(signal, Signal::Failure(_)) => None,
            Phase::Closed => self.record_closed(signal, attempt, now),
            Phase::Tripped { at, until, .. } => {
                let straggler = attempt.kind == Kind::Ordinary || attempt.started < at;
                if straggler { None } else { self.record_tripped(signal, attempt, now >= until, now) }
            }
        }
    }

    fn record_closed(&mut self, signal: Signal, attempt: &Attempt, now: Timestamp) -> Option<Transition> {
        match signal {
            Signal::Ignore => None,
            Signal::Success => {
                self.run = Run::NONE;
                self.succeeded = self.succeeded.max(now);
                self.window.success(now);
                None
            }
            Signal::Failure(category) => {
                self.run.failure(category, attempt, self.succeeded, now);
                // An auth failure of one method only is an attempt of the window that neither helps nor hurts.
                if category != Category::Auth || self.run.auth_methods() >= AUTH_METHODS {
                    self.window.failure(now);
                } else {
                    self.window.neutral(now);
                }
                self.should_open(category, attempt.company, now).then(|| self.open(category, now))
            }
        }
    }

    fn should_open(&self, category: Category, company: Company, now: Timestamp) -> bool {
        let lasted = self.run.lasted(now) >= RUN_LENGTH;
        let quick = QUICK_FAILURES.min(self.policy.failures);
        let silent = lasted && self.run.silent() >= quick;
        match company {
            Company::Alone => silent,
            Company::Others => {
                let refused = self.run.auth() >= quick && self.run.auth_methods() >= AUTH_METHODS;
                let ratio = self.window.failing_for(now) >= RUN_LENGTH && self.window.is_bad();
                let in_a_row = self.run.answered_or_silent() >= self.policy.failures;
                category == Category::Billing || silent || (lasted && (in_a_row || refused)) || ratio
            }
        }
    }

    fn record_tripped(
        &mut self,
        signal: Signal,
        attempt: &Attempt,
        half_open: bool,
        now: Timestamp,
    ) -> Option<Transition> {
        match (signal, attempt.kind, half_open) {
            (Signal::Success, Kind::Trial | Kind::LastResort, true) => self.count_success(now),
            (Signal::Success, Kind::LastResort, false) => {
                self.half_open_now(now);
                self.count_success(now).or(Some(Transition::HalfOpened))
            }
            (Signal::Failure(category), Kind::Trial, true) => Some(self.open(category, now)),
            // A failed last resort changes nothing but its slots; a trial that ends after another one's failure is old news.
            (Signal::Failure(_), Kind::LastResort, _)
            | (Signal::Failure(_) | Signal::Success, Kind::Trial, false)
            | (Signal::Success | Signal::Failure(_), Kind::Ordinary, _)
            | (Signal::Ignore, _, _) => None,
        }
    }

    fn half_open_now(&mut self, now: Timestamp) {
        if let Phase::Tripped { until, probed, successes, permits, .. } = &mut self.phase {
            (*until, *probed, *successes, *permits) = (now, true, 0, 0);
        }
    }

    fn count_success(&mut self, now: Timestamp) -> Option<Transition> {
        let Phase::Tripped { successes, .. } = &mut self.phase else {
            return None;
        };
        *successes = successes.saturating_add(1);
        if *successes < self.policy.successes {
            return None;
        }
        self.close(now);
        Some(Transition::Closed)
    }

    fn close(&mut self, now: Timestamp) {
        self.phase = Phase::Closed;
        self.closed_since = Some(now);
        // What started before and times out later is no silence that began before.
        self.succeeded = self.succeeded.max(now);
        self.run = Run::NONE;
        self.window = Window::EMPTY;
        self.slots = Slots::NEW;
    }

    fn open(&mut self, because: Category, now: Timestamp) -> Transition {
        if self.closed_since.is_some_and(|since| now.since(since) >= FORGET_OPENS) {
            self.opens = 0;
        }
        self.closed_since = None;
        let (min, max) = match because {
            Category::Network | Category::Timeout | Category::Server => (self.policy.min, self.policy.max),
            Category::Auth => AUTH_OPEN,
            Category::Billing => (BILLING_OPEN, BILLING_OPEN),
        };
        let doubled = min.0.saturating_mul(1_u64.checked_shl(self.opens).unwrap_or(u64::MAX)).min(max.0.max(min.0));
        let until = now.plus(Millis(doubled)).plus(jitter(doubled, self.seed, self.ever_opened));
        self.opens = self.opens.saturating_add(1);
        self.ever_opened = self.ever_opened.wrapping_add(1);
        self.trip_at(now, until, Some(because));
        Transition::Opened { until, because }
    }

    const fn trip_at(&mut self, at: Timestamp, until: Timestamp, because: Option<Category>) {
        let last_permit = Timestamp::from_millis(0);
        self.phase = Phase::Tripped { at, until, because, probed: false, successes: 0, permits: 0, last_permit };
    }
}

/// 0 to 5 % of `length`, the same for the same seed and count.
fn jitter(length: u64, seed: u64, count: u32) -> Millis {
    let part = Chance::new(seed.wrapping_add(u64::from(count))).below(51) as u64;
    Millis(length.saturating_mul(part) / 1_000)
}
