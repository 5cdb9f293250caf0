//! One Envoy's delta stream.
//!
//! Duty: know what this Envoy subscribed to, has, was sent and refused; decide what it is sent next.
//! Invariant: at most one response of a type is unanswered; what names clusters is sent only while Envoy has every cluster, and had the
//! time to tell its workers; a cluster is taken away only when Envoy has everything that no longer names it, and had that time again;
//! what was refused is not sent again unchanged.
//! Leaves to others: the wire (`service`), what the resources are (`snapshot`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use lasso_routing::time::{Millis, Timestamp};

use super::snapshot::{ResourceType, Snapshot};

/// An ack comes from Envoy's main thread; its workers follow a little later (measured: 100 ms were always enough).
const SETTLING: Millis = Millis(200);

/// A stream that has not asked for clusters by then has them from elsewhere.
const NO_CLUSTERS_WANTED: Millis = Millis(1_000);

/// A stream that has not asked for routes or filters by then has them from elsewhere. A cluster too many hurts nobody, so this is long.
const NO_USERS_WANTED: Millis = Millis(10_000);

/// What names clusters, and must be without a cluster before that one is taken away.
const USERS: [ResourceType; 2] = [ResourceType::Routes, ResourceType::Filters];

/// What a request said, one type.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) subscribe: Vec<String>,
    pub(crate) unsubscribe: Vec<String>,
    /// What a reconnecting Envoy has already.
    pub(crate) initial_versions: BTreeMap<String, String>,
    /// The response that this answers; empty when it answers none.
    pub(crate) nonce: String,
    /// Why that response was refused.
    pub(crate) refused: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    Request(ResourceType, Request),
}

/// A response: what is sent is in the snapshot by these names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) kind: ResourceType,
    pub(crate) nonce: String,
    pub(crate) names: Vec<String>,
    pub(crate) removed: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    Send(Response),
    Acked { kind: ResourceType, names: Vec<String>, after: Millis },
    Refused { kind: ResourceType, names: Vec<String>, detail: String },
}

#[derive(Debug)]
pub(crate) struct Session {
    snapshot: Arc<Snapshot>,
    subscriptions: BTreeMap<ResourceType, Subscription>,
    /// When the stream said something first.
    opened: Since,
    /// Envoy has every cluster it wants.
    has_clusters: Since,
    /// Envoy has everything it wants of what names clusters.
    has_users: Since,
    /// The latest time that was told.
    now: Timestamp,
    responses: u64,
    actions: VecDeque<Action>,
}

/// Since when something holds, while it does.
#[derive(Debug, Clone, Copy, Default)]
struct Since(Option<Timestamp>);

impl Since {
    fn update(&mut self, holds: bool, now: Timestamp) {
        self.0 = holds.then(|| self.0.unwrap_or(now));
    }

    /// When it will have held so long.
    fn plus(self, long: Millis) -> Option<Timestamp> {
        self.0.map(|since| since.plus(long))
    }
}

#[derive(Debug, Default)]
struct Subscription {
    wildcard: bool,
    names: BTreeSet<String>,
    /// Versions that Envoy has.
    known: BTreeMap<String, String>,
    /// Versions that Envoy refused.
    refused: BTreeMap<String, String>,
    /// A request waits for a response, even for one with nothing new in it.
    asked: bool,
    unanswered: Option<Unanswered>,
}

#[derive(Debug)]
struct Unanswered {
    nonce: String,
    sent_at: Timestamp,
    versions: BTreeMap<String, String>,
    removed: Vec<String>,
}

impl Session {
    pub(crate) fn new(snapshot: Arc<Snapshot>) -> Self {
        Self {
            snapshot,
            subscriptions: BTreeMap::new(),
            opened: Since::default(),
            has_clusters: Since::default(),
            has_users: Since::default(),
            now: Timestamp::from_millis(0),
            responses: 0,
            actions: VecDeque::new(),
        }
    }

    pub(crate) fn handle_event(&mut self, event: Event, now: Timestamp) {
        let Event::Request(kind, request) = event;
        self.opened.update(true, now);
        self.answer(kind, &request, now);
        let first = !self.subscriptions.contains_key(&kind);
        self.subscriptions.entry(kind).or_default().update(request, first);
        self.handle_timeout(now);
    }

    pub(crate) fn handle_timeout(&mut self, now: Timestamp) {
        self.now = now;
        let has = |kind| self.subscriptions.get(&kind).is_none_or(|wants| wants.news(kind, &self.snapshot).is_empty());
        let (has_clusters, has_users) = (has(ResourceType::Clusters), USERS.into_iter().all(has));
        self.has_clusters.update(has_clusters, now);
        self.has_users.update(has_users, now);
        for kind in ResourceType::ALL {
            if kind == ResourceType::Clusters || is_past(self.users_may_come(), now) {
                self.push(kind, now);
            }
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Timestamp> {
        let times = [self.users_may_come(), self.clusters_may_go()];
        times.into_iter().flatten().filter(|at| *at > self.now).min()
    }

    /// When what names clusters may be sent.
    fn users_may_come(&self) -> Option<Timestamp> {
        if self.subscriptions.contains_key(&ResourceType::Clusters) {
            self.has_clusters.plus(SETTLING)
        } else {
            self.opened.plus(NO_CLUSTERS_WANTED)
        }
    }

    /// When clusters may be taken away.
    fn clusters_may_go(&self) -> Option<Timestamp> {
        let settled = self.has_users.plus(SETTLING)?;
        if USERS.iter().all(|kind| self.subscriptions.contains_key(kind)) {
            Some(settled)
        } else {
            // Not asked for yet, or wanted from elsewhere.
            self.opened.plus(NO_USERS_WANTED).map(|at| at.max(settled))
        }
    }

    pub(crate) fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// An ack, a nack, or nothing of that kind.
    fn answer(&mut self, kind: ResourceType, request: &Request, now: Timestamp) {
        let Some(subscription) = self.subscriptions.get_mut(&kind) else { return };
        let Some(unanswered) = subscription.unanswered.take_if(|unanswered| unanswered.nonce == request.nonce) else {
            return;
        };
        let names = unanswered.versions.keys().cloned().collect();
        if let Some(detail) = request.refused.clone() {
            subscription.refused.extend(unanswered.versions);
            self.actions.push_back(Action::Refused { kind, names, detail });
            return;
        }
        subscription.known.extend(unanswered.versions);
        subscription.known.retain(|name, _| !unanswered.removed.contains(name));
        self.actions.push_back(Action::Acked { kind, names, after: now.since(unanswered.sent_at) });
    }

    fn push(&mut self, kind: ResourceType, now: Timestamp) {
        let may_remove = kind != ResourceType::Clusters || is_past(self.clusters_may_go(), now);
        let Some(subscription) = self.subscriptions.get_mut(&kind) else { return };
        if subscription.unanswered.is_some() {
            return;
        }
        let mut versions = subscription.news(kind, &self.snapshot);
        versions.retain(|name, version| subscription.refused.get(name) != Some(version));
        let mut removed = subscription.missing(kind, &self.snapshot);
        if may_remove {
            removed.extend(subscription.gone(kind, &self.snapshot));
        }
        if versions.is_empty() && removed.is_empty() && !subscription.asked {
            return;
        }
        self.responses += 1;
        let nonce = self.responses.to_string();
        let names = versions.keys().cloned().collect();
        self.actions.push_back(Action::Send(Response { kind, nonce: nonce.clone(), names, removed: removed.clone() }));
        subscription.asked = false;
        subscription.unanswered = Some(Unanswered { nonce, sent_at: now, versions, removed });
    }
}

impl Subscription {
    fn update(&mut self, request: Request, first: bool) {
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

    fn wants(&self, name: &str) -> bool {
        self.wildcard || self.names.contains(name)
    }

    /// What Envoy wants and does not have, whether it refused it or not.
    fn news(&self, kind: ResourceType, snapshot: &Snapshot) -> BTreeMap<String, String> {
        let mut news = BTreeMap::new();
        for name in snapshot.names(kind).filter(|name| self.wants(name)) {
            let Some(resource) = snapshot.named(kind, name) else { continue };
            if self.known.get(name) != Some(&resource.version) {
                news.insert(name.clone(), resource.version.clone());
            }
        }
        news
    }

    /// What Envoy has and there is no more.
    fn gone(&self, kind: ResourceType, snapshot: &Snapshot) -> Vec<String> {
        self.known.keys().filter(|name| snapshot.named(kind, name).is_none()).cloned().collect()
    }

    /// While a request waits: what it asked for, Envoy does not have, and there is not.
    fn missing(&self, kind: ResourceType, snapshot: &Snapshot) -> Vec<String> {
        let asked = self.names.iter().filter(|name| self.asked && !self.known.contains_key(*name));
        asked.filter(|name| snapshot.named(kind, name).is_none()).cloned().collect()
    }
}

fn is_past(at: Option<Timestamp>, now: Timestamp) -> bool {
    at.is_some_and(|at| at <= now)
}

#[cfg(test)]
mod tests;
