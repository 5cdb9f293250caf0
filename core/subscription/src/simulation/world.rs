//! Chain, channels, gateway and clients around a hub, in virtual time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use lasso_jsonrpc::RpcError;
use lasso_routing::time::{Millis, Timestamp};

use super::client::Client;
use crate::fixture::{Chain, Made, logs_key};
use crate::{
    Action, Ask, BindingId, ChannelId, Event, FetchFailure, FetchId, Hub, Key, Settings, Standing, SubscriptionId,
};

/// What a channel does wrong for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Loses every third head or block of logs.
    Drop,
    /// Sends everything twice.
    Repeat,
    /// Swaps neighbouring events.
    Swap,
    /// Sends nothing.
    Stall,
    /// Its sockets close and none opens.
    Die,
    /// Refuses subscriptions.
    Refuse,
    /// Does not answer subscriptions.
    Mute,
    /// Sends what cannot be read.
    Garbage,
}

/// The time of one step.
const STEP: u64 = 10;
const START: u64 = 1_000_000;

/// An event that a node sends to one of its bindings.
#[derive(Debug, Clone)]
enum Sent {
    Head(Made),
    Log(Made, u64),
    Removed(Made, u64),
}

#[derive(Debug, Default)]
struct Node {
    /// How much later than others it sees the chain.
    lag: u64,
    connected: bool,
    /// What it saw, and when.
    seen: VecDeque<(u64, Vec<Sent>, usize)>,
    /// Versions of the chain that it has seen.
    version: usize,
    heads: Vec<BindingId>,
    logs: Vec<BindingId>,
    stash: Option<(BindingId, String)>,
    sent: u64,
}

/// All of it.
#[derive(Debug)]
pub(super) struct World {
    hub: Hub,
    now: u64,
    seed: u64,
    block_time: u64,
    reorgs: u64,
    failing: u64,
    faults: Vec<(usize, u64, u64, Fault)>,
    chain: Chain,
    versions: Vec<Arc<Chain>>,
    nodes: Vec<Node>,
    /// Opens, fetches on their way: when, and what.
    opening: Vec<(u64, BindingId, usize, Arc<Key>)>,
    fetching: Vec<(u64, FetchId, Ask, usize)>,
    clients: BTreeMap<u64, Client>,
    open: BTreeMap<BindingId, Arc<Key>>,
    standings: Vec<Standing>,
}

impl World {
    pub(super) fn new(
        seed: u64,
        block_time: u64,
        reorgs: u64,
        failing: u64,
        faults: Vec<(usize, u64, u64, Fault)>,
    ) -> Self {
        let settings = Settings { block_time: Millis(block_time), ..Settings::default() };
        let chain = Chain::new(100, &[0]);
        let node = |lag| Node { lag, connected: true, ..Node::default() };
        let mut world = Self {
            hub: Hub::new(settings),
            now: START,
            seed: seed | 1,
            block_time,
            reorgs,
            failing,
            faults,
            versions: vec![Arc::new(chain.clone())],
            chain,
            nodes: vec![node(0), node(70), node(900)],
            opening: Vec::new(),
            fetching: Vec::new(),
            clients: BTreeMap::new(),
            open: BTreeMap::new(),
            standings: Vec::new(),
        };
        world.tell_channels();
        (0..2).for_each(|id| world.join(id));
        world
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.random(100) < percent
    }

    fn random(&mut self, below: u64) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        (self.seed >> 11) % below
    }

    fn has(&self, node: usize, fault: Fault) -> bool {
        let at = self.now - START;
        self.faults
            .iter()
            .any(|&(where_, from, long, what)| where_ == node && what == fault && (from..from + long).contains(&at))
    }

    pub(super) fn run(&mut self, millis: u64) {
        let end = self.now + millis;
        while self.now < end {
            self.now += STEP;
            if self.now % self.block_time < STEP {
                self.grow();
            }
            if self.now % 1_500 < STEP && self.chance(30) {
                self.come_and_go();
            }
            (0..self.nodes.len()).for_each(|node| self.live(node));
            self.answer();
            if self.now % 500 < STEP {
                self.tell_channels();
            }
            let now = Timestamp::from_millis(self.now);
            let mut calls = 0;
            while self.hub.poll_timeout().is_some_and(|at| at <= now) {
                self.hub.handle_timeout(now);
                self.act();
                calls += 1;
                assert!(calls < 50, "the hub spins");
            }
        }
    }

    /// No more faults, then no more blocks; time enough for everything to come out, of nodes that are late, too.
    pub(super) fn settle(&mut self) {
        self.faults.clear();
        (self.reorgs, self.failing) = (0, 0);
        self.run(40_000);
        self.block_time = u64::MAX;
        self.run(5_000);
    }

    fn grow(&mut self) {
        let before = self.chain.clone();
        let mut sent = Vec::new();
        let branch = self.versions.len() as u32;
        let mut blocks = 1;
        if self.chance(self.reorgs) && self.chain.blocks.len() > 5 {
            let depth = 1 + self.random(3) as usize;
            blocks = depth + self.random(2) as usize;
            // Only some nodes tell of what they take back.
            if self.chance(50) {
                let gone = before.blocks.iter().rev().take(depth);
                sent.extend(
                    gone.flat_map(|block| (0..block.logs).rev().map(|index| Sent::Removed(block.clone(), index))),
                );
            }
            self.chain.rewind(depth);
        }
        for _ in 0..blocks {
            let logs = if self.chance(50) { 0 } else { 1 + self.random(3) };
            let block = self.chain.mine(branch, logs);
            sent.push(Sent::Head(block.clone()));
            sent.extend((0..logs).map(|index| Sent::Log(block.clone(), index)));
        }
        self.versions.push(Arc::new(self.chain.clone()));
        let version = self.versions.len() - 1;
        for node in &mut self.nodes {
            node.seen.push_back((self.now + node.lag, sent.clone(), version));
        }
    }

    fn live(&mut self, node: usize) {
        let dead = self.has(node, Fault::Die);
        if dead && self.nodes[node].connected {
            self.nodes[node].connected = false;
            self.nodes[node].stash = None;
            let lost: Vec<_> = self.nodes[node].heads.drain(..).collect();
            let logs: Vec<_> = self.nodes[node].logs.drain(..).collect();
            for binding in lost.into_iter().chain(logs) {
                self.open.remove(&binding);
                self.event(Event::Lost { binding });
            }
            self.tell_channels();
        } else if !dead && !self.nodes[node].connected && self.chance(5) {
            self.nodes[node].connected = true;
            self.tell_channels();
        }
        while self.nodes[node].seen.front().is_some_and(|(at, ..)| *at <= self.now) {
            let Some((_, sent, version)) = self.nodes[node].seen.pop_front() else { return };
            self.nodes[node].version = version;
            self.send_all(node, &sent);
        }
    }

    fn send_all(&mut self, node: usize, sent: &[Sent]) {
        let dropping = self.has(node, Fault::Drop);
        let mut lost_block = None;
        for one in sent {
            let (bindings, payload, block) = match one {
                Sent::Head(block) => (self.nodes[node].heads.clone(), block.head(), block),
                Sent::Log(block, index) => (self.nodes[node].logs.clone(), block.log(*index), block),
                Sent::Removed(block, index) => (self.nodes[node].logs.clone(), block.log_with(*index, true), block),
            };
            let first_log = matches!(one, Sent::Log(_, 0));
            if dropping && (first_log || matches!(one, Sent::Head(_))) {
                self.nodes[node].sent += 1;
                if self.nodes[node].sent.is_multiple_of(3) {
                    lost_block = first_log.then_some(block.hash);
                    if !first_log {
                        continue;
                    }
                }
            }
            if matches!(one, Sent::Log(..)) && lost_block == Some(block.hash) {
                continue;
            }
            for binding in bindings {
                self.send(node, binding, payload.clone(), matches!(one, Sent::Head(_)));
            }
        }
    }

    fn send(&mut self, node: usize, binding: BindingId, payload: String, head: bool) {
        if self.has(node, Fault::Stall) {
            return;
        }
        let swap = self.has(node, Fault::Swap) && !self.has(node, Fault::Drop);
        // Logs of one block among themselves keep their order.
        if swap && head && self.nodes[node].stash.is_none() {
            self.nodes[node].stash = Some((binding, payload));
            return;
        }
        self.arrive(binding, &payload);
        if self.has(node, Fault::Repeat) {
            self.arrive(binding, &payload);
        }
        if self.has(node, Fault::Garbage) {
            self.arrive(binding, "{\"number\":");
        }
        if let Some((binding, payload)) = self.nodes[node].stash.take() {
            self.arrive(binding, &payload);
        }
    }

    fn arrive(&mut self, binding: BindingId, payload: &str) {
        if self.open.contains_key(&binding) {
            self.event(Event::Arrived { binding, payload: payload.into() });
        }
    }

    fn answer(&mut self) {
        let now = self.now;
        let (due, later): (Vec<_>, _) = std::mem::take(&mut self.opening).into_iter().partition(|(at, ..)| *at <= now);
        self.opening = later;
        for (_, binding, node, key) in due {
            self.answer_open(binding, node, &key);
        }
        let (due, later): (Vec<_>, _) = std::mem::take(&mut self.fetching).into_iter().partition(|(at, ..)| *at <= now);
        self.fetching = later;
        for (_, fetch, ask, node) in due {
            let chain = Arc::clone(&self.versions[self.nodes[node].version]);
            let answer = if self.chance(self.failing) {
                Err(FetchFailure { message: "no".to_owned() })
            } else {
                chain.answer(&ask, u64::MAX)
            };
            self.event(Event::Fetched { fetch, answer });
        }
    }

    fn answer_open(&mut self, binding: BindingId, node: usize, key: &Arc<Key>) {
        if !self.open.contains_key(&binding) || self.has(node, Fault::Mute) {
            return;
        }
        if !self.nodes[node].connected {
            self.open.remove(&binding);
            return self.event(Event::Lost { binding });
        }
        if self.has(node, Fault::Refuse) {
            self.open.remove(&binding);
            let error = RpcError { code: -32000, message: "busy".to_owned(), data: None };
            return self.event(Event::Refused { binding, error, unsupported: false });
        }
        let bound = if **key == Key::NewHeads { &mut self.nodes[node].heads } else { &mut self.nodes[node].logs };
        bound.push(binding);
        self.event(Event::Accepted { binding });
    }

    fn tell_channels(&mut self) {
        let standings = self.nodes.iter().enumerate().map(|(index, node)| Standing {
            channel: ChannelId(index as u32),
            connected: node.connected,
            usable: true,
            head: self.versions[node.version].blocks.last().map(|block| block.number),
            rank: index as u32,
            lacks: Vec::new(),
        });
        let standings: Vec<_> = standings.collect();
        if standings != self.standings {
            self.standings.clone_from(&standings);
            self.event(Event::Channels(standings));
        }
    }

    fn come_and_go(&mut self) {
        let next = self.clients.len() as u64;
        if self.chance(60) && next < 12 {
            return self.join(next);
        }
        let id = self.random(next);
        if id >= 2 && self.clients.get(&id).is_some_and(|client| !client.gone) {
            self.event(Event::Unsubscribe { subscription: SubscriptionId(id) });
            if let Some(client) = self.clients.get_mut(&id) {
                client.gone = true;
            }
        }
    }

    /// Even ones hear heads, odd ones logs.
    fn join(&mut self, id: u64) {
        let logs = id % 2 == 1;
        self.clients.insert(id, Client::new(logs));
        let key = if logs { logs_key() } else { Key::NewHeads };
        self.event(Event::Subscribe { subscription: SubscriptionId(id), key });
    }

    fn event(&mut self, event: Event) {
        self.hub.handle_event(event, Timestamp::from_millis(self.now));
        self.act();
    }

    fn act(&mut self) {
        while let Some(action) = self.hub.poll_action() {
            match action {
                Action::Open { binding, channel, key } => {
                    self.open.insert(binding, Arc::clone(&key));
                    let at = self.now + 10 + self.random(40);
                    self.opening.push((at, binding, channel.0 as usize, key));
                    let same = self.open.values().filter(|other| **other == self.open[&binding]).count();
                    assert!(same <= 2, "more than two bindings for one key");
                }
                Action::Close { binding } => self.close(binding),
                Action::Fetch { fetch, ask } => {
                    assert!(ask.calls().len() <= 64 && self.fetching.len() < 16, "too much is asked for at once");
                    let node = self.random(3) as usize;
                    let at = self.now + 10 + self.random(150);
                    self.fetching.push((at, fetch, ask, node));
                }
                Action::Confirm { subscription } => self.confirm(subscription),
                Action::Refuse { subscription, .. } => {
                    if let Some(client) = self.clients.get_mut(&subscription.0) {
                        assert!(!client.confirmed);
                        client.gone = true;
                    }
                }
                Action::Deliver { to, payload } => {
                    for subscription in to.iter() {
                        let client = self.clients.get_mut(&subscription.0).unwrap();
                        client.hear(&payload);
                    }
                }
                Action::End { because, .. } => panic!("ended: {because}"),
                Action::Tell(_) => {}
            }
        }
    }

    fn close(&mut self, binding: BindingId) {
        assert!(self.open.remove(&binding).is_some(), "closed what is not open");
        for node in &mut self.nodes {
            node.heads.retain(|bound| *bound != binding);
            node.logs.retain(|bound| *bound != binding);
        }
    }

    fn confirm(&mut self, subscription: SubscriptionId) {
        let head = self.chain.blocks.last().unwrap().number;
        let client = self.clients.get_mut(&subscription.0).unwrap();
        assert!(!client.confirmed && !client.gone);
        (client.confirmed, client.from) = (true, head);
    }

    /// What everybody must have heard.
    pub(super) fn judge(&mut self) {
        let last =
            self.nodes.iter().map(|node| self.versions[node.version].blocks.last().unwrap().number).min().unwrap();
        for (id, client) in self.clients.iter().filter(|(_, client)| !client.gone) {
            assert!(client.confirmed, "client {id} was never answered");
            let heard = client.chain.last().map_or(client.from, |(number, _)| *number);
            let reached = if client.logs { last } else { heard };
            assert!(reached >= last, "client {id} stopped at {reached} of {last}");
            for (number, hash) in &client.chain {
                assert_eq!(self.chain.get(*number).map(|block| block.hash), Some(*hash), "client {id}: head {number}");
            }
            self.judge_logs(*id, client, last);
        }
        let mut keys: Vec<_> = self.open.values().collect();
        let bindings = keys.len();
        keys.dedup();
        assert_eq!(keys.len(), bindings, "more than one binding for a key");
    }

    fn judge_logs(&self, id: u64, client: &Client, last: u64) {
        for (number, index, hash) in &client.held {
            let block = self.chain.get(*number).unwrap();
            assert!(
                block.hash == *hash && *index < block.logs,
                "client {id}: log {number}.{index} is not of the chain"
            );
        }
        let expected = self
            .chain
            .blocks
            .iter()
            .filter(|block| client.logs && block.number > client.from + 1 && block.number < last);
        for block in expected {
            for index in 0..block.logs {
                let log = (block.number, index, block.hash);
                assert!(client.held.contains(&log), "client {id}: log {}.{index} was not told", block.number);
            }
        }
    }
}
