//! Envoy's functions, made safe.
//!
//! Duty: every call into Envoy that a stream's filter or a configuration makes, with slices and vectors instead of pointers.
//! Invariant: bytes of Envoy's are copied or compared before anything else is asked of Envoy, since any setter may move them; a null stream is asked nothing.
//! Leaves to others: when what is called.

#![allow(unsafe_code, reason = "calls of a C interface")]

use std::ptr::{null, null_mut};

use crate::abi;
use crate::abi::{Attribute, Body, ConfigPtr, EnvoyBuffer, EnvoyHeader, FilterPtr, HeaderMap, LogLevel};
use crate::abi::{ModuleBuffer, ModuleHeader, SchedulerPtr};

const fn lent(bytes: &[u8]) -> ModuleBuffer {
    ModuleBuffer { ptr: bytes.as_ptr(), length: bytes.len() }
}

const NOTHING: ModuleBuffer = ModuleBuffer { ptr: null(), length: 0 };

impl EnvoyBuffer {
    pub(crate) const EMPTY: Self = Self { ptr: null(), length: 0 };

    /// A copy.
    pub(crate) fn to_vec(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.length);
        self.copy_to(&mut bytes);
        bytes
    }

    /// Adds a copy.
    fn copy_to(self, bytes: &mut Vec<u8>) {
        self.look(|own| bytes.extend_from_slice(own));
    }

    fn is(self, bytes: &[u8]) -> bool {
        let mut same = false;
        // Of another length, nearly always.
        if self.length == bytes.len() {
            self.look(|own| same = own == bytes);
        }
        same
    }

    /// To look at the bytes and do nothing else.
    fn look(self, see: impl FnOnce(&[u8])) {
        if self.ptr.is_null() || self.length == 0 {
            return;
        }
        // SAFETY: Envoy's promise for every buffer it hands out: `length` bytes that live until the hook returns or a setter is called.
        see(unsafe { std::slice::from_raw_parts(self.ptr, self.length) });
    }
}

/// A copy of what chunks hold together.
pub(crate) fn joined(chunks: *const EnvoyBuffer, count: usize) -> Vec<u8> {
    let chunks = array(chunks, count);
    let mut bytes = Vec::with_capacity(chunks.iter().map(|chunk| chunk.length).sum());
    chunks.iter().for_each(|chunk| chunk.copy_to(&mut bytes));
    bytes
}

/// A copy of an array of Envoy's.
pub(crate) fn array<T: Copy>(ptr: *const T, length: usize) -> Vec<T> {
    if ptr.is_null() || length == 0 {
        return Vec::new();
    }
    // SAFETY: as for `EnvoyBuffer::look`.
    unsafe { std::slice::from_raw_parts(ptr, length) }.to_vec()
}

/// A line in Envoy's own log.
pub(crate) fn log(level: LogLevel, text: &str) {
    // SAFETY: the text outlives the call.
    unsafe { abi::envoy_dynamic_module_callback_log(level, lent(text.as_bytes())) }
}

fn lent_headers(headers: &[(impl AsRef<[u8]>, impl AsRef<[u8]>)]) -> Vec<ModuleHeader> {
    let header =
        |(key, value): &(_, _)| ModuleHeader { key: lent(AsRef::as_ref(key)), value: lent(AsRef::as_ref(value)) };
    headers.iter().map(header).collect()
}

/// One filter of one stream. Null once Envoy has destroyed it: then nothing is there, and nothing happens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stream(pub(crate) FilterPtr);

impl Stream {
    pub(crate) fn header(self, map: HeaderMap, name: &str) -> Option<Vec<u8>> {
        if self.0.is_null() {
            return None;
        }
        let mut value = EnvoyBuffer::EMPTY;
        // SAFETY: a live filter; `value` is written to and read before anything else is called.
        let found = unsafe {
            abi::envoy_dynamic_module_callback_http_get_header(
                self.0,
                map,
                lent(name.as_bytes()),
                &raw mut value,
                0,
                null_mut(),
            )
        };
        (found && !value.ptr.is_null()).then(|| value.to_vec())
    }

    /// Every header, where Envoy has it until a setter is called.
    fn headers(self, map: HeaderMap) -> Vec<EnvoyHeader> {
        if self.0.is_null() {
            return Vec::new();
        }
        // SAFETY: a live filter.
        let size = unsafe { abi::envoy_dynamic_module_callback_http_get_headers_size(self.0, map) };
        let mut headers = vec![EnvoyHeader { key: EnvoyBuffer::EMPTY, value: EnvoyBuffer::EMPTY }; size];
        // SAFETY: there is room for as many as Envoy just said.
        let found = unsafe { abi::envoy_dynamic_module_callback_http_get_headers(self.0, map, headers.as_mut_ptr()) };
        if found { headers } else { Vec::new() }
    }

    /// Which of these names there are.
    pub(crate) fn present(self, map: HeaderMap, names: &'static [&'static str]) -> Vec<&'static str> {
        let headers = self.headers(map);
        let is_there = |name: &&&str| headers.iter().any(|header| header.key.is(name.as_bytes()));
        names.iter().filter(is_there).copied().collect()
    }

    /// Shows a copy of every header.
    pub(crate) fn each_header(self, map: HeaderMap, see: &mut dyn FnMut(&str, &[u8])) {
        let headers = self.headers(map);
        // One place for all of them: one for each name and value would be most of what this costs.
        let mut bytes = Vec::with_capacity(headers.iter().map(|header| header.key.length + header.value.length).sum());
        headers.iter().flat_map(|header| [header.key, header.value]).for_each(|buffer| buffer.copy_to(&mut bytes));
        let mut rest = bytes.as_slice();
        for header in headers {
            let Some((key, values)) = rest.split_at_checked(header.key.length) else { return };
            let Some((value, others)) = values.split_at_checked(header.value.length) else { return };
            // Envoy's header names are ASCII; one that is not can be none that we look for.
            if let Ok(key) = std::str::from_utf8(key) {
                see(key, value);
            }
            rest = others;
        }
    }

    pub(crate) fn set_header(self, map: HeaderMap, name: &str, value: Option<&[u8]>) {
        if self.0.is_null() {
            return;
        }
        let value = value.map_or(NOTHING, lent);
        // SAFETY: a live filter; both outlive the call.
        let _ =
            unsafe { abi::envoy_dynamic_module_callback_http_set_header(self.0, map, lent(name.as_bytes()), value) };
    }

    pub(crate) fn set_filter_state(self, key: &str, value: &[u8]) {
        if self.0.is_null() {
            return;
        }
        // SAFETY: a live filter; both outlive the call.
        let _ = unsafe {
            abi::envoy_dynamic_module_callback_http_set_filter_state_bytes(self.0, lent(key.as_bytes()), lent(value))
        };
    }

    pub(crate) fn attribute(self, attribute: Attribute) -> Option<Vec<u8>> {
        if self.0.is_null() {
            return None;
        }
        let mut value = EnvoyBuffer::EMPTY;
        // SAFETY: a live filter; `value` is read before anything else is called.
        let found = unsafe {
            abi::envoy_dynamic_module_callback_http_filter_get_attribute_string(self.0, attribute, &raw mut value)
        };
        found.then(|| value.to_vec())
    }

    /// The cluster of the attempt, or of the route.
    pub(crate) fn cluster(self) -> Option<Vec<u8>> {
        if self.0.is_null() {
            return None;
        }
        let mut name = EnvoyBuffer::EMPTY;
        // SAFETY: a live filter; `name` is read before anything else is called.
        let found = unsafe { abi::envoy_dynamic_module_callback_http_get_cluster_name(self.0, &raw mut name) };
        found.then(|| name.to_vec())
    }

    fn body_size(self, body: Body) -> usize {
        // SAFETY: a live filter.
        unsafe { abi::envoy_dynamic_module_callback_http_get_body_size(self.0, body) }
    }

    /// What the hook that runs brought is what was held before, and not more of it.
    fn is_received_held(self, received: Body) -> bool {
        let asked = if received == Body::ReceivedRequest {
            abi::envoy_dynamic_module_callback_http_received_buffered_request_body
        } else {
            abi::envoy_dynamic_module_callback_http_received_buffered_response_body
        };
        // SAFETY: a live filter.
        unsafe { asked(self.0) }
    }

    /// The two places where a body's bytes are, in their order.
    fn places(self, received: Body) -> [Option<Body>; 2] {
        let held = if received == Body::ReceivedRequest { Body::BufferedRequest } else { Body::BufferedResponse };
        [(!self.is_received_held(received)).then_some(held), Some(received)]
    }

    /// Bytes of the body so far.
    pub(crate) fn size(self, received: Body) -> usize {
        if self.0.is_null() {
            return 0;
        }
        self.places(received).into_iter().flatten().map(|place| self.body_size(place)).sum()
    }

    /// The first `size` bytes of the body so far.
    pub(crate) fn body(self, received: Body, size: usize) -> Vec<u8> {
        if self.0.is_null() {
            return Vec::new();
        }
        let mut bytes = Vec::with_capacity(size);
        for place in self.places(received).into_iter().flatten() {
            // SAFETY: a live filter.
            let count = unsafe { abi::envoy_dynamic_module_callback_http_get_body_chunks_size(self.0, place) };
            let mut chunks = vec![EnvoyBuffer::EMPTY; count];
            // SAFETY: there is room for as many as Envoy just said.
            let found =
                unsafe { abi::envoy_dynamic_module_callback_http_get_body_chunks(self.0, place, chunks.as_mut_ptr()) };
            for chunk in chunks.into_iter().filter(|chunk| found && !chunk.ptr.is_null()) {
                let length = chunk.length.min(size - bytes.len());
                // SAFETY: Envoy's chunk of `chunk.length` bytes; nothing is set while it is read.
                bytes.extend_from_slice(unsafe { std::slice::from_raw_parts(chunk.ptr, length) });
            }
        }
        bytes
    }

    /// Puts another request body in the place of what came.
    pub(crate) fn replace_request_body(self, body: &[u8]) {
        if self.0.is_null() {
            return;
        }
        for place in [Body::BufferedRequest, Body::ReceivedRequest] {
            let size = self.body_size(place);
            // SAFETY: a live filter.
            let _ = unsafe { abi::envoy_dynamic_module_callback_http_drain_body(self.0, place, size) };
        }
        // What the hook brought follows what was held, which is empty now; a hook for trailers brought nothing to add to.
        for place in [Body::ReceivedRequest, Body::BufferedRequest] {
            // SAFETY: a live filter; the body outlives the call.
            if unsafe { abi::envoy_dynamic_module_callback_http_append_body(self.0, place, lent(body)) } {
                return;
            }
        }
    }

    /// Answers the client. Envoy may destroy the filter before this returns.
    pub(crate) fn send_response(self, status: u32, headers: &[(String, String)], body: &[u8]) {
        if self.0.is_null() {
            return;
        }
        let mut headers = lent_headers(headers);
        // SAFETY: a live filter; Envoy copies all of it before the call returns.
        unsafe {
            abi::envoy_dynamic_module_callback_http_send_response(
                self.0,
                status,
                headers.as_mut_ptr(),
                headers.len(),
                lent(body),
                lent(b"lasso"),
            );
        }
    }

    /// Sends a request of our own; Envoy's number for it.
    pub(crate) fn callout(self, cluster: &str, headers: &[(&str, &str)], body: &[u8], timeout_ms: u32) -> Option<u64> {
        if self.0.is_null() {
            return None;
        }
        let mut headers = lent_headers(headers);
        let mut number = 0;
        // SAFETY: a live filter; Envoy copies all of it before the call returns.
        let result = unsafe {
            abi::envoy_dynamic_module_callback_http_filter_http_callout(
                self.0,
                &raw mut number,
                lent(cluster.as_bytes()),
                headers.as_mut_ptr(),
                headers.len(),
                lent(body),
                u64::from(timeout_ms),
            )
        };
        (result == abi::SUCCESS).then_some(number)
    }

    /// The number of the thread that serves it.
    pub(crate) fn worker_index(self) -> u32 {
        // SAFETY: a live filter.
        unsafe { abi::envoy_dynamic_module_callback_http_filter_get_worker_index(self.0) }
    }

    /// Envoy looks at the route again.
    pub(crate) fn clear_route(self) {
        if !self.0.is_null() {
            // SAFETY: a live filter.
            unsafe { abi::envoy_dynamic_module_callback_http_clear_route_cache(self.0) }
        }
    }

    /// Envoy asks the route again for its cluster.
    pub(crate) fn clear_cluster(self) {
        if !self.0.is_null() {
            // SAFETY: a live filter.
            unsafe { abi::envoy_dynamic_module_callback_http_clear_route_cluster_cache(self.0) }
        }
    }
}

/// How many threads serve requests. Only while the module is loaded, on the main thread.
pub(crate) fn concurrency() -> u32 {
    // SAFETY: no arguments.
    unsafe { abi::envoy_dynamic_module_callback_get_concurrency() }
}

/// A plugin's configuration, which can hold streams of its own on the main thread: the address of Envoy's side, so that any thread may remember it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Config(usize);

impl From<ConfigPtr> for Config {
    fn from(pointer: ConfigPtr) -> Self {
        Self(pointer.expose_provenance())
    }
}

impl Config {
    fn pointer(self) -> ConfigPtr {
        std::ptr::with_exposed_provenance_mut(self.0)
    }

    pub(crate) fn define(self, name: &str, gauge: bool) -> Option<usize> {
        let mut id = 0;
        let define = if gauge {
            abi::envoy_dynamic_module_callback_http_filter_config_define_gauge
        } else {
            abi::envoy_dynamic_module_callback_http_filter_config_define_counter
        };
        // SAFETY: a live configuration; the name outlives the call, and no labels are given.
        let result = unsafe { define(self.pointer(), lent(name.as_bytes()), null_mut(), 0, &raw mut id) };
        (result == abi::SUCCESS).then_some(id)
    }

    pub(crate) fn add(self, id: usize, gauge: bool, amount: i64) {
        let change = match (gauge, amount < 0) {
            (false, _) => abi::envoy_dynamic_module_callback_http_filter_config_increment_counter,
            (true, false) => abi::envoy_dynamic_module_callback_http_filter_config_increment_gauge,
            (true, true) => abi::envoy_dynamic_module_callback_http_filter_config_decrement_gauge,
        };
        // SAFETY: a live configuration, and a number that it gave.
        let _ = unsafe { change(self.pointer(), id, null_mut(), 0, amount.unsigned_abs()) };
    }

    /// Opens a stream of a gRPC method.
    pub(crate) fn open(self, cluster: &str, path: &str) -> Option<u64> {
        let mut headers = lent_headers(&[
            (":method", "POST"),
            (":path", path),
            (":authority", cluster),
            (":scheme", "http"),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
        ]);
        let mut number = 0;
        // SAFETY: a live configuration; Envoy copies all of it before the call returns.
        let result = unsafe {
            abi::envoy_dynamic_module_callback_http_filter_config_start_http_stream(
                self.pointer(),
                &raw mut number,
                lent(cluster.as_bytes()),
                headers.as_mut_ptr(),
                headers.len(),
                NOTHING,
                false,
                0,
            )
        };
        (result == abi::SUCCESS).then_some(number)
    }

    pub(crate) fn send(self, stream: u64, bytes: &[u8]) -> bool {
        // SAFETY: a live configuration; Envoy copies the bytes.
        unsafe {
            abi::envoy_dynamic_module_callback_http_filter_config_stream_send_data(
                self.pointer(),
                stream,
                lent(bytes),
                false,
            )
        }
    }

    pub(crate) fn reset(self, stream: u64) {
        // SAFETY: a live configuration; a number that is none any more does nothing.
        unsafe { abi::envoy_dynamic_module_callback_http_filter_config_reset_http_stream(self.pointer(), stream) }
    }
}

/// What wakes a configuration's main thread from any thread; deleted with its value.
#[derive(Debug)]
pub(crate) struct Scheduler(SchedulerPtr);

// SAFETY: Envoy lets any thread commit, and the value has one owner.
unsafe impl Send for Scheduler {}

impl Scheduler {
    pub(crate) fn new(config: Config) -> Self {
        // SAFETY: a live configuration.
        Self(unsafe { abi::envoy_dynamic_module_callback_http_filter_config_scheduler_new(config.pointer()) })
    }

    pub(crate) fn wake(&self, event: u64) {
        // SAFETY: not deleted before `self` is dropped.
        unsafe { abi::envoy_dynamic_module_callback_http_filter_config_scheduler_commit(self.0, event) }
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        // SAFETY: made by `new`, and nobody else has it.
        unsafe { abi::envoy_dynamic_module_callback_http_filter_config_scheduler_delete(self.0) }
    }
}
