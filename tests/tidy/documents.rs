//! Documents tell the truth about the tree: paths and make targets exist, links lead somewhere.
//!
//! Duty: read Markdown just far enough: code spans, fenced code, links, headings; and the code spans of Rust comments.
//! Leaves to others: variables and stats (`names`), the map of the modules (`map`).

use std::collections::BTreeSet;

use crate::{
    breach::{Breach, Rule, finds, holds},
    rust::Source,
    tree::Tree,
};

const PATHS: Rule = Rule {
    name: "paths exist",
    remedy: "Name what is there now. Generated folders belong into .gitignore with a leading `/`; then they may be named.",
};
const TARGETS: Rule = Rule { name: "make targets exist", remedy: "Name a target of the Makefile; `make` lists them." };
const LINKS: Rule = Rule { name: "links resolve", remedy: "Point the link, or its #anchor, to what is there now." };

/// Endings by which a bare or unknown name is taken for a file of this repository.
const OWN_ENDINGS: [&str; 4] = [".rs", ".md", ".toml", ".mjs"];

/// The same, when a folder stands before it.
const OWN_ENDINGS_IN_FOLDERS: [&str; 5] = [".yaml", ".yml", ".json", ".sh", ".py"];

/// Files that are named because they must not exist, or stand for any other.
const FOREIGN: [&str; 2] = ["mod.rs", "foo.rs"];

/// A line of a document, as the rules see it.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    pub(crate) number: usize,
    /// Pieces of code in it: its code spans, or all of it inside a fence.
    pub(crate) code: Vec<&'a str>,
    /// The text when it is prose.
    prose: Option<&'a str>,
}

pub(crate) fn lines_of(text: &str) -> Vec<Line<'_>> {
    let mut fenced = false;
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced {
            lines.push(Line { number, code: vec![line], prose: None });
        } else {
            lines.push(Line { number, code: spans(line), prose: Some(line) });
        }
    }
    lines
}

/// What stands between backticks.
pub(crate) fn spans(line: &str) -> Vec<&str> {
    line.split('`').skip(1).step_by(2).collect()
}

fn paths(tree: &Tree) -> Vec<Breach> {
    let tops = tree.top_folders();
    let generated = generated(tree);
    let mut found = Vec::new();
    for (path, number, code) in named(tree) {
        let tokens = code.split(|c: char| c.is_whitespace() || "\"'()[];,|=".contains(c));
        for token in tokens.map(before_brace) {
            let token = token.trim_end_matches(['.', ':', '…']).trim_start_matches("./");
            if looks_own(token, &tops)
                && !generated.iter().any(|it| token.starts_with(it))
                && !exists(tree, path, token)
            {
                found.push(PATHS.broken(path, number, format!("`{token}` does not exist")));
            }
        }
    }
    found
}

/// Every piece of code a document or a Rust comment names: file, line, piece.
fn named(tree: &Tree) -> Vec<(&str, usize, String)> {
    let mut named = Vec::new();
    for (path, text) in tree.ending(".md") {
        let pieces =
            lines_of(text).into_iter().flat_map(|line| line.code.into_iter().map(move |code| (line.number, code)));
        named.extend(pieces.map(|(number, code)| (path, number, code.to_owned())));
    }
    for (path, text) in tree.ending(".rs") {
        for (index, comment) in Source::of(text).comments.iter().enumerate() {
            named.extend(spans(comment).into_iter().map(|code| (path, index + 1, code.to_owned())));
        }
    }
    named
}

/// Folders that git ignores at the root.
fn generated(tree: &Tree) -> Vec<String> {
    let ignored = tree.text(".gitignore").unwrap_or_default().lines();
    ignored.filter_map(|line| line.strip_prefix('/')).map(|line| line.trim_end_matches('/').to_owned()).collect()
}

/// Of `a/{b,c}`, which the split at commas has torn, the folder is left.
fn before_brace(token: &str) -> &str {
    token.split('{').next().unwrap_or_default()
}

fn looks_own(token: &str, tops: &BTreeSet<&str>) -> bool {
    let odd =
        token.starts_with(['/', '<', '$', '-', '@', '~', '.', '*']) || token.contains("::") || token.contains("//");
    let file = token.split('/').next_back().unwrap_or_default();
    if odd || token.is_empty() || FOREIGN.contains(&file) || file.starts_with('<') {
        return false;
    }
    let ends = |endings: &[&str]| {
        endings.iter().any(|ending| file.len() > ending.len() && without_line(file).ends_with(ending))
    };
    match token.split_once('/') {
        Some((top, _)) => tops.contains(top) || ends(&OWN_ENDINGS) || ends(&OWN_ENDINGS_IN_FOLDERS),
        None => ends(&OWN_ENDINGS),
    }
}

/// A file may be named with a line, as in `tests/tidy/documents.rs:1`.
fn without_line(token: &str) -> &str {
    token.split_once(':').map_or(token, |(file, _)| file)
}

/// From the root, from the folder of the document, or as the end of a path.
fn exists(tree: &Tree, document: &str, token: &str) -> bool {
    let token = without_line(token);
    let token =
        token.split_once('*').map_or(token, |(before, _)| before.rsplit_once('/').map_or("", |(folder, _)| folder));
    let beside = join(document, token);
    token.is_empty() || tree.has(token) || tree.has(&beside) || tree.has_ending(token)
}

/// The path that `target` means in `document`.
fn join(document: &str, target: &str) -> String {
    let mut parts: Vec<&str> = document.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

fn targets(tree: &Tree) -> Vec<Breach> {
    let makefile = tree.text("Makefile").unwrap_or_default();
    let known: BTreeSet<&str> = makefile.lines().filter_map(targets_of).flatten().collect();
    let mut found = Vec::new();
    for (path, number, code) in named(tree) {
        let unknown = asked_of_make(&code).into_iter().filter(|target| !known.contains(target));
        found.extend(unknown.map(|target| TARGETS.broken(path, number, format!("`make {target}`"))));
    }
    found
}

fn targets_of(line: &str) -> Option<impl Iterator<Item = &str>> {
    let (names, rest) = line.split_once(':')?;
    let rule = !line.starts_with(['\t', ' ', '#', '.']) && !rest.starts_with('=');
    rule.then(|| names.split_whitespace())
}

/// The words after `make` that are neither variables nor flags; nothing when `make` is not the command.
fn asked_of_make(code: &str) -> Vec<&str> {
    let mut words = code.split_whitespace().skip_while(|word| matches!(*word, "$" | "&&") || word.contains('='));
    if words.next() != Some("make") {
        return Vec::new();
    }
    words
        .take_while(|word| !word.starts_with(['#', '&', '|', ';', '<', '>']))
        .filter(|word| !word.contains('=') && !word.starts_with('-') && !word.starts_with('['))
        .collect()
}

fn links(tree: &Tree) -> Vec<Breach> {
    let mut found = Vec::new();
    for (path, text) in tree.ending(".md") {
        for line in lines_of(text) {
            let dead = links_in(line.prose.unwrap_or_default()).filter(|target| !leads_somewhere(tree, path, target));
            found.extend(dead.map(|target| LINKS.broken(path, line.number, format!("`{target}`"))));
        }
    }
    found
}

fn links_in(prose: &str) -> impl Iterator<Item = &str> {
    let links = prose.match_indices("](").filter_map(|(at, open)| prose[at + open.len()..].split(')').next());
    links.filter(|target| !target.contains("://") && !target.starts_with("mailto:"))
}

fn leads_somewhere(tree: &Tree, document: &str, target: &str) -> bool {
    let (file, anchor) = target.split_once('#').map_or((target, None), |(file, anchor)| (file, Some(anchor)));
    let file = if file.is_empty() { document.to_owned() } else { join(document, file) };
    match (tree.text(&file), anchor) {
        (Some(text), Some(anchor)) => headings(text).any(|heading| heading == anchor),
        (Some(_), None) => true,
        (None, _) => tree.has(&file),
    }
}

/// Anchors as GitHub makes them.
fn headings(text: &str) -> impl Iterator<Item = String> {
    let lines = lines_of(text).into_iter().filter_map(|line| line.prose);
    lines.filter(|line| line.starts_with('#')).map(|line| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        title
            .chars()
            .filter(|c| c.is_alphanumeric() || "-_ ".contains(*c))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect()
    })
}

#[test]
fn paths_in_documents_exist() {
    holds(paths);
    finds(
        paths,
        &[
            (".gitignore", "/target/\n"),
            ("core/a/src/lib.rs", "//! See `docs/a.md` and `docs/gone.md`.\nconst X: &str = \"docs/gone.md\";\n"),
            (
                "docs/a.md",
                "`core/a`, `core/b/x`, `core/*/src`, `/rpc/x`, `gone.rs`, `lib.rs:3`, `a/b`, `x.yaml`, `a/x.yaml`\n```\ncat core/gone.txt ./docs/a.md target/x.rs\n```\n",
            ),
        ],
        &["docs/a.md:1", "docs/a.md:1", "docs/a.md:1", "docs/a.md:3", "core/a/src/lib.rs:1"],
    );
}

#[test]
fn make_targets_in_documents_exist() {
    holds(targets);
    finds(
        targets,
        &[
            ("Makefile", ".PHONY: gone\nX := gone\nrun test: ## Run\n\tgone: x\n"),
            (
                "README.md",
                "`make`, `make run X=1 # gone`, `make gone`, we make gone things\n```\nA=1 make test gone\n```\n",
            ),
        ],
        &["README.md:1", "README.md:3"],
    );
}

#[test]
fn links_in_documents_resolve() {
    holds(links);
    finds(
        links,
        &[
            (
                "README.md",
                "# A b, `c`!\n[a](docs/x.md#why-so) [b](#a-b-c) [c](docs) [d](https://x.y/z)\n[e](gone.md) [f](#gone)\n",
            ),
            ("docs/x.md", "## Why so\n[up](../README.md) [gone](../docs/y.md)\n"),
        ],
        &["README.md:3", "README.md:3", "docs/x.md:2"],
    );
}
