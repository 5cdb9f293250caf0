//! Failures in a row.
//!
//! Duty: count a run by category, once for everything that was under way when it began.
//! Invariant: a run exists from its first failure to the next success; its counts only grow.
//! Leaves to others: how many are too many.

use super::{Attempt, Category};
use crate::report::RunTally;
use crate::time::{Millis, Timestamp};

/// The current run of failures.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    began: Option<Timestamp>,
    silent: u32,
    server: u32,
    auth: u32,
    /// The first two different methods that auth failures hit.
    auth_methods: [Option<u16>; 2],
}

impl Run {
    /// No run.
    pub(super) const NONE: Self = Self { began: None, silent: 0, server: 0, auth: 0, auth_methods: [None; 2] };

    /// Adds a failure, unless it is one with the first: its attempt started before the run began. `succeeded` is the last success.
    pub(super) fn failure(&mut self, category: Category, attempt: &Attempt, succeeded: Timestamp, now: Timestamp) {
        match self.began {
            Some(began) if attempt.started < began => return,
            Some(_) => {}
            None => self.began = Some(beginning(category, attempt.started, succeeded, now)),
        }
        match category {
            Category::Network | Category::Timeout => self.silent = self.silent.saturating_add(1),
            Category::Server => self.server = self.server.saturating_add(1),
            Category::Auth => {
                self.auth = self.auth.saturating_add(1);
                self.note_method(attempt.method);
            }
            Category::Billing => {}
        }
    }

    /// Goes on with what a report tells of it; the first of these failures was known at `first`.
    pub(super) fn add(&mut self, tally: &RunTally, first: Timestamp) {
        if tally.last.is_none() {
            return;
        }
        self.began = Some(self.began.map_or(first, |began| began.min(first)));
        self.silent = self.silent.saturating_add(tally.silent);
        self.server = self.server.saturating_add(tally.server);
        self.auth = self.auth.saturating_add(tally.auth);
        let classes = tally.auth_classes.iter().flatten();
        classes.for_each(|class| self.note_method(u16::try_from(class.index()).unwrap_or(u16::MAX)));
    }

    fn note_method(&mut self, method: u16) {
        match &mut self.auth_methods {
            [first @ None, _] => *first = Some(method),
            [Some(first), second @ None] if *first != method => *second = Some(method),
            [Some(_), _] => {}
        }
    }

    /// How long it has lasted.
    pub(super) fn lasted(&self, now: Timestamp) -> Millis {
        self.began.map_or(Millis::ZERO, |began| now.since(began))
    }

    /// Failures to reach it or to hear from it.
    pub(super) const fn silent(&self) -> u32 {
        self.silent
    }

    /// Auth failures.
    pub(super) const fn auth(&self) -> u32 {
        self.auth
    }

    /// Different methods among the auth failures, as far as two.
    pub(super) fn auth_methods(&self) -> u32 {
        self.auth_methods.iter().flatten().map(|_| 1).sum()
    }

    /// All failures.
    pub(super) const fn failures(&self) -> u32 {
        self.silent.saturating_add(self.server).saturating_add(self.auth)
    }

    /// All failures but those of auth, which have their own rule.
    pub(super) const fn answered_or_silent(&self) -> u32 {
        self.silent.saturating_add(self.server)
    }
}

/// When a run begins whose first failure becomes known now. A failure is a moment; silence has lasted since the attempt started, or since the last success: each
/// of those who waited through it saw it for himself, and where answers came meanwhile there was no silence.
pub(crate) fn beginning(category: Category, started: Timestamp, succeeded: Timestamp, now: Timestamp) -> Timestamp {
    match category {
        Category::Timeout => started.max(succeeded).min(now),
        Category::Network | Category::Server | Category::Auth | Category::Billing => now,
    }
}
