//! Environment variables and stats that a document names are read or counted somewhere.

use crate::{
    breach::{Breach, Rule, finds, holds},
    tree::Tree,
};

const NAMES: Rule =
    Rule { name: "names exist", remedy: "Name a variable or a stat that the code, the Makefile or a script knows." };

/// How our variables and our stats begin. In two halves, so that this file is no evidence of their existence.
const PREFIXES: [&str; 2] = [concat!("LASSO", "_"), concat!("lasso", ".")];

fn unknown(tree: &Tree) -> Vec<Breach> {
    let mut found = Vec::new();
    for (path, text) in tree.ending(".md") {
        for (index, line) in text.lines().enumerate() {
            let names = named(line).filter(|name| !is_known(tree, name));
            found.extend(names.map(|name| NAMES.broken(path, index + 1, format!("nothing knows `{name}`"))));
        }
    }
    found
}

fn named(line: &str) -> impl Iterator<Item = &str> {
    let words = line
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.'))
        .map(|word| word.trim_end_matches('.'));
    words.filter(|word| PREFIXES.iter().any(|prefix| word.starts_with(prefix) && word.len() > prefix.len()))
}

fn is_known(tree: &Tree, name: &str) -> bool {
    tree.files().any(|(path, text)| !path.ends_with(".md") && text.contains(name))
}

#[test]
fn names_in_documents_exist() {
    holds(unknown);
    let [variable, stat] = PREFIXES;
    let document =
        format!("`{variable}PORT` and {variable}GONE.\n`wasmcustom.{stat}made`, {stat}made and {stat}gone\n");
    let source = format!("std::env::var(\"{variable}PORT\"); count(\"{stat}made\")");
    finds(unknown, &[("README.md", &document), ("a/src/lib.rs", &source)], &["README.md:1", "README.md:2"]);
}
