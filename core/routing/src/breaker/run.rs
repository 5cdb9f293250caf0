//! Failures in a row.
//!
//! Duty: count a run by category, once for everything that was under way when it began.
//! Invariant: a run exists from its first failure to the next success; its counts only grow.
//! Leaves to others: how many are too many.

use super::{Attempt, Category};
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

    /// Adds a failure, unless it is one with the first: its attempt started before that one was known.
    pub(super) fn failure(&mut self, category: Category, attempt: &Attempt, now: Timestamp) {
        match self.began {
            Some(began) if attempt.started < began => return,
            Some(_) => {}
            None => self.began = Some(now),
        }
        match category {
            Category::Network | Category::Timeout => self.silent += 1,
            Category::Server => self.server += 1,
            Category::Auth => {
                self.auth += 1;
                self.note_method(attempt.method);
            }
            Category::Billing => {}
        }
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

    /// All failures but those of auth, which have their own rule.
    pub(super) const fn answered_or_silent(&self) -> u32 {
        self.silent + self.server
    }
}
