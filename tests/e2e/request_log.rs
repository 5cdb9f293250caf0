//! The request log: what Envoy's access logger writes of the requests that went through.

use std::time::Duration;

use lasso_tests::{ChainConfig, Config, Fault, FaultProxy, Mesh, wait};
use serde_json::{Value, json};

/// Envoy writes its log in intervals of 10 s.
const WRITTEN: Duration = Duration::from_secs(25);

async fn mesh(sampling: &str) -> (FaultProxy, Mesh) {
    let provider = FaultProxy::without_node().await.unwrap();
    let secret = provider.url("/v2/canary-path?key=canary-query");
    let lines = ["headers: {x-api-key: canary-header}"];
    let chain = ChainConfig::new("ethereum", 1).provider_with("main", &secret, &lines);
    let config = Config::new().chain(chain).top_line(&format!("observability: {{sampling: {sampling}}}"));
    let mesh = Mesh::start(&config).await.unwrap();
    (provider, mesh)
}

/// One good call, one that reverts with words that give the provider away, one that nobody may make, one that is none.
async fn ask(provider: &FaultProxy, mesh: &Mesh) {
    provider.set([Fault::result(json!("0x1"))]);
    mesh.call("ethereum", "eth_gasPrice", json!([])).await.unwrap();
    let words = format!("execution reverted: {} said canary-header", provider.url("/v2/canary-path?key=canary-query"));
    provider.set([Fault::rpc(3, &words)]);
    mesh.call("ethereum", "eth_call", json!([{"to": "0x00000000000000000000000000000000000000aa"}, "latest"]))
        .await
        .unwrap();
    mesh.call("ethereum", "eth_accounts", json!([])).await.unwrap();
    mesh.post("/rpc/ethereum?key=canary-client-query", "{").await.unwrap();
}

/// The lines, once there are so many.
async fn lines(mesh: &Mesh, count: usize) -> Vec<Value> {
    wait::until_true("the request log", WRITTEN, || mesh.access_log().lines().count() >= count).await.unwrap();
    let log = mesh.access_log();
    assert!(!log.contains("canary") && !log.contains("00000000aa"), "{log}");
    log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[tokio::test]
async fn errors_are_logged_although_nothing_is_sampled_and_no_line_has_a_secret() {
    let (provider, mesh) = mesh("0").await;
    ask(&provider, &mesh).await;
    let lines = lines(&mesh, 3).await;
    let codes: Vec<&Value> = lines.iter().map(|line| &line["error"]["code"]).collect();
    assert_eq!(codes, [&json!(3), &json!(-32601), &json!(-32700)]);
    assert!(lines.iter().all(|line| line["event"] == "rpc.request.completed"), "{lines:?}");
    assert_eq!(lines[0]["attempts"][0]["channel"], "ethereum/main/http");
}

#[tokio::test]
async fn with_everything_sampled_each_request_is_one_line() {
    let (provider, mesh) = mesh("1").await;
    ask(&provider, &mesh).await;
    let lines = lines(&mesh, 4).await;
    assert_eq!(lines.len(), 4, "{lines:?}");
    let good = &lines[0];
    assert_eq!(
        (&good["method"], &good["result_type"], &good["status"]),
        (&json!("eth_gasPrice"), &json!("result"), &json!(200))
    );
    assert!(good["end_to_end_ms"].as_f64() >= good["upstream_ms"].as_f64(), "{good}");
}

#[tokio::test]
async fn what_never_came_to_the_filter_is_logged_by_envoy() {
    let (_provider, mesh) = mesh("0").await;
    mesh.client().read(&mesh.url("/rpc/ethereum")).await.unwrap();
    let lines = lines(&mesh, 1).await;
    assert_eq!((&lines[0]["event"], &lines[0]["status"]), (&json!("http.request.refused"), &json!(405)));
}
