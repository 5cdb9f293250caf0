//! What a channel turned out not to do: learned ranges, depths, methods, tags.
//!
//! Invariant: everything here ends by itself, and there is a bound on how much of it there is: methods of the table by class, other names
//! at most [`MOST_NAMES`], the oldest out first.
//! Leaves to others: that it was learned honestly: only when another channel answered the same request.

use lasso_jsonrpc::block::{BlockRef, Blocks, Tag};
use lasso_jsonrpc::method::{Method, MethodClass};

use crate::report::Limit;
use crate::time::{Millis, Timestamp};

/// A learned range, and a tag that is not known there, hold for an hour.
const RANGE_LASTS: Millis = Millis::from_secs(3_600);
/// A learned depth holds for ten minutes.
const DEPTH_LASTS: Millis = Millis::from_secs(600);
/// Names of methods outside the table that one channel is remembered to lack.
const MOST_NAMES: usize = 256;

#[derive(Debug, Clone, Copy)]
struct Until<T> {
    value: T,
    until: Timestamp,
}

impl<T: Copy> Until<T> {
    fn at(&self, now: Timestamp) -> Option<T> {
        (now < self.until).then_some(self.value)
    }
}

/// What one channel turned out not to do.
#[derive(Debug, Clone, Default)]
pub(crate) struct Limits {
    range: Option<Until<u64>>,
    /// Blocks behind the head: of state, and of anything.
    state_age: Option<Until<u64>>,
    age: Option<Until<u64>>,
    classes: Vec<Until<MethodClass>>,
    names: Vec<(Box<str>, Timestamp)>,
    tags: Vec<Until<Tag>>,
}

impl Limits {
    /// Whether there is nothing left to remember.
    pub(super) const fn is_empty(&self) -> bool {
        self.range.is_none()
            && self.state_age.is_none()
            && self.age.is_none()
            && self.classes.is_empty()
            && self.names.is_empty()
            && self.tags.is_empty()
    }

    /// Drops what has ended.
    pub(super) fn tidy(&mut self, now: Timestamp) {
        let lasting = |limit: &Until<u64>| now < limit.until;
        self.range = self.range.filter(lasting);
        self.state_age = self.state_age.filter(lasting);
        self.age = self.age.filter(lasting);
        self.classes.retain(|ban| now < ban.until);
        self.names.retain(|(_, until)| now < *until);
        self.tags.retain(|tag| now < tag.until);
    }

    /// How long the method is still not to be sent there.
    pub(crate) fn banned(&self, method: &Method<'_>, now: Timestamp) -> Option<Millis> {
        let until = if method.is_known() {
            let class = MethodClass::of(method, &Blocks::None);
            self.classes.iter().find(|ban| ban.value == class)?.until
        } else {
            self.names.iter().find(|(name, _)| **name == *method.name())?.1
        };
        (now < until).then(|| until.since(now))
    }

    pub(crate) fn range(&self, now: Timestamp) -> Option<u64> {
        self.range?.at(now)
    }

    /// Oldest block it has, in blocks behind the head.
    pub(crate) fn age(&self, state: bool, now: Timestamp) -> Option<u64> {
        let any = self.age.and_then(|age| age.at(now));
        let of_state = if state { self.state_age.and_then(|age| age.at(now)) } else { None };
        any.into_iter().chain(of_state).min()
    }

    pub(crate) fn lacks_tag(&self, blocks: &Blocks, now: Timestamp) -> bool {
        !self.tags.is_empty()
            && tags_of(blocks)
                .into_iter()
                .flatten()
                .any(|tag| self.tags.iter().any(|lacked| lacked.at(now) == Some(tag)))
    }

    /// Learns of a limit that holds until then; of two ages the lower one stays.
    pub(super) fn learn(&mut self, limit: &Limit, until: Timestamp, now: Timestamp) {
        let lower =
            |known: Option<Until<u64>>, age: u64| age.min(known.and_then(|age| age.at(now)).unwrap_or(u64::MAX));
        match *limit {
            Limit::StateAge(age) => self.put(&Limit::StateAge(lower(self.state_age, age)), until, now),
            Limit::Age(age) => self.put(&Limit::Age(lower(self.age, age)), until, now),
            Limit::Range(_) | Limit::Class(_) | Limit::Name(_) | Limit::Tag(_) => self.put(limit, until, now),
        }
    }

    /// Takes a limit over as it is.
    pub(super) fn put(&mut self, limit: &Limit, until: Timestamp, now: Timestamp) {
        self.tidy(now);
        match limit {
            Limit::Range(blocks) => self.range = Some(Until { value: *blocks, until }),
            Limit::StateAge(age) => self.state_age = Some(Until { value: *age, until }),
            Limit::Age(age) => self.age = Some(Until { value: *age, until }),
            Limit::Class(class) => {
                self.classes.retain(|ban| ban.value != *class);
                self.classes.push(Until { value: *class, until });
            }
            Limit::Name(name) => {
                self.names.retain(|(known, _)| known != name);
                if self.names.len() >= MOST_NAMES {
                    self.names.remove(0);
                }
                self.names.push((name.clone(), until));
            }
            Limit::Tag(tag) => {
                self.tags.retain(|lacked| lacked.value != *tag);
                self.tags.push(Until { value: *tag, until });
            }
        }
    }
}

/// The method, as a limit.
pub(super) fn of_method(method: &Method<'_>) -> Limit {
    if method.is_known() {
        Limit::Class(MethodClass::of(method, &Blocks::None))
    } else {
        Limit::Name(method.name().into())
    }
}

/// At most so many blocks at once.
pub(super) fn of_range(blocks: u64) -> (Limit, Millis) {
    (Limit::Range(blocks.max(1)), RANGE_LASTS)
}

/// It does not have a block so far behind the head.
pub(super) fn of_missing(missing: u64, state: bool) -> (Limit, Millis) {
    let age = missing.saturating_sub(1);
    (if state { Limit::StateAge(age) } else { Limit::Age(age) }, DEPTH_LASTS)
}

/// The tags in a call that not every node knows: something else must have been wrong with the others.
pub(super) fn of_tags(blocks: &Blocks) -> impl Iterator<Item = (Limit, Millis)> {
    let unusual = |tag: &Tag| !matches!(tag, Tag::Latest | Tag::Earliest);
    tags_of(blocks).into_iter().flatten().filter(unusual).map(|tag| (Limit::Tag(tag), RANGE_LASTS))
}

fn tags_of(blocks: &Blocks) -> [Option<Tag>; 2] {
    let tag = |block: &BlockRef| match block {
        BlockRef::Tag(tag) => Some(*tag),
        BlockRef::Number(_) | BlockRef::Hash(_) => None,
    };
    match blocks {
        Blocks::None => [None, None],
        Blocks::At(block) => [tag(block), None],
        Blocks::Range { from, to } => [tag(from), tag(to)],
    }
}
