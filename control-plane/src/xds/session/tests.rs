use std::collections::BTreeMap;
use std::sync::Arc;

use envoy_types::pb::google::protobuf::Any;
use lasso_routing::time::{Millis, Timestamp};

use super::super::snapshot::{Resource, ResourceType, Snapshot};
use super::{Action, Event, Request, Response, Session};

/// Two clusters, a route, both filters; every version is this one.
fn snapshot(version: &str) -> Arc<Snapshot> {
    let mut snapshot = Snapshot::default();
    let all = [
        (ResourceType::Clusters, "a"),
        (ResourceType::Clusters, "b"),
        (ResourceType::Routes, "routes"),
        (ResourceType::Filters, "down"),
        (ResourceType::Filters, "up"),
    ];
    for (kind, name) in all {
        snapshot.insert(kind, name, Resource { version: version.to_owned(), content: Any::default() });
    }
    Arc::new(snapshot)
}

/// A session with a clock that the test moves.
struct Conversation {
    session: Session,
    now: Timestamp,
}

impl Conversation {
    fn new() -> Self {
        Self { session: Session::new(snapshot("v1")), now: Timestamp::from_millis(1_000) }
    }

    fn says(&mut self, kind: ResourceType, request: Request) -> Vec<Action> {
        self.session.handle_event(Event::Request(kind, request), self.now);
        std::iter::from_fn(|| self.session.poll_action()).collect()
    }

    fn waits(&mut self, millis: u64) -> Vec<Action> {
        self.now = self.now.plus(Millis(millis));
        self.session.handle_timeout(self.now);
        std::iter::from_fn(|| self.session.poll_action()).collect()
    }

    fn has_clusters(&mut self) {
        self.says(ResourceType::Clusters, subscribe(&[]));
        self.says(ResourceType::Clusters, ack("1"));
        self.waits(200);
    }
}

fn subscribe(names: &[&str]) -> Request {
    Request { subscribe: names.iter().map(|name| (*name).to_owned()).collect(), ..Request::default() }
}

fn reconnect(names: &[&str], has: &[(&str, &str)]) -> Request {
    let initial_versions: BTreeMap<_, _> =
        has.iter().map(|(name, version)| ((*name).to_owned(), (*version).to_owned())).collect();
    Request { initial_versions, ..subscribe(names) }
}

fn ack(nonce: &str) -> Request {
    Request { nonce: nonce.to_owned(), ..Request::default() }
}

fn nack(nonce: &str) -> Request {
    Request { nonce: nonce.to_owned(), refused: Some("no".to_owned()), ..Request::default() }
}

fn sent(kind: ResourceType, nonce: &str, names: &[&str], removed: &[&str]) -> Action {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Action::Send(Response { kind, nonce: nonce.to_owned(), names: owned(names), removed: owned(removed) })
}

#[test]
fn a_wildcard_subscription_is_sent_everything_of_its_type() {
    let mut envoy = Conversation::new();
    let sent_now = envoy.says(ResourceType::Clusters, subscribe(&[]));
    assert_eq!(sent_now, [sent(ResourceType::Clusters, "1", &["a", "b"], &[])]);
    let mut envoy = Conversation::new();
    let sent_now = envoy.says(ResourceType::Clusters, subscribe(&["*"]));
    assert_eq!(sent_now, [sent(ResourceType::Clusters, "1", &["a", "b"], &[])]);
}

#[test]
fn what_names_clusters_waits_for_their_ack_and_a_little_longer() {
    let mut envoy = Conversation::new();
    envoy.says(ResourceType::Clusters, subscribe(&[]));
    assert_eq!(envoy.says(ResourceType::Routes, subscribe(&["routes"])), []);
    assert_eq!(envoy.waits(5_000), [], "no ack, no routes");
    let acked = envoy.says(ResourceType::Clusters, ack("1"));
    assert!(matches!(acked.as_slice(), [Action::Acked { kind: ResourceType::Clusters, .. }]), "{acked:?}");
    assert_eq!(envoy.waits(199), []);
    assert_eq!(envoy.session.poll_timeout(), Some(envoy.now.plus(Millis(1))));
    assert_eq!(envoy.waits(1), [sent(ResourceType::Routes, "2", &["routes"], &[])]);
}

#[test]
fn routes_are_not_sent_after_clusters_that_were_refused() {
    let mut envoy = Conversation::new();
    envoy.says(ResourceType::Clusters, subscribe(&[]));
    envoy.says(ResourceType::Routes, subscribe(&["routes"]));
    let refused = envoy.says(ResourceType::Clusters, nack("1"));
    assert!(matches!(refused.as_slice(), [Action::Refused { detail, .. }] if detail == "no"), "{refused:?}");
    assert_eq!(envoy.waits(60_000), []);
}

#[test]
fn routes_follow_when_clusters_come_that_are_not_refused() {
    let mut envoy = Conversation::new();
    envoy.says(ResourceType::Clusters, subscribe(&[]));
    envoy.says(ResourceType::Routes, subscribe(&["routes"]));
    envoy.says(ResourceType::Clusters, nack("1"));
    envoy.session.snapshot = snapshot("v2");
    assert_eq!(envoy.waits(0), [sent(ResourceType::Clusters, "2", &["a", "b"], &[])]);
    envoy.says(ResourceType::Clusters, ack("2"));
    assert_eq!(envoy.waits(199), []);
    assert_eq!(envoy.waits(1), [sent(ResourceType::Routes, "3", &["routes"], &[])]);
}

#[test]
fn clusters_that_are_refused_hold_back_new_routes_though_old_ones_were_sent() {
    let mut envoy = Conversation::new();
    envoy.has_clusters();
    envoy.says(ResourceType::Routes, subscribe(&["routes"]));
    envoy.says(ResourceType::Routes, ack("2"));
    envoy.session.snapshot = snapshot("v2");
    assert_eq!(envoy.waits(0), [sent(ResourceType::Clusters, "3", &["a", "b"], &[])]);
    envoy.says(ResourceType::Clusters, nack("3"));
    assert_eq!(envoy.waits(60_000), []);
}

#[test]
fn a_stream_that_never_asks_for_clusters_is_served_after_a_second() {
    let mut envoy = Conversation::new();
    assert_eq!(envoy.says(ResourceType::Filters, subscribe(&["down"])), []);
    assert_eq!(envoy.waits(999), []);
    assert_eq!(envoy.waits(1), [sent(ResourceType::Filters, "1", &["down"], &[])]);
}

#[test]
fn one_response_of_a_type_is_unanswered_at_a_time() {
    let mut envoy = Conversation::new();
    envoy.has_clusters();
    assert_eq!(
        envoy.says(ResourceType::Filters, subscribe(&["down"])),
        [sent(ResourceType::Filters, "2", &["down"], &[])]
    );
    assert_eq!(envoy.says(ResourceType::Filters, subscribe(&["up"])), [], "the first is not answered");
    let next = envoy.says(ResourceType::Filters, ack("2"));
    assert_eq!(next.last(), Some(&sent(ResourceType::Filters, "3", &["up"], &[])), "{next:?}");
}

#[test]
fn what_was_refused_is_not_sent_again_unchanged() {
    let mut envoy = Conversation::new();
    envoy.has_clusters();
    envoy.says(ResourceType::Filters, subscribe(&["down"]));
    envoy.says(ResourceType::Filters, nack("2"));
    assert_eq!(envoy.waits(60_000), []);
    let next = envoy.says(ResourceType::Filters, subscribe(&["up"]));
    assert_eq!(next, [sent(ResourceType::Filters, "3", &["up"], &[])]);
}

#[test]
fn a_reconnecting_envoy_is_sent_only_what_it_lacks() {
    let mut envoy = Conversation::new();
    let back = envoy.says(ResourceType::Clusters, reconnect(&["*"], &[("a", "v1"), ("b", "v0"), ("gone", "v1")]));
    assert_eq!(back, [sent(ResourceType::Clusters, "1", &["b"], &[])], "what is gone may still be named by its routes");
    let both = reconnect(&["down", "up"], &[("down", "v1"), ("up", "v0"), ("gone", "v1")]);
    assert_eq!(envoy.says(ResourceType::Filters, both), []);
    envoy.says(ResourceType::Clusters, ack("1"));
    assert_eq!(envoy.waits(200), [sent(ResourceType::Filters, "2", &["up"], &["gone"])]);
}

#[test]
fn a_cluster_goes_only_when_routes_and_filters_without_it_were_acked_and_a_little_longer() {
    let mut envoy = Conversation::new();
    envoy.says(ResourceType::Clusters, reconnect(&["*"], &[("a", "v1"), ("b", "v1"), ("gone", "v1")]));
    envoy.says(ResourceType::Routes, reconnect(&["routes"], &[("routes", "v0")]));
    envoy.says(ResourceType::Filters, reconnect(&["down", "up"], &[("down", "v0"), ("up", "v0")]));
    envoy.says(ResourceType::Clusters, ack("1"));
    let news = envoy.waits(200);
    let routes = sent(ResourceType::Routes, "2", &["routes"], &[]);
    let filters = sent(ResourceType::Filters, "3", &["down", "up"], &[]);
    assert_eq!(news, [routes, filters]);
    envoy.says(ResourceType::Routes, ack("2"));
    assert_eq!(envoy.waits(60_000), [], "the filters are not acked");
    envoy.says(ResourceType::Filters, ack("3"));
    assert_eq!(envoy.waits(199), []);
    assert_eq!(envoy.session.poll_timeout(), Some(envoy.now.plus(Millis(1))));
    assert_eq!(envoy.waits(1), [sent(ResourceType::Clusters, "4", &[], &["gone"])]);
    envoy.says(ResourceType::Clusters, ack("4"));
    assert_eq!((envoy.waits(60_000), envoy.session.poll_timeout()), (vec![], None), "told once");
}

#[test]
fn a_cluster_stays_while_routes_or_filters_without_it_are_refused() {
    for (kind, refused) in [(ResourceType::Routes, &["routes"][..]), (ResourceType::Filters, &["down", "up"][..])] {
        let mut envoy = Conversation::new();
        envoy.says(ResourceType::Clusters, reconnect(&["*"], &[("a", "v1"), ("b", "v1"), ("gone", "v1")]));
        envoy.says(ResourceType::Clusters, ack("1"));
        envoy.waits(200);
        for other in super::USERS.into_iter().filter(|other| *other != kind) {
            envoy.says(other, reconnect(&["x"], &[("x", "v1")]));
            envoy.says(other, ack("2"));
        }
        envoy.says(kind, subscribe(refused));
        let refusal = envoy.says(kind, nack("3"));
        assert!(matches!(refusal.as_slice(), [Action::Refused { .. }]), "{refusal:?}");
        assert_eq!(envoy.waits(60_000), [], "{kind:?}");
    }
}

#[test]
fn a_cluster_goes_after_ten_seconds_where_routes_and_filters_are_from_elsewhere() {
    let mut envoy = Conversation::new();
    envoy.says(ResourceType::Clusters, reconnect(&["*"], &[("a", "v1"), ("b", "v1"), ("gone", "v1")]));
    envoy.says(ResourceType::Clusters, ack("1"));
    assert_eq!(envoy.waits(9_999), []);
    assert_eq!(envoy.waits(1), [sent(ResourceType::Clusters, "2", &[], &["gone"])]);
}

#[test]
fn a_reconnecting_envoy_that_lacks_nothing_gets_an_answer_all_the_same() {
    let mut envoy = Conversation::new();
    envoy.has_clusters();
    let back = envoy.says(ResourceType::Routes, reconnect(&["routes"], &[("routes", "v1")]));
    assert_eq!(back, [sent(ResourceType::Routes, "2", &[], &[])]);
}

#[test]
fn a_name_that_does_not_exist_is_answered_as_removed() {
    let mut envoy = Conversation::new();
    envoy.has_clusters();
    let answer = envoy.says(ResourceType::Routes, subscribe(&["nope"]));
    assert_eq!(answer, [sent(ResourceType::Routes, "2", &[], &["nope"])]);
    let settled = envoy.says(ResourceType::Routes, ack("2"));
    assert!(matches!(settled.as_slice(), [Action::Acked { .. }]), "told once: {settled:?}");
}

#[test]
fn subscribing_again_sends_again() {
    let mut envoy = Conversation::new();
    envoy.has_clusters();
    envoy.says(ResourceType::Filters, subscribe(&["down"]));
    envoy.says(ResourceType::Filters, ack("2"));
    let again = envoy.says(ResourceType::Filters, subscribe(&["down"]));
    assert_eq!(again, [sent(ResourceType::Filters, "3", &["down"], &[])]);
}

#[test]
fn an_answer_to_another_response_is_none() {
    let mut envoy = Conversation::new();
    envoy.says(ResourceType::Clusters, subscribe(&[]));
    assert_eq!(envoy.says(ResourceType::Clusters, ack("17")), []);
    assert_eq!(envoy.says(ResourceType::Clusters, nack("17")), []);
}
