//! What a rule says when it is broken.
//!
//! Duty: one form for all rules, and the two ways to run them: over the tree, and over a bad example.
//! Invariant: a breach names where, which rule, what was seen and what to do.

use std::fmt;

use crate::tree::Tree;

/// One place that departs from one rule.
#[derive(Debug)]
pub(crate) struct Breach {
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) rule: &'static str,
    pub(crate) seen: String,
    pub(crate) remedy: &'static str,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}\n    {}", self.file, self.line, self.rule, self.seen, self.remedy)
    }
}

/// The name of a rule and what to do about a breach of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    pub(crate) name: &'static str,
    pub(crate) remedy: &'static str,
}

impl Rule {
    /// A breach of this rule; `line` counts from 1.
    pub(crate) fn broken(self, file: &str, line: usize, seen: impl Into<String>) -> Breach {
        Breach { file: file.to_owned(), line, rule: self.name, seen: seen.into(), remedy: self.remedy }
    }
}

/// The rule holds over the tracked files.
#[track_caller]
pub(crate) fn holds(rule: fn(&Tree) -> Vec<Breach>) {
    all_well(&rule(&Tree::tracked()));
}

/// Nothing was found; otherwise every finding is printed.
#[track_caller]
pub(crate) fn all_well(breaches: &[Breach]) {
    let listed: Vec<String> = breaches.iter().map(ToString::to_string).collect();
    assert!(breaches.is_empty(), "{} breach(es) of the house rules\n\n{}\n", breaches.len(), listed.join("\n"));
}

/// The rule finds exactly `expected` (`file:line`) in the example files.
#[track_caller]
pub(crate) fn finds(rule: fn(&Tree) -> Vec<Breach>, files: &[(&str, &str)], expected: &[&str]) {
    let found: Vec<String> = rule(&Tree::of(files)).iter().map(|b| format!("{}:{}", b.file, b.line)).collect();
    assert_eq!(found, expected);
}
