//! Bytes that clients make the hub hold: messages on their way in, calls under way, answers on their way out.
//!
//! Invariant: [`MOST_BYTES`] for all clients together. Nobody waits for room, since who has it may be a slow client: it is there, or the answer is no.
//! Leaves to others: what waits in a client's outlet, which has a bound of its own.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// For all clients together.
const MOST_BYTES: usize = 512 * 1_024 * 1_024;
/// What is counted in.
const UNIT: usize = 1_024;

/// What is left. Clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Budget(Arc<Semaphore>);

/// Room that was taken, until it is dropped.
#[derive(Debug)]
pub(crate) struct Held(OwnedSemaphorePermit);

impl Budget {
    pub(crate) fn new() -> Self {
        Self::of(MOST_BYTES)
    }

    /// With another bound.
    pub(crate) fn of(most_bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(most_bytes / UNIT)))
    }

    /// Takes room for so many bytes, if there is any.
    pub(crate) fn take(&self, bytes: usize) -> Option<Held> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).ok()?;
        Arc::clone(&self.0).try_acquire_many_owned(units).ok().map(Held)
    }

    /// Room for more of the same; whether there was any.
    pub(crate) fn add(&self, held: &mut Option<Held>, bytes: usize) -> bool {
        let Some(more) = self.take(bytes) else { return false };
        match held {
            Some(held) => held.0.merge(more.0),
            None => *held = Some(more),
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_by_one_is_not_there_for_another() {
        let budget = Budget::new();
        let mut held = budget.take(MOST_BYTES - UNIT);
        assert!(held.is_some());
        assert!(budget.add(&mut held, 1));
        assert!(budget.take(1).is_none());
        assert!(!budget.add(&mut held, 1));
        drop(held);
        assert!(budget.take(MOST_BYTES).is_some());
        assert!(budget.take(usize::MAX).is_none());
    }
}
