//! A panic in the filter costs the request that caused it, not the worker.

use lasso_tests::{ChainConfig, Config, Fault, FaultProxy, Mesh, Options, tools};
use serde_json::json;

#[tokio::test]
async fn the_request_after_a_panic_is_served() {
    let provider = FaultProxy::without_node().await.unwrap();
    provider.set([Fault::result(json!("0x1"))]);
    let chain = ChainConfig::new("ethereum", 1).provider("main", &provider.url("/"));
    let options = Options { filter: Some(tools::panic_filter().unwrap()), ..Options::default() };
    let mesh = Mesh::start_with(&Config::new().chain(chain), &options).await.unwrap();
    for _ in 0..3 {
        let before = mesh.call("ethereum", "eth_gasPrice", json!([])).await.unwrap();
        assert_eq!(before.result(), Some(json!("0x1")));
        let hit = mesh.call("ethereum", "lasso_panic", json!([])).await.unwrap();
        assert_eq!(hit.status, 503, "{}", hit.text());
        lasso_tests::wait::pass(std::time::Duration::from_millis(60)).await;
    }
    let after = mesh.call("ethereum", "eth_gasPrice", json!([])).await.unwrap();
    assert_eq!(after.result(), Some(json!("0x1")), "{}", mesh.envoy_log());
    assert!(mesh.stat_sum("vm_reload_success").await.unwrap() >= 3);
}
