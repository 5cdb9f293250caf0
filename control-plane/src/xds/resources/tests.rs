//! Whole files, as they are printed.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::bootstrap::{ads_bootstrap, static_config};
use super::filters::FilterKind;
use super::listener::{Parts, listener};
use super::{CONTROL, Site};
use crate::compile::compile;
use crate::testing::{SMALL, SOCKETS, load_text, site, site_with, tokens, yaml_of};
use crate::xds::encode::Schema;
use crate::xds::snapshot::{ResourceType, Snapshot};
use crate::yaml::Document;
use lasso_routing::header::MODULE_ONCE;

fn rendered() -> Value {
    rendered_with(&site())
}

fn rendered_with(site: &Site) -> Value {
    let config = load_text(SMALL).unwrap().config;
    let admin = Some("127.0.0.1:9901".parse().unwrap());
    static_config(&config, &compile(&config).unwrap(), site, "envoy-1", admin).unwrap()
}

#[track_caller]
fn check_is_a_bootstrap(file: &Value) {
    Schema::load().unwrap().encode("envoy.config.bootstrap.v3.Bootstrap", file).unwrap();
}

#[test]
fn the_static_file() {
    let file = rendered();
    check_is_a_bootstrap(&file);
    insta::assert_snapshot!(Document::from(&file).to_string());
}

#[test]
fn the_static_file_with_the_module() {
    let file = rendered_with(&site_with("/etc/lasso/module.so"));
    check_is_a_bootstrap(&file);
    insta::assert_snapshot!(Document::from(&file).to_string());
}

#[test]
fn the_bootstrap() {
    let file = ads_bootstrap("127.0.0.1:18000".parse().unwrap(), "envoy-1", None);
    check_is_a_bootstrap(&file);
    insta::assert_snapshot!(Document::from(&file).to_string());
}

/// What is the user's in a listener that Lasso did not render.
const YOURS: [&str; 3] = ["stat_prefix", "server_name", "access_log"];

fn connection_manager(listener: &Value) -> &serde_json::Map<String, Value> {
    listener["filter_chains"][0]["filters"][0]["typed_config"].as_object().unwrap()
}

#[test]
fn the_mesh_example_is_what_is_rendered_but_for_what_is_the_users() {
    let mesh = yaml_of("envoy/mesh.yaml");
    check_is_a_bootstrap(&mesh);
    let control = mesh["static_resources"]["clusters"][0]["name"].as_str();
    assert_eq!(control, Some(CONTROL), "the filter reports over that cluster");
    let config = load_text(SMALL).unwrap().config;
    let rendered = listener(config.listen_rpc, config.max_body_bytes, &site(), &Parts::Discovered);
    let theirs = &mesh["static_resources"]["listeners"][0];
    for key in ["address", "per_connection_buffer_limit_bytes"] {
        assert_eq!(theirs[key], rendered[key], "{key}");
    }
    let (theirs, rendered) = (connection_manager(theirs), connection_manager(&rendered));
    for (key, value) in rendered.iter().filter(|(key, _)| !YOURS.contains(&key.as_str())) {
        assert_eq!(theirs.get(key), Some(value), "{key}");
    }
    let log = theirs["access_log"].to_string();
    assert!(log.contains("%REQ(X-ENVOY-ORIGINAL-PATH)%") && !log.contains("%REQ(:PATH)%"), "{log}");

    let bootstrap = ads_bootstrap(config.listen_xds, "envoy-1", None);
    assert_eq!(mesh["static_resources"]["clusters"], bootstrap["static_resources"]["clusters"]);
    for key in ["ads_config", "cds_config"] {
        assert_eq!(mesh["dynamic_resources"][key], bootstrap["dynamic_resources"][key], "{key}");
    }
}

#[test]
fn secrets_are_in_the_catalog_and_nowhere_else() {
    let mut file = rendered();
    let manager = &mut file["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
    let down = manager["http_filters"][1]["typed_config"]["config"]["configuration"].take();
    let up = manager["http_filters"][2]["typed_config"]["upstream_http_filters"][0]["typed_config"]["config"]
        ["configuration"]
        .take();
    assert_eq!(down, up, "one catalog for both");
    assert!(down.to_string().contains("canary"));
    assert!(!file.to_string().contains("canary"), "{file:#}");
}

#[test]
fn both_filters_have_the_same_vm() {
    let catalog = json!({});
    let filters = super::filters::filters(&catalog, &site());
    assert_eq!(filters.down["config"]["vm_config"], filters.up["config"]["vm_config"]);
}

#[test]
fn the_modules_word_for_writes_reaches_no_provider() {
    let deployment = compile(&load_text(SMALL).unwrap().config).unwrap();
    let routes = super::routes::route_configuration(&deployment, &BTreeSet::new(), FilterKind::Module);
    let once = &routes["virtual_hosts"][0]["routes"][0];
    assert_eq!(once["match"]["headers"], json!([{"name": MODULE_ONCE, "string_match": {"exact": "1"}}]));
    assert!(once["request_headers_to_remove"].as_array().unwrap().contains(&json!(MODULE_ONCE)));
}

#[test]
fn the_route_outlasts_the_longest_deadline() {
    let file = rendered();
    let manager = &file["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
    let routes = manager["route_config"]["virtual_hosts"][0]["routes"].as_array().unwrap();
    let calls: Vec<_> = routes.iter().filter(|route| route["route"]["retry_policy"].is_object()).collect();
    assert_eq!(calls.len(), 2);
    assert!(calls.iter().all(|route| route["route"]["timeout"] == "180s"), "2 min of a debug_* and 1 for its body");
    assert!(calls.iter().all(|route| route["route"]["idle_timeout"] == "125s"), "and the filter gives up first");
}

#[test]
fn a_silent_stream_outlasts_the_longest_built_in_deadline() {
    let config = load_text(&SMALL.replace("{debug_*: 2m}", "{debug_*: 1s}")).unwrap().config;
    let file = static_config(&config, &compile(&config).unwrap(), &site(), "envoy-1", None).unwrap();
    let manager = &file["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
    let routes = manager["route_config"]["virtual_hosts"][0]["routes"].as_array().unwrap();
    let calls = routes.iter().filter(|route| route["route"]["retry_policy"].is_object());
    let idle: Vec<_> = calls.filter_map(|route| route["route"]["idle_timeout"].as_str()).collect();
    assert_eq!(idle, ["50s", "50s"]);
}

#[test]
fn sockets_and_ws_channels_lead_to_the_hub_by_http_2() {
    let deployment = compile(&load_text(SOCKETS).unwrap().config).unwrap();
    let over_ws = deployment.clusters.iter().find(|plan| plan.name == "lasso/ethereum/a/ws").unwrap();
    let clusters =
        json!([super::clusters::hub("127.0.0.1:18001".parse().unwrap()), super::clusters::cluster(over_ws, &site())]);
    insta::assert_snapshot!(Document::from(&clusters).to_string());
}

#[test]
fn everything_about_sockets_is_what_envoy_reads() {
    let config = load_text(SOCKETS).unwrap().config;
    let deployment = Arc::new(compile(&config).unwrap().with_tokens(&tokens([7; 16])).unwrap());
    let snapshot = Snapshot::new(&config, &deployment, &site()).unwrap();
    let clusters: Vec<_> = snapshot.all(ResourceType::Clusters).keys().map(String::as_str).collect();
    assert!(clusters.contains(&"lasso-hub") && clusters.contains(&"lasso/beta:ethereum/own/ws"), "{clusters:?}");
    assert_eq!(clusters.len(), 6);
}
