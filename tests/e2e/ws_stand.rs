//! A node, providers in front of it, a mesh with its hub, and clients that notice every block and log.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use lasso_tests::{
    ACCOUNT, ChainConfig, Config, Event, Fault, FaultProxy, MadeChain, Mesh, Node, Options, Scratch, Socket,
    SocketFault, wait,
};
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinHandle};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const CHAIN_ID: u64 = 31_337;
/// Emits as many logs as its calldata says; topic 0 counts down to 1.
pub(crate) const EMITTER: &str = "0x00000000000000000000000000000000000c0de3";
const EMITTER_CODE: &str = "0x5f355b8015601357805f5fa1600190036002565b00";
/// Longer than any failover, shorter than patience.
const PATIENCE: Duration = Duration::from_secs(20);

/// Providers on one truth, and the mesh.
pub(crate) struct Stand {
    pub(crate) mesh: Mesh,
    pub(crate) providers: Vec<FaultProxy>,
}

/// What a test needs beside providers.
pub(crate) struct Wanted {
    pub(crate) chain: Vec<&'static str>,
    pub(crate) profile: Vec<&'static str>,
    pub(crate) strategy: &'static str,
}

impl Default for Wanted {
    fn default() -> Self {
        let chain = vec!["block_time: 1s", "subscriptions: {linger: 1s}"];
        Self { chain, profile: Vec::new(), strategy: "priority" }
    }
}

pub(crate) fn config(chain_id: u64, providers: &[FaultProxy], wanted: &Wanted) -> Config {
    let chain = wanted.chain.iter().fold(ChainConfig::new("ethereum", chain_id), |chain, line| chain.line(line));
    let named = providers.iter().enumerate();
    let chain = named.fold(chain, |chain, (index, provider)| chain.provider_on(&format!("p{index}"), provider));
    let config = Config::new().strategy(wanted.strategy).exploring().chain(chain);
    wanted.profile.iter().fold(config, |config, line| config.profile_line(line))
}

impl Stand {
    pub(crate) async fn on_node(node: &Node, count: usize) -> Self {
        let mut providers = Vec::new();
        for _ in 0..count {
            providers.push(FaultProxy::start(node.url()).await.unwrap());
        }
        Self::of(CHAIN_ID, providers, &Wanted::default()).await
    }

    pub(crate) async fn on_chain(chain: &MadeChain, count: usize) -> Self {
        let mut providers = Vec::new();
        for _ in 0..count {
            providers.push(FaultProxy::of_chain(chain).await.unwrap());
        }
        Self::of(1, providers, &Wanted::default()).await
    }

    pub(crate) async fn of(chain_id: u64, providers: Vec<FaultProxy>, wanted: &Wanted) -> Self {
        let options = Options { control_plane: true, ..Options::default() };
        let mesh = Mesh::start_with(&config(chain_id, &providers, wanted), &options).await.unwrap();
        let stand = Self { mesh, providers };
        stand.serves().await;
        stand
    }

    /// Waits until a subscription can be had and every provider has a socket.
    pub(crate) async fn serves(&self) {
        let look = || async {
            let socket = Socket::open(&self.mesh.ws_url("ethereum")).await.ok()?;
            socket.subscribe(json!(["newHeads"])).await.ok()
        };
        let serves = wait::until("the hub to serve", PATIENCE, look).await;
        serves.unwrap_or_else(|error| panic!("{error}\n{}", self.mesh.control_plane_log()));
        let all = || self.providers.iter().all(|provider| provider.counts().sockets.open > 0);
        wait::until_true("a socket to every provider", PATIENCE, all).await.unwrap();
    }

    pub(crate) async fn socket(&self) -> Socket {
        Socket::open(&self.mesh.ws_url("ethereum")).await.unwrap()
    }

    /// Subscriptions of one kind with all providers.
    pub(crate) fn subscriptions(&self, kind: &str) -> u64 {
        self.providers.iter().map(|provider| provider.subscriptions(kind)).sum()
    }

    /// Subscriptions of one kind that were ever made with any provider.
    pub(crate) fn subscribed(&self, kind: &str) -> u64 {
        let one = |provider: &FaultProxy| provider.counts().sockets.subscribed.get(kind).copied().unwrap_or_default();
        self.providers.iter().map(one).sum()
    }

    pub(crate) async fn until_subscriptions(&self, kind: &str, count: u64) {
        let there =
            wait::until_true(&format!("{count} x {kind}"), PATIENCE, || self.subscriptions(kind) == count).await;
        there.unwrap_or_else(|error| panic!("{error}; there are {}", self.subscriptions(kind)));
    }

    /// Who serves a feed of this kind.
    pub(crate) async fn holder(&self, kind: &str) -> usize {
        let look = || async { self.providers.iter().position(|provider| provider.subscriptions(kind) > 0) };
        wait::until(&format!("somebody to serve {kind}"), PATIENCE, look).await.unwrap()
    }

    /// Waits until everybody has sockets again.
    pub(crate) async fn heal(&self) {
        for provider in &self.providers {
            provider.heal();
        }
        let all = || self.providers.iter().all(|provider| provider.counts().sockets.open > 0);
        wait::until_true("every provider to be back", 2 * PATIENCE, all).await.unwrap();
    }
}

/// An anvil with the emitter.
pub(crate) async fn node(scratch: &Scratch) -> Arc<Node> {
    let node = Node::start(CHAIN_ID, scratch).await.unwrap();
    node.place_code(EMITTER, EMITTER_CODE).await.unwrap();
    node.mine(5).await.unwrap();
    Arc::new(node)
}

/// One block with so many logs.
pub(crate) async fn emit(node: &Node, logs: u64) {
    let call = json!([{"from": ACCOUNT, "to": EMITTER, "gas": "0x1000000", "data": format!("0x{logs:064x}")}]);
    let hash = node.call("eth_sendTransaction", call).await.unwrap();
    // The answer comes before the block is there to be asked for.
    let mined = async || {
        let receipt = node.call("eth_getTransactionReceipt", json!([hash])).await.ok()?;
        receipt.is_object().then_some(())
    };
    wait::until("a block with logs", 10 * SECOND, mined).await.unwrap();
}

/// Blocks at a pace, every second one with a log.
pub(crate) struct Miner {
    stop: watch::Sender<bool>,
    works: JoinHandle<()>,
}

impl Miner {
    pub(crate) fn start(node: &Arc<Node>, every: Duration) -> Self {
        let (node, (stop, stopped)) = (Arc::clone(node), watch::channel(false));
        let works = tokio::spawn(async move {
            let mut turns = tokio::time::interval(every);
            let mut number = 0_u64;
            while !*stopped.borrow() {
                turns.tick().await;
                number += 1;
                if number.is_multiple_of(2) { emit(&node, 1).await } else { node.mine(1).await.unwrap() }
            }
        });
        Self { stop, works }
    }

    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        self.works.await.unwrap();
    }
}

/// A client with heads and the emitter's logs.
pub(crate) struct Watcher {
    pub(crate) socket: Socket,
    pub(crate) heads: String,
    pub(crate) logs: String,
}

impl Watcher {
    pub(crate) async fn open(url: &str) -> Self {
        let socket = Socket::open(url).await.unwrap();
        let heads = socket.subscribe(json!(["newHeads"])).await.unwrap();
        let logs = socket.subscribe(json!(["logs", {"address": EMITTER}])).await.unwrap();
        Self { socket, heads, logs }
    }

    pub(crate) fn heads(&self) -> Vec<Event> {
        self.socket.events(&self.heads)
    }

    /// Waits until it was told of this block.
    pub(crate) async fn until_head(&self, number: u64) {
        let is = |event: &Event| event.number("number") >= number;
        let told = |inbox: &lasso_tests::Inbox| inbox.events.get(&self.heads)?.iter().any(is).then_some(());
        let reached = self.socket.until(&format!("block {number}"), PATIENCE, told).await;
        reached
            .unwrap_or_else(|error| panic!("{error:#}; last {:?}", self.heads().last().map(|it| it.number("number"))));
    }
}

/// Clients, and one more that asks the node itself: what it was told is the truth, and when.
pub(crate) struct Watch {
    pub(crate) clients: Vec<Watcher>,
    control: Watcher,
    node: Arc<Node>,
    /// The first block of which they must be told.
    first: u64,
}

impl Watch {
    pub(crate) async fn start(url: &str, node: &Arc<Node>, count: usize) -> Self {
        let control = Watcher::open(&node.ws_url()).await;
        let mut clients = Vec::new();
        for _ in 0..count {
            clients.push(Watcher::open(url).await);
        }
        let node = Arc::clone(node);
        let first = head(&node).await + 1;
        Self { clients, control, node, first }
    }

    pub(crate) async fn until_head(&self, number: u64) {
        for client in &self.clients {
            client.until_head(number).await;
        }
    }

    /// Waits until every client was told of so many blocks from now on.
    pub(crate) async fn more(&self, blocks: u64) {
        self.until_head(head(&self.node).await + blocks).await;
    }

    /// How late the latest head came since then, over all clients.
    pub(crate) fn latest(&self, since: Instant) -> Duration {
        let control = self.control.heads();
        let late = |head: &Event| {
            let truth = control.iter().find(|other| other.text("hash") == head.text("hash"));
            truth.map_or(Duration::ZERO, |truth| head.at.saturating_duration_since(truth.at))
        };
        let all = self.clients.iter().flat_map(Watcher::heads).filter(|head| head.at > since);
        all.map(|head| late(&head)).max().unwrap_or_default()
    }

    /// Every client was told of every block and every log once and in order, on the socket it opened.
    pub(crate) async fn must_be_whole(&self) {
        self.whole().await.unwrap_or_else(|error| panic!("{error:#}"));
    }

    async fn whole(&self) -> anyhow::Result<()> {
        let end = head(&self.node).await;
        let filter = json!([{"address": EMITTER, "fromBlock": hex(self.first), "toBlock": hex(end)}]);
        let logs = self.node.call("eth_getLogs", filter).await?;
        let logs: Vec<_> = logs.as_array().into_iter().flatten().map(|log| key(&event(log))).collect();
        let mut hashes = Vec::new();
        for number in self.first..=end {
            let block = self.node.call("eth_getBlockByNumber", json!([hex(number), false])).await?;
            hashes.push((number, block["hash"].as_str().unwrap_or_default().to_owned()));
        }
        self.until_head(end).await;
        for (index, client) in self.clients.iter().enumerate() {
            let told = client.socket.until_events(&client.logs, logs.len(), PATIENCE).await;
            let told: Vec<_> = told.with_context(|| format!("logs of client {index}"))?.iter().map(key).collect();
            same(&format!("logs of client {index}"), &told, &logs)?;
            let heads: Vec<_> =
                client.heads().iter().map(|head| (head.number("number"), head.text("hash").to_owned())).collect();
            same(&format!("heads of client {index}"), &heads, &hashes)?;
            ensure!(client.socket.ended().is_none(), "client {index}: {:?}", client.socket.ended());
        }
        Ok(())
    }
}

/// Says where two lists part.
pub(crate) fn same<T: std::fmt::Debug + Ord + Clone>(what: &str, told: &[T], truth: &[T]) -> anyhow::Result<()> {
    let (seen, wanted): (BTreeSet<_>, BTreeSet<_>) = (told.iter().collect(), truth.iter().collect());
    let twice = told.len() - seen.len();
    let missing: Vec<_> = wanted.difference(&seen).take(5).collect();
    let strange: Vec<_> = seen.difference(&wanted).take(5).collect();
    let at = told.iter().zip(truth).position(|(told, truth)| told != truth);
    let around = at.map(|at| told[at.saturating_sub(2)..(at + 3).min(told.len())].to_vec());
    ensure!(
        told == truth,
        "{what}: {} of {}, {twice} twice, missing {missing:?}, strange {strange:?}, first difference at {at:?}: {around:?}",
        told.len(),
        truth.len()
    );
    Ok(())
}

/// Block, index, hash of a log.
pub(crate) fn key(log: &Event) -> (u64, u64, String) {
    (log.number("blockNumber"), log.number("logIndex"), log.text("blockHash").to_owned())
}

pub(crate) fn event(result: &Value) -> Event {
    Event { at: Instant::now(), result: result.clone() }
}

pub(crate) async fn head(node: &Node) -> u64 {
    let number = node.call("eth_blockNumber", json!([])).await.unwrap();
    u64::from_str_radix(number.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

pub(crate) fn hex(number: u64) -> String {
    format!("0x{number:x}")
}

/// What such a watch says of a provider alone, with nobody to make up for its faults.
async fn watched(fault: Option<SocketFault>) -> anyhow::Result<()> {
    let scratch = Scratch::new().unwrap();
    let node = node(&scratch).await;
    let provider = FaultProxy::start(node.url()).await.unwrap();
    let watch = Watch::start(&provider.ws_url("/"), &node, 2).await;
    let started = Instant::now();
    let miner = Miner::start(&node, SECOND / 20);
    watch.more(4).await;
    provider.set(fault.map(Fault::socket));
    watch.more(6).await;
    provider.heal();
    watch.more(2).await;
    miner.stop().await;
    assert!(watch.latest(started) < SECOND / 2, "{:?}", watch.latest(started));
    // A log that is missing is waited for; that it is found missing is what counts here.
    tokio::time::timeout(3 * SECOND, watch.whole()).await?
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_lost_or_comes_twice_is_noticed() {
    assert!(watched(None).await.is_ok());
    for fault in [SocketFault::Twice, SocketFault::LoseEvery(3), SocketFault::LoseLogs] {
        assert!(watched(Some(fault.clone())).await.is_err(), "{fault:?}");
    }
}
