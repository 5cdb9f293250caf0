//! The command line.
//!
//! Duty: name the commands and their options. Invariant: what is decided here is about this machine (paths, ports), never about routing.
//! Leaves to others: doing it.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::xds::resources::Site;

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
    /// Print the reference of all keys, as Markdown.
    Reference,
    /// Serve clusters, routes, filters and the listener to Envoys by Delta ADS.
    Serve {
        /// lasso.yaml, or a directory with one file for each profile.
        config: PathBuf,
        #[command(flatten)]
        site: SiteArgs,
    },
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
        admin: AdminArgs,
    },
    /// A bootstrap that asks `lasso serve` for everything.
    Bootstrap {
        /// lasso.yaml, or a directory with one file for each profile.
        config: PathBuf,
        /// What the control plane calls this Envoy.
        #[arg(long, default_value = "envoy-1")]
        node: String,
        #[command(flatten)]
        admin: AdminArgs,
    },
}

/// Paths on Envoy's machine.
#[derive(Debug, Args)]
pub(crate) struct SiteArgs {
    /// The filter.
    #[arg(long, env = "LASSO_FILTER", default_value = "target/wasm32-wasip1/wasm/lasso_filter.wasm")]
    filter: PathBuf,
    /// Certificates that providers are checked against.
    #[arg(long, env = "LASSO_CA_BUNDLE", default_value = "/etc/ssl/certs/ca-certificates.crt")]
    ca_bundle: PathBuf,
    /// File for Envoy's access log. Default: standard output.
    #[arg(long)]
    access_log: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct AdminArgs {
    /// Envoy's admin port, on a loopback address. Default: none.
    #[arg(long = "admin", value_parser = loopback)]
    pub(crate) address: Option<SocketAddr>,
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
    pub(crate) fn site(self) -> Site {
        // Envoy may be started elsewhere: paths that exist here are made absolute.
        let filter = std::path::absolute(&self.filter).unwrap_or(self.filter);
        Site { filter, ca_bundle: self.ca_bundle, access_log: self.access_log }
    }
}
