//! The subscriptions of one client.
//!
//! Duty: whose name is whose number, and how far each has come.
//! Invariant: what is in it is counted, and was wished for; what leaves it has left the feeds, too, also where it was they who ended it: they remember it until then.
//! Few for each client ([`Limits::subscriptions`](crate::Limits::subscriptions)), so they are looked through.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::feeds::{Feeds, SubscriptionId};
use crate::tally::Tally;

/// An item of a batch that has not been answered: the batch's number, the item's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) batch: u64,
    pub(super) item: usize,
}

/// How far a subscription has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// The feeds have not answered.
    Asked(Option<Spot>),
    /// They have, but the batch that asked waits for others; what comes waits with it.
    Held(u64),
    /// The client knows it.
    Live,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: SubscriptionId,
    pub(super) name: Arc<str>,
    /// The request's id as the client wrote it.
    pub(super) request: Arc<str>,
    pub(super) stage: Stage,
}

#[derive(Debug)]
pub(super) struct Book {
    entries: Vec<Entry>,
    feeds: Feeds,
    tally: Arc<Tally>,
}

impl Book {
    pub(super) fn new(feeds: Feeds, tally: Arc<Tally>) -> Self {
        Self { entries: Vec::new(), feeds, tally }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// A subscription was asked for.
    pub(super) fn ask(&mut self, entry: Entry) {
        self.tally.subscribe();
        self.entries.push(entry);
    }

    pub(super) fn named(&mut self, name: &Arc<str>) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| Arc::ptr_eq(&entry.name, name) || entry.name == *name)
    }

    /// The names that the client knows.
    pub(super) fn names(&self) -> Vec<Arc<str>> {
        let live = self.entries.iter().filter(|entry| entry.stage == Stage::Live);
        live.map(|entry| Arc::clone(&entry.name)).collect()
    }

    /// Those that the client knows.
    pub(super) fn known(&self) -> impl Iterator<Item = SubscriptionId> {
        self.entries.iter().filter(|entry| entry.stage == Stage::Live).map(|entry| entry.id)
    }

    /// A subscription that the client can know.
    pub(super) fn live(&self, name: &str) -> Option<SubscriptionId> {
        self.entries.iter().find(|entry| entry.stage == Stage::Live && *entry.name == *name).map(|entry| entry.id)
    }

    /// The feeds refused what this request asked for: it is over. Clients may use an id twice, so the very request is looked for first.
    pub(super) fn refused(&mut self, request: &Arc<str>) -> Option<Entry> {
        let asked = |entry: &Entry| matches!(entry.stage, Stage::Asked(_));
        let exact = self.entries.iter().position(|entry| asked(entry) && Arc::ptr_eq(&entry.request, request));
        let place = exact.or_else(|| self.entries.iter().position(|entry| asked(entry) && entry.request == *request));
        place.map(|place| self.remove(place))
    }

    /// The feeds ended it.
    pub(super) fn ended(&mut self, name: &Arc<str>) -> Option<Entry> {
        let place = self.entries.iter().position(|entry| entry.name == *name)?;
        Some(self.remove(place))
    }

    /// The client does not want it any more.
    pub(super) fn forget(&mut self, id: SubscriptionId) {
        if let Some(place) = self.entries.iter().position(|entry| entry.id == id) {
            self.remove(place);
        }
    }

    /// A batch was said: the client knows what it made.
    pub(super) fn release(&mut self, batch: u64) {
        for entry in self.entries.iter_mut().filter(|entry| entry.stage == Stage::Held(batch)) {
            entry.stage = Stage::Live;
        }
    }

    fn remove(&mut self, place: usize) -> Entry {
        self.tally.unsubscribe(1);
        let entry = self.entries.swap_remove(place);
        self.feeds.leave(entry.id);
        entry
    }
}

impl Drop for Book {
    fn drop(&mut self) {
        self.tally.unsubscribe(self.entries.len());
        for entry in &self.entries {
            self.feeds.leave(entry.id);
        }
    }
}

/// A name that nobody guesses: `0x` and 32 hex digits. `None` when the system has no randomness.
pub(super) fn name() -> Option<Arc<str>> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).ok()?;
    let mut name = String::with_capacity(34);
    name.push_str("0x");
    for byte in random {
        let _ = write!(name, "{byte:02x}");
    }
    Some(name.into())
}
