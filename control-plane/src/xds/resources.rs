//! What Envoy is told, as JSON values in Envoy's own words.
//!
//! Duty: one module for each kind of resource, `static_config` and `ads_bootstrap` for whole files.
//! Invariant: provider paths, keys and header values are in the filter's configuration and nowhere else.
//! Leaves to others: printing (`render`), protobuf (`encode`).

pub(crate) mod bootstrap;
pub(crate) mod clusters;
pub(crate) mod filters;
pub(crate) mod listener;
pub(crate) mod routes;

use std::path::PathBuf;

use filters::FilterFile;

/// What is decided on the command line, not in the configuration: paths and ports on Envoy's machine.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    pub(crate) filter: FilterFile,
    /// Certificates that providers are checked against.
    pub(crate) ca_bundle: PathBuf,
    /// Where access logs go; standard output when absent.
    pub(crate) access_log: Option<PathBuf>,
}

/// Name of the listener, the virtual host and the route configuration (of WebAssembly: [`filters::FilterKind::routes`]).
pub(crate) const NAME: &str = "lasso";

/// The filter in the HTTP chain, and the same filter in the router's upstream chain.
pub(crate) const DOWN: &str = "lasso.down";
pub(crate) const UP: &str = "lasso.up";

/// The cluster that leads to `lasso serve`: for ADS, and for what the filter reports and follows.
pub(crate) const CONTROL: &str = "lasso-control";

/// The cluster that leads to `lasso serve`'s hub, where clients' WebSockets end.
pub(crate) const HUB: &str = "lasso-hub";

/// `@type` of a message.
pub(crate) fn type_url(message: &str) -> String {
    format!("type.googleapis.com/{message}")
}

/// Seconds as Envoy's JSON has durations.
pub(crate) fn seconds(millis: u64) -> String {
    format!("{}s", millis as f64 / 1_000.0)
}

#[cfg(test)]
mod tests;
