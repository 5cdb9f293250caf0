//! The dashboard and the alerts ask for metrics and labels that exist.

use std::collections::BTreeSet;
use std::path::Path;

use super::table::{ALL, Kind};

const FILES: [&str; 2] = ["envoy/grafana/dashboard.json", "envoy/grafana/alerts.yaml"];

fn text_of(file: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file)).unwrap()
}

/// Words of a query, outside of quotes.
fn words(query: &str) -> impl Iterator<Item = &str> {
    query.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(|word| !word.is_empty())
}

fn series() -> BTreeSet<String> {
    let names = ALL.iter().flat_map(|metric| match metric.kind {
        Kind::Histogram => ["_bucket", "_sum", "_count"].map(|suffix| format!("{}{suffix}", metric.name)).to_vec(),
        Kind::Counter | Kind::Gauge => vec![metric.name.to_owned()],
    });
    names.collect()
}

#[test]
fn what_is_asked_for_exists() {
    let series = series();
    for file in FILES {
        let text = text_of(file);
        let asked: BTreeSet<&str> = words(&text).filter(|word| word.starts_with("lasso_")).collect();
        assert!(asked.len() >= 10, "{file} asks for {asked:?}");
        let unknown: Vec<_> = asked.into_iter().filter(|word| !series.contains(*word)).collect();
        assert!(unknown.is_empty(), "{file} asks for {unknown:?}");
    }
}

#[test]
fn labels_that_are_grouped_by_exist() {
    let labels: BTreeSet<&str> = ALL.iter().flat_map(|metric| metric.labels).copied().chain(["region", "le"]).collect();
    for file in FILES {
        let text = text_of(file);
        for start in ["by (", "on ("] {
            for (_, rest) in text.match_indices(start).map(|(at, _)| text[at..].split_once('(').unwrap()) {
                let (list, _) = rest.split_once(')').unwrap();
                let unknown: Vec<_> = words(list).filter(|label| !labels.contains(label)).collect();
                assert!(unknown.is_empty(), "{file} groups by {unknown:?} in ({list})");
            }
        }
    }
}

#[test]
fn every_query_of_the_dashboard_narrows_by_region() {
    let dashboard: serde_json::Value = serde_json::from_str(&text_of(FILES[0])).unwrap();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            let query = target["expr"].as_str().unwrap();
            assert!(query.contains("region=~\"$region\""), "{query}");
        }
    }
}
