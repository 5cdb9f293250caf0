//! Which probe to make next, and what its end means.
//!
//! Duty: `eth_chainId` on start and every minute; heads once a block; open channels every two seconds, so that they are found out to be
//! back; proof of a head that nobody else has.
//! Invariant: at most one probe of a channel is out, at most [`MOST_OUT`] in all, and no more than [`MOST_AT_ONCE`] leave in one tick; one
//! that does not come back is given up after ten seconds. A probe closes no breaker. While none leaves, breakers go by the clock.
//! Leaves to others: making probes (control plane), which methods are harmless.

use super::Fleet;
use super::account::Account;
use super::event::{Action, Ask, Found, Manual, Notice, Order, Probe};
use super::roster::PROBER;
use crate::breaker::Category;
use crate::catalog::Transport;
use crate::chance::Chance;
use crate::head::FRESH;
use crate::report::Shown;
use crate::table::Barred;
use crate::time::{Millis, Timestamp};

/// Probes that are out at once.
const MOST_OUT: usize = 256;
/// Probes that leave in one tick: a start with thousands of channels is no stampede.
const MOST_AT_ONCE: usize = 32;
/// One that has not come back by then is lost.
const LOST: Millis = Millis::from_secs(10);
/// Chain ids are asked for this often.
const CHAIN_ID: Millis = Millis::from_secs(60);
/// Heads are asked for once a block, but not more often than this.
const HEAD: Millis = Millis::from_secs(2);
/// So many times more rarely while `newHeads` of the same provider comes.
const RARER: u64 = 3;
/// It comes while the last block is no older than two block times, and than this.
const LIVE: Millis = Millis::from_secs(1);
/// Open channels are asked this often, give or take a fifth.
const OPEN: Millis = Millis::from_secs(2);
/// The first time sooner: a blip is over by then.
const FIRST_OPEN: Millis = Millis::from_secs(1);
/// A lone leader proves its head at most this often.
const PROOF: Millis = Millis::from_secs(1);
/// When for this long no probe could leave, none runs.
const UNSENT: Millis = Millis::from_secs(3);

/// Probes as a whole.
#[derive(Debug, Default)]
pub(super) struct Prober {
    on: bool,
    /// Since when none has left.
    unsent: Option<Timestamp>,
    /// Where to go on looking.
    cursor: usize,
}

impl Prober {
    /// Whether probes run: switched on, and some leave.
    pub(super) fn runs(&self, now: Timestamp) -> bool {
        self.on && self.unsent.is_none_or(|since| now.since(since) < UNSENT)
    }
}

/// The probes of one channel.
#[derive(Debug)]
pub(super) struct Watch {
    chance: Chance,
    out: Option<(Ask, Timestamp)>,
    /// Since when none has got through to it.
    unsent: Option<Timestamp>,
    next_chain_id: Timestamp,
    next_head: Timestamp,
    next_open: Timestamp,
    /// When `newHeads` of the provider last brought a block.
    head_came: Timestamp,
    /// The block that was last asked for as proof, and when.
    proof: Option<(u64, Timestamp)>,
}

impl Watch {
    /// Heads are spread by the channel's hash over the least time between them.
    pub(super) fn new(seed: u64, now: Timestamp) -> Self {
        let mut chance = Chance::new(seed);
        let spread = Millis(chance.below(HEAD.0 as usize) as u64);
        Self {
            chance,
            out: None,
            unsent: None,
            next_chain_id: now,
            next_head: now.plus(spread),
            next_open: now,
            head_came: Timestamp::default(),
            proof: None,
        }
    }

    /// Whether probes get through to it.
    pub(super) fn gets_through(&self, now: Timestamp) -> bool {
        self.unsent.is_none_or(|since| now.since(since) < UNSENT)
    }

    pub(super) fn opened(&mut self, now: Timestamp) {
        self.next_open = now.plus(self.around(FIRST_OPEN));
    }

    pub(super) const fn head_came(&mut self, now: Timestamp) {
        self.head_came = now;
    }

    /// When to ask for a head that is asked for this often: more rarely while `newHeads` brings them.
    fn head_due(&self, interval: Millis, block_time: Millis, now: Timestamp) -> Timestamp {
        let live = now.since(self.head_came) <= LIVE.max(Millis(2 * block_time.0));
        let more = if live { (RARER - 1) * interval.0 } else { 0 };
        self.next_head.plus(Millis(more))
    }

    /// That long, give or take a fifth.
    fn around(&mut self, length: Millis) -> Millis {
        let fifth = length.0 / 5;
        Millis(length.0 - fifth + self.chance.below((2 * fifth) as usize + 1) as u64)
    }
}

impl Account {
    /// Whether probes reach it: those over WebSocket are found out about by their connections.
    pub(super) fn is_probed(&self) -> bool {
        self.transport == Transport::Http && self.network.is_some() && self.manual != Manual::Open
    }

    /// Its opening ends by nothing less than the method that failed.
    fn asks_for_method(&self) -> bool {
        matches!(self.breaker.because(), Some(Category::Auth | Category::Billing)) && self.refused.is_some()
    }
}

impl Fleet {
    /// Switches probes on or off.
    pub fn set_probing(&mut self, on: bool, now: Timestamp) {
        (self.prober.on, self.prober.unsent) = (on, None);
        self.wait_for_probes(now);
    }

    /// Orders the probes that are due.
    pub(super) fn probe_due(&mut self, now: Timestamp) {
        let mut out = self.give_up_lost(now);
        if !self.prober.on || self.accounts.is_empty() {
            return;
        }
        let unproved = self.unproved(now);
        let all = self.accounts.len();
        let start = self.prober.cursor % all;
        let mut left = MOST_AT_ONCE;
        for channel in (start..all).chain(0..start) {
            if left == 0 || out >= MOST_OUT {
                self.prober.cursor = channel;
                return;
            }
            let proof = unproved.iter().find(|(unproved, _)| *unproved == channel).map(|(_, number)| *number);
            if let Some(ask) = self.next_ask(channel, proof, now)
                && let Some(account) = self.accounts.get_mut(channel)
            {
                account.watch.out = Some((ask.clone(), now));
                let order = Order { channel: account.id.clone(), ask };
                self.actions.push_back(Action::Probe(order));
                left -= 1;
                out += 1;
            }
        }
    }

    /// Those that did not come back; how many are still out.
    fn give_up_lost(&mut self, now: Timestamp) -> usize {
        let mut out = 0;
        for account in &mut self.accounts {
            match account.watch.out {
                Some((_, when)) if now.since(when) >= LOST => {
                    account.watch.out = None;
                    self.prober.unsent.get_or_insert(when);
                }
                Some(_) => out += 1,
                None => {}
            }
        }
        out
    }

    /// What is to be asked of a channel now, if anything.
    fn next_ask(&mut self, channel: usize, proof: Option<u64>, now: Timestamp) -> Option<Ask> {
        let account =
            self.accounts.get(channel).filter(|account| account.is_probed() && account.watch.out.is_none())?;
        let network = account.network?;
        let block_time = self.networks.get(network).and_then(|network| network.block_time);
        let block_time = self.heads.block_time(network as u16, block_time);
        let (open, barred) = (account.is_open(now), account.barred.is_some());
        let method = account.refused.filter(|_| account.asks_for_method());
        let account = self.accounts.get_mut(channel)?;
        let watch = &mut account.watch;
        if watch.next_chain_id <= now {
            watch.next_chain_id = now.plus(CHAIN_ID);
            return Some(Ask::ChainId);
        }
        if barred {
            return None;
        }
        if open {
            if watch.next_open > now {
                return None;
            }
            watch.next_open = now.plus(watch.around(OPEN));
            return Some(method.map_or(Ask::Head, Ask::Method));
        }
        if let Some(number) = proof {
            let due =
                watch.proof.is_none_or(|(asked, when)| now.since(when) >= if asked == number { LOST } else { PROOF });
            if due {
                watch.proof = Some((number, now));
                return Some(Ask::Block(number));
            }
        }
        let interval = block_time.max(HEAD);
        let due = watch.head_due(interval, block_time, now);
        if due > now {
            return None;
        }
        // In step with the last one, so that the spread stays.
        let next = due.plus(interval);
        watch.next_head = if next > now { next } else { now.plus(interval) };
        Some(Ask::Head)
    }

    /// Channels that lead alone and have not proved it, with the number that they showed.
    fn unproved(&self, now: Timestamp) -> Vec<(usize, u64)> {
        let mut found = Vec::new();
        for (index, network) in self.networks.iter().enumerate() {
            let seen = self.heads_of_network(index, now);
            for (&channel, head) in network.channels.iter().zip(&seen.heads) {
                if seen.is_unproved(head)
                    && let Some(account) = self.accounts.get(channel)
                    && let Some(shown) = self.heads.shown(account.index, now)
                    // Else the head is its sibling's.
                    && shown.last <= FRESH
                {
                    // Over HTTP: probes go no other way.
                    found.push((self.voice(channel), shown.number));
                }
            }
        }
        found
    }

    /// A probe ended.
    pub(super) fn probed(&mut self, probe: &Probe, now: Timestamp) {
        let Some(&channel) = self.channels.get(&probe.channel) else { return };
        let Some(account) = self.accounts.get_mut(channel) else { return };
        if account.transport == Transport::Ws {
            return self.heard_over_ws(channel, &probe.found, now);
        }
        let asked = account.watch.out.take();
        if probe.found == Found::NotSent {
            account.watch.unsent.get_or_insert(now);
            self.prober.unsent.get_or_insert(now);
            return;
        }
        account.watch.unsent = None;
        self.prober.unsent = None;
        let failed = matches!(probe.found, Found::Failed(_));
        self.witness(channel, failed, now);
        let shown = |number, proved| Shown { number, proved, first: Millis::ZERO, last: Millis::ZERO };
        match probe.found {
            Found::Failed(category) => return self.probe_failed(channel, category, now),
            Found::ChainId(id) => self.judge_chain_id(channel, id, now),
            Found::Head(number) => self.saw(channel, &shown(number, 0), now),
            Found::Block(number) => self.proved(channel, number),
            Found::NoBlock(_) | Found::Answered | Found::NotSent => {}
        }
        // What could not be answered to another question says nothing about the method that failed.
        let by_method = matches!(asked, Some((Ask::Method(_), _))) && probe.found == Found::Answered;
        self.probe_succeeded(channel, by_method, now);
    }

    /// The hub asked. It says nothing about the way that probes take, and failures there are sockets that go down.
    fn heard_over_ws(&mut self, channel: usize, found: &Found, now: Timestamp) {
        match *found {
            Found::ChainId(id) => self.judge_chain_id(channel, id, now),
            Found::Head(number) => self.saw(channel, &Shown { number, ..Shown::default() }, now),
            Found::Block(number) => self.proved(channel, number),
            Found::NoBlock(_) | Found::Answered | Found::Failed(_) | Found::NotSent => {}
        }
    }

    /// The prober is a witness like an Envoy: where it fails and they do not, its own way is broken.
    fn witness(&mut self, channel: usize, failed: bool, now: Timestamp) {
        let channels = self.accounts.len();
        let Some(prober) = self.roster.nodes.get_mut(&PROBER) else { return };
        prober.tried.resize(channels, Default::default());
        if let Some(tried) = prober.tried.get_mut(channel) {
            tried.note(!failed, u32::from(failed), Millis::ZERO, now);
        }
        self.judge_egress(PROBER, now);
    }

    fn probe_succeeded(&mut self, channel: usize, by_method: bool, now: Timestamp) {
        let Some(account) = self.accounts.get_mut(channel) else { return };
        if account.is_open(now) && (by_method || !account.asks_for_method()) {
            account.breaker.probe_succeeded(now);
            self.settle(channel, now);
        } else if !self.is_asked(channel, now) {
            // Only probes speak of it: failures of long ago and this answer are no run.
            if let Some(account) = self.accounts.get_mut(channel) {
                account.breaker.end_run(now);
            }
            self.judge_health_of(channel, now);
        }
    }

    fn judge_chain_id(&mut self, channel: usize, found: u64, now: Timestamp) {
        let Some(account) = self.accounts.get_mut(channel) else { return };
        let expected = account.network.and_then(|network| self.networks.get(network)).map(|network| network.chain_id);
        let barred = expected.is_some_and(|expected| expected != found).then_some(Barred::WrongChain);
        if account.barred == barred {
            return;
        }
        account.barred = barred;
        let (id, index) = (account.id.clone(), account.index);
        match barred {
            Some(because) => {
                self.heads.forget(index);
                self.tell(Notice::Barred { channel: id, because });
            }
            None => self.tell(Notice::Unbarred { channel: id }),
        }
        self.unsaved = true;
        self.channel_changed(channel, true, now);
    }
}
