//! Following the control plane's tables, and going on without them.
//!
//! Duty: write what a table says where plans look; when none has come for [`PATIENCE`], go by what is known here alone.
//! Invariant: a standing is the table's, merged with those of this worker's outcomes that the table does not include. A deadline of the
//! fleet outlives the fleet; a lease does not.
//! Leaves to others: what the fleet's word about one channel lets through ([`super::told`]).

use lasso_jsonrpc::method::MethodClass;

use super::archive::Name;
use super::tally::without_histogram;
use super::told::{Told, Word};
use super::{Desk, Ledger};
use crate::breaker::State;
use crate::catalog::{ChainIdx, ChannelIdx};
use crate::report::Sums;
use crate::table::{Lease, Right, Table};
use crate::time::{Millis, Timestamp};

/// Without a table for this long a worker is alone.
pub const PATIENCE: Millis = Millis::from_secs(2);
/// Leases for exploring that are kept.
const MOST_EXPLORATIONS: usize = 256;
/// A budget's smallest part: one with no part at all would never have a call.
const LEAST_SHARE: f32 = 0.001;

/// A call that this worker, and no other, may make to a channel that nobody asked for a while.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exploration {
    pub(super) chain: ChainIdx,
    pub(super) class: MethodClass,
    pub(super) place: usize,
    pub(super) end: Timestamp,
}

impl Exploration {
    pub(super) fn is_for(&self, desk: Desk) -> bool {
        self.chain == desk.chain && self.class == desk.class
    }
}

impl Ledger {
    /// Follows a routing table.
    pub fn follow_table(&mut self, table: &Table, now: Timestamp) {
        (self.heard, self.alone) = (Some(now), false);
        self.tables = self.tables.wrapping_add(1);
        if table.full {
            self.forget_told();
        }
        self.follow_cells(table, now);
        self.follow_channels(table, now);
        self.follow_heads(table, now);
        self.follow_lessons(table, now);
        self.explorations.retain(|exploration| now < exploration.end);
        table.leases.iter().for_each(|lease| self.take_lease(lease, now));
        self.cede(table, now);
        self.follow_share(table.share);
    }

    /// To be called about ten times a second.
    pub fn tick(&mut self, now: Timestamp) {
        if !self.alone && self.is_alone(now) {
            self.go_alone(now);
        }
    }

    /// No table has come for a while: nobody knows more than this worker does.
    #[must_use]
    pub fn is_alone(&self, now: Timestamp) -> bool {
        self.heard.is_none_or(|heard| now.since(heard) >= PATIENCE)
    }

    fn forget_told(&mut self) {
        self.explorations.clear();
        self.heads.forget_fleet();
        for told in self.accounts.iter_mut().filter_map(|account| account.told.as_deref_mut()) {
            told.named = false;
            told.limits = None;
            told.end_leases();
        }
    }

    fn follow_cells(&mut self, table: &Table, now: Timestamp) {
        for cell in &table.cells {
            let Some((chain, place)) = self.place_named(&cell.profile, &cell.chain, &cell.channel) else { continue };
            let Some(seat) = self.books.get_mut(chain).and_then(|book| book.seat(cell.class, place)) else { continue };
            seat.evidence.adopt(&cell.summary, now);
            seat.told_in = self.tables;
        }
        if !table.cells.is_empty() {
            self.add_what_it_lacks(table, now);
        }
    }

    /// In the order in which it happened: what was sent, what a reload moved, what is on the sheet.
    fn add_what_it_lacks(&mut self, table: &Table, now: Timestamp) {
        let sent = self.outbox.unacked.take();
        for tally in sent.iter().filter(|report| report.seq > table.covers).flat_map(|report| &report.tallies) {
            if let Some((chain, place)) = self.place_named(&tally.profile, &tally.chain, &tally.channel) {
                self.add_again(chain, tally.class, place, &tally.sums, now);
            }
        }
        self.outbox.unacked = sent;
        let archive = std::mem::take(&mut self.archive);
        for (Name { profile, chain, channel, class }, sums) in archive.sums() {
            if let Some((chain, place)) = self.place_named(profile, chain, channel) {
                self.add_again(chain, *class, place, sums, now);
            }
        }
        self.archive = archive;
        let sheet = std::mem::take(&mut self.sheet);
        for (spot, sums) in sheet.lines() {
            self.add_again(spot.chain.index(), spot.class, spot.place, sums, now);
        }
        self.sheet = sheet;
    }

    /// If the table replaced a seat's evidence: adds sums that the table does not include.
    fn add_again(&mut self, chain: usize, class: MethodClass, place: usize, sums: &Sums, now: Timestamp) {
        let Some(seat) = self.books.get_mut(chain).and_then(|book| book.open_seat(class, place)) else { return };
        if seat.told_in == self.tables {
            // Its histogram has these answers already.
            seat.evidence.absorb(&without_histogram(sums), now);
        }
    }

    fn follow_channels(&mut self, table: &Table, now: Timestamp) {
        for view in &table.channels {
            let Some(channel) = self.channel_named(&view.channel) else { continue };
            let Some(account) = self.accounts.get_mut(channel.index()) else { continue };
            let closed = account.told.get_or_insert_default().follow(view, now);
            if closed && !table.set_aside {
                account.breaker.reset(now);
                self.forget_failures(channel);
            }
        }
        if table.full {
            let told = self.accounts.iter_mut().filter_map(|account| account.told.as_deref_mut());
            told.filter(|told| !told.named).for_each(Told::forget);
        }
    }

    fn follow_heads(&mut self, table: &Table, now: Timestamp) {
        for head in &table.heads {
            if let Some(channel) = self.channel_named(&head.channel) {
                self.heads.follow(channel, &head.shown, now);
            }
        }
        for (chain_id, length) in &table.block_times {
            if let Some(network) = self.networks.iter().position(|known| known == chain_id) {
                self.heads.follow_block_time(network, *length);
            }
        }
    }

    fn follow_lessons(&mut self, table: &Table, now: Timestamp) {
        for lesson in &table.lessons {
            let Some(channel) = self.channel_named(&lesson.channel) else { continue };
            let until = now.plus(lesson.left);
            for sibling in self.siblings(channel) {
                if let Some(account) = self.accounts.get_mut(sibling.index()) {
                    let limits = account.told.get_or_insert_default().limits.get_or_insert_default();
                    limits.put(&lesson.limit, until, now);
                }
            }
        }
    }

    fn take_lease(&mut self, lease: &Lease, now: Timestamp) {
        let end = now.plus(lease.left);
        match &lease.right {
            Right::Trial { channel, opening } => {
                let channel = self.channel_named(channel);
                let account = channel.and_then(|channel| self.accounts.get_mut(channel.index()));
                if let Some(told) = account.and_then(|account| account.told.as_deref_mut()) {
                    told.lease(*opening, end);
                }
            }
            Right::Explore { profile, chain, channel, class } => {
                if self.explorations.len() < MOST_EXPLORATIONS
                    && let Some((chain, place)) = self.place_named(profile, chain, channel)
                    && let Some(chain) = self.books.get(chain).map(|book| book.index)
                {
                    self.explorations.push(Exploration { chain, class: *class, place, end });
                }
            }
        }
    }

    /// What the table includes is the fleet's from here on: failures, whose breaker governs; refusals, whose mark does. Of an Envoy that is
    /// set aside the fleet takes nothing in, so it keeps its own.
    fn cede(&mut self, table: &Table, now: Timestamp) {
        for account in &mut self.accounts {
            let count = &account.count;
            if !table.set_aside && count.refused_in <= table.covers {
                account.mark_ceded = true;
            }
            let Some(told) = account.told.as_deref_mut() else { continue };
            if told.lifted.is_some_and(|report| report <= table.covers) {
                told.lifted = None;
            }
            let governs = told.word.is_shut() && told.lifted.is_none() && !table.set_aside;
            if governs && count.failed_in <= table.covers {
                account.breaker.reset(now);
            }
            if told.is_idle(now) {
                account.told = None;
            }
        }
    }

    fn follow_share(&mut self, share: f32) {
        let share = if share > 0.0 { share.clamp(LEAST_SHARE, 1.0) } else { 0.0 };
        if share.to_bits() == self.share.to_bits() {
            return;
        }
        self.share = share;
        self.divide_budgets();
    }

    /// The whole limit times this worker's share; an even part of it while nobody says which share that is.
    pub(super) fn divide_budgets(&mut self) {
        let part = if self.share > 0.0 { self.workers * f64::from(self.share) } else { 1.0 };
        self.budgets.iter_mut().for_each(|bucket| bucket.divide(part));
    }

    fn go_alone(&mut self, now: Timestamp) {
        self.alone = true;
        self.explorations.clear();
        for account in &mut self.accounts {
            let Some(told) = account.told.as_deref_mut() else { continue };
            told.end_leases();
            if told.lifted.take().is_some() {
                continue;
            }
            let until = match told.word {
                Word::Open { until } => until.max(now),
                Word::HalfOpen => now,
                Word::Closed | Word::OpenByHand => continue,
            };
            // Half-open, here, is what has no deadline to come: one trial of its own, then another.
            match account.breaker.state(now) {
                State::Open { until: own } if own >= until => {}
                State::HalfOpen if until == now => {}
                State::Open { .. } | State::HalfOpen | State::Closed => account.breaker.trip(until, now),
            }
        }
        for board in self.books.iter_mut().flat_map(|book| book.boards.iter_mut().flatten()) {
            board.seats.iter_mut().for_each(|seat| seat.evidence.go_alone());
        }
        self.follow_share(0.0);
    }

    fn channel_named(&self, id: &str) -> Option<ChannelIdx> {
        let named = |channel: &ChannelIdx| self.accounts.get(channel.index()).map_or("", |account| &*account.id);
        let place = self.channels.binary_search_by(|channel| named(channel).cmp(id)).ok()?;
        self.channels.get(place).copied()
    }

    /// The book's index, and the channel's place in it.
    fn place_named(&self, profile: &str, chain: &str, channel: &str) -> Option<(usize, usize)> {
        let book = self.books.iter().position(|book| *book.chain == *chain && *book.profile == *profile)?;
        Some((book, self.books.get(book)?.place_of(self.channel_named(channel)?)?))
    }

    /// Every channel of the channel's provider, itself included, in any chain that has it.
    fn siblings(&self, channel: ChannelIdx) -> Vec<ChannelIdx> {
        let mut siblings = vec![channel];
        for book in &self.books {
            let own = book.place_of(channel).and_then(|place| book.members.get(place)).map(|own| own.provider);
            let of_provider = book.members.iter().filter(|member| own == Some(member.provider));
            for member in of_provider {
                if !siblings.contains(&member.channel) {
                    siblings.push(member.channel);
                }
            }
        }
        siblings
    }
}
