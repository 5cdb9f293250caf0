//! The functions that Envoy calls for the module and its configurations, on the main thread.
//!
//! Duty: hand them to `control`. Invariant: no panic leaves; a configuration that does not read is refused with its reason in Envoy's log.
//! Leaves to others: one stream's hooks (`hooks`).

#![allow(unsafe_code, reason = "functions with a C interface")]

use std::ffi::{c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null;
use std::sync::Arc;

use super::PluginPtr;
use crate::abi::{self, ConfigPtr, EnvoyBuffer, EnvoyHeader, LogLevel};
use crate::control::{self, Heard, Plugin};
use crate::envoy::{self, Config};
use crate::seat;

/// The module was loaded: the version of the interface that it was written for.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn envoy_dynamic_module_on_program_init() -> *const c_char {
    let _ = catch_unwind(|| seat::make(envoy::concurrency()));
    abi::VERSION.as_ptr()
}

/// A configuration; null refuses it.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn envoy_dynamic_module_on_http_filter_config_new(
    config: ConfigPtr,
    name: EnvoyBuffer,
    bytes: EnvoyBuffer,
) -> PluginPtr {
    let read = catch_unwind(|| control::read(config.into(), &name.to_vec(), &bytes.to_vec()));
    match read {
        Ok(Ok(plugin)) => Arc::into_raw(plugin).cast(),
        Ok(Err(reason)) => {
            envoy::log(LogLevel::Error, &format!("lasso: catalog refused: {reason}"));
            null()
        }
        Err(_) => null(),
    }
}

/// A configuration is dropped, with its last stream.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn envoy_dynamic_module_on_http_filter_config_destroy(plugin: PluginPtr) {
    // SAFETY: made by `Arc::into_raw` in `config_new`; Envoy forgets it now.
    let plugin = unsafe { Arc::from_raw(plugin.cast::<Plugin>()) };
    let _ = catch_unwind(AssertUnwindSafe(|| control::remove(&plugin)));
}

/// There is none for a route: refused.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn envoy_dynamic_module_on_http_filter_per_route_config_new(
    _name: EnvoyBuffer,
    _bytes: EnvoyBuffer,
) -> *const c_void {
    null()
}

/// There is none to drop.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn envoy_dynamic_module_on_http_filter_per_route_config_destroy(_config: *const c_void) {}

/// The main thread was woken for a configuration.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn envoy_dynamic_module_on_http_filter_config_scheduled(
    _config: ConfigPtr,
    _plugin: PluginPtr,
    event: u64,
) {
    if catch_unwind(|| control::woken(event)).is_err() {
        envoy::log(LogLevel::Error, "lasso: a tick panicked");
    }
}

fn heard(config: ConfigPtr, stream: u64, what: Heard) {
    if catch_unwind(AssertUnwindSafe(|| control::heard(Config::from(config), stream, what))).is_err() {
        envoy::log(LogLevel::Error, "lasso: a message of the control plane made a panic");
    }
}

/// The control plane answered a stream.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn envoy_dynamic_module_on_http_filter_config_http_stream_headers(
    config: ConfigPtr,
    _plugin: PluginPtr,
    stream: u64,
    headers: *const EnvoyHeader,
    header_count: usize,
    end: bool,
) {
    let is_ok = |header: &EnvoyHeader| header.key.to_vec() == b":status" && header.value.to_vec() == b"200";
    let up = !end && envoy::array(headers, header_count).iter().any(is_ok);
    heard(config, stream, Heard::Head(up));
}

/// Bytes of the control plane's.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn envoy_dynamic_module_on_http_filter_config_http_stream_data(
    config: ConfigPtr,
    _plugin: PluginPtr,
    stream: u64,
    chunks: *const EnvoyBuffer,
    chunk_count: usize,
    _end: bool,
) {
    heard(config, stream, Heard::Data(envoy::joined(chunks, chunk_count)));
}

/// The last words of a stream: its end says all that is needed.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn envoy_dynamic_module_on_http_filter_config_http_stream_trailers(
    _config: ConfigPtr,
    _plugin: PluginPtr,
    _stream: u64,
    _trailers: *const EnvoyHeader,
    _trailer_count: usize,
) {
}

/// A stream ended.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn envoy_dynamic_module_on_http_filter_config_http_stream_complete(
    config: ConfigPtr,
    _plugin: PluginPtr,
    stream: u64,
) {
    heard(config, stream, Heard::Closed);
}

/// A stream broke.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn envoy_dynamic_module_on_http_filter_config_http_stream_reset(
    config: ConfigPtr,
    _plugin: PluginPtr,
    stream: u64,
    _reason: u32,
) {
    heard(config, stream, Heard::Closed);
}
