//! The committed descriptors, and resources that must be what Envoy's messages are.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use lasso_routing::catalog::CatalogSpec;
use prost::Message;
use prost_reflect::prost_types::FileDescriptorSet;
use serde_json::{Value, json};

use super::Schema;
use crate::compile::compile;
use crate::testing::{SMALL, load_text};
use crate::xds::resources::filters::catalog;

/// The files that our resources name; what they import comes along.
const ROOTS: &[&str] = &[
    "envoy/config/bootstrap/v3/bootstrap.proto",
    "envoy/config/cluster/v3/cluster.proto",
    "envoy/config/listener/v3/listener.proto",
    "envoy/config/route/v3/route.proto",
    "envoy/extensions/access_loggers/file/v3/file.proto",
    "envoy/extensions/access_loggers/filters/cel/v3/cel.proto",
    "envoy/extensions/access_loggers/stream/v3/stream.proto",
    "envoy/extensions/clusters/dns/v3/dns_cluster.proto",
    "envoy/extensions/filters/http/cors/v3/cors.proto",
    "envoy/extensions/filters/http/dynamic_modules/v3/dynamic_modules.proto",
    "envoy/extensions/filters/http/router/v3/router.proto",
    "envoy/extensions/filters/http/upstream_codec/v3/upstream_codec.proto",
    "envoy/extensions/filters/http/wasm/v3/wasm.proto",
    "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.proto",
    "envoy/extensions/matching/common_inputs/network/v3/network_inputs.proto",
    "envoy/extensions/router/cluster_specifiers/matcher/v3/matcher.proto",
    "envoy/extensions/transport_sockets/tls/v3/tls.proto",
    "envoy/extensions/upstreams/http/v3/http_protocol_options.proto",
    "envoy/type/matcher/v3/http_inputs.proto",
    "google/protobuf/struct.proto",
];

fn envoy_types() -> PathBuf {
    let cargo = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline", "--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&cargo.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages.iter().find(|package| package["name"] == "envoy-types").unwrap();
    Path::new(package["manifest_path"].as_str().unwrap()).with_file_name("src/generated/types.bin")
}

/// The named files and what they import, in the order of the whole set (imports first).
fn pruned(mut set: FileDescriptorSet) -> FileDescriptorSet {
    let mut wanted: BTreeSet<String> = ROOTS.iter().map(|root| (*root).to_owned()).collect();
    let mut queue: Vec<String> = wanted.iter().cloned().collect();
    while let Some(name) = queue.pop() {
        let file = set.file.iter().find(|file| file.name() == name);
        let file = file.unwrap_or_else(|| panic!("envoy-types has no {name}"));
        queue.extend(file.dependency.iter().filter(|import| wanted.insert((*import).clone())).cloned());
    }
    set.file.retain(|file| wanted.contains(file.name()));
    for file in &mut set.file {
        file.source_code_info = None;
    }
    set
}

#[test]
fn committed_descriptors_are_those_of_envoy_types() {
    let whole = std::fs::read(envoy_types()).unwrap();
    let fresh = pruned(FileDescriptorSet::decode(whole.as_slice()).unwrap()).encode_to_vec();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/xds/envoy.binpb");
    if std::env::var_os("LASSO_BLESS").is_some() {
        std::fs::write(&path, &fresh).unwrap();
    }
    let committed = std::fs::read(&path).unwrap_or_default();
    assert!(committed == fresh, "envoy.binpb is stale: LASSO_BLESS=1 cargo test -p lasso descriptors");
}

#[test]
fn a_field_that_envoy_does_not_know_is_an_error_and_its_value_stays_out_of_it() {
    let schema = Schema::load().unwrap();
    let wrong = json!({"name": "a", "paht": "topsecret"});
    let error = schema.encode("envoy.config.cluster.v3.Cluster", &wrong).unwrap_err();
    let error = format!("{error:#}");
    assert!(error.contains("paht") && !error.contains("topsecret"), "{error}");
}

#[test]
fn the_filter_reads_the_catalog_that_it_is_sent() {
    let text = SMALL.replace("{id: b,", "{id: b, public: true,");
    let spec = compile(&load_text(&text).unwrap().config).unwrap().catalog;
    let any = Schema::load().unwrap().encode("google.protobuf.Struct", &catalog(&spec).unwrap()).unwrap();
    assert_eq!(lasso_proto::catalog::decode(&any.value).unwrap(), spec);
}

/// Envoy's YAML reader makes texts of fractions and of integers over 32 bits where it does not know the type, and in a `Struct` it
/// does not.
fn as_envoy_reads_yaml(value: &mut Value) {
    match value {
        Value::Number(number) if number.as_i64().is_none_or(|whole| i32::try_from(whole).is_err()) => {
            *value = Value::String(number.to_string());
        }
        Value::Array(items) => items.iter_mut().for_each(as_envoy_reads_yaml),
        Value::Object(fields) => fields.values_mut().for_each(as_envoy_reads_yaml),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn the_filter_reads_the_catalog_of_a_static_file() {
    let full = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/full.yaml")).unwrap();
    let big = full
        .replace("chain_id: 1\n", "chain_id: 9007199254740993\n")
        .replace("ws_url: alchemy://${ALCHEMY_API_KEY}", "ws_url: wss://a.example")
        .replace("url: alchemy://${ALCHEMY_API_KEY}", "url: https://a.example");
    let spec = compile(&load_text(&big).unwrap().config).unwrap().catalog;
    let mut read = catalog(&spec).unwrap();
    as_envoy_reads_yaml(&mut read);
    let text = read.to_string();
    assert!(text.contains("\"0.4\"") && text.contains("\"300.0\"") && text.contains("\"9007199254740993\""), "{text}");
    assert_eq!(serde_json::from_value::<CatalogSpec>(read).unwrap(), spec);
}
