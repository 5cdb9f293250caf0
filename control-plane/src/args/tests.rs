use std::path::{Path, PathBuf};

use clap::Parser;

use super::{Cli, Command, SiteArgs, trust};
use crate::testing::{Directory, load_text};
use crate::xds::resources::filters::FilterKind;

fn serve(options: &[&str]) -> SiteArgs {
    let words = ["lasso", "serve", "lasso.yaml"].iter().chain(options);
    let Command::Serve { site, .. } = Cli::try_parse_from(words).unwrap().command else { panic!("not serve") };
    site
}

fn config(scheme: &str) -> crate::config::Config {
    config_of(&format!("{{id: a, url: '{scheme}://a.example'}}"))
}

fn config_of(provider: &str) -> crate::config::Config {
    let providers = format!("[{provider}]");
    load_text(&format!("profiles: {{public: {{chains: {{ethereum: {{chain_id: 1, providers: {providers}}}}}}}}}"))
        .unwrap()
        .config
}

#[test]
fn paths_for_envoy_are_absolute() {
    let here = std::env::current_dir().unwrap();
    let bundle = "Cargo.toml";
    let site = serve(&["--filter", "f.wasm", "--ca-bundle", bundle, "--access-log", "logs/access.log"]);
    let site = site.site(&config("https"), &|_| None).unwrap();
    assert_eq!(site.filter.path, here.join("f.wasm"));
    assert_eq!(site.ca_bundle, here.join(bundle));
    assert_eq!(site.access_log, Some(here.join("logs/access.log")));
}

#[test]
fn the_filters_kind_is_in_its_name() {
    let kind = |name: &str| serve(&["--filter", name]).filter.kind;
    assert_eq!(kind("lasso_filter.wasm"), FilterKind::Wasm);
    assert_eq!(kind("a/liblasso_module.so"), FilterKind::Module);
    assert_eq!(serve(&[]).filter.kind, FilterKind::Wasm, "the default");
    for name in ["", "filter", ".so", "filter.so.1", "filter.WASM"] {
        let error = Cli::try_parse_from(["lasso", "serve", "lasso.yaml", "--filter", name]).unwrap_err().to_string();
        assert!(error.contains("--filter") && error.contains(".wasm (WebAssembly) or .so"), "{name}: {error}");
    }
}

#[test]
fn a_bundle_that_cannot_be_read_stops_the_start_only_where_it_is_needed() {
    let options = ["--ca-bundle", "/nowhere/ca.pem"];
    let error = serve(&options).site(&config("https"), &|_| None).unwrap_err();
    assert!(format!("{error:#}").starts_with("--ca-bundle: cannot read /nowhere/ca.pem: "), "{error:#}");
    serve(&options).site(&config("http"), &|_| None).unwrap();
    let sockets = config_of("{id: a, url: 'http://a.example', ws_url: 'wss://a.example'}");
    serve(&options).site(&sockets, &|_| None).unwrap_err();
}

#[test]
fn the_bundle_is_the_named_one_else_the_environments_else_the_first_usual_one() {
    let files = Directory::with(&[("named", ""), ("environment", ""), ("second", "")]);
    let path = |name: &str| files.path(name);
    let (absent, second) = (path("absent"), path("second"));
    let usual: [&Path; 2] = [&absent, &second];
    let of = |named: Option<&str>, environment: Option<&str>, usual: &[&Path]| {
        let environment = environment.map(|name| path(name).display().to_string());
        let lookup = |name: &str| environment.clone().filter(|_| name == "SSL_CERT_FILE");
        trust::bundle(named.map(&path), &lookup, usual).map_err(|error| format!("{error:#}"))
    };
    let check = |found: Result<PathBuf, String>, expected: &str| assert_eq!(found, Ok(path(expected)));
    check(of(Some("named"), Some("environment"), &usual), "named");
    check(of(None, Some("environment"), &usual), "environment");
    check(of(None, None, &usual), "second");

    let check_error = |found: Result<PathBuf, String>, start: &str| {
        let error = found.unwrap_err();
        assert!(error.starts_with(start) && error.contains("--ca-bundle"), "{error}");
    };
    check_error(of(Some("absent"), Some("environment"), &usual), "--ca-bundle: cannot read");
    check_error(of(Some(""), None, &usual), "--ca-bundle: cannot read");
    check_error(of(None, Some("absent"), &usual), "SSL_CERT_FILE: cannot read");
    check_error(of(None, None, &usual[..1]), "--ca-bundle: there are providers on https");
}

#[test]
fn workers_are_at_least_one() {
    assert_eq!(serve(&["--workers", "4"]).workers, Some(4));
    assert_eq!(serve(&[]).workers, None);
    assert!(Cli::try_parse_from(["lasso", "render", "envoy", "lasso.yaml", "--workers", "0"]).is_err());
}
