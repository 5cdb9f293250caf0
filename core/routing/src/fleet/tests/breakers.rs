//! The fleet's breakers and marks.

use super::*;
use crate::catalog::spec::ChannelSpec;
use crate::table::Barred;
use event::{Health, Manual};
use view::Availability;

const SILENT: Saw = bad(Category::Network, 3);

#[test]
fn the_only_envoy_that_asks_opens() {
    let mut world = World::of(&["p0", "p1"]);
    let worker = world.join(1, "a");
    world.join(2, "b");
    world.says(worker, &[("p0", SILENT)]);
    assert_eq!(world.breaker("p0"), "open");
    assert!(matches!(
        &world.notices[0],
        Notice::BreakerOpened { because: Some(Category::Network), length: Some(length), .. } if length.0 >= 1_000
    ));
    assert_eq!(world.saves, 1);
}

#[test]
fn of_two_that_ask_both_must_fail() {
    let mut world = World::of(&["p0", "p1"]);
    let (one, other) = (world.join(1, "a"), world.join(2, "b"));
    world.says(other, &[("p0", good(1))]);
    world.later(500);
    world.says(one, &[("p0", SILENT)]);
    assert_eq!(world.breaker("p0"), "closed");
    world.says(other, &[("p0", bad(Category::Network, 1))]);
    assert_eq!(world.breaker("p0"), "open");
}

#[test]
fn two_workers_of_one_envoy_are_one_witness() {
    let mut world = World::of(&["p0", "p1"]);
    let (one, sibling, other) = (world.join(1, "a"), world.join(2, "a"), world.join(3, "b"));
    world.says(other, &[("p0", good(1))]);
    world.says(one, &[("p0", SILENT)]);
    world.says(sibling, &[("p0", SILENT)]);
    assert_eq!(world.breaker("p0"), "closed");
    world.later(10_100);
    world.says(sibling, &[("p0", SILENT)]);
    assert_eq!(world.breaker("p0"), "open", "the other Envoy has not asked for ten seconds");
}

#[test]
fn a_success_of_another_worker_ends_the_run() {
    let mut world = World::of(&["p0", "p1"]);
    let (one, other) = (world.join(1, "a"), world.join(2, "a"));
    world.says(one, &[("p0", bad(Category::Server, 4))]);
    world.says(other, &[("p0", good(1))]);
    world.later(500);
    world.says(one, &[("p0", bad(Category::Server, 4))]);
    assert_eq!(world.breaker("p0"), "closed");
    world.says(one, &[("p0", bad(Category::Server, 1))]);
    assert_eq!(world.breaker("p0"), "open");
}

#[test]
fn the_last_admitted_channel_of_a_chain_opens_by_silence_only() {
    let mut world = World::of(&["p0", "p1"]);
    let worker = world.join(1, "a");
    world.says(worker, &[("p1", SILENT)]);
    world.says(worker, &[("p0", bad(Category::Server, 50))]);
    assert_eq!((world.breaker("p0"), world.breaker("p1")), ("closed", "open"));
    world.says(worker, &[("p0", SILENT)]);
    assert_eq!(world.breaker("p0"), "open");
}

#[test]
fn without_probes_an_opening_ends_by_the_clock_and_trials_close() {
    let mut world = World::of(&["p0", "p1"]);
    let worker = world.join(1, "a");
    world.says(worker, &[("p0", SILENT), ("p1", good(1))]);
    world.later(900);
    assert_eq!(world.breaker("p0"), "open");
    world.later(300);
    assert_eq!(world.breaker("p0"), "half-open");
    world.tried(worker, "p0", None);
    world.tried(worker, "p0", None);
    assert_eq!(world.breaker("p0"), "closed");
    #[expect(clippy::wildcard_enum_match_arm, reason = "whatever else is told fails the test")]
    let name = |notice: &Notice| match notice {
        Notice::BreakerOpened { .. } => Some("opened"),
        Notice::BreakerHalfOpened { .. } => Some("half-opened"),
        Notice::BreakerClosed { manual: false, .. } => Some("closed"),
        other => {
            assert!(matches!(other, Notice::HealthChanged { .. }), "{other:?}");
            None
        }
    };
    let told: Vec<_> = world.notices.iter().filter_map(name).collect();
    assert_eq!(told, ["opened", "half-opened", "closed"]);
    let rows = world.fleet.view(world.now).standings;
    assert_eq!(rows.iter().find(|row| &*row.provider == "p0").unwrap().success, 1.0, "failures are history");
}

#[test]
fn a_failed_trial_opens_for_twice_as_long() {
    let mut world = World::of(&["p0", "p1"]);
    let worker = world.join(1, "a");
    world.says(worker, &[("p0", SILENT)]);
    world.later(1_200);
    world.tried(worker, "p0", Some(Category::Network));
    assert_eq!((world.breaker("p0"), world.status("p0").openings), ("open", 2));
    world.later(1_900);
    assert_eq!(world.breaker("p0"), "open");
    world.later(300);
    assert_eq!(world.breaker("p0"), "half-open");
}

#[test]
fn people_decide() {
    let mut world = World::of(&["p0", "p1"]);
    let worker = world.join(1, "a");
    let decide = |world: &mut World, decision| {
        world.event(Event::Decided { channel: channel("p0"), decision });
        world.breaker("p0")
    };
    assert_eq!(decide(&mut world, Manual::Open), "open");
    assert_eq!(world.status("p0").breaker, BreakerView::Open { left: None });
    world.later(120_000);
    assert_eq!(world.breaker("p0"), "open", "until told otherwise");
    assert_eq!(decide(&mut world, Manual::Close), "closed");
    world.says(worker, &[("p0", SILENT)]);
    assert_eq!(world.breaker("p0"), "closed", "whatever happens");
    assert_eq!(decide(&mut world, Manual::Auto), "closed");
    world.says(worker, &[("p0", SILENT)]);
    assert_eq!(world.breaker("p0"), "open");
    assert_eq!(decide(&mut world, Manual::Close), "closed");
    assert!(world.notices.contains(&Notice::BreakerOpened { channel: channel("p0"), because: None, length: None }));
    assert!(world.notices.contains(&Notice::BreakerClosed { channel: channel("p0"), manual: true }));
    assert_eq!(world.saves, 5);
}

#[test]
fn a_refusal_for_the_rate_marks_for_as_long_as_it_said() {
    let mut world = World::of(&["p0"]);
    let worker = world.join(1, "a");
    let refused = |world: &mut World, told_to_wait| {
        let tally = ChannelTally { channel: channel("p0"), refusals: 9, told_to_wait, ..ChannelTally::default() };
        world.report(worker, Report { channels: vec![tally], ..Report::default() });
    };
    refused(&mut world, Some(Millis(7_000)));
    refused(&mut world, None);
    assert_eq!(world.status("p0").limited, Some(Millis(7_000)));
    assert_eq!((world.breaker("p0"), world.status("p0").availability), ("closed", Availability::Limited));
    world.later(7_100);
    assert_eq!(world.status("p0").limited, None);
    let told: Vec<_> = world.notices.iter().collect();
    let marks = [
        Notice::RateLimited { channel: channel("p0"), length: Millis(7_000) },
        Notice::RateLimitEnded { channel: channel("p0") },
    ];
    assert_eq!(told, [&marks[0], &marks[1]]);
    assert_eq!(world.saves, 2);
}

#[test]
fn health_follows_the_breaker() {
    let mut world = World::of(&["p0", "p1"]);
    let worker = world.join(1, "a");
    world.says(worker, &[("p0", bad(Category::Server, 1))]);
    world.later(1_000);
    assert_eq!(world.status("p0").health, Health::Degraded);
    world.says(worker, &[("p0", bad(Category::Server, 4))]);
    assert_eq!(world.status("p0").health, Health::Unhealthy);
    assert_eq!(world.status("p0").availability, Availability::Down);
    world.later(1_200);
    assert_eq!(world.status("p0").availability, Availability::Limited);
    world.tried(worker, "p0", None);
    world.tried(worker, "p0", None);
    assert_eq!((world.status("p0").health, world.status("p0").availability), (Health::Healthy, Availability::Up));
    let change = |notice: &Notice| {
        let Notice::HealthChanged { from, to, .. } = notice else { return None };
        Some((*from, *to))
    };
    let moves: Vec<_> = world.notices.iter().filter_map(change).collect();
    let (healthy, degraded, unhealthy) = (Health::Healthy, Health::Degraded, Health::Unhealthy);
    assert_eq!(moves, [(healthy, degraded), (degraded, unhealthy), (unhealthy, healthy)]);
}

#[test]
fn a_channel_of_another_chain_never_serves_until_it_is_right_again() {
    let mut world = World::of(&["p0", "p1"]);
    world.found("p0", Found::ChainId(5));
    assert_eq!(
        (world.status("p0").barred, world.status("p0").availability),
        (Some(Barred::WrongChain), Availability::Down)
    );
    world.found("p0", Found::ChainId(5));
    world.found("p0", Found::ChainId(1));
    assert_eq!(world.status("p0").barred, None);
    let because = Barred::WrongChain;
    assert_eq!(
        world.notices,
        [Notice::Barred { channel: channel("p0"), because }, Notice::Unbarred { channel: channel("p0") }]
    );
}

/// The providers p0 and p1 again; the channel of p0 changed.
fn reloaded(world: &mut World, change: impl FnOnce(&mut ChannelSpec)) -> Box<str> {
    let mut spec = CatalogSpec { generation: "0000000000000002".into(), ..spec(&["p0", "p1"]) };
    change(&mut spec.channels[0]);
    let catalog = Catalog::try_from(spec).unwrap();
    world.fleet.adopt(&catalog, world.now);
    world.act();
    catalog.generation().into()
}

#[track_caller]
fn check_rekeyed(category: Category, change: impl FnOnce(&mut ChannelSpec), breaker: &str) {
    let mut world = World::of(&["p0", "p1"]);
    let worker = world.join(1, "a");
    world.says(worker, &[("p0", bad(category, 5)), ("p1", good(5))]);
    world.later(1);
    assert_eq!(world.breaker("p0"), "open");
    world.notices.clear();
    reloaded(&mut world, change);
    assert_eq!(world.breaker("p0"), breaker, "{category:?}");
    let told = world.notices.contains(&Notice::BreakerHalfOpened { channel: channel("p0") });
    assert_eq!(told, breaker == "half-open");
}

#[test]
fn another_key_ends_an_opening_for_the_key_or_the_bill_and_no_other() {
    let path = |channel: &mut ChannelSpec| channel.path = "/v2/another".into();
    check_rekeyed(Category::Auth, path, "half-open");
    check_rekeyed(Category::Billing, path, "half-open");
    check_rekeyed(
        Category::Auth,
        |channel| drop(channel.headers.insert("x-key".into(), "another".into())),
        "half-open",
    );
    check_rekeyed(Category::Auth, |_| {}, "open");
    check_rekeyed(Category::Network, path, "open");
}

#[test]
fn a_new_key_is_tried_by_workers_that_have_it() {
    let mut world = World::of(&["p0", "p1"]);
    let (old, new) = (world.join(1, "a"), world.join(2, "b"));
    for worker in [old, new] {
        world.says(worker, &[("p0", bad(Category::Auth, 5)), ("p1", good(5))]);
    }
    let generation = reloaded(&mut world, |channel| channel.path = "/v2/another".into());
    assert_eq!((world.breaker("p0"), world.trials().len()), ("half-open", 0));
    let again = WorkerId(3);
    let hello = Hello { node: "b".into(), instance: 2, generation, ..Hello::default() };
    world.event(Event::Left(new));
    world.event(Event::Joined(again, hello));
    world.seqs.insert(again, 1);
    world.says(again, &[("p1", good(1))]);
    world.later(200);
    assert_eq!(world.trials(), [again]);
    // One that never gets it is better than none at all.
    for _ in 0..12 {
        world.says(old, &[("p1", good(1))]);
        world.later(1_000);
    }
    assert!(world.trials().contains(&old));
}
