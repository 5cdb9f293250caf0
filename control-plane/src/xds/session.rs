//! One Envoy's delta stream: from what it has to what it is to have, without a request lost on the way.
//!
//! Duty: know what this Envoy subscribed to, has, was sent and refused; decide what it is sent next. New clusters come first, then routes that
//! list old and new ones together, then the catalog that names the new ones; what the catalog no longer names goes after the longest
//! deadline of the one before, from the routes first and then from the clusters. Each step waits until this Envoy acked the one
//! before and its workers had the time to follow.
//! Invariant: every step looks at what Envoy has, not at which step comes next. So a newer generation in the middle, a reconnect or a refusal
//! changes where it goes and never what must hold on the way: a catalog that may be in use names only clusters that Envoy has and routes
//! list; no cluster comes to lead elsewhere under its name; at most one response of a type is unanswered; what was refused is not sent
//! again unchanged.
//! Leaves to others: the wire (`service`), what the resources are (`snapshot`).

mod aim;
mod progress;
mod retired;
mod subscription;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use lasso_routing::time::{Millis, Timestamp};

use super::snapshot::{Named, Resource, ResourceType, Snapshot, deadline_in, identity_in};
use crate::compile::names::Identity;
use aim::Aim;
#[cfg(test)]
pub(crate) use progress::Phase;
pub(crate) use progress::Progress;
use retired::Retired;
use subscription::{Subscription, Unanswered};

/// An ack comes from Envoy's main thread; its workers follow a little later (measured: 100 ms were always enough).
const SETTLING: Millis = Millis(200);

/// A stream that has not asked for clusters or routes by then has them from elsewhere.
const NOT_WANTED: Millis = Millis(1_000);

/// A stream that has not asked for routes or filters by then has them from elsewhere. A cluster too many hurts nobody, so this is long.
const NO_USERS_WANTED: Millis = Millis(10_000);

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

#[derive(Debug)]
pub(crate) enum Event {
    Request(ResourceType, Request),
    /// There is a newer configuration.
    Newer(Arc<Snapshot>),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Response {
    pub(crate) kind: ResourceType,
    pub(crate) nonce: String,
    pub(crate) resources: Named,
    pub(crate) removed: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    Send(Response),
    Acked {
        kind: ResourceType,
        names: Vec<String>,
        after: Millis,
    },
    Refused {
        kind: ResourceType,
        names: Vec<String>,
        detail: String,
    },
    /// This Envoy has clusters by these names that lead there, and not where the snapshot's lead. They are left alone until a snapshot
    /// comes that calls its own otherwise.
    Taken(Vec<(String, Identity)>),
    /// Resources for this Envoy cannot be made, which is a mistake of ours. It keeps what it has.
    Broken(String),
}

#[derive(Debug)]
pub(crate) struct Session {
    aim: Aim,
    subscriptions: BTreeMap<ResourceType, Subscription>,
    /// When the stream said something first.
    opened: Since,
    /// Envoy has every cluster it wants and does not refuse.
    has_clusters: Since,
    /// Envoy has the routes that list them.
    has_routes: Since,
    /// Envoy has the catalog that names them.
    has_filters: Since,
    retired: Retired,
    /// The generation of the catalog that Envoy last acked on this stream.
    in_force: Option<String>,
    /// Clusters in Envoy that were told of as being elsewhere.
    taken: BTreeSet<String>,
    /// The latest time that was told.
    now: Timestamp,
    responses: u64,
    actions: VecDeque<Action>,
}

/// Since when something holds, while it does.
#[derive(Debug, Clone, Copy, Default)]
struct Since(Option<Timestamp>);

impl Since {
    /// Whether it began to hold just now.
    fn update(&mut self, holds: bool, now: Timestamp) -> bool {
        let begins = holds && self.0.is_none();
        self.0 = holds.then(|| self.0.unwrap_or(now));
        begins
    }

    /// When it will have held so long.
    fn plus(self, long: Millis) -> Option<Timestamp> {
        self.0.map(|since| since.plus(long))
    }
}

impl Session {
    /// `longest` is the longest deadline of all catalogs that this process knew.
    pub(crate) fn new(snapshot: Arc<Snapshot>, longest: Millis) -> Self {
        Self {
            retired: Retired::before(longest.max(snapshot.deadline)),
            aim: Aim::at(snapshot),
            subscriptions: BTreeMap::new(),
            opened: Since::default(),
            has_clusters: Since::default(),
            has_routes: Since::default(),
            has_filters: Since::default(),
            in_force: None,
            taken: BTreeSet::new(),
            now: Timestamp::from_millis(0),
            responses: 0,
            actions: VecDeque::new(),
        }
    }

    pub(crate) fn handle_event(&mut self, event: Event, now: Timestamp) {
        match event {
            Event::Request(kind, request) => {
                self.opened.update(true, now);
                self.answer(kind, &request, now);
                let first = !self.subscriptions.contains_key(&kind);
                if kind == ResourceType::Filters && first {
                    let deadlines = request.initial_versions.values().filter_map(|version| deadline_in(version));
                    self.retired.at_least(deadlines.max().unwrap_or_default());
                }
                self.subscriptions.entry(kind).or_default().update(request, first);
            }
            Event::Newer(snapshot) => {
                self.aim.newer(snapshot);
                self.taken.clear();
                // Where the catalog is from elsewhere, somebody may bring another one now.
                self.has_filters = Since::default();
            }
        }
        self.handle_timeout(now);
    }

    pub(crate) fn handle_timeout(&mut self, now: Timestamp) {
        self.now = now;
        let leftover = self.leftover();
        self.retired.only(&leftover);
        let kept = leftover.iter().filter(|name| !self.retired.is_over(name, now)).cloned().collect();
        if let Err(error) = self.aim.adjust(kept, self.lacking()) {
            // Nothing moves: the aim is the one from before.
            self.actions.push_back(Action::Broken(format!("{error:#}")));
        }
        self.tell_of_taken();
        self.look(&leftover, now);
        for kind in ResourceType::ALL {
            if is_past(self.may_come(kind), now) {
                self.push(kind, now);
            }
        }
        if is_past(self.clusters_may_go(), now) {
            self.take_away(now);
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Timestamp> {
        let steps = ResourceType::ALL.into_iter().map(|kind| self.may_come(kind));
        let others = [self.clusters_may_go(), self.filters_are_elsewhere(), self.retired.next(self.now)];
        steps.chain(others).flatten().filter(|at| *at > self.now).min()
    }

    pub(crate) fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Notes since when Envoy has what it is to have.
    fn look(&mut self, leftover: &BTreeSet<String>, now: Timestamp) {
        let [clusters, routes, filters] =
            [ResourceType::Clusters, ResourceType::Routes, ResourceType::Filters].map(|kind| {
                let has = |wants: &Subscription| {
                    let lacks = wants.news(self.aim.all(kind));
                    // A cluster that was refused holds back only what names it: see `lacking`.
                    let settled = lacks
                        .iter()
                        .all(|(name, version)| kind == ResourceType::Clusters && wants.refuses(name, version));
                    // A filter that is no more is the other kind's, of a listener that drains: a catalog that is in use.
                    let drains = kind == ResourceType::Filters && !wants.gone(self.aim.all(kind)).is_empty();
                    settled && !drains && wants.unanswered.is_none()
                };
                self.subscriptions.get(&kind).map(has)
            });
        self.has_clusters.update(clusters == Some(true) && self.taken.is_empty(), now);
        self.has_routes.update(routes == Some(true), now);
        let filters = match filters {
            Some(has) => has && !self.aim.holds_filters(),
            None => is_past(self.filters_are_elsewhere(), now),
        };
        if self.has_filters.update(filters, now) {
            self.retired.replaced(self.aim.snapshot.deadline, now);
            if self.subscriptions.contains_key(&ResourceType::Filters) {
                self.in_force = Some(self.aim.snapshot.generation.clone());
            }
        }
        if filters {
            self.retired.add(leftover);
        }
    }

    /// When what is new of a type may be sent.
    fn may_come(&self, kind: ResourceType) -> Option<Timestamp> {
        match kind {
            ResourceType::Clusters => self.opened.0,
            ResourceType::Routes | ResourceType::Listeners => self.settled(ResourceType::Clusters, self.has_clusters),
            ResourceType::Filters if self.aim.holds_filters() => None,
            ResourceType::Filters => {
                let clusters = self.settled(ResourceType::Clusters, self.has_clusters)?;
                Some(clusters.max(self.settled(ResourceType::Routes, self.has_routes)?))
            }
        }
    }

    /// When Envoy's workers have what it acked, or it is plain that it does not want it from us.
    fn settled(&self, kind: ResourceType, has: Since) -> Option<Timestamp> {
        if self.subscriptions.contains_key(&kind) { has.plus(SETTLING) } else { self.opened.plus(NOT_WANTED) }
    }

    /// When clusters may be taken away that are retired and no longer in the routes.
    fn clusters_may_go(&self) -> Option<Timestamp> {
        if self.subscriptions.contains_key(&ResourceType::Routes) {
            self.has_routes.plus(SETTLING)
        } else {
            self.opened.plus(NO_USERS_WANTED)
        }
    }

    fn filters_are_elsewhere(&self) -> Option<Timestamp> {
        if self.subscriptions.contains_key(&ResourceType::Filters) { None } else { self.opened.plus(NO_USERS_WANTED) }
    }

    /// Clusters that Envoy has, or may have, and is not to have for ever.
    fn leftover(&self) -> BTreeSet<String> {
        let wanted = self.aim.all(ResourceType::Clusters);
        let has = self.subscriptions.get(&ResourceType::Clusters).map(Subscription::may_have);
        has.into_iter().flatten().filter(|name| !wanted.contains_key(*name)).cloned().collect()
    }

    /// Clusters that Envoy refused and has no earlier version of.
    fn lacking(&self) -> BTreeSet<String> {
        let Some(clusters) = self.subscriptions.get(&ResourceType::Clusters) else { return BTreeSet::new() };
        let wanted = self.aim.all(ResourceType::Clusters);
        let lacks = |(name, resource): &(&String, &Arc<Resource>)| {
            !clusters.known.contains_key(*name) && clusters.refuses(name, &resource.version)
        };
        wanted.iter().filter(lacks).map(|(name, _)| name.clone()).collect()
    }

    /// A name of ours that stands for another place in this Envoy. Updating it in place would send one generation's keys to the
    /// host of another.
    fn tell_of_taken(&mut self) {
        let Some(clusters) = self.subscriptions.get(&ResourceType::Clusters) else { return };
        let mut taken = Vec::new();
        for (name, resource) in self.aim.all(ResourceType::Clusters) {
            let Some(identity) = clusters.known.get(name).map(|version| identity_in(version)) else { continue };
            if identity != identity_in(&resource.version) && self.taken.insert(name.clone()) {
                taken.push((name.clone(), identity));
            }
        }
        if !taken.is_empty() {
            self.actions.push_back(Action::Taken(taken));
        }
    }

    /// An ack, a nack, or nothing of that kind.
    fn answer(&mut self, kind: ResourceType, request: &Request, now: Timestamp) {
        let Some(subscription) = self.subscriptions.get_mut(&kind) else { return };
        let Some(unanswered) = subscription.unanswered.take_if(|unanswered| unanswered.nonce == request.nonce) else {
            return;
        };
        let names = unanswered.names();
        let action = match request.refused.clone() {
            Some(detail) => {
                subscription.refuse(unanswered, kind);
                Action::Refused { kind, names, detail }
            }
            None => {
                let after = now.since(unanswered.sent_at);
                subscription.accept(unanswered);
                Action::Acked { kind, names, after }
            }
        };
        self.actions.push_back(action);
    }

    /// Sends what is new of a type. Takes away a listener that is gone; clusters go later, and routes and filters with the listener that asked for them.
    fn push(&mut self, kind: ResourceType, now: Timestamp) {
        let Some(subscription) = self.subscriptions.get(&kind) else { return };
        if subscription.unanswered.is_some() {
            return;
        }
        let there = self.aim.all(kind);
        let mut versions = subscription.to_send(there);
        versions.retain(|name, _| kind != ResourceType::Clusters || !self.taken.contains(name));
        let mut removed = subscription.missing(there);
        match kind {
            ResourceType::Listeners => removed.extend(subscription.gone(there)),
            ResourceType::Clusters | ResourceType::Routes | ResourceType::Filters => {}
        }
        if !versions.is_empty() || !removed.is_empty() || subscription.asked {
            self.send(kind, versions, removed, now);
        }
    }

    /// Takes away the clusters that nothing names any more.
    fn take_away(&mut self, now: Timestamp) {
        let Some(clusters) = self.subscriptions.get(&ResourceType::Clusters) else { return };
        if clusters.unanswered.is_some() {
            return;
        }
        let over = |name: &&String| self.retired.is_over(name, now) && !self.aim.keeps(name) && !clusters.keeps(name);
        let removed: Vec<String> = self.leftover().iter().filter(over).cloned().collect();
        if !removed.is_empty() {
            self.send(ResourceType::Clusters, BTreeMap::new(), removed, now);
        }
    }

    fn send(&mut self, kind: ResourceType, versions: BTreeMap<String, String>, removed: Vec<String>, now: Timestamp) {
        let Some(subscription) = self.subscriptions.get_mut(&kind) else { return };
        self.responses += 1;
        let nonce = self.responses.to_string();
        let there = self.aim.all(kind);
        let resources = versions.keys().filter_map(|name| Some((name.clone(), Arc::clone(there.get(name)?)))).collect();
        subscription.asked = false;
        subscription.unanswered =
            Some(Unanswered { nonce: nonce.clone(), sent_at: now, versions, removed: removed.clone() });
        self.actions.push_back(Action::Send(Response { kind, nonce, resources, removed }));
    }
}

fn is_past(at: Option<Timestamp>, now: Timestamp) -> bool {
    at.is_some_and(|at| at <= now)
}

#[cfg(test)]
mod tests;
