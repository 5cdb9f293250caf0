//! What the fleet of workers has learned together.
//!
//! Duty: take reports in, merge them into evidence, breakers, marks, heads and limits, and say what each worker is told.
//! Invariant: pure, one owner; a report counts once whatever is sent again; memory is bounded by the catalog and [`MOST_WORKERS`].
//! Time is milliseconds since an epoch that lies far back (the Unix one): what is older than the epoch cannot be told apart.
//! Leaves to others: streams, clocks, disks (control plane).
//!
//! What changes at once (breakers, bars, leases) is sent at once; all else waits for the next tick. What a table costs follows from what
//! changed (`journal`), and small drifts do not count as changes (`cell`), so that a fleet of hundreds of workers costs what happens to
//! its providers, not what its clients ask.

mod account;
mod adopt;
mod book;
mod breakers;
mod cell;
mod crowd;
mod egress;
pub mod event;
mod health;
mod intake;
mod journal;
mod leaderboard;
mod leases;
mod probing;
mod roster;
pub mod saved;
mod saving;
mod tables;
pub mod view;
mod viewing;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use account::Account;
use book::Book;
use cell::Cell;
use event::{Action, Event, Hello, Notice, WorkerId};
pub use leaderboard::score;
use probing::Prober;
use roster::Roster;
use tables::Newsroom;
use view::Totals;

use crate::chance::Chance;
use crate::head::Heads;
use crate::time::{Millis, Timestamp};

/// Streams that are served at once; more are refused.
pub const MOST_WORKERS: usize = 1_024;
/// What is not urgent waits for the next tick.
pub const TICK: Millis = Millis(100);
/// What looks at everything that there is, and may be late, is done this often.
const ROUND: Millis = Millis(1_000);

/// All that a control plane knows of its fleet. One writer: the task that owns it.
#[derive(Debug)]
pub struct Fleet {
    seed: u64,
    chance: Chance,
    generation: Box<str>,
    accounts: Vec<Account>,
    channels: BTreeMap<Box<str>, usize>,
    books: Vec<Book>,
    /// By profile, then by chain.
    chains: BTreeMap<Box<str>, BTreeMap<Box<str>, usize>>,
    cells: Vec<Cell>,
    networks: Vec<Network>,
    heads: Heads,
    roster: Roster,
    news: Newsroom,
    prober: Prober,
    /// Cells that were explored and answered surprisingly fast.
    surprising: Vec<usize>,
    /// Indices of the channels of the report at hand.
    scratch: Vec<Option<usize>>,
    actions: VecDeque<Action>,
    /// Something changed that is to be written down.
    unsaved: bool,
    totals: Totals,
    ticked: Option<Timestamp>,
    rounded: Timestamp,
}

/// A chain, whatever profiles call it.
#[derive(Debug)]
struct Network {
    chain_id: u64,
    block_time: Option<Millis>,
    max_lag_blocks: Option<u32>,
    channels: Vec<usize>,
    told_block_time: Option<Millis>,
}

impl Fleet {
    /// A fleet that knows no channel yet.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            chance: Chance::new(seed),
            generation: Box::default(),
            accounts: Vec::new(),
            channels: BTreeMap::new(),
            books: Vec::new(),
            chains: BTreeMap::new(),
            cells: Vec::new(),
            networks: Vec::new(),
            heads: Heads::default(),
            roster: Roster::new(),
            news: Newsroom::default(),
            prober: Prober::default(),
            surprising: Vec::new(),
            scratch: Vec::new(),
            actions: VecDeque::new(),
            unsaved: false,
            totals: Totals::default(),
            ticked: None,
            rounded: Timestamp::default(),
        }
    }

    /// Something happened.
    pub fn handle_event(&mut self, event: Event, now: Timestamp) {
        match event {
            Event::Joined(worker, hello) => self.join(worker, hello),
            Event::Left(worker) => self.leave(worker, now),
            Event::Reported(worker, report) => self.take_in(worker, &report, now),
            Event::TableTaken(worker, version) => self.table_taken(worker, version),
            Event::Probed(probe) => self.probed(&probe, now),
            Event::Decided { channel, decision } => self.decided(&channel, decision, now),
            Event::Sockets { channel, connected } => self.sockets_changed(&channel, connected, now),
            Event::HeadSeen { channel, number } => self.head_came(&channel, number, now),
        }
        self.tell_urgent(now);
    }

    /// It is later.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        if self.ticked.is_some_and(|ticked| now < ticked.plus(TICK)) {
            return;
        }
        self.ticked = Some(now);
        self.turn_breakers(now);
        self.end_marks(now);
        self.find_block_times();
        self.grant_trials_everywhere(now);
        self.follow_surprises(now);
        self.probe_due(now);
        if now.since(self.rounded) >= ROUND {
            self.rounded = now;
            self.roster.tidy(now);
            self.tidy_lessons(now);
            self.judge_egress_of_all(now);
            self.judge_health(now);
            self.explore(now);
        }
        self.publish(now);
        self.tell_everyone(now);
    }

    /// When [`Fleet::handle_timeout`] is due; `None` while there is nothing to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        if self.accounts.is_empty() {
            return None;
        }
        Some(self.ticked.map_or(Timestamp::default(), |ticked| ticked.plus(TICK)))
    }

    /// What is to be done next.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front().or_else(|| std::mem::take(&mut self.unsaved).then_some(Action::Save))
    }

    fn tell(&mut self, notice: Notice) {
        self.actions.push_back(Action::Tell(notice));
    }

    fn join(&mut self, id: WorkerId, hello: Hello) {
        if self.roster.join(id, hello) {
            self.news.hurry = true;
        } else {
            self.totals.refused += 1;
            self.actions.push_back(Action::Refuse(id));
        }
    }

    fn leave(&mut self, id: WorkerId, now: Timestamp) {
        let Some(worker) = self.roster.leave(id, now) else { return };
        for (account, &in_flight) in self.accounts.iter_mut().zip(&worker.in_flight) {
            account.in_flight = account.in_flight.saturating_sub(u64::from(in_flight));
            account.trials.retain(|(holder, _)| *holder != id);
        }
    }
}
