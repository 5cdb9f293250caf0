//! One type of resources on one stream.
//!
//! Duty: what Envoy wants of this type, has, was sent and refused.
//! Invariant: what was refused together is sent again one by one: one bad resource takes no good one with it. Filters stay together,
//! because they are one VM.
//! Leaves to others: when something may be sent (`session`).

use std::collections::{BTreeMap, BTreeSet};

use lasso_routing::time::Timestamp;

use super::super::snapshot::{Named, ResourceType};
use super::Request;

#[derive(Debug, Default)]
pub(super) struct Subscription {
    wildcard: bool,
    names: BTreeSet<String>,
    /// Versions that Envoy has.
    pub(super) known: BTreeMap<String, String>,
    /// Versions that Envoy refused.
    refused: BTreeMap<String, String>,
    /// What was refused in company: one of them was bad, and the others may be in use.
    suspects: BTreeSet<String>,
    /// What Envoy would not let go.
    not_let_go: BTreeSet<String>,
    /// A request waits for a response, even for one with nothing new in it.
    pub(super) asked: bool,
    pub(super) unanswered: Option<Unanswered>,
}

/// A response that was neither acked nor nacked yet.
#[derive(Debug)]
pub(super) struct Unanswered {
    pub(super) nonce: String,
    pub(super) sent_at: Timestamp,
    pub(super) versions: BTreeMap<String, String>,
    pub(super) removed: Vec<String>,
}

impl Unanswered {
    /// What it was about.
    pub(super) fn names(&self) -> Vec<String> {
        self.versions.keys().chain(&self.removed).cloned().collect()
    }
}

impl Subscription {
    pub(super) fn update(&mut self, request: Request, first: bool) {
        if first {
            self.known = request.initial_versions;
            self.wildcard = request.subscribe.is_empty();
        }
        self.asked |= first || !request.subscribe.is_empty();
        for name in request.subscribe {
            if name == "*" {
                self.wildcard = true;
            } else {
                // Asking again for what one has is asking to be sent it again.
                if !first {
                    self.known.remove(&name);
                }
                self.names.insert(name);
            }
        }
        for name in request.unsubscribe {
            if name == "*" {
                self.wildcard = false;
            }
            self.names.remove(&name);
            self.known.remove(&name);
        }
    }

    pub(super) fn accept(&mut self, answered: Unanswered) {
        for name in answered.versions.keys().chain(&answered.removed) {
            self.suspects.remove(name);
            self.refused.remove(name);
            self.not_let_go.remove(name);
        }
        self.known.extend(answered.versions);
        self.known.retain(|name, _| !answered.removed.contains(name));
    }

    pub(super) fn refuse(&mut self, answered: Unanswered, kind: ResourceType) {
        self.not_let_go.extend(answered.removed);
        if kind == ResourceType::Clusters && answered.versions.len() > 1 {
            self.suspects.extend(answered.versions.into_keys());
        } else {
            self.suspects.retain(|name| !answered.versions.contains_key(name));
            self.refused.extend(answered.versions);
        }
    }

    pub(super) fn refuses(&self, name: &str, version: &str) -> bool {
        self.refused.get(name).is_some_and(|refused| refused == version)
    }

    /// Refused to part with it.
    pub(super) fn keeps(&self, name: &str) -> bool {
        self.not_let_go.contains(name)
    }

    /// What Envoy acked, and what it may have taken although it refused the whole.
    pub(super) fn may_have(&self) -> impl Iterator<Item = &String> {
        self.known.keys().chain(&self.suspects)
    }

    fn wants(&self, name: &str) -> bool {
        self.wildcard || self.names.contains(name)
    }

    /// What Envoy wants and does not have, whether it refused it or not.
    pub(super) fn news(&self, there: &Named) -> BTreeMap<String, String> {
        let new = |name: &String, version: &String| self.wants(name) && self.known.get(name) != Some(version);
        let there = there.iter().map(|(name, resource)| (name, &resource.version));
        there
            .filter(|(name, version)| new(name, version))
            .map(|(name, version)| (name.clone(), version.clone()))
            .collect()
    }

    /// What of that may be sent now: nothing that was refused, and suspects one at a time.
    pub(super) fn to_send(&self, there: &Named) -> BTreeMap<String, String> {
        let mut news = self.news(there);
        news.retain(|name, version| !self.refuses(name, version));
        let suspect = news.iter().find(|(name, _)| self.suspects.contains(*name));
        match suspect.map(|(name, version)| (name.clone(), version.clone())) {
            Some(alone) => BTreeMap::from([alone]),
            None => news,
        }
    }

    /// What Envoy has and there is no more.
    pub(super) fn gone(&self, there: &Named) -> Vec<String> {
        self.known.keys().filter(|name| !there.contains_key(*name) && !self.keeps(name)).cloned().collect()
    }

    /// While a request waits: what it asked for, Envoy does not have, and there is not.
    pub(super) fn missing(&self, there: &Named) -> Vec<String> {
        let asked = self.names.iter().filter(|name| self.asked && !self.known.contains_key(*name));
        asked.filter(|name| !there.contains_key(*name)).cloned().collect()
    }
}
