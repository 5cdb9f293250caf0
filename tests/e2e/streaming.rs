//! Large bodies pass, and Envoy's memory does not grow with them.

use std::sync::Arc;

use lasso_tests::{Answer, ChainConfig, Client, Config, Delivery, Fault, FaultProxy, Mesh};
use serde_json::json;

const LARGE: usize = 20_000_000;
const MOST_BODY: usize = 8_000_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_answers_stream_and_take_no_memory() {
    let provider = FaultProxy::without_node().await.unwrap();
    let chain = ChainConfig::new("ethereum", 1).provider("main", &provider.url("/"));
    let mesh = Arc::new(Mesh::start(&Config::new().chain(chain)).await.unwrap());
    for delivery in [Delivery::default(), Delivery::chunked()] {
        provider.set([Fault::answer(Answer::Large(LARGE)).sent(delivery)]);
        let answered = mesh.call("ethereum", "debug_traceTransaction", json!(["0x1"])).await.unwrap();
        assert_eq!(answered.body.len(), LARGE + r#"{"jsonrpc":"2.0","id":1,"result":"0x"}"#.len());
        assert!(answered.body.ends_with(b"aa\"}"));
    }
    let (_, before) = mesh.envoy().process().memory().unwrap();
    let mut at_once = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let mesh = Arc::clone(&mesh);
        at_once.spawn(async move {
            let answered = mesh.call("ethereum", "debug_traceTransaction", json!(["0x1"])).await.unwrap();
            answered.body.len()
        });
    }
    for length in at_once.join_all().await {
        assert!(length > LARGE);
    }
    let (_, after) = mesh.envoy().process().memory().unwrap();
    // Eight answers of 20 MB at once: 160 MB if they were held, a few buffers of 1 MiB if they stream.
    assert!(after < before + 48_000_000, "Envoy's memory went from {before} to {after} bytes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_answer_after_a_bad_one_streams_too() {
    let (first, second) = (FaultProxy::without_node().await.unwrap(), FaultProxy::without_node().await.unwrap());
    first.set([Fault::rpc(-32603, "Internal error")]);
    second.set([Fault::answer(Answer::Large(LARGE))]);
    let chain = ChainConfig::new("ethereum", 1).provider("first", &first.url("/")).provider("second", &second.url("/"));
    let mesh = Mesh::start(&Config::new().chain(chain)).await.unwrap();
    let answered = mesh.call("ethereum", "eth_getLogs", json!([{}])).await.unwrap();
    assert!(answered.body.len() > LARGE);
    assert_eq!((first.counts().requests, second.counts().requests), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_may_speak_http_2() {
    let (first, second) = (FaultProxy::without_node().await.unwrap(), FaultProxy::without_node().await.unwrap());
    first.set([Fault::rpc(-32603, "Internal error")]);
    second.set([Fault::answer(Answer::Large(LARGE)).on("eth_getLogs"), Fault::result(json!("0x1"))]);
    let chain = ChainConfig::new("ethereum", 1).provider("first", &first.url("/")).provider("second", &second.url("/"));
    let mesh = Mesh::start(&Config::new().chain(chain)).await.unwrap();
    let (client, url) = (Client::http2(), mesh.url("/rpc/ethereum"));
    for _ in 0..3 {
        assert_eq!(client.call(&url, "eth_gasPrice", json!([])).await.unwrap().result(), Some(json!("0x1")));
    }
    assert!(client.call(&url, "eth_getLogs", json!([{}])).await.unwrap().body.len() > LARGE);
    assert_eq!(mesh.stat_sum("downstream_cx_http2_total").await.unwrap(), 1);
}

/// A call whose body has exactly so many bytes.
fn call_of(bytes: usize) -> String {
    let (open, close) = (r#"{"jsonrpc":"2.0","id":1,"method":"eth_call","params":[""#, r#""]}"#);
    format!("{open}{}{close}", "a".repeat(bytes - open.len() - close.len()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_pass_up_to_the_limit_and_no_byte_further() {
    let (first, second) = (FaultProxy::without_node().await.unwrap(), FaultProxy::without_node().await.unwrap());
    first.set([Fault::rpc(-32603, "Internal error")]);
    second.set([Fault::result(json!("0x1"))]);
    let chain = ChainConfig::new("ethereum", 1).provider("first", &first.url("/")).provider("second", &second.url("/"));
    let mesh = Mesh::start(&Config::new().chain(chain)).await.unwrap();
    let largest = call_of(MOST_BODY);
    let answered = mesh.post("/rpc/ethereum", largest.clone()).await.unwrap();
    assert_eq!(answered.result(), Some(json!("0x1")), "{}", answered.text());
    for provider in [&first, &second] {
        assert!(provider.requests().remove(0).body == largest.as_bytes(), "not the bytes that were sent");
    }
    let answered = mesh.post("/rpc/ethereum", call_of(MOST_BODY + 1)).await.unwrap();
    assert_eq!((answered.status, answered.code()), (413, Some(-32600)), "{}", answered.text());
    assert_eq!((first.counts().requests, second.counts().requests), (1, 1));
}
