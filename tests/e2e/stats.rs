//! What the filter counts, as an operator reads it on Envoy's admin port.

use std::{collections::BTreeMap, time::Duration};

use lasso_tests::{Answer, ChainConfig, Config, Fault, FaultProxy, FilterKind, Mesh, Options, wait};
use serde_json::json;

/// The filter's own counters of requests. How often it looked for a control plane is a matter of time.
async fn counters(mesh: &Mesh) -> BTreeMap<String, u64> {
    let namespace = FilterKind::under_test().unwrap().stats();
    let ours =
        |(name, value): (String, u64)| Some((name.strip_prefix(namespace)?.strip_prefix("lasso.")?.to_owned(), value));
    let of_requests = |(name, _): &(String, u64)| !name.starts_with("sync_");
    mesh.stats().await.unwrap().into_iter().filter_map(ours).filter(of_requests).collect()
}

/// The filter hands its sums to Envoy now and then, so they are waited for; more than expected would not go away again.
async fn must_become(mesh: &Mesh, what: &str, expected: &[(&str, u64)]) {
    let expected: BTreeMap<String, u64> = expected.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    let same = || async { (counters(mesh).await == expected).then_some(()) };
    let became = wait::until("the counters", Duration::from_secs(10), same).await;
    let seen = counters(mesh).await;
    assert!(became.is_ok() && seen == expected, "after {what}:\n{seen:?}, expected\n{expected:?}");
}

#[tokio::test]
async fn envoy_shows_what_the_filter_counted() {
    let (first, second) = (FaultProxy::without_node().await.unwrap(), FaultProxy::without_node().await.unwrap());
    second.set([Fault::result(json!("0x1"))]);
    let chain = ChainConfig::new("ethereum", 1)
        .line("breaker: {failures: 6, recovery: {min: 1m, max: 1m}}")
        .provider("first", &first.url("/"))
        .provider("second", &second.url("/"));
    let options = Options { concurrency: 2, ..Options::default() };
    let mesh = Mesh::start_with(&Config::new().chain(chain), &options).await.unwrap();
    let ask = |chain: &'static str, method: &'static str| {
        let mesh = &mesh;
        async move { mesh.call(chain, method, json!([])).await.unwrap() }
    };

    first.set([Fault::rpc(-32603, "Internal error")]);
    for _ in 0..3 {
        assert_eq!(ask("ethereum", "eth_gasPrice").await.result(), Some(json!("0x1")));
    }
    let failovers = [("requests", 3), ("attempts", 6), ("failovers", 3), ("blamed_failures", 3)];
    must_become(&mesh, "three failovers", &failovers).await;

    ask("ethereum", "eth_chainId").await;
    ask("atlantis", "eth_gasPrice").await;
    ask("ethereum", "eth_accounts").await;
    let by_itself = [
        ("requests", 6),
        ("answered_locally", 1),
        ("refused", 2),
        ("attempts", 6),
        ("failovers", 3),
        ("blamed_failures", 3),
    ];
    must_become(&mesh, "what needs no provider", &by_itself).await;

    first.set([Fault::result(json!("0x1"))]);
    let item = |id: u32| json!({"jsonrpc": "2.0", "id": id, "method": "eth_gasPrice", "params": []});
    let batch = json!([item(1), item(2), item(3)]);
    let answered = mesh.post("/rpc/ethereum", batch.to_string()).await.unwrap();
    assert_eq!(answered.json().as_array().map(Vec::len), Some(3), "{}", answered.text());
    let batched = [
        ("requests", 7),
        ("batch_items", 3),
        ("answered_locally", 1),
        ("refused", 2),
        ("attempts", 7),
        ("failovers", 3),
        ("blamed_failures", 3),
    ];
    must_become(&mesh, "a batch", &batched).await;
}

#[tokio::test]
async fn limits_and_what_clients_noticed_are_counted() {
    let provider = FaultProxy::without_node().await.unwrap();
    let chain = ChainConfig::new("ethereum", 1).provider("main", &provider.url("/"));
    let mesh = Mesh::start(&Config::new().chain(chain)).await.unwrap();
    let table = [
        ("a rate limit", "eth_gasPrice", Fault::text(429, ""), vec!["rate_limited", "exhausted"]),
        ("a server error", "eth_gasPrice", Fault::text(503, ""), vec!["blamed_failures", "exhausted"]),
        (
            "a write that was reset",
            "eth_sendRawTransaction",
            Fault::answer(Answer::Reset),
            vec!["blamed_failures", "indeterminate"],
        ),
    ];
    let mut expected = BTreeMap::new();
    for (what, method, fault, grow) in table {
        provider.set([fault]);
        let answered = mesh.call("ethereum", method, json!([])).await.unwrap();
        assert_eq!(answered.code(), Some(-32000), "{what}: {}", answered.text());
        for name in grow.into_iter().chain(["requests", "attempts"]) {
            *expected.entry(name).or_default() += 1;
        }
        let expected: Vec<(&str, u64)> = expected.iter().map(|(name, value)| (*name, *value)).collect();
        must_become(&mesh, what, &expected).await;
    }
}

#[tokio::test]
async fn breakers_that_open_are_counted() {
    let (first, second) = (FaultProxy::without_node().await.unwrap(), FaultProxy::without_node().await.unwrap());
    first.set([Fault::text(503, "")]);
    second.set([Fault::result(json!("0x1"))]);
    let chain = ChainConfig::new("ethereum", 1)
        .line("breaker: {failures: 3, recovery: {min: 1m, max: 1m}}")
        .provider("first", &first.url("/"))
        .provider("second", &second.url("/"));
    let mesh = Mesh::start(&Config::new().chain(chain)).await.unwrap();
    wait::until("the breaker to open", Duration::from_secs(10), || async {
        let before = first.counts().requests;
        assert!(mesh.call("ethereum", "eth_gasPrice", json!([])).await.unwrap().result().is_some());
        (first.counts().requests == before).then_some(())
    })
    .await
    .unwrap();
    let (failed, served) = (first.counts().requests, second.counts().requests);
    let expected = [
        ("requests", served),
        ("attempts", failed + served),
        ("failovers", failed),
        ("blamed_failures", failed),
        ("breakers_opened", 1),
    ];
    must_become(&mesh, "a provider that only fails", &expected).await;
}
