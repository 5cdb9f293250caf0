//! What a feed's content works with: its line, its listeners, its counts, and the desk.

use std::sync::Arc;

use lasso_routing::time::{Millis, Timestamp};

use crate::branch::Step;
use crate::desk::{Desk, FeedId};
use crate::event::{Action, Ask, ChannelId, FetchId};
use crate::fanout::Fanout;
use crate::line::Line;
use crate::notice::{Ended, Moved};

/// The first wait after a fetch that brought nothing, and the longest.
const TRY_AGAIN: (Millis, Millis) = (Millis(100), Millis(2_000));

/// What happened to one feed, counted.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) fills: u64,
    pub(crate) filled: u64,
    pub(crate) duplicates: u64,
    pub(crate) ignored: u64,
    pub(crate) delivered: u64,
}

/// What one feed has to say to the others.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// How the chain changed.
    pub(crate) steps: Vec<Step>,
    /// A channel told of this block by itself.
    pub(crate) seen: Option<(ChannelId, u64)>,
    /// There is a block of this number.
    pub(crate) hint: Option<u64>,
    /// A channel is at fault, and every feed should leave it.
    pub(crate) fault: Option<(ChannelId, Moved)>,
    /// Continuity is lost.
    pub(crate) ended: Option<Ended>,
}

/// One feed's surroundings, for the length of one call.
#[derive(Debug)]
pub(crate) struct Side<'a> {
    pub(crate) feed: FeedId,
    pub(crate) line: &'a mut Line,
    pub(crate) fanout: &'a mut Fanout,
    pub(crate) tally: &'a mut Tally,
    pub(crate) desk: &'a mut Desk,
    pub(crate) news: &'a mut News,
    pub(crate) now: Timestamp,
}

impl Side<'_> {
    pub(crate) fn deliver(&mut self, payload: Arc<str>) {
        self.tally.delivered += 1;
        if self.fanout.is_heard() {
            self.desk.act(Action::Deliver { to: self.fanout.listed(), payload });
        }
    }

    pub(crate) fn fetch(&mut self, ask: Ask) -> FetchId {
        self.desk.fetch(self.feed, ask)
    }

    pub(crate) fn was_read(&mut self, well: bool) {
        self.tally.ignored += u64::from(!well);
        self.line.was_read(well, self.desk, self.now);
    }

    pub(crate) fn end(&mut self, because: Ended) {
        self.news.ended.get_or_insert(because);
    }

    /// Whether `at` has come.
    pub(crate) fn is_due(&self, at: Option<Timestamp>) -> bool {
        at.is_some_and(|at| self.now >= at)
    }
}

/// When to try again what failed so many times.
pub(crate) fn try_again(tries: u32, now: Timestamp) -> Timestamp {
    let wait = TRY_AGAIN.0.0.saturating_mul(1 << tries.saturating_sub(1).min(10));
    now.plus(Millis(wait).min(TRY_AGAIN.1))
}
