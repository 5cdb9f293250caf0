//! For tests: a chain that is made up, and a hub with everything around it in virtual time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use lasso_jsonrpc::RpcError;
use lasso_routing::time::{Millis, Timestamp};
use sha3::{Digest as _, Keccak256};

use crate::payload::bloom::Bloom;
use crate::{
    Action, Ask, BindingId, ChannelId, Ended, Event, FetchFailure, FetchId, Hub, Key, Notice, Settings, Standing,
    SubscriptionId, hex,
};

/// The contract whose logs are made.
pub(crate) const CONTRACT: [u8; 20] = [0xaa; 20];

/// A made-up block.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    pub(crate) number: u64,
    pub(crate) hash: [u8; 32],
    pub(crate) parent: [u8; 32],
    pub(crate) logs: u64,
}

impl Made {
    /// The child of a block; `branch` tells siblings apart.
    pub(crate) fn child(parent: &Self, branch: u32, logs: u64) -> Self {
        let mut seed = parent.hash.to_vec();
        seed.extend(branch.to_be_bytes());
        Self { number: parent.number + 1, hash: Keccak256::digest(&seed).into(), parent: parent.hash, logs }
    }

    pub(crate) fn genesis(number: u64) -> Self {
        Self { number, hash: [1; 32], parent: [0; 32], logs: 0 }
    }

    pub(crate) fn head(&self) -> String {
        let bloom = if self.logs > 0 { Bloom::of([&CONTRACT[..]]) } else { Bloom::of([]) };
        format!(
            r#"{{"number":"{:#x}","hash":"{}","parentHash":"{}","logsBloom":"{}"}}"#,
            self.number,
            hex::shown(&self.hash),
            hex::shown(&self.parent),
            bloom.shown()
        )
    }

    pub(crate) fn log(&self, index: u64) -> String {
        self.log_with(index, false)
    }

    pub(crate) fn log_with(&self, index: u64, removed: bool) -> String {
        format!(
            r#"{{"address":"{}","blockNumber":"{:#x}","blockHash":"{}","logIndex":"{index:#x}","removed":{removed}}}"#,
            hex::shown(&CONTRACT),
            self.number,
            hex::shown(&self.hash)
        )
    }

    pub(crate) fn all_logs(&self) -> String {
        let logs: Vec<_> = (0..self.logs).map(|index| self.log(index)).collect();
        format!("[{}]", logs.join(","))
    }
}

/// What every node knows: all blocks by hash, and which are of the chain.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chain {
    pub(crate) blocks: Vec<Made>,
    by_hash: BTreeMap<[u8; 32], Made>,
}

impl Chain {
    /// From `first` on: as many blocks as numbers of logs.
    pub(crate) fn new(first: u64, logs: &[u64]) -> Self {
        let mut chain = Self::default();
        let mut parent = Made::genesis(first - 1);
        for &logs in logs {
            let block = Made::child(&parent, 0, logs);
            parent = block.clone();
            chain.push(block);
        }
        chain
    }

    fn push(&mut self, block: Made) {
        self.by_hash.insert(block.hash, block.clone());
        self.blocks.push(block);
    }

    /// Another block.
    pub(crate) fn mine(&mut self, branch: u32, logs: u64) -> Made {
        let block = Made::child(self.blocks.last().unwrap(), branch, logs);
        self.push(block.clone());
        block
    }

    /// So many other blocks without logs.
    pub(crate) fn mine_all(&mut self, branch: u32, blocks: usize) {
        for _ in 0..blocks {
            self.mine(branch, 0);
        }
    }

    /// Takes the last blocks off.
    pub(crate) fn rewind(&mut self, blocks: usize) {
        self.blocks.truncate(self.blocks.len() - blocks);
    }

    pub(crate) fn at(&self, number: u64) -> &Made {
        self.get(number).unwrap()
    }

    pub(crate) fn get(&self, number: u64) -> Option<&Made> {
        self.blocks.iter().find(|block| block.number == number)
    }

    /// Answers as a node does that has the chain up to `head`.
    pub(crate) fn answer(&self, ask: &Ask, head: u64) -> Result<Vec<Arc<str>>, FetchFailure> {
        let shown = |block: Option<&Made>| {
            block.filter(|block| block.number <= head).map_or_else(|| "null".into(), |block| block.head().into())
        };
        match ask {
            Ask::Headers { from, to } => Ok((*from..=*to).map(|number| shown(self.get(number))).collect()),
            Ask::Latest => Ok(vec![shown(self.blocks.iter().rev().find(|block| block.number <= head))]),
            Ask::Header { hash } => Ok(vec![shown(self.by_hash.get(hash))]),
            Ask::BlockLogs { hash, .. } => match self.by_hash.get(hash).filter(|block| block.number <= head) {
                Some(block) => Ok(vec![block.all_logs().into()]),
                None => Err(FetchFailure { message: "unknown block".to_owned() }),
            },
            Ask::LogsSince { from, .. } => {
                let logs = self.blocks.iter().filter(|block| (*from..=head).contains(&block.number));
                let logs: Vec<_> = logs.flat_map(|block| (0..block.logs).map(|index| block.log(index))).collect();
                Ok(vec![format!("[{}]", logs.join(",")).into()])
            }
        }
    }
}

pub(crate) fn logs_key() -> Key {
    Key::parse(Some(&format!(r#"["logs",{{"address":"{}"}}]"#, hex::shown(&CONTRACT)))).unwrap()
}

/// A hub, the time, and everything that it asked for.
#[derive(Debug)]
pub(crate) struct Rig {
    pub(crate) hub: Hub,
    pub(crate) now: Timestamp,
    pub(crate) opens: VecDeque<(BindingId, ChannelId, Arc<Key>)>,
    pub(crate) closed: Vec<BindingId>,
    pub(crate) fetches: VecDeque<(FetchId, Ask)>,
    pub(crate) confirmed: Vec<u64>,
    pub(crate) refused: Vec<(u64, RpcError)>,
    pub(crate) ended: Vec<(u64, Ended)>,
    pub(crate) told: Vec<(u64, String)>,
    pub(crate) notices: Vec<Notice>,
}

impl Rig {
    /// Three channels, connected, the smaller id the better.
    pub(crate) fn new() -> Self {
        let mut rig = Self::with(Settings { block_time: Millis(1_000), ..Settings::default() });
        rig.channels(&[(1, true, None), (2, true, None), (3, true, None)]);
        rig
    }

    pub(crate) fn with(settings: Settings) -> Self {
        Self {
            hub: Hub::new(settings),
            now: Timestamp::from_millis(1_000_000),
            opens: VecDeque::new(),
            closed: Vec::new(),
            fetches: VecDeque::new(),
            confirmed: Vec::new(),
            refused: Vec::new(),
            ended: Vec::new(),
            told: Vec::new(),
            notices: Vec::new(),
        }
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.hub.handle_event(event, self.now);
        self.act();
    }

    fn act(&mut self) {
        while let Some(action) = self.hub.poll_action() {
            match action {
                Action::Open { binding, channel, key } => self.opens.push_back((binding, channel, key)),
                Action::Close { binding } => {
                    self.opens.retain(|(open, ..)| *open != binding);
                    self.closed.push(binding);
                }
                Action::Fetch { fetch, ask } => self.fetches.push_back((fetch, ask)),
                Action::Confirm { subscription } => self.confirmed.push(subscription.0),
                Action::Refuse { subscription, because } => self.refused.push((subscription.0, because.error())),
                Action::Deliver { to, payload } => {
                    self.told.extend(to.iter().map(|to| (to.0, payload.to_string())));
                }
                Action::End { subscriptions, because } => {
                    self.ended.extend(subscriptions.iter().map(|subscription| (subscription.0, because)));
                }
                Action::Tell(notice) => self.notices.push(notice),
            }
        }
    }

    /// Lets time pass; the hub is called whenever it wants to be.
    pub(crate) fn pass(&mut self, millis: u64) {
        let end = self.now.plus(Millis(millis));
        let mut calls = 0;
        while let Some(at) = self.hub.poll_timeout().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.hub.handle_timeout(self.now);
            self.act();
            calls += 1;
            assert!(calls < 20_000, "the hub spins at {:?}: {:?}", self.now, self.hub.poll_timeout());
        }
        self.now = end;
    }

    /// How all channels are: id, connected, head.
    pub(crate) fn channels(&mut self, channels: &[(u32, bool, Option<u64>)]) {
        let standings = channels.iter().map(|&(id, connected, head)| Standing {
            channel: ChannelId(id),
            connected,
            usable: true,
            head,
            rank: id,
            lacks: Vec::new(),
        });
        self.event(Event::Channels(standings.collect()));
    }

    pub(crate) fn subscribe(&mut self, subscription: u64, key: Key) {
        self.event(Event::Subscribe { subscription: SubscriptionId(subscription), key });
    }

    pub(crate) fn unsubscribe(&mut self, subscription: u64) {
        self.event(Event::Unsubscribe { subscription: SubscriptionId(subscription) });
    }

    /// Accepts every open there is; gives the bindings.
    pub(crate) fn accept(&mut self) -> Vec<(BindingId, ChannelId)> {
        let mut accepted = Vec::new();
        while let Some((binding, channel, _)) = self.opens.pop_front() {
            self.event(Event::Accepted { binding });
            accepted.push((binding, channel));
        }
        accepted
    }

    pub(crate) fn arrive(&mut self, binding: BindingId, payload: &str) {
        self.event(Event::Arrived { binding, payload: payload.into() });
    }

    /// Answers every fetch there is, as a node at `head` would.
    pub(crate) fn answer(&mut self, chain: &Chain, head: u64) {
        while let Some((fetch, ask)) = self.fetches.pop_front() {
            self.event(Event::Fetched { fetch, answer: chain.answer(&ask, head) });
        }
    }

    /// Fails every fetch there is.
    pub(crate) fn fail(&mut self) {
        while let Some((fetch, _)) = self.fetches.pop_front() {
            self.event(Event::Fetched { fetch, answer: Err(FetchFailure { message: "no".to_owned() }) });
        }
    }

    /// Numbers of the heads that a subscription was told, and of logs as `number.index`, `-` in front of removals.
    pub(crate) fn heard(&self, subscription: u64) -> String {
        let told = self.told.iter().filter(|(to, _)| *to == subscription).map(|(_, payload)| {
            let value: serde_json::Value = serde_json::from_str(payload).unwrap();
            let number = |name: &str| value[name].as_str().and_then(hex::quantity);
            match (number("number"), number("blockNumber"), number("logIndex")) {
                (Some(head), ..) => head.to_string(),
                (None, Some(block), Some(index)) => {
                    format!("{}{block}.{index}", if value["removed"] == true { "-" } else { "" })
                }
                _ => payload.clone(),
            }
        });
        told.collect::<Vec<_>>().join(" ")
    }
}

pub(crate) fn refusal() -> RpcError {
    RpcError { code: -32601, message: "no such subscription".to_owned(), data: None }
}
