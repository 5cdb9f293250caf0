//! Envoy's side: resources, their encoding, and the server that hands them out.
//!
//! Duty: `resources` says what Envoy is told, once, as JSON values; `encode` turns them into protobuf; `session` and `service` serve them;
//! `nodes` lists the Envoys.
//! Invariant: what `lasso render envoy` prints and what `lasso serve` sends are made by the same functions.
//! Leaves to others: what exists (`compile`), choosing and judging (the filter).

pub(crate) mod encode;
pub(crate) mod nodes;
pub(crate) mod resources;
pub(crate) mod secrets;
pub(crate) mod service;
pub(crate) mod session;
pub(crate) mod snapshot;
