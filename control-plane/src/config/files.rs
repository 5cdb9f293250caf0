//! A file, or a directory of them, as one tree.
//!
//! Duty: in a directory `lasso.yaml` holds everything that is not a profile's own, and every other `NAME.yaml` is the profile `NAME`.
//! Invariant: every node keeps the file it came from. Files are read in the order of their names.
//! Leaves to others: what the keys mean.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::problem::{Place, Problem};
use super::tree::{Content, Entry, Node, parse};

const ROOT_FILE: &str = "lasso";

/// Reads what is at `path`. Nothing comes back only together with a problem.
pub(crate) fn read(path: &Path, problems: &mut Vec<Problem>) -> Option<Node> {
    if path.is_dir() { directory(path, problems) } else { file(path, problems) }
}

/// The files that [`read`] reads.
pub(crate) fn files_at(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if path.is_dir() { yaml_files(path) } else { Ok(vec![path.to_owned()]) }
}

fn file(path: &Path, problems: &mut Vec<Problem>) -> Option<Node> {
    let name: Arc<str> = path.display().to_string().into();
    let start = Place { file: Arc::clone(&name), line: 1 };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            problems.push(Problem::new(start, "", format!("cannot be read: {error}")));
            return None;
        }
    };
    let before = problems.len();
    let node = parse(&name, &text, problems);
    if node.is_none() && problems.len() == before {
        problems.push(Problem::new(start, "", "is empty; it needs at least `profiles`"));
    }
    node
}

fn directory(path: &Path, problems: &mut Vec<Problem>) -> Option<Node> {
    let start = Place { file: path.display().to_string().into(), line: 1 };
    let files = match yaml_files(path) {
        Ok(files) if !files.is_empty() => files,
        Ok(_) => {
            problems.push(Problem::new(start, "", "has no `.yaml` file; it needs one for each profile"));
            return None;
        }
        Err(error) => {
            problems.push(Problem::new(start, "", format!("cannot be read: {error}")));
            return None;
        }
    };
    let mut root = None;
    let mut profiles = Vec::new();
    for path in files {
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let Some(node) = file(&path, problems) else { continue };
        if name == ROOT_FILE {
            root = Some(node);
        } else {
            profiles.push(Entry { key: name, place: node.place.clone(), value: node });
        }
    }
    let mut root = root.unwrap_or(Node { place: start, content: Content::Map(Vec::new()) });
    add_profiles(&mut root, profiles, problems);
    Some(root)
}

fn yaml_files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let path = entry?.path();
        let is_yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        if is_yaml && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn add_profiles(root: &mut Node, profiles: Vec<Entry>, problems: &mut Vec<Problem>) {
    let place = root.place.clone();
    let Content::Map(entries) = &mut root.content else { return };
    if !entries.iter().any(|entry| entry.key == "profiles") {
        let value = Node { place: place.clone(), content: Content::Map(Vec::new()) };
        entries.push(Entry { key: "profiles".to_owned(), place, value });
    }
    let home = entries.iter_mut().find(|entry| entry.key == "profiles").map(|entry| &mut entry.value.content);
    let Some(Content::Map(known)) = home else { return };
    for profile in profiles {
        match known.iter().find(|entry| entry.key == profile.key) {
            Some(first) => {
                let wrong = format!("is in {}:{} as well; keep one", first.place.file, first.place.line);
                problems.push(Problem::new(profile.place, &format!("profiles.{}", profile.key), wrong));
            }
            None => known.push(profile),
        }
    }
}
