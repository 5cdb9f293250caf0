//! How far one Envoy is on its way, for people.
//!
//! Duty: name the step that Envoy is at, out of what it has.
//! Invariant: nothing is decided by it.
//! Leaves to others: showing it (`xds::nodes`).

use std::collections::BTreeSet;

use super::super::snapshot::ResourceType;
use super::Session;

/// The step that an Envoy is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// New clusters are on their way.
    Clusters,
    /// Routes that list them are.
    Routes,
    /// The catalog that names them is.
    Catalog,
    /// Requests under the catalog from before may still be on their way to clusters that go.
    Draining,
    /// Clusters that nothing names are being taken away.
    Removing,
    /// It has what it is to have.
    Settled,
}

impl Phase {
    /// Name in views.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Clusters => "clusters",
            Self::Routes => "routes",
            Self::Catalog => "catalog",
            Self::Draining => "draining",
            Self::Removing => "removing",
            Self::Settled => "settled",
        }
    }
}

/// Where one Envoy is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) phase: Phase,
    /// It refused something, which is not sent again until it changes.
    pub(crate) held: bool,
    /// Clusters that it refused, and that its catalog leaves out.
    pub(crate) without: BTreeSet<String>,
    /// The generation of its catalog, once acked on this stream.
    pub(crate) in_force: Option<String>,
    pub(crate) wanted: String,
}

impl Session {
    pub(crate) fn progress(&self) -> Progress {
        Progress {
            phase: self.phase(),
            held: self.is_held(),
            without: self.aim.lacking().clone(),
            in_force: self.in_force.clone(),
            wanted: self.aim.generation().to_owned(),
        }
    }

    fn phase(&self) -> Phase {
        let wants = |kind| self.subscriptions.contains_key(&kind);
        if wants(ResourceType::Clusters) && self.has_clusters.0.is_none() {
            return Phase::Clusters;
        }
        if self.has_filters.0.is_none() {
            let routes = wants(ResourceType::Routes) && self.has_routes.0.is_none();
            return if routes { Phase::Routes } else { Phase::Catalog };
        }
        let leftover = self.leftover();
        if leftover.is_empty() {
            Phase::Settled
        } else if leftover.iter().any(|name| self.retired.is_over(name, self.now)) {
            Phase::Removing
        } else {
            Phase::Draining
        }
    }

    fn is_held(&self) -> bool {
        let refuses = |kind: ResourceType| {
            let Some(wants) = self.subscriptions.get(&kind) else { return false };
            wants.news(self.aim.all(kind)).iter().any(|(name, version)| wants.refuses(name, version))
        };
        self.aim.holds_filters() || ResourceType::ALL.into_iter().any(refuses)
    }
}
