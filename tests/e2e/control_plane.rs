//! Envoy and the control plane: each without the other.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use lasso_tests::{ACCOUNT, ChainConfig, Config, Mesh, Node, Options, Scratch, wait};
use serde_json::json;

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
    let (stop, served, lost) =
        (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (stop, served, lost) = (Arc::clone(&stop), Arc::clone(&served), Arc::clone(&lost));
        let (client, url) = (mesh.client().clone(), mesh.url("/rpc/ethereum"));
        clients.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let answered = client.call(&url, "eth_getBalance", json!([ACCOUNT, "latest"])).await;
                let good = answered.is_ok_and(|answered| answered.result().is_some());
                if good { &served } else { &lost }.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let more = |than: u64| {
        let served = Arc::clone(&served);
        async move {
            let what = format!("more than {than} requests to be served");
            wait::until_true(&what, Duration::from_secs(30), || served.load(Ordering::Relaxed) > than).await.unwrap();
        }
    };
    more(500).await;
    mesh.kill_control_plane();
    more(served.load(Ordering::Relaxed) + 2_000).await;
    stop.store(true, Ordering::Relaxed);
    clients.join_all().await;
    assert_eq!(lost.load(Ordering::Relaxed), 0, "of {}: {}", served.load(Ordering::Relaxed), mesh.envoy_log());
}
