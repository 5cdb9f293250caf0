//! A fake Envoy for tests: what was asked of it, and what it is to answer.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use lasso_routing::table::{BreakerView, ChannelView, Table};
use lasso_routing::time::{Micros, Millis, Timestamp};
use serde_json::json;

use crate::host::{Dispatch, Host, Moment};
use crate::worker::Worker;

/// One answer from the filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) status: u32,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

/// A sub-request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dispatched {
    pub(crate) cluster: String,
    pub(crate) path: String,
    pub(crate) body: String,
    pub(crate) timeout_ms: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Tape {
    pub(crate) micros: Cell<u64>,
    pub(crate) request: RefCell<BTreeMap<String, Vec<u8>>>,
    pub(crate) request_body: RefCell<Vec<u8>>,
    pub(crate) response: RefCell<BTreeMap<String, String>>,
    pub(crate) response_body: RefCell<Vec<u8>>,
    pub(crate) properties: RefCell<BTreeMap<String, Vec<u8>>>,
    pub(crate) sent: RefCell<Vec<Sent>>,
    pub(crate) dispatched: RefCell<Vec<Dispatched>>,
    pub(crate) routes_speak_to_pages: Cell<bool>,
    /// Clusters that Envoy lacks.
    pub(crate) missing: RefCell<Vec<String>>,
}

/// Clones share the tape, as DOWN and UP share a stream.
#[derive(Debug, Clone, Default)]
pub(crate) struct FakeEnvoy(pub(crate) Rc<Tape>);

impl FakeEnvoy {
    pub(crate) fn post(path: &str, body: &str) -> Self {
        let envoy = Self::default();
        for (name, value) in [
            (":method", "POST"),
            (":path", path),
            (":authority", "lasso.example"),
            ("content-type", "application/json"),
        ] {
            envoy.0.request.borrow_mut().insert(name.into(), value.into());
        }
        *envoy.0.request_body.borrow_mut() = body.as_bytes().to_vec();
        envoy
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.0.request.borrow().get(name).map(|value| String::from_utf8_lossy(value).into_owned())
    }

    pub(crate) fn plan(&self) -> String {
        let properties = self.0.properties.borrow();
        properties.get("lasso_plan").map(|plan| String::from_utf8_lossy(plan).into_owned()).unwrap_or_default()
    }

    pub(crate) fn respond(&self, status: &str, body: &str) {
        self.0.response.borrow_mut().clear();
        self.0.response.borrow_mut().insert(":status".into(), status.into());
        *self.0.response_body.borrow_mut() = body.as_bytes().to_vec();
    }

    pub(crate) fn last_sent(&self) -> Sent {
        self.0.sent.borrow().last().cloned().expect("an answer was sent")
    }

    pub(crate) fn pass(&self, millis: u64) {
        self.0.micros.set(self.0.micros.get() + millis * 1_000);
    }
}

impl Host for FakeEnvoy {
    fn now(&self) -> Moment {
        let micros = 1_000_000_000 + self.0.micros.get();
        Moment { at: Timestamp::from_millis(micros / 1_000), micros: Micros(micros) }
    }

    fn wall_ms(&self) -> u64 {
        1_767_225_600_000 + self.0.micros.get() / 1_000
    }

    fn each_request_header(&self, see: &mut dyn FnMut(&str, &[u8])) {
        self.0.request.borrow().iter().for_each(|(name, value)| see(name, value));
    }

    fn set_request_header(&self, name: &str, value: Option<&str>) {
        match value {
            Some(value) => self.0.request.borrow_mut().insert(name.into(), value.into()),
            None => self.0.request.borrow_mut().remove(name),
        };
    }

    fn request_body(&self, size: usize) -> Vec<u8> {
        self.0.request_body.borrow().iter().take(size).copied().collect()
    }

    fn set_request_body(&self, _old_size: usize, body: &[u8]) {
        *self.0.request_body.borrow_mut() = body.to_vec();
    }

    fn response_header(&self, name: &str) -> Option<Vec<u8>> {
        self.0.response.borrow().get(name).map(|value| value.as_bytes().to_vec())
    }

    fn set_response_header(&self, name: &str, value: Option<&str>) {
        match value {
            Some(value) => self.0.response.borrow_mut().insert(name.into(), value.into()),
            None => self.0.response.borrow_mut().remove(name),
        };
    }

    fn response_body(&self, size: usize) -> Vec<u8> {
        self.0.response_body.borrow().iter().take(size).copied().collect()
    }

    fn property(&self, path: &[&str]) -> Option<Vec<u8>> {
        self.0.properties.borrow().get(&path.join(".")).cloned()
    }

    fn set_property(&self, name: &str, value: &[u8]) {
        self.0.properties.borrow_mut().insert(name.into(), value.to_vec());
    }

    fn speaks_to_pages(&self) -> bool {
        !self.0.routes_speak_to_pages.get()
    }

    fn send_response(&self, status: u32, headers: &[(&str, &str)], body: &[u8]) {
        self.0.sent.borrow_mut().push(Sent {
            status,
            headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            body: String::from_utf8_lossy(body).into_owned(),
        });
    }

    fn dispatch(&self, call: &Dispatch<'_>) -> Option<u32> {
        if self.0.missing.borrow().iter().any(|cluster| cluster == call.cluster) {
            return None;
        }
        let path = call.headers.iter().find(|(name, _)| *name == ":path").map_or("", |(_, value)| value);
        let mut dispatched = self.0.dispatched.borrow_mut();
        dispatched.push(Dispatched {
            cluster: call.cluster.to_owned(),
            path: path.to_owned(),
            body: String::from_utf8_lossy(call.body).into_owned(),
            timeout_ms: call.timeout_ms,
        });
        u32::try_from(dispatched.len()).ok()
    }

    fn dispatched_header(&self, name: &str) -> Option<Vec<u8>> {
        self.response_header(name)
    }

    fn dispatched_body(&self, size: usize) -> Vec<u8> {
        self.response_body(size)
    }
}

/// A worker with one chain, `ethereum` (id 1), and the providers a, b and c, asked by `priority` in that order.
pub(crate) fn worker() -> Rc<RefCell<Worker>> {
    worker_with(&|_| {})
}

/// The same with a change to the catalog.
pub(crate) fn worker_with(change: &dyn Fn(&mut serde_json::Value)) -> Rc<RefCell<Worker>> {
    let mut worker = Worker::new(7);
    worker.configure(&catalog_with(change), Timestamp::from_millis(1_000_000)).expect("configured");
    Rc::new(RefCell::new(worker))
}

/// A table says that the breakers of these providers are open for ten seconds more.
pub(crate) fn opened(worker: &Rc<RefCell<Worker>>, providers: &[&str]) {
    let open = BreakerView::Open { left: Some(Millis(10_000)) };
    told(worker, providers.iter().map(|name| view(&format!("ethereum/{name}/http"), open)).collect());
}

/// A table says that the provider's ws channel has a live socket.
pub(crate) fn connected(worker: &Rc<RefCell<Worker>>, provider: &str) {
    let closed = view(&format!("ethereum/{provider}/ws"), BreakerView::Closed);
    told(worker, vec![ChannelView { connected: true, ..closed }]);
}

fn view(channel: &str, breaker: BreakerView) -> ChannelView {
    ChannelView { channel: channel.into(), breaker, opening: 1, limited: None, barred: None, connected: false }
}

fn told(worker: &Rc<RefCell<Worker>>, channels: Vec<ChannelView>) {
    let table = Table { channels, ..Table::default() };
    worker.borrow_mut().ledger().follow_table(&table, Timestamp::from_millis(1_000_000));
}

/// That worker's catalog with a change, as a plugin configuration.
pub(crate) fn catalog_with(change: &dyn Fn(&mut serde_json::Value)) -> Vec<u8> {
    let channel = |name: &str| {
        json!({"id": format!("ethereum/{name}/http"), "transport": "http", "cluster": format!("lasso/ethereum/{name}/http"),
               "authority": format!("{name}.example"), "path": format!("/v2/{name}-key"), "headers": {format!("x-{name}"): "secret"}})
    };
    let provider = |name: &str, priority: u32| json!({"id": name, "channels": [format!("ethereum/{name}/http")], "priority": priority});
    let mut spec = json!({
        "version": 1, "generation": "0001", "workers": 1,
        "channels": [channel("a"), channel("b"), channel("c")],
        "profiles": [{"id": "public", "explore": false, "chains": [{"id": "ethereum", "chain_id": 1, "strategy": "priority",
                      "providers": [provider("a", 1), provider("b", 2), provider("c", 3)]}]}],
    });
    change(&mut spec);
    lasso_proto::catalog::encode(&serde_json::from_value(spec).expect("a catalog")).expect("bytes")
}
