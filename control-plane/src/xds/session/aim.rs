//! What one Envoy is to have now.
//!
//! Duty: the snapshot, with routes that also list clusters which must stay for a while, and with a catalog that leaves out clusters which
//! this Envoy refused.
//! Invariant: it changes as a whole or not at all.
//! Leaves to others: which clusters these are (`session`), when anything is sent.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::snapshot::{Named, ResourceType, Snapshot};

#[derive(Debug)]
pub(super) struct Aim {
    pub(super) snapshot: Arc<Snapshot>,
    /// There is a newer one, which was not adjusted to yet.
    next: Option<Arc<Snapshot>>,
    /// Clusters in the routes beside the snapshot's.
    kept: BTreeSet<String>,
    routes: Named,
    /// Clusters left out of the catalog.
    lacking: BTreeSet<String>,
    /// Absent: the catalog that Envoy has serves it better than any that could be made.
    filters: Option<Named>,
}

impl Aim {
    pub(super) fn at(snapshot: Arc<Snapshot>) -> Self {
        let (routes, filters) =
            (snapshot.all(ResourceType::Routes).clone(), snapshot.all(ResourceType::Filters).clone());
        Self { snapshot, next: None, kept: BTreeSet::new(), routes, lacking: BTreeSet::new(), filters: Some(filters) }
    }

    /// Its clusters count from now on; routes and catalog follow with the next adjustment.
    pub(super) fn newer(&mut self, snapshot: Arc<Snapshot>) {
        self.next = Some(snapshot);
    }

    pub(super) fn adjust(&mut self, kept: BTreeSet<String>, lacking: BTreeSet<String>) -> anyhow::Result<()> {
        if self.next.is_none() && self.kept == kept && self.lacking == lacking {
            return Ok(());
        }
        let snapshot = self.next.as_ref().unwrap_or(&self.snapshot);
        let routes = snapshot.routes_with(&kept)?;
        let filters = if lacking.is_empty() {
            Some(snapshot.all(ResourceType::Filters).clone())
        } else {
            snapshot.filters_without(&lacking)?
        };
        let snapshot = Arc::clone(snapshot);
        *self = Self { snapshot, next: None, kept, routes, lacking, filters };
        Ok(())
    }

    pub(super) fn all(&self, kind: ResourceType) -> &Named {
        match kind {
            ResourceType::Clusters => self.next.as_ref().unwrap_or(&self.snapshot).all(kind),
            ResourceType::Listeners => self.snapshot.all(kind),
            ResourceType::Routes => &self.routes,
            ResourceType::Filters => self.filters.as_ref().unwrap_or_else(|| self.snapshot.all(kind)),
        }
    }

    /// No catalog can be made for this Envoy that serves it better than what it has.
    pub(super) fn holds_filters(&self) -> bool {
        self.filters.is_none() || self.next.is_some()
    }

    /// In the routes for a while.
    pub(super) fn keeps(&self, cluster: &str) -> bool {
        self.kept.contains(cluster)
    }

    /// Left out of the catalog.
    pub(super) fn lacking(&self) -> &BTreeSet<String> {
        &self.lacking
    }

    /// The generation that Envoy moves to.
    pub(super) fn generation(&self) -> &str {
        &self.next.as_ref().unwrap_or(&self.snapshot).generation
    }
}
