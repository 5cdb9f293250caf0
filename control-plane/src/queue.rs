//! How full a bounded queue was.
//!
//! Duty: remember the deepest that a queue was and how much found no room, so that `/metrics` can show it.
//! Invariant: an atomic or two for each item; nobody waits for it.
//! Leaves to others: the queues, how deep they are now, and who is told ([`crate::http::facts`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

use crate::http::facts::Queue;

/// Marks of one queue, or of all of one kind together. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meter(Arc<Marks>);

#[derive(Debug, Default)]
struct Marks {
    depth: AtomicU64,
    high_water: AtomicU64,
    dropped: AtomicU64,
}

impl Meter {
    /// So many wait, as somebody saw who knows.
    pub(crate) fn seen(&self, depth: usize) {
        self.0.high_water.fetch_max(depth as u64, Ordering::Relaxed);
    }

    /// One more waits, told before it is put in. For queues of which nobody sees all: each is [`Meter::kept`] or not, and [`Meter::taken`] once.
    pub(crate) fn put(&self) {
        self.0.depth.fetch_add(1, Ordering::Relaxed);
    }

    /// It found room.
    pub(crate) fn kept(&self) {
        self.0.high_water.fetch_max(self.0.depth.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// One less waits.
    pub(crate) fn taken(&self) {
        self.0.depth.fetch_sub(1, Ordering::Relaxed);
    }

    /// So many found no room.
    pub(crate) fn dropped(&self, count: u64) {
        self.0.dropped.fetch_add(count, Ordering::Relaxed);
    }

    /// As it is shown, with what waits by what was put in and taken out.
    pub(crate) fn counted(&self, name: &'static str, capacity: u64) -> Queue {
        self.shown(name, self.0.depth.load(Ordering::Relaxed), capacity)
    }

    /// As it is shown.
    pub(crate) fn shown(&self, name: &'static str, depth: u64, capacity: u64) -> Queue {
        let high_water = self.0.high_water.load(Ordering::Relaxed).max(depth);
        Queue { name, depth, capacity, high_water, dropped: self.0.dropped.load(Ordering::Relaxed) }
    }
}

/// How many wait for the receiver of a channel.
pub(crate) fn waiting<T>(sender: &mpsc::Sender<T>) -> usize {
    sender.max_capacity() - sender.capacity()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_stays_and_drops_add_up() {
        let meter = Meter::default();
        (0..2).for_each(|_| {
            meter.put();
            meter.kept();
        });
        meter.taken();
        meter.dropped(3);
        meter.clone().dropped(1);
        let Queue { depth, high_water, dropped, .. } = meter.counted("q", 4);
        assert_eq!((depth, high_water, dropped), (1, 2, 4));
        meter.seen(7);
        assert_eq!(meter.shown("q", 3, 8).high_water, 7);
    }
}
