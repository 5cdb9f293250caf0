//! Envoys whose own way is broken.

use super::*;

const SILENT: Saw = bad(Category::Network, 3);
const BOTH_SILENT: [(&str, Saw); 2] = [("p0", SILENT), ("p1", SILENT)];
const BOTH_GOOD: [(&str, Saw); 2] = [("p0", good(5)), ("p1", good(5))];

#[test]
fn an_envoy_that_fails_where_others_do_not_opens_nothing_and_is_set_aside() {
    let mut world = World::of(&["p0", "p1", "p2"]);
    let (broken, sound) = (world.join(1, "a"), world.join(2, "b"));
    for _ in 0..20 {
        world.says(sound, &BOTH_GOOD);
        world.says(broken, &BOTH_SILENT);
        world.later(100);
    }
    assert_eq!((world.breaker("p0"), world.breaker("p1")), ("closed", "closed"));
    assert!(world.notices.contains(&Notice::SetAside { node: "a".into() }));
    assert!(world.tables(broken).last().unwrap().set_aside);
    assert!(!world.tables(sound).last().unwrap().set_aside);
    // What it says afterwards is counted, and is no evidence.
    let rows = world.fleet.view(world.now).standings;
    assert!(rows[0].endings[Ending::Network as usize] > 50);
    assert!(rows[0].success > 0.9, "{}", rows[0].success);
    // One failure of the sound one does not make two witnesses.
    world.says(sound, &[("p0", bad(Category::Network, 1))]);
    world.says(broken, &BOTH_SILENT);
    assert_eq!(world.breaker("p0"), "closed");
}

#[test]
fn it_counts_again_when_it_is_answered_again() {
    let mut world = World::of(&["p0", "p1", "p2"]);
    let (broken, sound) = (world.join(1, "a"), world.join(2, "b"));
    for _ in 0..3 {
        world.says(broken, &BOTH_SILENT);
        world.says(sound, &BOTH_GOOD);
        world.later(1_000);
    }
    assert!(world.fleet.view(world.now).nodes[0].set_aside);
    world.says(broken, &BOTH_GOOD);
    assert!(!world.fleet.view(world.now).nodes[0].set_aside);
    let told: Vec<_> = world
        .notices
        .iter()
        .filter(|notice| matches!(notice, Notice::SetAside { .. } | Notice::Returned { .. }))
        .collect();
    assert_eq!(told, [&Notice::SetAside { node: "a".into() }, &Notice::Returned { node: "a".into() }]);
}

#[test]
fn one_envoy_alone_is_never_set_aside() {
    let mut world = World::of(&["p0", "p1"]);
    let worker = world.join(1, "a");
    world.says(worker, &BOTH_GOOD);
    world.later(500);
    world.says(worker, &BOTH_SILENT);
    assert_eq!(world.breaker("p0"), "open");
    world.later(1_000);
    assert!(!world.fleet.view(world.now).nodes[0].set_aside);
}

#[test]
fn probes_are_no_witness_against_the_only_envoy() {
    let mut world = World::of(&["p0", "p1", "p2"]);
    let worker = world.join(1, "a");
    world.says(worker, &BOTH_GOOD);
    // Providers that flap: each probe comes at a good moment.
    for _ in 0..20 {
        world.later(500);
        world.says(worker, &BOTH_SILENT);
        for provider in ["p0", "p1", "p2"] {
            world.found(provider, Found::Head(5));
        }
    }
    assert!(!world.notices.iter().any(|notice| matches!(notice, Notice::SetAside { .. })), "{:?}", world.notices);
    assert!(!world.tables(worker).iter().any(|table| table.set_aside));
    assert!(world.notices.iter().any(|notice| matches!(notice, Notice::BreakerOpened { .. })), "its failures are real");
}

#[test]
fn who_becomes_the_only_one_counts_again() {
    let mut world = World::of(&["p0", "p1", "p2"]);
    let (broken, sound) = (world.join(1, "a"), world.join(2, "b"));
    for _ in 0..3 {
        world.says(sound, &BOTH_GOOD);
        world.says(broken, &BOTH_SILENT);
        world.later(1_000);
    }
    assert!(world.tables(broken).last().unwrap().set_aside);
    world.event(Event::Left(sound));
    for _ in 0..11 {
        world.later(1_000);
        world.says(broken, &BOTH_SILENT);
    }
    assert!(world.notices.contains(&Notice::Returned { node: "a".into() }));
    assert!(!world.tables(broken).last().unwrap().set_aside);
    assert_ne!((world.breaker("p0"), world.breaker("p1")), ("closed", "closed"));
}

#[test]
fn when_providers_die_for_all_nobody_is_set_aside() {
    let mut world = World::of(&["p0", "p1", "p2"]);
    let (one, other) = (world.join(1, "a"), world.join(2, "b"));
    world.says(one, &BOTH_GOOD);
    world.says(other, &BOTH_GOOD);
    world.later(600);
    world.says(one, &BOTH_SILENT);
    world.says(other, &BOTH_SILENT);
    assert_eq!((world.breaker("p0"), world.breaker("p1")), ("open", "open"));
    assert!(!world.notices.iter().any(|notice| matches!(notice, Notice::SetAside { .. })));
}

#[test]
fn failing_on_one_channel_is_the_channels_matter() {
    let mut world = World::of(&["p0", "p1", "p2"]);
    let (one, other) = (world.join(1, "a"), world.join(2, "b"));
    world.says(one, &[("p0", SILENT)]);
    world.later(100);
    world.says(other, &[("p0", good(5))]);
    world.later(1_500);
    assert!(!world.fleet.view(world.now).nodes.iter().any(|node| node.set_aside));
}
