//! The command line.
//!
//! Duty: name the commands and their options. Invariant: what is decided here is about this machine (paths, ports), never about routing.
//! Leaves to others: doing it.

mod trust;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::{Config, Lookup, Provider};
use crate::xds::resources::Site;
use crate::xds::resources::filters::FilterFile;

/// Lasso for Envoy: one JSON-RPC endpoint in front of many providers.
#[derive(Debug, Parser)]
#[command(name = "lasso", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Check a configuration, and print what is in effect with secrets masked.
    Check {
        /// lasso.yaml, or a directory with one file for each profile.
        config: PathBuf,
    },
    /// Print a configuration for Envoy. It holds provider keys.
    Render {
        #[command(subcommand)]
        what: Render,
    },
    /// Print a reference: of all keys or of all metrics as Markdown, or of the API as an OpenAPI document.
    Reference {
        /// Of what.
        #[arg(value_enum, default_value_t)]
        of: Reference,
    },
    /// Serve clusters, routes, filters and the listener to Envoys by Delta ADS.
    Serve {
        /// lasso.yaml, or a directory with one file for each profile.
        config: PathBuf,
        #[command(flatten)]
        site: SiteArgs,
    },
}

/// What there is a reference of.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(crate) enum Reference {
    #[default]
    Configuration,
    Metrics,
    Openapi,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Render {
    /// Everything in one file, which works without the control plane.
    Envoy {
        /// lasso.yaml, or a directory with one file for each profile.
        config: PathBuf,
        #[command(flatten)]
        site: SiteArgs,
        #[command(flatten)]
        node: NodeArgs,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// A bootstrap that asks `lasso serve` for everything.
    Bootstrap {
        /// lasso.yaml, or a directory with one file for each profile.
        config: PathBuf,
        #[command(flatten)]
        node: NodeArgs,
        #[command(flatten)]
        admin: AdminArgs,
    },
}

/// What is true of Envoy's machine.
#[derive(Debug, Args)]
pub(crate) struct SiteArgs {
    /// The filter: `lasso_filter.wasm`, or `liblasso_module.so`, which Envoy loads into its own process.
    #[arg(
        long,
        env = "LASSO_FILTER",
        default_value = "target/wasm32-wasip1/wasm/lasso_filter.wasm",
        value_parser = filter
    )]
    filter: FilterFile,
    /// Certificates that providers are checked against. Default: `SSL_CERT_FILE`, else the system's.
    #[arg(long, env = "LASSO_CA_BUNDLE")]
    ca_bundle: Option<PathBuf>,
    /// File for Envoy's access log. Default: standard output.
    #[arg(long)]
    access_log: Option<PathBuf>,
    /// How many Envoy workers share a provider's `rate_limit`: Envoy's `--concurrency` times the number of Envoys. Default: `workers` of
    /// the configuration, else 1.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_024))]
    pub(crate) workers: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct NodeArgs {
    /// What the control plane calls this Envoy; each needs a name of its own. Envoy's `--service-node` comes before it.
    #[arg(long = "node", default_value = "envoy-1")]
    pub(crate) name: String,
}

#[derive(Debug, Args)]
pub(crate) struct AdminArgs {
    /// Envoy's admin port, on a loopback address. Default: none.
    #[arg(long = "admin", value_parser = loopback)]
    pub(crate) address: Option<SocketAddr>,
}

fn filter(text: &str) -> Result<FilterFile, String> {
    FilterFile::named(text.into()).ok_or_else(|| "must end in .wasm (WebAssembly) or .so (a native module)".to_owned())
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_| "must be like 127.0.0.1:9901".to_owned())?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err("shows keys, so it must be a loopback address".to_owned())
    }
}

impl SiteArgs {
    /// Fails when providers need certificates and none can be read.
    pub(crate) fn site(&self, config: &Config, environment: &Lookup<'_>) -> anyhow::Result<Site> {
        let mut providers =
            config.profiles.iter().flat_map(|profile| &profile.chains).flat_map(|chain| &chain.providers);
        let has_tls =
            |provider: &Provider| provider.location.tls || provider.ws.as_ref().is_some_and(|location| location.tls);
        let ca_bundle = if providers.any(has_tls) {
            trust::bundle(self.ca_bundle.clone(), environment, &trust::USUAL.map(Path::new))?
        } else {
            self.ca_bundle.clone().unwrap_or_default()
        };
        Ok(Site {
            filter: FilterFile { path: absolute(self.filter.path.clone()), ..self.filter },
            ca_bundle: absolute(ca_bundle),
            access_log: self.access_log.clone().map(absolute),
        })
    }
}

/// Envoy may be started elsewhere.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

#[cfg(test)]
mod tests;
