//! Who may depend on whom.
//!
//! Duty: hold the direction of the packages: `jsonrpc <- routing <- proto <- filter <- module`, the control plane beside the filter, and
//! nothing upon the tests; and keep core to the few crates it may know.
//! Invariant: a package that is not in the table may not exist.

use std::process::Command;

use serde::Deserialize;

use crate::{
    breach::{Breach, Rule, all_well},
    tree::root,
};

const EDGES: Rule = Rule {
    name: "allowed edges",
    remedy: "Move the code to the lower package. If the boundary itself must change, change tests/tidy/edges.rs and ARCHITECTURE.md in the same commit.",
};

/// What one package may depend on.
struct Allowed {
    package: &'static str,
    ours: &'static [&'static str],
    /// Crates of others; `None`: any.
    foreign: Option<&'static [&'static str]>,
}

const CORE: Option<&[&str]> = Some(&["serde", "serde_json", "thiserror"]);
/// Whether a head's bloom filter can match is keccak: arithmetic like the rest of core, without I/O and without `std`.
const CORE_AND_KECCAK: Option<&[&str]> = Some(&["serde", "serde_json", "sha3", "thiserror"]);
const SHELL: &[&str] = &["lasso-jsonrpc", "lasso-routing", "lasso-proto"];
const MODULE: &[&str] = &["lasso-filter", "lasso-proto", "lasso-routing"];
const CONTROL_PLANE: &[&str] = &["lasso-hub", "lasso-jsonrpc", "lasso-proto", "lasso-routing", "lasso-subscription"];
const ALLOWED: [Allowed; 9] = [
    Allowed { package: "lasso-jsonrpc", ours: &[], foreign: CORE },
    Allowed { package: "lasso-routing", ours: &["lasso-jsonrpc"], foreign: CORE },
    Allowed { package: "lasso-subscription", ours: &["lasso-jsonrpc", "lasso-routing"], foreign: CORE_AND_KECCAK },
    Allowed { package: "lasso-proto", ours: &["lasso-jsonrpc", "lasso-routing"], foreign: None },
    Allowed { package: "lasso-filter", ours: SHELL, foreign: None },
    Allowed { package: "lasso-module", ours: MODULE, foreign: None },
    Allowed { package: "lasso-hub", ours: &["lasso-jsonrpc", "lasso-routing", "lasso-subscription"], foreign: None },
    Allowed { package: "lasso", ours: CONTROL_PLANE, foreign: None },
    Allowed { package: "lasso-tests", ours: SHELL, foreign: None },
];

#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    manifest_path: String,
    dependencies: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
    path: Option<String>,
    #[serde(default)]
    features: Vec<String>,
}

fn breaches(packages: &[Package]) -> Vec<Breach> {
    packages.iter().flat_map(breaches_of).collect()
}

fn breaches_of(package: &Package) -> Vec<Breach> {
    let root = format!("{}/", root().display());
    let file = package.manifest_path.strip_prefix(&root).unwrap_or(&package.manifest_path);
    let Some(allowed) = ALLOWED.iter().find(|allowed| allowed.package == package.name) else {
        return vec![EDGES.broken(file, 1, format!("package `{}` has no row in the table of edges", package.name))];
    };
    package
        .dependencies
        .iter()
        .filter(|dependency| match (&dependency.path, allowed.foreign) {
            (Some(_), _) => !allowed.ours.contains(&dependency.name.as_str()),
            // Tests of core may use what they like; nobody else sees it.
            (None, Some(foreign)) => dependency.kind.is_none() && !foreign.contains(&dependency.name.as_str()),
            (None, None) => false,
        })
        .map(|dependency| EDGES.broken(file, 1, format!("`{}` may not depend on `{}`", package.name, dependency.name)))
        .collect()
}

/// The filter speaks gRPC through Envoy; a client of its own does not fit into a VM.
fn links_grpc(package: &Package) -> Option<Breach> {
    let links = package.name == "lasso-filter"
        && package.dependencies.iter().any(|dependency| {
            dependency.name.starts_with("tonic") || dependency.features.iter().any(|feature| feature == "grpc")
        });
    links.then(|| EDGES.broken("filter/Cargo.toml", 1, "`lasso-filter` may not link a gRPC library"))
}

#[test]
fn packages_depend_downwards_only() {
    let metadata = metadata();
    assert!(metadata.packages.len() >= ALLOWED.len(), "a row of the table of edges has lost its package");
    all_well(&breaches(&metadata.packages));
    all_well(&metadata.packages.iter().filter_map(links_grpc).collect::<Vec<_>>());
}

fn metadata() -> Metadata {
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo runs: it runs this test");
    assert!(metadata.status.success(), "cargo metadata failed: {}", String::from_utf8_lossy(&metadata.stderr));
    serde_json::from_slice(&metadata.stdout).expect("cargo metadata prints JSON")
}

#[test]
fn an_upward_edge_is_found() {
    #[track_caller]
    fn check(package: &str, dependency: &str, path: Option<&str>, kind: Option<&str>, found: usize) {
        let package = depending(package, dependency, path, kind, &[]);
        assert_eq!(breaches(&[package]).len(), found);
    }
    check("lasso-jsonrpc", "lasso-routing", Some("/r"), None, 1);
    check("lasso-routing", "lasso-jsonrpc", Some("/r"), None, 0);
    check("lasso", "lasso-tests", Some("/r"), Some("dev"), 1);
    check("lasso-routing", "tokio", None, None, 1);
    check("lasso-routing", "proptest", None, Some("dev"), 0);
    check("lasso-newcomer", "serde", None, None, 1);
}

#[test]
fn a_filter_that_links_grpc_is_found() {
    #[track_caller]
    fn check(dependency: &str, features: &[&str], found: bool) {
        assert_eq!(links_grpc(&depending("lasso-filter", dependency, None, None, features)).is_some(), found);
    }
    check("lasso-proto", &["grpc"], true);
    check("lasso-proto", &[], false);
    check("tonic-prost", &[], true);
}

fn depending(package: &str, on: &str, path: Option<&str>, kind: Option<&str>, features: &[&str]) -> Package {
    let dependency = Dependency {
        name: on.into(),
        kind: kind.map(Into::into),
        path: path.map(Into::into),
        features: features.iter().map(|&feature| feature.into()).collect(),
    };
    Package { name: package.into(), manifest_path: "x/Cargo.toml".into(), dependencies: vec![dependency] }
}
