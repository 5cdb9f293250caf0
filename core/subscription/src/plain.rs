//! A feed of logs where no heads are to be had: logs as they come, each once.
//!
//! Duty: drop duplicates; after a failover ask once for all logs since the last block, and tell them before what arrived meanwhile.
//! Invariant: at most [`MOST_LOGS`] are remembered and as many held; a fetch that is not answered in time ends the feed.
//! Leaves to others: order among blocks and reorgs, which only heads can show. What providers take back themselves is passed on.

use std::collections::BTreeMap;
use std::sync::Arc;

use lasso_routing::time::Timestamp;

use crate::desk::Desk;
use crate::event::{Ask, FetchFailure, FetchId};
use crate::key::{Key, Kind};
use crate::line::{Accepted, Line};
use crate::logs::MOST_LOGS;
use crate::notice::{Ended, Notice};
use crate::payload::{Hash, Log, items};
use crate::side::{Side, try_again};

/// A log's place; what was told last of it: that it is there, or that it was removed.
type Place = (u64, Hash, u64);

/// The content of such a feed.
#[derive(Debug)]
pub(crate) struct Plain {
    key: Arc<Key>,
    told: BTreeMap<Place, bool>,
    /// Wait for the answer.
    held: Vec<(Log, Arc<str>)>,
    gap: Option<Gap>,
}

/// What was missed since the binding changed.
#[derive(Debug)]
struct Gap {
    from: u64,
    since: Timestamp,
    asked: Option<FetchId>,
    at: Timestamp,
    tries: u32,
}

impl Plain {
    pub(crate) fn new(key: Arc<Key>) -> Self {
        Self { key, told: BTreeMap::new(), held: Vec::new(), gap: None }
    }

    /// Goes on where a feed with heads stopped: with the logs that it told, and those that wait.
    pub(crate) fn after(key: Arc<Key>, logs: impl Iterator<Item = (Log, Arc<str>, bool)>) -> Self {
        let mut plain = Self::new(key);
        for (log, payload, told) in logs {
            if told {
                plain.told.insert((log.number, log.block, log.index), log.removed);
            } else {
                plain.held.push((log, payload));
            }
        }
        plain
    }

    /// Tells what waits, unless something comes before it.
    pub(crate) fn release(&mut self, side: &mut Side<'_>) {
        if self.gap.is_none() {
            for (log, payload) in std::mem::take(&mut self.held) {
                self.tell(&log, &payload, side);
            }
        }
    }

    pub(crate) fn restart(&mut self) {
        *self = Self::new(Arc::clone(&self.key));
    }

    pub(crate) fn buffered(&self) -> usize {
        self.held.len()
    }

    pub(crate) fn is_filling(&self) -> bool {
        self.gap.is_some()
    }

    /// The newest block that a log was told of.
    pub(crate) fn number(&self) -> Option<u64> {
        self.told.last_key_value().map(|((number, ..), _)| *number)
    }

    pub(crate) fn accepted(&mut self, accepted: Accepted, side: &mut Side<'_>) {
        let Some(from) = self.number().filter(|_| accepted == Accepted::Again) else { return };
        if !side.desk.settings.fill {
            return side.end(Ended::FillOff);
        }
        let since = self.gap.take().map_or(side.now, |gap| gap.since);
        self.gap = Some(Gap { from, since, asked: None, at: side.now, tries: 0 });
        self.ask(side);
    }

    pub(crate) fn arrived(&mut self, payload: &Arc<str>, side: &mut Side<'_>) {
        let Some(log) = Log::read(payload) else { return side.was_read(false) };
        side.was_read(true);
        if self.gap.is_none() {
            self.tell(&log, payload, side);
        } else if self.held.len() < MOST_LOGS {
            self.held.push((log, Arc::clone(payload)));
        } else {
            side.end(Ended::TooMuchHeld(MOST_LOGS));
        }
    }

    /// Tells a log if it is news.
    fn tell(&mut self, log: &Log, payload: &Arc<str>, side: &mut Side<'_>) {
        let place = (log.number, log.block, log.index);
        let known = self.told.get(&place).copied();
        if known == Some(log.removed) || (known.is_none() && log.removed) {
            side.tally.duplicates += 1;
            return;
        }
        self.told.insert(place, log.removed);
        if self.told.len() > MOST_LOGS {
            self.told.pop_first();
        }
        side.deliver(Arc::clone(payload));
    }

    fn ask(&mut self, side: &mut Side<'_>) {
        let Some(gap) = self.gap.as_mut().filter(|gap| gap.asked.is_none() && side.now >= gap.at) else { return };
        gap.asked = Some(side.fetch(Ask::LogsSince { from: gap.from, filter: Arc::clone(&self.key) }));
    }

    pub(crate) fn fetched(&mut self, fetch: FetchId, answer: Result<Vec<Arc<str>>, FetchFailure>, side: &mut Side<'_>) {
        let Some(gap) = self.gap.as_mut().filter(|gap| gap.asked == Some(fetch)) else { return };
        gap.asked = None;
        let Some(mut logs) = answer.ok().as_deref().and_then(read_all) else {
            gap.tries = gap.tries.saturating_add(1);
            gap.at = try_again(gap.tries, side.now);
            return;
        };
        let since = gap.since;
        self.gap = None;
        logs.sort_by_key(|(log, _)| (log.number, log.index));
        let before = side.tally.delivered;
        logs.iter().for_each(|(log, payload)| self.tell(log, payload, side));
        let events = side.tally.delivered - before;
        if events > 0 {
            side.tally.fills += 1;
            side.tally.filled += events;
            side.desk.tell(Notice::Filled { kind: Kind::Logs, events, took: side.now.since(since) });
        }
        self.release(side);
    }

    pub(crate) fn handle_timeout(&mut self, side: &mut Side<'_>) {
        let timeout = side.desk.settings.fill_timeout;
        if side.is_due(self.overdue(side.desk)) {
            return side.end(Ended::FillTimedOut(timeout));
        }
        if side.is_due(lost_for_good(side.line, side.desk)) {
            return side.end(Ended::NobodyTookOver(timeout));
        }
        self.ask(side);
    }

    fn overdue(&self, desk: &Desk) -> Option<Timestamp> {
        self.gap.as_ref().map(|gap| gap.since.plus(desk.settings.fill_timeout))
    }

    pub(crate) fn poll_timeout(&self, line: &Line, desk: &Desk) -> Option<Timestamp> {
        let ask = self.gap.as_ref().filter(|gap| gap.asked.is_none()).map(|gap| gap.at);
        ask.into_iter().chain(self.overdue(desk)).chain(lost_for_good(line, desk)).min()
    }
}

fn lost_for_good(line: &Line, desk: &Desk) -> Option<Timestamp> {
    line.lost_since().filter(|_| line.has_lived()).map(|since| since.plus(desk.settings.fill_timeout))
}

fn read_all(results: &[Arc<str>]) -> Option<Vec<(Log, Arc<str>)>> {
    let [raw] = results else { return None };
    items(raw)?.into_iter().map(|raw| Log::read(raw).map(|log| (log, raw.into()))).collect()
}
