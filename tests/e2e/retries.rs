//! Failover under load: every first attempt fails, no client notices, Envoy's own limits do not bite, connections are kept.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use lasso_tests::{Answer, ChainConfig, Config, Delivery, Door, Fault, FaultProxy, Mesh, Options, wait};
use serde_json::json;

const CLIENTS: usize = 64;
const CALLS_EACH: usize = 20;

/// All first attempts fail in a way that blames nobody, so the first provider stays the first.
async fn under_load(fault: Fault) -> (FaultProxy, FaultProxy, Mesh, usize) {
    let (first, second) = (FaultProxy::without_node().await.unwrap(), FaultProxy::without_node().await.unwrap());
    first.set([fault]);
    second.set([Fault::result(json!("0x1"))]);
    let chain = ChainConfig::new("ethereum", 1).provider("first", &first.url("/")).provider("second", &second.url("/"));
    let options = Options { concurrency: 2, ..Options::default() };
    let mesh = Arc::new(Mesh::start_with(&Config::new().chain(chain), &options).await.unwrap());
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..CLIENTS {
        let mesh = Arc::clone(&mesh);
        clients.spawn(async move {
            let mut lost = 0;
            for _ in 0..CALLS_EACH {
                let answered = mesh.call("ethereum", "eth_gasPrice", json!([])).await;
                lost += usize::from(!answered.is_ok_and(|answered| answered.result() == Some(json!("0x1"))));
            }
            lost
        });
    }
    let lost = clients.join_all().await.into_iter().sum();
    let mesh = Arc::into_inner(mesh).unwrap();
    (first, second, mesh, lost)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_with_bodies_cost_neither_calls_nor_connections() {
    let (first, second, mesh, lost) = under_load(Fault::rpc(-32000, "the stars are not right")).await;
    let calls = (CLIENTS * CALLS_EACH) as u64;
    assert_eq!(lost, 0, "{}", mesh.envoy_log());
    assert_eq!(mesh.stat_sum("upstream_rq_retry_overflow").await.unwrap(), 0);
    assert_eq!((first.counts().requests, second.counts().requests), (calls, calls));
    for provider in [&first, &second] {
        let connections = provider.counts().connections;
        assert!(
            connections <= (CLIENTS * 2) as u64,
            "{connections} connections for {calls} requests of {CLIENTS} clients"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_only_fails_is_soon_left_alone() {
    let (first, second, mesh, lost) = under_load(Fault::text(503, "").after(30)).await;
    let calls = (CLIENTS * CALLS_EACH) as u64;
    assert_eq!(lost, 0, "{}", mesh.envoy_log());
    assert_eq!(mesh.stat_sum("upstream_rq_retry_overflow").await.unwrap(), 0);
    assert_eq!(second.counts().requests, calls);
    assert!(first.counts().requests <= calls, "asked {} times", first.counts().requests);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_provider_is_left_alone_and_found_again() {
    let (first, second) = (FaultProxy::without_node().await.unwrap(), FaultProxy::without_node().await.unwrap());
    first.set([Fault::result(json!("first"))]);
    second.set([Fault::result(json!("second"))]);
    let chain = ChainConfig::new("ethereum", 1)
        .line("breaker: {failures: 3, recovery: {min: 200ms, max: 1s}, successes: 2}")
        .provider("first", &first.url("/"))
        .provider("second", &second.url("/"));
    let mesh = Mesh::start(&Config::new().chain(chain)).await.unwrap();
    let ask = || async { mesh.call("ethereum", "eth_gasPrice", json!([])).await.unwrap().result() };
    assert_eq!(ask().await, Some(json!("first")));
    first.door_is(Door::Refusing).await.unwrap();
    wait::until("the breaker to open", Duration::from_secs(10), || async {
        assert_eq!(ask().await, Some(json!("second")));
        let before = mesh.stat_sum("first/http.upstream_cx_connect_fail").await.unwrap();
        assert_eq!(ask().await, Some(json!("second")));
        (mesh.stat_sum("first/http.upstream_cx_connect_fail").await.unwrap() == before).then_some(())
    })
    .await
    .unwrap();
    first.door_is(Door::Open).await.unwrap();
    wait::until("the first to be asked again", Duration::from_secs(15), || async {
        (ask().await? == json!("first")).then_some(())
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trouble_that_moves_about_costs_no_call() {
    let mut providers = Vec::new();
    let mut chain = ChainConfig::new("ethereum", 1);
    for name in ["a", "b", "c"] {
        let provider = FaultProxy::without_node().await.unwrap();
        chain = chain.provider(name, &provider.url("/"));
        providers.push(provider);
    }
    let good = || Fault::result(json!("0x1"));
    let troubles = [
        Fault::answer(Answer::Reset),
        Fault::rpc(-32603, "Internal error"),
        Fault::text(503, ""),
        Fault::text(200, "<html></html>"),
        good().sent(Delivery::reset_after(10)),
        good().sent(Delivery::keep(10)),
        Fault::rpc(-32000, "the stars are not right"),
        good().sent(Delivery::gzip()),
    ];
    let options = Options { concurrency: 2, ..Options::default() };
    for provider in &providers {
        provider.set([good()]);
    }
    let mesh =
        Arc::new(Mesh::start_with(&Config::new().strategy("load-balanced").chain(chain), &options).await.unwrap());
    let stop = Arc::new(AtomicBool::new(false));
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (mesh, stop) = (Arc::clone(&mesh), Arc::clone(&stop));
        clients.spawn(async move {
            let mut calls = (0, Vec::new());
            while !stop.load(Ordering::Relaxed) {
                let answered = mesh.call("ethereum", "eth_gasPrice", json!([])).await;
                let said = answered.map_or_else(|error| format!("{error:#}"), |answered| answered.text());
                calls.0 += 1;
                if !said.contains(r#""result":"0x1""#) {
                    calls.1.push(said);
                }
            }
            calls
        });
    }
    let mut turns = tokio::time::interval(Duration::from_millis(200));
    for (turn, trouble) in troubles.iter().cycle().take(16).enumerate() {
        for (index, provider) in providers.iter().enumerate() {
            provider.set([if turn % 3 == index { trouble.clone() } else { good() }]);
        }
        turns.tick().await;
    }
    stop.store(true, Ordering::Relaxed);
    let ends = clients.join_all().await;
    let calls: usize = ends.iter().map(|(calls, _)| calls).sum();
    let lost: Vec<String> = ends.into_iter().flat_map(|(_, lost)| lost).collect();
    assert!(lost.is_empty() && calls > 500, "{} of {calls} lost, such as {:?}", lost.len(), lost.first());
}
