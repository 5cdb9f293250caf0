//! A file's tree walked along the table of keys.
//!
//! Duty: unknown keys, wrong kinds, ranges, missing keys and unset variables become problems, all of them in one pass; what is left
//! is typed, with defaults filled in.
//! Invariant: a field of a [`Section`] holds what its key's kind promises.
//! Leaves to others: rules between keys (`decode`).

use std::collections::{BTreeMap, BTreeSet};

use super::env::{EnvError, Lookup, expand};
use super::problem::{Place, Problem, did_you_mean, shown};
use super::scalar::{Scalar, read};
use super::schema::{Absent, Effect, Key, Kind, PROVIDERS, Shape, children, listed};
use super::tree::{Content, Entry, Node};

/// A mapping of known keys.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) place: Place,
    /// As a person would name it, like `profiles.public.chains.ethereum`.
    pub(crate) path: String,
    pub(crate) fields: Vec<(&'static str, Value)>,
    /// Variables without which this section cannot be used.
    pub(crate) unset: BTreeSet<String>,
}

#[derive(Debug)]
pub(crate) enum Value {
    One(Item),
    List(Vec<Item>),
    Table(Vec<(String, Item)>),
    Section(Section),
    Named(Vec<(String, Section)>),
    Sections(Vec<Section>),
}

/// A scalar where it stands.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) place: Place,
    pub(crate) scalar: Scalar,
    /// What was written, when the environment had a part in the value.
    pub(crate) written: Option<String>,
    /// Nothing was written.
    pub(crate) is_default: bool,
}

/// What an unset variable inside a provider does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnUnset {
    DisableProvider,
    Fail,
}

pub(crate) struct Checker<'a> {
    pub(crate) lookup: &'a Lookup<'a>,
    pub(crate) on_unset: OnUnset,
    pub(crate) problems: Vec<Problem>,
    /// Keys that are set and do nothing yet.
    pub(crate) later: Vec<String>,
    /// Unset variables of the provider that is being read.
    unset: BTreeSet<String>,
}

impl<'a> Checker<'a> {
    pub(crate) fn new(lookup: &'a Lookup<'a>, on_unset: OnUnset, problems: Vec<Problem>) -> Self {
        Self { lookup, on_unset, problems, later: Vec::new(), unset: BTreeSet::new() }
    }

    /// Checks a mapping against the keys below `pattern`.
    pub(crate) fn section(&mut self, node: &Node, path: &str, pattern: &str) -> Section {
        match &node.content {
            Content::Map(_) | Content::Nothing => {}
            Content::Scalar(_) | Content::List(_) => self.wrong(&node.place, path, "must be a mapping".to_owned()),
        }
        for entry in node.entries() {
            if !children(pattern).any(|(name, _)| name == entry.key) {
                let wrong = unknown(pattern, &entry.key);
                self.wrong(&entry.place, &join(path, &shortened(&entry.key)), wrong);
            }
        }
        let mut fields = Vec::new();
        for (name, key) in children(pattern) {
            let path = join(path, name);
            let entry = node.entries().iter().find(|entry| entry.key == name);
            let value = match entry.filter(|entry| !matches!(entry.value.content, Content::Nothing)) {
                Some(entry) => {
                    self.note_later(key, &path);
                    self.value(&entry.value, key, &path)
                }
                None => self.absent(entry, node, key, &path),
            };
            fields.extend(value.map(|value| (name, value)));
        }
        let unset = if pattern == PROVIDERS { std::mem::take(&mut self.unset) } else { BTreeSet::new() };
        Section { place: node.place.clone(), path: path.to_owned(), fields, unset }
    }

    fn note_later(&mut self, key: &Key, path: &str) {
        let covered = self.later.last().is_some_and(|above| path.starts_with(&format!("{above}.")));
        if key.effect == Effect::Later && !covered {
            self.later.push(path.to_owned());
        }
    }

    fn absent(&mut self, entry: Option<&Entry>, parent: &Node, key: &Key, path: &str) -> Option<Value> {
        let place = entry.map_or(&parent.place, |entry| &entry.place);
        match (key.absent, key.effect) {
            (Absent::Required, _) => {
                self.wrong(place, path, format!("is missing; it takes {}", key.shape.wants()));
                None
            }
            (Absent::Unset(""), Effect::Now) => {
                let nothing = Node { place: place.clone(), content: Content::Nothing };
                Some(Value::Section(self.section(&nothing, path, key.path)))
            }
            (Absent::Is("[]" | "{}") | Absent::Unset(_), _) | (Absent::Is(_), Effect::Later) => None,
            (Absent::Is(default), Effect::Now) => {
                let Shape::One(kind) = &key.shape else { return None };
                let scalar = read(kind, default).ok()?;
                Some(Value::One(Item { place: place.clone(), scalar, written: None, is_default: true }))
            }
        }
    }

    fn value(&mut self, node: &Node, key: &Key, path: &str) -> Option<Value> {
        match &key.shape {
            Shape::Section => Some(Value::Section(self.section(node, path, key.path))),
            Shape::Named(what) => self.named(node, key, path, what),
            Shape::Sections => {
                let items = self.items(node, key, path)?;
                let pattern = format!("{}[]", key.path);
                let section = |(index, item): (usize, &Node)| {
                    let path = format!("{path}[{}]", item_name(item, index));
                    self.section(item, &path, &pattern)
                };
                Some(Value::Sections(items.iter().enumerate().map(section).collect()))
            }
            Shape::List(kind) => {
                let items = self.items(node, key, path)?;
                let item = |(index, item)| self.one(item, kind, key, &format!("{path}[{index}]"));
                Some(Value::List(items.iter().enumerate().filter_map(item).collect()))
            }
            Shape::Table(name, value) => self.table(node, name, value, key, path),
            Shape::OneOrTable(value, name) if matches!(node.content, Content::Map(_)) => {
                self.table(node, name, value, key, path)
            }
            Shape::OneOrTable(kind, _) | Shape::One(kind) => self.one(node, kind, key, path).map(Value::One),
        }
    }

    fn named(&mut self, node: &Node, key: &Key, path: &str, what: &str) -> Option<Value> {
        if !matches!(node.content, Content::Map(_)) {
            self.wrong(&node.place, path, format!("must be {}", key.shape.wants()));
            return None;
        }
        if node.entries().is_empty() {
            self.wrong(&node.place, path, format!("is empty; it needs at least one {what}"));
        }
        let pattern = format!("{}.*", key.path);
        let mut named = Vec::new();
        for entry in node.entries() {
            let path = join(path, &shortened(&entry.key));
            if let Err(wrong) = read(&Kind::Name, &entry.key) {
                self.wrong(&entry.place, &path, wrong);
            }
            let mut section = self.section(&entry.value, &path, &pattern);
            section.place = entry.place.clone();
            named.push((entry.key.clone(), section));
        }
        Some(Value::Named(named))
    }

    fn items<'n>(&mut self, node: &'n Node, key: &Key, path: &str) -> Option<&'n [Node]> {
        match &node.content {
            Content::List(items) => Some(items),
            Content::Map(_) | Content::Scalar(_) | Content::Nothing => {
                self.wrong(&node.place, path, format!("must be {}", key.shape.wants()));
                None
            }
        }
    }

    fn table(&mut self, node: &Node, name: &Kind, value: &Kind, key: &Key, path: &str) -> Option<Value> {
        if !matches!(node.content, Content::Map(_)) {
            self.wrong(&node.place, path, format!("must be {}", key.shape.wants()));
            return None;
        }
        let mut rows = Vec::new();
        let mut lines = BTreeMap::new();
        for entry in node.entries() {
            let path = join(path, &shortened(&entry.key));
            match read(name, &entry.key) {
                Ok(Scalar::Text(name)) => {
                    // Keys that were written differently may mean the same.
                    if let Some(first) = lines.insert(name.clone(), entry.place.line) {
                        self.wrong(&entry.place, &path, format!("stands twice (first at line {first}); keep one"));
                    }
                    rows.extend(self.one(&entry.value, value, key, &path).map(|item| (name, item)));
                }
                Ok(_) => {}
                Err(wrong) => self.wrong(&entry.place, &path, wrong),
            }
        }
        Some(Value::Table(rows))
    }

    fn one(&mut self, node: &Node, kind: &Kind, key: &Key, path: &str) -> Option<Item> {
        let Some(written) = node.scalar() else {
            self.wrong(&node.place, path, format!("must be {}", kind.wants()));
            return None;
        };
        let text = match expand(written, self.lookup) {
            Ok(text) => text,
            Err(EnvError::Unset(name)) => {
                if key.path.starts_with(PROVIDERS) && self.on_unset == OnUnset::DisableProvider {
                    self.unset.insert(name);
                } else {
                    let wrong = format!("`{name}` is not set; set it, or write `${{{name}:-default}}`");
                    self.wrong(&node.place, path, wrong);
                }
                return None;
            }
            Err(EnvError::Malformed) => {
                let wrong = "has a `${` that is neither `${VAR}` nor `${VAR:-default}`";
                self.wrong(&node.place, path, wrong.to_owned());
                return None;
            }
        };
        let from_environment = text != written;
        match read(kind, &text) {
            Ok(scalar) => {
                let written = from_environment.then(|| written.to_owned());
                Some(Item { place: node.place.clone(), scalar, written, is_default: false })
            }
            Err(_) if from_environment && !kind.is_secret() => {
                self.wrong(&node.place, path, format!("what its variables make of it is not {}", kind.wants()));
                None
            }
            Err(wrong) => {
                self.wrong(&node.place, path, wrong);
                None
            }
        }
    }

    fn wrong(&mut self, place: &Place, path: &str, wrong: String) {
        self.problems.push(Problem::new(place.clone(), path, wrong));
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// A key of the user's as it may stand in a message.
fn shortened(key: &str) -> String {
    shown(key).trim_matches('`').to_owned()
}

fn item_name(item: &Node, index: usize) -> String {
    let id = item.child("id").and_then(Node::scalar).filter(|id| read(&Kind::Name, id).is_ok());
    id.map_or_else(|| index.to_string(), str::to_owned)
}

/// Why a key is not known here: the nearest one, or where it belongs.
fn unknown(pattern: &str, written: &str) -> String {
    let known: Vec<&str> = children(pattern).map(|(name, _)| name).collect();
    let close = did_you_mean(written, known.iter().copied());
    if !close.is_empty() {
        return format!("is not a key{close}");
    }
    let home = known.iter().find(|section| {
        let below = if pattern.is_empty() { (*section).to_string() } else { format!("{pattern}.{section}") };
        children(&below).any(|(name, _)| name == written)
    });
    match home {
        Some(section) => format!("is not a key here; it stands under `{section}`"),
        None => format!("is not a key; there are {}", listed(&known)),
    }
}
