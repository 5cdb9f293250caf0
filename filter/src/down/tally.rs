//! What the replies to a part's items add up to, for its channel.
//!
//! Duty: one verdict out of many. Invariants: a success is claimed only if an item had one; a provider's word that it is asked too often is kept whatever else
//! it said.
//! Leaves to others: judging the items.

use lasso_routing::outcome::{Blame, Mark, Row, Verdict, Weighs};

use crate::exchange::count;
use crate::stats::{Counter, Stats};

/// The replies so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// The item that says most about the channel, how much, and its verdict.
    foremost: Option<(Rank, Verdict, usize)>,
    /// The longest that it asked us to wait.
    limited: Option<Mark>,
    /// The newest block that was shown, and by which item.
    head: Option<(u64, usize)>,
}

/// What says more about a channel comes later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// Nothing either way.
    Neutral,
    /// A fault.
    Blamed,
    /// A fault that opens at once.
    Opens,
    /// No success, but only a node that works gives it.
    Works,
    /// What the client asked for.
    Success,
}

impl Rank {
    fn of(verdict: &Verdict) -> Self {
        match (verdict.blame, verdict.weighs()) {
            (Blame::Opens(..), _) => Self::Opens,
            (Blame::Counts(_), _) => Self::Blamed,
            (Blame::None | Blame::Ignored, Weighs::Success) => Self::Success,
            (Blame::None | Blame::Ignored, Weighs::Failure | Weighs::Neutral) => {
                if verdict.signal() == lasso_routing::breaker::Signal::Success { Self::Works } else { Self::Neutral }
            }
        }
    }
}

impl Tally {
    /// One item's reply.
    pub(super) fn add(&mut self, verdict: &Verdict, index: usize, head: Option<u64>) {
        let rank = Rank::of(verdict);
        if self.foremost.is_none_or(|(foremost, ..)| rank > foremost) {
            self.foremost = Some((rank, *verdict, index));
        }
        if let Mark::RateLimited(wait) = verdict.mark {
            let longest = match self.limited {
                Some(Mark::RateLimited(before)) => before.max(wait),
                Some(_) | None => wait,
            };
            self.limited = Some(Mark::RateLimited(longest));
        }
        self.head = self.head.max(head.map(|number| (number, index)));
    }

    /// What the channel is told; `None` when nothing was added.
    pub(super) fn verdict(&self) -> Option<Verdict> {
        let (_, verdict, _) = self.foremost?;
        Some(Verdict { mark: self.limited.unwrap_or(verdict.mark), ..verdict })
    }

    /// The item that the verdict is about.
    pub(super) fn subject(&self) -> Option<usize> {
        self.foremost.map(|(.., index)| index)
    }

    /// The newest block that was shown, and by which item.
    pub(super) const fn head(&self) -> Option<(u64, usize)> {
        self.head
    }

    /// Counts the part by how it ended.
    pub(super) fn count(&self, stats: &mut Stats, verdict: &Verdict) {
        count(stats, verdict);
        if self.limited.is_some() && verdict.row != Row::RateLimit {
            stats.count(Counter::RateLimited);
        }
    }
}
