//! What is probed when, and what it does.

use super::*;
use event::Ask;

const SILENT: Saw = bad(Category::Network, 3);

fn probing(providers: &[&str]) -> World {
    let mut world = World::of(providers);
    world.fleet.set_probing(true, world.now);
    world
}

fn asks(world: &World, provider: &str) -> Vec<Ask> {
    world.orders.iter().filter(|order| order.channel == channel(provider)).map(|order| order.ask.clone()).collect()
}

/// So many ticks, each probe answered at once; what was asked of a channel, and when.
fn watch(world: &mut World, provider: &str, ticks: u64) -> Vec<(u64, Ask)> {
    let (mut asked, start) = (Vec::new(), world.now);
    for _ in 0..ticks {
        world.later(100);
        asked.extend(asks(world, provider).into_iter().map(|ask| (world.now.since(start).0, ask)));
        world.answer_probes();
    }
    asked
}

#[test]
fn chain_ids_are_asked_for_on_start_and_each_minute_and_heads_once_a_block() {
    let mut world = probing(&["p0"]);
    let asked = watch(&mut world, "p0", 1_250);
    let ids: Vec<_> = asked.iter().filter(|(_, ask)| *ask == Ask::ChainId).map(|(when, _)| when / 1_000).collect();
    assert_eq!(ids, [0, 60, 120]);
    let heads = asked.iter().filter(|(_, ask)| *ask == Ask::Head).count();
    assert!((10..=12).contains(&heads), "{heads} in 125 s of 12 s blocks");
}

#[test]
fn without_probing_nothing_is_asked() {
    let mut world = World::of(&["p0"]);
    world.later(100_000);
    assert_eq!(world.orders, []);
}

#[test]
fn heads_are_spread() {
    let names: Vec<String> = (0..20).map(|n| format!("p{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut world = probing(&names);
    world.later(100);
    world.answer_probes();
    let mut most = 0;
    for _ in 0..25 {
        world.later(100);
        most = most.max(world.orders.len());
        world.answer_probes();
    }
    assert!(most <= 6, "{most} of 20 in one tick");
}

#[test]
fn one_probe_of_a_channel_is_out_at_once_and_a_lost_one_is_given_up() {
    let mut world = probing(&["p0"]);
    world.later(9_000);
    assert_eq!(asks(&world, "p0"), [Ask::ChainId]);
    world.later(1_500);
    assert_eq!(asks(&world, "p0").len(), 2);
}

#[test]
fn an_open_channel_is_asked_every_two_seconds_and_waits_for_an_answer() {
    let mut world = probing(&["p0", "p1"]);
    watch(&mut world, "p0", 30);
    let worker = world.join(1, "a");
    world.says(worker, &[("p0", SILENT)]);
    assert!(!world.status("p0").waits_for_probe, "its time is not over");
    let mut asked = 0;
    for _ in 0..100 {
        world.later(100);
        let orders = std::mem::take(&mut world.orders);
        for order in orders {
            if order.channel == channel("p0") {
                asked += 1;
                world.found("p0", Found::Failed(Category::Network));
            } else {
                world.found("p1", Found::Head(100));
            }
        }
    }
    assert!((4..=7).contains(&asked), "{asked} in 10 s");
    assert_eq!((world.breaker("p0"), world.status("p0").openings), ("open", 1), "the clock is not enough");
    assert!(world.status("p0").waits_for_probe);
    world.found("p0", Found::Head(100));
    assert_eq!((world.breaker("p0"), world.status("p0").waits_for_probe), ("half-open", false));
}

#[test]
fn workers_hear_again_and_again_of_an_opening_that_waits_for_a_probe() {
    let mut world = probing(&["p0", "p1"]);
    let worker = world.join(1, "a");
    world.says(worker, &[("p0", SILENT)]);
    world.tables(worker);
    for _ in 0..10 {
        world.later(1_000);
        let told = world.tables(worker).into_iter().flat_map(|table| table.channels).next_back();
        assert!(
            matches!(
                told.as_ref().map(|told| told.breaker),
                Some(BreakerView::Open { left: Some(Millis(1_000..)) }) | None
            ),
            "{told:?}"
        );
        world.found("p1", Found::Head(100));
    }
    assert_eq!(world.breaker("p0"), "open");
}

#[test]
fn a_first_opening_ends_early_by_a_probe_and_a_second_does_not() {
    let mut world = probing(&["p0", "p1"]);
    let worker = world.join(1, "a");
    world.says(worker, &[("p0", SILENT)]);
    world.found("p0", Found::Head(100));
    assert_eq!(world.breaker("p0"), "half-open");
    world.tried(worker, "p0", Some(Category::Network));
    world.found("p0", Found::Head(100));
    assert_eq!(world.breaker("p0"), "open");
    world.later(2_200);
    assert_eq!(world.breaker("p0"), "half-open");
}

#[test]
fn while_no_probe_leaves_the_clock_decides() {
    let mut world = probing(&["p0", "p1"]);
    let worker = world.join(1, "a");
    world.says(worker, &[("p0", SILENT)]);
    world.found("p1", Found::NotSent);
    world.later(2_900);
    assert_eq!(world.breaker("p0"), "open");
    world.later(300);
    assert_eq!(world.breaker("p0"), "half-open");
}

#[test]
fn a_refused_key_is_asked_for_the_method_that_failed() {
    let mut world = probing(&["p0", "p1"]);
    watch(&mut world, "p0", 30);
    let worker = world.join(1, "a");
    world.says(worker, &[("p0", bad(Category::Billing, 1))]);
    assert_eq!(world.breaker("p0"), "open");
    world.found("p0", Found::Head(100));
    assert_eq!(world.breaker("p0"), "open", "that method works without paying");
    world.found("p0", Found::Answered);
    assert_eq!(world.breaker("p0"), "open", "it was another question that was answered");
    world.orders.clear();
    world.later(3_000);
    assert_eq!(asks(&world, "p0"), [Ask::Method(class("eth_call"))]);
    world.found("p0", Found::Answered);
    assert_eq!(world.breaker("p0"), "half-open");
}

#[test]
fn failed_probes_open_an_idle_channel_and_good_ones_close_nothing() {
    let mut world = probing(&["p0", "p1"]);
    for _ in 0..3 {
        world.later(1_000);
        world.found("p0", Found::Failed(Category::Timeout));
    }
    assert_eq!(world.breaker("p0"), "open");
    world.found("p0", Found::Head(100));
    world.found("p0", Found::Head(101));
    world.found("p0", Found::Head(102));
    assert_eq!(world.breaker("p0"), "half-open");
}

#[test]
fn failed_probes_with_good_ones_between_them_are_no_run() {
    let mut world = probing(&["p0", "p1"]);
    for head in 0..10 {
        world.later(60_000);
        world.found("p0", Found::Failed(Category::Timeout));
        world.later(2_000);
        world.found("p0", Found::Head(100 + head));
    }
    assert_eq!(world.breaker("p0"), "closed");
    assert_eq!(world.fleet.view(world.now).channels[0].health.name(), "healthy");
}

#[test]
fn an_opening_waits_for_no_probe_that_cannot_get_there() {
    let mut world = probing(&["p0", "p1"]);
    for _ in 0..3 {
        world.later(1_000);
        world.found("p0", Found::Failed(Category::Timeout));
    }
    assert_eq!(world.breaker("p0"), "open");
    for _ in 0..4 {
        world.later(1_000);
        world.found("p0", Found::NotSent);
        world.found("p1", Found::Head(100));
    }
    world.later(100);
    assert_eq!(world.breaker("p0"), "half-open");
}

#[test]
fn a_probe_that_fails_where_envoys_are_answered_opens_nothing() {
    let mut world = probing(&["p0", "p1"]);
    let worker = world.join(1, "a");
    for _ in 0..5 {
        world.says(worker, &[("p0", good(1))]);
        world.later(1_000);
        world.found("p0", Found::Failed(Category::Timeout));
    }
    assert_eq!(world.breaker("p0"), "closed");
}

#[test]
fn a_barred_channel_is_asked_for_its_chain_id_only() {
    let mut world = probing(&["p0", "p1"]);
    world.later(100);
    world.found("p0", Found::ChainId(5));
    world.orders.clear();
    world.later(59_000);
    assert_eq!(asks(&world, "p0"), []);
    world.later(2_000);
    assert_eq!(asks(&world, "p0"), [Ask::ChainId]);
}
