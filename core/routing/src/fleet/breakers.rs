//! The fleet's breakers and rate-limit marks.
//!
//! Duty: feed them with reports and probes, follow what people decide, and tell of each change once.
//! Invariant: failures of one Envoy open nothing while another one uses the channel and does not fail there. Whatever moved a breaker
//! (a report, a probe, the clock, a person), [`Fleet::settle`] finds out and tells.
//! Leaves to others: the rules of opening ([`crate::breaker`]), who gets a trial (`leases`).

use super::Fleet;
use super::account::Stance;
use super::event::{Manual, Notice};
use super::roster::{NodeId, PROBER};
use crate::breaker::{Category, Company};
use crate::catalog::Transport;
use crate::report::ChannelTally;
use crate::time::{Millis, Timestamp};

impl Fleet {
    /// A report's part about one channel, from an Envoy that is believed.
    pub(super) fn absorb(&mut self, node: NodeId, channel: usize, tally: &ChannelTally, now: Timestamp) {
        let failed = tally.failures > 0 || tally.run.last.is_some();
        let company = if failed { self.company(channel, now) } else { Company::Others };
        let may_open = failed && self.may_open(node, channel, now);
        let Some(account) = self.accounts.get_mut(channel) else { return };
        let may_open = may_open && account.manual == Manual::Auto;
        if account.breaker.absorb(tally, company, may_open, now).is_some() {
            self.settle(channel, now);
        }
    }

    /// A probe failed: one failure.
    pub(super) fn probe_failed(&mut self, channel: usize, category: Category, now: Timestamp) {
        if self.prober_is_aside() {
            return;
        }
        let company = self.company(channel, now);
        let may_open = self.may_open(PROBER, channel, now);
        let Some(account) = self.accounts.get_mut(channel) else { return };
        if may_open && account.manual == Manual::Auto {
            account.breaker.probe_failed(category, company, now);
            self.settle(channel, now);
        }
    }

    fn prober_is_aside(&self) -> bool {
        self.roster.nodes.get(&PROBER).is_some_and(|prober| prober.set_aside)
    }

    /// Whether an Envoy asked a channel lately.
    pub(super) fn is_asked(&self, channel: usize, now: Timestamp) -> bool {
        let mut envoys = self.roster.nodes.iter().filter(|(id, _)| **id != PROBER);
        envoys.any(|(_, envoy)| envoy.tried.get(channel).is_some_and(|tried| tried.is_tried(now)))
    }

    /// Failures of two witnesses open, or those of the only Envoy that asked lately. One that was set aside is no witness.
    fn may_open(&self, node: NodeId, channel: usize, now: Timestamp) -> bool {
        let witnesses = self.roster.nodes.iter().filter(|(_, witness)| !witness.set_aside);
        let (mut failing, mut others) = (0, 0);
        for (&id, witness) in witnesses {
            let Some(tried) = witness.tried.get(channel) else { continue };
            failing += u32::from(tried.fails(now));
            others += u32::from(id != node && id != PROBER && tried.is_tried(now));
        }
        failing >= 2 || others == 0
    }

    /// Whether some chain would be left with nobody. Only an answer can be better than none, so channels that cannot be asked are no company.
    fn company(&self, channel: usize, now: Timestamp) -> Company {
        let Some(account) = self.accounts.get(channel) else { return Company::Others };
        let admitted = |other: usize| self.accounts.get(other).is_some_and(|other| other.is_admitted(now));
        let alone = account.seats.iter().filter_map(|&(book, _)| self.books.get(book)).any(|book| {
            let mut others = book.seats.iter().filter(|seat| seat.channel != channel);
            !others.any(|seat| admitted(seat.channel))
        });
        if alone { Company::Alone } else { Company::Others }
    }

    /// A person decided.
    pub(super) fn decided(&mut self, channel: &str, decision: Manual, now: Timestamp) {
        let Some(&channel) = self.channels.get(channel) else { return };
        let Some(account) = self.accounts.get_mut(channel) else { return };
        if account.manual == decision {
            return;
        }
        account.manual = decision;
        if decision == Manual::Close {
            account.breaker.reset(now);
        }
        self.unsaved = true;
        self.settle(channel, now);
    }

    /// The hub's sockets to a ws channel: without one nobody is to ask it, and nothing is held against it.
    pub(super) fn sockets_changed(&mut self, channel: &str, connected: bool, now: Timestamp) {
        let Some(&channel) = self.channels.get(channel) else { return };
        let Some(account) = self.accounts.get_mut(channel) else { return };
        if account.transport == Transport::Ws && account.connected != connected {
            account.connected = connected;
            self.channel_changed(channel, true, now);
        }
    }

    /// Tells where a channel stands if that is not what was told.
    pub(super) fn settle(&mut self, channel: usize, now: Timestamp) {
        let Some(account) = self.accounts.get_mut(channel) else { return };
        let (before, stance) = (account.stance, account.stance(now));
        if before == stance {
            return;
        }
        account.stance = stance;
        if matches!(stance, Stance::Closed | Stance::Open(_)) {
            account.trials.clear();
        }
        let (id, because) = (account.id.clone(), account.breaker.because());
        let length = account.breaker.deadline(now).map(|until| until.since(now));
        let manual = account.manual != Manual::Auto || before == Stance::OpenByHand;
        if matches!(stance, Stance::Open(_)) {
            account.watch.opened(now);
        }
        self.tell(match stance {
            Stance::Closed => Notice::BreakerClosed { channel: id, manual },
            Stance::Open(_) => Notice::BreakerOpened { channel: id, because, length },
            Stance::OpenByHand => Notice::BreakerOpened { channel: id, because: None, length: None },
            Stance::HalfOpen(_) => Notice::BreakerHalfOpened { channel: id },
        });
        match stance {
            Stance::Closed => self.forget_failures(channel, now),
            Stance::HalfOpen(_) => self.grant_trials(channel, now),
            Stance::Open(_) | Stance::OpenByHand => {}
        }
        self.unsaved = true;
        self.judge_health_of(channel, now);
        self.channel_changed(channel, true, now);
    }

    /// It closed: what failed before is history, in every class.
    fn forget_failures(&mut self, channel: usize, now: Timestamp) {
        let Some(account) = self.accounts.get(channel) else { return };
        let boards = account.seats.iter().filter_map(|&(book, place)| Some((self.books.get(book)?, place)));
        let cells: Vec<usize> = boards
            .flat_map(|(book, place)| book.boards().filter_map(move |(_, board)| *board.cells.get(place)?))
            .collect();
        for cell in cells {
            if let Some(cell) = self.cells.get_mut(cell) {
                cell.evidence.forget_failures();
            }
            self.may_be_news(cell, now);
        }
    }

    /// What the clock moves: openings end, and those that wait for a probe are told again.
    pub(super) fn turn_breakers(&mut self, now: Timestamp) {
        self.wait_for_probes(now);
        for channel in 0..self.accounts.len() {
            self.settle(channel, now);
            if self.accounts.get(channel).is_some_and(|account| account.is_held(now)) {
                self.channel_changed(channel, false, now);
            }
        }
    }

    /// Whether openings wait for probes follows from whether probes run.
    pub(super) fn wait_for_probes(&mut self, now: Timestamp) {
        // Probes whose own way out is broken find everybody dead.
        let run = self.prober.runs(now) && !self.prober_is_aside();
        for account in &mut self.accounts {
            account.breaker.wait_for_probes(run && account.is_probed() && account.watch.gets_through(now), now);
        }
    }

    /// A provider refused for its rate.
    pub(super) fn mark(&mut self, channel: usize, told_to_wait: Option<Millis>, now: Timestamp) {
        let Some(account) = self.accounts.get_mut(channel) else { return };
        let before = account.mark;
        account.mark.refused(told_to_wait, now);
        if account.mark == before {
            return;
        }
        self.unsaved = true;
        if let (false, Some(length)) = (account.marked, account.limited(now)) {
            account.marked = true;
            let notice = Notice::RateLimited { channel: account.id.clone(), length };
            self.tell(notice);
        }
        self.channel_changed(channel, false, now);
    }

    /// Tells of marks that have ended.
    pub(super) fn end_marks(&mut self, now: Timestamp) {
        for channel in 0..self.accounts.len() {
            let Some(account) = self.accounts.get_mut(channel) else { continue };
            if account.marked && account.limited(now).is_none() {
                account.marked = false;
                let notice = Notice::RateLimitEnded { channel: account.id.clone() };
                self.tell(notice);
                self.unsaved = true;
                self.channel_changed(channel, false, now);
            }
        }
    }
}
