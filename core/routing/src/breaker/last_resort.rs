//! How many attempts an open channel gets when the chain has no other, or the others have failed a call.
//!
//! Duty: hand out slots: one in 250 ms, doubling with each success, back to one on a failure. A blip that hit every provider then ends
//! when the providers are back, not when a timer says so. A call that others have failed first needs no slot: it is lost anyway. But after
//! a last resort that failed there is a rest, or every such call would wait for a provider that was just found dead.
//! Invariant: never more slots in one 250 ms than the current rate.
//! Leaves to others: deciding that there is no other.

use crate::time::{Millis, Timestamp};

/// Length of one round of slots.
const ROUND: Millis = Millis(250);
/// Doubling ends here: more than any worker serves in a round.
const MOST: u32 = 1 << 16;

/// Slots of one channel in this worker.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slots {
    rate: u32,
    used: u32,
    round: Option<Timestamp>,
    /// When an attempt last failed; none after a success.
    failed: Option<Timestamp>,
}

impl Slots {
    /// One slot in a round, none used.
    pub(super) const NEW: Self = Self { rate: 1, used: 0, round: None, failed: None };

    /// `None` when a slot is free now, else the end of the round.
    pub(super) fn peek(&self, now: Timestamp) -> Option<Timestamp> {
        let round = self.round?;
        (now.since(round) < ROUND && self.used >= self.rate).then(|| round.plus(ROUND))
    }

    /// Takes a slot.
    pub(super) fn take(&mut self, now: Timestamp) -> bool {
        if self.peek(now).is_some() {
            return false;
        }
        match self.round {
            Some(round) if now.since(round) < ROUND => self.used += 1,
            Some(_) | None => (self.round, self.used) = (Some(now), 1),
        }
        true
    }

    /// Whether none has failed just now.
    pub(super) fn is_rested(&self, now: Timestamp) -> bool {
        self.failed.is_none_or(|failed| now.since(failed) >= ROUND)
    }

    /// An attempt succeeded.
    pub(super) fn grow(&mut self) {
        self.rate = (self.rate * 2).min(MOST);
        self.failed = None;
    }

    /// An attempt failed.
    pub(super) const fn shrink(&mut self, now: Timestamp) {
        self.rate = 1;
        self.failed = Some(now);
    }
}
