//! A report, merged into everything that it concerns.
//!
//! Duty: count each report once, acknowledge it always, and hand its parts to breakers, evidence, heads and lessons.
//! Invariant: no allocation in the steady state: names are looked up, not stored, and the last chain that was looked up is remembered,
//! because a report's tallies come chain by chain.
//! Leaves to others: what the parts mean.

use super::Fleet;
use super::event::{Action, Notice, WorkerId};
use super::roster::NodeId;
use crate::report::{ChannelTally, Dropped, Ending, Report, Tally};
use crate::time::Timestamp;

/// The chain that was looked up last.
#[derive(Debug, Clone, Copy)]
struct Looked<'r> {
    profile: &'r str,
    chain: &'r str,
    book: Option<usize>,
}

impl Fleet {
    pub(super) fn take_in(&mut self, id: WorkerId, report: &Report, now: Timestamp) {
        let Some(worker) = self.roster.workers.get(&id) else { return };
        let (instance, node) = (worker.hello.instance, worker.node);
        let seq = report.seq;
        self.actions.push_back(Action::Ack(id, seq));
        if !self.roster.is_new(instance, seq) {
            self.totals.repeated += 1;
            return;
        }
        self.totals.reports += 1;
        let mut channels = std::mem::take(&mut self.scratch);
        channels.clear();
        channels.extend(report.channels.iter().map(|tally| self.channels.get(&tally.channel).copied()));
        self.note_tries(node, report, &channels, now);
        let believed = !self.judge_egress(node, now);
        self.take_tallies(id, report, believed, now);
        for (tally, &channel) in report.channels.iter().zip(&channels) {
            match channel {
                Some(channel) => self.take_channel(id, node, channel, tally, believed, now),
                None => self.totals.unknown += 1,
            }
        }
        self.scratch = channels;
        self.take_chains(report);
        self.take_heads(&report.heads, now);
        self.take_lessons(report, now);
        for decision in report.decisions.iter().take(crate::report::MOST_DECISIONS) {
            self.tell(Notice::Decided(Box::new(decision.clone())));
        }
        self.count_report(node, report, now);
    }

    fn note_tries(&mut self, node: NodeId, report: &Report, channels: &[Option<usize>], now: Timestamp) {
        let channels_in_all = self.accounts.len();
        let Some(node) = self.roster.nodes.get_mut(&node) else { return };
        node.tried.resize(channels_in_all, Default::default());
        for (tally, channel) in report.channels.iter().zip(channels) {
            let trials = &tally.trials;
            let tried = tally.attempts > 0 || trials.successes > 0 || trials.failure.is_some();
            if !tried && tally.last_resort_successes == 0 {
                continue;
            }
            let success =
                (tally.attempts > 0 && !tally.unbroken) || trials.successes > 0 || tally.last_resort_successes > 0;
            let run = &tally.run;
            let failures =
                run.silent.saturating_add(run.server).saturating_add(run.auth).saturating_add(u32::from(run.billing));
            let failures = failures.max(u32::from(trials.failure.is_some()));
            if let Some(place) = channel.and_then(|channel| node.tried.get_mut(channel)) {
                place.note(success, failures, run.age, now);
            }
        }
    }

    fn take_tallies(&mut self, id: WorkerId, report: &Report, believed: bool, now: Timestamp) {
        let mut looked: Option<Looked<'_>> = None;
        let mut asked = false;
        for tally in &report.tallies {
            let attempts = tally.sums.attempts();
            let Some((book, cell)) = self.locate(tally, &mut looked, now) else {
                self.totals.unknown += 1;
                continue;
            };
            self.take_tally(book, cell, tally, believed, now);
            self.totals.attempts += attempts;
            asked |= attempts > 0;
            let books = self.books.len();
            if let Some(worker) = self.roster.workers.get_mut(&id).filter(|_| attempts > 0) {
                worker.used.resize(books, Timestamp::default());
                if let Some(used) = worker.used.get_mut(book) {
                    *used = now;
                }
            }
        }
        if let Some(worker) = self.roster.workers.get_mut(&id).filter(|_| asked) {
            worker.asked = Some(now);
        }
    }

    /// The cell of a tally, made when it is the first. `None` for what the catalog does not have.
    fn locate<'r>(
        &mut self,
        tally: &'r Tally,
        looked: &mut Option<Looked<'r>>,
        now: Timestamp,
    ) -> Option<(usize, usize)> {
        let book = match looked {
            Some(looked) if *looked.profile == *tally.profile && *looked.chain == *tally.chain => looked.book,
            Some(_) | None => {
                let book = self.chains.get(&tally.profile).and_then(|chains| chains.get(&tally.chain)).copied();
                *looked = Some(Looked { profile: &tally.profile, chain: &tally.chain, book });
                book
            }
        }?;
        let channel = *self.channels.get(&tally.channel)?;
        let place = self.books.get(book)?.place_of(channel)?;
        let cell = self.cell_at(book, place, tally.class, now)?;
        Some((book, cell))
    }

    fn take_tally(&mut self, book: usize, cell: usize, tally: &Tally, believed: bool, now: Timestamp) {
        let attempts = tally.sums.attempts();
        if let Some(Some(board)) = self.books.get_mut(book).and_then(|book| book.boards.get_mut(tally.class.index())) {
            board.calls = board.calls.saturating_add(attempts);
        }
        let Some(found) = self.cells.get_mut(cell) else { return };
        found.take(&tally.sums, believed, now);
        if found.follow_ups > 0 && found.evidence.is_surprisingly_fast() && !self.surprising.contains(&cell) {
            self.surprising.push(cell);
        }
        let place = found.place;
        let seat = self.books.get(book).and_then(|book| book.seats.get(place));
        if let Some(account) = seat.and_then(|seat| self.accounts.get_mut(seat.channel)) {
            for (total, &count) in account.endings.iter_mut().zip(&tally.sums.endings) {
                *total = total.saturating_add(u64::from(count));
            }
            if tally.sums.ended(Ending::Auth) > 0 || tally.sums.ended(Ending::Billing) > 0 {
                account.refused = Some(tally.class);
            }
        }
        self.may_be_news(cell, now);
    }

    fn take_chains(&mut self, report: &Report) {
        for tally in &report.chains {
            let place = self.chains.get(&tally.profile).and_then(|chains| chains.get(&tally.chain)).copied();
            match place.and_then(|place| self.books.get_mut(place)) {
                Some(book) => book.counts.take(&tally.counts),
                None => self.totals.unknown += 1,
            }
        }
    }

    fn take_channel(
        &mut self,
        id: WorkerId,
        node: NodeId,
        channel: usize,
        tally: &ChannelTally,
        believed: bool,
        now: Timestamp,
    ) {
        let channels = self.accounts.len();
        if let (Some(worker), Some(account)) = (self.roster.workers.get_mut(&id), self.accounts.get_mut(channel)) {
            worker.in_flight.resize(channels, 0);
            if let Some(known) = worker.in_flight.get_mut(channel) {
                let others = account.in_flight.saturating_sub(u64::from(*known));
                account.in_flight = others + u64::from(tally.in_flight);
                *known = tally.in_flight;
            }
        }
        if tally.refusals > 0 {
            self.mark(channel, tally.told_to_wait, now);
        }
        let ended = self.trial_ended(id, channel, tally);
        if believed {
            self.absorb(node, channel, tally, now);
        }
        if ended {
            self.grant_trials(channel, now);
        }
    }

    fn count_report(&mut self, node: NodeId, report: &Report, now: Timestamp) {
        let attempts = report.tallies.iter().map(|tally| tally.sums.attempts()).sum::<u64>();
        let Some(node) = self.roster.nodes.get_mut(&node) else { return };
        node.attempts = node.attempts.saturating_add(attempts);
        node.reports += 1;
        node.last_report = Some(now);
        let Dropped { coarsened, decisions, lessons, lost } = report.dropped;
        if report.dropped != Dropped::default() {
            node.dropped.coarsened = node.dropped.coarsened.saturating_add(coarsened);
            node.dropped.decisions = node.dropped.decisions.saturating_add(decisions);
            node.dropped.lessons = node.dropped.lessons.saturating_add(lessons);
            node.dropped.lost = node.dropped.lost.saturating_add(lost);
            // Decisions are a sample: that most are not in it is no news.
            if coarsened > 0 || lessons > 0 || lost > 0 {
                let notice = Notice::Dropped { node: node.name.clone(), dropped: report.dropped };
                self.tell(notice);
            }
        }
    }
}
