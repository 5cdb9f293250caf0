//! Heads, block times and lessons of the fleet.

use super::*;
use crate::report::{Lesson, Limit};

#[test]
fn heads_of_all_workers_are_one() {
    let mut world = World::of(&["p0", "p1"]);
    let (one, other) = (world.join(1, "a"), world.join(2, "b"));
    world.shows(one, "p0", 100);
    world.shows(other, "p1", 101);
    let view = world.fleet.view(world.now);
    assert_eq!(view.chains[0].best_head, Some(101));
    assert_eq!((world.status("p0").lag, world.status("p1").lag), (Some(1), Some(0)));
}

#[test]
fn a_lone_leader_is_not_believed_until_it_reads_its_block() {
    let mut world = World::of(&["p0", "p1", "p2"]);
    let worker = world.join(1, "a");
    world.fleet.set_probing(true, world.now);
    for (provider, number) in [("p0", 100), ("p1", 101), ("p2", 1_100)] {
        world.shows(worker, provider, number);
    }
    assert_eq!(world.fleet.view(world.now).chains[0].best_head, Some(101));
    assert!(world.status("p2").unproved && !world.status("p1").unproved);
    assert_eq!(world.status("p2").lag, Some(-999));
    world.later(100);
    world.answer_probes();
    world.later(100);
    let proof = Order { channel: channel("p2"), ask: event::Ask::Block(1_100) };
    assert!(world.orders.contains(&proof), "{:?}", world.orders);
    world.found("p2", Found::NoBlock(1_100));
    assert!(world.status("p2").unproved);
    world.found("p2", Found::Block(1_100));
    assert!(!world.status("p2").unproved);
    assert_eq!(world.fleet.view(world.now).chains[0].best_head, Some(1_100));
    world.later(100);
    let told = world.tables(worker).pop().unwrap().heads;
    assert!(told.iter().any(|head| head.channel == channel("p2") && head.shown.proved == 1_100), "{told:?}");
}

#[test]
fn of_two_that_contradict_each_other_both_are_asked_for_proof() {
    let mut world = World::of(&["p0", "p1"]);
    let worker = world.join(1, "a");
    world.fleet.set_probing(true, world.now);
    world.later(100);
    world.answer_probes();
    world.shows(worker, "p0", 100);
    world.shows(worker, "p1", 2_000);
    world.later(100);
    let mut asked: Vec<_> = world.orders.iter().map(|order| order.ask.clone()).collect();
    asked.sort_by_key(|ask| format!("{ask:?}"));
    assert_eq!(asked, [event::Ask::Block(100), event::Ask::Block(2_000)]);
}

#[test]
fn a_lagging_channel_is_limited() {
    let mut world = World::of(&["p0", "p1", "p2"]);
    let worker = world.join(1, "a");
    [("p0", 100), ("p1", 100), ("p2", 80)]
        .into_iter()
        .for_each(|(provider, number)| world.shows(worker, provider, number));
    assert_eq!(world.status("p2").lag, Some(20));
    assert_eq!(world.status("p2").availability, view::Availability::Limited);
}

#[test]
fn block_times_are_measured_and_told() {
    let mut world = World::of(&["p0", "p1"]);
    let worker = world.join(1, "a");
    for block in 0..20 {
        world.shows(worker, "p0", 100 + block);
        world.later(2_000);
    }
    let chain = &world.fleet.view(world.now).chains[0];
    assert!(chain.block_time_measured && chain.block_time.0.abs_diff(2_000) < 60, "{}", chain.block_time);
    let told: Vec<_> = world.tables(worker).into_iter().flat_map(|table| table.block_times).collect();
    assert!(matches!(told[..], [(1, told)] if told.0.abs_diff(2_000) < 60), "{told:?}");
}

#[test]
fn what_one_worker_learned_all_are_told() {
    let mut world = World::of(&["p0", "p1"]);
    let (one, other) = (world.join(1, "a"), world.join(2, "b"));
    let teaches = |world: &mut World, worker, limit: Limit| {
        let lesson = Lesson { channel: channel("p0"), limit, left: Millis(60_000) };
        world.report(worker, Report { lessons: vec![lesson], ..Report::default() });
        world.later(200);
    };
    teaches(&mut world, one, Limit::Range(1_000));
    teaches(&mut world, one, Limit::Class(class("debug_traceCall")));
    let told = |world: &mut World| -> Vec<_> {
        world.tables(other).into_iter().flat_map(|table| table.lessons).map(|lesson| lesson.limit).collect()
    };
    assert_eq!(told(&mut world).len(), 3, "the second time both, for they belong to one channel");
    assert_eq!(world.status("p0").limits.len(), 2);
    teaches(&mut world, other, Limit::Range(1_000));
    assert_eq!(told(&mut world), [], "that is known");
    teaches(&mut world, other, Limit::Range(500));
    assert!(told(&mut world).contains(&Limit::Range(500)));
    world.later(60_000);
    assert_eq!(world.status("p0").limits.len(), 0);
}

#[test]
fn lessons_are_bounded() {
    let mut world = World::of(&["p0"]);
    let worker = world.join(1, "a");
    for round in 0..4_u64 {
        let lesson = |name: u64| Lesson {
            channel: channel("p0"),
            limit: Limit::Name(format!("x_{round}_{name}").into()),
            left: Millis(60_000 + round),
        };
        world.report(worker, Report { lessons: (0..200).map(lesson).collect(), ..Report::default() });
    }
    assert_eq!(world.status("p0").limits.len(), account::MOST_LESSONS);
}
