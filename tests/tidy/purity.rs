//! Core asks for nothing: no clock, no chance, no I/O, no unordered maps.
//!
//! Duty: hold by text what core/clippy.toml holds by type, and what clippy has no list for (modules, macros, logging).
//! Invariant: core is a function of its arguments, so the same code runs in a filter VM, in the control plane and in a simulation.

use crate::{
    breach::{Breach, Rule, finds, holds},
    rust::{Source, has_word},
    tree::Tree,
};

const PURITY: Rule = Rule {
    name: "core is pure",
    remedy: "Take it as an argument: `now: Timestamp`, `seed: u64`, bytes; use BTreeMap and BTreeSet; return a reason instead of logging it.",
};

const IMPURE: [&str; 19] = [
    "Instant",
    "SystemTime",
    "HashMap",
    "HashSet",
    "RandomState",
    "rand::",
    "std::fs",
    "std::net",
    "std::env",
    "std::io",
    "std::process",
    "std::thread",
    "tokio::",
    "log::",
    "tracing::",
    "println!",
    "eprintln!",
    "print!",
    "eprint!",
];

fn impurities(tree: &Tree) -> Vec<Breach> {
    let mut found = Vec::new();
    for (path, text) in tree.ending(".rs").filter(|(path, _)| path.starts_with("core/") && path.contains("/src/")) {
        for (index, line) in Source::of(text).code.iter().enumerate() {
            let words = IMPURE.iter().filter(|word| has_word(line, word));
            found.extend(words.map(|word| PURITY.broken(path, index + 1, format!("`{word}` in core"))));
        }
    }
    found
}

#[test]
fn core_is_a_function_of_its_arguments() {
    holds(impurities);
    finds(
        impurities,
        &[
            (
                "core/a/src/lib.rs",
                "//! Not std::fs.\nuse std::{fmt};\nuse std::time::Instant;\nlet s = \"HashMap\";\nlog::warn!(\"x\");\n",
            ),
            ("filter/src/lib.rs", "use std::time::Instant;\n"),
        ],
        &["core/a/src/lib.rs:3", "core/a/src/lib.rs:5"],
    );
}
