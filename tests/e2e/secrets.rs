//! Nothing that comes out of Lasso holds a provider's path or key.

use std::{process::Command, time::Duration};

use hyper::Method;
use lasso_tests::{
    Answer, ChainConfig, Config, Delivery, Door, Fault, FaultProxy, Mesh, Options, run_within, tools, wait,
};
use serde_json::json;

/// The last two are the client's own.
const CANARIES: [&str; 5] =
    ["canary-path", "canary-query", "canary-header", "canary-client-header", "canary-client-query"];

/// All that Envoy's admin port shows, but `/config_dump` and `/init_dump`: they are the configuration itself, keys and all.
const PAGES: [&str; 11] = [
    "/stats",
    "/stats?format=json",
    "/stats?format=html",
    "/stats/prometheus",
    "/clusters",
    "/clusters?format=json",
    "/listeners?format=json",
    "/server_info",
    "/certs",
    "/runtime",
    "/contention",
];

struct Stand {
    first: FaultProxy,
    second: FaultProxy,
    mesh: Mesh,
    /// Everything that came out so far.
    out: Vec<String>,
}

impl Stand {
    async fn start() -> Self {
        let first = FaultProxy::without_node().await.unwrap();
        let second = FaultProxy::without_node().await.unwrap();
        let secret = |proxy: &FaultProxy| proxy.url("/v2/canary-path?key=canary-query");
        let lines = ["headers: {x-api-key: canary-header}"];
        let chain = ChainConfig::new("ethereum", 1).provider_with("first", &secret(&first), &lines).provider_with(
            "second",
            &secret(&second),
            &lines,
        );
        let options = Options { control_plane: true, ..Options::default() };
        let mesh = Mesh::start_with(&Config::new().chain(chain), &options).await.unwrap();
        Self { first, second, mesh, out: Vec::new() }
    }

    async fn ask(&mut self, path: &str, method: &str) {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": []}).to_string();
        self.ask_with(path, body).await;
    }

    async fn ask_with(&mut self, path: &str, body: String) {
        let headers = [("content-type", "application/json"), ("authorization", "Bearer canary-client-header")];
        let url = self.mesh.url(path);
        let answered = self.mesh.client().send(Method::POST, &url, &headers, body).await.unwrap();
        self.out.push(format!("{:?}\n{}", answered.headers, answered.text()));
    }

    /// Logs and admin pages too, once every request so far is in the access log.
    async fn collect(&mut self) {
        let asked = self.out.len();
        let logged = || self.mesh.access_log().lines().filter(|line| line.contains("\"event\"")).count() >= asked;
        wait::until_true("every request to be in the access log", Duration::from_secs(15), logged).await.unwrap();
        self.out.extend([self.mesh.access_log(), self.mesh.envoy_log(), self.mesh.control_plane_log()]);
        let mut check = Command::new(tools::lasso().unwrap());
        check.arg("check").arg(self.mesh.scratch().file("lasso.yaml"));
        let checked = run_within(Duration::from_secs(20), check).await.unwrap();
        assert!(checked.status.success(), "{checked:?}");
        self.out.push(String::from_utf8_lossy(&[checked.stdout, checked.stderr].concat()).into_owned());
        for page in PAGES {
            self.out.push(self.mesh.admin(page).await.unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_in_nothing_that_comes_out() {
    let mut stand = Stand::start().await;
    let faults = [
        Fault::result(json!("0x1")),
        Fault::rpc(-32603, "Internal error"),
        Fault::text(404, "Cannot POST /somewhere"),
        Fault::text(429, "").header("retry-after", "0"),
        Fault::answer(Answer::Reset),
        Fault::result(json!("0x1")).sent(Delivery::keep(10)),
        Fault::result(json!("0x1")).sent(Delivery::reset_after(10)),
    ];
    for fault in faults {
        stand.first.set([fault.clone()]);
        stand.second.set([fault]);
        for query in ["", "?include_meta=headers", "?include_meta=body", "?provider=first"] {
            stand.ask(&format!("/rpc/ethereum{query}"), "eth_gasPrice").await;
        }
        stand.ask("/rpc/ethereum", "eth_sendRawTransaction").await;
    }
    stand.first.door_is(Door::Refusing).await.unwrap();
    stand.second.door_is(Door::Refusing).await.unwrap();
    for (path, method) in
        [("ethereum", "eth_gasPrice"), ("ethereum", "eth_sendRawTransaction"), ("atlantis", "eth_call")]
    {
        stand.ask(&format!("/rpc/{path}"), method).await;
    }
    let batch = r#"[{"jsonrpc":"2.0","id":1,"method":"eth_gasPrice"},{"jsonrpc":"2.0","id":2,"method":"eth_call"}]"#;
    for body in [batch, "{", "[]", r#"{"jsonrpc":"2.0","id":1,"method":"eth_accounts"}"#] {
        stand.ask_with("/rpc/ethereum", body.to_owned()).await;
    }
    for path in ["/rpc/ethereum?key=canary-client-query&include_meta=headers", "/elsewhere?key=canary-client-query"] {
        stand.ask(path, "eth_gasPrice").await;
    }
    stand.collect().await;
    assert!(
        stand.first.requests().iter().any(|request| request.path.contains("canary-path")),
        "the canary was never in use"
    );
    for text in &stand.out {
        for canary in CANARIES {
            assert!(!text.contains(canary), "{canary} came out in:\n{}", around(text, canary));
        }
    }
}

fn around(text: &str, canary: &str) -> String {
    text.lines().filter(|line| line.contains(canary)).take(3).collect::<Vec<_>>().join("\n")
}
