//! What outlives a restart.

use super::*;
use crate::table::Barred;
use event::Manual;

/// A second life, `ago` after what the first one saved.
fn reborn(world: &World, ago: u64) -> World {
    let (channels, evidence) = (world.fleet.saved_channels(world.now), world.fleet.saved_evidence(world.now));
    let text = serde_json::to_string(&(channels, evidence)).unwrap();
    let (channels, evidence) = serde_json::from_str(&text).unwrap();
    let mut again = World::of(&["p0", "p1", "p2"]);
    again.now = world.now.plus(Millis(ago));
    again.fleet = Fleet::new(8);
    again.fleet.adopt(&Catalog::try_from(spec(&["p2", "p1", "p0"])).unwrap(), again.now);
    again.fleet.restore(&channels, &evidence, Millis(ago), again.now);
    again
}

fn lived() -> World {
    let mut world = World::of(&["p0", "p1", "p2"]);
    let worker = world.join(1, "a");
    world.says(worker, &[("p0", bad(Category::Server, 5)), ("p1", slow(200, 40))]);
    let refused = ChannelTally {
        channel: channel("p1"),
        refusals: 1,
        told_to_wait: Some(Millis(5_000)),
        ..ChannelTally::default()
    };
    world.report(worker, Report { channels: vec![refused], ..Report::default() });
    world.event(Event::Decided { channel: channel("p2"), decision: Manual::Open });
    world
}

#[test]
fn breakers_marks_and_decisions_are_as_before() {
    let world = lived();
    let mut again = reborn(&world, 300);
    assert_eq!((again.breaker("p0"), again.breaker("p1"), again.breaker("p2")), ("open", "closed", "open"));
    assert_eq!(again.status("p1").limited, Some(Millis(4_700)));
    assert_eq!(again.status("p2").manual, Manual::Open);
    again.later(5_000);
    assert_eq!((again.breaker("p0"), again.breaker("p2")), ("half-open", "open"));
    assert!(again.notices.contains(&Notice::RateLimitEnded { channel: channel("p1") }));
    assert_eq!(reborn(&world, 5_000).breaker("p0"), "half-open");
}

#[test]
fn an_opening_that_ended_meanwhile_is_half_open_also_where_probes_run() {
    let mut again = reborn(&lived(), 5_000);
    again.fleet.set_probing(true, again.now);
    again.later(100);
    assert_eq!(again.breaker("p0"), "half-open");
}

#[test]
fn evidence_is_as_before_and_older() {
    let world = lived();
    let again = reborn(&world, 60_000);
    let row = |world: &World, provider: &str| {
        let rows = world.fleet.view(world.now).standings;
        rows.into_iter().find(|row| &*row.provider == provider).unwrap()
    };
    let (before, after) = (row(&world, "p1"), row(&again, "p1"));
    assert_eq!((before.mean, before.age), (after.mean, Millis(after.age.0 - 60_000)));
    assert!((after.weight - before.weight / 2.0).abs() < 0.3);
    assert_eq!(row(&again, "p0").unqualified, Some(view::Unqualified::FailingNow));
}

#[test]
fn a_worker_is_told_what_was_restored() {
    let mut again = reborn(&lived(), 300);
    let worker = again.join(1, "a");
    let table = again.tables(worker).remove(0);
    assert_eq!((table.cells.len(), table.channels.len()), (2, 3));
}

#[test]
fn trials_of_the_life_before_are_not_those_of_this_one() {
    let world = lived();
    let again = reborn(&world, 5_000);
    let opening = |world: &World| world.fleet.accounts[world.fleet.channels[&channel("p0")]].breaker.openings();
    assert_ne!(opening(&world), opening(&again));
    assert_eq!(again.status("p0").openings, 1);
}

#[test]
fn a_bar_is_kept() {
    let mut world = lived();
    world.found("p1", Found::ChainId(9));
    assert_eq!(reborn(&world, 100).status("p1").barred, Some(Barred::WrongChain));
}

#[test]
fn what_is_as_it_starts_is_not_written() {
    let world = World::of(&["p0"]);
    assert_eq!(world.fleet.saved_channels(world.now), saved::SavedChannels::default());
    assert_eq!(world.fleet.saved_evidence(world.now), saved::SavedEvidence::default());
}
