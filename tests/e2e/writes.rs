//! A write reaches at most one provider, and its client learns the truth about it.

use lasso_tests::{Answer, ChainConfig, Config, Delivery, Door, Fault, FaultProxy, Mesh};
use serde_json::{Value, json};

const METHOD: &str = "eth_sendRawTransaction";

async fn stand() -> (FaultProxy, FaultProxy, Mesh) {
    let first = FaultProxy::without_node().await.unwrap();
    let second = FaultProxy::without_node().await.unwrap();
    second.set([Fault::result(json!("0xsecond"))]);
    let chain = ChainConfig::new("ethereum", 1).provider("first", &first.url("/")).provider("second", &second.url("/"));
    let mesh = Mesh::start(&Config::new().chain(chain)).await.unwrap();
    (first, second, mesh)
}

async fn write(mesh: &Mesh) -> (Option<Value>, Option<i64>, String) {
    let answered = mesh.call("ethereum", METHOD, json!(["0x02"])).await.unwrap();
    (answered.result(), answered.code(), answered.text())
}

#[tokio::test]
async fn a_write_that_never_left_goes_on() {
    let (first, second, mesh) = stand().await;
    first.door_is(Door::Refusing).await.unwrap();
    let (result, _, text) = write(&mesh).await;
    assert_eq!(result, Some(json!("0xsecond")), "{text}");
    assert_eq!((first.count(METHOD), second.count(METHOD)), (0, 1));
}

#[tokio::test]
async fn a_write_whose_first_provider_is_gone_goes_on() {
    let (first, second, mesh) = stand().await;
    first.door_is(Door::Gone).await.unwrap();
    let (result, _, text) = write(&mesh).await;
    assert_eq!(result, Some(json!("0xsecond")), "{text}");
    assert_eq!((first.count(METHOD), second.count(METHOD)), (0, 1));
    assert!(mesh.stat_sum("first/http.upstream_cx_connect_timeout").await.unwrap() > 0, "connecting did not time out");
}

#[tokio::test]
async fn a_write_that_left_is_never_sent_again() {
    let table = [
        ("reset before headers", Fault::answer(Answer::Reset)),
        ("reset in the body", Fault::result(json!("0xfirst")).sent(Delivery::reset_after(10))),
        ("closed in the body", Fault::result(json!("0xfirst")).sent(Delivery::close_after(10))),
        ("HTML", Fault::text(502, "<html>bad gateway</html>")),
        ("no body", Fault::text(503, "")),
        ("cut JSON", Fault::result(json!("0xfirst")).sent(Delivery::keep(20))),
        ("internal error", Fault::rpc(-32603, "Internal error")),
        ("rate limit", Fault::text(429, "").header("retry-after", "1")),
    ];
    let mut pairs = Vec::new();
    let mut config = Config::new();
    for (chain_id, (name, fault)) in (1..).zip(table) {
        let (first, second) = (FaultProxy::without_node().await.unwrap(), FaultProxy::without_node().await.unwrap());
        first.set([fault]);
        second.set([Fault::result(json!("0xsecond"))]);
        let chain = ChainConfig::new(&format!("chain{chain_id}"), chain_id);
        config = config.chain(chain.provider("first", &first.url("/")).provider("second", &second.url("/")));
        pairs.push((chain_id, name, first, second));
    }
    let mesh = Mesh::start(&config).await.unwrap();
    for (chain_id, name, first, second) in pairs {
        let answered = mesh.call(&format!("chain{chain_id}"), METHOD, json!(["0x02"])).await.unwrap();
        let text = answered.text();
        assert_eq!((first.count(METHOD), second.count(METHOD)), (1, 0), "{name}: {text}");
        assert!(answered.result().is_none() && answered.code().is_some(), "{name}: {text}");
    }
}

#[tokio::test]
async fn a_write_without_an_answer_is_said_to_be_indeterminate() {
    let (first, second, mesh) = stand().await;
    for fault in [Fault::answer(Answer::Reset), Fault::answer(Answer::Hang)] {
        first.heal();
        first.set([fault]);
        let (_, code, text) = write(&mesh).await;
        assert_eq!(code, Some(-32000), "{text}");
        assert!(text.contains("indeterminate"), "{text}");
        assert_eq!((first.count(METHOD), second.count(METHOD)), (1, 0));
    }
}

#[tokio::test]
async fn a_providers_no_to_a_write_arrives_as_it_is() {
    let (first, second, mesh) = stand().await;
    for message in
        ["nonce too low", "insufficient funds for gas * price + value", "replacement transaction underpriced"]
    {
        first.heal();
        first.set([Fault::rpc(-32000, message)]);
        let (_, code, text) = write(&mesh).await;
        assert_eq!(code, Some(-32000));
        assert!(text.contains(message), "{text}");
        assert_eq!((first.count(METHOD), second.count(METHOD)), (1, 0));
    }
}

#[tokio::test]
async fn a_method_nobody_knows_is_sent_once() {
    let (first, second, mesh) = stand().await;
    first.set([Fault::rpc(-32603, "Internal error")]);
    let answered = mesh.call("ethereum", "acme_launchRocket", json!([])).await.unwrap();
    assert_eq!(answered.code(), Some(-32603), "{}", answered.text());
    assert_eq!((first.counts().requests, second.counts().requests), (1, 0));
}
