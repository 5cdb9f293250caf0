//! What each worker is told, and when.
//!
//! Duty: a full table when a worker joins, after that what changed since the last one that was sent to it.
//! Invariant: a worker that takes no tables costs nothing: at most two are on their way, and what it missed follows from revisions. A table
//! is bounded ([`MOST_CELLS`] and its kin); what did not fit comes with the next. How many cells are published in a tick is bounded over
//! the whole fleet, what may change who leads first, so the work of a second is bounded, too.
//! Leaves to others: what a worker does with it ([`crate::ledger`]).

use std::collections::VecDeque;

use lasso_jsonrpc::method::MethodClass;

use super::Fleet;
use super::cell::{Cell, News};
use super::event::{Action, WorkerId};
use super::journal::Journal;
use super::roster::{Told, Worker};
use crate::report::{Lesson, SeenHead};
use crate::table::{self, Lease, Table};
use crate::time::{Millis, Timestamp};

/// Cells in one table; heads and lessons are held to the same number each.
const MOST_CELLS: usize = 2_048;
/// Cells told in one tick, times the workers that are told.
const MOST_PUBLISHED: usize = 40_000;
/// But never fewer cells in a tick than these.
const LEAST_PUBLISHED: usize = 64;
/// A worker is told how far its reports were heard after this long, if there is nothing else to tell.
const SOON: Millis = Millis(300);
/// And that we are still here.
const HEARTBEAT: Millis = Millis(1_000);

/// What is to be told to everybody.
#[derive(Debug, Default)]
pub(super) struct Newsroom {
    pub(super) cells: Journal,
    pub(super) channels: Journal,
    pub(super) heads: Journal,
    pub(super) clocks: Journal,
    pub(super) lessons: Journal,
    /// Cells that wait to be told.
    urgent: VecDeque<usize>,
    usual: VecDeque<usize>,
    /// Some worker is to be told at once.
    pub(super) hurry: bool,
}

impl Newsroom {
    pub(super) fn of(channels: usize, cells: usize, networks: usize) -> Self {
        Self {
            cells: Journal::of(cells),
            channels: Journal::of(channels),
            heads: Journal::of(channels),
            clocks: Journal::of(networks),
            lessons: Journal::of(channels),
            hurry: true,
            ..Self::default()
        }
    }
}

impl Fleet {
    /// The cell of a channel in a chain, made when it is the first of its class there.
    pub(super) fn cell_at(&mut self, book: usize, place: usize, class: MethodClass, now: Timestamp) -> Option<usize> {
        let slot = self.books.get_mut(book)?.board(class, now)?.cells.get_mut(place)?;
        if slot.is_none() {
            *slot = Some(self.cells.len());
            self.cells.push(Cell::new(book, place, class));
        }
        *slot
    }

    /// A cell was touched: it waits to be told if that changed anything.
    pub(super) fn may_be_news(&mut self, cell: usize, now: Timestamp) {
        let Some(found) = self.cells.get_mut(cell) else { return };
        let news = found.news(now);
        if news <= found.waits {
            return;
        }
        found.waits = news;
        match news {
            Some(News::Urgent) => self.news.urgent.push_back(cell),
            Some(News::Usual) => self.news.usual.push_back(cell),
            None => {}
        }
    }

    /// Tells the cells that wait longest, as many as the fleet's size allows.
    pub(super) fn publish(&mut self, now: Timestamp) {
        let mut left = (MOST_PUBLISHED / self.roster.workers.len().max(1)).max(LEAST_PUBLISHED);
        while left > 0 {
            let Some(index) = self.news.urgent.pop_front().or_else(|| self.news.usual.pop_front()) else { return };
            // One that waited in both lines was told when it was first in the other.
            let Some(cell) = self.cells.get_mut(index).filter(|cell| cell.waits.is_some()) else { continue };
            if cell.news(now).is_none() {
                cell.waits = None;
                continue;
            }
            cell.tell(now);
            self.news.cells.note(index);
            left -= 1;
        }
    }

    /// A channel's breaker, mark, bar or socket changed.
    pub(super) fn channel_changed(&mut self, channel: usize, urgent: bool, now: Timestamp) {
        if let Some(account) = self.accounts.get_mut(channel) {
            account.told = now;
        }
        self.news.channels.note(channel);
        if urgent {
            self.roster.workers.values_mut().for_each(|worker| worker.urgent = true);
            self.news.hurry = true;
        }
    }

    /// After a new catalog, or a restart: all that there is is news.
    pub(super) fn tell_everything_again(&mut self, now: Timestamp) {
        for (index, cell) in self.cells.iter_mut().enumerate().filter(|(_, cell)| cell.has_evidence()) {
            cell.tell(now);
            self.news.cells.note(index);
        }
        for (index, account) in self.accounts.iter_mut().enumerate() {
            let view = account.view(now);
            account.told = now;
            let is_plain =
                view.breaker == table::BreakerView::Closed && view.limited.is_none() && view.barred.is_none();
            if !is_plain || view.connected {
                self.news.channels.note(index);
            }
            if self.heads.shown(account.index, now).is_some() {
                self.news.heads.note(index);
            }
            if !account.lessons.is_empty() {
                self.news.lessons.note(index);
            }
        }
        (0..self.networks.len()).for_each(|network| self.news.clocks.note(network));
        for worker in self.roster.workers.values_mut() {
            worker.told.start_over();
            worker.urgent = true;
        }
        self.news.hurry = true;
    }

    pub(super) fn table_taken(&mut self, id: WorkerId, version: u64) {
        let Some(worker) = self.roster.workers.get_mut(&id) else { return };
        worker.told.taken = worker.told.taken.max(version.min(worker.told.version));
        self.news.hurry |= worker.urgent;
    }

    /// Tells those that must not wait for the tick.
    pub(super) fn tell_urgent(&mut self, now: Timestamp) {
        if !std::mem::take(&mut self.news.hurry) {
            return;
        }
        let ids = self.roster.workers.iter().filter(|(_, worker)| worker.urgent).map(|(&id, _)| id);
        let ids: Vec<WorkerId> = ids.collect();
        self.tell_these(&ids, now);
    }

    pub(super) fn tell_everyone(&mut self, now: Timestamp) {
        self.news.hurry = false;
        let ids: Vec<WorkerId> = self.roster.workers.keys().copied().collect();
        self.tell_these(&ids, now);
    }

    fn tell_these(&mut self, ids: &[WorkerId], now: Timestamp) {
        if ids.is_empty() {
            return;
        }
        let active = self.roster.active(now);
        let mut workers = std::mem::take(&mut self.roster.workers);
        for id in ids {
            if let Some(table) = workers.get_mut(id).and_then(|worker| self.table_for(worker, active, now)) {
                self.totals.tables += 1;
                self.totals.cells += table.cells.len() as u64;
                self.actions.push_back(Action::Send(*id, Box::new(table)));
            }
        }
        self.roster.workers = workers;
    }

    /// The next table of a worker, if there is anything to tell it and it takes one; it then has been told.
    fn table_for(&self, worker: &mut Worker, active: usize, now: Timestamp) -> Option<Table> {
        if !worker.takes_tables() {
            return None;
        }
        let covers = self.roster.covered(worker.hello.instance);
        let set_aside = self.roster.nodes.get(&worker.node).is_some_and(|node| node.set_aside);
        let share = share(worker, active, now);
        let told = &worker.told;
        let quiet = now.since(told.when);
        let changed = !told.full
            || !worker.leases.is_empty()
            || set_aside != told.set_aside
            || told.cells < self.news.cells.revision()
            || told.channels < self.news.channels.revision()
            || told.heads < self.news.heads.revision()
            || told.clocks < self.news.clocks.revision()
            || told.lessons < self.news.lessons.revision();
        let soon = covers != told.covers || share != told.share;
        if !(changed || (soon && quiet >= SOON) || quiet >= HEARTBEAT) {
            worker.urgent = false;
            return None;
        }
        let full = !told.full;
        let told = &mut worker.told;
        let mut table = Table { version: told.version + 1, full, covers, set_aside, share, ..Table::default() };
        self.fill(&mut table, told, now);
        (told.version, told.full, told.when) = (table.version, true, now);
        (told.covers, told.set_aside, told.share) = (covers, set_aside, share);
        let leases = std::mem::take(&mut worker.leases).into_iter();
        let lasting = leases.filter(|(_, until)| now < *until);
        table.leases = lasting.map(|(right, until)| Lease { right, left: until.since(now) }).collect();
        worker.urgent = false;
        Some(table)
    }

    /// What changed since what was told.
    fn fill(&self, table: &mut Table, told: &mut Told, now: Timestamp) {
        let mut cells = self.news.cells.since(told.cells);
        for (revision, cell) in cells.by_ref().take(MOST_CELLS) {
            told.cells = revision;
            table.cells.extend(self.told_cell(cell, now));
        }
        if cells.next().is_none() {
            told.cells = self.news.cells.revision();
        }
        let channels = self.news.channels.since(told.channels);
        table.channels = channels.filter_map(|(_, channel)| Some(self.accounts.get(channel)?.view(now))).collect();
        told.channels = self.news.channels.revision();
        let mut heads = self.news.heads.since(told.heads);
        for (revision, channel) in heads.by_ref().take(MOST_CELLS) {
            told.heads = revision;
            let account = self.accounts.get(channel);
            table.heads.extend(account.and_then(|account| {
                Some(SeenHead { channel: account.id.clone(), shown: self.heads.shown(account.index, now)? })
            }));
        }
        if heads.next().is_none() {
            told.heads = self.news.heads.revision();
        }
        let clocks = self.news.clocks.since(told.clocks).filter_map(|(_, network)| self.networks.get(network));
        table.block_times = clocks.filter_map(|network| Some((network.chain_id, network.told_block_time?))).collect();
        told.clocks = self.news.clocks.revision();
        for (revision, channel) in self.news.lessons.since(told.lessons) {
            if table.lessons.len() >= MOST_CELLS {
                return;
            }
            told.lessons = revision;
            table.lessons.extend(self.told_lessons(channel, now));
        }
        told.lessons = self.news.lessons.revision();
    }

    fn told_cell(&self, cell: usize, now: Timestamp) -> Option<table::Cell> {
        let cell = self.cells.get(cell)?;
        let book = self.books.get(cell.book)?;
        let channel = self.accounts.get(book.seats.get(cell.place)?.channel)?;
        Some(table::Cell {
            profile: book.profile.clone(),
            chain: book.chain.clone(),
            channel: channel.id.clone(),
            class: cell.class,
            summary: cell.evidence.summary(now),
        })
    }

    fn told_lessons(&self, channel: usize, now: Timestamp) -> impl Iterator<Item = Lesson> + '_ {
        let account = self.accounts.get(channel);
        account.into_iter().flat_map(move |account| {
            let lasting = account.lessons.iter().filter(move |taught| now < taught.until);
            lasting.map(move |taught| Lesson {
                channel: account.id.clone(),
                limit: taught.limit.clone(),
                left: taught.until.since(now),
            })
        })
    }
}

/// A worker's part of each provider's own rate limit: none before its first attempt; one that paused gets its part as if it had not.
fn share(worker: &Worker, active: usize, now: Timestamp) -> f32 {
    if worker.asked.is_none() {
        return 0.0;
    }
    let others = active - usize::from(worker.is_active(now));
    1.0 / (others + 1) as f32
}
