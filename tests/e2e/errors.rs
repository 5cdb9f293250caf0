//! What Lasso says by itself: errors, local answers, refusals. Each carries the client's own id and asks no provider.

use std::time::Duration;

use hyper::Method;
use lasso_tests::{Answer, ChainConfig, Config, Door, Fault, FaultProxy, Mesh, wait};
use serde_json::{Value, json};

struct Stand {
    provider: FaultProxy,
    mesh: Mesh,
}

impl Stand {
    async fn start() -> Self {
        let provider = FaultProxy::without_node().await.unwrap();
        provider.set([Fault::result(json!("asked"))]);
        let chain = ChainConfig::new("ethereum", 31_337).line("aliases: [mainnet]").line("hosts: [eth.example.com]");
        let config = Config::new()
            .chain(chain.provider("main", &provider.url("/v2/key")))
            .profile_line("methods: {block: [debug_*], allow: [eth_coinbase]}");
        Self { mesh: Mesh::start(&config).await.unwrap(), provider }
    }

    /// Status and body of a POST; no provider may have been asked.
    async fn refused(&self, path: &str, body: &str) -> (u16, Value) {
        self.provider.heal();
        self.provider.set([Fault::result(json!("asked"))]);
        let answered = self.mesh.post(path, body.to_owned()).await.unwrap();
        assert_eq!(self.provider.counts().requests, 0, "a provider was asked {body}");
        (answered.status, answered.json())
    }
}

fn call(method: &str) -> String {
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": []}).to_string()
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_with_the_right_code() {
    let ok = call("eth_gasPrice");
    let many = format!("[{}]", vec![ok.as_str(); 1_001].join(","));
    let table = [
        ("not JSON", "/rpc/ethereum", "{".to_owned(), 400, -32700),
        ("nothing", "/rpc/ethereum", String::new(), 400, -32700),
        ("a number", "/rpc/ethereum", "7".to_owned(), 200, -32600),
        ("a string", "/rpc/ethereum", "\"x\"".to_owned(), 200, -32600),
        ("another version", "/rpc/ethereum", r#"{"jsonrpc":"1.0","id":1,"method":"a"}"#.to_owned(), 200, -32600),
        ("no method", "/rpc/ethereum", r#"{"jsonrpc":"2.0","id":1}"#.to_owned(), 200, -32600),
        ("an empty batch", "/rpc/ethereum", "[]".to_owned(), 200, -32600),
        ("a batch too long", "/rpc/ethereum", many, 200, -32600),
        ("an unknown chain", "/rpc/atlantis", ok.clone(), 400, -32602),
        ("an unknown provider", "/rpc/provider/nobody/ethereum", ok.clone(), 400, -32602),
        ("an unknown provider after the chain", "/rpc/ethereum/nobody", ok.clone(), 400, -32602),
        ("an unknown strategy", "/rpc/ethereum?strategy=luck", ok.clone(), 400, -32602),
        ("a bad query value", "/rpc/ethereum?max_lag_blocks=few", ok.clone(), 400, -32602),
        ("an unknown profile", "/rpc/profile/secret/ethereum", ok, 404, -32602),
        ("a blocked method", "/rpc/ethereum", call("eth_sendTransaction"), 200, -32601),
        ("a method blocked by pattern", "/rpc/ethereum", call("personal_unlockAccount"), 200, -32601),
        ("a method the profile blocks", "/rpc/ethereum", call("debug_traceCall"), 200, -32601),
        ("a subscription over HTTP", "/rpc/ethereum", call("eth_subscribe"), 200, -32601),
    ];
    let stand = Stand::start().await;
    let mut wrong = Vec::new();
    for (name, path, body, status, code) in table {
        let (seen, reply) = stand.refused(path, &body).await;
        let id = if body.contains("\"id\":1") && !body.starts_with('[') { json!(1) } else { Value::Null };
        let right = seen == status && reply["error"]["code"] == code && reply["id"] == id && reply["jsonrpc"] == "2.0";
        if !right {
            wrong.push(format!("{name}: {seen} {reply}, expected {status} {code}, id {id}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn errors_name_what_exists_and_where_to_go() {
    let stand = Stand::start().await;
    let ok = call("eth_gasPrice");
    let (_, chain) = stand.refused("/rpc/atlantis", &ok).await;
    assert!(chain["error"]["message"].as_str().is_some_and(|text| text.contains("ethereum")), "{chain}");
    let (_, provider) = stand.refused("/rpc/ethereum/nobody", &ok).await;
    assert!(provider["error"]["message"].as_str().is_some_and(|text| text.contains("main")), "{provider}");
    let (_, socket) = stand.refused("/rpc/ethereum", &call("eth_subscribe")).await;
    assert!(
        socket["error"]["data"]["websocket_url"].as_str().is_some_and(|url| url.contains("/ws/rpc/ethereum")),
        "{socket}"
    );
}

#[tokio::test]
async fn an_id_comes_back_byte_for_byte() {
    let ids = [
        "1",
        "0",
        "-5",
        "18446744073709551617",
        "1.50",
        "1e3",
        "\"a\"",
        "\"\\u0061\\n\"",
        "\"ключ\"",
        "null",
        "\"\"",
        "340282366920938463463374607431768211456",
    ];
    let stand = Stand::start().await;
    for id in ids {
        for method in ["eth_chainId", "eth_sendTransaction", "eth_gasPrice"] {
            let body = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"{method}\",\"params\":[]}}");
            let text = stand.mesh.post("/rpc/ethereum", body).await.unwrap().text();
            assert!(text.contains(&format!("\"id\":{id}")), "{method} with id {id}: {text}");
        }
    }
}

#[tokio::test]
async fn the_chain_is_known_here() {
    let stand = Stand::start().await;
    for path in [
        "/rpc/ethereum",
        "/rpc/mainnet",
        "/rpc/31337",
        "/rpc/fastest/ethereum",
        "/rpc/profile/public/ethereum",
        "/rpc/profile/default/ethereum",
    ] {
        let (status, reply) = stand.refused(path, &call("eth_chainId")).await;
        assert_eq!((status, &reply["result"]), (200, &json!("0x7a69")), "{path}: {reply}");
        let (_, reply) = stand.refused(path, &call("net_version")).await;
        assert_eq!(reply["result"], "31337", "{path}: {reply}");
    }
    let pinned = stand.mesh.post("/rpc/provider/main/ethereum", call("eth_chainId")).await.unwrap();
    assert_eq!(
        (pinned.result(), stand.provider.counts().requests),
        (Some(json!("asked")), 1),
        "a pinned provider answers itself"
    );
}

#[tokio::test]
async fn a_host_may_stand_for_a_chain() {
    let stand = Stand::start().await;
    let url = stand.mesh.url("/");
    let client = stand.mesh.client();
    let ours = client.send(Method::POST, &url, &[("host", "eth.example.com")], call("eth_chainId")).await.unwrap();
    assert_eq!(ours.result(), Some(json!("0x7a69")), "{}", ours.text());
    let strange =
        client.send(Method::POST, &url, &[("host", "nobody.example.com")], call("eth_chainId")).await.unwrap();
    assert!(strange.status >= 400, "{} {}", strange.status, strange.text());
}

#[tokio::test]
async fn only_post_is_understood() {
    let stand = Stand::start().await;
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::HEAD] {
        let answered =
            stand.mesh.client().send(method.clone(), &stand.mesh.url("/rpc/ethereum"), &[], "").await.unwrap();
        assert_eq!((answered.status, answered.header("allow")), (405, Some("POST")), "{method}");
    }
    let health = stand.mesh.client().read(&stand.mesh.url("/healthz")).await.unwrap();
    assert_eq!((health.status, health.text().trim()), (200, "ok"));
    assert_eq!(stand.provider.counts().requests, 0);
}

#[tokio::test]
async fn a_notification_is_done_and_not_answered() {
    let stand = Stand::start().await;
    let answered = stand.mesh.post("/rpc/ethereum", r#"{"jsonrpc":"2.0","method":"eth_gasPrice"}"#).await.unwrap();
    assert_eq!((answered.status, answered.text().as_str()), (204, ""));
    let asked = || stand.provider.count("eth_gasPrice") == 1;
    wait::until_true("the provider to be asked", Duration::from_secs(5), asked).await.unwrap();
    let named =
        stand.mesh.post("/rpc/ethereum", r#"{"jsonrpc":"2.0","id":null,"method":"eth_gasPrice"}"#).await.unwrap();
    assert_eq!(
        (named.status, &named.json()["id"]),
        (200, &Value::Null),
        "id null is not a notification: {}",
        named.text()
    );
}

/// A chain of two; the methods that clients wait for have short deadlines.
async fn pair() -> ([FaultProxy; 2], Mesh) {
    let providers = [FaultProxy::without_node().await.unwrap(), FaultProxy::without_node().await.unwrap()];
    let chain = ChainConfig::new("ethereum", 1)
        .line("breaker: {failures: 3, recovery: {min: 30s, max: 30s}}")
        .provider("first", &providers[0].url("/"))
        .provider("second", &providers[1].url("/"));
    let config = Config::new().chain(chain).profile_line("methods: {timeouts: {eth_call: 400ms}}");
    let mesh = Mesh::start(&config).await.unwrap();
    (providers, mesh)
}

#[tokio::test]
async fn a_chain_without_a_channel_left_says_why_and_when_to_ask_again() {
    let (providers, mesh) = pair().await;
    for provider in &providers {
        provider.door_is(Door::Refusing).await.unwrap();
    }
    let mesh = &mesh;
    let none_left = || async move {
        let reply = mesh.call("ethereum", "eth_gasPrice", json!([])).await.unwrap();
        assert_eq!((reply.status, reply.code()), (200, Some(-32000)), "{}", reply.text());
        let error = reply.error().unwrap();
        let left = error["message"] == "no channel can serve eth_gasPrice on ethereum";
        assert!(left || reply.text().contains("attempts failed for eth_gasPrice on ethereum"), "{error}");
        left.then_some(error)
    };
    let error = wait::until("both breakers to open", Duration::from_secs(20), none_left).await.unwrap();
    let reasons = error["data"]["reasons"].as_object().unwrap_or_else(|| panic!("no reasons: {error}"));
    let channels: Vec<&str> = reasons.keys().map(String::as_str).collect();
    assert_eq!(channels, ["ethereum/first/http", "ethereum/second/http"], "{error}");
    for reason in reasons.values() {
        assert!(reason.as_str().is_some_and(|reason| reason.contains("breaker")), "{error}");
    }
    let retry_after = error["data"]["retry_after_ms"].as_u64();
    assert!(retry_after.is_some_and(|ms| (1..=32_000).contains(&ms)), "{error}");
}

#[tokio::test]
async fn a_deadline_says_how_long_and_how_often_was_tried() {
    let (providers, mesh) = pair().await;
    for provider in &providers {
        provider.set([Fault::answer(Answer::Hang)]);
    }
    let reply = mesh.call("ethereum", "eth_call", json!([{}, "latest"])).await.unwrap();
    assert_eq!((reply.status, reply.code()), (200, Some(-32000)), "{}", reply.text());
    let message = reply.error().unwrap()["message"].as_str().unwrap().to_owned();
    let figures = message.strip_prefix("deadline exhausted after ").and_then(|rest| rest.strip_suffix(" attempts"));
    let (ms, attempts) = figures.and_then(|figures| figures.split_once("ms, ")).unwrap_or_else(|| panic!("{message}"));
    // Each of two attempts gets 30 % of the deadline.
    assert!(ms.parse().is_ok_and(|ms: u64| (240..3_000).contains(&ms)), "{message}");
    let asked: u64 = providers.iter().map(|provider| provider.counts().requests).sum();
    assert_eq!(attempts.parse(), Ok(asked), "{message}");
}

#[tokio::test]
async fn a_provider_that_is_excluded_is_asked_when_nobody_else_is_there() {
    let stand = Stand::start().await;
    let path = "/rpc/ethereum?exclude=main&include_meta=body";
    let reply = stand.mesh.post(path, call("eth_gasPrice")).await.unwrap().json();
    assert_eq!(reply["result"], "asked", "{reply}");
    assert_eq!(reply["lasso_meta"]["selection_reason"], "degraded", "{reply}");
}
