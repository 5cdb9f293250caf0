//! Which things changed, in the order in which they last did.
//!
//! Duty: answer "what changed since I was last told" for many listeners at the cost of what changed, not of what there is.
//! Invariant: a thing that changed again is found once, at its last change; memory is bounded by the number of things.
//! Leaves to others: what the things are, and telling.

use std::collections::VecDeque;

/// Changes of things that are numbered from 0.
#[derive(Debug, Default)]
pub(super) struct Journal {
    /// The last change of each thing; 0 for never.
    latest: Vec<u64>,
    /// Changes in order; those that are not the latest of their thing are passed over.
    entries: VecDeque<(u64, usize)>,
    revision: u64,
}

impl Journal {
    /// Of so many things, none of which has changed.
    pub(super) fn of(things: usize) -> Self {
        Self { latest: vec![0; things], ..Self::default() }
    }

    /// A thing changed. One that is new is added.
    pub(super) fn note(&mut self, thing: usize) {
        if self.latest.len() <= thing {
            self.latest.resize(thing + 1, 0);
        }
        self.revision += 1;
        if let Some(latest) = self.latest.get_mut(thing) {
            *latest = self.revision;
        }
        self.entries.push_back((self.revision, thing));
        if self.entries.len() > 2 * self.latest.len() + 64 {
            let latest = &self.latest;
            self.entries.retain(|&(revision, thing)| latest.get(thing) == Some(&revision));
        }
    }

    /// How many changes there were.
    pub(super) const fn revision(&self) -> u64 {
        self.revision
    }

    /// What changed after that revision, each with the revision of its last change, oldest first.
    pub(super) fn since(&self, revision: u64) -> impl Iterator<Item = (u64, usize)> + '_ {
        let from = self.entries.partition_point(|&(at, _)| at <= revision);
        self.entries.range(from..).copied().filter(|&(at, thing)| self.latest.get(thing) == Some(&at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(journal: &Journal, since: u64, expected: &[usize]) {
        assert_eq!(journal.since(since).map(|(_, thing)| thing).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn each_thing_is_told_once_at_its_last_change() {
        let mut journal = Journal::of(4);
        [2, 0, 2, 3, 0].into_iter().for_each(|thing| journal.note(thing));
        check(&journal, 0, &[2, 3, 0]);
        check(&journal, 3, &[3, 0]);
        check(&journal, journal.revision(), &[]);
    }

    #[test]
    fn it_does_not_grow_with_changes() {
        let mut journal = Journal::of(3);
        (0..100_000).for_each(|step| journal.note(step % 3));
        assert!(journal.entries.len() <= 70);
        check(&journal, 0, &[1, 2, 0]);
    }
}
