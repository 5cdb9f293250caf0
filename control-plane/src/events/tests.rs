use lasso_jsonrpc::method::MethodClass;
use lasso_routing::breaker::Category;
use lasso_routing::fleet::event::{Health, Notice};
use lasso_routing::report;
use lasso_routing::table::Barred;
use lasso_routing::time::{Micros, Millis};
use serde_json::{Value, json};

use super::*;

/// Every notice of the fleet.
fn notices() -> Vec<Notice> {
    let channel = || Box::<str>::from("ethereum/a/http");
    let decision = report::Decision {
        request_id: 0xabc,
        profile: "public".into(),
        chain: "ethereum".into(),
        class: MethodClass::named("eth_call").unwrap(),
        strategy: "fastest".into(),
        reason: "fastest".into(),
        candidates: 2,
        attempts: vec![(channel(), "success".into(), Micros(1_500))],
        answered: true,
        selection: Micros(30),
        total: Micros(1_600),
    };
    vec![
        Notice::BreakerOpened { channel: channel(), because: Some(Category::Timeout), length: Some(Millis(1_000)) },
        Notice::BreakerOpened { channel: channel(), because: None, length: None },
        Notice::BreakerHalfOpened { channel: channel() },
        Notice::BreakerClosed { channel: channel(), manual: false },
        Notice::RateLimited { channel: channel(), length: Millis(2_000) },
        Notice::RateLimitEnded { channel: channel() },
        Notice::HealthChanged { channel: channel(), from: Health::Healthy, to: Health::Degraded },
        Notice::SetAside { node: "envoy-1".into() },
        Notice::Returned { node: "envoy-1".into() },
        Notice::Barred { channel: channel(), because: Barred::WrongChain },
        Notice::Unbarred { channel: channel() },
        Notice::Decided(Box::new(decision)),
        Notice::Dropped {
            node: "envoy-1".into(),
            dropped: report::Dropped { coarsened: 1, decisions: 2, lessons: 3, lost: 4 },
        },
    ]
}

/// What only the shell tells.
fn own() -> Vec<Event> {
    let (node, generation) = (|| "envoy-1".to_owned(), || "0123456789abcdef".to_owned());
    vec![
        Event::ConfigLoaded(ConfigLoaded {
            generation: generation(),
            added: vec!["lasso/ethereum/a/http".to_owned()],
            removed: vec![],
        }),
        Event::ConfigRefused(ConfigRefused { problems: vec!["lasso.yaml:1: unknown key".to_owned()] }),
        Event::XdsAcked(XdsAcked { node: node(), resource_type: "clusters", resources: 3, after_ms: 4 }),
        Event::XdsRefused(XdsRefused {
            node: node(),
            resource_type: "routes",
            names: vec!["lasso".to_owned()],
            detail: "no".to_owned(),
        }),
        Event::ConfigInForce(ConfigInForce { node: node(), generation: generation() }),
        Event::EnvoyConnected(NodeOnly { node: node() }),
        Event::EnvoyDisconnected(NodeOnly { node: node() }),
        Event::TaskRestarted(TaskRestarted { task: "store", restarts: 1 }),
        Event::Skipped(Skipped { count: 7 }),
    ]
}

fn all() -> impl Iterator<Item = Event> {
    let of_hub = sockets::tests::notices().into_iter().filter_map(Event::of_hub);
    notices().into_iter().map(Event::from).chain(own()).chain(of_hub)
}

#[test]
fn the_format_of_version_1_does_not_change() {
    let events: Vec<Event> = all().collect();
    insta::assert_json_snapshot!(events);
}

#[test]
fn an_event_has_one_name_in_json_and_in_the_log() {
    for event in all() {
        assert_eq!(serde_json::to_value(&event).unwrap()["type"], event.name());
    }
}

#[tokio::test]
async fn what_is_told_has_its_version_its_time_and_its_region() {
    let bus = Bus::new("eu");
    let mut subscriber = bus.subscribe();
    bus.tell(Event::Skipped(Skipped { count: 7 }));
    let told = subscriber.next().await.unwrap();
    let mut told: Value = serde_json::to_value(&*told).unwrap();
    let at = told["at"].take();
    assert_eq!(told, json!({"v": 1, "at": null, "region": "eu", "type": "skipped", "data": {"count": 7}}));
    assert!(at.as_str().is_some_and(|at| at.starts_with("20") && at.ends_with('Z')), "{at}");
}

#[tokio::test]
async fn a_slow_subscriber_is_told_what_it_missed_and_goes_on_with_the_oldest_that_is_left() {
    let bus = Bus::new("");
    let (mut slow, mut quick) = (bus.subscribe(), bus.subscribe());
    let event = |restarts| Event::TaskRestarted(TaskRestarted { task: "store", restarts });
    for number in 0..KEPT as u64 + 5 {
        bus.tell(event(number));
        assert_eq!(quick.next().await.unwrap().event, event(number));
    }
    assert_eq!(slow.next().await.unwrap().event, Event::Skipped(Skipped { count: 5 }));
    assert_eq!(slow.next().await.unwrap().event, event(5));
    assert_eq!(bus.skipped(), 5);
}

#[test]
fn times_are_rfc_3339_in_utc_to_the_millisecond() {
    assert_eq!(rfc3339(crate::testing::fleet::then()), "2026-01-01T00:00:10.25Z");
    assert_eq!(
        rfc3339(SystemTime::UNIX_EPOCH + std::time::Duration::from_nanos(1_999_999)),
        "1970-01-01T00:00:00.001Z"
    );
}
