//! The fault proxy does to a client what its faults say.

use std::time::{Duration, Instant};

use lasso_tests::{Answer, Client, Delivery, Door, Fault, FaultProxy};
use serde_json::json;

const CALL: &str = r#"{"jsonrpc":"2.0","id":7,"method":"eth_call","params":[]}"#;
const TRUTH: &str = r#"{"jsonrpc":"2.0","id":7,"result":"0x1"}"#;

/// What `CALL` brings from a provider with this fault: the text, or that the exchange broke.
async fn told(fault: Fault) -> (u16, String) {
    let node = FaultProxy::without_node().await.unwrap();
    node.set([Fault::text(200, TRUTH)]);
    let proxy = FaultProxy::start(&node.url("/")).await.unwrap();
    proxy.set([fault]);
    match Client::new().post(&proxy.url("/key"), CALL).await {
        Ok(answered) => (answered.status, answered.text()),
        Err(_) => (0, "broken".to_owned()),
    }
}

#[tokio::test]
async fn answers_are_what_the_fault_says() {
    let error = r#"{"jsonrpc":"2.0","id":7,"error":{"code":-5,"message":"no"}}"#;
    let table = [
        ("the truth", Fault::default(), (200, TRUTH)),
        ("truth in chunks", Fault::delivered(Delivery::chunked()), (200, TRUTH)),
        ("truth in two parts", Fault::delivered(Delivery::two_parts(20)), (200, TRUTH)),
        ("truth in two chunks", Fault::delivered(Delivery { chunked: true, ..Delivery::two_parts(20) }), (200, TRUTH)),
        ("an error", Fault::rpc(-5, "no"), (200, error)),
        ("an error under a status", Fault::rpc_under(500, -5, "no"), (500, error)),
        ("a text with our id", Fault::text(503, "<p>$ID</p>"), (503, "<p>7</p>")),
        ("nothing", Fault::text(200, ""), (200, "")),
        ("a result", Fault::result(json!(null)), (200, r#"{"jsonrpc":"2.0","id":7,"result":null}"#)),
        ("cut with headers that agree", Fault::delivered(Delivery::keep(9)), (200, r#"{"jsonrpc"#)),
        ("cut with headers that do not", Fault::delivered(Delivery::close_after(9)), (0, "broken")),
        ("reset in the body", Fault::delivered(Delivery::reset_after(9)), (0, "broken")),
        ("reset before the head", Fault::answer(Answer::Reset), (0, "broken")),
        ("another method's fault", Fault::rpc(-5, "no").on("eth_gasPrice"), (200, TRUTH)),
        ("a fault used up", Fault::rpc(-5, "no").times(0), (200, TRUTH)),
    ];
    for (name, fault, (status, body)) in table {
        assert_eq!(told(fault).await, (status, body.to_owned()), "{name}");
    }
}

#[tokio::test]
async fn a_large_answer_has_the_size_it_was_told() {
    for delivery in [Delivery::default(), Delivery::chunked()] {
        let (status, body) = told(Fault::answer(Answer::Large(1_000_000)).sent(delivery)).await;
        assert_eq!((status, body.len()), (200, 1_000_000 + r#"{"jsonrpc":"2.0","id":7,"result":"0x"}"#.len()));
    }
}

#[tokio::test]
async fn slowness_adds_up_and_leaves_the_truth() {
    let node = FaultProxy::without_node().await.unwrap();
    node.set([Fault::latency(30), Fault::latency(30), Fault::text(200, TRUTH)]);
    let started = Instant::now();
    let answered = Client::new().post(&node.url("/"), CALL).await.unwrap();
    assert_eq!(answered.text(), TRUTH);
    assert!(started.elapsed() >= Duration::from_millis(60));
}

#[tokio::test]
async fn doors_shut_and_open_again() {
    let node = FaultProxy::without_node().await.unwrap();
    node.set([Fault::text(200, TRUTH)]);
    let client = Client::new();
    for door in [Door::Refusing, Door::Gone, Door::Deaf] {
        assert_eq!(client.post(&node.url("/"), CALL).await.unwrap().text(), TRUTH);
        node.door_is(door).await.unwrap();
        let asked = tokio::time::timeout(Duration::from_millis(100), client.post(&node.url("/"), CALL)).await;
        assert!(!matches!(asked, Ok(Ok(_))), "{door:?} answered");
        node.door_is(Door::Open).await.unwrap();
    }
    assert_eq!(client.post(&node.url("/"), CALL).await.unwrap().text(), TRUTH);
}

#[tokio::test]
async fn what_arrives_is_remembered_byte_for_byte() {
    let proxy = FaultProxy::without_node().await.unwrap();
    let client = Client::new();
    client.send(hyper::Method::POST, &proxy.url("/v2/key?a=b"), &[("X-Seen", "1")], CALL).await.unwrap();
    client.post(&proxy.url("/"), format!("[{CALL}, {CALL}]")).await.unwrap();
    let requests = proxy.requests();
    let first = requests.first().unwrap();
    assert_eq!(
        (first.path.as_str(), first.header("x-seen"), first.body.as_slice()),
        ("/v2/key?a=b", Some("1"), CALL.as_bytes())
    );
    assert_eq!((proxy.counts().requests, proxy.count("eth_call")), (2, 3));
}

#[tokio::test]
async fn the_admin_port_obeys_and_reports() {
    let admin = lasso_tests::free_port();
    let proxy = FaultProxy::without_node().await.unwrap().with_admin(admin).await.unwrap();
    let (client, at) = (Client::new(), |path: &str| format!("http://127.0.0.1:{admin}{path}"));
    let fault = r#"{"answer": {"text": {"status": 418, "body": "tea"}}, "methods": ["eth_call"]}"#;
    assert_eq!(client.post(&at("/faults"), fault).await.unwrap().status, 200);
    assert_eq!(client.post(&proxy.url("/"), CALL).await.unwrap().text(), "tea");
    assert_eq!(client.post(&at("/faults"), r#"{"latency": 3}"#).await.unwrap().status, 400);
    assert_eq!(client.read(&at("/stats")).await.unwrap().json()["by_method"]["eth_call"], 1);
    assert_eq!(client.post(&at("/down"), "").await.unwrap().status, 200);
    proxy.door_is(Door::Refusing).await.unwrap();
    assert_eq!(client.post(&at("/up"), "").await.unwrap().status, 200);
    proxy.door_is(Door::Open).await.unwrap();
}
