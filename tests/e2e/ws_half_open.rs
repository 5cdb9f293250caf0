//! A provider whose packets are dropped on the way, both ways and without a word, costs no client a block.
//!
//! Leaves to others: every other way to lose a provider (`ws_continuity`).

use std::time::{Duration, Instant};

use lasso_tests::{FaultProxy, Link, Scratch, in_own_network, wait};
use serde_json::json;

use crate::ws_stand::{CHAIN_ID, Miner, SECOND, Stand, Wanted, Watch, node};

const BLOCKS_EVERY: Duration = Duration::from_millis(250);
const CLIENTS: usize = 8;
const ROUNDS: usize = 3;
/// For so long a link is cut: longer than it takes to give a silent socket up.
const CUT: Duration = Duration::from_secs(7);
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_drops_every_packet_costs_nobody_a_block() {
    let name = "ws_half_open::a_link_that_drops_every_packet_costs_nobody_a_block";
    if !in_own_network(name, 180 * SECOND).await.unwrap() {
        return;
    }
    let scratch = Scratch::new().unwrap();
    let node = node(&scratch).await;
    let (mut links, mut providers) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        let link = Link::new(&scratch).await.unwrap();
        providers.push(FaultProxy::start_at(link.listener().unwrap(), node.url()).unwrap());
        links.push(link);
    }
    let stand = Stand::of(CHAIN_ID, providers, &Wanted::default()).await;
    let watch = Watch::start(&stand.mesh.ws_url("ethereum"), &node, CLIENTS).await;
    let miner = Miner::start(&node, BLOCKS_EVERY);
    watch.more(4).await;
    let mut late = Vec::new();
    for _ in 0..ROUNDS {
        let holder = stand.holder("newHeads").await;
        let provider = &stand.providers[holder];
        let (opened, cut) = (provider.counts().sockets.opened, Instant::now());
        links[holder].cut().unwrap();
        while cut.elapsed() < CUT {
            watch.more(1).await;
        }
        late.push(watch.latest(cut));
        // Nothing told the provider: it sends its events to nobody.
        assert!(provider.subscriptions("newHeads") > 0, "the provider was told, so the cut was not silent");
        links[holder].mend().unwrap();
        let back = || provider.counts().sockets.opened > opened;
        wait::until_true("another socket over the mended link", PATIENCE, back).await.unwrap();
        stand.until_subscriptions("newHeads", 1).await;
        // The next cut is to leave a provider that can fill gaps, over HTTP. Its breaker closes when calls succeed, and somebody must make them.
        let up = async || {
            stand.mesh.call("ethereum", "eth_gasPrice", json!([])).await.ok()?;
            let breakers = stand.mesh.api("/api/breakers").await.ok()?;
            breakers["breakers"].as_array()?.iter().all(|channel| channel["availability"] == "up").then_some(())
        };
        wait::until("every channel to be up", PATIENCE, up).await.unwrap();
        watch.more(2).await;
    }
    miner.stop().await;
    watch.must_be_whole().await;
    assert!(late.iter().all(|late| *late <= 6 * SECOND), "a block came late: {late:?}");
}
