//! The proxy-wasm shell: the only file that names `proxy_wasm`.
//!
//! Duty: root contexts that take the catalog, tick and own the stream to the control plane, HTTP contexts that hand each callback to DOWN or UP, and
//! [`Envoy`] and [`RootStreams`], the real [`Host`] and [`Streams`].
//! Invariant: state that must outlive a configuration push is in the VM's [`Worker`], never in a root context (a push makes new ones).
//! Leaves to others: every decision.
//!
//! Host calls go through `proxy_wasm::hostcalls`, whose errors are values; the convenience methods of the SDK's traits panic on them. Headers are read
//! as bytes: the SDK's string readers panic on what is not UTF-8, and clients send what they like.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use lasso_routing::time::{Micros, Timestamp};
use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, BufferType, ContextType, LogLevel, MapType, MetricType};

use crate::Flow;
use crate::down::Down;
use crate::host::{Dispatch, Host, Moment};
use crate::stats::{COUNTERS, Counter, Stats};
use crate::sync::{self, Streams};
use crate::up::Up;
use crate::worker::{Turn, Worker};

/// Counters are flushed and housekeeping is done this often.
const TICK: Duration = Duration::from_millis(100);
/// Seconds that are added to the VM's clock, so that "long ago" can be written.
const EPOCH_MS: u64 = 1_000_000_000;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|context| Box::new(Root { context, place: Place::Down }));
}}

thread_local! {
    static WORKER: Rc<RefCell<Worker>> = Rc::new(RefCell::new(Worker::new(seed())));
    static ORIGIN: Instant = Instant::now();
    static METRICS: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
    /// Envoy refused a stream, and that was said.
    static REFUSED: Cell<bool> = const { Cell::new(false) };
}

fn worker() -> Rc<RefCell<Worker>> {
    WORKER.with(Rc::clone)
}

/// Workers start in the same millisecond; the wall clock's nanoseconds and the address of a thread local tell them apart well enough to rank.
fn seed() -> u64 {
    let wall = hostcalls::get_current_time()
        .ok()
        .and_then(|now| now.duration_since(std::time::UNIX_EPOCH).ok())
        .map_or(0, |since| since.as_nanos() as u64);
    let mut random = [0_u8; 8];
    // WASI's random_get, by way of the hasher's keys.
    let keyed = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), wall);
    random.copy_from_slice(&keyed.to_le_bytes());
    wall ^ u64::from_le_bytes(random)
}

/// In which of its two places the filter stands.
#[derive(Debug, Clone, Copy)]
enum Place {
    Down,
    Up,
}

#[derive(Debug)]
struct Root {
    context: u32,
    place: Place,
}

impl Context for Root {
    fn on_grpc_stream_initial_metadata(&mut self, token: u32, _: u32) {
        if let Ok(mut worker) = worker().try_borrow_mut() {
            sync::connected(&mut worker, token, Envoy.now().at);
        }
    }

    fn on_grpc_stream_message(&mut self, token: u32, size: usize) {
        let read = || hostcalls::get_buffer(BufferType::GrpcReceiveBuffer, 0, size).ok().flatten().unwrap_or_default();
        if let Ok(mut worker) = worker().try_borrow_mut() {
            sync::heard(&mut worker, &RootStreams(self.context), (token, size), read, Envoy.now().at);
        }
    }

    fn on_grpc_stream_close(&mut self, token: u32, _: u32) {
        // Frees Envoy's side of it: once, and with the call that does not panic when it is gone.
        let _ = hostcalls::close_grpc_stream(token);
        if let Ok(mut worker) = worker().try_borrow_mut() {
            sync::closed(&mut worker, token, Envoy.now().at);
        }
    }
}

/// Streams of one root context, also where another context is running: Envoy looks a stream up in the context that is in effect.
struct RootStreams(u32);

impl RootStreams {
    fn take_effect(&self) -> bool {
        hostcalls::set_effective_context(self.0).is_ok()
    }
}

impl Streams for RootStreams {
    fn open(&self, cluster: &str) -> Option<u32> {
        if !self.take_effect() {
            return None;
        }
        let (service, method) = (lasso_proto::sync::SERVICE, lasso_proto::sync::METHOD);
        let opened = hostcalls::open_grpc_stream(cluster, service, method, Vec::new());
        if opened.is_err() && !REFUSED.replace(true) {
            let text = format!(
                "lasso: cannot open a stream to the cluster {cluster}; is there one of that name? Nothing is reported meanwhile"
            );
            let _ = hostcalls::log(LogLevel::Warn, &text);
        }
        opened.ok()
    }

    fn send(&self, token: u32, message: &[u8]) -> bool {
        self.take_effect() && hostcalls::send_grpc_stream_message(token, Some(message), false).is_ok()
    }

    fn close(&self, token: u32) {
        // Not `close_grpc_stream`, which only says that we are done: the stream would stay until the peer ends it too.
        if self.take_effect() {
            let _ = hostcalls::cancel_grpc_stream(token);
        }
    }
}

/// Tells the worker in which Envoy it is.
fn introduce() {
    let text = |path: &[&str]| {
        let value = hostcalls::get_property(path.to_vec()).ok().flatten();
        value.and_then(|value| String::from_utf8(value).ok()).filter(|value| !value.is_empty())
    };
    let region = text(&["xds", "node", "locality", "region"]).or_else(|| text(&["xds", "node", "metadata", "region"]));
    let node = text(&["xds", "node", "id"]);
    if let Ok(mut worker) = worker().try_borrow_mut() {
        worker.sync().introduce(&node.unwrap_or_default(), &region.unwrap_or_default());
    }
}

/// What the fleet should know at once is told from the request that found out. The last thing in a callback: the root's context stays in effect until
/// Envoy calls again.
fn hurry() {
    let worker = worker();
    let Ok(mut worker) = worker.try_borrow_mut() else { return };
    if worker.is_urgent()
        && let Some(root) = worker.ticker()
    {
        sync::hurry(&mut worker, &RootStreams(root), Envoy.now().at);
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, size: usize) -> bool {
        if let Ok(Some(id)) = hostcalls::get_property(vec!["plugin_root_id"]) {
            self.place = if id == b"lasso.up" { Place::Up } else { Place::Down };
        }
        let bytes = if size == 0 {
            None
        } else {
            hostcalls::get_buffer(BufferType::PluginConfiguration, 0, size).ok().flatten()
        };
        let Some(bytes) = bytes else {
            let _ = hostcalls::log(
                LogLevel::Error,
                "lasso: no catalog: set the plugin's `configuration` to a google.protobuf.Struct",
            );
            return false;
        };
        let moment = Envoy.now();
        let taken =
            worker().try_borrow_mut().map_or(Err("busy".to_owned()), |mut worker| worker.configure(&bytes, moment.at));
        match taken {
            Ok(()) => {
                // One root of a VM has work to do: the newest of DOWN's.
                if matches!(self.place, Place::Down) {
                    introduce();
                    let _ = hostcalls::set_tick_period(TICK);
                }
                true
            }
            Err(reason) => {
                let _ = hostcalls::log(LogLevel::Error, &format!("lasso: catalog refused: {reason}"));
                false
            }
        }
    }

    fn on_tick(&mut self) {
        let worker = worker();
        let Ok(mut worker) = worker.try_borrow_mut() else { return };
        let now = Envoy.now().at;
        match worker.take_turn(self.context) {
            Turn::Same => {}
            Turn::Next(before) => {
                // The one before may have no tick any more to close its stream in, or live as long as its longest request.
                if let Some(before) = before {
                    sync::leave(&mut worker, &RootStreams(before), now);
                }
            }
            Turn::Past => {
                let _ = hostcalls::set_tick_period(Duration::ZERO);
                return;
            }
        }
        sync::tick(&mut worker, &RootStreams(self.context), now);
        flush(worker.stats());
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(match self.place {
            Place::Down => Box::new(DownContext(Down::new(Envoy, worker()))),
            Place::Up => Box::new(UpContext(Up::new(Envoy, worker()))),
        })
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

fn flush(stats: &mut Stats) {
    METRICS.with_borrow_mut(|ids| {
        if ids.is_empty() {
            ids.extend(
                COUNTERS.iter().filter_map(|(counter, name)| hostcalls::define_metric(kind(*counter), name).ok()),
            );
        }
        for (counter, amount) in stats.take() {
            if let Some(id) = ids.get(counter) {
                let _ = hostcalls::increment_metric(*id, amount);
            }
        }
    });
}

const fn kind(counter: Counter) -> MetricType {
    if counter.is_gauge() { MetricType::Gauge } else { MetricType::Counter }
}

const fn action(flow: Flow) -> Action {
    match flow {
        Flow::Continue => Action::Continue,
        Flow::Pause => Action::Pause,
    }
}

#[derive(Debug)]
struct DownContext(Down<Envoy>);

impl Context for DownContext {
    fn on_http_call_response(&mut self, token: u32, headers: usize, body_size: usize, _trailers: usize) {
        self.0.dispatched(token, headers > 0, body_size);
        hurry();
    }

    fn on_done(&mut self) -> bool {
        self.0.done();
        true
    }
}

impl HttpContext for DownContext {
    fn on_log(&mut self) {
        self.0.logged();
        hurry();
    }

    fn on_http_request_headers(&mut self, _count: usize, end: bool) -> Action {
        action(self.0.request_headers(end))
    }

    fn on_http_request_body(&mut self, size: usize, end: bool) -> Action {
        action(self.0.request_body(size, end))
    }

    fn on_http_request_trailers(&mut self, _count: usize) -> Action {
        action(self.0.request_trailers())
    }

    fn on_http_response_headers(&mut self, _count: usize, _end: bool) -> Action {
        action(self.0.response_headers())
    }

    fn on_http_response_body(&mut self, _size: usize, _end: bool) -> Action {
        action(self.0.response_body())
    }
}

#[derive(Debug)]
struct UpContext(Up<Envoy>);

impl Context for UpContext {
    fn on_done(&mut self) -> bool {
        self.0.done();
        hurry();
        true
    }
}

impl HttpContext for UpContext {
    fn on_http_request_headers(&mut self, _count: usize, _end: bool) -> Action {
        action(self.0.request_headers())
    }

    fn on_http_response_headers(&mut self, _count: usize, end: bool) -> Action {
        action(self.0.response_headers(end))
    }

    fn on_http_response_body(&mut self, size: usize, end: bool) -> Action {
        let flow = self.0.response_body(size, end);
        hurry();
        action(flow)
    }

    fn on_http_response_trailers(&mut self, _count: usize) -> Action {
        action(self.0.response_trailers())
    }
}

/// The real Envoy. Without size: every call goes to the context Envoy is running.
#[derive(Debug, Clone, Copy)]
struct Envoy;

impl Host for Envoy {
    fn wall_ms(&self) -> u64 {
        let since = hostcalls::get_current_time().ok().and_then(|now| now.duration_since(std::time::UNIX_EPOCH).ok());
        since.map_or(0, |since| since.as_millis() as u64)
    }

    fn now(&self) -> Moment {
        let since = ORIGIN.with(Instant::elapsed);
        let micros = since.as_micros() as u64;
        Moment { at: Timestamp::from_millis(EPOCH_MS + micros / 1_000), micros: Micros(micros) }
    }

    fn each_request_header(&self, see: &mut dyn FnMut(&str, &[u8])) {
        for (name, value) in hostcalls::get_map_bytes(MapType::HttpRequestHeaders).unwrap_or_default() {
            see(&name, &value);
        }
    }

    fn set_request_header(&self, name: &str, value: Option<&str>) {
        let _ = hostcalls::set_map_value(MapType::HttpRequestHeaders, name, value);
    }

    fn request_body(&self, size: usize) -> Vec<u8> {
        hostcalls::get_buffer(BufferType::HttpRequestBody, 0, size).ok().flatten().unwrap_or_default()
    }

    fn set_request_body(&self, old_size: usize, body: &[u8]) {
        let _ = hostcalls::set_buffer(BufferType::HttpRequestBody, 0, old_size, body);
    }

    fn response_header(&self, name: &str) -> Option<Vec<u8>> {
        hostcalls::get_map_value_bytes(MapType::HttpResponseHeaders, name).ok().flatten()
    }

    fn set_response_header(&self, name: &str, value: Option<&str>) {
        let _ = hostcalls::set_map_value(MapType::HttpResponseHeaders, name, value);
    }

    fn response_body(&self, size: usize) -> Vec<u8> {
        hostcalls::get_buffer(BufferType::HttpResponseBody, 0, size).ok().flatten().unwrap_or_default()
    }

    fn property(&self, path: &[&str]) -> Option<Vec<u8>> {
        hostcalls::get_property(path.to_vec()).ok().flatten()
    }

    fn set_property(&self, name: &str, value: &[u8]) {
        let _ = hostcalls::set_property(vec![name], Some(value));
    }

    /// The routes do: where a filter before this one answers, a virtual machine is not asked.
    fn speaks_to_pages(&self) -> bool {
        false
    }

    fn send_response(&self, status: u32, headers: &[(&str, &str)], body: &[u8]) {
        let _ = hostcalls::send_http_response(status, headers.to_vec(), Some(body));
    }

    fn dispatch(&self, call: &Dispatch<'_>) -> Option<u32> {
        let timeout = Duration::from_millis(u64::from(call.timeout_ms));
        hostcalls::dispatch_http_call(call.cluster, call.headers.to_vec(), Some(call.body), Vec::new(), timeout).ok()
    }

    fn dispatched_header(&self, name: &str) -> Option<Vec<u8>> {
        hostcalls::get_map_value_bytes(MapType::HttpCallResponseHeaders, name).ok().flatten()
    }

    fn dispatched_body(&self, size: usize) -> Vec<u8> {
        hostcalls::get_buffer(BufferType::HttpCallResponseBody, 0, size).ok().flatten().unwrap_or_default()
    }
}
