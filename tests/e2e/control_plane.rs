//! Envoy and the control plane: each without the other, and one control plane for several Envoys.

use std::time::Duration;

use lasso_tests::{ACCOUNT, ChainConfig, Config, Envoy, Fault, FaultProxy, Mesh, Node, Options, Scratch, wait};
use serde_json::json;

use crate::load::Load;

#[tokio::test]
async fn a_rendered_file_serves_without_the_control_plane() {
    let scratch = Scratch::new().unwrap();
    let node = Node::start(31_337, &scratch).await.unwrap();
    let chain = ChainConfig::new("ethereum", 31_337).provider("node", node.url());
    let mesh = Mesh::start(&Config::new().chain(chain)).await.unwrap();
    let answered = mesh.call("ethereum", "eth_getBalance", json!([ACCOUNT, "latest"])).await.unwrap();
    assert_eq!(answered.result(), Some(node.call("eth_getBalance", json!([ACCOUNT, "latest"])).await.unwrap()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_the_control_plane_fails_no_request() {
    let scratch = Scratch::new().unwrap();
    let node = Node::start(31_337, &scratch).await.unwrap();
    let chain =
        ChainConfig::new("ethereum", 31_337).provider("a", node.url()).provider("b", &format!("{}/b", node.url()));
    let options = Options { control_plane: true, concurrency: 2, ..Options::default() };
    let mut mesh = Mesh::start_with(&Config::new().chain(chain), &options).await.unwrap();
    let load = Load::start(16, &mesh.url("/rpc/ethereum"), "eth_getBalance", &json!([ACCOUNT, "latest"]));
    load.more(500).await;
    mesh.kill_control_plane();
    load.more(2_000).await;
    load.end_without_loss().await;
}

async fn good(result: &str) -> FaultProxy {
    let provider = FaultProxy::without_node().await.unwrap();
    provider.set([Fault::result(json!("0x1")).on("eth_chainId"), Fault::result(json!(result))]);
    provider
}

/// All of them take their turns, so that each gets traffic.
fn in_turn(providers: &[(&str, &FaultProxy)]) -> Config {
    let chain = ChainConfig::new("ethereum", 1);
    let chain = providers.iter().fold(chain, |chain, (name, provider)| chain.provider(name, &provider.url("/")));
    Config::new().strategy("round-robin").chain(chain)
}

async fn cluster_requests(envoy: &Envoy, provider: &str) -> u64 {
    envoy.stat_sum(&format!("cluster.lasso/ethereum/{provider}/http.upstream_rq_completed")).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_with_other_providers_loses_no_request() {
    let (stays, goes, comes) = (good("0x1").await, good("0x2").await, good("0x3").await);
    let options = Options { control_plane: true, concurrency: 2, ..Options::default() };
    let before = in_turn(&[("stays", &stays), ("goes", &goes)]);
    let mut mesh = Mesh::start_with(&before, &options).await.unwrap();
    let beside = mesh.own_listener_beside().await.unwrap();
    let ask = |url: String| Load::start(8, &url, "eth_gasPrice", &json!([]));
    let loads = [ask(mesh.url("/rpc/ethereum")), ask(beside.url("/rpc/ethereum"))];
    for load in &loads {
        load.more(300).await;
    }
    for envoy in [mesh.envoy(), &beside] {
        assert!(cluster_requests(envoy, "goes").await > 50, "the provider that goes was never asked");
    }

    mesh.restart_control_plane(&in_turn(&[("stays", &stays), ("comes", &comes)])).unwrap();
    for envoy in [mesh.envoy(), &beside] {
        let asked = || async { (cluster_requests(envoy, "comes").await > 50).then_some(()) };
        wait::until("the new provider to be asked", Duration::from_secs(60), asked).await.unwrap();
        let gone = || async { (!envoy.admin("/clusters").await.ok()?.contains("ethereum/goes")).then_some(()) };
        wait::until("the old provider's cluster to go", Duration::from_secs(90), gone).await.unwrap();
    }
    // What was under way when the cluster went has ended once every client was served again.
    for load in &loads {
        load.more(100).await;
    }
    let so_far = goes.count("eth_gasPrice");
    for load in &loads {
        load.more(1_000).await;
    }
    assert_eq!(goes.count("eth_gasPrice"), so_far, "a removed provider is still asked");
    for load in loads {
        load.end_without_loss().await;
    }
    let log = mesh.control_plane_log();
    let warned = log.lines().find(|line| line.contains("\"WARN\"") && !line.contains("no data_dir"));
    assert_eq!(warned, None, "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_mesh_example_serves_in_envoy() {
    let (first, second) = (good("0x1").await, good("0x2").await);
    first.set([Fault::rpc(-32603, "Internal error")]);
    let chain = ChainConfig::new("ethereum", 1).provider("first", &first.url("/")).provider("second", &second.url("/"));
    let options = Options { control_plane: true, ..Options::default() };
    let mesh = Mesh::start_with(&Config::new().chain(chain), &options).await.unwrap();
    let beside = mesh.own_listener_beside().await.unwrap();
    let answered = beside.call("ethereum", "eth_gasPrice", json!([])).await.unwrap();
    assert_eq!(answered.result(), Some(json!("0x2")), "{}\n{}", answered.text(), beside.log());
    assert_eq!((first.count("eth_gasPrice"), second.count("eth_gasPrice")), (1, 1));
    let refused = beside.call("atlantis", "eth_gasPrice", json!([])).await.unwrap();
    assert_eq!((refused.status, refused.code()), (400, Some(-32602)), "{}", refused.text());
    let elsewhere = beside.client().read(&beside.url("/rpc/ethereum")).await.unwrap();
    assert_eq!(elsewhere.status, 405, "{}", elsewhere.text());
}
