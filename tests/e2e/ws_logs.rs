//! Logs: none lost and none twice, in the middle of a block, after a silence, and through a reorg.

use lasso_tests::{Event, Fault, MADE_LOGS, MadeChain, Scratch, SocketFault};
use serde_json::json;

use crate::ws_stand::{SECOND, Stand, Watch, emit, key, node, same};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_breaks_in_the_middle_of_a_block_loses_no_log() {
    let scratch = Scratch::new().unwrap();
    let node = node(&scratch).await;
    let stand = Stand::on_node(&node, 3).await;
    let watch = Watch::start(&stand.mesh.ws_url("ethereum"), &node, 8).await;
    emit(&node, 1).await;
    watch.more(0).await;
    for after in [1, 150, 399] {
        let holder = &stand.providers[stand.holder("logs").await];
        holder.set([Fault::socket(SocketFault::BreakAfter(after))]);
        emit(&node, 400).await;
        // The fault is gone when it struck; a provider that was left before has not sent so many.
        watch.more(0).await;
        emit(&node, 3).await;
        stand.heal().await;
        watch.must_be_whole().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_that_a_provider_keeps_to_itself_are_found() {
    let scratch = Scratch::new().unwrap();
    let node = node(&scratch).await;
    let stand = Stand::on_node(&node, 3).await;
    let watch = Watch::start(&stand.mesh.ws_url("ethereum"), &node, 2).await;
    emit(&node, 2).await;
    watch.must_be_whole().await;
    stand.providers[stand.holder("logs").await].set([Fault::socket(SocketFault::LoseLogs)]);
    emit(&node, 5).await;
    watch.must_be_whole().await;
    emit(&node, 5).await;
    watch.must_be_whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_are_the_providers_to_match() {
    let chain = MadeChain::new(1);
    let stand = Stand::on_chain(&chain, 2).await;
    let socket = stand.socket().await;
    let topic = |number: u64| format!("0x{number:064x}");
    let one = socket.subscribe(json!(["logs", {"address": MADE_LOGS, "topics": [topic(1)]}])).await.unwrap();
    let any =
        socket.subscribe(json!(["logs", {"address": [MADE_LOGS], "topics": [[topic(0), topic(2)]]}])).await.unwrap();
    let none = socket.subscribe(json!(["logs", {"address": lasso_tests::ACCOUNT}])).await.unwrap();
    for _ in 0..4 {
        chain.grow(3);
    }
    let indexes = |events: Vec<Event>| events.iter().map(|log| log.number("logIndex")).collect::<Vec<_>>();
    assert_eq!(indexes(socket.until_events(&any, 8, 5 * SECOND).await.unwrap()), [0, 2, 0, 2, 0, 2, 0, 2]);
    assert_eq!(indexes(socket.until_events(&one, 4, 5 * SECOND).await.unwrap()), [1, 1, 1, 1]);
    assert_eq!(socket.events(&none).len(), 0);
}

/// Numbers and hashes of heads.
fn heads(events: &[Event]) -> Vec<(u64, String)> {
    events.iter().map(|head| (head.number("number"), head.text("hash").to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reorg_of_three_blocks_is_told_with_its_removed_logs() {
    let chain = MadeChain::new(1);
    let stand = Stand::on_chain(&chain, 3).await;
    let socket = stand.socket().await;
    let of_heads = socket.subscribe(json!(["newHeads"])).await.unwrap();
    let of_logs = socket.subscribe(json!(["logs", {"address": MADE_LOGS}])).await.unwrap();
    for logs in [1, 2, 2, 2] {
        chain.grow(logs);
    }
    socket.until_events(&of_heads, 4, 5 * SECOND).await.unwrap();
    let before = socket.until_events(&of_logs, 7, 5 * SECOND).await.unwrap();
    chain.reorg(3);
    let told = socket.until_events(&of_heads, 7, 5 * SECOND).await.unwrap();
    assert_eq!(told[4].text("parentHash"), told[0].text("hash"));
    assert_eq!(told[5].text("parentHash"), told[4].text("hash"));
    assert_eq!((told[6].number("number"), told[6].text("hash").to_owned()), chain.head());
    let logs = socket.until_events(&of_logs, 19, 5 * SECOND).await.unwrap();
    let removed = |log: &&Event| log.result["removed"] == true;
    let mut undone: Vec<_> = logs.iter().filter(removed).map(key).collect();
    undone.sort();
    same("removed logs", &undone, &before[1..].iter().map(key).collect::<Vec<_>>()).unwrap();
    let last_undone = logs.iter().rposition(|log| log.result["removed"] == true).unwrap();
    let first_new = logs.iter().position(|log| log.text("blockHash") == told[4].text("hash")).unwrap();
    assert!(last_undone < first_new, "a log of the new branch came before one of the old was taken back");
    chain.grow(0);
    assert_eq!(heads(&socket.until_events(&of_heads, 8, 5 * SECOND).await.unwrap()).len(), 8);
    assert_eq!(socket.events(&of_logs).len(), 19);
}

/// The provider that serves the feed dies while its node changes branches, so the old branch's end must be found out by asking.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reorg_during_a_failover_is_told_too() {
    let chain = MadeChain::new(1);
    let stand = Stand::on_chain(&chain, 3).await;
    let socket = stand.socket().await;
    let of_heads = socket.subscribe(json!(["newHeads"])).await.unwrap();
    let of_logs = socket.subscribe(json!(["logs", {"address": MADE_LOGS}])).await.unwrap();
    for _ in 0..4 {
        chain.grow(1);
    }
    socket.until_events(&of_logs, 4, 5 * SECOND).await.unwrap();
    socket.until_events(&of_heads, 4, 5 * SECOND).await.unwrap();
    let holder = &stand.providers[stand.holder("newHeads").await];
    holder.set([Fault::socket(SocketFault::Stall)]);
    chain.reorg(3);
    chain.grow(1);
    holder.door(lasso_tests::Door::Refusing);
    let told = socket.until_events(&of_heads, 8, 10 * SECOND).await.unwrap();
    assert_eq!(told[4].text("parentHash"), told[0].text("hash"), "{told:?}");
    for two in told[4..].windows(2) {
        assert_eq!(two[1].text("parentHash"), two[0].text("hash"));
    }
    assert_eq!(told.last().unwrap().text("hash"), chain.head().1);
    // Four, three of them taken back, three on the new branch, and the last.
    let logs = socket.until_events(&of_logs, 11, 10 * SECOND).await.unwrap();
    assert_eq!(logs.iter().filter(|log| log.result["removed"] == true).count(), 3, "{logs:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_nodes_reorg_ends_on_the_new_branch() {
    let scratch = Scratch::new().unwrap();
    let node = node(&scratch).await;
    let stand = Stand::on_node(&node, 3).await;
    let watch = Watch::start(&stand.mesh.ws_url("ethereum"), &node, 4).await;
    for _ in 0..4 {
        emit(&node, 1).await;
    }
    watch.must_be_whole().await;
    node.call("anvil_reorg", json!([3, []])).await.unwrap();
    node.mine(1).await.unwrap();
    watch.more(0).await;
    for client in &watch.clients {
        let told = client.heads();
        let parents = told.windows(2).filter(|two| two[1].text("parentHash") != two[0].text("hash"));
        assert_eq!(parents.count(), 1, "one step back, to the common ancestor: {:?}", heads(&told));
        for head in &told[1..] {
            assert!(told.iter().any(|other| other.text("hash") == head.text("parentHash")), "a parent was never told");
        }
        let removed = |inbox: &lasso_tests::Inbox| {
            let logs = inbox.events.get(&client.logs)?;
            (logs.iter().filter(|log| log.result["removed"] == true).count() == 3).then_some(())
        };
        client.socket.until("three logs taken back", 5 * SECOND, removed).await.unwrap();
    }
}
