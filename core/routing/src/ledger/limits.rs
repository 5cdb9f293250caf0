//! What a channel turned out not to do: learned ranges, depths, methods, tags.
//!
//! Invariant: everything here ends by itself, and there is a bound on how much of it there is: methods of the table by class, other names
//! at most [`MOST_NAMES`], the oldest out first.
//! Leaves to others: that it was learned honestly: only when another channel answered the same request.

use lasso_jsonrpc::block::{BlockRef, Blocks, Tag};
use lasso_jsonrpc::method::{Method, MethodClass};

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

    pub(super) fn ban(&mut self, method: &Method<'_>, length: Millis, now: Timestamp) {
        self.tidy(now);
        let until = now.plus(length);
        if method.is_known() {
            let class = MethodClass::of(method, &Blocks::None);
            self.classes.retain(|ban| ban.value != class);
            self.classes.push(Until { value: class, until });
        } else {
            self.names.retain(|(name, _)| **name != *method.name());
            if self.names.len() >= MOST_NAMES {
                self.names.remove(0);
            }
            self.names.push((method.name().into(), until));
        }
    }

    pub(super) fn learn_range(&mut self, blocks: u64, now: Timestamp) {
        self.range = Some(Until { value: blocks.max(1), until: now.plus(RANGE_LASTS) });
    }

    /// It does not have a block so far behind the head.
    pub(super) fn learn_age(&mut self, missing: u64, state: bool, now: Timestamp) {
        let place = if state { &mut self.state_age } else { &mut self.age };
        let known = place.and_then(|age| age.at(now));
        let age = missing.saturating_sub(1).min(known.unwrap_or(u64::MAX));
        *place = Some(Until { value: age, until: now.plus(DEPTH_LASTS) });
    }

    pub(super) fn learn_tags(&mut self, blocks: &Blocks, now: Timestamp) {
        self.tidy(now);
        for tag in tags_of(blocks).into_iter().flatten() {
            // Every node knows these two; something else must have been wrong.
            if !matches!(tag, Tag::Latest | Tag::Earliest) {
                self.tags.retain(|lacked| lacked.value != tag);
                self.tags.push(Until { value: tag, until: now.plus(RANGE_LASTS) });
            }
        }
    }
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
