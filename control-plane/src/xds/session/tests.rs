use std::collections::BTreeMap;
use std::sync::Arc;

use lasso_routing::time::{Millis, Timestamp};

use super::super::resources::{DOWN, HUB, NAME, Site, UP};
use super::super::snapshot::{ResourceType, Snapshot};
use super::{Action, Event, Phase, Request, Session};
use crate::compile::compile;
use crate::testing::{load_text, site, site_with};

mod random;
mod rollout;

const CLUSTERS: ResourceType = ResourceType::Clusters;
const ROUTES: ResourceType = ResourceType::Routes;
const FILTERS: ResourceType = ResourceType::Filters;

/// Providers by their ids, each at a host of that name; `a=b` is `a` at the host of `b`, `a?` is `a` with another key, `!` is a longer
/// deadline.
fn snapshot(providers: &[&str]) -> Arc<Snapshot> {
    snapshot_for(providers, &site())
}

fn snapshot_for(providers: &[&str], site: &Site) -> Arc<Snapshot> {
    let provider = |written: &&str| {
        let (id, host) = written.split_once('=').unwrap_or((written, written));
        let (id, key) = if id.ends_with('?') { (id.trim_end_matches('?'), "other") } else { (id, "key") };
        format!("{{id: {id}, url: 'http://{}.example/{key}'}}", host.trim_end_matches('?'))
    };
    let methods = if providers.contains(&"!") { "methods: {timeouts: {eth_call: 2m}}, " } else { "" };
    let providers: Vec<_> = providers.iter().filter(|id| **id != "!").map(provider).collect();
    let chains = format!("{{c: {{chain_id: 1, providers: [{}]}}}}", providers.join(", "));
    let config = load_text(&format!("profiles: {{public: {{{methods}chains: {chains}}}}}")).unwrap().config;
    Arc::new(Snapshot::new(&config, &Arc::new(compile(&config).unwrap()), site).unwrap())
}

/// Of a provider.
fn cluster(id: &str) -> String {
    format!("lasso/c/{id}/http")
}

/// As tests write it.
fn short(cluster: &str) -> &str {
    if cluster == HUB { "hub" } else { cluster.trim_start_matches("lasso/c/").trim_end_matches("/http") }
}

/// A response that the test has not answered yet.
struct Waiting {
    nonce: String,
    versions: Vec<(String, String)>,
    removed: Vec<String>,
}

/// An Envoy's side of a stream, with a clock that the test moves. It remembers what it has, as Envoy does.
struct Envoy {
    session: Session,
    now: Timestamp,
    unanswered: BTreeMap<ResourceType, Waiting>,
    has: BTreeMap<ResourceType, BTreeMap<String, String>>,
}

/// What a response said, as tests write it: `cds +a`, `rds a b`, `ecds a b`, `cds -a`, `lds`.
fn told(action: Action) -> Option<(ResourceType, String)> {
    let Action::Send(response) = action else { return None };
    // What is listed is found in the bytes.
    let listed = || {
        let bytes = response.resources.values().map(|resource| String::from_utf8_lossy(&resource.content.value));
        let bytes: String = bytes.collect();
        let names = ('a'..='f').map(|id| id.to_string()).filter(|id| bytes.contains(&cluster(id)));
        names.map(|name| format!(" {name}")).collect::<String>()
    };
    let text = match response.kind {
        CLUSTERS => {
            let added = response.resources.keys().map(|name| format!(" +{}", short(name)));
            let removed = response.removed.iter().map(|name| format!(" -{}", short(name)));
            format!("cds{}", added.chain(removed).collect::<String>())
        }
        ROUTES => format!("rds{}", listed()),
        FILTERS => format!("ecds{}", listed()),
        ResourceType::Listeners => "lds".to_owned(),
    };
    Some((response.kind, text))
}

impl Envoy {
    fn new(snapshot: &Arc<Snapshot>) -> Self {
        Self {
            session: Session::new(Arc::clone(snapshot), Millis::ZERO),
            now: Timestamp::from_millis(1_000),
            unanswered: BTreeMap::new(),
            has: BTreeMap::new(),
        }
    }

    /// An Envoy that has everything of a snapshot, long ago.
    fn settled(snapshot: &Arc<Snapshot>) -> Self {
        let mut envoy = Self::new(snapshot);
        envoy.asks(&[CLUSTERS, ROUTES, FILTERS]);
        envoy.acks_for(600_000);
        assert_eq!(envoy.session.progress().phase, Phase::Settled);
        envoy
    }

    /// A new stream of the same Envoy.
    fn reconnects(&mut self, snapshot: &Arc<Snapshot>) -> Vec<String> {
        self.session = Session::new(Arc::clone(snapshot), Millis::ZERO);
        self.unanswered.clear();
        self.asks(&[CLUSTERS, ROUTES, FILTERS])
    }

    fn says(&mut self, kind: ResourceType, request: Request) -> Vec<String> {
        self.session.handle_event(Event::Request(kind, request), self.now);
        self.hears()
    }

    fn hears(&mut self) -> Vec<String> {
        let mut heard = Vec::new();
        while let Some(action) = self.session.poll_action() {
            if let Action::Send(response) = &action {
                let versions =
                    response.resources.iter().map(|(name, resource)| (name.clone(), resource.version.clone()));
                let (nonce, removed) = (response.nonce.clone(), response.removed.clone());
                let sent = Waiting { nonce, versions: versions.collect(), removed };
                assert!(self.unanswered.insert(response.kind, sent).is_none(), "two responses of a type at once");
            }
            assert!(!matches!(action, Action::Broken(_)), "{action:?}");
            heard.extend(told(action).map(|(_, text)| text));
        }
        heard
    }

    /// The first request of these types, with what it has.
    fn asks(&mut self, kinds: &[ResourceType]) -> Vec<String> {
        let names = |kind| match kind {
            CLUSTERS => vec!["*".to_owned()],
            FILTERS => vec![DOWN.to_owned(), UP.to_owned()],
            ROUTES | ResourceType::Listeners => vec![NAME.to_owned()],
        };
        let ask = |kind: &ResourceType| {
            let initial_versions = self.has.get(kind).cloned().unwrap_or_default();
            self.says(*kind, Request { subscribe: names(*kind), initial_versions, ..Request::default() })
        };
        kinds.iter().flat_map(ask).collect()
    }

    fn newer(&mut self, snapshot: &Arc<Snapshot>) -> Vec<String> {
        self.session.handle_event(Event::Newer(Arc::clone(snapshot)), self.now);
        self.hears()
    }

    fn acks(&mut self, kind: ResourceType) -> Vec<String> {
        let Waiting { nonce, versions, removed } = self.unanswered.remove(&kind).unwrap();
        let has = self.has.entry(kind).or_default();
        has.extend(versions);
        has.retain(|name, _| !removed.contains(name));
        self.says(kind, Request { nonce, ..Request::default() })
    }

    fn nacks(&mut self, kind: ResourceType) -> Vec<String> {
        let Waiting { nonce, .. } = self.unanswered.remove(&kind).unwrap();
        self.says(kind, Request { nonce, refused: Some("no".to_owned()), ..Request::default() })
    }

    fn waits(&mut self, millis: u64) -> Vec<String> {
        self.now = self.now.plus(Millis(millis));
        self.session.handle_timeout(self.now);
        self.hears()
    }

    /// Acks everything at once for so long, and sleeps between as the session says. What was heard, with the time it took from the start.
    fn acks_for(&mut self, millis: u64) -> Vec<String> {
        let (from, end) = (self.now, self.now.plus(Millis(millis)));
        let mut heard = Vec::new();
        loop {
            let at = self.now.since(from).0;
            if let Some(kind) = self.unanswered.keys().next().copied() {
                heard.extend(self.acks(kind).into_iter().map(|text| (at, text)));
                continue;
            }
            match self.session.poll_timeout().filter(|next| *next <= end) {
                Some(next) => {
                    let more = self.waits(next.since(self.now).0);
                    heard.extend(more.into_iter().map(|text| (next.since(from).0, text)));
                }
                None => break,
            }
        }
        self.now = end;
        self.session.handle_timeout(end);
        heard.into_iter().map(|(at, text)| format!("{at} {text}")).collect()
    }
}

fn subscribe(names: &[&str]) -> Request {
    Request { subscribe: names.iter().map(|name| (*name).to_owned()).collect(), ..Request::default() }
}

#[test]
fn a_wildcard_subscription_is_sent_everything_of_its_type() {
    for names in [&[][..], &["*"]] {
        let mut envoy = Envoy::new(&snapshot(&["a", "b"]));
        assert_eq!(envoy.says(CLUSTERS, subscribe(names)), ["cds +hub +a +b"]);
    }
}

#[test]
fn a_fresh_envoy_gets_clusters_then_routes_then_the_catalog() {
    let mut envoy = Envoy::new(&snapshot(&["a", "b"]));
    assert_eq!(envoy.asks(&[CLUSTERS, ROUTES, FILTERS]), ["cds +hub +a +b"]);
    assert_eq!(envoy.waits(5_000), [""; 0], "no ack, no routes");
    assert_eq!(envoy.acks_for(60_000), ["200 rds a b", "400 ecds a b"]);
    assert_eq!(envoy.session.poll_timeout(), None);
}

#[test]
fn an_ack_is_told_with_how_long_it_took() {
    let mut envoy = Envoy::new(&snapshot(&["a"]));
    envoy.asks(&[CLUSTERS]);
    envoy.waits(17);
    envoy
        .session
        .handle_event(Event::Request(CLUSTERS, Request { nonce: "1".to_owned(), ..Request::default() }), envoy.now);
    let acked = envoy.session.poll_action();
    assert_eq!(
        acked,
        Some(Action::Acked { kind: CLUSTERS, names: vec![HUB.to_owned(), cluster("a")], after: Millis(17) })
    );
}

#[test]
fn a_stream_that_never_asks_for_clusters_or_routes_is_served_after_a_second() {
    let mut envoy = Envoy::new(&snapshot(&["a"]));
    assert_eq!(envoy.asks(&[FILTERS]), [""; 0]);
    assert_eq!(envoy.acks_for(60_000), ["1000 ecds a"]);
    let mut envoy = Envoy::new(&snapshot(&["a"]));
    envoy.asks(&[CLUSTERS, FILTERS]);
    assert_eq!(envoy.acks_for(60_000), ["1000 ecds a"]);
    let mut envoy = Envoy::new(&snapshot(&["a"]));
    assert_eq!(envoy.asks(&[ROUTES, ResourceType::Listeners]), [""; 0]);
    assert_eq!(envoy.acks_for(60_000), ["1000 rds a", "1000 lds"]);
}

#[test]
fn one_response_of_a_type_is_unanswered_at_a_time() {
    let mut envoy = Envoy::new(&snapshot(&["a"]));
    envoy.asks(&[CLUSTERS]);
    envoy.acks_for(1_000);
    assert_eq!(envoy.says(FILTERS, subscribe(&[DOWN])), ["ecds a"]);
    assert_eq!(envoy.says(FILTERS, subscribe(&[UP])), [""; 0], "the first is not answered");
    assert_eq!(envoy.acks(FILTERS), ["ecds a"]);
}

#[test]
fn a_reconnecting_envoy_that_lacks_nothing_gets_answers_all_the_same() {
    let there = snapshot(&["a"]);
    let mut envoy = Envoy::settled(&there);
    assert_eq!(envoy.reconnects(&there), ["cds"]);
    assert_eq!(envoy.acks_for(60_000), ["200 rds", "200 ecds"]);
}

#[test]
fn a_name_that_does_not_exist_is_answered_as_removed() {
    let mut envoy = Envoy::new(&snapshot(&["a"]));
    envoy.asks(&[CLUSTERS]);
    envoy.acks_for(1_000);
    envoy.says(ROUTES, subscribe(&["nope"]));
    assert_eq!(envoy.unanswered[&ROUTES].removed, ["nope"]);
    assert_eq!(envoy.acks_for(60_000), [""; 0], "told once");
}

#[test]
fn subscribing_again_sends_again() {
    let mut envoy = Envoy::settled(&snapshot(&["a"]));
    assert_eq!(envoy.says(FILTERS, subscribe(&[DOWN])), ["ecds a"]);
}

#[test]
fn an_answer_to_another_response_is_none() {
    let mut envoy = Envoy::new(&snapshot(&["a"]));
    envoy.asks(&[CLUSTERS]);
    for refused in [None, Some("no".to_owned())] {
        let other = Request { nonce: "17".to_owned(), refused, ..Request::default() };
        assert_eq!(envoy.says(CLUSTERS, other), [""; 0]);
        assert_eq!(envoy.session.poll_action(), None);
    }
}
