//! Real Envoy, real nodes, real clients, providers that misbehave: what a client sees.
//!
//! Duty: one module for each promise. Tests start their own mesh and providers on free ports, so they run side by side.
//! Leaves to others: the processes and the bytes (tests/support).

#![expect(clippy::unwrap_used, clippy::panic, reason = "an expectation that fails ends its test")]

mod answers;
mod batches;
mod clients;
mod control_plane;
mod demo;
mod documents;
mod errors;
mod failure_matrix;
mod fault_proxy;
mod fault_socket;
mod filters;
mod fleet;
mod headers;
mod heads;
mod isolation;
mod kinds;
mod last_resort;
mod learning;
mod limits;
mod load;
mod pace;
mod panic;
mod profiles;
mod reload;
mod request_log;
mod retries;
mod secrets;
mod stats;
mod streaming;
mod sync;
mod tls;
mod writes;
mod ws_channels;
mod ws_clients;
mod ws_close;
mod ws_continuity;
#[cfg(target_os = "linux")]
mod ws_half_open;
mod ws_hub;
mod ws_logs;
mod ws_shared;
mod ws_stand;
mod ws_unary;
