//! Calls on a socket are the calls of HTTP: any method, batches, the same errors, the client's own ids.

use std::time::{Duration, Instant};

use lasso_tests::{ACCOUNT, Fault, FaultProxy, Inbox, MadeChain, Scratch, Socket};
use serde_json::{Value, json};

use crate::ws_stand::{CHAIN_ID, SECOND, Stand, Wanted, node};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_bring_what_the_node_says() {
    let scratch = Scratch::new().unwrap();
    let node = node(&scratch).await;
    let stand = Stand::on_node(&node, 2).await;
    let socket = stand.socket().await;
    for (method, params) in [
        ("eth_getBalance", json!([ACCOUNT, "latest"])),
        ("eth_getBlockByNumber", json!(["0x3", true])),
        ("eth_chainId", json!([])),
        ("eth_getLogs", json!([{"fromBlock": "0x0"}])),
        ("eth_gasPrice", json!([])),
    ] {
        let reply = socket.call(method, params.clone()).await.unwrap();
        assert_eq!(reply["result"], node.call(method, params).await.unwrap(), "{method}");
    }
    let raw = json!([{"from": ACCOUNT, "to": ACCOUNT, "value": "0x1"}]);
    let blocked = socket.call("eth_sendTransaction", raw).await.unwrap();
    assert_eq!(blocked["error"]["code"], -32601, "{blocked}");
    let large =
        socket.call("eth_call", json!([{"to": ACCOUNT, "data": format!("0x{}", "5a".repeat(200_000))}, "latest"]));
    assert_eq!(large.await.unwrap()["result"], "0x");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_come_back_byte_for_byte() {
    let stand = Stand::on_chain(&MadeChain::new(1), 1).await;
    let socket = stand.socket().await;
    let ids = [
        "1",
        "-7",
        "\"\"",
        "\"a b\"",
        "\"\\u00e4\"",
        "\"ä\"",
        "1.50",
        "1e3",
        "null",
        "123456789012345678901234567890",
        "\"0x1\"",
        "9007199254740993",
    ];
    for id in ids {
        for method in ["eth_gasPrice", "eth_chainId", "personal_sign", "eth_subscribe"] {
            let before = socket.heard().replies.len();
            socket
                .send(&format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":["newHeads"],"id":{id}}}"#))
                .await
                .unwrap();
            let next = |inbox: &Inbox| inbox.replies.get(before).cloned();
            let reply = socket.until("a reply", 5 * SECOND, next).await.unwrap();
            assert!(reply.contains(&format!("\"id\":{id}")), "{method} with {id}: {reply}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_are_those_of_http() {
    let wanted = Wanted { profile: vec!["methods: {block: [debug_*]}"], ..Wanted::default() };
    let provider = FaultProxy::of_chain(&MadeChain::new(1)).await.unwrap();
    let stand = Stand::of(1, vec![provider], &wanted).await;
    stand.providers[0].set([Fault::rpc_with_data(3, "execution reverted", json!("0x08c379a0")).on("eth_call")]);
    let socket = stand.socket().await;
    let call = |method: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":[]}}"#);
    let table = [
        "{".to_owned(),
        "7".to_owned(),
        "[]".to_owned(),
        r#"{"jsonrpc":"1.0","id":1,"method":"a"}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1}"#.to_owned(),
        call("eth_sendTransaction"),
        call("debug_traceCall"),
        call("eth_call"),
        format!("[{}]", vec![call("eth_gasPrice"); 1_001].join(",")),
        format!("[{},{},7]", call("eth_call"), call("eth_gasPrice")),
    ];
    for body in table {
        let http = stand.mesh.post("/rpc/ethereum", body.clone()).await.unwrap();
        let before = socket.heard().replies.len();
        socket.send(&body).await.unwrap();
        let next = |inbox: &Inbox| inbox.replies.get(before).cloned();
        let reply = socket.until("a reply", 5 * SECOND, next).await.unwrap();
        let reply: Value = serde_json::from_str(&reply).unwrap();
        assert_eq!(reply, http.json(), "{}", body.get(..80).unwrap_or(&body));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_keep_their_order_and_notifications_are_silent() {
    let stand = Stand::on_chain(&MadeChain::new(1), 1).await;
    let socket = stand.socket().await;
    let batch = r#"[{"jsonrpc":"2.0","id":"b","method":"eth_gasPrice"},{"jsonrpc":"2.0","method":"eth_gasPrice"},{"jsonrpc":"2.0","id":7,"method":"eth_chainId"}]"#;
    socket.send(r#"{"jsonrpc":"2.0","method":"eth_gasPrice"}"#).await.unwrap();
    socket.send(batch).await.unwrap();
    let first = |inbox: &Inbox| inbox.replies.first().cloned();
    let reply: Value = serde_json::from_str(&socket.until("the batch", 5 * SECOND, first).await.unwrap()).unwrap();
    let ids: Vec<&Value> = reply.as_array().unwrap().iter().map(|reply| &reply["id"]).collect();
    assert_eq!(ids, [&json!("b"), &json!(7)]);

    let mixed = r#"[{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newHeads"]},{"jsonrpc":"2.0","id":2,"method":"eth_gasPrice"}]"#;
    socket.send(mixed).await.unwrap();
    let second = |inbox: &Inbox| inbox.replies.get(1).cloned();
    let reply: Value = serde_json::from_str(&socket.until("a mixed batch", 5 * SECOND, second).await.unwrap()).unwrap();
    assert!(reply[0]["result"].as_str().is_some_and(|id| id.len() == 34), "{reply}");
    assert_eq!(reply[1]["result"], "0x1", "{reply}");
}

/// How long so many calls of a second each take on one socket.
async fn together(stand: &Stand, socket: &Socket, count: usize) -> Duration {
    for provider in &stand.providers {
        provider.set([Fault::latency(1_000).on("eth_getBalance")]);
    }
    let (started, before) = (Instant::now(), socket.heard().replies.len());
    for id in 0..count {
        let call = json!({"jsonrpc": "2.0", "id": id, "method": "eth_getBalance", "params": [ACCOUNT, "latest"]});
        socket.send(&call.to_string()).await.unwrap();
    }
    let all = |inbox: &Inbox| (inbox.replies.len() >= before + count).then_some(());
    socket.until("all replies", 20 * SECOND, all).await.unwrap();
    for reply in &socket.heard().replies[before..] {
        assert!(reply.contains("\"result\""), "{reply}");
    }
    started.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_two_calls_are_under_way_at_once_and_no_more() {
    // Its timeouts are learned: a provider that needs a second must be known to need one.
    let wanted = Wanted { profile: vec!["methods: {timeouts: {eth_getBalance: 30s}}"], ..Wanted::default() };
    let provider = FaultProxy::of_chain(&MadeChain::new(1)).await.unwrap();
    let stand = Stand::of(1, vec![provider], &wanted).await;
    let socket = stand.socket().await;
    let one_round = together(&stand, &socket, 32).await;
    assert!(one_round < 3 * SECOND, "32 calls of a second took {one_round:?}");
    let three_rounds = together(&stand, &socket, 96).await;
    assert!(three_rounds > Duration::from_millis(2_900), "96 calls of a second took {three_rounds:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_is_told_how_a_call_was_served() {
    let stand = Stand::on_chain(&MadeChain::new(1), 1).await;
    let socket = stand.socket().await;
    socket
        .send(r#"{"jsonrpc":"2.0","id":"mine","method":"eth_gasPrice","params":[],"lasso_meta":"notify"}"#)
        .await
        .unwrap();
    let two = |inbox: &Inbox| (inbox.replies.len() >= 2).then(|| inbox.replies.clone());
    let told = socket.until("reply and notification", 5 * SECOND, two).await.unwrap();
    let [reply, notified] = [0, 1].map(|index: usize| serde_json::from_str::<Value>(&told[index]).unwrap());
    assert_eq!((&reply["id"], &reply["result"], &reply["lasso_meta"]), (&json!("mine"), &json!("0x1"), &Value::Null));
    assert_eq!((&notified["method"], &notified["params"]["id"]), (&json!("lasso_meta"), &json!("mine")), "{notified}");
    assert_eq!(notified["params"]["meta"]["selected_provider"]["id"], "p0", "{notified}");
    let asked = stand.providers[0].requests();
    let asked = asked.iter().rfind(|request| request.methods == ["eth_gasPrice"]).unwrap();
    assert!(!String::from_utf8_lossy(&asked.body).contains("lasso_meta"), "the wish reached a provider");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_on_a_socket_fail_over_and_providers_see_no_secret_of_the_client() {
    let scratch = Scratch::new().unwrap();
    let node = node(&scratch).await;
    let providers = vec![FaultProxy::start(node.url()).await.unwrap(), FaultProxy::start(node.url()).await.unwrap()];
    let stand = Stand::of(CHAIN_ID, providers, &Wanted::default()).await;
    let secret = [("authorization", "Bearer canary"), ("cookie", "canary=1"), ("x-forwarded-for", "10.9.8.7")];
    let socket = Socket::open_with(&stand.mesh.ws_url("ethereum"), &secret).await.unwrap();
    socket.subscribe(json!(["newHeads"])).await.unwrap();
    stand.providers[0].set([Fault::rpc(-32603, "Internal error").on("eth_getBalance")]);
    for _ in 0..50 {
        let reply = socket.call("eth_getBalance", json!([ACCOUNT, "latest"])).await.unwrap();
        assert!(reply["result"].is_string(), "{reply}");
    }
    assert!(stand.providers[0].count("eth_getBalance") + stand.providers[0].count_ws("eth_getBalance") > 0);
    for provider in &stand.providers {
        for request in provider.requests() {
            let headers = format!("{:?}", request.headers);
            assert!(!headers.contains("canary") && !headers.contains("10.9.8.7"), "{headers}");
        }
    }
}
