//! Many clients, few subscriptions: what the hub shares, keeps and gives back.

use lasso_tests::{Inbox, MadeChain, Socket, wait};
use serde_json::json;

use crate::ws_stand::{SECOND, Stand};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_clients_on_new_heads_are_one_subscription() {
    let chain = MadeChain::new(1);
    let stand = Stand::on_chain(&chain, 2).await;
    let mut clients = Vec::new();
    for _ in 0..100 {
        let socket = stand.socket().await;
        let id = socket.subscribe(json!(["newHeads"])).await.unwrap();
        clients.push((socket, id));
    }
    stand.until_subscriptions("newHeads", 1).await;
    for _ in 0..3 {
        chain.grow(1);
    }
    for (socket, id) in &clients {
        let told = socket.until_events(id, 3, 5 * SECOND).await.unwrap();
        assert_eq!(told.last().unwrap().text("hash"), chain.head().1);
    }
    assert_eq!(stand.subscriptions("newHeads"), 1);
    let mut ids: Vec<_> = clients.iter().map(|(_, id)| id.clone()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 100, "ids are shared");
    assert!(ids.iter().all(|id| id.len() == 34 && id.starts_with("0x")), "{ids:?}");
    let feeds = stand.mesh.api("/api/feeds").await.unwrap().to_string();
    assert!(feeds.contains("newHeads"), "{feeds}");

    let (stays, id) = clients.pop().unwrap();
    drop(clients);
    chain.grow(1);
    stays.until_events(&id, 4, 5 * SECOND).await.unwrap();
    assert_eq!(stand.subscriptions("newHeads"), 1);
    let made = stand.subscribed("newHeads");
    assert_eq!(stays.unsubscribe(&id).await.unwrap(), json!(true));
    // Within the linger a newcomer finds the feed as it was.
    let again = stays.subscribe(json!(["newHeads"])).await.unwrap();
    assert_eq!(stand.subscribed("newHeads"), made);
    drop(stays);
    stand.until_subscriptions("newHeads", 0).await;
    let late = stand.socket().await;
    late.subscribe(json!(["newHeads"])).await.unwrap();
    assert_eq!(stand.subscribed("newHeads"), made + 1, "{again}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn different_filters_are_apart_and_equal_ones_together() {
    let stand = Stand::on_chain(&MadeChain::new(1), 2).await;
    let sockets = [stand.socket().await, stand.socket().await];
    let address = |number: u64| format!("0x{number:040X}");
    for number in 0..20 {
        sockets[0].subscribe(json!(["logs", {"address": address(number + 0xabc)}])).await.unwrap();
    }
    stand.until_subscriptions("logs", 20).await;
    for number in 0..20 {
        let same =
            json!(["logs", {"address": [address(number + 0xabc).to_lowercase().replace("0X", "0x")], "topics": []}]);
        sockets[1].subscribe(same).await.unwrap();
    }
    assert_eq!(stand.subscriptions("logs"), 20);
    drop(sockets);
    stand.until_subscriptions("logs", 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_reply_comes_before_the_first_event_and_nobody_hears_anothers() {
    let chain = MadeChain::new(1);
    let stand = Stand::on_chain(&chain, 2).await;
    let keeps = stand.socket().await;
    keeps.subscribe(json!(["newHeads"])).await.unwrap();
    let other = stand.socket().await;
    for _ in 0..20 {
        let socket = stand.socket().await;
        socket.send(r#"{"jsonrpc":"2.0","id":"x","method":"eth_subscribe","params":["newHeads"]}"#).await.unwrap();
        for _ in 0..3 {
            chain.grow(0);
        }
        let two = |inbox: &Inbox| (!inbox.replies.is_empty()).then(|| inbox.order.clone());
        let order = socket.until("a reply", 5 * SECOND, two).await.unwrap();
        assert_eq!(order[0], None, "an event came before the reply");
    }
    assert!(other.heard().order.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_subscribed_to_is_told() {
    let stand = Stand::on_chain(&MadeChain::new(1), 1).await;
    let socket = stand.socket().await;
    for params in [json!([]), json!(["sunsets"]), json!([7]), json!(["logs", {"address": "nowhere"}])] {
        let reply = socket.call("eth_subscribe", params.clone()).await.unwrap();
        assert!(reply["error"]["code"].is_i64(), "{params}: {reply}");
    }
    let unknown = socket.call("eth_unsubscribe", json!(["0x00000000000000000000000000000001"])).await.unwrap();
    assert!(unknown["result"] == json!(false) || unknown["error"].is_object(), "{unknown}");
    let one = socket.subscribe(json!(["newHeads"])).await.unwrap();
    for _ in 1..128 {
        socket.subscribe(json!(["newHeads"])).await.unwrap();
    }
    let reply = socket.call("eth_subscribe", json!(["newHeads"])).await.unwrap();
    assert!(reply["error"]["message"].as_str().unwrap().contains("128"), "{reply}");
    assert_eq!(socket.unsubscribe(&one).await.unwrap(), json!(true));
    socket.subscribe(json!(["newHeads"])).await.unwrap();
    assert_eq!(stand.subscriptions("newHeads"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_open_on_every_path_and_nowhere_else() {
    let chain = MadeChain::new(1);
    let stand = Stand::on_chain(&chain, 2).await;
    let url = |path: &str| stand.mesh.envoy().ws_url(path);
    for path in [
        "/ws/rpc/ethereum",
        "/ws/rpc/1",
        "/ws/rpc/fastest/ethereum",
        "/ws/rpc/provider/p1/ethereum",
        "/ws/rpc/profile/public/ethereum",
    ] {
        let socket = Socket::open(&url(path)).await.unwrap_or_else(|error| panic!("{path}: {error:#}"));
        let id = socket.subscribe(json!(["newHeads"])).await.unwrap();
        assert!(socket.call("eth_gasPrice", json!([])).await.unwrap()["result"].is_string(), "{path}");
        chain.grow(0);
        socket.until_events(&id, 1, 5 * SECOND).await.unwrap_or_else(|error| panic!("{path}: {error:#}"));
    }
    for path in ["/ws/rpc/atlantis", "/ws/rpc/profile/nobody/ethereum", "/nowhere"] {
        let refusal = Socket::try_open(&url(path)).await.unwrap().map(drop).unwrap_err();
        assert!((400..500).contains(&refusal.status), "{path}: {}", refusal.status);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_2_carries_sockets_too() {
    let chain = MadeChain::new(1);
    let stand = Stand::on_chain(&chain, 2).await;
    let socket = Socket::open_http2(&stand.mesh.ws_url("ethereum")).await.unwrap();
    let id = socket.subscribe(json!(["newHeads"])).await.unwrap();
    assert_eq!(socket.call("eth_chainId", json!([])).await.unwrap()["result"], "0x1");
    for _ in 0..3 {
        chain.grow(0);
    }
    assert_eq!(socket.until_events(&id, 3, 5 * SECOND).await.unwrap().len(), 3);
    assert!(stand.mesh.stat_sum("downstream_cx_http2_total").await.unwrap() > 0);
    drop(socket);
    stand.until_subscriptions("newHeads", 0).await;
}

/// A client that is silent is asked whether it lives, and let go when it does not say so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_answers_no_ping_is_let_go() {
    let stand = Stand::on_chain(&MadeChain::new(1), 1).await;
    let (dead, alive) = (stand.socket().await, stand.socket().await);
    dead.play_dead();
    for socket in [&dead, &alive] {
        socket.subscribe(json!(["newHeads"])).await.unwrap();
    }
    dead.end(60 * SECOND).await.unwrap();
    assert_eq!(alive.ended(), None);
    wait::until_true("a ping", 20 * SECOND, || alive.heard().pings > 0).await.unwrap();
}
