//! Every way a provider fails, and what the client sees of it: nothing, while one provider is good.
//!
//! Each row has providers of its own and three chains over them: two bad ones before a good one, three bad ones before a good one
//! (for what fails fast), and bad ones only. `priority` makes the good one the last to be asked.

use std::sync::Arc;

use lasso_tests::{
    ACCOUNT, Answer, ChainConfig, Client, Config, Delivery, Door, Fault, FaultProxy, Mesh, Node, Scratch,
};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

/// Rows at work at once: more would be slow for want of processors and look like timeouts.
const AT_ONCE: usize = 4;

/// One way to fail.
struct Row {
    name: &'static str,
    bad: Bad,
    /// Whether a whole failure takes less than 100 ms, so that more than three providers may be asked.
    fast: bool,
    /// What the client must see when all providers fail so; absent: some error of ours, -32000.
    own_error: Option<Value>,
}

enum Bad {
    Fault(Box<Fault>),
    Door(Door),
}

fn row(name: &'static str, fault: Fault) -> Row {
    let own_error = match &fault.answer {
        Answer::Error { error, .. } if !fault.delivery.gzip => Some(error.clone()),
        Answer::Error { .. }
        | Answer::Node
        | Answer::Text { .. }
        | Answer::Result(_)
        | Answer::Large(_)
        | Answer::Hang
        | Answer::Reset => None,
    };
    Row { name, bad: Bad::Fault(Box::new(fault)), fast: true, own_error }
}

fn slow(name: &'static str, bad: Bad) -> Row {
    Row { name, bad, fast: false, own_error: None }
}

fn connections() -> Vec<Row> {
    vec![
        Row { name: "connection refused", bad: Bad::Door(Door::Refusing), fast: true, own_error: None },
        slow("accepted, never read", Bad::Door(Door::Deaf)),
        slow("machine gone", Bad::Door(Door::Gone)),
        slow("never answered", Bad::Fault(Box::new(Fault::answer(Answer::Hang)))),
        row("reset before headers", Fault::answer(Answer::Reset)),
        row("reset in the head of the body", Fault::text(200, GOOD).sent(Delivery::reset_after(20))),
        row("closed in the body", Fault::text(200, GOOD).sent(Delivery::close_after(20))),
        row(
            "chunked body that stops",
            Fault::text(200, GOOD).sent(Delivery { chunked: true, ..Delivery::close_after(20) }),
        ),
    ]
}

const GOOD: &str = r#"{"jsonrpc":"2.0","id":$ID,"result":"0x539"}"#;
const HTML: &str = "<!DOCTYPE html><html><body><h1>Attention required</h1></body></html>";

fn statuses() -> Vec<Row> {
    let limited = r#"{"jsonrpc":"2.0","id":$ID,"error":{"code":-32005,"message":"slow down"}}"#;
    vec![
        row("429 without a body", Fault::text(429, "")),
        row("429 with a JSON body", Fault::rpc_under(429, 429, "Too Many Requests")),
        row("429 with Retry-After", Fault::text(429, "").header("retry-after", "30")),
        row("429 with a body and Retry-After", Fault::text(429, limited).header("retry-after", "30")),
        row("500 without a body", Fault::text(500, "")),
        row("500 with an internal error", Fault::rpc_under(500, -32603, "Internal error")),
        row("502 with HTML", Fault::text(502, HTML)),
        row("503 without a body", Fault::text(503, "")),
        row("503 with plain text", Fault::text(503, "no healthy upstream")),
        row("504 without a body", Fault::text(504, "")),
        row("401 with HTML", Fault::text(401, HTML)),
        row("401 with JSON", Fault::rpc_under(401, -32000, "Must be authenticated!")),
        row("402 with text", Fault::text(402, "Payment required")),
        row("403 with HTML", Fault::text(403, HTML)),
        row("404 without a body", Fault::text(404, "")),
        row("405 without a body", Fault::text(405, "")),
        row("408 without a body", Fault::text(408, "")),
        row("a redirect", Fault::text(302, "").header("location", "http://127.0.0.1:9/")),
    ]
}

fn errors() -> Vec<Row> {
    vec![
        row("header not found", Fault::rpc(-32000, "header not found")),
        row("missing trie node", Fault::rpc(-32000, "missing trie node 1234 (path )")),
        row("tag not supported", Fault::rpc(-32000, "safe block not found")),
        row("account over its month", Fault::rpc(-32000, "monthly capacity limit exceeded")),
        row("rate limit by code", Fault::rpc(-32005, "slow down")),
        row("rate limit by text", Fault::rpc(-32000, "rate limit reached")),
        row("key is wrong", Fault::rpc(-32000, "invalid api key")),
        row("method not found", Fault::rpc(-32601, "the method eth_getBalance does not exist/is not available")),
        row("method not in the plan", Fault::rpc(-32000, "upgrade to paid plan")),
        row("node timeout", Fault::rpc(-32000, "execution timeout")),
        row("please retry", Fault::rpc(-32000, "temporarily unavailable, please retry")),
        row("dialect", Fault::rpc(-32000, "invalid type: map, expected BlockNumber")),
        row("internal error", Fault::rpc(-32603, "Internal error")),
        row("internal error in chunks", Fault::rpc(-32603, "Internal error").sent(Delivery::chunked())),
        row("internal error in two parts", Fault::rpc(-32603, "Internal error").sent(Delivery::two_parts(30))),
        row("unknown error", Fault::rpc(-32000, "the stars are not right")),
        row("error with data", Fault::rpc_with_data(-32603, "Internal error", json!({"trace": ["a", 1, null]}))),
        row("error compressed unasked", Fault::rpc(-32603, "Internal error").sent(Delivery::gzip())),
    ]
}

fn bodies() -> Vec<Row> {
    vec![
        row("200 with HTML", Fault::text(200, HTML)),
        row("200 without a body", Fault::text(200, "")),
        row("200 with text", Fault::text(200, "ok")),
        row("cut JSON, right length", Fault::text(200, GOOD).sent(Delivery::keep(30))),
        row(
            "result and error",
            Fault::text(200, r#"{"jsonrpc":"2.0","id":$ID,"result":"0x1","error":{"code":-32603,"message":"x"}}"#),
        ),
        row("neither result nor error", Fault::text(200, r#"{"jsonrpc":"2.0","id":$ID}"#)),
        row("bytes after the reply", Fault::text(200, r#"{"jsonrpc":"2.0","id":$ID,"result":"0x1"}{"#)),
        row("another id", Fault::text(200, r#"{"jsonrpc":"2.0","id":987654,"result":"0x1"}"#)),
        row("an array", Fault::text(200, r#"[{"jsonrpc":"2.0","id":$ID,"result":"0x1"}]"#)),
        row("another version", Fault::text(200, r#"{"jsonrpc":"1.0","id":$ID,"result":"0x1"}"#)),
        row("truth compressed unasked", Fault::text(200, GOOD).sent(Delivery::gzip())),
    ]
}

/// A row with its providers: three bad ones and a good one.
struct Stand {
    row: Row,
    index: u64,
    bad: Vec<FaultProxy>,
    good: FaultProxy,
}

impl Stand {
    async fn build(index: u64, row: Row, node: &Node) -> Self {
        let mut bad = Vec::new();
        for _ in 0..3 {
            let proxy = FaultProxy::start(node.url()).await.unwrap();
            match &row.bad {
                Bad::Fault(fault) => proxy.set([Fault::clone(fault)]),
                Bad::Door(door) => proxy.door_is(*door).await.unwrap(),
            }
            bad.push(proxy);
        }
        Self { row, index, bad, good: FaultProxy::start(node.url()).await.unwrap() }
    }

    fn chain(&self, kind: &str) -> String {
        format!("row{}-{kind}", self.index)
    }

    /// `bad` bad providers, then the good one if it is wanted. The path tells the chains apart at the providers.
    fn config(&self, kind: &str, number: u64, bad: usize, good: bool) -> ChainConfig {
        let path = format!("/{}", self.chain(kind));
        let mut chain = ChainConfig::new(&self.chain(kind), 50_000 + self.index * 10 + number);
        for (index, proxy) in self.bad.iter().take(bad).enumerate() {
            chain = chain.provider(&format!("bad{index}"), &proxy.url(&path));
        }
        if good { chain.provider("good", &self.good.url(&path)) } else { chain }
    }

    fn configs(&self) -> [ChainConfig; 3] {
        [self.config("two", 0, 2, true), self.config("three", 1, 3, true), self.config("all", 2, 3, false)]
    }

    /// How often the providers were asked on this chain, in order.
    fn attempts(&self, kind: &str) -> Vec<usize> {
        let path = format!("/{}", self.chain(kind));
        let asked = |proxy: &FaultProxy| proxy.requests().iter().filter(|request| request.path == path).count();
        self.bad.iter().chain([&self.good]).map(asked).collect()
    }

    /// Everything wrong with this row.
    async fn judge(&self, mesh: &Mesh, truth: &Value) -> Vec<String> {
        let mut wrong = Vec::new();
        wrong.extend(self.must_go_on(mesh, truth, "two", &[1, 1, 0, 1]).await);
        if self.row.fast {
            wrong.extend(self.must_go_on(mesh, truth, "three", &[1, 1, 1, 1]).await);
        }
        wrong.extend(self.must_tell(mesh).await);
        wrong.into_iter().map(|wrong| format!("{}: {wrong}", self.row.name)).collect()
    }

    async fn must_go_on(&self, mesh: &Mesh, truth: &Value, kind: &str, expected: &[usize]) -> Option<String> {
        let answered = match mesh.call(&self.chain(kind), "eth_getBalance", json!([ACCOUNT, "latest"])).await {
            Ok(answered) => answered,
            Err(error) => return Some(format!("{kind}: {error:#}")),
        };
        if answered.status != 200 || answered.result().as_ref() != Some(truth) {
            return Some(format!("{kind}: the client saw {} {}", answered.status, answered.text()));
        }
        let expected: Vec<usize> = match self.row.bad {
            Bad::Fault(_) => expected.to_vec(),
            // A shut door is not an HTTP request.
            Bad::Door(_) => vec![0, 0, 0, 1],
        };
        let attempts = self.attempts(kind);
        (attempts != expected).then(|| format!("{kind}: attempts {attempts:?}, expected {expected:?}"))
    }

    async fn must_tell(&self, mesh: &Mesh) -> Option<String> {
        let answered = match mesh.call(&self.chain("all"), "eth_getBalance", json!([ACCOUNT, "latest"])).await {
            Ok(answered) => answered,
            Err(error) => return Some(format!("all bad: {error:#}")),
        };
        let kind = answered.header("content-type");
        let seen = || format!("all bad: the client saw {} {kind:?} {}", answered.status, answered.text());
        let (Some(error), Some(id)) = (answered.error(), answered.json().get("id").cloned()) else {
            return Some(seen());
        };
        let right = match &self.row.own_error {
            Some(own) => &error == own,
            None => error.get("code") == Some(&json!(-32000)) || self.carries_own_text(&error),
        };
        if !right || id != json!(1) || kind != Some("application/json") {
            return Some(seen());
        }
        let (attempts, once_each) = (self.attempts("all"), [1, 1, 1, 0]);
        let sent = matches!(self.row.bad, Bad::Fault(_));
        (sent && attempts != once_each).then(|| format!("all bad: attempts {attempts:?}, expected {once_each:?}"))
    }

    /// A text that is itself a JSON-RPC error may reach the client as it is.
    fn carries_own_text(&self, error: &Value) -> bool {
        let Bad::Fault(fault) = &self.row.bad else { return false };
        let Answer::Text { body, .. } = &fault.answer else { return false };
        let said: Option<Value> = serde_json::from_str(&body.replace("$ID", "1")).ok();
        said.and_then(|said| said.get("error").cloned()).as_ref() == Some(error)
    }
}

async fn matrix(rows: Vec<Row>) {
    let scratch = Scratch::new().unwrap();
    let node = Node::start(31_337, &scratch).await.unwrap();
    let truth = node.call("eth_getBalance", json!([ACCOUNT, "latest"])).await.unwrap();
    let mut stands = Vec::new();
    for (index, row) in (0..).zip(rows) {
        stands.push(Stand::build(index, row, &node).await);
    }
    let config = stands.iter().flat_map(Stand::configs).fold(Config::new(), Config::chain);
    let mesh = Arc::new(Mesh::start(&config).await.unwrap());
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut at_work = tokio::task::JoinSet::new();
    for stand in stands {
        let (mesh, truth, places) = (Arc::clone(&mesh), truth.clone(), Arc::clone(&places));
        at_work.spawn(async move {
            let _place = places.acquire().await.unwrap();
            stand.judge(&mesh, &truth).await
        });
    }
    let wrong: Vec<String> = at_work.join_all().await.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{} rows are wrong:\n{}\n{}", wrong.len(), wrong.join("\n"), mesh.envoy_log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_fail_cost_no_client_a_call() {
    matrix(connections()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_statuses_cost_no_client_a_call() {
    matrix(statuses()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn providers_own_errors_cost_no_client_a_call() {
    matrix(errors()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_are_no_reply_cost_no_client_a_call() {
    matrix(bodies()).await;
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_passed_over() {
    let scratch = Scratch::new().unwrap();
    let node = Node::start(31_337, &scratch).await.unwrap();
    let good = FaultProxy::start(node.url()).await.unwrap();
    let lost = |index: u32| format!("http://provider-{index}.invalid:8545/key");
    let config = Config::new()
        .chain(ChainConfig::new("first", 1).provider("lost", &lost(1)).provider("good", &good.url("/first")))
        .chain(
            ChainConfig::new("both", 2)
                .provider("a", &lost(2))
                .provider("b", &lost(3))
                .provider("good", &good.url("/both")),
        );
    let mesh = Mesh::start(&config).await.unwrap();
    for chain in ["first", "both"] {
        let answered = mesh.call(chain, "eth_getBalance", json!([ACCOUNT, "latest"])).await.unwrap();
        assert!(answered.result().is_some(), "{chain}: {}", answered.text());
        let reply =
            Client::new().call(&mesh.url(&format!("/rpc/{chain}")), "eth_call", json!([{}, "latest"])).await.unwrap();
        assert_eq!(reply.status, 200, "{chain}: {}", reply.text());
    }
    assert_eq!(good.counts().requests, 4);
}

/// They get fewer attempts than others, since each may be expensive; what fails at once costs nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heavy_calls_pass_providers_that_refuse() {
    let calls = [
        ("eth_getLogs", json!([{"fromBlock": "0x1", "toBlock": "0x2"}])),
        ("eth_estimateGas", json!([{"from": ACCOUNT, "to": ACCOUNT}])),
        ("debug_traceTransaction", json!([format!("0x{:064x}", 1)])),
    ];
    let faults = [Fault::text(503, ""), Fault::rpc(-32603, "Internal error")];
    let bads = [Bad::Door(Door::Refusing)].into_iter().chain(faults.map(|fault| Bad::Fault(Box::new(fault))));
    let (mut config, mut stands) = (Config::new(), Vec::new());
    for (number, bad) in (1..).zip(bads) {
        for (index, (method, params)) in (0..).zip(&calls) {
            let chain_id = number * 10 + index;
            let mut chain = ChainConfig::new(&format!("chain{chain_id}"), chain_id);
            let good = FaultProxy::without_node().await.unwrap();
            good.set([Fault::result(json!("0x1"))]);
            let mut refusing = Vec::new();
            for name in ["a", "b"] {
                let proxy = FaultProxy::without_node().await.unwrap();
                match &bad {
                    Bad::Fault(fault) => proxy.set([Fault::clone(fault)]),
                    Bad::Door(door) => proxy.door_is(*door).await.unwrap(),
                }
                chain = chain.provider(name, &proxy.url("/"));
                refusing.push(proxy);
            }
            config = config.chain(chain.provider("good", &good.url("/")));
            stands.push((chain_id, *method, params, good, refusing));
        }
    }
    let mesh = Mesh::start(&config).await.unwrap();
    for (chain_id, method, params, good, _refusing) in &stands {
        for call in 1..=10 {
            let answered = mesh.call(&format!("chain{chain_id}"), method, (*params).clone()).await.unwrap();
            assert_eq!(
                answered.result(),
                Some(json!("0x1")),
                "{method}, call {call} on {chain_id}: {}",
                answered.text()
            );
            assert_eq!(good.count(method), call);
        }
    }
}
