//! What the channel of the heads feed tells of, and whether that is all.
//!
//! Duty: find out that a channel skips blocks, is silent while others are not, or falls behind.
//! Invariant: a block that comes a little later than its child is not skipped; silence is no fault while nobody has newer blocks,
//! unless it lasts very long; each finding starts the patience anew, so a feed that has nowhere to go does not spin.

use std::collections::BTreeSet;

use lasso_routing::time::{Millis, Timestamp};

use crate::desk::Desk;
use crate::event::ChannelId;
use crate::line::Line;
use crate::notice::Moved;

/// A block that was skipped may come this much later.
const LOSS_GRACE: Millis = Millis::from_secs(1);
/// Skipped blocks that are remembered.
const MOST_MISSING: u64 = 64;
/// Silence counts so many times less while nobody else has anything newer.
const QUIET: u64 = 4;
/// Each move for silence that ended in silence doubles the patience, so many times.
const MOST_DOUBLINGS: u32 = 3;

#[derive(Debug, Default)]
pub(super) struct Watch {
    /// The highest block the binding told of, or must not be asked for.
    reach: u64,
    /// The highest block the binding told of.
    high: Option<u64>,
    missing: BTreeSet<u64>,
    missing_since: Option<Timestamp>,
    behind_since: Option<Timestamp>,
    /// Since when the silence lasts, or was last looked at.
    silent_since: Timestamp,
    moves: u32,
}

impl Watch {
    /// Another binding: what the old one told of says nothing of this one.
    pub(super) fn bound(&mut self, reach: u64, now: Timestamp) {
        *self = Self { reach, silent_since: now, moves: self.moves, ..Self::default() };
    }

    /// The binding told of a block.
    pub(super) fn saw(&mut self, number: u64, now: Timestamp) {
        self.moves = 0;
        self.silent_since = now;
        self.missing.remove(&number);
        if let Some(high) = self.high.filter(|&high| number > high) {
            let skipped = high + 1..number;
            self.missing.extend(skipped.take(usize::try_from(MOST_MISSING).unwrap_or_default()));
        }
        while self.missing.len() as u64 > MOST_MISSING {
            self.missing.pop_first();
        }
        self.missing_since = if self.missing.is_empty() { None } else { self.missing_since.or(Some(now)) };
        self.high = self.high.max(Some(number));
        self.reach = self.reach.max(number);
    }

    /// Whether the channel has told of nothing new since it was bound.
    pub(super) fn is_fresh(&self) -> bool {
        self.high.is_none()
    }

    /// What there is to be said against the channel, once.
    pub(super) fn finding(&mut self, line: &Line, desk: &Desk, now: Timestamp) -> Option<(ChannelId, Moved)> {
        let channel = line.channel()?;
        self.look(desk, now);
        let [missing, behind, silent] = self.deadlines(channel, desk).map(|at| at.is_some_and(|at| now >= at));
        if missing {
            self.missing.clear();
            self.missing_since = None;
            return Some((channel, Moved::Lossy));
        }
        if behind {
            self.behind_since = Some(now);
            return Some((channel, Moved::Behind));
        }
        if silent {
            self.silent_since = now;
            self.moves = self.moves.saturating_add(1);
            return Some((channel, Moved::Stale));
        }
        None
    }

    /// The channels changed, or the feed did.
    pub(super) fn look(&mut self, desk: &Desk, now: Timestamp) {
        let behind = desk.roster.best().is_some_and(|best| best > self.reach.saturating_add(desk.max_lag()));
        self.behind_since = if behind { self.behind_since.or(Some(now)) } else { None };
    }

    fn deadlines(&self, channel: ChannelId, desk: &Desk) -> [Option<Timestamp>; 3] {
        let quiet = if desk.roster.quiet_after(self.reach, channel) { QUIET } else { 1 };
        let stale = Millis(desk.stale_after().0.saturating_mul(quiet << self.moves.min(MOST_DOUBLINGS)));
        [
            self.missing_since.map(|at| at.plus(LOSS_GRACE)),
            self.behind_since.map(|at| at.plus(desk.patience())),
            Some(self.silent_since.plus(stale)),
        ]
    }

    pub(super) fn poll_timeout(&self, line: &Line, desk: &Desk) -> Option<Timestamp> {
        self.deadlines(line.channel()?, desk).into_iter().flatten().min()
    }
}
