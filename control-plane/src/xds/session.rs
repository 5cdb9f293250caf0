//! One Envoy's delta stream.
//!
//! Duty: know what this Envoy subscribed to, has, was sent and refused; decide what it is sent next.
//! Invariant: at most one response of a type is unanswered; nothing that names clusters is sent before the clusters were acked and had
//! time to reach every worker; what was refused is not sent again unchanged.
//! Leaves to others: the wire (`service`), what the resources are (`snapshot`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use lasso_routing::time::{Millis, Timestamp};

use super::snapshot::{ResourceType, Snapshot};

/// An ack comes from Envoy's main thread; its workers follow a little later (measured: 100 ms were always enough).
const SETTLING: Millis = Millis(200);

/// A stream that has not asked for clusters by then has them from elsewhere.
const NO_CLUSTERS_WANTED: Millis = Millis(1_000);

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
    gate: Gate,
    responses: u64,
    actions: VecDeque<Action>,
}

/// Holds back what names clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gate {
    /// Until the clusters are acked.
    Shut,
    OpensAt(Timestamp),
    Open,
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
        let (subscriptions, actions) = (BTreeMap::new(), VecDeque::new());
        Self { snapshot, subscriptions, gate: Gate::Shut, responses: 0, actions }
    }

    pub(crate) fn handle_event(&mut self, event: Event, now: Timestamp) {
        let Event::Request(kind, request) = event;
        self.answer(kind, &request, now);
        let first = !self.subscriptions.contains_key(&kind);
        if first {
            self.gate_for(kind, now);
        }
        self.subscriptions.entry(kind).or_default().update(request, first);
        self.handle_timeout(now);
    }

    pub(crate) fn handle_timeout(&mut self, now: Timestamp) {
        if matches!(self.gate, Gate::OpensAt(at) if at <= now) {
            self.gate = Gate::Open;
        }
        for kind in ResourceType::ALL {
            if kind == ResourceType::Clusters || self.gate == Gate::Open {
                self.push(kind, now);
            }
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Timestamp> {
        match self.gate {
            Gate::OpensAt(at) => Some(at),
            Gate::Shut | Gate::Open => None,
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
        if kind == ResourceType::Clusters && self.gate == Gate::Shut {
            self.gate = Gate::OpensAt(now.plus(SETTLING));
        }
    }

    /// The first request of a type decides whether there are clusters to wait for.
    fn gate_for(&mut self, kind: ResourceType, now: Timestamp) {
        match (kind, self.gate) {
            (ResourceType::Clusters, Gate::OpensAt(_)) => self.gate = Gate::Shut,
            (ResourceType::Routes | ResourceType::Filters | ResourceType::Listeners, Gate::Shut)
                if !self.subscriptions.contains_key(&ResourceType::Clusters) =>
            {
                self.gate = Gate::OpensAt(now.plus(NO_CLUSTERS_WANTED));
            }
            (_, Gate::Shut | Gate::OpensAt(_) | Gate::Open) => {}
        }
    }

    fn push(&mut self, kind: ResourceType, now: Timestamp) {
        let Some(subscription) = self.subscriptions.get_mut(&kind) else { return };
        if subscription.unanswered.is_some() {
            return;
        }
        let versions = subscription.news(kind, &self.snapshot);
        let removed = subscription.gone(kind, &self.snapshot);
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

    fn news(&self, kind: ResourceType, snapshot: &Snapshot) -> BTreeMap<String, String> {
        let mut news = BTreeMap::new();
        for name in snapshot.names(kind).filter(|name| self.wants(name)) {
            let Some(resource) = snapshot.named(kind, name) else { continue };
            let has = |versions: &BTreeMap<String, String>| versions.get(name) == Some(&resource.version);
            if !has(&self.known) && !has(&self.refused) {
                news.insert(name.clone(), resource.version.clone());
            }
        }
        news
    }

    /// What Envoy has and there is no more; and, while a request waits, what it asked for and there is not.
    fn gone(&self, kind: ResourceType, snapshot: &Snapshot) -> Vec<String> {
        let asked = self.names.iter().filter(|_| self.asked);
        let gone: BTreeSet<&String> = self.known.keys().chain(asked).collect();
        gone.into_iter().filter(|name| snapshot.named(kind, name).is_none()).cloned().collect()
    }
}

#[cfg(test)]
mod tests;
