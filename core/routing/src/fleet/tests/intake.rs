//! Reports are counted, once.

use super::*;
use crate::report::{ChainTally, Selection, Stage};

#[test]
fn every_report_is_acknowledged_and_counts_once() {
    let mut world = World::of(&["p0"]);
    let worker = world.join(1, "a");
    world.says(worker, &[("p0", good(10))]);
    let again = Report { seq: 1, tallies: Vec::new(), ..Report::default() };
    world.event(Event::Reported(worker, Box::new(again)));
    assert_eq!(world.acks, [(worker, 1), (worker, 1)]);
    let totals = world.fleet.view(world.now).totals;
    assert_eq!((totals.reports, totals.repeated, totals.attempts), (1, 1, 10));
}

#[test]
fn a_report_sent_again_by_a_new_stream_of_the_same_vm_counts_once() {
    let mut world = World::of(&["p0"]);
    let worker = world.join(1, "a");
    world.says(worker, &[("p0", good(10))]);
    world.event(Event::Left(worker));
    world.later(500_000);
    let again = WorkerId(2);
    let hello = Hello { node: "a".into(), instance: 1, ..Hello::default() };
    world.event(Event::Joined(again, hello));
    world.says(again, &[("p0", good(10))]);
    assert_eq!(world.fleet.view(world.now).totals.attempts, 10);
    world.says(again, &[("p0", good(5))]);
    assert_eq!(world.fleet.view(world.now).totals.attempts, 15);
}

#[test]
fn who_left_is_forgotten_after_ten_minutes() {
    let mut world = World::of(&["p0"]);
    let worker = world.join(1, "a");
    world.says(worker, &[("p0", good(10))]);
    world.event(Event::Left(worker));
    assert_eq!(world.fleet.view(world.now).nodes.len(), 1);
    world.later(601_000);
    assert_eq!(world.fleet.view(world.now).nodes.len(), 0);
    assert_eq!(world.fleet.roster.covered(1), 0);
}

#[test]
fn what_the_catalog_does_not_have_is_counted_and_not_kept() {
    let mut world = World::of(&["p0"]);
    let worker = world.join(1, "a");
    world.says(worker, &[("nobody", good(10)), ("p0", good(1))]);
    world.shows(worker, "nobody", 7);
    let view = world.fleet.view(world.now);
    assert_eq!((view.totals.unknown, view.totals.attempts), (3, 1));
    assert_eq!((view.channels.len(), view.standings.len()), (1, 1));
}

#[test]
fn one_stream_too_many_is_refused() {
    let mut world = World::of(&["p0"]);
    for id in 0..=MOST_WORKERS as u64 {
        world.join(id, &format!("node {}", id / 8));
    }
    assert_eq!(world.refused, [WorkerId(MOST_WORKERS as u64)]);
    world.says(WorkerId(MOST_WORKERS as u64), &[("p0", good(1))]);
    assert_eq!(world.fleet.view(world.now).totals.attempts, 0);
}

#[test]
fn evidence_of_all_workers_is_one() {
    let mut world = World::of(&["p0", "p1"]);
    let (one, other) = (world.join(1, "a"), world.join(2, "b"));
    for _ in 0..10 {
        world.says(one, &[("p0", slow(5, 20)), ("p1", slow(1, 90))]);
        world.says(other, &[("p0", slow(5, 20))]);
        world.later(100);
    }
    let rows = world.fleet.view(world.now).standings;
    let row = |provider: &str| rows.iter().find(|row| &*row.provider == provider).unwrap();
    let (fast, slow) = (row("p0"), row("p1"));
    assert!((fast.mean.unwrap() - 20_000.0).abs() < 1.0 && fast.weight > 60.0);
    assert_eq!(fast.endings[Ending::Success as usize], 100);
    assert_eq!(fast.latencies, [(bucket_of(Micros(20_000)), 100)]);
    assert_eq!((fast.rank, slow.rank, fast.unqualified), (1, 2, None));
    assert!((fast.share - 10.0 / 11.0).abs() < 0.01, "{}", fast.share);
    assert!(fast.p50.is_some() && fast.index < slow.index);
}

#[test]
fn classes_are_told_apart() {
    let mut world = World::of(&["p0", "p1"]);
    let worker = world.join(1, "a");
    world.says_of("eth_call", worker, &[("p0", slow(50, 5)), ("p1", slow(50, 80))]);
    world.says_of("eth_getLogs", worker, &[("p0", slow(50, 80)), ("p1", slow(50, 5))]);
    let leaders: Vec<_> = world
        .fleet
        .view(world.now)
        .standings
        .iter()
        .filter(|row| row.rank == 1)
        .map(|row| row.provider.clone())
        .collect();
    assert_eq!(leaders, [Box::from("p0"), "p1".into()]);
}

#[test]
fn in_flight_is_the_sum_of_what_workers_last_said() {
    let mut world = World::of(&["p0"]);
    let (one, other) = (world.join(1, "a"), world.join(2, "a"));
    let says = |world: &mut World, worker, in_flight| {
        let channels = vec![ChannelTally { channel: channel("p0"), in_flight, ..ChannelTally::default() }];
        world.report(worker, Report { channels, ..Report::default() });
    };
    says(&mut world, one, 5);
    says(&mut world, other, 7);
    says(&mut world, one, 2);
    assert_eq!(world.status("p0").in_flight, 9);
    world.event(Event::Left(other));
    assert_eq!(world.status("p0").in_flight, 2);
}

#[test]
fn what_chains_count_adds_up_over_workers_and_reloads() {
    let mut world = World::of(&["p0"]);
    let workers = [world.join(1, "a"), world.join(2, "b")];
    let tally = |chain: &str| {
        let mut tally = ChainTally { profile: "public".into(), chain: chain.into(), ..ChainTally::default() };
        tally.counts.select(Selection::Degraded);
        tally.counts.reach(Stage::Answered);
        tally
    };
    for worker in workers {
        let chains = vec![tally("ethereum"), tally("ethereum"), tally("gone")];
        world.report(worker, Report { chains, ..Report::default() });
    }
    let catalog = Catalog::try_from(CatalogSpec { generation: "0000000000000002".into(), ..spec(&["p1"]) });
    world.fleet.adopt(&catalog.unwrap(), world.now);
    let view = world.fleet.view(world.now);
    assert_eq!(view.chains[0].selections[Selection::Degraded as usize], 4);
    assert_eq!(view.chains[0].requests[Stage::Answered as usize], 4);
    assert_eq!(view.totals.unknown, 2);
}

#[test]
fn what_there_was_no_room_for_is_shown() {
    let mut world = World::of(&["p0"]);
    let worker = world.join(1, "a");
    let dropped = crate::report::Dropped { coarsened: 3, lost: 1, ..Default::default() };
    world.report(worker, Report { dropped, ..Report::default() });
    world.report(worker, Report { dropped, ..Report::default() });
    let shown = world.fleet.view(world.now).nodes[0].dropped;
    assert_eq!((shown.coarsened, shown.lost), (6, 2));
    assert!(world.notices.contains(&Notice::Dropped { node: "a".into(), dropped }));
}

#[test]
fn a_new_catalog_keeps_what_belongs_to_channels_that_stay() {
    let mut world = World::of(&["p0", "p1", "p2"]);
    let worker = world.join(1, "a");
    world.says(worker, &[("p0", good(5)), ("p1", slow(7, 30)), ("p2", bad(Category::Network, 3))]);
    assert_eq!(world.breaker("p2"), "open");
    let catalog = Catalog::try_from(CatalogSpec { generation: "0000000000000002".into(), ..spec(&["p3", "p2", "p1"]) });
    world.fleet.adopt(&catalog.unwrap(), world.now);
    assert_eq!(world.breaker("p2"), "open");
    assert_eq!((world.breaker("p3"), world.breaker("p1")), ("closed", "closed"));
    let rows = world.fleet.view(world.now).standings;
    let found: Vec<_> = rows.iter().map(|row| (&*row.provider, row.endings[0])).collect();
    assert_eq!(found, [("p2", 0), ("p1", 7)]);
    world.says(worker, &[("p1", good(1))]);
    let rows = world.fleet.view(world.now).standings;
    assert_eq!(rows.iter().find(|row| &*row.provider == "p1").unwrap().endings[0], 8);
}
