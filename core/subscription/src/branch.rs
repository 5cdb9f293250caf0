//! The chain as it was told: the last blocks that were delivered, and those that a reorg took back.
//!
//! Invariant: each block's parent is the one before it; at most [`WINDOW`] blocks, and as many that were taken back, oldest out first.
//! Leaves to others: which block comes next (`gap`).

use std::collections::VecDeque;

use crate::event::ChannelId;
use crate::payload::{Hash, Head};

/// Blocks that are kept.
pub(crate) const WINDOW: usize = 64;

/// The told blocks.
#[derive(Debug, Default)]
pub(crate) struct Branch {
    blocks: VecDeque<Head>,
    /// Told and taken back. A child of one of them brings it back.
    undone: VecDeque<Head>,
    /// Blocks that were told stand before the first that is kept.
    longer: bool,
}

/// A change of the chain.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// A block was added at the end, and is told.
    Added(Head),
    /// The chain stands here, and is told from the next block on.
    Anchored(Head),
    /// The last block is not of the chain any more.
    Undone(Hash),
}

/// What the feed of heads found out at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change<'a> {
    pub(crate) steps: &'a [Step],
    /// Who told of which block, if this is how it came.
    pub(crate) seen: Option<(ChannelId, u64)>,
    /// No heads wait for missing blocks.
    pub(crate) linked: bool,
}

impl Branch {
    pub(crate) fn last(&self) -> Option<&Head> {
        self.blocks.back()
    }

    pub(crate) fn first(&self) -> Option<&Head> {
        self.blocks.front()
    }

    pub(crate) fn blocks(&self) -> impl Iterator<Item = &Head> {
        self.blocks.iter()
    }

    /// Number of the last block.
    pub(crate) fn number(&self) -> Option<u64> {
        self.last().map(|head| head.number)
    }

    /// Whether blocks before the window were told.
    pub(crate) fn is_longer(&self) -> bool {
        self.longer
    }

    /// Whether the block was told, on this branch or before a reorg.
    pub(crate) fn was_told(&self, hash: &Hash) -> bool {
        self.has(hash) || self.undone(hash).is_some()
    }

    pub(crate) fn has(&self, hash: &Hash) -> bool {
        self.blocks.iter().rev().any(|head| head.hash == *hash)
    }

    /// A block that a reorg took back.
    pub(crate) fn undone(&self, hash: &Hash) -> Option<&Head> {
        self.undone.iter().rev().find(|head| head.hash == *hash)
    }

    /// Whether a block with this parent can be added: the parent is told, or it is that of the very first block that was told.
    pub(crate) fn joins(&self, parent: &Hash) -> bool {
        self.has(parent) || (!self.longer && self.first().is_some_and(|first| first.parent == *parent))
    }

    /// Adds a block that joins, and takes back what stood after its parent. Without a parent here, everything is taken back.
    pub(crate) fn add(&mut self, head: Head, steps: &mut Vec<Step>) {
        while self.last().is_some_and(|last| last.hash != head.parent) {
            let Some(last) = self.blocks.pop_back() else { break };
            steps.push(Step::Undone(last.hash));
            self.undone.push_back(last);
        }
        self.undone.retain(|undone| undone.hash != head.hash);
        while self.undone.len() > WINDOW {
            self.undone.pop_front();
        }
        steps.push(Step::Added(head.clone()));
        self.blocks.push_back(head);
        if self.blocks.len() > WINDOW {
            self.blocks.pop_front();
            self.longer = true;
        }
    }
}
