//! A chain whose providers are all gone takes nothing from another chain on the same worker.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use lasso_tests::{ChainConfig, Config, Door, Fault, FaultProxy, Mesh};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_black_hole_on_one_chain_costs_another_nothing() {
    let holes = [FaultProxy::without_node().await.unwrap(), FaultProxy::without_node().await.unwrap()];
    holes[0].door_is(Door::Gone).await.unwrap();
    holes[1].door_is(Door::Deaf).await.unwrap();
    let good = FaultProxy::without_node().await.unwrap();
    good.set([Fault::result(json!("0x1"))]);
    let dead = ChainConfig::new("dead", 1).provider("gone", &holes[0].url("/")).provider("deaf", &holes[1].url("/"));
    let alive = ChainConfig::new("alive", 2).provider("good", &good.url("/"));
    let mesh = Arc::new(Mesh::start(&Config::new().chain(dead).chain(alive)).await.unwrap());
    let stop = Arc::new(AtomicBool::new(false));
    let mut victims = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let (mesh, stop) = (Arc::clone(&mesh), Arc::clone(&stop));
        victims.spawn(async move {
            let mut asked = 0_u32;
            while !stop.load(Ordering::Relaxed) {
                let answered = mesh.call("dead", "eth_gasPrice", json!([])).await.unwrap();
                assert_eq!((answered.status, answered.code()), (200, Some(-32000)), "{}", answered.text());
                asked += 1;
                // A chain with no channel left fails fast; its clients would only burn this test's processors.
                lasso_tests::wait::pass(std::time::Duration::from_millis(50)).await;
            }
            asked
        });
    }
    for _ in 0..1_000 {
        let answered = mesh.call("alive", "eth_gasPrice", json!([])).await.unwrap();
        assert_eq!(answered.result(), Some(json!("0x1")), "{}", answered.text());
    }
    stop.store(true, Ordering::Relaxed);
    let asked: u32 = victims.join_all().await.into_iter().sum();
    assert!(asked >= 64, "the dead chain was asked {asked} times");
}
