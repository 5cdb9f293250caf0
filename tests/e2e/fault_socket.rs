//! The fault proxy does to a socket what its faults say, and the socket of the tests tells what it did.

use std::time::{Duration, Instant};

use lasso_tests::{
    Delivery, Door, Fault, FaultProxy, MADE_LOGS, MadeChain, Node, Scratch, Socket, SocketFault,
    frame::{Frame, opcode},
    wait,
};
use serde_json::json;

const SECOND: Duration = Duration::from_secs(1);

/// Two sockets with newHeads would share nothing; one is enough here.
async fn listener(proxy: &FaultProxy) -> (Socket, String) {
    let socket = Socket::open(&proxy.ws_url("/key")).await.unwrap();
    let heads = socket.subscribe(json!(["newHeads"])).await.unwrap();
    (socket, heads)
}

#[tokio::test]
async fn a_nodes_events_and_answers_come_through() {
    let scratch = Scratch::new().unwrap();
    let node = Node::start(31_337, &scratch).await.unwrap();
    let proxy = FaultProxy::start(node.url()).await.unwrap();
    let (socket, heads) = listener(&proxy).await;
    node.mine(3).await.unwrap();
    let events = socket.until_events(&heads, 3, 5 * SECOND).await.unwrap();
    let numbers: Vec<u64> = events.iter().map(|event| event.number("number")).collect();
    assert_eq!(numbers, [1, 2, 3]);
    assert_eq!(events[1].text("parentHash"), events[0].text("hash"));
    socket
        .send(r#"[{"jsonrpc":"2.0","id":"ä","method":"eth_chainId"},{"jsonrpc":"2.0","id":2,"method":"eth_gasPrice"}]"#)
        .await
        .unwrap();
    let batch =
        socket.until("a batch", 5 * SECOND, |inbox| inbox.replies.iter().find(|it| it.starts_with('[')).cloned());
    assert!(batch.await.unwrap().contains("0x7a69"));
    assert_eq!((proxy.subscriptions("newHeads"), proxy.count_ws("eth_chainId"), proxy.count("eth_chainId")), (1, 1, 0));
    assert_eq!(socket.unsubscribe(&heads).await.unwrap(), json!(true));
    assert_eq!(proxy.subscriptions("newHeads"), 0);
    assert_eq!(proxy.counts().sockets.open, 1);
    drop(socket);
    wait::until_true("the socket to be gone", SECOND, || proxy.counts().sockets.open == 0).await.unwrap();
    assert_eq!(proxy.requests()[0].path, "/key");
}

/// Numbers of the heads told while five blocks were made, counted from the first of them.
async fn told(fault: SocketFault, events: usize) -> Vec<u64> {
    let chain = MadeChain::new(1);
    let proxy = FaultProxy::of_chain(&chain).await.unwrap();
    let (socket, heads) = listener(&proxy).await;
    proxy.set([Fault::socket(fault)]);
    let first = chain.head().0 + 1;
    for _ in 0..5 {
        chain.grow(0);
    }
    let events = socket.until_events(&heads, events, 5 * SECOND).await.unwrap();
    events.iter().map(|event| event.number("number") - first).collect()
}

#[tokio::test]
async fn events_fare_as_the_faults_say() {
    assert_eq!(told(SocketFault::LoseEvery(2), 3).await, [0, 2, 4]);
    assert_eq!(told(SocketFault::Twice, 10).await, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]);
    assert_eq!(told(SocketFault::Swap, 4).await, [1, 0, 3, 2]);
    assert_eq!(told(SocketFault::LateMs(50), 5).await, [0, 1, 2, 3, 4]);
    assert_eq!(told(SocketFault::Garbage("{".to_owned()), 5).await, [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn stalled_sockets_answer_and_frozen_ones_do_not_until_they_thaw() {
    let chain = MadeChain::new(1);
    let proxy = FaultProxy::of_chain(&chain).await.unwrap();
    let (socket, heads) = listener(&proxy).await;
    proxy.set([Fault::socket(SocketFault::Stall)]);
    chain.grow(0);
    assert!(socket.call("eth_blockNumber", json!([])).await.unwrap()["result"].is_string());
    assert_eq!(socket.events(&heads).len(), 0);
    proxy.set([Fault::socket(SocketFault::Freeze)]);
    chain.grow(0);
    let asked = tokio::time::timeout(Duration::from_millis(100), socket.call("eth_blockNumber", json!([]))).await;
    assert!(asked.is_err(), "a frozen socket answered");
    proxy.heal();
    socket.until_events(&heads, 1, SECOND).await.unwrap();
    assert_eq!(proxy.counts().sockets.open, 1);
}

#[tokio::test]
async fn sockets_end_in_each_way() {
    let chain = MadeChain::new(1);
    let proxy = FaultProxy::of_chain(&chain).await.unwrap();
    let (socket, _) = listener(&proxy).await;
    proxy.close_sockets(1012);
    assert_eq!(socket.end(SECOND).await.unwrap().code(), 1012);
    let (socket, _) = listener(&proxy).await;
    proxy.reset_sockets();
    assert_eq!(socket.end(SECOND).await.unwrap().code(), 1006);
    let (socket, _) = listener(&proxy).await;
    proxy.door_is(Door::Refusing).await.unwrap();
    assert_eq!(socket.end(SECOND).await.unwrap().code(), 1006);
    assert!(Socket::open(&proxy.ws_url("/")).await.is_err());
    proxy.door_is(Door::Open).await.unwrap();
    proxy.set([Fault::socket(SocketFault::Refuse { status: 429, retry_after: Some(2) }).times(1)]);
    let refusal = Socket::try_open(&proxy.ws_url("/")).await.unwrap().unwrap_err();
    assert_eq!((refusal.status, refusal.headers["retry-after"].to_str().unwrap()), (429, "2"));
    let (socket, heads) = listener(&proxy).await;
    proxy.door_is(Door::Deaf).await.unwrap();
    chain.grow(0);
    assert!(socket.until_events(&heads, 1, SECOND / 10).await.is_err());
    proxy.door_is(Door::Open).await.unwrap();
    socket.until_events(&heads, 1, SECOND).await.unwrap();
    wait::until_true("the others to be gone", SECOND, || proxy.counts().sockets.open == 1).await.unwrap();
    assert_eq!(proxy.subscriptions("newHeads"), 1);
}

#[tokio::test]
async fn transports_are_told_apart_and_faults_of_calls_strike_on_sockets() {
    let proxy = FaultProxy::of_chain(&MadeChain::new(1)).await.unwrap();
    proxy.set([
        Fault::latency(200).over_http(),
        Fault::rpc(-32601, "no subscriptions").on("eth_subscribe"),
        Fault::result(json!("short")).on("eth_call").sent(Delivery::keep(9)),
    ]);
    let socket = Socket::open(&proxy.ws_url("/")).await.unwrap();
    let started = Instant::now();
    assert!(socket.call("eth_gasPrice", json!([])).await.unwrap()["result"].is_string());
    assert!(started.elapsed() < SECOND / 10, "the socket was as slow as HTTP: {:?}", started.elapsed());
    assert_eq!(socket.call("eth_subscribe", json!(["newHeads"])).await.unwrap()["error"]["code"], -32601);
    socket.send(r#"{"jsonrpc":"2.0","id":9,"method":"eth_call"}"#).await.unwrap();
    let cut = |inbox: &lasso_tests::Inbox| inbox.replies.iter().find(|reply| *reply == r#"{"jsonrpc"#).cloned();
    socket.until("a cut reply", SECOND, cut).await.unwrap();
}

#[tokio::test]
async fn who_is_behind_tells_the_past() {
    let chain = MadeChain::new(1);
    let proxy = FaultProxy::of_chain(&chain).await.unwrap();
    let (socket, heads) = listener(&proxy).await;
    proxy.set([Fault::behind(3)]);
    for _ in 0..5 {
        chain.grow(2);
    }
    let (head, _) = chain.head();
    let told = socket.until_events(&heads, 2, SECOND).await.unwrap();
    assert_eq!(told.last().unwrap().number("number"), head - 3);
    let reply = |method: &'static str, params| socket.call(method, params);
    let number = format!("0x{:x}", head - 3);
    assert_eq!(reply("eth_blockNumber", json!([])).await.unwrap()["result"], number.as_str());
    assert_eq!(
        reply("eth_getBlockByNumber", json!(["latest", false])).await.unwrap()["result"]["number"],
        number.as_str()
    );
    assert!(reply("eth_getBlockByNumber", json!([format!("0x{head:x}"), false])).await.unwrap()["result"].is_null());
    let logs = reply("eth_getLogs", json!([{"fromBlock": number, "toBlock": format!("0x{head:x}")}])).await.unwrap();
    assert_eq!(logs["result"].as_array().unwrap().len(), 2, "{logs}");
}

#[tokio::test]
async fn a_socket_breaks_in_the_middle_of_a_block_and_logs_can_be_lost_alone() {
    let chain = MadeChain::new(1);
    let proxy = FaultProxy::of_chain(&chain).await.unwrap();
    let (socket, heads) = listener(&proxy).await;
    let logs = socket.subscribe(json!(["logs", {}])).await.unwrap();
    proxy.set([Fault::socket(SocketFault::LoseLogs)]);
    chain.grow(10);
    socket.until_events(&heads, 1, SECOND).await.unwrap();
    proxy.set([Fault::socket(SocketFault::BreakAfter(100))]);
    chain.grow(400);
    assert_eq!(socket.end(SECOND).await.unwrap().code(), 1006);
    let events = socket.events(&heads).len() + socket.events(&logs).len();
    assert!(events <= 101 && socket.events(&heads).len() <= 2, "{events} events came");
    let (again, heads) = listener(&proxy).await;
    chain.grow(400);
    again.until_events(&heads, 1, SECOND).await.unwrap();
}

#[tokio::test]
async fn a_made_chain_keeps_its_word_through_a_reorg() {
    let chain = MadeChain::new(1);
    let proxy = FaultProxy::of_chain(&chain).await.unwrap();
    let (socket, heads) = listener(&proxy).await;
    let logs =
        socket.subscribe(json!(["logs", {"address": MADE_LOGS, "topics": [format!("0x{:064x}", 1)]}])).await.unwrap();
    for _ in 0..3 {
        chain.grow(2);
    }
    chain.reorg(2);
    let told = socket.until_events(&heads, 5, SECOND).await.unwrap();
    assert_eq!(told[3].text("parentHash"), told[0].text("hash"));
    assert_eq!(told[4].text("parentHash"), told[3].text("hash"));
    let of_logs = socket.until_events(&logs, 7, SECOND).await.unwrap();
    let removed: Vec<bool> = of_logs.iter().map(|log| log.result["removed"] == true).collect();
    assert_eq!(removed, [false, false, false, true, true, false, false]);
    for event in &told[3..] {
        let block = socket.call("eth_getBlockByHash", json!([event.text("hash"), false])).await.unwrap();
        assert_eq!(block["result"], event.result);
    }
}

#[tokio::test]
async fn messages_in_several_frames_are_one() {
    let proxy = FaultProxy::of_chain(&MadeChain::new(7)).await.unwrap();
    let socket = Socket::open(&proxy.ws_url("/")).await.unwrap();
    let (first, rest) = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#.split_at(20);
    socket.send_bytes(&Frame::text(first).unfinished().masked()).await.unwrap();
    socket.send_bytes(&Frame::new(opcode::PING, "in between").masked()).await.unwrap();
    socket.send_bytes(&Frame::new(opcode::MORE, rest).masked()).await.unwrap();
    assert_eq!(socket.reply_to("1").await.unwrap(), r#"{"jsonrpc":"2.0","id":1,"result":"0x7"}"#);
}
