use std::collections::{BTreeMap, BTreeSet};

use lasso_routing::report::Ending;

use super::table::{ALL, Kind};
use super::*;
use crate::testing::fleet;

fn page_of(view: Option<&View>, region: &str, metrics: &Metrics) -> String {
    let (counters, config, nodes) = (fleet::counters(), fleet::config(), fleet::nodes());
    metrics.page(&Sources {
        feeds: &fleet::feeds(),
        view,
        counters: &counters,
        config: &config,
        nodes: &nodes,
        events_skipped: 9,
        viewers: 2,
        region,
    })
}

/// A sample, its labels as they are written.
#[derive(Debug, Clone, PartialEq)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

/// Reads a page as strictly as Prometheus does, and a little more: HELP and TYPE once and first, samples of a metric together, no sample twice.
fn read(page: &str) -> Vec<Sample> {
    let mut types: BTreeMap<&str, &str> = BTreeMap::new();
    let (mut current, mut helped, mut samples) = ("", "", Vec::new());
    let mut seen = BTreeSet::new();
    assert!(page.ends_with('\n'));
    for line in page.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            (helped, _) = help.split_once(' ').expect("a meaning");
        } else if let Some(metric) = line.strip_prefix("# TYPE ") {
            let (name, kind) = metric.split_once(' ').expect("a type");
            assert_eq!(name, helped, "HELP comes before TYPE");
            assert!(types.insert(name, kind).is_none(), "{name} comes twice");
            current = name;
        } else {
            assert!(seen.insert(line.rsplit_once(' ').expect("a value").0), "{line} comes twice");
            let sample = sample(line);
            let suffix = sample.name.strip_prefix(current).unwrap_or_else(|| panic!("{line} is under {current}"));
            match types[current] {
                "histogram" => assert!(["_bucket", "_sum", "_count"].contains(&suffix), "{line}"),
                "counter" => assert!(suffix.is_empty() && current.ends_with("_total") && sample.value >= 0.0, "{line}"),
                "gauge" => assert!(suffix.is_empty() && !current.ends_with("_total"), "{line}"),
                other => panic!("no type {other}"),
            }
            samples.push(sample);
        }
    }
    samples
}

fn sample(line: &str) -> Sample {
    let (name, rest) = line.split_once('{').expect("labels");
    assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{name}");
    let mut labels = BTreeMap::new();
    let mut rest = rest;
    loop {
        let (label, quoted) = rest.split_once("=\"").expect("a label");
        let mut value = String::new();
        let mut letters = quoted.char_indices();
        let end = loop {
            match letters.next().expect("a closing quote") {
                (_, '\\') => match letters.next().expect("an escaped letter").1 {
                    'n' => value.push('\n'),
                    letter @ ('\\' | '"') => value.push(letter),
                    other => panic!("\\{other} in {line}"),
                },
                (at, '"') => break at,
                (_, letter) => value.push(letter),
            }
        };
        assert!(labels.insert(label.to_owned(), value).is_none(), "{label} twice in {line}");
        match quoted[end + 1..].strip_prefix(',') {
            Some(more) => rest = more,
            None => {
                let value = quoted[end + 1..].strip_prefix("} ").expect("the end of the labels");
                return Sample { name: name.to_owned(), labels, value: value.parse().expect("a number") };
            }
        }
    }
}

#[track_caller]
fn check(samples: &[Sample], name: &str, labels: &[(&str, &str)], expected: f64) {
    let has =
        |sample: &Sample| labels.iter().all(|(key, value)| sample.labels.get(*key).map(String::as_str) == Some(value));
    let found: Vec<_> = samples.iter().filter(|sample| sample.name == name && has(sample)).collect();
    assert_eq!(found.len(), 1, "{name} {labels:?}: {found:?}");
    assert!((found[0].value - expected).abs() < 1e-9, "{:?} is not {expected}", found[0]);
}

#[test]
fn every_metric_of_the_table_is_on_the_page_with_its_labels_and_no_other() {
    let page = page_of(Some(&fleet::view()), "eu", &Metrics::default());
    let samples = read(&page);
    for metric in ALL {
        let own = |sample: &&Sample| match metric.kind {
            Kind::Histogram => sample.name.strip_prefix(metric.name).is_some_and(|rest| rest.starts_with('_')),
            Kind::Counter | Kind::Gauge => sample.name == metric.name,
        };
        let found: Vec<_> = samples.iter().filter(own).collect();
        assert!(!found.is_empty(), "{} is not there", metric.name);
        for sample in found {
            let labels: BTreeSet<&str> = sample.labels.keys().map(String::as_str).filter(|key| *key != "le").collect();
            let expected: BTreeSet<&str> = metric.labels.iter().copied().chain(["region"]).collect();
            assert_eq!(labels, expected, "{sample:?}");
            assert_eq!(sample.labels["region"], "eu");
        }
    }
    let names: BTreeSet<&str> = ALL.iter().map(|metric| metric.name).collect();
    assert_eq!(names.len(), ALL.len());
}

#[test]
fn numbers_are_those_of_the_view() {
    let samples = read(&page_of(Some(&fleet::view()), "", &Metrics::default()));
    let (alchemy, infura) = ("ethereum/alchemy/http", "ethereum/infura/http");
    let call = [("profile", "public"), ("channel", alchemy), ("method", "eth_call")];
    check(&samples, "lasso_attempts_total", &[&call[..], &[("ending", "success")]].concat(), 40.0);
    check(&samples, "lasso_attempts_total", &[&call[..], &[("ending", "timeout")]].concat(), 1.0);
    check(&samples, "lasso_breaker_state", &[("channel", alchemy)], 0.0);
    check(&samples, "lasso_breaker_state", &[("channel", infura)], 2.0);
    check(&samples, "lasso_breaker_openings_total", &[("channel", infura)], 2.0);
    check(&samples, "lasso_breaker_manual", &[("channel", "ethereum/drpc/http")], 2.0);
    check(&samples, "lasso_channel_rate_limit_seconds", &[("channel", infura)], 0.7);
    check(&samples, "lasso_channel_lag_blocks", &[("channel", infura)], 10.0);
    check(&samples, "lasso_chain_channels", &[("profile", "public"), ("availability", "down")], 2.0);
    check(&samples, "lasso_requests_started_total", &[("profile", "public"), ("chain", "ethereum")], 95.0);
    check(&samples, "lasso_requests_ended_total", &[("profile", "public"), ("result", "failed")], 3.0);
    check(&samples, "lasso_selections_total", &[("profile", "public"), ("result", "failover")], 7.0);
    check(&samples, "lasso_report_dropped", &[("what", "lost")], 4.0);
    check(&samples, "lasso_envoys", &[("state", "connected")], 2.0);
    check(&samples, "lasso_envoys", &[("state", "current")], 1.0);
    check(&samples, "lasso_xds_nacks_total", &[("resource_type", "routes")], 1.0);
    check(&samples, "lasso_config_loaded_timestamp_seconds", &[], 1_767_225_610.25);
    check(&samples, "lasso_events_skipped_total", &[], 9.0);
}

#[test]
fn a_histogram_is_cumulative_and_its_sum_is_close() {
    let samples = read(&page_of(Some(&fleet::view()), "", &Metrics::default()));
    let labels = [("profile", "public"), ("channel", "ethereum/alchemy/http"), ("method", "eth_call")];
    let bucket = |end: &'static str| [&labels[..], &[("le", end)]].concat();
    for (end, below) in [("0.00256", 0.0), ("0.00512", 40.0), ("0.262144", 40.0), ("0.524288", 41.0), ("+Inf", 41.0)] {
        check(&samples, "lasso_attempt_duration_seconds_bucket", &bucket(end), below);
    }
    check(&samples, "lasso_attempt_duration_seconds_count", &labels, 41.0);
    let sum = samples.iter().find(|it| it.name.ends_with("_sum") && it.labels["method"] == "eth_call").unwrap().value;
    let exact = 40.0 * 0.0045 + 0.5;
    assert!((sum - exact).abs() < 0.06 * exact, "{sum} for {exact}");
}

#[test]
fn a_store_that_does_not_answer_leaves_what_the_shell_counts() {
    let samples = read(&page_of(None, "", &Metrics::default()));
    check(&samples, "lasso_store_up", &[], 0.0);
    check(&samples, "lasso_task_restarts_total", &[("task", "store")], 1.0);
    assert!(!samples.iter().any(|sample| sample.name == "lasso_attempts_total"));
}

#[test]
fn names_with_quotes_do_not_break_a_page() {
    let mut view = fleet::view();
    view.channels[0].channel = "a\\b\"c\nd".into();
    let samples = read(&page_of(Some(&view), "e\"u", &Metrics::default()));
    check(&samples, "lasso_channel_in_flight", &[("channel", "a\\b\"c\nd"), ("region", "e\"u")], 4.0);
}

#[test]
fn too_many_series_become_other_and_stay_so_and_no_attempt_is_lost() {
    let mut view = fleet::view();
    let most = 4 * 24;
    let attempts = |view: &View, collapsed: &BTreeSet<MethodClass>| {
        let mut page = Page::new("");
        evidence::write(&mut page, view, collapsed);
        let samples = read(&page.into_text());
        let all = samples.iter().filter(|it| it.name == "lasso_attempts_total").map(|it| it.value as u64).sum::<u64>();
        (
            all,
            samples.into_iter().map(|it| it.labels.get("method").cloned().unwrap_or_default()).collect::<BTreeSet<_>>(),
        )
    };
    let all = |view: &View| view.standings.iter().flat_map(|row| row.endings).sum::<u64>();
    let mut collapsed = BTreeSet::new();
    evidence::collapse(&view, most, &mut collapsed);
    assert!(collapsed.is_empty(), "four rows have room");

    let rare = StandingRowOf { view: &view, method: "eth_getBlockByNumber", successes: 2 }.row();
    view.standings.push(rare);
    evidence::collapse(&view, most, &mut collapsed);
    let (counted, methods) = attempts(&view, &collapsed);
    assert_eq!(counted, all(&view));
    assert!(methods.contains("other") && methods.contains("eth_call"), "{methods:?}");
    assert!(!methods.contains("eth_getBlockByNumber"), "the rarest goes first: {methods:?}");

    let before = collapsed.clone();
    view.standings.truncate(2);
    evidence::collapse(&view, most, &mut collapsed);
    assert_eq!(collapsed, before);
}

/// A row like the first one, of another method.
struct StandingRowOf<'a> {
    view: &'a View,
    method: &'a str,
    successes: u64,
}

impl StandingRowOf<'_> {
    fn row(&self) -> lasso_routing::fleet::view::StandingRow {
        let mut row = self.view.standings[0].clone();
        row.class = MethodClass::named(self.method).unwrap();
        row.endings = [0; Ending::COUNT];
        row.endings[Ending::Success as usize] = self.successes;
        row
    }
}
