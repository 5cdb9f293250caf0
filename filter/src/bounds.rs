//! How many calls a channel takes in one batch, where it said that it takes fewer than we sent.
//!
//! Duty: remember it, so that a batch is not refused and halved again each time.
//! Invariant: learned only from a refusal that was followed by an answer to fewer; forgotten after [`KEPT`].
//! Bound: one entry a channel of the catalog in force.
//! Leaves to others: declared limits (the catalog's), halving (`down/replies.rs`).

use std::collections::BTreeMap;

use lasso_routing::Catalog;
use lasso_routing::time::{Millis, Timestamp};

/// A limit is believed for so long: plans get upgraded.
pub const KEPT: Millis = Millis::from_secs(3_600);

/// By channel id.
#[derive(Debug, Default)]
pub struct Bounds(BTreeMap<Box<str>, (usize, Timestamp)>);

impl Bounds {
    /// How many a channel takes, if that was learned.
    #[must_use]
    pub fn of(&self, channel: &str, now: Timestamp) -> Option<usize> {
        self.0.get(channel).filter(|(_, learned)| now.since(*learned) < KEPT).map(|(items, _)| *items)
    }

    /// A channel that refused more took so many.
    pub fn learn(&mut self, channel: &str, items: usize, now: Timestamp) {
        self.0.insert(channel.into(), (items.max(1), now));
    }

    /// Channels that are no more are forgotten.
    pub fn adopt(&mut self, catalog: &Catalog) {
        self.0.retain(|channel, _| catalog.channel_named(channel).is_some());
    }
}
