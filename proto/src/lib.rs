//! What crosses between control plane and filter, and the only conversions to and from `lasso-routing`.
//!
//! Duty: carry the catalog as the plugin configuration, a `google.protobuf.Struct`, which Envoy hands to the filter as protobuf bytes;
//! carry reports, routing tables and what goes with them between workers and the control plane.
//! Invariant: nothing outside this crate knows how these look on the wire.
//! Leaves to others: checking what it says (`lasso_routing::Catalog` is made from the spec by `TryFrom`).

#![warn(missing_docs)]

pub mod catalog;
pub mod structure;
pub mod sync;
