//! A feed of logs: every log that matches once, in the order of the chain.
//!
//! Duty: settle block after block as the feed of heads tells them; find out which logs are missing and fetch them; take back what a
//! reorg orphans.
//! Invariant: a log is told only when every block before its own is settled, and is told once until it is taken back. In the steady
//! state nothing waits: a block is settled by what came before the next log.
//! Leaves to others: the chain (`heads`), matching (the providers; blooms only rule blocks out), one block (`block`).
//!
//! A block is settled when its bloom rules matches out; or when logs of it came and the channel, which sends in order, went on to a
//! later block; or when its logs were fetched by its hash. They are fetched when the bloom says *maybe* and no log came within
//! [`QUIET`], or a later log already waits; and for every block during which the channel may have missed some: from a while before
//! a binding is lost to the first block after the next one, where the head itself had to be fetched, and for [`DOUBT`] after a
//! channel sent logs out of order. By hash, not by
//! range: who lacks the block errs, and does not answer *none*.
//!
//! What cannot be seen is one lost log of several in a block, while the channel loses nothing else. A chain whose blooms rule logs out
//! that come all the same is taken at its channels' word; only doubted blocks are fetched.

mod block;
mod order;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use lasso_routing::time::{Millis, Timestamp};

use crate::branch::{Change, Step, WINDOW};
use crate::desk::Desk;
use crate::event::{ChannelId, FetchFailure, FetchId};
use crate::key::Key;
use crate::line::{Accepted, Line};
use crate::notice::Ended;
use crate::payload::bloom::Matcher;
use crate::payload::{Hash, Head, Log};
use crate::plain::Plain;
use crate::side::Side;
use block::{Block, Fate, Need};

/// A block that may hold logs and brings none is asked for them after this long.
pub(crate) const QUIET: Millis = Millis::from_secs(2);
/// A channel that sent logs out of order is not taken at its word for this long.
pub(crate) const DOUBT: Millis = Millis::from_secs(60);
/// Logs that are kept, to know them again and to take them back; and as many may wait.
pub(crate) const MOST_LOGS: usize = 10_000;
/// Blocks that are known by their logs only.
const MOST_AHEAD: usize = 64;

/// The content of a feed of logs.
#[derive(Debug)]
pub(crate) struct Logs {
    key: Arc<Key>,
    matcher: Matcher,
    /// Of the chain, oldest first.
    blocks: VecDeque<Block>,
    /// Known by their logs, while their heads have not been told.
    ahead: BTreeMap<(u64, Hash), Block>,
    /// Blocks that were taken back.
    undone: VecDeque<Hash>,
    asked: BTreeMap<FetchId, Hash>,
    /// The feed was bound: from here on logs are owed.
    started: bool,
    /// Logs of this block were told before anything was known of the chain: what is before it was before us.
    from: u64,
    /// The channel has told of everything before this block.
    evidence: u64,
    /// Whose heads came last.
    heads_from: Option<ChannelId>,
    /// No heads wait for missing blocks.
    linked: bool,
    /// Blocks up to this one are not taken at the channel's word.
    doubt_through: u64,
    doubt_until: Timestamp,
    /// Blooms on this chain say *no* of blocks with logs.
    bloom_lies: bool,
    /// Since when blocks are being fetched, and how many logs were found.
    filling: Option<(Timestamp, u64)>,
}

impl Logs {
    pub(crate) fn new(key: Arc<Key>) -> Self {
        let matcher = match &*key {
            Key::Logs(filter) => Matcher::new(filter),
            Key::NewHeads | Key::NewPendingTransactions { .. } | Key::Syncing => Matcher::new(&Default::default()),
        };
        Self {
            key,
            matcher,
            blocks: VecDeque::new(),
            ahead: BTreeMap::new(),
            undone: VecDeque::new(),
            asked: BTreeMap::new(),
            started: false,
            from: 0,
            evidence: 0,
            heads_from: None,
            linked: true,
            doubt_through: 0,
            doubt_until: Timestamp::default(),
            bloom_lies: false,
            filling: None,
        }
    }

    /// Forgets everything but the filter. What the chain is so far comes as steps again.
    pub(crate) fn restart(&mut self) {
        *self = Self { bloom_lies: self.bloom_lies, ..Self::new(Arc::clone(&self.key)) };
    }

    /// What was told, and what waits, for a feed that goes on without heads.
    pub(crate) fn without_heads(&mut self) -> Plain {
        let blocks = self.blocks.drain(..).chain(std::mem::take(&mut self.ahead).into_values());
        Plain::after(Arc::clone(&self.key), blocks.flat_map(Block::into_logs))
    }

    pub(crate) fn buffered(&self) -> usize {
        self.blocks.iter().chain(self.ahead.values()).map(Block::held).sum()
    }

    pub(crate) fn is_filling(&self) -> bool {
        self.filling.is_some()
    }

    pub(crate) fn number(&self) -> Option<u64> {
        self.blocks.back().map(|block| block.number)
    }

    /// A channel took the feed.
    pub(crate) fn accepted(&mut self, accepted: Accepted, side: &mut Side<'_>) {
        self.evidence = 0;
        if accepted == Accepted::Again && self.started {
            // The block after the newest may have been told of in part before the channel listened to us.
            let newest = self.number().max(side.desk.roster.best().filter(|&best| self.is_near(best, side.desk)));
            self.doubt_through = newest.map_or(0, |number| number.saturating_add(1));
            self.doubt_recent(side);
        }
        self.started = true;
        self.proceed(side);
    }

    /// A lone channel's word must not put every block to come in doubt.
    fn is_near(&self, number: u64, desk: &Desk) -> bool {
        self.number().is_some_and(|last| number.saturating_sub(last) <= desk.settings.max_fill_blocks)
    }

    /// The binding is gone, or its channel is at fault: it may have missed logs of the last blocks.
    pub(crate) fn doubt_recent(&mut self, side: &mut Side<'_>) {
        let Some(last) = self.number() else { return };
        for block in &mut self.blocks {
            let recent = block.number.saturating_add(1) >= last || side.now.since(block.since) <= QUIET;
            if (recent || block.need == Need::Evidence) && block.may_match && !block.verified && self.started {
                block.doubt(false, side.now);
            }
        }
        self.proceed(side);
    }

    /// The chain changed.
    pub(crate) fn chain_changed(&mut self, chain: &Change<'_>, side: &mut Side<'_>) {
        self.linked = chain.linked;
        // First what the channel went beyond: what it told before is settled by that, and needs no fetch.
        if let Some((channel, number)) = chain.seen {
            self.note(channel, number, side.line);
        }
        for step in chain.steps {
            match step {
                Step::Added(head) => self.add(head, side),
                Step::Anchored(head) => self.anchor(head, side),
                Step::Undone(hash) => self.undo(hash, side),
            }
        }
        self.proceed(side);
    }

    /// A block that was there before: nothing of it is owed.
    fn anchor(&mut self, head: &Head, side: &mut Side<'_>) {
        let at = (head.number, head.hash);
        let mut block = self.ahead.remove(&at).unwrap_or_else(|| Block::new(at.0, at.1, side.now));
        // In doubt later, it would bring what was there before us.
        block.verified = block.is_empty();
        self.blocks.push_back(block);
    }

    fn add(&mut self, head: &Head, side: &mut Side<'_>) {
        let (number, hash) = (head.number, head.hash);
        let mut block = self.ahead.remove(&(number, hash)).unwrap_or_else(|| Block::new(number, hash, side.now));
        block.since = side.now;
        if let Some(last) = self.number() {
            self.take_back_ahead(last.saturating_add(1), number, side);
        }
        let ruled_out = head.bloom.as_ref().is_some_and(|bloom| !self.matcher.may_match(bloom));
        self.bloom_lies |= ruled_out && !block.is_empty();
        block.may_match = !ruled_out || self.bloom_lies;
        if number < self.from {
            block.verified = true;
        } else if self.started && block.may_match {
            let back_again = self.undone.contains(&hash);
            if back_again || head.fetched || self.is_doubted(number, side) {
                block.doubt(false, side.now);
            } else {
                block.need = Need::Evidence;
            }
            // Nothing can be expected of a block without a bloom.
            if block.is_empty() && block.need == Need::Evidence && (self.bloom_lies || head.bloom.is_none()) {
                block.need = Need::Nothing;
            }
        }
        self.blocks.push_back(block);
    }

    fn is_doubted(&self, number: u64, side: &Side<'_>) -> bool {
        number <= self.doubt_through || side.now < self.doubt_until || side.line.bound().is_none()
    }

    fn undo(&mut self, hash: &Hash, side: &mut Side<'_>) {
        let Some(block) = self.blocks.pop_back_if(|block| block.hash == *hash) else { return };
        self.take_back_ahead(block.number, u64::MAX, side);
        self.take_back(&block, side);
    }

    /// Logs that were told before their head, of blocks that turn out not to be of the chain.
    fn take_back_ahead(&mut self, from: u64, to: u64, side: &mut Side<'_>) {
        let wrong = self.ahead.iter().filter(|((number, _), block)| (from..=to).contains(number) && block.is_told());
        let wrong: Vec<_> = wrong.map(|(at, _)| *at).collect();
        for at in wrong.iter().rev() {
            if let Some(block) = self.ahead.remove(at) {
                self.take_back(&block, side);
            }
        }
    }

    fn take_back(&mut self, block: &Block, side: &mut Side<'_>) {
        block.take_back().into_iter().for_each(|payload| side.deliver(payload));
        self.undone.push_back(block.hash);
        if self.undone.len() > WINDOW {
            self.undone.pop_front();
        }
    }

    /// A channel's feed of heads told of a block: if it is ours too, it has sent all logs before that block.
    fn note(&mut self, channel: ChannelId, number: u64, line: &Line) {
        self.heads_from = Some(channel);
        if line.channel() == Some(channel) {
            self.evidence = self.evidence.max(number);
        }
    }

    /// The bound channel sent an event.
    pub(crate) fn arrived(&mut self, payload: &Arc<str>, side: &mut Side<'_>) {
        let Some(log) = Log::read(payload) else { return side.was_read(false) };
        side.was_read(true);
        if log.removed {
            self.take_removal(&log, payload, side);
        } else {
            self.take(&log, payload, side);
        }
        self.proceed(side);
    }

    fn take(&mut self, log: &Log, payload: &Arc<str>, side: &mut Side<'_>) {
        self.evidence = self.evidence.max(log.number);
        let last = self.number();
        let late = self.is_late(log);
        if let Some(block) = self.blocks.iter_mut().rev().find(|block| block.hash == log.block) {
            self.bloom_lies |= !block.may_match;
            if matches!(block.fate(log.index), Some(Fate::Told | Fate::Held)) {
                side.tally.duplicates += 1;
                return;
            }
            // Whatever was found out of it, there was more.
            block.verified = false;
            block.hold(log.index, Arc::clone(payload));
        } else if self.blocks.front().is_some_and(|first| log.number < first.number) || self.undone.contains(&log.block)
        {
            side.tally.ignored += 1;
            return;
        } else {
            let at = (log.number, log.block);
            let block = self.ahead.entry(at).or_insert_with(|| Block::new(log.number, log.block, side.now));
            if matches!(block.fate(log.index), Some(Fate::Told | Fate::Held)) {
                side.tally.duplicates += 1;
                return;
            }
            block.hold(log.index, Arc::clone(payload));
            if last.is_some_and(|last| log.number > last) {
                side.news.hint = Some(log.number);
            }
        }
        if late {
            self.doubt_until = side.now.plus(DOUBT);
        }
    }

    /// Whether a log after this one was told.
    fn is_late(&self, log: &Log) -> bool {
        self.blocks.iter().chain(self.ahead.values()).any(|block| {
            if block.hash == log.block {
                block.told_after(log.index)
            } else {
                block.number > log.number && block.is_told()
            }
        })
    }

    /// The channel takes a log back: passed on if it was told.
    fn take_removal(&mut self, log: &Log, payload: &Arc<str>, side: &mut Side<'_>) {
        let mut blocks = self.blocks.iter_mut().chain(self.ahead.values_mut());
        let block = blocks.find(|block| block.hash == log.block);
        match block.as_ref().and_then(|block| block.fate(log.index)) {
            Some(Fate::Told) => side.deliver(Arc::clone(payload)),
            Some(Fate::Held) => side.tally.ignored += 1,
            Some(Fate::Removed) | None => side.tally.duplicates += 1,
        }
        if let Some(block) = block {
            block.mark_removed(log.index);
        }
    }

    fn proceed(&mut self, side: &mut Side<'_>) {
        self.settle(side);
        self.tell_in_order(side);
        self.ask(side);
        self.stay_bounded(side);
    }

    /// Forgets what is older than the window.
    fn stay_bounded(&mut self, side: &mut Side<'_>) {
        if self.buffered() > MOST_LOGS {
            return side.end(Ended::TooMuchHeld(MOST_LOGS));
        }
        let most = side.desk.settings.max_fill_blocks;
        if self.blocks.len() as u64 > most.saturating_add(WINDOW as u64) {
            return side.end(Ended::GapTooLong { missing: self.blocks.len() as u64, most });
        }
        while self.blocks.len() > WINDOW && self.blocks.front().is_some_and(|first| first.need == Need::Nothing) {
            self.blocks.pop_front();
        }
        let mut kept: usize = self.blocks.iter().map(Block::len).sum();
        for block in &mut self.blocks {
            if kept <= MOST_LOGS {
                break;
            }
            kept -= block.len();
            block.forget();
            kept += block.len();
        }
        let first = self.blocks.front().map_or(0, |first| first.number);
        let long_ago = side.now.before(side.desk.settings.fill_timeout);
        let ahead = self.ahead.values().filter(|block| block.is_held()).count();
        self.ahead.retain(|(number, _), block| *number >= first && block.since >= long_ago);
        let kept = self.ahead.values().filter(|block| block.is_held()).count();
        side.tally.ignored += (ahead - kept) as u64;
        while self.ahead.len() > MOST_AHEAD {
            self.ahead.pop_first();
            side.tally.ignored += 1;
        }
    }

    /// A fetch was answered.
    pub(crate) fn fetched(&mut self, fetch: FetchId, answer: Result<Vec<Arc<str>>, FetchFailure>, side: &mut Side<'_>) {
        let Some(hash) = self.asked.remove(&fetch) else { return };
        self.take_answer(&hash, answer.ok().as_deref(), side);
        self.proceed(side);
    }

    pub(crate) fn handle_timeout(&mut self, side: &mut Side<'_>) {
        let timeout = side.desk.settings.fill_timeout;
        if side.is_due(self.overdue(side.desk)) {
            return side.end(Ended::FillTimedOut(timeout));
        }
        if side.is_due(self.lost_for_good(side.line, side.desk)) {
            return side.end(Ended::NobodyTookOver(timeout));
        }
        self.proceed(side);
    }

    /// When the oldest fetch has lasted too long.
    fn overdue(&self, desk: &Desk) -> Option<Timestamp> {
        let answers = self.blocks.iter().filter_map(|block| match block.need {
            Need::Answer(answer) => Some(answer.since.plus(desk.settings.fill_timeout)),
            Need::Nothing | Need::Evidence => None,
        });
        answers.min()
    }

    fn lost_for_good(&self, line: &Line, desk: &Desk) -> Option<Timestamp> {
        // While blocks are caught up with, nothing is lost.
        let last = self.blocks.back().map(|block| block.since).unwrap_or_default();
        line.lost_since().filter(|_| self.started).map(|since| since.max(last).plus(desk.settings.fill_timeout))
    }

    pub(crate) fn poll_timeout(&self, line: &Line, desk: &Desk) -> Option<Timestamp> {
        let settling = self.settling_due();
        settling
            .into_iter()
            .chain(self.asking_due())
            .chain(self.overdue(desk))
            .chain(self.lost_for_good(line, desk))
            .min()
    }
}
