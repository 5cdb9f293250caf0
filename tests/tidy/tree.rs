//! The files the rules look at.
//!
//! Duty: everything git tracks or would track, as text. What .gitignore names is not part of the house, nor is what is generated: a test of
//! its own holds it to its source.
//! Invariant: paths are relative to the root of the repository, with `/`, in order.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

/// How prost and tonic open their files.
const GENERATED: &str = "// This file is @generated";

/// Path to text.
#[derive(Debug)]
pub(crate) struct Tree {
    files: BTreeMap<String, String>,
}

impl Tree {
    /// The repository this test was built from.
    pub(crate) fn tracked() -> Self {
        let root = root();
        let listed = Command::new("git")
            .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
            .current_dir(&root)
            .output()
            .expect("the house rules need git, to know which files are tracked");
        assert!(listed.status.success(), "git ls-files failed: {}", String::from_utf8_lossy(&listed.stderr));
        let files = String::from_utf8_lossy(&listed.stdout)
            .split('\0')
            .filter(|path| !path.is_empty())
            .filter_map(|path| Some((path.to_owned(), std::fs::read(root.join(path)).ok()?)))
            // What is no text has no words.
            .map(|(path, bytes)| (path, String::from_utf8(bytes).unwrap_or_default()))
            .filter(|(_, text)| !text.starts_with(GENERATED))
            .collect();
        Self { files }
    }

    /// An example.
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        Self { files: files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect() }
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    pub(crate) fn ending(&self, suffix: &str) -> impl Iterator<Item = (&str, &str)> {
        self.files().filter(move |(path, _)| path.ends_with(suffix))
    }

    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// A file, or a folder that holds one.
    pub(crate) fn has(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        let folder = format!("{path}/");
        self.files.contains_key(path) || self.files.keys().any(|file| file.starts_with(&folder))
    }

    /// A file whose path ends with this name or these folders and name.
    pub(crate) fn has_ending(&self, name: &str) -> bool {
        self.files
            .keys()
            .any(|path| path.strip_suffix(name).is_some_and(|folder| folder.is_empty() || folder.ends_with('/')))
    }

    /// Folders at the root.
    pub(crate) fn top_folders(&self) -> BTreeSet<&str> {
        self.files.keys().filter_map(|path| path.split_once('/')).map(|(folder, _)| folder).collect()
    }
}

/// The root of the repository: the folder above the package of these tests.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map(Path::to_path_buf)
        .expect("the package lies in a folder of the root")
}
