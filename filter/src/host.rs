//! What the filter asks of Envoy.
//!
//! Duty: one trait for everything that leaves the filter, so that DOWN and UP run natively in tests against a fake.
//! Invariant: no method panics or blocks; what Envoy refuses comes back as `None` or is counted, and the caller degrades.
//! Leaves to others: the real host calls (`wasm.rs`, the only file that names `proxy_wasm`).

use lasso_routing::time::{Micros, Timestamp};

/// One reading of the monotonic clock, in the two resolutions we use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// For state that lives for seconds: breakers, marks, evidence.
    pub at: Timestamp,
    /// For latencies: microseconds on the same clock.
    pub micros: Micros,
}

impl Moment {
    /// Time from `earlier` to here; zero when the clock did not move.
    #[must_use]
    pub fn since(self, earlier: Self) -> Micros {
        Micros(self.micros.0.saturating_sub(earlier.micros.0))
    }
}

/// A sub-request that DOWN sends itself.
#[derive(Debug)]
pub struct Dispatch<'a> {
    /// Envoy cluster.
    pub cluster: &'a str,
    /// Pseudo headers included.
    pub headers: &'a [(&'a str, &'a str)],
    /// Body.
    pub body: &'a [u8],
    /// Milliseconds until Envoy gives up with a 504.
    pub timeout_ms: u32,
}

/// Envoy, as one HTTP context sees it.
pub trait Host {
    /// The monotonic clock.
    fn now(&self) -> Moment;
    /// The wall clock, for people who read logs: milliseconds since 1970.
    fn wall_ms(&self) -> u64;
    /// Shows the whole request header map, for reading it once is cheaper than two reads by name. Values are bytes because clients send what they like.
    fn each_request_header(&self, see: &mut dyn FnMut(&str, &[u8]));
    /// Replaces or adds a request header; `None` removes it.
    fn set_request_header(&self, name: &str, value: Option<&str>);
    /// The first `size` bytes of the buffered request body.
    fn request_body(&self, size: usize) -> Vec<u8>;
    /// Replaces the buffered request body.
    fn set_request_body(&self, old_size: usize, body: &[u8]);
    /// One response header.
    fn response_header(&self, name: &str) -> Option<Vec<u8>>;
    /// Replaces or adds a response header; `None` removes it.
    fn set_response_header(&self, name: &str, value: Option<&str>);
    /// The first `size` bytes of the buffered response body.
    fn response_body(&self, size: usize) -> Vec<u8>;
    /// Filter state shared by DOWN and UP.
    fn property(&self, path: &[&str]) -> Option<Vec<u8>>;
    /// Writes filter state.
    fn set_property(&self, name: &str, value: &[u8]);
    /// Whether web pages are told by the filter that they may read answers, and not by every route.
    fn speaks_to_pages(&self) -> bool;
    /// Answers the client from here.
    fn send_response(&self, status: u32, headers: &[(&str, &str)], body: &[u8]);
    /// Starts a sub-request; `None` when Envoy refuses it (unknown cluster).
    fn dispatch(&self, call: &Dispatch<'_>) -> Option<u32>;
    /// Status and one header of a sub-request's answer.
    fn dispatched_header(&self, name: &str) -> Option<Vec<u8>>;
    /// Body of a sub-request's answer.
    fn dispatched_body(&self, size: usize) -> Vec<u8>;
}
