//! One stream's filter, as the filter's own code sees Envoy.
//!
//! Duty: [`Host`] over [`Stream`]. Invariants: an answer that the filter gives is given when its callback is over, never inside it, since Envoy ends the stream
//! (and this filter) before that call returns; what UP publishes for the next attempt is the request header [`MODULE_PLAN`], which no provider sees.
//! Leaves to others: when it is called (`hooks`), decisions (the filter).

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use lasso_filter::host::{Dispatch, Host, Moment};
use lasso_filter::record::LINE;
use lasso_filter::up::{PLAN, number_of};
use lasso_routing::header::{FROM_PROVIDERS, MODULE_ONCE, MODULE_PLAN};
use lasso_routing::time::{Micros, Timestamp};

use crate::abi::{Attribute, Body, HeaderMap};
use crate::details;
use crate::envoy::Stream;

/// What our clusters' names begin with.
const CLUSTERS: &[u8] = b"lasso/";
/// Between a plan's cluster and number: the filter's, which no header value may have, and the header's.
const SEPARATOR: u8 = 0x7f;
const HEADER_SEPARATOR: u8 = b';';
/// Seconds that are added to the clock, so that "long ago" can be written.
const EPOCH_MS: u64 = 1_000_000_000;

/// An answer for the client that waits for the callback's end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u32,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// A sub-request's answer, while the filter reads it.
#[derive(Debug, Default)]
pub(crate) struct Callout {
    pub(crate) headers: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(number) = self.number.get() {
            // Numbers begin again when a worker does: the entry may be another's by now.
            let is_own = |down: &Weak<Self>| std::ptr::eq(down.as_ptr(), self);
            DOWNS.with_borrow_mut(|downs| {
                if downs.get(&number).is_some_and(is_own) {
                    downs.remove(&number);
                }
            });
        }
    }
}

/// What a stream's filter and its hooks share.
#[derive(Debug)]
pub(crate) struct Stage {
    stream: Cell<Stream>,
    pub(crate) answer: RefCell<Option<Answer>>,
    pub(crate) callout: RefCell<Callout>,
    /// How Envoy explains a reply of its own.
    pub(crate) details: RefCell<String>,
    /// What the route has to be asked again, and how much of it.
    reroute: Cell<Option<Reroute>>,
    /// Of UP: the same request's DOWN. Envoy lets a filter that it destroys touch nothing any more, and that is when UP has to say where the next attempt
    /// goes; the request's headers are DOWN's as well.
    down: RefCell<Weak<Self>>,
    /// Of DOWN: the number of its exchange.
    number: Cell<Option<u32>>,
}

thread_local! {
    /// Who is DOWN of a request, by the number of its exchange, which is this thread's own.
    static DOWNS: RefCell<BTreeMap<u32, Weak<Stage>>> = const { RefCell::new(BTreeMap::new()) };
}

/// How much of a route has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reroute {
    Cluster,
    Route,
}

impl Stage {
    pub(crate) fn new(stream: Stream) -> Rc<Self> {
        Rc::new(Self {
            stream: Cell::new(stream),
            answer: RefCell::default(),
            callout: RefCell::default(),
            details: RefCell::default(),
            reroute: Cell::new(None),
            down: RefCell::default(),
            number: Cell::new(None),
        })
    }

    pub(crate) fn stream(&self) -> Stream {
        self.stream.get()
    }

    /// Envoy's side is gone.
    pub(crate) fn leave(&self) {
        self.stream.set(Stream(std::ptr::null_mut()));
    }

    /// The side of Envoy's that has the request's headers, also while this one is destroyed.
    fn request(&self) -> Stream {
        self.down.borrow().upgrade().map_or(self.stream(), |down| down.stream())
    }

    /// Takes off what a provider sent and no client may see.
    pub(crate) fn screen_response(&self) {
        for name in self.stream().present(HeaderMap::Response, FROM_PROVIDERS) {
            self.stream().set_header(HeaderMap::Response, name, None);
        }
    }

    /// The request goes on: what was published for it is looked at.
    pub(crate) fn reroute(&self) {
        match self.reroute.take() {
            None => {}
            Some(Reroute::Cluster) => self.stream().clear_cluster(),
            Some(Reroute::Route) => self.stream().clear_route(),
        }
    }
}

/// The clock of all workers of this process.
pub(crate) fn now() -> Moment {
    static ORIGIN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let micros = u64::try_from(ORIGIN.get_or_init(Instant::now).elapsed().as_micros()).unwrap_or(u64::MAX);
    Moment { at: Timestamp::from_millis(EPOCH_MS + micros / 1_000), micros: Micros(micros) }
}

/// The filter's handle.
#[derive(Debug, Clone)]
pub(crate) struct Envoy(pub(crate) Rc<Stage>);

impl Envoy {
    fn stream(&self) -> Stream {
        self.0.stream()
    }
}

impl Host for Envoy {
    fn now(&self) -> Moment {
        now()
    }

    fn wall_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn each_request_header(&self, see: &mut dyn FnMut(&str, &[u8])) {
        self.stream().each_header(HeaderMap::Request, see);
    }

    fn set_request_header(&self, name: &str, value: Option<&str>) {
        self.stream().set_header(HeaderMap::Request, name, value.map(str::as_bytes));
    }

    fn request_body(&self, size: usize) -> Vec<u8> {
        self.stream().body(Body::ReceivedRequest, size)
    }

    fn set_request_body(&self, _: usize, body: &[u8]) {
        self.stream().replace_request_body(body);
    }

    fn response_header(&self, name: &str) -> Option<Vec<u8>> {
        self.stream().header(HeaderMap::Response, name)
    }

    fn set_response_header(&self, name: &str, value: Option<&str>) {
        self.stream().set_header(HeaderMap::Response, name, value.map(str::as_bytes));
    }

    fn response_body(&self, size: usize) -> Vec<u8> {
        self.stream().body(Body::ReceivedResponse, size)
    }

    fn property(&self, path: &[&str]) -> Option<Vec<u8>> {
        match path {
            [PLAN] => {
                let Some(mut plan) = self.stream().header(HeaderMap::Request, MODULE_PLAN) else {
                    // An attempt that nobody published, of a request that is ours: no plan has this value.
                    let cluster = self.stream().cluster();
                    return cluster.is_some_and(|name| name.starts_with(CLUSTERS)).then(|| vec![SEPARATOR]);
                };
                // Nobody but us may see it.
                self.stream().set_header(HeaderMap::Request, MODULE_PLAN, None);
                exchange_separator(&mut plan, HEADER_SEPARATOR, SEPARATOR);
                let down = number_of(&plan).and_then(|number| DOWNS.with_borrow(|downs| downs.get(&number).cloned()));
                *self.0.down.borrow_mut() = down.unwrap_or_default();
                Some(plan)
            }
            ["upstream", "transport_failure_reason"] => {
                self.0.request().attribute(Attribute::UpstreamTransportFailureReason)
            }
            ["response", "flags"] => Some(details::flags(&self.0.details.borrow()).to_le_bytes().to_vec()),
            _ => None,
        }
    }

    fn set_property(&self, name: &str, value: &[u8]) {
        match name {
            PLAN => {
                let is_up = self.0.down.borrow().strong_count() > 0;
                if let Some(number) = number_of(value).filter(|_| !is_up) {
                    self.0.number.set(Some(number));
                    DOWNS.with_borrow_mut(|downs| downs.insert(number, Rc::downgrade(&self.0)));
                }
                let mut plan = value.to_vec();
                exchange_separator(&mut plan, SEPARATOR, HEADER_SEPARATOR);
                self.0.request().set_header(HeaderMap::Request, MODULE_PLAN, Some(&plan));
                if self.0.reroute.get().is_none() {
                    self.0.reroute.set(Some(Reroute::Cluster));
                }
            }
            lasso_filter::down::ONCE => {
                self.stream().set_header(HeaderMap::Request, MODULE_ONCE, Some(value));
                self.0.reroute.set(Some(Reroute::Route));
            }
            LINE => self.stream().set_filter_state("wasm.lasso_log", value),
            // The filter writes nothing else.
            _ => {}
        }
    }

    fn speaks_to_pages(&self) -> bool {
        true
    }

    fn send_response(&self, status: u32, headers: &[(&str, &str)], body: &[u8]) {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        *self.0.answer.borrow_mut() = Some(Answer { status, headers, body: body.to_vec() });
    }

    fn dispatch(&self, call: &Dispatch<'_>) -> Option<u32> {
        let number = self.stream().callout(call.cluster, call.headers, call.body, call.timeout_ms)?;
        u32::try_from(number).ok()
    }

    fn dispatched_header(&self, name: &str) -> Option<Vec<u8>> {
        let callout = self.0.callout.borrow();
        callout.headers.iter().find(|(key, _)| key == name.as_bytes()).map(|(_, value)| value.clone())
    }

    fn dispatched_body(&self, size: usize) -> Vec<u8> {
        let mut body = std::mem::take(&mut self.0.callout.borrow_mut().body);
        body.truncate(size);
        body
    }
}

fn exchange_separator(plan: &mut [u8], from: u8, to: u8) {
    if let Some(byte) = plan.iter_mut().rev().find(|byte| **byte == from) {
        *byte = to;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_the_same_in_a_header() {
        for (plan, header) in [(&b"lasso/a/b/http\x7f17"[..], &b"lasso/a/b/http;17"[..]), (b"\x7f3", b";3"), (b"", b"")]
        {
            let mut there = plan.to_vec();
            exchange_separator(&mut there, SEPARATOR, HEADER_SEPARATOR);
            assert_eq!(there, header);
            exchange_separator(&mut there, HEADER_SEPARATOR, SEPARATOR);
            assert_eq!(there, plan);
        }
    }
}
