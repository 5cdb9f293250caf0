//! The filter in its two places.
//!
//! Duty: the two kinds that the filter comes in, and the configuration of DOWN and UP for each: the same file, the same catalog.
//! Invariant: `vm_config` is identical in both places, else they would not share a VM and its memory. A module's file is loaded once for both, and
//! is never unloaded: what its workers learned is in it.
//! Leaves to others: where they stand (`listener`).

use std::path::PathBuf;

use lasso_routing::catalog::CatalogSpec;
use serde_json::{Value, json};

use super::{DOWN, NAME, Site, UP, type_url};

/// What the filter's file is to Envoy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FilterKind {
    /// WebAssembly, in a VM of each worker.
    Wasm,
    /// A shared object, in Envoy's own process.
    Module,
}

impl FilterKind {
    /// The message that configures it.
    pub(crate) const fn message(self) -> &'static str {
        match self {
            Self::Wasm => "envoy.extensions.filters.http.wasm.v3.Wasm",
            Self::Module => "envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter",
        }
    }

    /// The name of the route configuration, which reads what this kind says. Like those of the filters it is one for each kind, so that a listener that drains
    /// keeps what belongs together while another one with the other kind begins. (Envoy would refuse a filter that changes its kind until then.)
    pub(crate) const fn routes(self) -> &'static str {
        match self {
            Self::Wasm => NAME,
            Self::Module => "lasso.module",
        }
    }

    /// Names of DOWN and UP where Envoy asks for them.
    pub(crate) const fn names(self) -> Places<&'static str> {
        match self {
            Self::Wasm => Places { down: DOWN, up: UP },
            Self::Module => Places { down: "lasso.module.down", up: "lasso.module.up" },
        }
    }
}

/// Something of DOWN, and the same of UP.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Places<T> {
    pub(crate) down: T,
    pub(crate) up: T,
}

/// The filter's file on Envoy's machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FilterFile {
    pub(crate) kind: FilterKind,
    pub(crate) path: PathBuf,
}

impl FilterFile {
    /// The kind is in the name. Nothing for another name.
    pub(crate) fn named(path: PathBuf) -> Option<Self> {
        let kind = match path.extension()?.to_str()? {
            "wasm" => FilterKind::Wasm,
            "so" => FilterKind::Module,
            _ => return None,
        };
        Some(Self { kind, path })
    }
}

/// The filter's messages (with `@type`).
pub(crate) fn filters(catalog: &Value, site: &Site) -> Places<Value> {
    let message = |place: &str| match site.filter.kind {
        FilterKind::Wasm => wasm(place, catalog, &site.filter),
        FilterKind::Module => module(place, catalog, &site.filter),
    };
    Places { down: message(DOWN), up: message(UP) }
}

fn wasm(place: &str, catalog: &Value, file: &FilterFile) -> Value {
    json!({
        "@type": type_url(FilterKind::Wasm.message()),
        "config": {
            "name": place,
            "root_id": place,
            "allow_on_headers_stop_iteration": true,
            "failure_policy": "FAIL_RELOAD",
            "reload_config": {"backoff": {"base_interval": "0.05s", "max_interval": "1s"}},
            "configuration": {"@type": type_url("google.protobuf.Struct"), "value": catalog},
            "vm_config": {
                "vm_id": "lasso",
                "runtime": "envoy.wasm.runtime.v8",
                "code": {"local": {"filename": file.path}},
            },
        },
    })
}

fn module(place: &str, catalog: &Value, file: &FilterFile) -> Value {
    json!({
        "@type": type_url(FilterKind::Module.message()),
        "dynamic_module_config": {
            "module": {"local": {"filename": file.path}},
            "do_not_close": true,
            "metrics_namespace": "lassocustom",
        },
        "filter_name": place,
        // Envoy hands a `Struct` to the module as JSON.
        "filter_config": {"@type": type_url("google.protobuf.Struct"), "value": catalog},
    })
}

/// The catalog as the filter's configuration has it.
pub(crate) fn catalog(spec: &CatalogSpec) -> serde_json::Result<Value> {
    serde_json::to_value(spec)
}
