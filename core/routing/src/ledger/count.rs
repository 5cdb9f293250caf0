//! What attempts add up to, for the next report: by channel, as breakers and marks need it.
//!
//! Invariant: a run of failures is counted as the breaker counts it: once for everything that was under way when its first failure became
//! known. It does not depend on where the local breaker stands, and it goes on from report to report until a success ends it.

use super::{Begun, End};
use crate::breaker::{AUTH_METHODS, Category, Kind, Signal, beginning};
use crate::outcome::{Mark, Row};
use crate::report::{ChannelTally, RunTally, Trials};
use crate::time::{Millis, Timestamp};

/// Attempts on one channel since the last report.
#[derive(Debug, Clone, Default)]
pub(super) struct Count {
    attempts: u32,
    failures: u32,
    run: RunTally,
    /// When the run's first failure became known, in this report or in one before.
    began: Option<Timestamp>,
    /// There was a success since the last report.
    broken: bool,
    trials: Trials,
    last_resort_successes: u32,
    refusals: u32,
    told_to_wait: Option<Millis>,
    /// When the last success became known, in this report or in one before.
    succeeded: Timestamp,
    /// Calls in flight, as the last report had them.
    in_flight_told: u32,
    /// It is on the list of channels with news.
    pub(super) listed: bool,
    /// The reports that have its last failure and its last refusal.
    pub(super) failed_in: u64,
    pub(super) refused_in: u64,
}

impl Count {
    /// An attempt ended; it will be in the report of that number.
    pub(super) fn ended(&mut self, end: &End<'_>, report: u64) {
        if end.verdict.row == Row::RateLimit {
            self.refusals = self.refusals.saturating_add(1);
            self.refused_in = report;
            if let Mark::RateLimited(given) = end.verdict.mark {
                self.told_to_wait = self.told_to_wait.max(given);
            }
        }
        match end.verdict.signal() {
            Signal::Ignore => {}
            Signal::Success => {
                self.attempts = self.attempts.saturating_add(1);
                (self.run, self.began, self.broken) = (RunTally::default(), None, true);
                self.succeeded = end.now;
                if end.begun.kind == Kind::LastResort {
                    self.last_resort_successes = self.last_resort_successes.saturating_add(1);
                }
                if let Some(trials) = self.trials_of(&end.begun) {
                    trials.successes = trials.successes.saturating_add(1);
                }
            }
            Signal::Failure(category) => {
                self.attempts = self.attempts.saturating_add(1);
                self.failed_in = report;
                self.go_on(category, &end.begun, end.now);
                if category != Category::Auth || self.auth_methods() >= AUTH_METHODS {
                    self.failures = self.failures.saturating_add(1);
                }
                if let Some(trials) = self.trials_of(&end.begun) {
                    trials.failure = Some(category);
                }
            }
        }
    }

    fn trials_of(&mut self, begun: &Begun) -> Option<&mut Trials> {
        let opening = begun.opening?;
        if self.trials.opening != opening {
            self.trials = Trials { opening, ..Trials::default() };
        }
        Some(&mut self.trials)
    }

    fn go_on(&mut self, category: Category, begun: &Begun, now: Timestamp) {
        let run = &mut self.run;
        run.last = Some(category);
        // Whatever was under way: a bill is a bill.
        run.billing |= category == Category::Billing;
        if self.began.is_some_and(|began| begun.started < began) {
            return;
        }
        self.began.get_or_insert(beginning(category, begun.started, self.succeeded, now));
        match category {
            Category::Network | Category::Timeout => run.silent = run.silent.saturating_add(1),
            Category::Server => run.server = run.server.saturating_add(1),
            Category::Auth => {
                run.auth = run.auth.saturating_add(1);
                match &mut run.auth_classes {
                    [first @ None, _] => *first = Some(begun.class),
                    [Some(first), second @ None] if *first != begun.class => *second = Some(begun.class),
                    [Some(_), _] => {}
                }
            }
            Category::Billing => {}
        }
    }

    fn auth_methods(&self) -> u32 {
        self.run.auth_classes.iter().flatten().map(|_| 1).sum()
    }

    /// Adds what the same channel did after that.
    pub(super) fn merge(&mut self, later: Self) {
        self.attempts = self.attempts.saturating_add(later.attempts);
        self.failures = self.failures.saturating_add(later.failures);
        self.last_resort_successes = self.last_resort_successes.saturating_add(later.last_resort_successes);
        self.refusals = self.refusals.saturating_add(later.refusals);
        self.told_to_wait = self.told_to_wait.max(later.told_to_wait);
        self.succeeded = self.succeeded.max(later.succeeded);
        self.failed_in = self.failed_in.max(later.failed_in);
        self.refused_in = self.refused_in.max(later.refused_in);
        if later.broken {
            (self.run, self.began, self.broken) = (later.run, later.began, true);
        } else {
            self.run = joined(self.run, later.run);
            self.began = self.began.or(later.began);
        }
        if later.trials.opening == self.trials.opening {
            self.trials.successes = self.trials.successes.saturating_add(later.trials.successes);
            self.trials.failure = later.trials.failure.or(self.trials.failure);
        } else if later.trials != Trials::default() {
            self.trials = later.trials;
        }
    }

    /// What is to be said of it, if there is something. The run goes on without what was said.
    pub(super) fn draw(&mut self, channel: &str, in_flight: u32, now: Timestamp) -> Option<ChannelTally> {
        self.listed = false;
        let quiet = self.attempts == 0 && self.refusals == 0 && self.in_flight_told == in_flight;
        if quiet {
            return None;
        }
        let age = self.began.map_or(Millis::ZERO, |began| now.since(began));
        // With no failure in this report there is nothing of the run to tell.
        let run = if self.run.last.is_some() { RunTally { age, ..self.run } } else { RunTally::default() };
        let told = ChannelTally {
            channel: channel.into(),
            attempts: self.attempts,
            failures: self.failures,
            run,
            unbroken: !self.broken,
            trials: self.trials,
            last_resort_successes: self.last_resort_successes,
            in_flight,
            refusals: self.refusals,
            told_to_wait: self.told_to_wait,
            succeeded: self.broken.then(|| now.since(self.succeeded)),
        };
        let Self { began, succeeded, failed_in, refused_in, .. } = *self;
        // Which methods were refused is told again: together with those of the next report they may be two.
        let run = RunTally { auth_classes: self.run.auth_classes, ..RunTally::default() };
        *self = Self { began, succeeded, failed_in, refused_in, run, in_flight_told: in_flight, ..Self::default() };
        Some(told)
    }
}

/// One run out of two that follow each other without a success.
fn joined(first: RunTally, then: RunTally) -> RunTally {
    let mut classes = first.auth_classes.into_iter().flatten().chain(then.auth_classes.into_iter().flatten());
    let one = classes.next();
    let other = classes.find(|class| Some(*class) != one);
    RunTally {
        silent: first.silent.saturating_add(then.silent),
        server: first.server.saturating_add(then.server),
        auth: first.auth.saturating_add(then.auth),
        auth_classes: [one, other],
        billing: first.billing || then.billing,
        last: then.last.or(first.last),
        // Known when it is told.
        age: Millis::ZERO,
    }
}
