//! Clusters that no catalog in force names, and requests may still be on the way to.
//!
//! Duty: know until when: a request tries providers of the catalog that it began with until its deadline.
//! Invariant: a time that was given is never shortened; a cluster that is wanted again has none.
//! Leaves to others: which clusters these are, taking them away (`session`).

use std::collections::{BTreeMap, BTreeSet};

use lasso_routing::time::{Millis, Timestamp};

use super::super::resources::routes::LONGEST_BUILT_IN;

/// Workers follow an ack a little later, and deadlines are looked at on a tick.
const SLACK: Millis = Millis(1_000);

#[derive(Debug)]
pub(super) struct Retired {
    /// When each of them may go.
    until: BTreeMap<String, Timestamp>,
    /// When the last request under a catalog that was replaced has ended.
    drained: Timestamp,
    /// Of the catalog in force.
    deadline: Millis,
}

impl Retired {
    /// Envoy may have any catalog from before this stream.
    pub(super) fn before(deadline: Millis) -> Self {
        Self { until: BTreeMap::new(), drained: Timestamp::default(), deadline: deadline.max(LONGEST_BUILT_IN) }
    }

    /// It says what it has: one with this deadline.
    pub(super) fn at_least(&mut self, deadline: Millis) {
        self.deadline = self.deadline.max(deadline);
    }

    /// A catalog with this deadline came into force in place of another.
    pub(super) fn replaced(&mut self, deadline: Millis, now: Timestamp) {
        self.drained = self.drained.max(now.plus(self.deadline).plus(SLACK));
        self.deadline = deadline;
    }

    /// The catalog in force names none of these.
    pub(super) fn add(&mut self, clusters: &BTreeSet<String>) {
        for name in clusters {
            self.until.entry(name.clone()).or_insert(self.drained);
        }
    }

    /// Forgets all others.
    pub(super) fn only(&mut self, clusters: &BTreeSet<String>) {
        self.until.retain(|name, _| clusters.contains(name));
    }

    pub(super) fn is_over(&self, cluster: &str, now: Timestamp) -> bool {
        self.until.get(cluster).is_some_and(|until| *until <= now)
    }

    /// When the next of them may go.
    pub(super) fn next(&self, now: Timestamp) -> Option<Timestamp> {
        self.until.values().copied().filter(|until| *until > now).min()
    }
}
