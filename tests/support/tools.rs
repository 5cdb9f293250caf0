//! Where the programs are.
//!
//! Invariant: an environment variable names the program, else the place where `make setup` and `make build` put it; a missing one
//! says which command makes it.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::bail;

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// Envoy (`LASSO_ENVOY`).
pub fn envoy() -> anyhow::Result<PathBuf> {
    find("LASSO_ENVOY", &[root().join(".tools/envoy")], "make setup")
}

/// anvil (`LASSO_ANVIL`).
pub fn anvil() -> anyhow::Result<PathBuf> {
    find("LASSO_ANVIL", &[root().join(".tools/anvil")], "make setup")
}

/// What cargo built there, unless the variable names another.
pub(crate) fn built(variable: &str, place: &str, remedy: &str) -> anyhow::Result<PathBuf> {
    find(variable, &[target().join(place)], remedy)
}

/// `lasso` (`LASSO_BIN`): built beside us, else in debug, else in release.
pub fn lasso() -> anyhow::Result<PathBuf> {
    let beside = env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join("lasso")));
    let built = [target().join("debug/lasso"), target().join("release/lasso")];
    let places: Vec<PathBuf> = beside.into_iter().chain(built).collect();
    find("LASSO_BIN", &places, "make build")
}

/// A script of the test clients.
pub fn client_script(name: &str) -> PathBuf {
    root().join("tests/clients").join(name)
}

/// The Python that has web3.py.
pub fn python() -> anyhow::Result<PathBuf> {
    find("LASSO_PYTHON", &[root().join("tests/clients/.venv/bin/python")], "make setup")
}

/// A command that starts a program on one processor, where one is named.
pub fn on(processor: Option<u32>, program: &Path) -> Command {
    let Some(processor) = processor else { return Command::new(program) };
    let mut command = Command::new("taskset");
    command.args(["-c", &processor.to_string()]).arg(program);
    command
}

fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

fn find(variable: &str, places: &[PathBuf], remedy: &str) -> anyhow::Result<PathBuf> {
    if let Some(named) = env::var_os(variable).map(PathBuf::from) {
        if named.exists() {
            return Ok(named);
        }
        bail!("{variable} names {}, which does not exist", named.display());
    }
    if let Some(place) = places.iter().find(|place| place.exists()) {
        return Ok(place.clone());
    }
    let looked = places.first().map(|place| place.display().to_string()).unwrap_or_default();
    bail!("{looked} does not exist: run `{remedy}`, or set {variable}")
}
