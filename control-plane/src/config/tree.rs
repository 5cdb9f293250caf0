//! YAML text to a tree in which every key and value knows its line.
//!
//! Duty: parse one file, resolve anchors, report syntax errors and duplicate keys with their lines.
//! Invariant: scalars stay text. What `12` or `yes` means is decided by the key they stand under, so `${VAR}` works everywhere.
//! Leaves to others: what keys exist and which values they take (`schema`, `checked`).

use std::collections::BTreeMap;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::problem::{Place, Problem};

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) content: Content,
}

#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// Nothing after the colon, or a plain `null` or `~`.
    Nothing,
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key of a mapping with its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) place: Place,
    pub(crate) value: Node,
}

impl Node {
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.content {
            Content::Map(entries) => entries,
            Content::Nothing | Content::Scalar(_) | Content::List(_) => &[],
        }
    }

    pub(crate) fn child(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    pub(crate) fn scalar(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar(text) => Some(text),
            Content::Nothing | Content::List(_) | Content::Map(_) => None,
        }
    }

    fn size(&self) -> usize {
        1 + match &self.content {
            Content::Nothing | Content::Scalar(_) => 0,
            Content::List(items) => items.iter().map(Self::size).sum(),
            Content::Map(entries) => entries.iter().map(|entry| entry.value.size()).sum(),
        }
    }
}

/// Parses one file. Duplicate keys go to `problems` and the first one stays; a syntax error ends the file.
pub(crate) fn parse(file: &Arc<str>, text: &str, problems: &mut Vec<Problem>) -> Option<Node> {
    let mut builder = Builder { open: Vec::new(), anchors: BTreeMap::new(), budget: ALIAS_BUDGET, problems };
    let mut parser = Parser::new_from_str(text);
    let mut root = None;
    while let Some(event) = parser.next_event() {
        let (event, span) = match event {
            Ok(event) => event,
            Err(error) => {
                let place = Place { file: Arc::clone(file), line: error.marker().line() };
                builder.problems.push(Problem::new(place, "", format!("not YAML: {}", error.info())));
                return None;
            }
        };
        let place = Place { file: Arc::clone(file), line: span.start.line() };
        let finished = match builder.step(event, place) {
            Ok(finished) => finished,
            Err(problem) => {
                builder.problems.push(problem);
                return None;
            }
        };
        match (finished, &root) {
            (Some(node), None) => root = Some(node),
            (Some(node), Some(_)) => {
                builder.problems.push(Problem::new(node.place, "", "a second document; one file holds one document"));
                return None;
            }
            (None, _) => {}
        }
    }
    root
}

/// Nodes that aliases may add to a file: nested anchors grow exponentially.
const ALIAS_BUDGET: usize = 100_000;

/// Levels of nesting; the keys that exist need ten.
const DEEPEST: usize = 32;

struct Builder<'a> {
    open: Vec<Open>,
    anchors: BTreeMap<usize, Node>,
    budget: usize,
    problems: &'a mut Vec<Problem>,
}

struct Open {
    node: Node,
    anchor: usize,
    key: Option<(String, Place)>,
}

impl Builder<'_> {
    fn step(&mut self, event: Event<'_>, place: Place) -> Result<Option<Node>, Problem> {
        if self.open.len() > DEEPEST {
            return Err(Problem::new(place, "", format!("nested deeper than {DEEPEST} levels")));
        }
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let plain = style == ScalarStyle::Plain;
                let content = match text.as_ref() {
                    "" | "~" | "null" if plain => Content::Nothing,
                    text => Content::Scalar(text.to_owned()),
                };
                self.close(Node { place, content }, anchor)
            }
            Event::SequenceStart(anchor, _) => {
                self.open.push(Open { node: Node { place, content: Content::List(Vec::new()) }, anchor, key: None });
                Ok(None)
            }
            Event::MappingStart(anchor, _) => {
                self.open.push(Open { node: Node { place, content: Content::Map(Vec::new()) }, anchor, key: None });
                Ok(None)
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(open) => self.close(open.node, open.anchor),
                None => Ok(None),
            },
            Event::Alias(anchor) => self.alias(anchor, place),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                Ok(None)
            }
        }
    }

    fn alias(&mut self, anchor: usize, place: Place) -> Result<Option<Node>, Problem> {
        let Some(node) = self.anchors.get(&anchor).cloned() else {
            return Err(Problem::new(place, "", "an alias inside the block that it names"));
        };
        self.budget = self
            .budget
            .checked_sub(node.size())
            .ok_or_else(|| Problem::new(place, "", "its aliases expand to more than 100,000 values"))?;
        self.close(node, 0)
    }

    /// The keys that are open, each with a dot.
    fn path(&self) -> String {
        let above = self.open.iter().rev().skip(1).rev();
        above.filter_map(|open| open.key.as_ref()).map(|(key, _)| format!("{key}.")).collect()
    }

    /// A complete node: hands it to the collection that is open, or out when there is none.
    fn close(&mut self, node: Node, anchor: usize) -> Result<Option<Node>, Problem> {
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let above = self.path();
        let Some(open) = self.open.last_mut() else {
            return Ok(Some(node));
        };
        match &mut open.node.content {
            Content::List(items) => items.push(node),
            Content::Map(entries) => match open.key.take() {
                None => open.key = Some((key_text(&node)?, node.place)),
                Some((key, place)) => match entries.iter().find(|entry| entry.key == key) {
                    Some(first) => {
                        let wrong = format!("stands twice (first at line {}); keep one", first.place.line);
                        self.problems.push(Problem::new(place, &format!("{above}{key}"), wrong));
                    }
                    None => entries.push(Entry { key, place, value: node }),
                },
            },
            Content::Nothing | Content::Scalar(_) => {}
        }
        Ok(None)
    }
}

fn key_text(node: &Node) -> Result<String, Problem> {
    match &node.content {
        Content::Scalar(text) => Ok(text.clone()),
        Content::Nothing | Content::List(_) | Content::Map(_) => {
            Err(Problem::new(node.place.clone(), "", "a key must be a plain text"))
        }
    }
}
