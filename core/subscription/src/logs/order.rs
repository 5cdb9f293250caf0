//! When a feed's blocks are settled, and what is told then.

use std::sync::Arc;

use lasso_routing::time::{Millis, Timestamp};

use super::block::{Fate, Need};
use super::{Logs, QUIET};
use crate::event::Ask;
use crate::key::Kind;
use crate::notice::{Ended, Moved, Notice};
use crate::payload::{Hash, Log, items};
use crate::side::{Side, try_again};

/// Blocks whose logs are asked for at once.
const MOST_AT_ONCE: usize = 4;
/// *None* for a block that may hold logs is believed when it is said twice, this far apart.
const SAID_TWICE: Millis = Millis(300);

impl Logs {
    /// Settles the blocks that can be by what has come, and doubts those that should have brought something.
    pub(super) fn settle(&mut self, side: &mut Side<'_>) {
        let waits_ahead = self.next_ahead().is_some();
        let mut later_waits = waits_ahead;
        let last = self.number();
        let (evidence, lies, fill) = (self.evidence, self.bloom_lies, side.desk.settings.fill);
        for block in self.blocks.iter_mut().rev() {
            let waits = block.is_held();
            if block.need == Need::Evidence {
                let beyond = evidence > block.number;
                let waited = side.now >= block.since.plus(QUIET);
                let came = !block.is_empty();
                let asked_for = later_waits || (waited && (!came || Some(block.number) != last));
                if came && beyond || asked_for && (lies || !fill) {
                    block.need = Need::Nothing;
                } else if asked_for {
                    block.doubt(true, side.now);
                }
            }
            later_waits |= waits;
        }
    }

    /// When waiting for a block's logs is over.
    pub(super) fn settling_due(&self) -> Option<Timestamp> {
        let last = self.number();
        let waiting = self
            .blocks
            .iter()
            .filter(|block| block.need == Need::Evidence && (block.is_empty() || Some(block.number) != last));
        waiting.map(|block| block.since.plus(QUIET)).min()
    }

    /// Tells what waits behind settled blocks only.
    pub(super) fn tell_in_order(&mut self, side: &mut Side<'_>) {
        for block in &mut self.blocks {
            if matches!(block.need, Need::Answer(_)) {
                return;
            }
            block.tell().into_iter().for_each(|payload| side.deliver(payload));
            if block.need != Need::Nothing {
                return;
            }
        }
        while let Some(next) = self.next_ahead().filter(|(number, _)| !self.is_held_back(*number, side)) {
            let Some(block) = self.ahead.get_mut(&next) else { return };
            if self.blocks.is_empty() && self.from == 0 {
                self.from = next.0;
            }
            block.tell().into_iter().for_each(|payload| side.deliver(payload));
        }
    }

    /// Logs whose head has not come wait for it, unless the channel is the one that heads come from, none of them is missing, and it
    /// can be taken at its word: then it would have told of a reorg before.
    fn is_held_back(&self, number: u64, side: &Side<'_>) -> bool {
        let trusted = self.linked && self.heads_from.is_none_or(|channel| side.line.channel() == Some(channel));
        !self.blocks.is_empty() && (!trusted || number <= self.doubt_through || side.now < self.doubt_until)
    }

    /// The block that follows the chain as it was told, known by waiting logs only. Of two that may, neither: the heads will tell.
    fn next_ahead(&self) -> Option<(u64, Hash)> {
        let Some(last) = self.number() else {
            return self.ahead.iter().find(|(_, block)| block.is_held()).map(|(at, _)| *at);
        };
        let next = last.checked_add(1)?;
        let mut following = self.ahead.iter().filter(|((number, _), _)| *number == next);
        let (at, block) = following.next()?;
        (following.next().is_none() && block.is_held()).then_some(*at)
    }

    /// Asks for the logs of doubted blocks, oldest first.
    pub(super) fn ask(&mut self, side: &mut Side<'_>) {
        let mut found_none = true;
        for block in &mut self.blocks {
            let Need::Answer(answer) = &mut block.need else { continue };
            found_none = false;
            if !side.desk.settings.fill {
                return side.end(Ended::FillOff);
            }
            self.filling.get_or_insert((side.now, 0));
            if answer.asked || side.now < answer.at || self.asked.len() >= MOST_AT_ONCE {
                continue;
            }
            answer.asked = true;
            let fetch = side.fetch(Ask::BlockLogs { hash: block.hash, filter: Arc::clone(&self.key) });
            self.asked.insert(fetch, block.hash);
        }
        if found_none && let Some((since, events)) = self.filling.take().filter(|(_, events)| *events > 0) {
            side.tally.fills += 1;
            side.desk.tell(Notice::Filled { kind: Kind::Logs, events, took: side.now.since(since) });
        }
    }

    /// When a doubted block may be asked for again.
    pub(super) fn asking_due(&self) -> Option<Timestamp> {
        let free = self.asked.len() < MOST_AT_ONCE;
        let waiting = self.blocks.iter().filter_map(|block| match block.need {
            Need::Answer(answer) if !answer.asked && free => Some(answer.at),
            Need::Answer(_) | Need::Nothing | Need::Evidence => None,
        });
        waiting.min()
    }

    /// The logs of a block, or that they could not be had.
    pub(super) fn take_answer(&mut self, hash: &Hash, results: Option<&[Arc<str>]>, side: &mut Side<'_>) {
        let Some(block) = self.blocks.iter_mut().rev().find(|block| block.hash == *hash) else { return };
        let Need::Answer(mut answer) = block.need else { return };
        answer.asked = false;
        let Some(logs) = results.and_then(|results| read_all(results, hash)) else {
            answer.tries = answer.tries.saturating_add(1);
            answer.at = try_again(answer.tries, side.now);
            block.need = Need::Answer(answer);
            return;
        };
        if logs.is_empty() && !answer.empty {
            answer.empty = true;
            answer.at = side.now.plus(SAID_TWICE);
            block.need = Need::Answer(answer);
            return;
        }
        let mut found = 0;
        for (log, payload) in logs {
            match block.fate(log.index) {
                None => {
                    block.hold(log.index, payload.into());
                    found += 1;
                }
                Some(Fate::Held | Fate::Told | Fate::Removed) => {}
            }
        }
        block.verified = true;
        block.need = Need::Nothing;
        side.tally.filled += found;
        if let Some((_, events)) = &mut self.filling {
            *events += found;
        }
        if let Some(channel) = side.line.channel().filter(|_| answer.owed && found > 0) {
            side.desk.tell(Notice::EventsMissed { channel, kind: Kind::Logs });
            side.news.fault = Some((channel, Moved::Lossy));
        }
    }
}

/// The logs of an answer; `None` when it is not an answer to what was asked.
fn read_all<'a>(results: &'a [Arc<str>], hash: &Hash) -> Option<Vec<(Log, &'a str)>> {
    let [raw] = results else { return None };
    let logs: Vec<_> =
        items(raw)?.into_iter().map(|raw| Log::read(raw).map(|log| (log, raw))).collect::<Option<_>>()?;
    logs.iter().all(|(log, _)| log.block == *hash && !log.removed).then_some(logs)
}
