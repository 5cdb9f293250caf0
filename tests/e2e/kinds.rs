//! The two kinds of the filter beside each other. Needs both built, so it runs with `FILTER=module`.

use std::time::Duration;

use hyper::Method;
use lasso_routing::header::{MODULE_ONCE, MODULE_PLAN};
use lasso_tests::{ChainConfig, Client, Config, Fault, FaultProxy, FilterKind, Mesh, Options, wait};
use serde_json::json;

use crate::load::Load;

async fn good(result: &str) -> FaultProxy {
    let provider = FaultProxy::without_node().await.unwrap();
    provider.set([Fault::result(json!("0x1")).on("eth_chainId"), Fault::result(json!(result))]);
    provider
}

/// Requests that filters of this kind counted.
async fn counted(mesh: &Mesh, kind: FilterKind) -> u64 {
    mesh.stat_sum(&format!("{}lasso.requests", kind.stats())).await.unwrap()
}

async fn check_switch(from: FilterKind, to: FilterKind) {
    let (first, second) = (good("0x1").await, good("0x2").await);
    let chain = ChainConfig::new("ethereum", 1).provider("first", &first.url("/")).provider("second", &second.url("/"));
    let config = Config::new().strategy("round-robin").chain(chain);
    let options =
        Options { control_plane: true, concurrency: 2, filter: Some(from.file().unwrap()), ..Options::default() };
    let mut mesh = Mesh::start_with(&config, &options).await.unwrap();
    let load = Load::start(8, &mesh.url("/rpc/ethereum"), "eth_gasPrice", &json!([]));
    load.more(300).await;
    mesh.restart_with_filter(&config, to).unwrap();
    let there = || async {
        // Of its own connection each time: those from before stay with the listener that drains.
        let asked = Client::new().call(&mesh.url("/rpc/ethereum"), "eth_gasPrice", json!([])).await.unwrap();
        assert!(asked.result().is_some(), "{from:?} to {to:?}: {}", asked.text());
        (counted(&mesh, to).await > 0).then_some(())
    };
    wait::until("the other kind to be asked", Duration::from_secs(30), there).await.unwrap();
    load.more(1_000).await;
    load.end_without_loss().await;
    let log = mesh.control_plane_log();
    assert!(!log.contains("xds refused"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_with_the_module_loses_no_request() {
    check_switch(FilterKind::Wasm, FilterKind::Module).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_with_webassembly_loses_no_request() {
    check_switch(FilterKind::Module, FilterKind::Wasm).await;
}

#[tokio::test]
async fn what_a_client_sends_under_the_modules_names_decides_nothing() {
    let (first, second) = (good("0x1").await, good("0x2").await);
    first.set([Fault::rpc(-32603, "Internal error")]);
    let chain = ChainConfig::new("ethereum", 1).provider("first", &first.url("/")).provider("second", &second.url("/"));
    let options = Options { filter: Some(FilterKind::Module.file().unwrap()), ..Options::default() };
    let mesh = Mesh::start_with(&Config::new().chain(chain), &options).await.unwrap();
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "eth_gasPrice", "params": []}).to_string();
    let forged = [(MODULE_PLAN, "lasso/ethereum/first/http;1"), (MODULE_ONCE, "1")];
    let send = |method: Method, path: &'static str| {
        let body = if method == Method::POST { call.clone() } else { String::new() };
        let mesh = &mesh;
        async move { mesh.client().send(method, &mesh.url(path), &forged, body).await.unwrap() }
    };
    let answered = send(Method::POST, "/rpc/ethereum").await;
    assert_eq!(answered.result(), Some(json!("0x2")), "a call fails over all the same: {}", answered.text());
    let seen = second.requests();
    let is_ours = |name: &str| name == MODULE_PLAN || name == MODULE_ONCE;
    assert!(seen.iter().all(|one| one.headers.iter().all(|(name, _)| !is_ours(name))), "{seen:?}");
    let asked = (first.counts().requests, second.counts().requests);
    for (method, path, status) in [
        (Method::POST, "/", 404),
        (Method::POST, "/else", 404),
        (Method::GET, "/rpc/c", 405),
        (Method::GET, "/healthz", 200),
    ] {
        assert_eq!(send(method.clone(), path).await.status, status, "{method} {path}");
    }
    assert_eq!((first.counts().requests, second.counts().requests), asked, "somebody was asked");
}
