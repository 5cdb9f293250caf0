//! What the fleet said about one channel.
//!
//! Duty: the fleet's breaker, mark, bar, limits, sockets and the leases for trials, as of the last table, and what they let through.
//! Invariant: a channel's opening that has run out lets nobody through without a lease: whoever heals it is asked by few.
//! Leaves to others: the worker's own breaker, and joining the two ([`super::look`]).

use super::Limits;
use crate::table::{Barred, BreakerView, ChannelView};
use crate::time::Timestamp;

/// Leases for trials of one channel that are kept.
const MOST_TRIALS: usize = 16;

/// The fleet's breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Word {
    #[default]
    Closed,
    Open {
        until: Timestamp,
    },
    /// A person said so.
    OpenByHand,
    HalfOpen,
}

impl Word {
    /// Whether traffic waits for time or trials.
    pub(super) const fn is_shut(self) -> bool {
        match self {
            Self::Open { .. } | Self::HalfOpen => true,
            Self::Closed | Self::OpenByHand => false,
        }
    }
}

/// What the fleet lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    All,
    /// One trial: there is a lease.
    Trial,
    /// Nothing before then.
    NotBefore(Timestamp),
    /// Nothing without a lease, and there is none.
    Lease,
    /// Nothing until a person says otherwise.
    Hand,
    /// Never.
    Never(Barred),
}

/// What the fleet said about one channel.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    pub(super) word: Word,
    opening: u32,
    barred: Option<Barred>,
    /// A ws channel has a live socket.
    pub(super) connected: bool,
    pub(super) limited_until: Timestamp,
    /// Ends of the leases for trials of this opening.
    trials: Vec<Timestamp>,
    /// A last resort succeeded here; the worker goes by its own breaker until a table includes that report.
    pub(super) lifted: Option<u64>,
    pub(super) limits: Option<Box<Limits>>,
    /// The table that is being followed named it.
    pub(super) named: bool,
}

impl Told {
    /// Follows a table. True when that closed the fleet's breaker.
    pub(super) fn follow(&mut self, view: &ChannelView, now: Timestamp) -> bool {
        let word = match view.breaker {
            BreakerView::Closed => Word::Closed,
            BreakerView::Open { left: Some(left) } => Word::Open { until: now.plus(left) },
            BreakerView::Open { left: None } => Word::OpenByHand,
            BreakerView::HalfOpen => Word::HalfOpen,
        };
        let closed = word == Word::Closed && self.word != Word::Closed;
        if word != Word::HalfOpen || view.opening != self.opening {
            self.trials.clear();
        }
        if closed {
            self.lifted = None;
        }
        self.word = word;
        self.opening = view.opening;
        self.barred = view.barred;
        self.connected = view.connected;
        self.limited_until = view.limited.map_or(Timestamp::default(), |left| now.plus(left));
        self.named = true;
        closed
    }

    /// A full table did not name it.
    pub(super) fn forget(&mut self) {
        let limits = self.limits.take();
        *self = Self { limits, ..Self::default() };
    }

    /// Whether there is nothing left of it that matters.
    pub(super) fn is_idle(&self, now: Timestamp) -> bool {
        self.word == Word::Closed
            && self.barred.is_none()
            && !self.connected
            && self.limited_until <= now
            && self.limits.is_none()
    }

    /// What it lets through; a worker that is alone goes by its own breaker where time or trials decide.
    pub(super) fn leave(&self, alone: bool, now: Timestamp) -> Leave {
        if let Some(barred) = self.barred {
            return Leave::Never(barred);
        }
        match self.word {
            Word::Closed => Leave::All,
            Word::OpenByHand => Leave::Hand,
            Word::Open { .. } | Word::HalfOpen if alone || self.lifted.is_some() => Leave::All,
            Word::Open { until } if now < until => Leave::NotBefore(until),
            Word::HalfOpen if self.trials.iter().any(|end| now < *end) => Leave::Trial,
            Word::Open { .. } | Word::HalfOpen => Leave::Lease,
        }
    }

    /// A lease for a trial of that opening.
    pub(super) fn lease(&mut self, opening: u32, end: Timestamp) {
        if self.word == Word::HalfOpen && self.opening == opening && self.trials.len() < MOST_TRIALS {
            self.trials.push(end);
        }
    }

    /// Spends a lease; the opening that it belongs to.
    pub(super) fn take_trial(&mut self, now: Timestamp) -> Option<u32> {
        self.trials.retain(|end| now < *end);
        // The one that ends first.
        let place = (0..self.trials.len()).min_by_key(|place| self.trials.get(*place).copied())?;
        self.trials.swap_remove(place);
        Some(self.opening)
    }

    pub(super) fn end_leases(&mut self) {
        self.trials.clear();
    }
}
