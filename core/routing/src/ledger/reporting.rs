//! Reports: what was added up, under names, one at a time.
//!
//! Invariant: what is in a report is in no later one; a report stays as it is until it is acknowledged, however often it is sent.
//! Leaves to others: adding up ([`super::tally`], [`super::count`]), when to ask for a report, and the way there (the shell).

use std::collections::VecDeque;

use super::archive::Name;
use super::tally::Spot;
use super::{Book, Ledger};
use crate::report::{
    ChannelTally, Decision, Dropped, Lesson, Limit, MOST_DECISIONS, MOST_LESSONS, MOST_TALLIES, Report, SeenHead, Tally,
};
use crate::time::Timestamp;

/// Lessons that wait for a report; more are forgotten, and counted as that. They are still heeded here.
const MOST_WAITING: usize = 4 * MOST_LESSONS;

/// A lesson that no report has yet.
#[derive(Debug)]
struct Waiting {
    channel: Box<str>,
    limit: Limit,
    until: Timestamp,
}

/// The worker's side of its reports.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// Number of the last report.
    seq: u64,
    pub(super) unacked: Option<Report>,
    lessons: VecDeque<Waiting>,
    decisions: Vec<Decision>,
    pub(super) dropped: Dropped,
    /// Lost attempts that some report has told.
    told_lost: u64,
}

impl Outbox {
    /// Number of the report that what happens now will be in.
    pub(super) const fn next(&self) -> u64 {
        self.seq + 1
    }

    /// A channel turned out not to do something.
    pub(super) fn taught(&mut self, channel: &str, limit: &Limit, until: Timestamp) {
        let same = |waiting: &&mut Waiting| *waiting.channel == *channel && waiting.limit == *limit;
        if let Some(waiting) = self.lessons.iter_mut().find(same) {
            waiting.until = waiting.until.max(until);
        } else if self.lessons.len() < MOST_WAITING {
            self.lessons.push_back(Waiting { channel: channel.into(), limit: limit.clone(), until });
        } else {
            self.dropped.lessons = self.dropped.lessons.saturating_add(1);
        }
    }

    fn draw_lessons(&mut self, now: Timestamp) -> Vec<Lesson> {
        let count = self.lessons.len().min(MOST_LESSONS);
        let lesson = |Waiting { channel, limit, until }: Waiting| Lesson { channel, limit, left: until.since(now) };
        self.lessons.drain(..count).map(lesson).filter(|lesson| lesson.left.0 > 0).collect()
    }

    fn draw_dropped(&mut self, lost: u64) -> Dropped {
        let untold = lost.saturating_sub(std::mem::replace(&mut self.told_lost, lost));
        Dropped { lost: untold, ..std::mem::take(&mut self.dropped) }
    }

    fn draw_decisions(&mut self) -> Vec<Decision> {
        let mut decisions = std::mem::take(&mut self.decisions);
        decisions.sort_by_key(|decision| decision.answered);
        decisions
    }
}

impl Ledger {
    /// The next report, if there is something to say: only while none is unacknowledged. Reports are numbered from 1.
    pub fn report(&mut self, now: Timestamp) -> Option<&Report> {
        if self.outbox.unacked.is_some() {
            return None;
        }
        let (heads, channels) = self.draw_channels(now);
        let report = Report {
            seq: self.outbox.next(),
            tallies: self.draw_tallies(),
            channels,
            chains: self.draw_chains(),
            heads,
            lessons: self.outbox.draw_lessons(now),
            decisions: self.outbox.draw_decisions(),
            dropped: self.outbox.draw_dropped(self.archive.lost),
        };
        if report == (Report { seq: report.seq, ..Report::default() }) {
            return None;
        }
        self.outbox.seq = report.seq;
        Some(self.outbox.unacked.insert(report))
    }

    /// The report that was not acknowledged yet: to be sent again on a new stream, as it is.
    #[must_use]
    pub const fn unacked(&self) -> Option<&Report> {
        self.outbox.unacked.as_ref()
    }

    /// The report of that number counts, over there.
    pub fn acked(&mut self, seq: u64) {
        self.outbox.unacked.take_if(|report| report.seq == seq);
    }

    /// A request was routed, and is worth telling. Errors come before the rest when there is not room for all.
    pub fn decided(&mut self, decision: Decision) {
        if !self.samples(decision.answered) {
            return;
        }
        let decisions = &mut self.outbox.decisions;
        if decisions.len() >= MOST_DECISIONS
            && let Some(lesser) = decisions.iter().position(|kept| kept.answered)
        {
            decisions.swap_remove(lesser);
            self.outbox.dropped.decisions = self.outbox.dropped.decisions.saturating_add(1);
        }
        self.outbox.decisions.push(decision);
    }

    /// Whether there is room for a decision; counts it as dropped if not. To be asked before one is put together: that costs more than
    /// all else that is done for reports.
    pub fn samples(&mut self, answered: bool) -> bool {
        let decisions = &self.outbox.decisions;
        let room = decisions.len() < MOST_DECISIONS || (!answered && decisions.iter().any(|kept| kept.answered));
        if !room {
            self.outbox.dropped.decisions = self.outbox.dropped.decisions.saturating_add(1);
        }
        room
    }

    /// Attempts since the start that are in no report but as [`Dropped::lost`].
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.archive.lost
    }

    fn draw_tallies(&mut self) -> Vec<Tally> {
        let mut tallies = Vec::new();
        while tallies.len() < MOST_TALLIES
            && let Some(tally) = self.archive.draw()
        {
            tallies.push(tally);
        }
        while tallies.len() < MOST_TALLIES
            && let Some((spot, sums)) = self.sheet.draw(&mut self.books)
        {
            match self.name_of(spot) {
                Some(Name { profile, chain, channel, class }) => {
                    tallies.push(Tally { profile, chain, channel, class, sums });
                }
                None => self.archive.lost = self.archive.lost.saturating_add(sums.attempts()),
            }
        }
        tallies
    }

    fn draw_channels(&mut self, now: Timestamp) -> (Vec<SeenHead>, Vec<ChannelTally>) {
        // First, since a channel may have come back meanwhile.
        let gone = self.archive.draw_channels().into_iter();
        let mut tallies: Vec<_> = gone.filter_map(|(id, mut count)| count.draw(&id, 0, now)).collect();
        let mut heads = Vec::new();
        for channel in self.news.drain(..) {
            let Some(account) = self.accounts.get_mut(channel.index()) else { continue };
            tallies.extend(account.count.draw(&account.id, account.in_flight, now));
            if let Some(shown) = self.heads.news(channel, now) {
                heads.push(SeenHead { channel: account.id.clone(), shown });
            }
        }
        (heads, tallies)
    }

    /// What is on the sheet goes under names: the seats are about to move.
    pub(super) fn file(&mut self) {
        while let Some((spot, sums)) = self.sheet.draw(&mut self.books) {
            match self.name_of(spot) {
                Some(name) => self.outbox.dropped.coarsened += self.archive.keep(name, &sums),
                None => self.archive.lost = self.archive.lost.saturating_add(sums.attempts()),
            }
        }
    }

    fn name_of(&self, spot: Spot) -> Option<Name> {
        let Book { profile, chain, members, .. } = self.books.get(spot.chain.index())?;
        let account = self.accounts.get(members.get(spot.place)?.channel.index())?;
        let (profile, chain, channel) = (profile.clone(), chain.clone(), account.id.clone());
        Some(Name { profile, chain, channel, class: spot.class })
    }
}
