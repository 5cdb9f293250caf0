//! A chain that is made up.
//!
//! Duty: blocks with numbers, hashes and parents that agree, logs in them, reorgs, on command and at no cost: for loads that a real node would not bear,
//! and for events that it does not send (`removed: true`).
//! Invariant: what calls are told and what events tell is the same chain; the last [`MOST_BLOCKS`] blocks are kept.
//! Leaves to others: sending it (`proxy`).

use std::{
    borrow::Cow,
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Deserializer};
use serde_json::{Value, json, value::RawValue};
use tokio::sync::broadcast;

const MOST_BLOCKS: usize = 4_096;
/// The address of every log of a chain that is made up.
pub const MADE_LOGS: &str = "0x00000000000000000000000000000000000010c5";
const FIRST: u64 = 1_000;

/// A chain; clones are the same one.
#[derive(Debug, Clone)]
pub struct MadeChain {
    state: Arc<Mutex<State>>,
    news: broadcast::Sender<News>,
}

#[derive(Debug)]
struct State {
    chain_id: u64,
    branch: u64,
    blocks: VecDeque<Arc<Block>>,
}

/// One block.
#[derive(Debug)]
pub(crate) struct Block {
    number: u64,
    hash: String,
    /// As `newHeads` and `eth_getBlockByNumber` tell it.
    pub(crate) head: String,
    logs: Vec<Value>,
}

#[derive(Debug, Deserialize)]
struct Call<'a> {
    #[serde(borrow, default, deserialize_with = "there")]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Cow<'a, str>,
    #[serde(default)]
    params: Value,
}

/// `null` is an id, too.
fn there<'a, D: Deserializer<'a>>(id: D) -> Result<Option<&'a RawValue>, D::Error> {
    Deserialize::deserialize(id).map(Some)
}

/// What became of the chain.
#[derive(Debug, Clone)]
pub(crate) struct News {
    /// No longer part of it, newest first.
    pub(crate) undone: Vec<Arc<Block>>,
    /// New, oldest first.
    pub(crate) grown: Vec<Arc<Block>>,
}

impl Block {
    fn new(number: u64, branch: u64, parent: &str, (logs, bytes): (u64, usize)) -> Self {
        let data = format!("0x{}", "5a".repeat(bytes));
        let hash = format!("0x{branch:032x}{number:032x}");
        let zeros = format!("0x{:064x}", 0);
        let bloom = if logs == 0 { "0" } else { "f" }.repeat(512);
        let head = json!({
            "number": hex(number), "hash": hash, "parentHash": parent, "timestamp": hex(1_700_000_000 + number), "logsBloom": format!("0x{bloom}"),
            "difficulty": "0x0", "extraData": "0x", "gasLimit": "0x1c9c380", "gasUsed": hex(21_000 * logs), "baseFeePerGas": "0x1",
            "miner": "0x0000000000000000000000000000000000000000", "mixHash": zeros, "nonce": "0x0000000000000000", "receiptsRoot": zeros,
            "sha3Uncles": zeros, "stateRoot": zeros, "transactionsRoot": zeros,
        });
        let log = |index: u64| {
            json!({
                "address": MADE_LOGS, "topics": [format!("0x{index:064x}")], "data": data, "blockNumber": hex(number), "blockHash": hash,
                "transactionHash": format!("0x{:064x}", number << 16 | index), "transactionIndex": hex(index), "logIndex": hex(index),
                "removed": false,
            })
        };
        Self { number, head: head.to_string(), logs: (0..logs).map(log).collect(), hash }
    }

    /// Its logs that a filter asks for; undone ones newest first.
    pub(crate) fn logs_of(&self, filter: &Value, removed: bool) -> Vec<Value> {
        let mut logs: Vec<Value> = self.logs.iter().filter(|log| wants(filter, log)).cloned().collect();
        if removed {
            logs.reverse();
            logs.iter_mut().for_each(|log| log["removed"] = json!(true));
        }
        logs
    }
}

fn wants(filter: &Value, log: &Value) -> bool {
    let one_of = |wanted: &Value, is: &Value| match wanted.as_array() {
        Some(any) => any.is_empty() || any.iter().any(|wanted| same(wanted, is)),
        None => wanted.is_null() || same(wanted, is),
    };
    let topics = filter["topics"].as_array().map(Vec::as_slice).unwrap_or_default();
    one_of(&filter["address"], &log["address"])
        && topics.iter().enumerate().all(|(place, wanted)| one_of(wanted, &log["topics"][place]))
}

fn same(one: &Value, other: &Value) -> bool {
    matches!((one.as_str(), other.as_str()), (Some(one), Some(other)) if one.eq_ignore_ascii_case(other))
}

impl MadeChain {
    /// A chain with some blocks already.
    pub fn new(chain_id: u64) -> Self {
        let mut blocks = VecDeque::new();
        let parent = format!("0x{:064x}", FIRST - 1);
        blocks.push_back(Arc::new(Block::new(FIRST, 0, &parent, (0, 0))));
        let state = Arc::new(Mutex::new(State { chain_id, branch: 0, blocks }));
        let chain = Self { state, news: broadcast::Sender::new(1_024) };
        for _ in 0..80 {
            chain.grow(0);
        }
        chain
    }

    /// One more block with so many logs; its number.
    pub fn grow(&self, logs: u64) -> u64 {
        self.grow_heavy(logs, 0)
    }

    /// One more block with so many logs of so many bytes of data each; its number.
    pub fn grow_heavy(&self, logs: u64, bytes: usize) -> u64 {
        let mut state = self.state();
        let block = state.push(logs, bytes);
        let number = block.number;
        // Told while the state is held: who subscribes sees each block either there or here.
        let _ = self.news.send(News { undone: Vec::new(), grown: vec![block] });
        number
    }

    /// The last `depth` blocks are replaced by as many others with as many logs.
    pub fn reorg(&self, depth: usize) {
        let mut state = self.state();
        let mut undone = Vec::new();
        for _ in 0..depth.min(state.blocks.len() - 1) {
            undone.extend(state.blocks.pop_back());
        }
        state.branch += 1;
        let logs: Vec<u64> = undone.iter().rev().map(|block| block.logs.len() as u64).collect();
        let grown = logs.into_iter().map(|logs| state.push(logs, 0)).collect();
        let _ = self.news.send(News { undone, grown });
    }

    /// Number and hash of the newest block.
    pub fn head(&self) -> (u64, String) {
        let state = self.state();
        let newest = state.newest();
        (newest.number, newest.hash.clone())
    }

    pub(crate) fn news(&self) -> broadcast::Receiver<News> {
        self.news.subscribe()
    }

    /// The reply to a body; ids as they were written.
    pub(crate) fn answer(&self, body: &[u8]) -> String {
        let state = self.state();
        if let Ok(calls) = serde_json::from_slice::<Vec<Call<'_>>>(body) {
            let replies: Vec<String> =
                calls.iter().filter(|call| call.id.is_some()).map(|call| state.reply(call)).collect();
            return format!("[{}]", replies.join(","));
        }
        match serde_json::from_slice::<Call<'_>>(body) {
            Ok(call) if call.id.is_none() => String::new(),
            Ok(call) => state.reply(&call),
            Err(_) => r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"parse error"}}"#.to_owned(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn newest(&self) -> &Arc<Block> {
        self.blocks.back().expect("a chain starts with a block, and a reorg keeps the oldest")
    }

    fn push(&mut self, logs: u64, bytes: usize) -> Arc<Block> {
        let parent = self.newest();
        let block = Arc::new(Block::new(parent.number + 1, self.branch, &parent.hash, (logs, bytes)));
        self.blocks.push_back(Arc::clone(&block));
        if self.blocks.len() > MOST_BLOCKS {
            self.blocks.pop_front();
        }
        block
    }

    fn reply(&self, call: &Call<'_>) -> String {
        let first = &call.params[0];
        let result = match call.method.as_ref() {
            "eth_chainId" => json!(hex(self.chain_id)).to_string(),
            "net_version" => json!(self.chain_id.to_string()).to_string(),
            "eth_blockNumber" => json!(hex(self.newest().number)).to_string(),
            "eth_getBlockByNumber" => self.told(|block| block.number == self.number(first)),
            "eth_getBlockByHash" => self.told(|block| Some(block.hash.as_str()) == first.as_str()),
            "eth_getLogs" => Value::Array(self.logs(first)).to_string(),
            _ => json!("0x1").to_string(),
        };
        format!("{{\"jsonrpc\":\"2.0\",\"id\":{},\"result\":{result}}}", call.id.map_or("null", RawValue::get))
    }

    fn told(&self, is: impl Fn(&Block) -> bool) -> String {
        self.blocks.iter().rev().find(|block| is(block)).map_or_else(|| "null".to_owned(), |block| block.head.clone())
    }

    fn number(&self, reference: &Value) -> u64 {
        let written = reference.as_str().and_then(|text| u64::from_str_radix(text.strip_prefix("0x")?, 16).ok());
        written.unwrap_or_else(|| self.newest().number)
    }

    fn logs(&self, filter: &Value) -> Vec<Value> {
        let hash = filter["blockHash"].as_str();
        let (from, to) = (self.number(&filter["fromBlock"]), self.number(&filter["toBlock"]));
        let asked = |block: &&Arc<Block>| match hash {
            Some(hash) => block.hash == hash,
            None => (from..=to).contains(&block.number),
        };
        self.blocks.iter().filter(asked).flat_map(|block| block.logs_of(filter, false)).collect()
    }
}

fn hex(number: u64) -> String {
    format!("0x{number:x}")
}
