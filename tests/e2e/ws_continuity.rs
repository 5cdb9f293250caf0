//! Whatever happens to providers, every client sees every block and log once, in order, on the socket it opened.

use std::time::{Duration, Instant};

use lasso_tests::{Door, Fault, FaultProxy, Scratch, SocketFault, wait};

use crate::ws_stand::{Miner, SECOND, Stand, Watch, node};

const BLOCKS_EVERY: Duration = Duration::from_millis(250);
const CLIENTS: usize = 8;

/// A way to lose a provider.
enum Kill {
    Door(Door),
    Reset,
    Close(u16),
    Socket(SocketFault),
    /// Reset, and not let in again for a while.
    Barred(u16),
}

impl Kill {
    async fn strike(&self, provider: &FaultProxy) {
        match self {
            Self::Door(door) => provider.door(*door),
            Self::Reset => provider.reset_sockets(),
            Self::Close(code) => provider.close_sockets(*code),
            Self::Socket(fault) => provider.add(Fault::socket(fault.clone())),
            Self::Barred(status) => {
                provider.add(Fault::socket(SocketFault::Refuse { status: *status, retry_after: Some(1) }));
                provider.reset_sockets();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_kills_lose_no_block_and_no_log() {
    let visible = [
        ("killed", Kill::Door(Door::Refusing)),
        ("sockets reset", Kill::Reset),
        ("closed with 1012", Kill::Close(1012)),
        ("closed with 1001", Kill::Close(1001)),
        ("closed with 1011", Kill::Close(1011)),
        ("reset, then 429 at the upgrade", Kill::Barred(429)),
        ("killed again", Kill::Door(Door::Refusing)),
    ];
    let silent = [
        ("stalled", Kill::Socket(SocketFault::Stall)),
        ("half-open", Kill::Socket(SocketFault::Freeze)),
        ("the whole machine half-open", Kill::Door(Door::Deaf)),
    ];
    let scratch = Scratch::new().unwrap();
    let node = node(&scratch).await;
    let stand = Stand::on_node(&node, 3).await;
    let watch = Watch::start(&stand.mesh.ws_url("ethereum"), &node, CLIENTS).await;
    let miner = Miner::start(&node, BLOCKS_EVERY);
    watch.more(4).await;
    let limit = |limit: Duration| move |(name, kill)| (name, kill, limit);
    let kills = visible.into_iter().map(limit(SECOND)).chain(silent.into_iter().map(limit(6 * SECOND)));
    let mut late = Vec::new();
    for (name, kill, limit) in kills {
        let struck = Instant::now();
        kill.strike(&stand.providers[stand.holder("newHeads").await]).await;
        // A silent death lasts until it is noticed: blocks that came after it must have come.
        watch.more(6).await;
        late.push((name, watch.latest(struck), limit));
        stand.heal().await;
        watch.more(2).await;
    }
    miner.stop().await;
    watch.must_be_whole().await;
    println!("{late:#?}");
    for (name, late, limit) in late {
        assert!(late <= limit, "{name}: a block came {late:?} late");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_are_lost_repeated_or_swapped_stay_between_us_and_the_provider() {
    let scratch = Scratch::new().unwrap();
    let node = node(&scratch).await;
    let stand = Stand::on_node(&node, 3).await;
    let watch = Watch::start(&stand.mesh.ws_url("ethereum"), &node, CLIENTS).await;
    let miner = Miner::start(&node, BLOCKS_EVERY);
    watch.more(4).await;
    stand.providers[stand.holder("newHeads").await].set([Fault::socket(SocketFault::LoseEvery(3))]);
    watch.more(9).await;
    stand.heal().await;
    let garbage = SocketFault::Garbage("{\"jsonrpc\":".to_owned());
    for fault in [SocketFault::Twice, SocketFault::Swap, garbage, SocketFault::LateMs(300)] {
        for provider in &stand.providers {
            provider.set([Fault::socket(fault.clone())]);
        }
        watch.more(6).await;
        stand.heal().await;
    }
    watch.more(2).await;
    miner.stop().await;
    watch.must_be_whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_left_may_lag_or_refuse_and_all_may_be_away_for_a_while() {
    let scratch = Scratch::new().unwrap();
    let node = node(&scratch).await;
    let stand = Stand::on_node(&node, 3).await;
    let watch = Watch::start(&stand.mesh.ws_url("ethereum"), &node, CLIENTS).await;
    let miner = Miner::start(&node, BLOCKS_EVERY);
    watch.more(4).await;

    // Those that are left are three blocks behind.
    let holder = stand.holder("newHeads").await;
    for (index, provider) in stand.providers.iter().enumerate() {
        if index == holder {
            provider.door(Door::Refusing);
        } else {
            provider.set([Fault::behind(3)]);
        }
    }
    watch.more(1).await;
    stand.heal().await;
    watch.more(4).await;

    // Fills fail on the next one, and it refuses subscriptions.
    let holder = stand.holder("newHeads").await;
    let next = (holder + 1) % stand.providers.len();
    let fills = ["eth_getBlockByNumber", "eth_getBlockByHash", "eth_getLogs"];
    let fails = fills.iter().fold(Fault::text(500, ""), |fault, method| fault.on(method)).over_http();
    stand.providers[next].set([fails, Fault::rpc(-32601, "no subscriptions here").on("eth_subscribe").over_ws()]);
    stand.providers[holder].door(Door::Refusing);
    watch.more(6).await;
    stand.heal().await;

    // Everybody is away for ten blocks.
    for provider in &stand.providers {
        provider.door_is(Door::Refusing).await.unwrap();
    }
    let away = crate::ws_stand::head(&node).await;
    let ten = || async { (crate::ws_stand::head(&node).await >= away + 10).then_some(()) };
    wait::until("ten blocks", 10 * SECOND, ten).await.unwrap();
    stand.heal().await;
    watch.more(4).await;
    miner.stop().await;
    watch.must_be_whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_flaps_costs_nobody_a_block() {
    let scratch = Scratch::new().unwrap();
    let node = node(&scratch).await;
    let stand = Stand::on_node(&node, 3).await;
    let watch = Watch::start(&stand.mesh.ws_url("ethereum"), &node, CLIENTS).await;
    let miner = Miner::start(&node, BLOCKS_EVERY);
    watch.more(4).await;
    for _ in 0..10 {
        stand.providers[stand.holder("newHeads").await].reset_sockets();
        watch.more(1).await;
    }
    miner.stop().await;
    watch.must_be_whole().await;
}
