//! Rights that one worker has and no other: trials of half-open breakers, and explorations.
//!
//! Invariant: at most [`MOST_TRIALS`] trials of a channel are out at once, at most one with each worker; a lease goes out once and runs out
//! by itself. Explorations stay under their share of a class's calls, but for the follow-ups of a pleasant surprise.
//! Leaves to others: what trials bring (`breakers`), using a lease (the worker).

use lasso_jsonrpc::method::MethodClass;

use super::Fleet;
use super::account::Stance;
use super::event::WorkerId;
use super::roster::{NodeId, Worker};
use crate::evidence::{EXPLORE_ONE_IN, QUIET};
use crate::report::ChannelTally;
use crate::table::Right;
use crate::time::{Millis, Timestamp};

/// Trials of one channel at once, over the whole fleet.
pub(super) const MOST_TRIALS: usize = 4;
/// A trial that nobody made by then is somebody else's.
pub(super) const TRIAL_LASTS: Millis = Millis::from_secs(2);
/// Where little is asked, the worker that asked last may wait this long with its trial for its next call.
const IDLE: Millis = Millis::from_secs(60);
/// An exploration that nobody made by then is forgotten.
const EXPLORATION_LASTS: Millis = Millis::from_secs(5);
/// Leases that wait for a worker's next table; more are not given to it.
const MOST_WAITING: usize = 64;

impl Fleet {
    /// What a worker's report says of its trial. True when that was one.
    pub(super) fn trial_ended(&mut self, id: WorkerId, channel: usize, tally: &ChannelTally) -> bool {
        let ended = tally.trials.successes > 0 || tally.trials.failure.is_some();
        let Some(account) = self.accounts.get_mut(channel).filter(|_| ended) else { return false };
        if tally.trials.opening == account.breaker.openings() {
            account.trials.retain(|(holder, _)| *holder != id);
        }
        ended
    }

    /// Those that nobody could have when their channel became half-open, and those that ran out.
    pub(super) fn grant_trials_everywhere(&mut self, now: Timestamp) {
        for channel in 0..self.accounts.len() {
            self.grant_trials(channel, now);
        }
    }

    /// Gives out what trials there are, to workers that use the chain, first to those of different Envoys.
    pub(super) fn grant_trials(&mut self, channel: usize, now: Timestamp) {
        let Some(account) = self.accounts.get_mut(channel) else { return };
        let Stance::HalfOpen(opening) = account.stance else { return };
        account.trials.retain(|(_, until)| now < *until);
        if account.barred.is_some() || !account.is_reachable() || account.trials.len() >= MOST_TRIALS {
            return;
        }
        let rekeyed = now < account.rekeyed_until;
        let books: Vec<usize> = account.seats.iter().map(|&(book, _)| book).collect();
        let held: Vec<WorkerId> = account.trials.iter().map(|(holder, _)| *holder).collect();
        let mut busy: Vec<NodeId> =
            held.iter().filter_map(|holder| Some(self.roster.workers.get(holder)?.node)).collect();
        let mut able = self.able(&books, now);
        able.retain(|(id, _)| !held.contains(id));
        if rekeyed {
            // The others would try the old key.
            able.retain(|(id, _)| self.is_up_to_date(*id));
        }
        if able.is_empty() && held.is_empty() && !rekeyed {
            if let Some(id) = self.last_to_use(&books, now) {
                self.grant_trial(id, channel, opening, now.plus(IDLE));
            }
            return;
        }
        for _ in held.len()..MOST_TRIALS {
            let burden = |node: NodeId| busy.iter().filter(|held| **held == node).count();
            let Some(place) = (0..able.len()).min_by_key(|&place| able.get(place).map(|&(_, node)| burden(node)))
            else {
                return;
            };
            let (id, node) = able.swap_remove(place);
            busy.push(node);
            self.grant_trial(id, channel, opening, now.plus(TRIAL_LASTS));
        }
    }

    fn is_up_to_date(&self, id: WorkerId) -> bool {
        self.roster.workers.get(&id).is_some_and(|worker| worker.hello.generation == self.generation)
    }

    fn grant_trial(&mut self, id: WorkerId, channel: usize, opening: u32, until: Timestamp) {
        let Some(account) = self.accounts.get_mut(channel) else { return };
        account.trials.push((id, until));
        let right = Right::Trial { channel: account.id.clone(), opening };
        self.totals.trials += 1;
        self.lease(id, right, until);
    }

    fn lease(&mut self, id: WorkerId, right: Right, until: Timestamp) {
        if let Some(worker) = self.roster.workers.get_mut(&id) {
            worker.leases.push((right, until));
            worker.urgent = true;
            self.news.hurry = true;
        }
    }

    /// Workers that would use a lease for one of these chains at once, in a random order.
    fn able(&mut self, books: &[usize], now: Timestamp) -> Vec<(WorkerId, NodeId)> {
        let nodes = &self.roster.nodes;
        let is_able = |worker: &Worker| {
            books.iter().any(|&book| worker.uses(book, now))
                && worker.leases.len() < MOST_WAITING
                && nodes.get(&worker.node).is_none_or(|node| !node.set_aside)
        };
        let able = self.roster.workers.iter().filter(|(_, worker)| is_able(worker));
        let mut able: Vec<(WorkerId, NodeId)> = able.map(|(&id, worker)| (id, worker.node)).collect();
        for end in (1..able.len()).rev() {
            able.swap(end, self.chance.below(end + 1));
        }
        able
    }

    /// The worker that used one of these chains last, if that was within [`IDLE`].
    fn last_to_use(&self, books: &[usize], now: Timestamp) -> Option<WorkerId> {
        let nodes = &self.roster.nodes;
        let used = |worker: &Worker| books.iter().filter_map(|&book| worker.used.get(book)).max().copied();
        let fit = |worker: &Worker| {
            worker.leases.len() < MOST_WAITING
                && worker.takes_tables()
                && nodes.get(&worker.node).is_none_or(|node| !node.set_aside)
        };
        let workers = self.roster.workers.iter().filter(|(_, worker)| fit(worker));
        let lately = workers.filter_map(|(&id, worker)| Some((used(worker)?, id)));
        let lately = lately.filter(|(used, _)| *used > Timestamp::default() && now.since(*used) <= IDLE);
        lately.max().map(|(_, id)| id)
    }

    /// Channels that nobody asked for a while are tried out, a class at a time.
    pub(super) fn explore(&mut self, now: Timestamp) {
        for book in 0..self.books.len() {
            // Without a worker that would go there is nothing to look for.
            if !self.roster.workers.values().any(|worker| worker.uses(book, now)) {
                continue;
            }
            for (class, place) in self.quiet(book, now) {
                self.send_exploring(book, class, place, false, now);
            }
        }
    }

    /// By class: the channel that was asked longest ago, if that is long, it is admitted, and exploring is within its share.
    fn quiet(&self, book: usize, now: Timestamp) -> Vec<(MethodClass, usize)> {
        let Some(book) = self.books.get(book) else { return Vec::new() };
        let boards = book.boards().filter(|(class, _)| book.explores(*class));
        let affordable = boards.filter(|(_, board)| (board.explored + 1).saturating_mul(EXPLORE_ONE_IN) <= board.calls);
        let quietest = |(class, board): (MethodClass, &super::book::Board)| {
            let places = board.cells.iter().enumerate().filter_map(|(place, cell)| {
                let asked = cell.and_then(|cell| self.cells.get(cell)).map_or(board.opened, |cell| cell.asked);
                let seat = book.seats.get(place)?;
                let account = self.accounts.get(seat.channel)?;
                let fits = now.since(asked) >= QUIET
                    && account.is_admitted(now)
                    && account.limited(now).is_none()
                    && !book.lacks(class, place)
                    && !account.lacks(class, now);
                fits.then_some((asked, place))
            });
            Some((class, places.min()?.1))
        };
        affordable.filter_map(quietest).collect()
    }

    /// An exploration whose answer was surprisingly fast is followed up at once: a few such answers make a leader.
    pub(super) fn follow_surprises(&mut self, now: Timestamp) {
        for cell in std::mem::take(&mut self.surprising) {
            let Some(found) = self.cells.get(cell) else { continue };
            if found.follow_ups > 0 && found.evidence.is_surprisingly_fast() {
                self.send_exploring(found.book, found.class, found.place, true, now);
            }
        }
    }

    fn send_exploring(&mut self, book: usize, class: MethodClass, place: usize, follow_up: bool, now: Timestamp) {
        let Some(&(id, _)) = self.able(&[book], now).first() else { return };
        let Some(cell) = self.cell_at(book, place, class, now) else { return };
        let Some(found) = self.books.get_mut(book) else { return };
        let Some(channel) = found.seats.get(place).and_then(|seat| self.accounts.get(seat.channel)) else { return };
        let (profile, chain, channel) = (found.profile.clone(), found.chain.clone(), channel.id.clone());
        if let Some(Some(board)) = found.boards.get_mut(class.index()) {
            board.explored += 1;
        }
        if let Some(cell) = self.cells.get_mut(cell) {
            cell.explore(follow_up, now);
        }
        self.may_be_news(cell, now);
        self.totals.explorations += 1;
        self.lease(id, Right::Explore { profile, chain, channel, class }, now.plus(EXPLORATION_LASTS));
    }
}
