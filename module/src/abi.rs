//! Envoy's dynamic module ABI, as far as it is used: version v0.2.0, that of Envoy 1.40 (`source/extensions/dynamic_modules/abi/abi.h`).
//!
//! Duty: the types and the functions that Envoy has for a module. Invariant: nothing here but declarations; layouts are those of C.
//! Leaves to others: the functions that a module has for Envoy (`hooks`), and everything that is decided.

#![allow(unsafe_code, reason = "declarations of a C interface")]

use std::ffi::c_void;

/// The version of the interface; Envoy warns where it has another.
pub(crate) const VERSION: &std::ffi::CStr = c"v0.2.0";

/// Envoy's side of a plugin's configuration.
pub(crate) type ConfigPtr = *mut c_void;
/// Envoy's side of one filter of one stream.
pub(crate) type FilterPtr = *mut c_void;
/// What wakes a configuration on the main thread.
pub(crate) type SchedulerPtr = *mut c_void;

/// Bytes of Envoy's, valid until the hook returns.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct EnvoyBuffer {
    pub(crate) ptr: *const u8,
    pub(crate) length: usize,
}

/// Bytes of ours, valid until the call returns.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct ModuleBuffer {
    pub(crate) ptr: *const u8,
    pub(crate) length: usize,
}

/// A header of Envoy's.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct EnvoyHeader {
    pub(crate) key: EnvoyBuffer,
    pub(crate) value: EnvoyBuffer,
}

/// A header of ours.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct ModuleHeader {
    pub(crate) key: ModuleBuffer,
    pub(crate) value: ModuleBuffer,
}

/// Which header map.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) enum HeaderMap {
    Request = 0,
    Response = 2,
}

/// Which bytes of a body: what this hook brought, or what was held before.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    ReceivedRequest = 0,
    BufferedRequest = 1,
    ReceivedResponse = 2,
    BufferedResponse = 3,
}

/// Log levels.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) enum LogLevel {
    Warn = 3,
    Error = 4,
}

/// Attributes, by their place in the header's list.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) enum Attribute {
    UpstreamTransportFailureReason = 52,
}

/// `FilterHeadersStatus`, and `FilterTrailersStatus`, which has the first two.
pub(crate) mod headers {
    pub(crate) const CONTINUE: u32 = 0;
    pub(crate) const STOP: u32 = 1;
}

/// `FilterDataStatus`.
pub(crate) mod data {
    pub(crate) const CONTINUE: u32 = 0;
    pub(crate) const STOP_AND_BUFFER: u32 = 1;
    pub(crate) const STOP_NO_BUFFER: u32 = 3;
}

/// Results that are zero when all is well.
pub(crate) const SUCCESS: u32 = 0;

unsafe extern "C" {
    pub(crate) fn envoy_dynamic_module_callback_log(level: LogLevel, message: ModuleBuffer);

    pub(crate) fn envoy_dynamic_module_callback_get_concurrency() -> u32;
    pub(crate) fn envoy_dynamic_module_callback_http_filter_get_worker_index(filter: FilterPtr) -> u32;

    pub(crate) fn envoy_dynamic_module_callback_http_filter_config_define_counter(
        config: ConfigPtr,
        name: ModuleBuffer,
        labels: *mut ModuleBuffer,
        label_count: usize,
        id: *mut usize,
    ) -> u32;
    pub(crate) fn envoy_dynamic_module_callback_http_filter_config_define_gauge(
        config: ConfigPtr,
        name: ModuleBuffer,
        labels: *mut ModuleBuffer,
        label_count: usize,
        id: *mut usize,
    ) -> u32;
    pub(crate) fn envoy_dynamic_module_callback_http_filter_config_increment_counter(
        config: ConfigPtr,
        id: usize,
        labels: *mut ModuleBuffer,
        label_count: usize,
        value: u64,
    ) -> u32;
    pub(crate) fn envoy_dynamic_module_callback_http_filter_config_increment_gauge(
        config: ConfigPtr,
        id: usize,
        labels: *mut ModuleBuffer,
        label_count: usize,
        value: u64,
    ) -> u32;
    pub(crate) fn envoy_dynamic_module_callback_http_filter_config_decrement_gauge(
        config: ConfigPtr,
        id: usize,
        labels: *mut ModuleBuffer,
        label_count: usize,
        value: u64,
    ) -> u32;

    pub(crate) fn envoy_dynamic_module_callback_http_filter_config_scheduler_new(config: ConfigPtr) -> SchedulerPtr;
    pub(crate) fn envoy_dynamic_module_callback_http_filter_config_scheduler_delete(scheduler: SchedulerPtr);
    pub(crate) fn envoy_dynamic_module_callback_http_filter_config_scheduler_commit(
        scheduler: SchedulerPtr,
        event: u64,
    );
    pub(crate) fn envoy_dynamic_module_callback_http_filter_config_start_http_stream(
        config: ConfigPtr,
        stream: *mut u64,
        cluster: ModuleBuffer,
        headers: *mut ModuleHeader,
        header_count: usize,
        body: ModuleBuffer,
        end: bool,
        timeout_ms: u64,
    ) -> u32;
    pub(crate) fn envoy_dynamic_module_callback_http_filter_config_reset_http_stream(config: ConfigPtr, stream: u64);
    pub(crate) fn envoy_dynamic_module_callback_http_filter_config_stream_send_data(
        config: ConfigPtr,
        stream: u64,
        data: ModuleBuffer,
        end: bool,
    ) -> bool;

    pub(crate) fn envoy_dynamic_module_callback_http_get_header(
        filter: FilterPtr,
        map: HeaderMap,
        key: ModuleBuffer,
        value: *mut EnvoyBuffer,
        index: usize,
        count: *mut usize,
    ) -> bool;
    pub(crate) fn envoy_dynamic_module_callback_http_get_headers_size(filter: FilterPtr, map: HeaderMap) -> usize;
    pub(crate) fn envoy_dynamic_module_callback_http_get_headers(
        filter: FilterPtr,
        map: HeaderMap,
        headers: *mut EnvoyHeader,
    ) -> bool;
    pub(crate) fn envoy_dynamic_module_callback_http_set_header(
        filter: FilterPtr,
        map: HeaderMap,
        key: ModuleBuffer,
        value: ModuleBuffer,
    ) -> bool;
    pub(crate) fn envoy_dynamic_module_callback_http_send_response(
        filter: FilterPtr,
        status: u32,
        headers: *mut ModuleHeader,
        header_count: usize,
        body: ModuleBuffer,
        details: ModuleBuffer,
    );
    pub(crate) fn envoy_dynamic_module_callback_http_get_body_size(filter: FilterPtr, body: Body) -> usize;
    pub(crate) fn envoy_dynamic_module_callback_http_get_body_chunks_size(filter: FilterPtr, body: Body) -> usize;
    pub(crate) fn envoy_dynamic_module_callback_http_get_body_chunks(
        filter: FilterPtr,
        body: Body,
        chunks: *mut EnvoyBuffer,
    ) -> bool;
    pub(crate) fn envoy_dynamic_module_callback_http_append_body(
        filter: FilterPtr,
        body: Body,
        data: ModuleBuffer,
    ) -> bool;
    pub(crate) fn envoy_dynamic_module_callback_http_drain_body(filter: FilterPtr, body: Body, bytes: usize) -> bool;
    pub(crate) fn envoy_dynamic_module_callback_http_received_buffered_request_body(filter: FilterPtr) -> bool;
    pub(crate) fn envoy_dynamic_module_callback_http_received_buffered_response_body(filter: FilterPtr) -> bool;
    pub(crate) fn envoy_dynamic_module_callback_http_set_filter_state_bytes(
        filter: FilterPtr,
        key: ModuleBuffer,
        value: ModuleBuffer,
    ) -> bool;
    pub(crate) fn envoy_dynamic_module_callback_http_get_cluster_name(
        filter: FilterPtr,
        name: *mut EnvoyBuffer,
    ) -> bool;
    pub(crate) fn envoy_dynamic_module_callback_http_clear_route_cache(filter: FilterPtr);
    pub(crate) fn envoy_dynamic_module_callback_http_clear_route_cluster_cache(filter: FilterPtr);
    pub(crate) fn envoy_dynamic_module_callback_http_filter_get_attribute_string(
        filter: FilterPtr,
        attribute: Attribute,
        value: *mut EnvoyBuffer,
    ) -> bool;
    pub(crate) fn envoy_dynamic_module_callback_http_filter_http_callout(
        filter: FilterPtr,
        callout: *mut u64,
        cluster: ModuleBuffer,
        headers: *mut ModuleHeader,
        header_count: usize,
        body: ModuleBuffer,
        timeout_ms: u64,
    ) -> u32;
}
