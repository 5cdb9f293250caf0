//! The filter in its two places.
//!
//! Duty: the plugin configuration of DOWN and UP: the same module, the same VM, the same catalog.
//! Invariant: `vm_config` is identical in both, else they would not share a VM and its memory.
//! Leaves to others: where they stand (`listener`).

use lasso_routing::catalog::CatalogSpec;
use serde_json::{Value, json};

use super::{Site, type_url};

pub(crate) const WASM: &str = "envoy.extensions.filters.http.wasm.v3.Wasm";

/// The filter's message (with `@type`) for one of its two names.
pub(crate) fn wasm(name: &str, catalog: &Value, site: &Site) -> Value {
    json!({
        "@type": type_url(WASM),
        "config": {
            "name": name,
            "root_id": name,
            "allow_on_headers_stop_iteration": true,
            "failure_policy": "FAIL_RELOAD",
            "reload_config": {"backoff": {"base_interval": "0.05s", "max_interval": "1s"}},
            "configuration": {"@type": type_url("google.protobuf.Struct"), "value": catalog},
            "vm_config": {
                "vm_id": "lasso",
                "runtime": "envoy.wasm.runtime.v8",
                "code": {"local": {"filename": site.filter}},
            },
        },
    })
}

/// The catalog as the filter's configuration has it.
pub(crate) fn catalog(spec: &CatalogSpec) -> serde_json::Result<Value> {
    serde_json::to_value(spec)
}
