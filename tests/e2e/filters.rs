//! Filter ids belong to the provider that made them.

use lasso_tests::{ChainConfig, Config, FaultProxy, Mesh, Node, Scratch};
use serde_json::json;

#[tokio::test]
async fn a_filter_is_asked_where_it_was_made() {
    let scratch = Scratch::new().unwrap();
    let nodes = [Node::start(31_337, &scratch).await.unwrap(), Node::start(31_338, &scratch).await.unwrap()];
    let providers =
        [FaultProxy::start(nodes[0].url()).await.unwrap(), FaultProxy::start(nodes[1].url()).await.unwrap()];
    let chain =
        ChainConfig::new("ethereum", 1).provider("a", &providers[0].url("/")).provider("b", &providers[1].url("/"));
    let mesh = Mesh::start(&Config::new().chain(chain)).await.unwrap();
    for owner in [0, 1] {
        let url = mesh.url(&format!("/rpc/ethereum?exclude={}", ["b", "a"][owner]));
        let id = mesh.client().call(&url, "eth_newBlockFilter", json!([])).await.unwrap().result().unwrap();
        nodes[owner].mine(2).await.unwrap();
        let before = providers[1 - owner].counts().requests;
        let changes = mesh.call("ethereum", "eth_getFilterChanges", json!([id])).await.unwrap();
        assert_eq!(changes.result().and_then(|hashes| hashes.as_array().map(Vec::len)), Some(2), "{}", changes.text());
        let gone = mesh.call("ethereum", "eth_uninstallFilter", json!([id])).await.unwrap();
        assert_eq!(gone.result(), Some(json!(true)), "{}", gone.text());
        assert_eq!(providers[1 - owner].counts().requests, before, "the other provider was asked");
    }
    let unknown = mesh.call("ethereum", "eth_getFilterChanges", json!(["0x1"])).await.unwrap();
    assert!(unknown.error().is_some(), "{}", unknown.text());
}
