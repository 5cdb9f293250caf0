//! The filter as an Envoy dynamic module: a shared object that Envoy 1.40 loads into its own process.
//!
//! The same DOWN and UP as in the WebAssembly build (`lasso_filter`), without the border between Envoy and a virtual machine, which is most of what a
//! request costs there.
//!
//! - `abi` declares Envoy's interface, [`envoy`] makes its functions safe, `hooks` are the functions that Envoy calls.
//! - `stage` is one stream as the filter sees it; `details` reads Envoy's words for its own replies.
//! - `seat` is what a thread has: one [`lasso_filter::worker::Worker`]; `control` reports and follows tables for all of them on the main thread, over streams whose
//!   messages `frames` finds; `node` knows Envoy's name.
//!
//! Invariants: no panic crosses into Envoy; pointers are in `abi`, `envoy`, `hooks` and `seat` alone.

mod abi;
mod control;
mod details;
mod envoy;
mod frames;
mod hooks;
mod node;
mod seat;
mod stage;
