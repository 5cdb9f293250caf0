//! The words of docs/glossary.md, held over the names we give to types, modules and functions.
//!
//! Leaves to others: variants, fields and locals (the glossary's context decides there), and names that Envoy or a crate gave.

use crate::{
    breach::{Breach, Rule, finds, holds},
    rust::Source,
    tree::Tree,
};

const WORDS: Rule = Rule {
    name: "words of the glossary",
    remedy: "Take the word of docs/glossary.md. A name that Envoy or a standard gave may be excused in tests/tidy/words.rs, with the reason.",
};

/// Forbidden as a whole word (or its plural) of a CamelCase type name or a snake_case module name, and what to say.
const FORBIDDEN: [(&str, &str); 18] = [
    ("Manager", "the noun of what it holds"),
    ("Helper", "the noun of what it does"),
    ("Util", "the noun of what it does"),
    ("Misc", "the noun of what it does"),
    ("Common", "the noun of what it does"),
    ("Upstream", "provider or channel"),
    ("Vendor", "provider"),
    ("Backend", "provider"),
    ("Blockchain", "chain"),
    ("Protocol", "transport"),
    ("Endpoint", "channel; an endpoint is Envoy's"),
    ("Selector", "strategy"),
    ("Algorithm", "strategy"),
    ("Height", "head"),
    ("Tip", "head"),
    ("Backfill", "fill"),
    ("Telemetry", "report"),
    ("Shutdown", "drain"),
];

/// File prefix, name or word of a name, reason.
const EXCUSED: [(&str, &str, &str); 3] = [
    ("hub/src", "Upstream", "the hub's side towards providers, all of them, as opposed to its side towards clients"),
    ("filter/src/wasm", "get_type", "a method of proxy-wasm's RootContext"),
    (
        "control-plane/src/config",
        "Vendor",
        "the company behind a URL shorthand such as `alchemy://`, not a provider of a chain",
    ),
];

fn names(tree: &Tree) -> Vec<Breach> {
    let mut found = Vec::new();
    for (path, text) in tree.ending(".rs") {
        for (index, line) in Source::of(text).code.iter().enumerate() {
            found.extend(declared(line).filter_map(|(kind, name)| {
                let say = objection(path, kind, name)?;
                Some(WORDS.broken(path, index + 1, format!("`{kind} {name}`: {say}")))
            }));
        }
    }
    found
}

/// The names a line declares.
fn declared(line: &str) -> impl Iterator<Item = (&str, &str)> {
    let words = || line.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty());
    words()
        .zip(words().skip(1))
        .filter(|(kind, _)| matches!(*kind, "struct" | "enum" | "trait" | "type" | "mod" | "fn"))
}

fn objection(path: &str, kind: &str, name: &str) -> Option<String> {
    let excused = |word: &str| EXCUSED.iter().any(|(prefix, it, _)| path.starts_with(prefix) && *it == word);
    if kind == "fn" {
        return (name.starts_with("get_") && !excused(name)).then(|| "a getter is bare, without `get_`".to_owned());
    }
    let (word, say) = FORBIDDEN.iter().find(|(word, _)| {
        parts(name).any(|part| part == *word || part.strip_suffix('s') == Some(word)) && !excused(word)
    })?;
    Some(format!("not `{word}`: say {say}"))
}

/// The words of `FooBar` and of `foo_bar`, each with a capital.
fn parts(name: &str) -> impl Iterator<Item = String> {
    let mut parts = vec![String::new()];
    for c in name.chars() {
        if c == '_' || c.is_uppercase() {
            parts.push(String::new());
        }
        if c != '_'
            && let Some(part) = parts.last_mut()
        {
            let first = part.is_empty();
            part.extend(if first { c.to_uppercase().collect::<Vec<_>>() } else { vec![c] });
        }
    }
    parts.into_iter()
}

#[test]
fn names_come_from_the_glossary() {
    holds(names);
    finds(
        names,
        &[(
            "a/src/lib.rs",
            "pub struct ChannelManager;\nmod utils;\nfn get_head() {}\nenum Upstream { A }\nstruct Manageress;\nfn getter() {}\n// struct Helper\ntrait Multiple {}\n",
        )],
        &["a/src/lib.rs:1", "a/src/lib.rs:2", "a/src/lib.rs:3", "a/src/lib.rs:4"],
    );
}

#[test]
fn forbidden_words_stand_in_the_glossary() {
    let tree = Tree::tracked();
    let glossary = tree.text("docs/glossary.md").expect("docs/glossary.md exists").to_lowercase();
    let missing: Vec<_> = FORBIDDEN.iter().filter(|(word, _)| !glossary.contains(&word.to_lowercase())).collect();
    assert!(missing.is_empty(), "docs/glossary.md does not tell people to avoid {missing:?}");
}
