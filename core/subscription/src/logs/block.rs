//! One block as a feed of logs has it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lasso_routing::time::Timestamp;

use crate::payload::{Hash, Log, as_removed};

/// What became of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It waits for something before it.
    Held,
    Told,
    /// It was taken back, by the provider's own word.
    Removed,
}

#[derive(Debug)]
struct Entry {
    payload: Arc<str>,
    fate: Fate,
}

/// What must happen before later blocks' logs may be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Nothing: the block is settled.
    Nothing,
    /// Its logs have to come, and the channel to get beyond it.
    Evidence,
    /// Its logs have to be fetched.
    Answer(Answer),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) since: Timestamp,
    /// Not before.
    pub(super) at: Timestamp,
    pub(super) asked: bool,
    pub(super) tries: u32,
    /// It was said once already that there are none.
    pub(super) empty: bool,
    /// The channel should have told of them: what is found was lost there.
    pub(super) owed: bool,
}

#[derive(Debug)]
pub(super) struct Block {
    pub(super) number: u64,
    pub(super) hash: Hash,
    /// When its head was told, or its first log came.
    pub(super) since: Timestamp,
    /// Its bloom does not rule logs of this filter out.
    pub(super) may_match: bool,
    /// All of its logs were fetched.
    pub(super) verified: bool,
    pub(super) need: Need,
    entries: BTreeMap<u64, Entry>,
    /// Those that wait.
    held: BTreeSet<u64>,
}

impl Block {
    pub(super) fn new(number: u64, hash: Hash, since: Timestamp) -> Self {
        Self {
            number,
            hash,
            since,
            may_match: true,
            verified: false,
            need: Need::Nothing,
            entries: BTreeMap::new(),
            held: BTreeSet::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    pub(super) fn is_held(&self) -> bool {
        !self.held.is_empty()
    }

    pub(super) fn is_told(&self) -> bool {
        self.entries.values().any(|entry| entry.fate == Fate::Told)
    }

    /// Whether a log after this one was told.
    pub(super) fn told_after(&self, index: u64) -> bool {
        self.entries.range(index.saturating_add(1)..).any(|(_, entry)| entry.fate == Fate::Told)
    }

    pub(super) fn fate(&self, index: u64) -> Option<Fate> {
        self.entries.get(&index).map(|entry| entry.fate)
    }

    /// Holds a log that is new, or was removed and has come again.
    pub(super) fn hold(&mut self, index: u64, payload: Arc<str>) {
        self.entries.insert(index, Entry { payload, fate: Fate::Held });
        self.held.insert(index);
    }

    pub(super) fn mark_removed(&mut self, index: u64) {
        if let Some(entry) = self.entries.get_mut(&index) {
            entry.fate = Fate::Removed;
            self.held.remove(&index);
        }
    }

    /// What is told now, in order.
    pub(super) fn tell(&mut self) -> Vec<Arc<str>> {
        let mut told = Vec::with_capacity(self.held.len());
        while let Some(index) = self.held.pop_first() {
            if let Some(entry) = self.entries.get_mut(&index) {
                entry.fate = Fate::Told;
                told.push(Arc::clone(&entry.payload));
            }
        }
        told
    }

    /// What was told and is taken back, newest first.
    pub(super) fn take_back(&self) -> Vec<Arc<str>> {
        let told = self.entries.values().rev().filter(|entry| entry.fate == Fate::Told);
        told.map(|entry| as_removed(&entry.payload)).collect()
    }

    /// Forgets what was told of it; it cannot be compared with anything any more.
    pub(super) fn forget(&mut self) {
        self.verified = true;
        self.entries.retain(|_, entry| entry.fate == Fate::Held);
    }

    /// Its logs have to be fetched.
    pub(super) fn doubt(&mut self, owed: bool, now: Timestamp) {
        if !matches!(self.need, Need::Answer(_)) {
            self.need = Need::Answer(Answer { since: now, at: now, asked: false, tries: 0, empty: false, owed });
        }
    }

    /// Its logs, and whether each was told.
    pub(super) fn into_logs(self) -> Vec<(Log, Arc<str>, bool)> {
        let Self { number, hash: block, entries, .. } = self;
        let logs = entries.into_iter().map(|(index, entry)| {
            let removed = entry.fate == Fate::Removed;
            (Log { number, block, index, removed }, entry.payload, entry.fate != Fate::Held)
        });
        logs.collect()
    }
}
