//! Heads that cannot be told yet, because blocks before them are missing.
//!
//! Duty: hold them, find the way from a held head back to the told branch, and say what to ask for next.
//! Invariant: a fetched block is told only on the way to a head that a provider told of, or to the newest block that was asked for by
//! number; links are checked backwards, and numbers fall by one with each link. At most `max_fill_blocks` blocks and as many live
//! heads are held.

use std::collections::BTreeMap;

use lasso_routing::time::Timestamp;

use crate::branch::Branch;
use crate::event::{Ask, ChannelId, MOST_HEADERS};
use crate::payload::{Hash, Head};

#[derive(Debug)]
struct Held {
    head: Head,
    /// Who told of it; `None` for what was fetched.
    from: Option<ChannelId>,
    at: Timestamp,
    /// A way to it is wanted.
    goal: bool,
}

/// The held blocks of one chain.
#[derive(Debug, Default)]
pub(crate) struct Gap {
    held: BTreeMap<Hash, Held>,
    /// Since when something is missing without progress.
    since: Option<Timestamp>,
    opened: Option<Timestamp>,
    /// Blocks fetched since the gap opened.
    fetched: u64,
}

/// Where the way back from a held head leads.
#[derive(Debug)]
pub(crate) enum Way {
    /// To the branch: these, oldest first.
    Joins(Vec<Head>),
    /// To this block, which is missing, at this number.
    Misses(Hash, u64),
    /// Below what is kept, by these, oldest first.
    Deeper(Vec<Head>),
    /// Nowhere: numbers do not fit.
    Broken,
}

impl Gap {
    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether a channel told of it already.
    pub(crate) fn has(&self, hash: &Hash) -> bool {
        self.held.get(hash).is_some_and(|held| held.goal)
    }

    /// Since when something is missing and nothing has moved.
    pub(crate) fn since(&self) -> Option<Timestamp> {
        self.since
    }

    /// Since when something is missing.
    pub(crate) fn opened(&self) -> Option<Timestamp> {
        self.opened
    }

    pub(crate) fn fetched(&self) -> u64 {
        self.fetched
    }

    /// Holds a head that a channel told of.
    pub(crate) fn hold(&mut self, head: Head, from: ChannelId, now: Timestamp) {
        self.open(now);
        self.held.insert(head.hash, Held { head, from: Some(from), at: now, goal: true });
    }

    /// Holds a fetched block.
    pub(crate) fn take(&mut self, mut head: Head, goal: bool, now: Timestamp) {
        head.fetched = true;
        self.open(now);
        let known = self.held.len();
        self.held.entry(head.hash).or_insert(Held { head, from: None, at: now, goal: false }).goal |= goal;
        self.fetched += (self.held.len() - known) as u64;
    }

    fn open(&mut self, now: Timestamp) {
        self.since.get_or_insert(now);
        self.opened.get_or_insert(now);
    }

    /// Blocks were told: what they joined is not held any more, and neither is what they overtook.
    pub(crate) fn advanced(&mut self, branch: &Branch, now: Timestamp) {
        let number = branch.number().unwrap_or_default();
        self.held.retain(|hash, held| held.head.number > number && !branch.has(hash));
        if self.held.values().any(|held| held.goal) {
            self.since = Some(now);
        } else {
            *self = Self::default();
        }
    }

    /// Forgets everything: the chain went elsewhere.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Forgets the head at the end of a broken way.
    pub(crate) fn drop_goal(&mut self, hash: &Hash) {
        self.held.remove(hash);
        if !self.held.values().any(|held| held.goal) {
            *self = Self::default();
        }
    }

    /// The highest head that a way is wanted to: where the chain is by now. What stands on other branches is overtaken with it.
    pub(crate) fn goal(&self) -> Option<&Head> {
        self.held.values().filter(|held| held.goal).map(|held| &held.head).max_by_key(|head| head.number)
    }

    /// Every head that a way is wanted to, lowest first.
    pub(crate) fn goals(&self) -> Vec<Hash> {
        let mut goals: Vec<_> = self.held.values().filter(|held| held.goal).map(|held| &held.head).collect();
        goals.sort_by_key(|head| (head.number, head.hash));
        goals.into_iter().map(|head| head.hash).collect()
    }

    /// Who told of a held head before this instant, the first of them.
    pub(crate) fn blamed(&self, before: Timestamp) -> Option<ChannelId> {
        self.held.values().filter(|held| held.at <= before).find_map(|held| held.from)
    }

    /// The way from a held head back.
    pub(crate) fn way(&self, goal: &Hash, branch: &Branch) -> Way {
        let (Some(held), Some(first)) = (self.held.get(goal), branch.first()) else { return Way::Broken };
        let mut way = vec![held.head.clone()];
        let mut lowest = &held.head;
        while !branch.joins(&lowest.parent) {
            if lowest.number <= first.number {
                way.reverse();
                return Way::Deeper(way);
            }
            let known = self.held.get(&lowest.parent).map(|held| &held.head);
            let Some(parent) = known.or_else(|| branch.undone(&lowest.parent)) else {
                return Way::Misses(lowest.parent, lowest.number - 1);
            };
            if parent.number.checked_add(1) != Some(lowest.number) {
                return Way::Broken;
            }
            way.push(parent.clone());
            lowest = parent;
        }
        way.reverse();
        Way::Joins(way)
    }
}

/// What to ask for to get a missing block and those before it. By number while there may be several; by hash where numbers led
/// nowhere, or for one.
pub(crate) fn ask_for(missing: Hash, number: u64, last: u64, by_hash: bool) -> Ask {
    let first = last.saturating_add(1);
    if number > first && !by_hash {
        Ask::Headers { from: first.max(number.saturating_sub(MOST_HEADERS - 1)), to: number }
    } else {
        Ask::Header { hash: missing }
    }
}
