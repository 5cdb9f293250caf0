//! A panic in the filter costs the request that caused it, not the worker.

use std::time::Duration;

use lasso_tests::{ChainConfig, Config, Fault, FaultProxy, FilterKind, Mesh, Options, wait};
use serde_json::json;

#[tokio::test]
async fn the_request_after_a_panic_is_served() {
    let provider = FaultProxy::without_node().await.unwrap();
    provider.set([Fault::result(json!("0x1"))]);
    let chain = ChainConfig::new("ethereum", 1).provider("main", &provider.url("/"));
    let kind = FilterKind::under_test().unwrap();
    let options = Options { filter: Some(kind.panicking_file().unwrap()), ..Options::default() };
    let mesh = Mesh::start_with(&Config::new().chain(chain), &options).await.unwrap();
    let ask = || async { mesh.call("ethereum", "eth_gasPrice", json!([])).await.unwrap().result() };
    let hit = || async { mesh.call("ethereum", "lasso_panic", json!([])).await.unwrap().status };
    assert_eq!(ask().await, Some(json!("0x1")));
    match kind {
        FilterKind::Wasm => {
            // Envoy takes a filter that panics within its reload backoff of 50 ms for one that cannot start, and lets it wait.
            wait::pass(Duration::from_millis(200)).await;
            assert_eq!(hit().await, 503);
            assert_eq!(ask().await, Some(json!("0x1")), "the very next request: {}", mesh.envoy_log());
            // Envoy reloads a filter that panics again and again a little later each time.
            for _ in 0..3 {
                assert_eq!(hit().await, 503);
                let back = || async { (ask().await? == json!("0x1")).then_some(()) };
                wait::until("the worker to serve again", Duration::from_secs(3), back).await.unwrap();
            }
            assert!(mesh.stat_sum("vm_reload_success").await.unwrap() >= 4);
        }
        FilterKind::Module => {
            // Nothing is reloaded: a panic ends where it began, and so does what the worker had in its hands.
            for _ in 0..4 {
                assert_eq!(hit().await, 503, "{}", mesh.envoy_log());
                assert_eq!(ask().await, Some(json!("0x1")), "the very next request: {}", mesh.envoy_log());
            }
        }
    }
}
