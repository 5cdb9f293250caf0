//! Channels that are not admitted, behind those that are.

use super::*;
use crate::breaker::Kind;
use crate::table::{BreakerView, ChannelView, Table};

const CALL: &str = "eth_call";

fn settle(world: &mut World, plan: &Plan, place: usize, verdict: &crate::outcome::Verdict) {
    let begun = world.begin(plan, place);
    world.ledger.settle(&world.end(begun, &Method::of(CALL), &LATEST, verdict));
}

fn state(world: &World, provider: &str) -> State {
    world.ledger.breaker_state(world.channel(provider), world.now)
}

#[test]
fn an_open_channel_is_asked_last_rather_than_failing_the_call() {
    let mut world = World::of(&["a", "b", "c"]);
    world.silence("a");
    let plan = world.plan(CALL, LATEST).unwrap();
    assert_eq!(world.names(&plan.candidates), "b c (a)");
    assert_eq!((plan.candidates[2].why, plan.admitted()), (Why::LastResort, 2));
    assert_eq!(plan.reason_for(world.channel("b")), SelectionReason::Strategy);
    assert_eq!(plan.reason_for(world.channel("a")), SelectionReason::LastResort);
    assert!(plan.rejected.is_empty(), "it is one or the other");
}

#[test]
fn whatever_the_strategy_last_resorts_stay_behind() {
    for strategy in ["fastest", "latency-weighted", "load-balanced", "round-robin", "priority", "cheapest"] {
        let mut world = World::with(&["a", "b", "c"], |chain| chain.strategy = strategy.into());
        world.silence("a");
        for _ in 0..8 {
            assert!(world.order(CALL, LATEST).ends_with(" (a)"), "{strategy}");
            world.seed += 1;
        }
    }
}

#[test]
fn of_several_the_unmarked_come_first_then_those_whose_opening_ends_soonest() {
    let mut world = World::of(&["a", "b", "c", "d"]);
    let open = |provider: &str, left| ChannelView {
        channel: format!("ethereum/{provider}/http").into(),
        breaker: BreakerView::Open { left: Some(Millis(left)) },
        opening: 1,
        limited: None,
        barred: None,
        connected: false,
    };
    let limited = ChannelView { limited: Some(Millis(9_000)), ..open("c", 1_000) };
    let channels = vec![open("a", 9_000), open("b", 3_000), limited];
    world.ledger.follow_table(&Table { channels, ..Table::default() }, world.now);
    assert_eq!(world.order(CALL, LATEST), "d (b) (a) (c)");
}

#[test]
fn who_could_not_serve_the_call_anyway_is_no_last_resort() {
    let mut world = World::of(&["a", "b"]);
    world.learn("a", CALL, LATEST, Mark::BanMethod(Millis::from_secs(300)));
    world.silence("a");
    assert_eq!(world.order(CALL, LATEST), "b");
    assert_eq!(world.order("eth_getBalance", LATEST), "b (a)");
    world.asked("/rpc/ethereum?exclude=a");
    assert_eq!(world.order("eth_getBalance", LATEST), "b");
    world.asked("/rpc/ethereum/b");
    assert_eq!(world.order("eth_getBalance", LATEST), "b", "the client named another");
}

#[test]
fn a_last_resort_that_answers_is_the_evidence_that_it_works() {
    let mut world = World::of(&["a", "b"]);
    world.silence("a");
    let plan = world.plan(CALL, LATEST).unwrap();
    settle(&mut world, &plan, 1, &DONE);
    assert_eq!(state(&world, "a"), State::HalfOpen);
    settle(&mut world, &plan, 1, &DONE);
    assert_eq!((state(&world, "a"), world.order(CALL, LATEST).as_str()), (State::Closed, "a b"));
}

#[test]
fn a_last_resort_that_fails_prolongs_nothing_and_rests_for_a_moment() {
    let mut world = World::of(&["a", "b"]);
    world.silence("a");
    let before = state(&world, "a");
    let plan = world.plan(CALL, LATEST).unwrap();
    for category in [Category::Network, Category::Timeout, Category::Server, Category::Auth, Category::Billing] {
        settle(&mut world, &plan, 1, &failed(category));
        assert_eq!((state(&world, "a"), world.order(CALL, LATEST).as_str()), (before, "b"), "{category:?}");
    }
    world.later(250);
    assert_eq!((state(&world, "a"), world.order(CALL, LATEST).as_str()), (before, "b (a)"));
    // An answer, and it needs no rest.
    settle(&mut world, &plan, 1, &failed(Category::Network));
    settle(&mut world, &plan, 1, &DONE);
    assert_ne!(world.order(CALL, LATEST), "b");
}

#[test]
fn failures_of_a_channel_that_the_fleet_has_opened_open_nothing_here() {
    let mut world = World::of(&["a", "b"]);
    let open = ChannelView {
        channel: "ethereum/a/http".into(),
        breaker: BreakerView::Open { left: Some(Millis(1_000)) },
        opening: 1,
        limited: None,
        barred: None,
        connected: false,
    };
    world.ledger.follow_table(&Table { channels: vec![open], ..Table::default() }, world.now);
    let until = world.now.plus(Millis(1_000));
    for _ in 0..3 {
        let plan = world.plan(CALL, LATEST).unwrap();
        settle(&mut world, &plan, 1, &failed(Category::Network));
        world.later(300);
    }
    assert_eq!(state(&world, "a"), State::Open { until }, "not a moment longer");
}

#[test]
fn a_last_resort_that_is_silent_rests_even_though_nobody_is_to_blame() {
    let mut world = World::of(&["a", "b"]);
    world.silence("a");
    let plan = world.plan(CALL, LATEST).unwrap();
    let silent = failed(Category::Timeout);
    let excused =
        crate::outcome::Verdict { blame: crate::outcome::Blame::None, row: crate::outcome::Row::TimedOut, ..silent };
    settle(&mut world, &plan, 1, &excused);
    assert_eq!(world.order(CALL, LATEST), "b");
}

#[test]
fn a_failure_while_it_is_half_open_is_no_failed_trial() {
    let mut world = World::of(&["a", "b"]);
    world.silence("a");
    let plan = world.plan(CALL, LATEST).unwrap();
    let begun = world.begin(&plan, 1);
    assert_eq!(begun.kind, Kind::LastResort);
    world.later(2_000);
    assert_eq!(state(&world, "a"), State::HalfOpen);
    world.ledger.settle(&world.end(begun, &Method::of(CALL), &LATEST, &failed(Category::Network)));
    assert_eq!(state(&world, "a"), State::HalfOpen);
    assert_eq!(world.order(CALL, LATEST), "a b", "the trial is still to come");
}

#[test]
fn what_goes_along_with_another_has_its_last_resorts_too() {
    let mut world = World::of(&["a", "b", "c"]);
    world.silence("a");
    let lead = world.plan(CALL, LATEST).unwrap();
    assert_eq!(along(&mut world, "eth_getBalance", LATEST, &lead), "b c (a)");
}

#[test]
fn the_only_one_admitted_leaves_time_for_a_last_resort() {
    let mut world = World::of(&["a", "b"]);
    world.silence("a");
    for (method, per_try) in [("eth_blockNumber", 2_100), ("eth_getLogs", 5_000), ("eth_sendRawTransaction", 5_000)] {
        let plan = world.plan(method, Blocks::None).unwrap();
        assert_eq!((plan.per_try, plan.admitted()), (Millis(per_try), 1), "{method} within {}", plan.deadline);
    }
}
