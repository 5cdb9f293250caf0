//! Envoy's name for itself, and where it stands.
//!
//! Duty: read the node from Envoy's command line and bootstrap file: a module is told neither. What the command line says goes before what `--config-yaml` says, and
//! that before the file. Invariant: a file that does not read leaves the node without a name, and nothing else.
//! Leaves to others: what a name is good for (the control plane shows it, and reports are kept apart by a number of their own).

use std::collections::BTreeMap;
use std::sync::OnceLock;

use lasso_filter::worker::Worker;
use saphyr_parser::{Event, Parser};

/// A bootstrap file that is longer is not read.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// The node of this process.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Node {
    id: String,
    region: String,
}

/// Tells a worker in which Envoy it is.
pub(crate) fn introduce(worker: &mut Worker) {
    static NODE: OnceLock<Node> = OnceLock::new();
    let node = NODE.get_or_init(|| {
        let arguments: Vec<String> = std::env::args_os().map(|text| text.to_string_lossy().into_owned()).collect();
        of(&arguments, |path| {
            let size = std::fs::metadata(path).ok()?.len();
            (size <= MOST_BYTES).then(|| std::fs::read_to_string(path).ok()).flatten()
        })
    });
    worker.sync().introduce(&node.id, &node.region);
}

fn of(arguments: &[String], read: impl Fn(&str) -> Option<String>) -> Node {
    let texts = [
        option(arguments, &["--config-yaml"]),
        option(arguments, &["-c", "--config-path"]).and_then(|path| read(&path)),
    ];
    let said: Vec<_> = texts.iter().flatten().map(|text| scalars(text)).collect();
    let first =
        |path: &str| said.iter().find_map(|scalars| scalars.get(path)).filter(|value| !value.is_empty()).cloned();
    Node {
        id: option(arguments, &["--service-node"]).or_else(|| first("node.id")).unwrap_or_default(),
        region: first("node.locality.region").or_else(|| first("node.metadata.region")).unwrap_or_default(),
    }
}

/// The last value given to any of these names, as `name value` or `name=value`.
fn option(arguments: &[String], names: &[&str]) -> Option<String> {
    let followers = arguments.iter().skip(1).map(Some).chain([None]);
    let value = |(argument, next): (&String, Option<&String>)| {
        let (name, own) = argument.split_once('=').map_or((&**argument, None), |(name, value)| (name, Some(value)));
        names.contains(&name).then(|| own.or(next.map(String::as_str)).map(str::to_owned)).flatten()
    };
    arguments.iter().zip(followers).filter_map(value).last()
}

/// The node's scalars in a bootstrap, by their path.
fn scalars(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    // The keys that lead to where the parser is; `None` stands for a list or a mapping that waits for its next key.
    let mut path: Vec<Option<String>> = Vec::new();
    for event in Parser::new_from_str(text) {
        let Ok((event, _)) = event else { break };
        match event {
            Event::Scalar(value, ..) => match path.last_mut() {
                Some(key @ None) => *key = Some(value.into_owned()),
                Some(Some(_)) => {
                    let keys: Vec<&str> = path.iter().flatten().map(String::as_str).collect();
                    if keys.first() == Some(&"node") {
                        found.insert(keys.join("."), value.into_owned());
                    }
                    close(&mut path);
                }
                None => {}
            },
            Event::MappingStart(..) => path.push(None),
            // A list's items stand under a key that no path has.
            Event::SequenceStart(..) => path.push(Some("[]".to_owned())),
            Event::MappingEnd | Event::SequenceEnd => {
                path.pop();
                close(&mut path);
            }
            Event::Alias(_) => close(&mut path),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {}
        }
    }
    found
}

/// A value ended: its mapping waits for the next key.
fn close(path: &mut [Option<String>]) {
    if let Some(key) = path.last_mut().filter(|key| key.as_deref() != Some("[]")) {
        *key = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "static_resources: {listeners: [{name: a, node: {id: wrong}}]}\nnode:\n  metadata: {list: [1, {id: wrong}], region: east}\n  id: edge-1\n  cluster: c\n";

    #[track_caller]
    fn check(command: &str, id: &str, region: &str) {
        let arguments: Vec<String> = command.split(' ').map(str::to_owned).collect();
        let node = of(&arguments, |path| (path == "envoy.yaml").then(|| FILE.to_owned()));
        assert_eq!(node, Node { id: id.into(), region: region.into() }, "{command}");
    }

    #[test]
    fn a_node_is_named_by_the_command_line_and_then_by_the_files() {
        check("envoy -c envoy.yaml", "edge-1", "east");
        check("envoy --config-path=envoy.yaml --concurrency 1", "edge-1", "east");
        check("envoy --service-node cli -c envoy.yaml", "cli", "east");
        check(
            "envoy -c envoy.yaml --config-yaml {\"node\":{\"id\":\"inline\",\"locality\":{\"region\":\"west\"}}}",
            "inline",
            "west",
        );
        check("envoy -c missing.yaml", "", "");
        check("envoy -c", "", "");
    }

    #[test]
    fn what_is_no_yaml_names_nobody() {
        for text in ["", "- a\n- b", "node: [", "node: {id: {a: b}}", "\u{0}"] {
            assert_eq!(scalars(text).get("node.id"), None, "{text:?}");
        }
    }
}
