//! Failover under load: every first attempt fails, no client notices, Envoy's own limits do not bite, connections are kept.

use std::{sync::Arc, time::Duration};

use lasso_tests::{Answer, ChainConfig, Config, Delivery, Door, Fault, FaultProxy, Mesh, Options, wait};
use serde_json::json;

use crate::load::Load;

const CLIENTS: usize = 64;
const CALLS_EACH: usize = 20;
/// A breaker wants to have seen failures for half a second: only a longer load shows that it has opened.
const MANY_CALLS_EACH: usize = 250;

/// The first of two providers fails at every call of [`CLIENTS`] clients.
async fn under_load(fault: Fault, calls_each: usize) -> (FaultProxy, FaultProxy, Mesh) {
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
            let mut lost = Vec::new();
            for _ in 0..calls_each {
                let answered = mesh.call("ethereum", "eth_gasPrice", json!([])).await;
                let said = answered.map_or_else(|error| format!("{error:#}"), |answered| answered.text());
                if !said.contains(r#""result":"0x1""#) {
                    lost.push(said);
                }
            }
            lost
        });
    }
    let lost = clients.join_all().await.concat();
    assert!(lost.is_empty(), "{} lost, such as {:?}\n{}", lost.len(), lost.first(), mesh.envoy_log());
    let mesh = Arc::into_inner(mesh).unwrap();
    (first, second, mesh)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_with_bodies_cost_neither_calls_nor_connections() {
    // An error that blames nobody, so the first provider stays the first.
    let fault = Fault::rpc(-32000, "the stars are not right");
    let (first, second, mesh) = under_load(fault, CALLS_EACH).await;
    let calls = (CLIENTS * CALLS_EACH) as u64;
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
    let (first, second, mesh) = under_load(Fault::text(503, "").after(30), MANY_CALLS_EACH).await;
    let calls = (CLIENTS * MANY_CALLS_EACH) as u64;
    assert_eq!(mesh.stat_sum("upstream_rq_retry_overflow").await.unwrap(), 0);
    assert_eq!(second.counts().requests, calls);
    assert!(first.counts().requests < calls / 4, "asked {} times in {calls} calls", first.counts().requests);
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
    let mesh = Mesh::start_with(&Config::new().strategy("load-balanced").chain(chain), &options).await.unwrap();
    let load = Load::start(16, &mesh.url("/rpc/ethereum"), "eth_gasPrice", &json!([]));
    for (turn, trouble) in troubles.iter().cycle().take(24).enumerate() {
        // Never two in trouble at once, and time for every call to end before trouble moves on.
        providers.iter().for_each(|provider| provider.set([good()]));
        load.more(50).await;
        providers[turn % 3].set([trouble.clone()]);
        load.more(100).await;
    }
    load.end_without_loss().await;
}
