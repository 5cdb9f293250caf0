//! Answers that are answers: they cost one attempt and arrive byte for byte, however unwelcome they are.

use lasso_tests::{ACCOUNT, ChainConfig, Config, Fault, FaultProxy, Mesh};
use serde_json::json;

/// Two providers; the first says what the test wants, the second would say something else.
struct Pair {
    first: FaultProxy,
    second: FaultProxy,
}

impl Pair {
    async fn start() -> Self {
        let second = FaultProxy::without_node().await.unwrap();
        second.set([Fault::result(json!("from the second"))]);
        Self { first: FaultProxy::without_node().await.unwrap(), second }
    }

    fn chain(&self, name: &str, chain_id: u64) -> ChainConfig {
        ChainConfig::new(name, chain_id)
            .provider("first", &self.first.url("/"))
            .provider("second", &self.second.url("/"))
    }

    fn attempts(&self) -> (u64, u64) {
        (self.first.counts().requests, self.second.counts().requests)
    }
}

/// HTTP status and body of answers that are final.
const FINAL: [(&str, u16, &str); 21] = [
    (
        "a revert with data",
        200,
        r#"{"jsonrpc":"2.0","id":$ID,"error":{"code":3,"message":"execution reverted: no","data":"0x08c379a0"}}"#,
    ),
    (
        "a revert that sounds like a limit",
        200,
        r#"{"jsonrpc":"2.0","id":$ID,"error":{"code":-32000,"message":"execution reverted: deposit limit exceeded"}}"#,
    ),
    (
        "a revert under HTTP 500",
        500,
        r#"{"jsonrpc":"2.0","id":$ID,"error":{"code":3,"message":"execution reverted","data":"0x"}}"#,
    ),
    ("a revert under HTTP 400", 400, r#"{"jsonrpc":"2.0","id":$ID,"error":{"code":3,"message":"execution reverted"}}"#),
    (
        "parity's revert",
        200,
        r#"{"jsonrpc":"2.0","id":$ID,"error":{"code":-32015,"message":"VM execution error.","data":"Reverted 0x"}}"#,
    ),
    (
        "invalid params",
        200,
        r#"{"jsonrpc":"2.0","id":$ID,"error":{"code":-32602,"message":"invalid argument 0: hex string has length 2"}}"#,
    ),
    ("invalid params by code", 200, r#"{"jsonrpc":"2.0","id":$ID,"error":{"code":-32602,"message":"what?"}}"#),
    ("invalid request", 200, r#"{"jsonrpc":"2.0","id":$ID,"error":{"code":-32600,"message":"what?"}}"#),
    (
        "out of funds",
        200,
        r#"{"jsonrpc":"2.0","id":$ID,"error":{"code":-32000,"message":"insufficient funds for gas * price + value"}}"#,
    ),
    ("out of gas", 200, r#"{"jsonrpc":"2.0","id":$ID,"error":{"code":-32000,"message":"out of gas"}}"#),
    ("an error of no known kind", 200, r#"{"jsonrpc":"2.0","id":$ID,"error":{"code":-3,"message":"what?"}}"#),
    ("an empty string", 200, r#"{"jsonrpc":"2.0","id":$ID,"result":""}"#),
    ("an empty word", 200, r#"{"jsonrpc":"2.0","id":$ID,"result":"0x"}"#),
    ("an empty list", 200, r#"{"jsonrpc":"2.0","id":$ID,"result":[]}"#),
    ("false", 200, r#"{"jsonrpc":"2.0","id":$ID,"result":false}"#),
    ("null", 200, r#"{"jsonrpc":"2.0","id":$ID,"result":null}"#),
    ("keys in another order", 200, r#"{"result":"0x1","id":$ID,"jsonrpc":"2.0"}"#),
    ("much white space", 200, " { \"jsonrpc\" : \"2.0\" ,\n \"id\" : $ID , \"result\" : { \"a\" : [ 1 , 2 ] } }\r\n"),
    ("a word of another alphabet", 200, r#"{"jsonrpc":"2.0","id":$ID,"result":"Käse 🧀 \u0000 \ud83e\uddc0"}"#),
    (
        "a result that speaks of errors",
        200,
        r#"{"jsonrpc":"2.0","id":$ID,"result":{"error":{"code":-32603,"message":"rate limit"}}}"#,
    ),
    ("no error beside the result", 200, r#"{"jsonrpc":"2.0","id":$ID,"result":"0x1","error":null}"#),
];

#[tokio::test]
async fn a_final_answer_costs_one_attempt_and_arrives_byte_for_byte() {
    let pair = Pair::start().await;
    let mesh = Mesh::start(&Config::new().chain(pair.chain("ethereum", 1))).await.unwrap();
    let mut wrong = Vec::new();
    for (name, status, body) in FINAL {
        pair.first.heal();
        let before = pair.second.counts().requests;
        pair.first.set([Fault::text(status, body)]);
        let answered = mesh.call("ethereum", "eth_call", json!([{"to": ACCOUNT}, "latest"])).await.unwrap();
        let (first, second) = pair.attempts();
        if answered.text() != body.replace("$ID", "1") || (first, second - before) != (1, 0) {
            wrong.push(format!(
                "{name}: attempts {first} and {}, {} {}",
                second - before,
                answered.status,
                answered.text()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_null_where_others_may_have_more_is_asked_once_more() {
    let calls = [
        ("eth_getBlockByHash", json!([format!("0x{:064x}", 1), false])),
        ("eth_getTransactionByHash", json!([format!("0x{:064x}", 1)])),
        ("eth_getTransactionReceipt", json!([format!("0x{:064x}", 1)])),
        ("eth_getBlockReceipts", json!([format!("0x{:064x}", 1)])),
    ];
    let pair = Pair::start().await;
    let third = FaultProxy::without_node().await.unwrap();
    let chain = pair.chain("ethereum", 1).provider("third", &third.url("/"));
    let mesh = Mesh::start(&Config::new().chain(chain)).await.unwrap();
    let null = || [Fault::result(json!(null))];
    for (method, params) in calls {
        pair.first.set(null());
        pair.second.set([Fault::result(json!({"found": true}))]);
        third.set([Fault::result(json!({"found": true}))]);
        let answered = mesh.call("ethereum", method, params.clone()).await.unwrap();
        assert_eq!(answered.result(), Some(json!({"found": true})), "{method}: one null is not believed");

        for provider in [&pair.first, &pair.second, &third] {
            provider.heal();
            provider.set(null());
        }
        let answered = mesh.call("ethereum", method, params).await.unwrap();
        let attempts = pair.attempts().0 + pair.attempts().1 + third.counts().requests;
        assert_eq!((answered.result(), attempts), (Some(json!(null)), 2), "{method}: two nulls are the answer");
    }
}

#[tokio::test]
async fn a_block_that_others_have_is_not_null() {
    let pair = Pair::start().await;
    let mesh = Mesh::start(&Config::new().chain(pair.chain("ethereum", 1))).await.unwrap();
    let head = || Fault::result(json!("0x10")).on("eth_blockNumber");
    pair.first.set([head()]);
    for _ in 0..2 {
        assert_eq!(mesh.call("ethereum", "eth_blockNumber", json!([])).await.unwrap().result(), Some(json!("0x10")));
    }
    pair.first.set([head(), Fault::result(json!(null))]);
    pair.second.set([head(), Fault::result(json!({"number": "0x8"}))]);
    let answered = mesh.call("ethereum", "eth_getBlockByNumber", json!(["0x8", false])).await.unwrap();
    assert_eq!(answered.result(), Some(json!({"number": "0x8"})));
}

#[tokio::test]
async fn an_already_known_transaction_is_a_success() {
    let raw = "0x02f8620180018261a894deadbeefdeadbeefdeadbeefdeadbeefdeadbeef8080c0";
    let pair = Pair::start().await;
    let mesh = Mesh::start(&Config::new().chain(pair.chain("ethereum", 1))).await.unwrap();
    pair.first.set([Fault::rpc(-32000, "already known")]);
    let answered = mesh.call("ethereum", "eth_sendRawTransaction", json!([raw])).await.unwrap();
    assert_eq!(pair.attempts(), (1, 0));
    let result = answered.result().unwrap_or_default();
    assert!(result.as_str().is_some_and(|hash| hash.starts_with("0x") && hash.len() == 66), "{}", answered.text());
}
