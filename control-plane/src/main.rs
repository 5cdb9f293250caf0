//! Lasso's command line and control plane.
//!
//! Duty: `lasso check`, `lasso render` and `lasso serve`.
//! Invariant: a configuration with a mistake starts nothing; every mistake is named with file, line and key.
//! Leaves to others: the request path, which is the filter's alone.
//!
//! `config` reads a file, `compile` makes the catalog of it, `xds` tells Envoy, `serve` runs it all.

mod args;
mod compile;
mod config;
mod serve;
#[cfg(test)]
mod testing;
mod xds;
mod yaml;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;

use args::{Cli, Command, Render};
use compile::compile;
use config::Loaded;
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
        Command::Render { what: Render::Envoy { config, site, admin } } => {
            let loaded = load(&config)?;
            let deployment = compile(&loaded.config)?;
            let site = site.site();
            if !site.filter.is_file() {
                warn(&format!("no filter at {} here; Envoy must find it there", site.filter.display()))?;
            }
            let file = bootstrap::static_config(&loaded.config, &deployment, &site, admin.address)?;
            print(&Document::from(&file).to_string())
        }
        Command::Render { what: Render::Bootstrap { config, node, admin } } => {
            let loaded = load(&config)?;
            let file = bootstrap::ads_bootstrap(loaded.config.listen_xds, &node, admin.address);
            print(&Document::from(&file).to_string())
        }
        Command::Reference => print(&config::reference()),
        Command::Serve { config, site } => serve::serve(&config::load(&config, &environment)?, &site.site()),
    }
}

fn load(path: &Path) -> anyhow::Result<Loaded> {
    let loaded = config::load(path, &environment)?;
    for warning in &loaded.warnings {
        warn(warning)?;
    }
    Ok(loaded)
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn check(path: &Path) -> anyhow::Result<()> {
    let loaded = load(path)?;
    compile(&loaded.config)?;
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
