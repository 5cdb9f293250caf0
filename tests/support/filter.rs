//! The two kinds that the filter comes in.
//!
//! Duty: which kind is under test, where each is built, and what differs to who reads Envoy's configuration and stats.
//! Invariant: no kind is taken in place of another: one that is not built fails, and says which command makes it.
//! Leaves to others: what Envoy is told (`lasso`, which goes by the file's name).

use std::{env, path::PathBuf};

use anyhow::bail;
use clap::ValueEnum;

use crate::tools;

/// What the filter is built as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FilterKind {
    /// WebAssembly.
    Wasm,
    /// A native module.
    Module,
}

impl FilterKind {
    /// The one under test: `LASSO_TEST_FILTER`, else WebAssembly.
    pub fn under_test() -> anyhow::Result<Self> {
        match env::var("LASSO_TEST_FILTER").as_deref() {
            Err(env::VarError::NotPresent) | Ok("wasm") => Ok(Self::Wasm),
            Ok("module") => Ok(Self::Module),
            Ok(_) | Err(env::VarError::NotUnicode(_)) => bail!("LASSO_TEST_FILTER must be wasm or module"),
        }
    }

    /// The file (`LASSO_FILTER`, `LASSO_MODULE`).
    pub fn file(self) -> anyhow::Result<PathBuf> {
        match self {
            Self::Wasm => tools::built("LASSO_FILTER", "wasm32-wasip1/wasm/lasso_filter.wasm", "make build"),
            Self::Module => tools::built("LASSO_MODULE", "module/liblasso_module.so", "make module"),
        }
    }

    /// The file that panics when it is asked to (`LASSO_PANIC_FILTER`, `LASSO_PANIC_MODULE`).
    pub fn panicking_file(self) -> anyhow::Result<PathBuf> {
        match self {
            Self::Wasm => {
                let built = "panic/wasm32-wasip1/wasm/lasso_filter.wasm";
                tools::built("LASSO_PANIC_FILTER", built, "make build-panic")
            }
            Self::Module => tools::built("LASSO_PANIC_MODULE", "panic/module/liblasso_module.so", "make module-panic"),
        }
    }

    /// Streams to the control plane of an Envoy with so many workers: one for each, and in a virtual machine one for the main thread, too.
    pub const fn streams(self, workers: usize) -> usize {
        match self {
            Self::Wasm => workers + 1,
            Self::Module => workers,
        }
    }

    /// What Envoy puts before the names of our stats.
    pub const fn stats(self) -> &'static str {
        match self {
            Self::Wasm => "wasmcustom.",
            Self::Module => "lassocustom.",
        }
    }

    /// `envoy/mesh.yaml`, as envoy/README.md says that it must be for this kind.
    pub(crate) fn in_mesh(self, yaml: &str) -> String {
        match self {
            Self::Wasm => yaml.to_owned(),
            Self::Module => yaml
                .replace("route_config_name: lasso", "route_config_name: lasso.module")
                .replace("name: lasso.down", "name: lasso.module.down")
                .replace("name: lasso.up", "name: lasso.module.up")
                .replace(
                    "envoy.extensions.filters.http.wasm.v3.Wasm",
                    "envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter",
                ),
        }
    }
}
