//! Asking for blocks that channels are known to have, before anybody tells of them.
//!
//! Invariant: what channels say of their heads never ends a feed; it only makes us ask. At most one fetch at a time.

use lasso_routing::time::{Millis, Timestamp};

use crate::desk::Desk;
use crate::event::{Ask, MOST_HEADERS};
use crate::line::Line;

/// How long a block that somebody has may be missing while the feed has no channel, or while its logs wait.
const IN_A_HURRY: Millis = Millis(500);
/// A hint is good for this long: it is one channel's word.
const HINT: Millis = Millis::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct CatchUp {
    /// Since when somebody is known to have more than was told.
    since: Option<Timestamp>,
    hint: Option<(u64, Timestamp)>,
    /// Ask for the next block whatever is known: the binding is new, and blocks may have come before it.
    once: bool,
}

impl CatchUp {
    pub(super) fn once(&mut self) {
        self.once = true;
    }

    pub(super) fn hint(&mut self, number: u64, now: Timestamp) {
        if self.hint.is_none_or(|(known, at)| number > known || now.since(at) >= HINT) {
            self.hint = Some((number, now));
            self.since.get_or_insert(now);
        }
    }

    /// A block was told.
    pub(super) fn advanced(&mut self) {
        self.since = None;
    }

    pub(super) fn answered(&mut self, now: Timestamp) {
        self.since = self.since.map(|_| now);
    }

    /// The newest block worth asking for.
    fn known(&self, last: u64, desk: &Desk) -> Option<u64> {
        let worth = |number: &u64| *number > last && *number - last <= desk.settings.max_fill_blocks;
        desk.roster.best().filter(worth).max(self.hint.map(|(number, _)| number).filter(worth))
    }

    fn patience(&self, fresh: bool, line: &Line, desk: &Desk) -> Millis {
        match (line.bound(), self.hint) {
            (Some(_), _) if fresh => Millis::ZERO,
            (None, _) | (_, Some(_)) => IN_A_HURRY,
            (Some(_), None) => desk.patience(),
        }
    }

    /// When to ask.
    pub(super) fn due(&self, last: u64, fresh: bool, line: &Line, desk: &Desk) -> Option<Timestamp> {
        if self.once {
            return Some(Timestamp::default());
        }
        self.known(last, desk)?;
        self.since.map(|since| since.plus(self.patience(fresh, line, desk)))
    }

    pub(super) fn ask(&mut self, last: u64, fresh: bool, line: &Line, desk: &Desk, now: Timestamp) -> Option<Ask> {
        if self.hint.is_some_and(|(number, at)| number <= last || now.since(at) >= HINT) {
            self.hint = None;
        }
        let known = self.known(last, desk);
        self.since = known.and(self.since).or(known.map(|_| now));
        let Some(first) = last.checked_add(1) else {
            // There is no next block, and wanting it would never end.
            self.once = false;
            return None;
        };
        if self.due(last, fresh, line, desk).is_none_or(|due| now < due) {
            return None;
        }
        self.once = false;
        let to = known.unwrap_or(first).min(last.saturating_add(MOST_HEADERS));
        Some(Ask::Headers { from: first, to })
    }
}
