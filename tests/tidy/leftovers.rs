//! What must not be left lying about: unfinished work, sleeps in tests, paths of somebody's machine, somebody's registry.
//!
//! The forbidden texts are written here in two halves, so that this file does not break its own rules.

use crate::{
    breach::{Breach, Rule, finds, holds},
    rust::{Source, has_word},
    tree::Tree,
};

const UNFINISHED: Rule = Rule {
    name: "nothing unfinished",
    remedy: "Finish it, or leave it out: what does not exist needs no placeholder.",
};
const SLEEP: Rule = Rule {
    name: "no sleeps in tests",
    remedy: "Wait for the thing itself (a line, a port, a count) through the harness in tests/support, with a deadline.",
};
const MACHINE: Rule =
    Rule { name: "no path of a machine", remedy: "Use a path relative to the repository, or an environment variable." };
const REGISTRY: Rule = Rule {
    name: "no registry in a lockfile",
    remedy: "Set `omit-lockfile-registry-resolved=true` in .npmrc and lock again: the integrity hash is what pins the package.",
};

const MARKS: [&str; 7] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("HA", "CK"),
    concat!("to", "do!"),
    concat!("unimpl", "emented!"),
    concat!("db", "g!"),
];

const HOMES: [&str; 5] = [
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
    concat!("/ro", "ot/"),
    concat!("/wo", "rk/"),
    concat!("C:\\", "Users"),
];

const SLEEPS: [&str; 4] =
    [concat!("thread::", "sleep"), concat!("time::", "sleep"), concat!("sleep", "_until"), concat!("wait::", "pass")];

/// Where test code may let time pass: path prefix, reason.
const SLEEPERS: [(&str, &str); 4] = [
    ("tests/support/socket.rs", "a slow reader is one that lets time pass"),
    ("tests/support/proxy", "a slow or reluctant provider is one that lets time pass"),
    ("tests/e2e/isolation.rs", "the clients of a dead chain ask at a pace; nothing waits for them"),
    ("tests/e2e/panic.rs", "Envoy's reload backoff of 50 ms gives no sign when it is over"),
];

fn unfinished(tree: &Tree) -> Vec<Breach> {
    everywhere(tree, &MARKS, UNFINISHED, |path| !is_lockfile(path))
}

fn machines(tree: &Tree) -> Vec<Breach> {
    everywhere(tree, &HOMES, MACHINE, |path| !is_lockfile(path))
}

fn everywhere(tree: &Tree, words: &[&str], rule: Rule, looked_at: fn(&str) -> bool) -> Vec<Breach> {
    let mut found = Vec::new();
    for (path, text) in tree.files().filter(|(path, _)| looked_at(path)) {
        for (index, line) in text.lines().enumerate() {
            let seen = words.iter().filter(|word| has_word(line, word));
            found.extend(seen.map(|word| rule.broken(path, index + 1, format!("`{word}`"))));
        }
    }
    found
}

fn is_lockfile(path: &str) -> bool {
    path.ends_with(".lock") || path.ends_with("package-lock.json")
}

fn sleeps(tree: &Tree) -> Vec<Breach> {
    let mut found = Vec::new();
    let may_sleep = |path: &str| SLEEPERS.iter().any(|(excused, _)| path.starts_with(excused));
    for (path, text) in tree.ending(".rs").filter(|(path, _)| !may_sleep(path)) {
        let all = path.starts_with("tests/") || path.ends_with("/tests.rs") || path.contains("/tests/");
        let source = Source::of(text);
        for (index, (line, in_test)) in source.code.iter().zip(&source.in_test).enumerate() {
            let seen = SLEEPS.iter().filter(|word| (all || *in_test) && has_word(line, word));
            found.extend(seen.map(|word| SLEEP.broken(path, index + 1, format!("`{word}`"))));
        }
    }
    found
}

fn registries(tree: &Tree) -> Vec<Breach> {
    let mut found = Vec::new();
    for (path, text) in tree.files() {
        let foreign = |line: &str| {
            if path.ends_with("package-lock.json") {
                line.contains("\"resolved\": \"http")
            } else if path.ends_with("Cargo.lock") {
                line.starts_with("source = ") && !line.contains("github.com/rust-lang/crates.io-index")
            } else {
                path.ends_with("requirements.txt") && line.contains("-index-url")
            }
        };
        let lines = text.lines().enumerate().filter(|(_, line)| foreign(line));
        found.extend(lines.map(|(index, line)| REGISTRY.broken(path, index + 1, line.trim())));
    }
    found
}

#[test]
fn nothing_is_left_unfinished() {
    holds(unfinished);
    let bad = format!("//! Doc.\n// {}: later\nlet x = {}(1);\nlet todos = 1;\n", MARKS[0], MARKS[6]);
    finds(unfinished, &[("a/src/lib.rs", &bad)], &["a/src/lib.rs:2", "a/src/lib.rs:3"]);
}

#[test]
fn tests_never_sleep() {
    holds(sleeps);
    let bad =
        format!("fn f() {{ {}(x); }}\n#[cfg(test)]\nmod tests {{\n    fn g() {{ {}(x); }}\n}}\n", SLEEPS[1], SLEEPS[0]);
    finds(
        sleeps,
        &[("a/src/lib.rs", &bad), ("tests/e2e/main.rs", &bad)],
        &["a/src/lib.rs:4", "tests/e2e/main.rs:1", "tests/e2e/main.rs:4"],
    );
}

#[test]
fn no_file_knows_a_machine() {
    holds(machines);
    let bad = format!("see {}somebody/lasso\nsee ./here\n", HOMES[0]);
    finds(machines, &[("README.md", &bad)], &["README.md:1"]);
}

#[test]
fn lockfiles_name_no_registry() {
    holds(registries);
    finds(
        registries,
        &[
            (
                "tests/package-lock.json",
                "{\n  \"resolved\": \"https://example.org/a.tgz\",\n  \"resolved\": \"../a\"\n}",
            ),
            (
                "Cargo.lock",
                "source = \"registry+https://github.com/rust-lang/crates.io-index\"\nsource = \"registry+https://example.org\"\n",
            ),
        ],
        &["Cargo.lock:2", "tests/package-lock.json:2"],
    );
}
