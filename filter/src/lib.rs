//! Lasso's Envoy filter, in the two places where Envoy runs it.
//!
//! ```text
//! client -> Envoy listener -> ... -> DOWN -> router -> UP -> provider        (UP: once for each attempt)
//! ```
//!
//! - [`down`] parses the call, answers what needs no provider, ranks the channels, and at the end mends what the client would otherwise see: exhausted
//!   attempts, Envoy's own replies, batches.
//! - [`up`] addresses each attempt to its channel, holds the response until it can be judged, and lets it go or marks it for a retry.
//! - [`exchange`] is what the two share about one request; [`worker`] what the VM knows across requests.
//! - [`judge`] turns a reply into an outcome, [`reply`] builds what we say ourselves, [`meta`] tells how it was routed, [`stats`] counts.
//! - [`sync`] is the stream to the control plane: reports up, routing tables down; [`decision`] chooses which requests a report tells.
//! - [`record`] writes the request log's lines.
//! - [`flags`] reads from Envoy's response flags whether a request left.
//! - [`bounds`] remembers how many calls a channel takes at once.
//! - [`host`] is all that is asked of Envoy; `wasm` the only file that names proxy-wasm.
//!
//! Invariants: no panic on any input (a trap kills the worker's VM and all its requests); a provider's path, key or headers are never given to a client, a log or
//! another provider; a write is never sent twice.

#![warn(clippy::indexing_slicing)]

pub mod bounds;
pub mod decision;
pub mod down;
pub mod exchange;
pub mod flags;
pub mod host;
pub mod judge;
pub mod meta;
pub mod record;
pub mod reply;
pub mod stats;
pub mod sync;
pub mod up;
pub mod worker;

#[cfg(test)]
mod fake;
#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test that indexes out of bounds has failed")]
mod tests;
#[cfg(target_arch = "wasm32")]
mod wasm;

/// What Envoy does after a callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Go on to the next filter.
    Continue,
    /// Hold here until a later callback says otherwise.
    Pause,
}
