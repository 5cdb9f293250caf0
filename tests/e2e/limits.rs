//! What a provider cannot do, declared or learned: it is passed over, and not asked again for the same.

use lasso_tests::{ACCOUNT, ChainConfig, Config, Fault, FaultProxy, Mesh};
use serde_json::{Value, json};

/// A chain of two; the first has YAML lines of its own, the second answers everything.
async fn stand(lines: &[&str]) -> (FaultProxy, FaultProxy, Mesh) {
    let (first, second) = (FaultProxy::without_node().await.unwrap(), FaultProxy::without_node().await.unwrap());
    let head = || Fault::result(json!("0x10000")).on("eth_blockNumber");
    first.set([head(), Fault::result(json!("first"))]);
    second.set([head(), Fault::result(json!("second"))]);
    let chain = ChainConfig::new("ethereum", 1)
        .provider_with("first", &first.url("/"), lines)
        .provider("second", &second.url("/"));
    let mesh = Mesh::start(&Config::new().chain(chain)).await.unwrap();
    (first, second, mesh)
}

async fn asked(mesh: &Mesh, method: &str, params: Value) -> Option<Value> {
    mesh.call("ethereum", method, params).await.unwrap().result()
}

fn logs(from: u64, to: u64) -> Value {
    json!([{"fromBlock": format!("0x{from:x}"), "toBlock": format!("0x{to:x}")}])
}

#[tokio::test]
async fn limits_met_on_the_way_are_passed_over() {
    let table = [
        ("eth_getLogs", Fault::rpc(-32602, "block range is too wide")),
        ("eth_getLogs", Fault::rpc(-32005, "query returned more than 10000 results")),
        ("eth_getLogs", Fault::rpc_under(400, -32600, "Log response size exceeded. Block range limit: 2000")),
        ("eth_getLogs", Fault::rpc(-32701, "Please specify less number of addresses")),
        ("eth_call", Fault::rpc(-32000, "missing trie node abc")),
        ("debug_traceCall", Fault::rpc(-32601, "Method not found")),
        ("trace_block", Fault::text(405, "")),
        ("trace_block", Fault::rpc(-32000, "this method is not included in your current plan")),
        ("eth_getBalance", Fault::text(429, "").header("retry-after", "1")),
    ];
    let (first, second, mesh) = stand(&[]).await;
    for (method, fault) in table {
        first.heal();
        second.heal();
        second.set([Fault::result(json!("second"))]);
        first.set([fault.clone()]);
        let params = if method == "eth_getLogs" { logs(1, 5_000) } else { json!([]) };
        let answered = mesh.call("ethereum", method, params).await.unwrap();
        assert_eq!(answered.result(), Some(json!("second")), "{method} {fault:?}: {}", answered.text());
        assert_eq!(second.counts().requests, 1);
    }
}

#[tokio::test]
async fn a_range_too_large_is_learned_and_smaller_ones_still_asked() {
    let (first, _second, mesh) = stand(&[]).await;
    first.set([
        Fault::rpc(-32602, "eth_getLogs is limited to a 1000 block range").times(1),
        Fault::result(json!("first")),
    ]);
    assert_eq!(asked(&mesh, "eth_getLogs", logs(1, 5_000)).await, Some(json!("second")));
    assert_eq!(asked(&mesh, "eth_getLogs", logs(1, 5_000)).await, Some(json!("second")), "the limit was not learned");
    assert_eq!(asked(&mesh, "eth_getLogs", logs(1, 500)).await, Some(json!("first")), "too much was learned");
    assert_eq!(first.count("eth_getLogs"), 2);
}

#[tokio::test]
async fn a_method_it_lacks_is_not_asked_of_it_again() {
    let (first, _second, mesh) = stand(&[]).await;
    first.set([
        Fault::rpc(-32601, "the method trace_block does not exist/is not available").times(1),
        Fault::result(json!("first")),
    ]);
    for _ in 0..3 {
        assert_eq!(asked(&mesh, "trace_block", json!(["0x1"])).await, Some(json!("second")));
    }
    assert_eq!(first.count("trace_block"), 1);
    assert_eq!(asked(&mesh, "eth_gasPrice", json!([])).await, Some(json!("first")));
}

#[tokio::test]
async fn a_limited_provider_is_asked_last_until_it_said_to_come_back() {
    let (first, second, mesh) = stand(&[]).await;
    first.set([Fault::text(429, "").header("retry-after", "30")]);
    for _ in 0..5 {
        assert_eq!(asked(&mesh, "eth_gasPrice", json!([])).await, Some(json!("second")));
    }
    assert_eq!(first.counts().requests, 1, "asked again before its time");
    first.set([Fault::result(json!("first"))]);
    second.set([Fault::text(503, "")]);
    assert_eq!(asked(&mesh, "eth_gasPrice", json!([])).await, Some(json!("first")), "demoted, not shut out");
}

#[tokio::test]
async fn declared_limits_are_kept() {
    let lines =
        ["archival: false", "capabilities: {unsupported_methods: [debug_*, eth_getProof], max_block_range: 100}"];
    let (first, _second, mesh) = stand(&lines).await;
    assert_eq!(asked(&mesh, "eth_blockNumber", json!([])).await, Some(json!("0x10000")));
    let table = [
        ("eth_gasPrice", json!([]), "first"),
        ("debug_traceCall", json!([]), "second"),
        ("eth_getProof", json!([ACCOUNT, [], "latest"]), "second"),
        ("eth_getLogs", logs(0xff00, 0xff10), "first"),
        ("eth_getLogs", logs(0xf000, 0xff10), "second"),
        ("eth_getBalance", json!([ACCOUNT, "latest"]), "first"),
        ("eth_getBalance", json!([ACCOUNT, "0xfff0"]), "first"),
        ("eth_getBalance", json!([ACCOUNT, "0x1000"]), "second"),
        ("eth_getBalance", json!([ACCOUNT, "earliest"]), "second"),
    ];
    for (method, params, who) in table {
        assert_eq!(asked(&mesh, method, params.clone()).await, Some(json!(who)), "{method} {params}");
    }
    assert_eq!(first.count("debug_traceCall"), 0);
}
