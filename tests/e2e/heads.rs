//! Who is behind, who lies, and who is somewhere else.

use std::time::Duration;

use lasso_tests::{ChainConfig, Config, Fault, FaultProxy, Mesh, Options, wait};
use serde_json::{Value, json};

use crate::pace::{at_block, both};

const SECOND: Duration = Duration::from_secs(1);

async fn provider(name: &str, head: u64) -> FaultProxy {
    let provider = FaultProxy::without_node().await.unwrap();
    provider.set(at_block(name, 0, head));
    provider
}

/// Asked in this order.
async fn mesh(providers: &[(&str, &FaultProxy)]) -> Mesh {
    let chain = ChainConfig::new("ethereum", 1).line("block_time: 2s");
    let chain = providers.iter().fold(chain, |chain, (name, provider)| chain.provider(name, &provider.url("/")));
    let options = Options { control_plane: true, ..Options::default() };
    Mesh::start_with(&Config::new().chain(chain), &options).await.unwrap()
}

async fn balance_at(mesh: &Mesh, block: Value) -> String {
    let answered = mesh.call("ethereum", "eth_getBalance", json!([lasso_tests::ACCOUNT, block])).await.unwrap();
    answered.result().and_then(|result| Some(result.as_str()?.to_owned())).unwrap_or_else(|| answered.text())
}

async fn until_it_is(mesh: &Mesh, block: Value, who: &str) {
    let look = || async { (balance_at(mesh, block.clone()).await == who).then_some(()) };
    wait::until(&format!("{who} to be asked for {block}"), 10 * SECOND, look).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_behind_is_not_asked_for_what_it_lacks() {
    let (behind, abreast, best) =
        (provider("behind", 980).await, provider("abreast", 1_000).await, provider("best", 1_000).await);
    let mesh = mesh(&[("behind", &behind), ("abreast", &abreast), ("best", &best)]).await;
    until_it_is(&mesh, json!("latest"), "abreast").await;
    for (block, who) in [(json!("latest"), "abreast"), (json!("0x3e0"), "abreast"), (json!("pending"), "abreast")] {
        for _ in 0..20 {
            assert_eq!(balance_at(&mesh, block.clone()).await, who, "{block}");
        }
    }
    behind.set(at_block("behind", 0, 1_000));
    until_it_is(&mesh, json!("latest"), "behind").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_claims_blocks_that_nobody_can_read_makes_nobody_late() {
    let (a, b, liar) = (provider("a", 1_000).await, provider("b", 1_000).await, provider("liar", 2_000).await);
    let unreadable = Fault::result(Value::Null).on("eth_getBlockByNumber");
    liar.set(both(unreadable, at_block("liar", 0, 2_000)));
    let mesh = mesh(&[("a", &a), ("b", &b), ("liar", &liar)]).await;
    let heads = |text: &str| text.contains("2000");
    let seen = || async { heads(&mesh.api("/api/chains").await.ok()?.to_string()).then_some(()) };
    wait::until("the liar's head to be seen", 10 * SECOND, seen).await.unwrap();
    for _ in 0..50 {
        assert_eq!(balance_at(&mesh, json!("latest")).await, "a");
    }
    let agreed =
        || async { mesh.api("/api/chains").await.ok()?.to_string().contains("\"best_head\":1000").then_some(()) };
    wait::until("the head that the others agree on", 10 * SECOND, agreed).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_serves_another_chain_never_serves() {
    let (stranger, own) = (provider("stranger", 1_000).await, provider("own", 1_000).await);
    let elsewhere = Fault::result(json!("0x89")).on("eth_chainId");
    stranger.set(both(elsewhere, at_block("stranger", 0, 1_000)));
    let mesh = mesh(&[("stranger", &stranger), ("own", &own)]).await;
    until_it_is(&mesh, json!("latest"), "own").await;
    for _ in 0..50 {
        assert_eq!(balance_at(&mesh, json!("latest")).await, "own");
    }
    let pinned = mesh.post("/rpc/provider/stranger/ethereum", r#"{"jsonrpc":"2.0","id":1,"method":"eth_gasPrice"}"#);
    let pinned = pinned.await.unwrap();
    assert_eq!(pinned.code(), Some(-32000), "{}", pinned.text());
    assert!(pinned.text().contains("chain"), "{}", pinned.text());
    stranger.set(at_block("stranger", 0, 1_000));
    // It is asked for its chain once a minute.
    let back = || async { (balance_at(&mesh, json!("latest")).await == "stranger").then_some(()) };
    wait::until("it to serve when it is right", 90 * SECOND, back).await.unwrap();
}
