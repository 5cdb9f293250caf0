//! The configuration: from a file to values that the rest may trust.
//!
//! Duty: read `lasso.yaml` (or a directory of profile files), find every mistake in one pass, and hand over a [`Config`].
//! Invariant: a [`Config`] exists only when nothing was wrong; no message or masked output holds a secret.
//! Leaves to others: the catalog and Envoy's resources (`compile`, `xds::resources`).
//!
//! The way of a file: `files` -> `tree` (lines) -> `checked` along `schema` (kinds, ranges, defaults) -> `decode` (rules between keys).

mod access;
mod checked;
mod decode;
mod effective;
mod env;
mod files;
mod problem;
mod reference;
mod scalar;
mod schema;
mod tree;
mod vendor;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::Path;

use lasso_routing::catalog::spec::{BreakerSpec, CapabilitiesSpec, CostSpec, MethodRulesSpec};

pub(crate) use env::Lookup;
pub(crate) use problem::Problems;
pub(crate) use reference::markdown as reference;
pub(crate) use scalar::{Location, LocationHost};

/// Everything this build acts on.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) listen_rpc: SocketAddr,
    pub(crate) listen_xds: SocketAddr,
    pub(crate) log_level: String,
    pub(crate) workers: u32,
    pub(crate) max_batch: u32,
    pub(crate) max_body_bytes: u32,
    pub(crate) max_meta_header_bytes: u32,
    /// `public` first, then as written.
    pub(crate) profiles: Vec<Profile>,
}

#[derive(Debug)]
pub(crate) struct Profile {
    pub(crate) id: String,
    pub(crate) explore: bool,
    pub(crate) methods: MethodRulesSpec,
    pub(crate) chains: Vec<Chain>,
}

#[derive(Debug)]
pub(crate) struct Chain {
    pub(crate) id: String,
    pub(crate) chain_id: u64,
    pub(crate) aliases: Vec<String>,
    pub(crate) hosts: Vec<String>,
    pub(crate) strategy: String,
    pub(crate) block_time_ms: Option<u32>,
    pub(crate) max_lag_blocks: Option<u32>,
    pub(crate) archival_after_blocks: u32,
    pub(crate) breaker: BreakerSpec,
    /// Only those that can be used.
    pub(crate) providers: Vec<Provider>,
}

#[derive(Debug)]
pub(crate) struct Provider {
    pub(crate) id: String,
    pub(crate) location: Location,
    /// Names in lower case. Secrets.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) priority: u32,
    pub(crate) cost: Option<CostSpec>,
    pub(crate) archival: bool,
    pub(crate) requests_per_second: Option<f64>,
    pub(crate) capabilities: CapabilitiesSpec,
}

/// A configuration without mistakes, and what a person should know about it.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) config: Config,
    /// What was left out and why.
    pub(crate) warnings: Vec<String>,
    /// Keys that are set and do nothing yet.
    pub(crate) not_in_effect: Vec<String>,
    /// All of it with defaults, as YAML, secrets masked.
    pub(crate) effective: String,
}

/// Reads a file or a directory.
pub(crate) fn load(path: &Path, lookup: &Lookup<'_>) -> Result<Loaded, Problems> {
    let mut problems = Problems::none();
    let root = files::read(path, &mut problems);
    let Some(root) = root else {
        return Err(Problems::new(problems));
    };
    let on_unset = match root.child("on_missing_env").and_then(tree::Node::scalar) {
        Some("fail") => checked::OnUnset::Fail,
        Some(_) | None => checked::OnUnset::DisableProvider,
    };
    let mut checker = checked::Checker::new(lookup, on_unset, problems);
    let section = checker.section(&root, "", "");
    let checked::Checker { mut problems, later, .. } = checker;
    let mut warnings = Vec::new();
    let config = decode::config(&section, &mut problems, &mut warnings);
    match config {
        Some(config) if problems.is_empty() => {
            let effective = effective::document(&section).to_string();
            Ok(Loaded { config, warnings, not_in_effect: later, effective })
        }
        Some(_) | None => Err(Problems::new(problems)),
    }
}
