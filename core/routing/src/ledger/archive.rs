//! What attempts add up to where there is no seat for it: under names.
//!
//! Duty: keep, until the next report, the sums of channels and chains that a reload moved or took away.
//! Invariant: at most [`MOST_TALLIES`] sums by class; what would need another is counted under `other`, and beyond twice as many it is
//! lost, and counted as that.

use std::collections::BTreeMap;

use lasso_jsonrpc::method::MethodClass;

use super::count::Count;
use super::tally::merge;
use crate::report::{ChainCounts, ChainTally, MOST_TALLIES, Sums, Tally};

/// Whose sums.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub(super) profile: Box<str>,
    pub(super) chain: Box<str>,
    pub(super) channel: Box<str>,
    pub(super) class: MethodClass,
}

/// Sums under names.
#[derive(Debug, Default)]
pub(super) struct Archive {
    sums: BTreeMap<Name, Sums>,
    channels: BTreeMap<Box<str>, Count>,
    /// By profile and chain.
    chains: BTreeMap<(Box<str>, Box<str>), ChainCounts>,
    /// Attempts that are counted nowhere.
    pub(super) lost: u64,
}

impl Archive {
    /// Keeps sums. Gives back how many attempts lost their class over it.
    pub(super) fn keep(&mut self, name: Name, sums: &Sums) -> u64 {
        if let Some(kept) = self.sums.get_mut(&name) {
            merge(kept, sums);
            return 0;
        }
        if self.sums.len() < MOST_TALLIES {
            self.sums.insert(name, sums.clone());
            return 0;
        }
        let name = Name { class: MethodClass::OTHER, ..name };
        if self.sums.len() >= 2 * MOST_TALLIES && !self.sums.contains_key(&name) {
            self.lost = self.lost.saturating_add(sums.attempts());
            return 0;
        }
        merge(self.sums.entry(name).or_default(), &super::tally::without_histogram(sums));
        sums.attempts()
    }

    /// The count of a channel that the catalog does not have, while there is room for it.
    pub(super) fn channel(&mut self, id: &str) -> Option<&mut Count> {
        if self.channels.len() >= MOST_TALLIES && !self.channels.contains_key(id) {
            return None;
        }
        Some(self.channels.entry(id.into()).or_default())
    }

    /// The counts of a chain that the catalog does not have, while there is room for it.
    pub(super) fn chain(&mut self, profile: &str, chain: &str) -> Option<&mut ChainCounts> {
        let name = (Box::from(profile), Box::from(chain));
        if self.chains.len() >= MOST_TALLIES && !self.chains.contains_key(&name) {
            return None;
        }
        Some(self.chains.entry(name).or_default())
    }

    pub(super) fn draw_chains(&mut self) -> Vec<ChainTally> {
        let chains = std::mem::take(&mut self.chains).into_iter();
        chains.map(|((profile, chain), counts)| ChainTally { profile, chain, counts }).collect()
    }

    pub(super) fn sums(&self) -> impl Iterator<Item = (&Name, &Sums)> {
        self.sums.iter()
    }

    pub(super) fn draw(&mut self) -> Option<Tally> {
        let (Name { profile, chain, channel, class }, sums) = self.sums.pop_first()?;
        Some(Tally { profile, chain, channel, class, sums })
    }

    pub(super) fn draw_channels(&mut self) -> BTreeMap<Box<str>, Count> {
        std::mem::take(&mut self.channels)
    }
}
