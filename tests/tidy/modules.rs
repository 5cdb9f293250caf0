//! The shape of Rust files: small, opened by a module doc, and never called `mod.rs`.
//!
//! Leaves to others: the length of functions (clippy's `too_many_lines`).

use crate::{
    breach::{Breach, Rule, finds, holds},
    rust::Source,
    tree::Tree,
};

/// Lines of code a file may have, without tests, comments and blank lines.
const MOST_LINES: usize = 400;

/// Files that may be longer, with the reason.
const LONGER: [(&str, &str); 2] = [
    ("core/routing/src/outcome/table.rs", "data: how providers' errors read, row by row"),
    ("control-plane/src/config/schema/keys.rs", "data: the keys of the configuration, one after the other"),
];

const SIZE: Rule = Rule {
    name: "small rooms",
    remedy: "Split the file along its duties (`foo.rs` beside `foo/`), or move its tests to `foo/tests.rs`.",
};
const DOC: Rule = Rule {
    name: "module doc",
    remedy: "Open the file with `//!`: its duty, its invariant, and what it leaves to others.",
};
const NAME: Rule = Rule { name: "no mod.rs", remedy: "Name the file after its module: `foo.rs` beside `foo/`." };

fn sizes(tree: &Tree) -> Vec<Breach> {
    let longer = |path: &str| LONGER.iter().any(|(excused, _)| *excused == path);
    tree.ending(".rs")
        .filter(|(path, _)| !path.ends_with("/tests.rs") && !path.contains("/tests/") && !longer(path))
        .map(|(path, text)| (path, lines_of_code(text)))
        .filter(|(_, lines)| *lines > MOST_LINES)
        .map(|(path, lines)| SIZE.broken(path, 1, format!("{lines} lines of code, {MOST_LINES} at most")))
        .collect()
}

fn lines_of_code(text: &str) -> usize {
    let source = Source::of(text);
    source.code.iter().zip(&source.in_test).filter(|(code, in_test)| !**in_test && !code.trim().is_empty()).count()
}

fn docs(tree: &Tree) -> Vec<Breach> {
    // A `tests.rs` is the inside of the module beside it, whose doc is its doc.
    tree.ending(".rs")
        .filter(|(path, text)| !path.ends_with("/tests.rs") && !opens_with_doc(text))
        .map(|(path, _)| DOC.broken(path, 1, "the module has no doc"))
        .collect()
}

/// `#![...]` may stand before the doc: cargo-fuzz wants `#![no_main]` first.
fn opens_with_doc(text: &str) -> bool {
    text.lines()
        .find(|line| !line.trim().is_empty() && !line.starts_with("#!["))
        .is_some_and(|line| line.starts_with("//! ") && line.len() > "//! ".len())
}

fn names(tree: &Tree) -> Vec<Breach> {
    tree.ending(".rs")
        .filter(|(path, _)| path.rsplit('/').next() == Some("mod.rs"))
        .map(|(path, _)| NAME.broken(path, 1, "a `mod.rs`"))
        .collect()
}

#[test]
fn files_are_small() {
    holds(sizes);
    let long = "let x = 1;\n".repeat(MOST_LINES + 1);
    let tested = format!("//! Doc.\n\n// why\n#[cfg(test)]\nmod tests {{\n{long}}}\n");
    finds(
        sizes,
        &[("a/src/long.rs", &long), ("a/src/tested.rs", &tested), ("a/src/long/tests.rs", &long)],
        &["a/src/long.rs:1"],
    );
}

#[test]
fn every_module_opens_with_its_doc() {
    holds(docs);
    finds(
        docs,
        &[
            ("a/src/bare.rs", "use std::fmt;\n"),
            ("a/src/empty.rs", "//!\nfn a() {}\n"),
            ("a/src/fuzz.rs", "#![no_main]\n//! Fuzz.\n"),
            ("a/src/good.rs", "//! Duty.\n"),
        ],
        &["a/src/bare.rs:1", "a/src/empty.rs:1"],
    );
}

#[test]
fn modules_are_named_after_themselves() {
    holds(names);
    finds(names, &[("a/src/x/mod.rs", "//! X.\n"), ("a/src/x.rs", "//! X.\n")], &["a/src/x/mod.rs:1"]);
}
