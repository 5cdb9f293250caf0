//! Batches: one view of a chain, answers in the order of the questions, failures item by item.

use std::{sync::Arc, time::Duration};

use lasso_tests::{Answer, ChainConfig, Config, Fault, FaultProxy, Mesh, Node, Scratch, wait};
use serde_json::{Value, json};

struct Stand {
    first: FaultProxy,
    second: FaultProxy,
    mesh: Mesh,
    node: Node,
    _scratch: Scratch,
}

impl Stand {
    async fn start() -> Self {
        let scratch = Scratch::new().unwrap();
        let node = Node::start(31_337, &scratch).await.unwrap();
        node.mine(5).await.unwrap();
        let (first, second) =
            (FaultProxy::start(node.url()).await.unwrap(), FaultProxy::start(node.url()).await.unwrap());
        let chain = ChainConfig::new("ethereum", 31_337)
            .provider("first", &first.url("/"))
            .provider("second", &second.url("/"));
        Self { mesh: Mesh::start(&Config::new().chain(chain)).await.unwrap(), first, second, node, _scratch: scratch }
    }

    async fn batch(&self, items: &Value) -> Vec<Value> {
        let answered = self.mesh.post("/rpc/ethereum", items.to_string()).await.unwrap();
        assert_eq!(answered.status, 200, "{}", answered.text());
        answered.json().as_array().cloned().unwrap_or_else(|| panic!("no array: {}", answered.text()))
    }
}

fn item(id: impl Into<Value>, method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id.into(), "method": method, "params": params})
}

fn block(id: impl Into<Value>, number: u64) -> Value {
    item(id, "eth_getBlockByNumber", json!([format!("0x{number:x}"), false]))
}

#[tokio::test]
async fn answers_keep_the_order_and_the_ids_of_the_questions() {
    let stand = Stand::start().await;
    let items = json!([
        block("b", 3),
        item(7, "eth_chainId", json!([])),
        {"jsonrpc": "2.0", "method": "eth_gasPrice", "params": []},
        item(Value::Null, "eth_sendTransaction", json!([])),
        {"jsonrpc": "2.0", "id": 9},
        5,
        block(7, 1),
    ]);
    let replies = stand.batch(&items).await;
    let ids: Vec<&Value> = replies.iter().map(|reply| &reply["id"]).collect();
    assert_eq!(ids, [&json!("b"), &json!(7), &Value::Null, &json!(9), &Value::Null, &json!(7)], "{replies:?}");
    assert_eq!((&replies[0]["result"]["number"], &replies[5]["result"]["number"]), (&json!("0x3"), &json!("0x1")));
    assert_eq!((&replies[1]["result"], &replies[2]["error"]["code"]), (&json!("0x7a69"), &json!(-32601)));
    assert_eq!((&replies[3]["error"]["code"], &replies[4]["error"]["code"]), (&json!(-32600), &json!(-32600)));
    assert_eq!((stand.first.counts().requests, stand.second.counts().requests), (1, 0), "one request to one provider");
}

#[tokio::test]
async fn ids_of_a_batch_come_back_byte_for_byte() {
    let stand = Stand::start().await;
    let ids = ["1.50", "18446744073709551617", "\"\\u0061\"", "null"];
    let items: Vec<String> = ids
        .iter()
        .map(|id| format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"eth_gasPrice\",\"params\":[]}}"))
        .collect();
    let text = stand.mesh.post("/rpc/ethereum", format!("[{}]", items.join(","))).await.unwrap().text();
    for id in ids {
        assert!(text.contains(&format!("\"id\":{id}")), "{id}: {text}");
    }
}

#[tokio::test]
async fn nothing_but_notifications_is_not_answered() {
    let stand = Stand::start().await;
    let items = r#"[{"jsonrpc":"2.0","method":"eth_gasPrice"},{"jsonrpc":"2.0","method":"eth_blockNumber"}]"#;
    let answered = stand.mesh.post("/rpc/ethereum", items).await.unwrap();
    assert_eq!((answered.status, answered.text().as_str()), (204, ""));
    assert_eq!(stand.first.count("eth_gasPrice"), 1);
}

#[tokio::test]
async fn items_that_failed_are_asked_of_the_next_provider() {
    let stand = Stand::start().await;
    stand.first.set([Fault::rpc(-32603, "Internal error").on("eth_getBlockByNumber")]);
    let replies = stand.batch(&json!([block(1, 1), item(2, "eth_gasPrice", json!([])), block(3, 2)])).await;
    assert_eq!(
        (&replies[0]["result"]["number"], &replies[2]["result"]["number"]),
        (&json!("0x1"), &json!("0x2")),
        "{replies:?}"
    );
    assert_eq!((stand.second.count("eth_getBlockByNumber"), stand.second.count("eth_gasPrice")), (2, 0));
}

#[tokio::test]
async fn a_batch_that_failed_whole_goes_to_the_next_provider() {
    let table = [
        Fault::text(503, ""),
        Fault::text(200, "<html></html>"),
        Fault::text(429, "").header("retry-after", "0"),
        Fault::answer(Answer::Reset),
        Fault::rpc(-32603, "Internal error"),
    ];
    let stand = Stand::start().await;
    for fault in table {
        stand.second.heal();
        stand.first.set([fault.clone()]);
        let replies = stand.batch(&json!([block(1, 1), block(2, 2)])).await;
        let numbers: Vec<&Value> = replies.iter().map(|reply| &reply["result"]["number"]).collect();
        assert_eq!(numbers, [&json!("0x1"), &json!("0x2")], "{fault:?}: {replies:?}");
        assert_eq!(stand.second.counts().requests, 1);
    }
}

#[tokio::test]
async fn writes_of_a_failed_batch_are_never_sent_again() {
    let stand = Stand::start().await;
    stand.first.set([Fault::answer(Answer::Reset)]);
    let replies = stand.batch(&json!([item(1, "eth_sendRawTransaction", json!(["0x02"])), block(2, 1)])).await;
    assert_eq!(replies[0]["error"]["code"], -32000, "{replies:?}");
    assert_eq!(replies[1]["result"]["number"], "0x1", "{replies:?}");
    assert_eq!((stand.first.count("eth_sendRawTransaction"), stand.second.count("eth_sendRawTransaction")), (1, 0));
}

#[tokio::test]
async fn many_items_are_split_and_put_together_again() {
    let stand = Stand::start().await;
    let numbers: Vec<u64> = (0..1_000).map(|index| index % 6).collect();
    let items: Vec<Value> = (0_u64..).zip(&numbers).map(|(id, number)| block(id, *number)).collect();
    let replies = stand.batch(&Value::Array(items)).await;
    assert_eq!(replies.len(), numbers.len());
    for ((id, number), reply) in (0_u64..).zip(&numbers).zip(&replies) {
        assert_eq!((&reply["id"], &reply["result"]["number"]), (&json!(id), &json!(format!("0x{number:x}"))));
    }
    assert_eq!(stand.first.count("eth_getBlockByNumber"), 1_000);
    let largest = stand.first.requests().iter().map(|request| request.methods.len()).max();
    assert!(largest <= Some(100), "{largest:?} items at once");
    assert_eq!(stand.node.call("eth_blockNumber", json!([])).await.unwrap(), json!("0x5"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_with_a_write_passes_a_name_that_does_not_resolve_and_blocks_nobody() {
    let (good, other) = (FaultProxy::without_node().await.unwrap(), FaultProxy::without_node().await.unwrap());
    good.set([Fault::result(json!("0x2")).after(1_500)]);
    other.set([Fault::result(json!("0x1"))]);
    let config = Config::new()
        .chain(
            ChainConfig::new("ethereum", 1)
                .provider("lost", "http://provider.invalid:8545/key")
                .provider("good", &good.url("/")),
        )
        .chain(ChainConfig::new("other", 2).provider("other", &other.url("/")));
    let mesh = Arc::new(Mesh::start(&config).await.unwrap());
    let batch = {
        let mesh = Arc::clone(&mesh);
        let items = json!([item(1, "eth_sendRawTransaction", json!(["0x02"])), item(2, "eth_gasPrice", json!([]))]);
        tokio::spawn(async move { mesh.post("/rpc/ethereum", items.to_string()).await.unwrap() })
    };
    let arrived = || good.counts().requests > 0;
    wait::until_true("the batch to reach a provider", Duration::from_secs(10), arrived).await.unwrap();
    let meanwhile = mesh.call("other", "eth_gasPrice", json!([])).await.unwrap();
    assert_eq!(meanwhile.result(), Some(json!("0x1")), "{}", meanwhile.text());
    assert!(!batch.is_finished(), "the batch was to be under way still");
    let answered = batch.await.unwrap();
    let results: Vec<Value> = answered.json().as_array().unwrap().iter().map(|reply| reply["result"].clone()).collect();
    assert_eq!(results, [json!("0x2"), json!("0x2")], "{}", answered.text());
    assert_eq!(good.count("eth_sendRawTransaction"), 1);
}
