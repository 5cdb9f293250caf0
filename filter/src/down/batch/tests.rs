//! Batches against a fake Envoy: who is asked for what, what the client gets, what the ledger hears.

mod broadcasts;
mod faults;
mod limits;
mod settling;

use std::cell::RefCell;
use std::rc::Rc;

use lasso_routing::catalog::ChannelIdx;
use lasso_routing::time::Timestamp;
use serde_json::{Value, json};

use crate::Flow;
use crate::down::Down;
use crate::fake::{Dispatched, FakeEnvoy, opened, worker, worker_with};
use crate::host::Host;
use crate::stats::{COUNTERS, Counter};
use crate::worker::Worker;

const REFUSED: &str = "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure, transport failure reason: delayed connect error: Connection refused";
const RESET: &str = "upstream connect error or disconnect/reset before headers. reset reason: connection termination";
const TIMEOUT: &str = "upstream request timeout";

/// One client request that DOWN sends itself.
struct Request {
    envoy: FakeEnvoy,
    worker: Rc<RefCell<Worker>>,
    down: Down<FakeEnvoy>,
}

impl Request {
    fn new(items: &Value) -> Self {
        Self::with(worker(), items)
    }

    fn with(worker: Rc<RefCell<Worker>>, items: &Value) -> Self {
        Self::to(worker, "/rpc/ethereum", items)
    }

    fn to(worker: Rc<RefCell<Worker>>, path: &str, items: &Value) -> Self {
        Self::start(worker, FakeEnvoy::post(path, &items.to_string()))
    }

    /// The same, so long after the clock's start.
    fn later(worker: &Rc<RefCell<Worker>>, path: &str, micros: u64, items: &Value) -> Self {
        let envoy = FakeEnvoy::post(path, &items.to_string());
        envoy.0.micros.set(micros);
        Self::start(Rc::clone(worker), envoy)
    }

    fn without_hosts(worker: Rc<RefCell<Worker>>, names: &[&str], items: &Value) -> Self {
        let envoy = FakeEnvoy::post("/rpc/ethereum", &items.to_string());
        *envoy.0.missing.borrow_mut() = names.iter().map(|name| cluster(name)).collect();
        Self::start(worker, envoy)
    }

    fn start(worker: Rc<RefCell<Worker>>, envoy: FakeEnvoy) -> Self {
        let down = Down::new(envoy.clone(), Rc::clone(&worker));
        let mut request = Self { envoy, worker, down };
        request.send();
        request
    }

    fn send(&mut self) {
        assert_eq!(self.down.request_headers(false), Flow::Pause);
        let size = self.envoy.0.request_body.borrow().len();
        assert_eq!(self.down.request_body(size, true), Flow::Pause);
    }

    /// The sub-request `token` is answered.
    fn answered(&mut self, token: u32, status: &str, body: &str) {
        self.envoy.respond(status, body);
        self.down.dispatched(token, true, body.len());
    }

    fn replied(&mut self, token: u32, replies: &Value) {
        self.answered(token, "200", &replies.to_string());
    }

    fn dispatched(&self) -> Vec<Dispatched> {
        self.envoy.0.dispatched.borrow().clone()
    }

    /// Providers that got something, in order.
    fn asked(&self) -> String {
        let name = |sent: &Dispatched| sent.cluster.split('/').nth(2).unwrap_or_default().to_owned();
        self.dispatched().iter().map(name).collect::<Vec<_>>().join(" ")
    }

    fn reply(&self) -> Value {
        serde_json::from_str(&self.envoy.last_sent().body).unwrap()
    }

    fn is_open(&self) -> bool {
        self.envoy.0.sent.borrow().is_empty()
    }

    fn breaker(&self, name: &str) -> &'static str {
        let channel = channel(&self.worker, name);
        self.worker.borrow_mut().ledger().breaker_state(channel, self.envoy.now().at).name()
    }
}

fn cluster(name: &str) -> String {
    format!("lasso/ethereum/{name}/http")
}

fn channel(worker: &Rc<RefCell<Worker>>, name: &str) -> ChannelIdx {
    let catalog = worker.borrow().catalog().unwrap();
    catalog.channel_named(&format!("ethereum/{name}/http")).unwrap()
}

fn limited(worker: &Rc<RefCell<Worker>>, name: &str) -> Option<Timestamp> {
    let channel = channel(worker, name);
    worker.borrow_mut().ledger().limited_until(channel, Timestamp::from_millis(1_000_001))
}

fn counted(worker: &Rc<RefCell<Worker>>) -> impl Fn(Counter) -> i64 + use<> {
    let sums: Vec<_> = worker.borrow_mut().stats().take().collect();
    move |counter| {
        let wanted = COUNTERS.iter().position(|(own, _)| *own == counter);
        sums.iter().find(|(index, _)| Some(*index) == wanted).map_or(0, |(_, sum)| *sum)
    }
}

/// Items with these methods; ids 1, 2 ...
fn batch(methods: &[&str]) -> Value {
    let item = |(place, method): (usize, &&str)| {
        let params = match *method {
            "eth_sendRawTransaction" => json!(["0x02"]),
            "eth_getTransactionReceipt" => json!([format!("0x{}", "ab".repeat(32))]),
            _ => json!([]),
        };
        json!({"jsonrpc": "2.0", "id": place + 1, "method": method, "params": params})
    };
    methods.iter().enumerate().map(item).collect()
}

fn result(id: u32, result: impl Into<Value>) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "result": result.into()})
}

fn error(id: impl Into<Value>, code: i64, message: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id.into(), "error": {"code": code, "message": message}})
}

/// A worker with the providers a to e.
fn five() -> Rc<RefCell<Worker>> {
    worker_with(&add_two)
}

fn add_two(spec: &mut Value) {
    for (name, priority) in [("d", 4), ("e", 5)] {
        let id = format!("ethereum/{name}/http");
        let channel = json!({"id": id, "transport": "http", "cluster": cluster(name), "authority": format!("{name}.example"),
                             "path": "/", "headers": {}});
        spec["channels"].as_array_mut().unwrap().push(channel);
        let provider = json!({"id": name, "channels": [id], "priority": priority});
        spec["profiles"][0]["chains"][0]["providers"].as_array_mut().unwrap().push(provider);
    }
}
