//! ARCHITECTURE.md is a complete map: every top module of every package stands in the package's section.
//!
//! Leaves to others: names in the map that no longer exist (`documents`).

use crate::{
    breach::{Breach, Rule, finds, holds},
    documents::spans,
    tree::Tree,
};

const MAP: Rule = Rule {
    name: "the map is complete",
    remedy: "Name the module in backticks in the section of ARCHITECTURE.md whose heading names its folder, with its duty.",
};

/// The roots of packages are no rooms.
const ROOTS: [&str; 3] = ["lib", "main", "tests"];

fn unmapped(tree: &Tree) -> Vec<Breach> {
    let map = tree.text("ARCHITECTURE.md").unwrap_or_default();
    modules(tree)
        .filter(|(_, folder, module)| !ROOTS.contains(module) && !section(map, folder).any(|name| name == *module))
        .map(|(path, folder, module)| MAP.broken(path, 1, format!("`{module}` is not in the section `{folder}`")))
        .collect()
}

/// Path, folder of the package, name of the module; the tests' folders count as packages.
fn modules(tree: &Tree) -> impl Iterator<Item = (&str, &str, &str)> {
    tree.ending(".rs").filter_map(|(path, _)| {
        let (folder, file) = path.rsplit_once('/')?;
        let package = folder.strip_suffix("/src").or_else(|| (folder == "tests/support").then_some(folder))?;
        Some((path, package, file.trim_end_matches(".rs")))
    })
}

/// The code spans below the heading that names the folder, up to the next heading.
fn section<'a>(map: &'a str, folder: &str) -> impl Iterator<Item = &'a str> {
    let heading = format!("`{folder}`");
    map.lines()
        .skip_while(move |line| !(line.starts_with('#') && line.contains(&heading)))
        .skip(1)
        .take_while(|line| !line.starts_with('#'))
        .flat_map(spans)
}

#[test]
fn every_module_is_on_the_map() {
    holds(unmapped);
    finds(
        unmapped,
        &[
            ("ARCHITECTURE.md", "### `core/a`\n| `plan` | x |\n### `b`\n`other`\n"),
            ("core/a/src/lib.rs", ""),
            ("core/a/src/other.rs", ""),
            ("core/a/src/plan.rs", ""),
            ("core/a/src/plan/inner.rs", ""),
        ],
        &["core/a/src/other.rs:1"],
    );
}
