//! Feeds without continuity: pending transactions and the node's syncing.
//!
//! Invariant: a pending transaction is told once while it is among the last [`MOST_HASHES`]; an equal word on syncing is not repeated.
//! Nothing is ever fetched: what a node held in its pool while nobody listened is nobody's to tell.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use lasso_routing::time::Timestamp;

use crate::desk::Desk;
use crate::line::Line;
use crate::notice::Ended;
use crate::payload::{Hash, transaction_hash};
use crate::side::Side;

/// Transactions that are known again.
pub(crate) const MOST_HASHES: usize = 10_000;

/// The content of such a feed.
#[derive(Debug)]
pub(crate) enum Passing {
    /// Pending transactions.
    Pending(Seen),
    /// Whether the node is catching up: its last word.
    Syncing(Option<Arc<str>>),
}

/// The last hashes that were told.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    hashes: BTreeSet<Hash>,
    order: VecDeque<Hash>,
}

impl Seen {
    /// Whether it is new; remembers it.
    fn add(&mut self, hash: Hash) -> bool {
        if !self.hashes.insert(hash) {
            return false;
        }
        self.order.push_back(hash);
        if self.order.len() > MOST_HASHES
            && let Some(oldest) = self.order.pop_front()
        {
            self.hashes.remove(&oldest);
        }
        true
    }
}

impl Passing {
    pub(crate) fn arrived(&mut self, payload: &Arc<str>, side: &mut Side<'_>) {
        let new = match self {
            Self::Pending(seen) => match transaction_hash(payload) {
                Some(hash) => seen.add(hash),
                None => return side.was_read(false),
            },
            Self::Syncing(last) => last.as_ref() != Some(payload),
        };
        side.was_read(true);
        if let Self::Syncing(last) = self {
            *last = Some(Arc::clone(payload));
        }
        if new {
            side.deliver(Arc::clone(payload));
        } else {
            side.tally.duplicates += 1;
        }
    }

    pub(crate) fn handle_timeout(side: &mut Side<'_>) {
        if side.is_due(Self::poll_timeout(side.line, side.desk)) {
            side.end(Ended::NobodyTookOver(side.desk.settings.fill_timeout));
        }
    }

    pub(crate) fn poll_timeout(line: &Line, desk: &Desk) -> Option<Timestamp> {
        line.lost_since().filter(|_| line.has_lived()).map(|since| since.plus(desk.settings.fill_timeout))
    }
}
