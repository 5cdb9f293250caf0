//! The feed of heads: every block once, each after its parent.
//!
//! Duty: follow the chain as the bound channel tells it; fetch what is missing; pass reorgs on; say when continuity is lost.
//! Invariant: a delivered head's parent was delivered before it, unless it is the first, or replaces everything that was told. A
//! block is delivered once, except that a reorg back tells the blocks of the old branch again.
//! Leaves to others: which channel (`line`), what the gap lacks (`gap`), what was told (`branch`), who hears (`fanout`).
//!
//! A gap opens when a head comes whose parent was not told; nothing later is delivered before it. If the missing block comes by itself
//! within [`GRACE`] (a provider that swaps events), nothing is fetched. Without any head in sight we also *catch up*: when channels
//! are known to have newer blocks, those are asked for by number. So a block that was lost is delivered before the next one comes.

mod catch_up;
#[cfg(test)]
mod tests;
mod watch;

use std::sync::Arc;

use lasso_routing::time::{Millis, Timestamp};

use crate::branch::{Branch, Step};
use crate::desk::Desk;
use crate::event::{Ask, ChannelId, FetchFailure, FetchId};
use crate::gap::{Gap, Way, ask_for};
use crate::line::{Accepted, Line};
use crate::notice::{Ended, Moved, Notice};
use crate::payload::{Hash, Head};
use crate::side::{Side, try_again};
use catch_up::CatchUp;
use watch::Watch;

/// A missing block may come by itself this much later than its child.
pub(crate) const GRACE: Millis = Millis(25);
/// Without fills, a missing block may come by itself this much later.
const GRACE_WITHOUT_FILL: Millis = Millis::from_secs(1);
/// A head is absurd only if it is further away than anything that channels could be late with.
const FAR: u64 = 1_000;
/// A head whose parents nobody knows is held against its channel after so long and so many answers.
const UNLINKED: (Millis, u32) = (Millis::from_secs(2), 2);

/// So many times where the chain stood is asked by number, before whatever is the newest will do.
const BY_NUMBER: u32 = 7;

/// A question under way.
#[derive(Debug)]
struct Asked {
    fetch: FetchId,
    ask: Ask,
    /// It is about where the chain stands.
    anchor: bool,
}

/// The content of the feed of heads.
#[derive(Debug, Default)]
pub(crate) struct Heads {
    branch: Branch,
    /// What channels were known to have when it was first asked where the chain stands.
    stood: Option<u64>,
    /// The block where the chain stands, while nothing was told after it.
    anchored: Option<Hash>,
    gap: Gap,
    watch: Watch,
    catch_up: CatchUp,
    asked: Option<Asked>,
    /// The block that the tries are about.
    missing: Option<Hash>,
    tries: u32,
    /// Answers that said that there is no such block.
    unknown: u32,
    try_again: Option<Timestamp>,
    /// Asking by number brought blocks of another branch.
    by_hash: bool,
    told_at: Timestamp,
    reorgs: u64,
}

impl Heads {
    pub(crate) fn branch(&self) -> &Branch {
        &self.branch
    }

    pub(crate) fn buffered(&self) -> usize {
        self.gap.len()
    }

    pub(crate) fn is_filling(&self) -> bool {
        self.gap.since().is_some()
    }

    /// Forgets the chain: the next head is the first one.
    pub(crate) fn restart(&mut self, now: Timestamp) {
        let mut watch = std::mem::take(&mut self.watch);
        watch.bound(0, now);
        *self = Self { watch, ..Self::default() };
    }

    /// A channel took the feed.
    pub(crate) fn accepted(&mut self, accepted: Accepted, side: &mut Side<'_>) {
        let reach = self.branch.number().max(side.desk.roster.best()).unwrap_or_default();
        self.watch.bound(reach, side.now);
        match accepted {
            Accepted::Again => {
                self.catch_up.once();
                self.try_again = None;
                self.proceed(side);
            }
            Accepted::First => self.ask_for_anchor(side),
        }
    }

    /// Finds out where the chain stands. A channel that is silent from the start would else leave no trace of what it did not tell.
    fn ask_for_anchor(&mut self, side: &mut Side<'_>) {
        self.try_again = None;
        let Some(best) = side.desk.roster.best().filter(|_| side.line.bound().is_some()) else { return };
        let most = side.desk.settings.max_fill_blocks / 2;
        let stood = self.stood.filter(|stood| best.saturating_sub(*stood) <= most).unwrap_or(best);
        self.stood = Some(stood);
        if side.desk.settings.fill && self.branch.last().is_none() && self.asked.is_none() {
            // What channels are known to have may be old, and what was before us is nobody's gap. But when that was not answered, the newest block may
            // have come since.
            let ask = match self.tries {
                1..=BY_NUMBER => Ask::Headers { from: stood, to: stood },
                _ => Ask::Latest,
            };
            self.asked = Some(Asked { fetch: side.fetch(ask.clone()), ask, anchor: true });
        }
    }

    /// The chain stands there, unless a head came first.
    fn anchor(&mut self, ask: &Ask, results: &[Arc<str>], side: &mut Side<'_>) {
        let mut heads = results.iter().filter_map(|raw| Head::read(raw));
        let head = heads.find(|head| *ask == Ask::Latest || fits(ask, head));
        if let Some(head) = head.filter(|head| !self.is_absurd(head.number, side.desk)) {
            self.branch.add(head.clone(), &mut Vec::new());
            self.anchored = Some(head.hash);
            side.news.steps.push(Step::Anchored(head));
        }
    }

    /// The bound channel sent an event.
    pub(crate) fn arrived(&mut self, raw: &str, channel: ChannelId, side: &mut Side<'_>) {
        let Some(head) = Head::read(raw) else { return side.was_read(false) };
        if self.is_absurd(head.number, side.desk) {
            return side.was_read(false);
        }
        side.was_read(true);
        side.desk.tell(Notice::HeadSeen { channel, number: head.number });
        side.news.seen = Some((channel, head.number));
        side.desk.pace.seen(head.number, side.now);
        self.watch.saw(head.number, side.now);
        let reorgs = self.reorgs;
        self.take(head, channel, side);
        while self.join(side) {}
        if self.reorgs > reorgs {
            // What still waits came before the reorg, and is of the branch that was left.
            self.gap.clear();
        }
        self.ask(side);
    }

    /// One absurd number must not end everybody's subscriptions, nor begin them: far above what was told and what anybody has.
    fn is_absurd(&self, number: u64, desk: &Desk) -> bool {
        let most = desk.settings.max_fill_blocks.max(FAR);
        let above = |known: u64| number > known.saturating_add(most);
        self.branch.number().is_none_or(above) && desk.roster.best().is_some_and(above)
    }

    fn take(&mut self, head: Head, channel: ChannelId, side: &mut Side<'_>) {
        if self.anchored.take_if(|anchored| *anchored == head.hash).is_some() {
            // The channel tells it, so it came after us: whoever said where the chain stands was faster.
            side.deliver(head.payload);
            self.told_at = side.now;
        } else if self.branch.was_told(&head.hash) || self.gap.has(&head.hash) {
            side.tally.duplicates += 1;
        } else if self.branch.last().is_none() || self.branch.joins(&head.parent) {
            self.tell(vec![head], side);
        } else if self.branch.first().is_some_and(|first| head.number < first.number) {
            side.tally.ignored += 1;
        } else {
            if self.gap.opened().is_none() {
                (self.tries, self.try_again) = (0, None);
            }
            self.gap.hold(head, channel, side.now);
        }
    }

    /// Delivers blocks that join, oldest first.
    fn tell(&mut self, heads: Vec<Head>, side: &mut Side<'_>) {
        let mut steps = Vec::new();
        for head in heads {
            let payload = Arc::clone(&head.payload);
            let (number, before) = (head.number, steps.len());
            self.branch.add(head, &mut steps);
            let depth = steps.len() - before - 1;
            if depth > 0 {
                self.reorgs += 1;
                side.desk.tell(Notice::Reorg { number, depth: depth as u64 });
            }
            side.deliver(payload);
        }
        side.news.steps.append(&mut steps);
        self.told_at = side.now;
        self.anchored = None;
        (self.tries, self.try_again) = (0, None);
        self.catch_up.advanced();
        self.close_gap(side);
    }

    fn close_gap(&mut self, side: &mut Side<'_>) {
        let Some(opened) = self.gap.opened() else { return };
        let fetched = self.gap.fetched();
        self.gap.advanced(&self.branch, side.now);
        if self.gap.opened().is_none() {
            (self.missing, self.unknown, self.by_hash) = (None, 0, false);
            if fetched > 0 {
                side.tally.fills += 1;
                let kind = crate::key::Kind::NewHeads;
                side.desk.tell(Notice::Filled { kind, events: fetched, took: side.now.since(opened) });
            }
        }
    }

    /// Delivers what can be, asks for what is missing.
    fn proceed(&mut self, side: &mut Side<'_>) {
        while self.join(side) {}
        self.ask(side);
    }

    /// Delivers the way to one held head, if it is known; says whether it was.
    fn join(&mut self, side: &mut Side<'_>) -> bool {
        for goal in self.gap.goals() {
            match self.gap.way(&goal, &self.branch) {
                Way::Joins(heads) => {
                    self.tell(heads, side);
                    return true;
                }
                Way::Deeper(_) if self.branch.is_longer() => {
                    side.end(Ended::GapTooLong {
                        missing: crate::branch::WINDOW as u64,
                        most: crate::branch::WINDOW as u64,
                    });
                    return false;
                }
                Way::Deeper(heads) => {
                    self.tell(heads, side);
                    return true;
                }
                Way::Broken => {
                    side.tally.ignored += 1;
                    self.gap.drop_goal(&goal);
                }
                Way::Misses(..) => {}
            }
        }
        false
    }

    fn ask(&mut self, side: &mut Side<'_>) {
        if self.asked.is_some() || !side.desk.settings.fill || self.try_again.is_some_and(|at| side.now < at) {
            return;
        }
        let most = side.desk.settings.max_fill_blocks;
        let Some(last) = self.branch.number() else { return self.ask_for_anchor(side) };
        let Some(goal) = self.gap.goal().map(|goal| goal.hash) else {
            if let Some(ask) = self.catch_up.ask(last, self.watch.is_fresh(), side.line, side.desk, side.now) {
                self.asked = Some(Asked { fetch: side.fetch(ask.clone()), ask, anchor: false });
            }
            return;
        };
        let Way::Misses(missing, number) = self.gap.way(&goal, &self.branch) else { return };
        let lacking = number.saturating_sub(last).max(self.gap.fetched());
        if lacking > most || self.gap.len() as u64 > most.saturating_mul(2) {
            return side.end(Ended::GapTooLong { missing: lacking, most });
        }
        if self.gap.opened().is_some_and(|opened| side.now < opened.plus(GRACE)) && side.line.bound().is_some() {
            return;
        }
        if self.missing.replace(missing) != Some(missing) {
            self.tries = 0;
        }
        let ask = ask_for(missing, number, last, self.by_hash || self.tries > 0);
        self.asked = Some(Asked { fetch: side.fetch(ask.clone()), ask, anchor: false });
    }

    /// A fetch was answered.
    pub(crate) fn fetched(&mut self, fetch: FetchId, answer: Result<Vec<Arc<str>>, FetchFailure>, side: &mut Side<'_>) {
        let Some(asked) = self.asked.take_if(|asked| asked.fetch == fetch) else { return };
        if self.branch.last().is_none() {
            self.anchor(&asked.ask, answer.as_deref().unwrap_or_default(), side);
            if self.branch.last().is_none() {
                self.tries = self.tries.saturating_add(1);
                self.try_again = Some(try_again(self.tries, side.now));
                return;
            }
            self.tries = 0;
        }
        if asked.anchor {
            return self.proceed(side);
        }
        let taken = match answer {
            Ok(results) => self.take_fetched(&asked.ask, &results, side),
            Err(_) => false,
        };
        if taken {
            self.tries = 0;
            self.try_again = None;
        } else {
            self.tries = self.tries.saturating_add(1);
            // Numbers that led nowhere are followed by the hash at once.
            let hash_next = matches!(asked.ask, Ask::Headers { .. }) && self.gap.goal().is_some();
            self.try_again = (!hash_next).then(|| try_again(self.tries, side.now));
        }
        self.catch_up.answered(side.now);
        self.proceed(side);
    }

    /// Takes fetched blocks in; says whether any was of use.
    fn take_fetched(&mut self, ask: &Ask, results: &[Arc<str>], side: &mut Side<'_>) -> bool {
        let goal = self.gap.goal().map(|goal| goal.hash);
        let missing = goal.and_then(|goal| match self.gap.way(&goal, &self.branch) {
            Way::Misses(hash, _) => Some(hash),
            Way::Joins(_) | Way::Deeper(_) | Way::Broken => None,
        });
        let (last, before) = (self.branch.number().unwrap_or_default(), side.tally.delivered);
        let heads: Vec<Head> =
            results.iter().filter_map(|raw| Head::read(raw)).filter(|head| fits(ask, head)).collect();
        // While nobody has told of a head, the newest block that there is becomes what we want a way to.
        let catching_up = goal.is_none() && matches!(ask, Ask::Headers { .. });
        let newest = heads.iter().map(|head| head.number).max().filter(|&number| catching_up && number > last);
        let wanted = |head: &&Head| goal.is_some() || (catching_up && head.number > last);
        let (mut taken, mut found) = (0, false);
        for head in heads.iter().filter(wanted).filter(|head| !self.branch.has(&head.hash)) {
            taken += 1;
            found |= Some(head.hash) == missing;
            self.gap.take(head.clone(), Some(head.number) == newest, side.now);
        }
        while self.join(side) {}
        let told = side.tally.delivered - before;
        side.tally.filled += told.min(taken);
        let useful = found || told > 0 || newest.is_some();
        match ask {
            Ask::Headers { .. } => self.by_hash |= goal.is_some() && !useful,
            Ask::Header { .. } => {
                self.unknown += u32::from(!useful);
                // Below it, the branches may be one again.
                self.by_hash &= !useful;
            }
            Ask::Latest | Ask::BlockLogs { .. } | Ask::LogsSince { .. } => {}
        }
        useful
    }

    /// There is a block of this number, somebody says.
    pub(crate) fn hint(&mut self, number: u64, side: &mut Side<'_>) {
        self.catch_up.hint(number, side.now);
        self.proceed(side);
    }

    /// The channels changed.
    pub(crate) fn channels_changed(&mut self, side: &mut Side<'_>) {
        self.watch.look(side.desk, side.now);
        self.proceed(side);
    }

    pub(crate) fn handle_timeout(&mut self, side: &mut Side<'_>) {
        if let Some(ended) = self.overdue(side) {
            return side.end(ended);
        }
        if let Some((channel, because)) = self.watch.finding(side.line, side.desk, side.now) {
            match because {
                Moved::Stale | Moved::Behind => {
                    side.line.leave(because, side.desk, side.now);
                }
                Moved::Lost | Moved::Lossy | Moved::Unlinked | Moved::Malformed | Moved::Removed => {
                    side.desk.tell(Notice::EventsMissed { channel, kind: crate::key::Kind::NewHeads });
                    side.news.fault = Some((channel, because));
                }
            }
        }
        if self.unknown >= UNLINKED.1 && side.line.channel().is_some() {
            let blamed = self.gap.blamed(side.now.before(UNLINKED.0));
            if let Some(channel) = blamed.filter(|&channel| side.line.channel() == Some(channel)) {
                self.unknown = 0;
                side.news.fault = Some((channel, Moved::Unlinked));
            }
        }
        self.proceed(side);
    }

    fn overdue(&self, side: &Side<'_>) -> Option<Ended> {
        let [gap, lost] = self.deadlines(side.line, side.desk);
        let (fill, timeout) = (side.desk.settings.fill, side.desk.settings.fill_timeout);
        if side.is_due(gap) {
            return Some(if fill { Ended::FillTimedOut(timeout) } else { Ended::FillOff });
        }
        side.is_due(lost).then_some(Ended::NobodyTookOver(timeout))
    }

    /// When the gap, and when the outage, has lasted too long.
    fn deadlines(&self, line: &Line, desk: &Desk) -> [Option<Timestamp>; 2] {
        let timeout = desk.settings.fill_timeout;
        let gap = if desk.settings.fill { timeout } else { GRACE_WITHOUT_FILL };
        let lost = line.lost_since().filter(|_| self.branch.last().is_some()).map(|since| since.max(self.told_at));
        [self.gap.since().map(|since| since.plus(gap)), lost.map(|since| since.plus(timeout))]
    }

    pub(crate) fn poll_timeout(&self, line: &Line, desk: &Desk) -> Option<Timestamp> {
        let ask = if self.asked.is_some() || !desk.settings.fill {
            None
        } else if self.branch.last().is_none() {
            self.try_again
        } else if let Some(opened) = self.gap.opened() {
            Some(self.try_again.unwrap_or_default().max(opened.plus(GRACE)))
        } else {
            let due = self.branch.number().and_then(|last| self.catch_up.due(last, self.watch.is_fresh(), line, desk));
            due.map(|due| due.max(self.try_again.unwrap_or_default()))
        };
        let deadlines = self.deadlines(line, desk).into_iter().flatten();
        deadlines.chain(ask).chain(self.watch.poll_timeout(line, desk)).min()
    }
}

/// Whether a block is what was asked for.
fn fits(ask: &Ask, head: &Head) -> bool {
    match ask {
        Ask::Headers { from, to } => (*from..=*to).contains(&head.number),
        Ask::Header { hash } => head.hash == *hash,
        Ask::Latest | Ask::BlockLogs { .. } | Ask::LogsSince { .. } => false,
    }
}

/// For the feeds of logs: the chain as it was told so far.
pub(crate) fn told_so_far(branch: &Branch) -> Vec<Step> {
    branch.blocks().cloned().map(Step::Anchored).collect()
}
