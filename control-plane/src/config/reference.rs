//! `docs/configuration.md`, written from the table of keys.
//!
//! Duty: one row for each key. Invariant: the committed file is what this writes; a test compares.
//! Leaves to others: the words (`schema::keys`).

use std::fmt::Write;

use super::schema::{Absent, Effect, Key, Shape, all, children};

const HEAD: &str = "\
# Configuration

One YAML file, `lasso.yaml`, or a directory: there `lasso.yaml` holds everything that is not a profile's own, and every other
`NAME.yaml` is the profile `NAME` (what would stand under `profiles.NAME`). `lasso check FILE` names every mistake with file, line and
key, prints what is in effect with secrets masked, and lists the keys that are set and do nothing yet.

- Any value may hold `${VAR}` or `${VAR:-default}`. An empty variable counts as unset. Inside a provider an unset variable without a
  default leaves that provider out with a warning (`on_missing_env`); elsewhere it is an error. In a flow mapping (`{...}`) quote it.
- Durations are written `500ms`, `12s`, `1m`, `2h`.
- Anchors and aliases (`&name`, `*name`) work; a chain block may be shared by profiles with them.
- Vendors' shorthand in `url` and `ws_url`: `alchemy://KEY`, `infura://KEY`, `drpc://KEY` and `ankr://KEY` become the vendor's URL for
  the chain that the provider stands under.
- A pattern (glob) has `*` for any run of characters. Of several that match, the longest counts.

`*` in a heading stands for a name of yours, `[]` for the items of a list. \"later\" marks keys that are accepted and checked, and
whose part is not in this build yet.

This file is generated from the table that checks configurations: `lasso reference` prints it.
";

/// The whole document.
pub(crate) fn markdown() -> String {
    let mut text = HEAD.to_owned();
    section(&mut text, "", "Top level");
    for key in all() {
        let (below, title) = match key.shape {
            Shape::Section => (key.path.to_owned(), key.path.to_owned()),
            Shape::Named(_) => (format!("{}.*", key.path), format!("{}.*", key.path)),
            Shape::Sections => (format!("{}[]", key.path), format!("{}[]", key.path)),
            Shape::One(_) | Shape::List(_) | Shape::Table(..) | Shape::OneOrTable(..) => continue,
        };
        section(&mut text, &below, &format!("`{title}`"));
    }
    text
}

fn section(text: &mut String, below: &str, title: &str) {
    text.push_str(&format!("\n## {title}\n\n| key | takes | default | meaning |\n| --- | --- | --- | --- |\n"));
    for (name, key) in children(below) {
        // Writing to a String cannot fail.
        let _ =
            writeln!(text, "| `{name}` | {} | {} | {} |", cell(&key.shape.wants()), default(key), cell(&meaning(key)));
    }
}

fn meaning(key: &Key) -> String {
    match key.effect {
        Effect::Now => key.meaning.to_owned(),
        Effect::Later => format!("(later) {}", key.meaning),
    }
}

fn default(key: &Key) -> String {
    match key.absent {
        Absent::Required => "required".to_owned(),
        Absent::Unset("") => String::new(),
        Absent::Unset(then) => cell(then),
        Absent::Is(value) => format!("`{value}`"),
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn reference_is_what_the_table_says() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
        let written = super::markdown();
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == written,
            "docs/configuration.md is stale; write it with: cargo run -p lasso -- reference > docs/configuration.md"
        );
    }
}
