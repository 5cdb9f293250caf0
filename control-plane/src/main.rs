//! Lasso's command line and control plane.
//!
//! Duty: `lasso check`, `lasso render` and `lasso serve`.
//! Invariant: a configuration with a mistake starts nothing; every mistake is named with file, line and key.
//! Leaves to others: the request path, which is the filter's alone.
//!
//! `config` reads a file, `compile` makes the catalog of it, `xds` tells Envoy, `reload` does it again, `serve` runs it all; `events`, `metrics`
//! and `http` tell people.

mod args;
mod compile;
mod config;
mod events;
mod history;
mod http;
mod hub;
mod metrics;
mod notice;
mod probe;
mod queue;
mod reload;
mod serve;
mod store;
mod supervise;
mod sync;
#[cfg(test)]
mod testing;
mod tls;
mod xds;
mod yaml;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;

use args::{Cli, Command, Reference, Render};
use compile::names::Names;
use compile::{Deployment, compile_as};
use config::Loaded;
use lasso_routing::catalog::CatalogError;
use reload::Loader;
use xds::resources::bootstrap;
use yaml::Document;

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A reader that went away is not worth a word.
            let _ = writeln!(std::io::stderr(), "{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Check { config } => check(&config),
        Command::Render { what: Render::Envoy { config, site, node, admin } } => {
            let loaded = load(&config, site.workers)?;
            for warning in &loaded.warnings {
                warn(warning)?;
            }
            // It may run without a control plane, and ws channels are nothing without its hub.
            let deployment = deployment(&loaded, &Names::default())?.without_sockets()?;
            let site = site.site(&loaded.config, &environment)?;
            if !site.filter.path.is_file() {
                warn(&format!("no filter at {} here; Envoy must find it there", site.filter.path.display()))?;
            }
            let file = bootstrap::static_config(&loaded.config, &deployment, &site, &node.name, admin.address)?;
            print(&Document::from(&file).to_string())
        }
        Command::Render { what: Render::Bootstrap { config, node, admin } } => {
            let loaded = load(&config, None)?;
            let file = bootstrap::ads_bootstrap(loaded.config.listen_xds, &node.name, admin.address);
            print(&Document::from(&file).to_string())
        }
        Command::Reference { of } => print(&match of {
            Reference::Configuration => config::reference(),
            Reference::Metrics => metrics::reference(),
            Reference::Openapi => http::document().to_pretty_json()? + "\n",
        }),
        Command::Serve { config, site } => {
            let loader = Loader::new(config, site);
            let first = loader.first()?;
            serve::serve(loader, first)
        }
    }
}

/// A configuration, and what the command line knows better.
fn load(path: &Path, workers: Option<u32>) -> anyhow::Result<Loaded> {
    let mut loaded = config::load(path, &environment)?;
    loaded.config.workers = workers.or(loaded.config.workers);
    loaded.warnings.extend(config::advice(&loaded.config));
    Ok(loaded)
}

fn deployment(loaded: &Loaded, names: &Names) -> anyhow::Result<Deployment> {
    compile_as(&loaded.config, names).map_err(|error| match error.downcast::<CatalogError>() {
        Ok(refused) => loaded.refusal(&refused.path, &refused.mistake.to_string()).into(),
        Err(error) => error,
    })
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn check(path: &Path) -> anyhow::Result<()> {
    let loaded = load(path, None)?;
    for warning in &loaded.warnings {
        warn(warning)?;
    }
    deployment(&loaded, &Names::default())?;
    let mut report = loaded.effective;
    if !loaded.not_in_effect.is_empty() {
        report.push_str("\n# Set, and not in effect yet:\n");
        report.extend(loaded.not_in_effect.iter().map(|key| format!("#   {key}\n")));
    }
    print(&report)
}

fn warn(text: &str) -> anyhow::Result<()> {
    writeln!(std::io::stderr(), "warning: {text}").context("standard error is closed")
}

fn print(text: &str) -> anyhow::Result<()> {
    std::io::stdout().write_all(text.as_bytes()).context("standard output is closed")
}

#[cfg(test)]
mod tests {
    use super::{Names, deployment, load};
    use crate::testing::Directory;

    const LIMITED: &str = "profiles: {public: {chains: {ethereum: {chain_id: 1, providers: [{id: a, url: 'https://a.example', \
                           rate_limit: {requests_per_second: 5}}]}}}}";

    #[track_caller]
    fn check(written: &str, option: Option<u32>, workers: u32, warnings: usize) {
        let files = Directory::with(&[("lasso.yaml", &format!("{written}{LIMITED}"))]);
        let loaded = load(&files.path("lasso.yaml"), option).unwrap();
        assert_eq!(loaded.warnings.len(), warnings, "{:?}", loaded.warnings);
        assert_eq!(deployment(&loaded, &Names::default()).unwrap().catalog.workers, workers);
    }

    #[test]
    fn the_filter_divides_by_the_workers_of_the_command_line_else_of_the_file_else_with_a_warning_by_one() {
        check("workers: 2\n", Some(4), 4, 0);
        check("workers: 2\n", None, 2, 0);
        check("", Some(4), 4, 0);
        check("", None, 1, 1);
    }
}
