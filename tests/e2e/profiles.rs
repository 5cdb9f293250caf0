//! Profiles: rules and providers of their own behind one listener.

use lasso_tests::{ChainConfig, Config, Door, Fault, FaultProxy, Mesh};
use serde_json::json;

const WRITE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"eth_sendRawTransaction","params":["0x02"]}"#;
const READ: &str = r#"{"jsonrpc":"2.0","id":1,"method":"eth_gasPrice","params":[]}"#;

async fn saying(result: &str) -> FaultProxy {
    let provider = FaultProxy::without_node().await.unwrap();
    provider.set([Fault::result(json!(result))]);
    provider
}

/// Three providers, and writes go to two of them.
struct Stand {
    providers: [FaultProxy; 3],
    mesh: Mesh,
}

impl Stand {
    async fn start() -> Self {
        let providers = [saying("0xa").await, saying("0xb").await, saying("0xc").await];
        let mut chain = ChainConfig::new("ethereum", 1);
        for (name, provider) in ["a", "b", "c"].into_iter().zip(&providers) {
            chain = chain.provider(name, &provider.url("/"));
        }
        let config = Config::new().profile_line("methods: {broadcast: 2}").chain(chain);
        Self { mesh: Mesh::start(&config).await.unwrap(), providers }
    }

    fn writes(&self) -> [u64; 3] {
        [0, 1, 2].map(|index: usize| self.providers[index].count("eth_sendRawTransaction"))
    }
}

#[tokio::test]
async fn a_transaction_goes_to_as_many_providers_as_broadcast_says_and_the_first_success_wins() {
    let slow = || Fault::result(json!("0xa")).after(600);
    let table = [
        ("the first is slow", slow(), Fault::result(json!("0xb")), "0xb"),
        ("the second is slow", Fault::result(json!("0xa")), Fault::result(json!("0xb")).after(600), "0xa"),
        ("the first refuses", Fault::rpc(-32000, "nonce too low"), Fault::result(json!("0xb")).after(100), "0xb"),
        ("the second fails", slow(), Fault::text(503, ""), "0xa"),
    ];
    for (what, first, second, winner) in table {
        let stand = Stand::start().await;
        stand.providers[0].set([first]);
        stand.providers[1].set([second]);
        let answered = stand.mesh.post("/rpc/ethereum", WRITE).await.unwrap();
        assert_eq!(answered.result(), Some(json!(winner)), "{what}: {}", answered.text());
        assert_eq!(stand.writes(), [1, 1, 0], "{what}");
    }
}

#[tokio::test]
async fn a_copy_that_never_left_goes_to_the_next_provider() {
    let stand = Stand::start().await;
    stand.providers[0].door_is(Door::Refusing).await.unwrap();
    stand.providers[1].set([Fault::rpc(-32000, "nonce too low")]);
    let answered = stand.mesh.post("/rpc/ethereum", WRITE).await.unwrap();
    assert_eq!(answered.result(), Some(json!("0xc")), "{}", answered.text());
    assert_eq!(stand.writes(), [0, 1, 1]);
}

#[tokio::test]
async fn profiles_on_one_listener_have_their_own_providers_and_rules() {
    let [ours, theirs, spare] = [saying("public").await, saying("premium").await, saying("spare").await];
    let config = Config::new()
        .profile_line("methods: {block: [debug_*]}")
        .chain(ChainConfig::new("ethereum", 1).provider("main", &ours.url("/")))
        .profile("premium")
        .profile_line("methods: {broadcast: 2}")
        .chain(ChainConfig::new("ethereum", 1).provider("main", &theirs.url("/")).provider("spare", &spare.url("/")))
        .chain(ChainConfig::new("base", 8_453).provider("main", &theirs.url("/base")));
    let mesh = Mesh::start(&config).await.unwrap();
    let table = [
        ("/rpc/ethereum", "public"),
        ("/rpc/profile/public/ethereum", "public"),
        ("/rpc/profile/premium/ethereum", "premium"),
        ("/rpc/profile/premium/1", "premium"),
        ("/rpc/profile/premium/ethereum/spare", "spare"),
        ("/rpc/profile/premium/base", "premium"),
    ];
    for (path, who) in table {
        let answered = mesh.post(path, READ).await.unwrap();
        assert_eq!(answered.result(), Some(json!(who)), "{path}: {}", answered.text());
    }
    let refused = mesh.post("/rpc/base", READ).await.unwrap();
    assert_eq!(
        (refused.status, refused.code()),
        (400, Some(-32602)),
        "a chain of the other profile: {}",
        refused.text()
    );

    let debug = READ.replace("eth_gasPrice", "debug_traceCall");
    assert_eq!(mesh.post("/rpc/ethereum", debug.clone()).await.unwrap().code(), Some(-32601));
    assert_eq!(mesh.post("/rpc/profile/premium/ethereum", debug).await.unwrap().result(), Some(json!("premium")));

    for provider in [&ours, &theirs, &spare] {
        assert_eq!(provider.count("eth_sendRawTransaction"), 0);
    }
    assert!(mesh.post("/rpc/ethereum", WRITE).await.unwrap().result().is_some());
    assert!(mesh.post("/rpc/profile/premium/ethereum", WRITE).await.unwrap().result().is_some());
    let writes = [&ours, &theirs, &spare].map(|provider| provider.count("eth_sendRawTransaction"));
    assert_eq!(writes, [1, 1, 1], "one provider by the public profile, two by the other");
}
