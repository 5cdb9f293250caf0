//! What is wrong with a configuration, where, and what would be right.
//!
//! Duty: one line for each mistake, `file:line: key: what is wrong; what would be right`.
//! Invariant: no text here holds a secret. Values are quoted only through [`shown`], and never those of secret keys.
//! Leaves to others: finding the mistakes.

use std::fmt;
use std::sync::Arc;

/// A line of a file. Lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) file: Arc<str>,
    pub(crate) line: usize,
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Problem {
    place: Place,
    key: String,
    wrong: String,
}

impl Problem {
    pub(crate) fn new(place: Place, key: &str, wrong: impl Into<String>) -> Self {
        Self { place, key: key.to_owned(), wrong: wrong.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.place.file, self.place.line)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.wrong)
    }
}

/// All mistakes of a configuration, in the order of its lines.
#[derive(Debug)]
pub(crate) struct Problems(Vec<Problem>);

impl Problems {
    pub(crate) fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort();
        problems.dedup();
        Self(problems)
    }

    pub(crate) fn none() -> Vec<Problem> {
        Vec::new()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.0 {
            writeln!(f, "{problem}")?;
        }
        match self.0.len() {
            1 => f.write_str("1 problem"),
            many => write!(f, "{many} problems"),
        }
    }
}

impl std::error::Error for Problems {}

/// A URL without what may be secret: scheme and host; of a vendor's shorthand only the scheme.
pub(crate) fn masked_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return MASK.to_owned();
    };
    if !matches!(scheme, "http" | "https" | "ws" | "wss") {
        return format!("{scheme}://{MASK}");
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}/{MASK}")
}

/// What stands for a secret.
pub(crate) const MASK: &str = "***";

/// A value as it may stand in a message: quoted, short, and without what a URL carries beyond its host.
pub(crate) fn shown(value: &str) -> String {
    const LONGEST: usize = 40;
    if value.contains("://") {
        return format!("`{}`", masked_url(value));
    }
    match value.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("`{}...`", &value[..cut]),
        None => format!("`{value}`"),
    }
}

/// ` (did you mean ...?)` when one of the known words is close to the one that was written.
pub(crate) fn did_you_mean<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let closest = known.into_iter().map(|word| (distance(written, word), word)).min();
    match closest {
        Some((distance, word)) if distance <= 1 + word.len() / 4 => format!(" (did you mean `{word}`?)"),
        Some(_) | None => String::new(),
    }
}

/// Edit distance with swaps of neighbours.
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().take(64).flat_map(char::to_lowercase).collect();
    let right: Vec<char> = right.chars().take(64).flat_map(char::to_lowercase).collect();
    let width = right.len() + 1;
    let mut table = vec![0; (left.len() + 1) * width];
    for row in 0..=left.len() {
        for column in 0..=right.len() {
            table[row * width + column] = match (row, column) {
                (0, far) | (far, 0) => far,
                (row, column) => {
                    let same = left[row - 1] == right[column - 1];
                    let replaced = table[(row - 1) * width + column - 1] + usize::from(!same);
                    let dropped = table[(row - 1) * width + column] + 1;
                    let added = table[row * width + column - 1] + 1;
                    let swapped = row > 1
                        && column > 1
                        && left[row - 1] == right[column - 2]
                        && left[row - 2] == right[column - 1];
                    let swap = if swapped { table[(row - 2) * width + column - 2] + 1 } else { usize::MAX };
                    replaced.min(dropped).min(added).min(swap)
                }
            };
        }
    }
    table[left.len() * width + right.len()]
}
