//! Trials and explorations.

use super::*;
use crate::table::Lease;

const SILENT: Saw = bad(Category::Network, 3);

/// Six workers on three Envoys; p0 is half-open and all of them use the chain.
fn half_open() -> World {
    let mut world = World::of(&["p0", "p1"]);
    let workers: Vec<_> = (0..6).map(|id| world.join(id, ["a", "b", "c"][id as usize / 2])).collect();
    workers.iter().for_each(|&worker| world.says(worker, &[("p0", SILENT), ("p1", good(1))]));
    assert_eq!(world.breaker("p0"), "open");
    world.later(900);
    workers.iter().for_each(|&worker| world.says(worker, &[("p1", good(1))]));
    world.sent.clear();
    world.later(300);
    assert_eq!(world.breaker("p0"), "half-open");
    world
}

#[test]
fn four_trials_are_out_at_once_on_as_many_envoys_as_there_are() {
    let mut world = half_open();
    let mut nodes: Vec<_> = world.trials().iter().map(|worker| worker.0 / 2).collect();
    assert_eq!(nodes.len(), 4);
    nodes.sort_unstable();
    nodes.dedup();
    assert_eq!(nodes, [0, 1, 2]);
}

#[test]
fn a_trial_that_nobody_made_is_somebody_elses_after_two_seconds() {
    let mut world = half_open();
    assert_eq!(world.trials().len(), 4);
    for _ in 0..16 {
        world.later(100);
        (0..6).for_each(|worker| world.says(WorkerId(worker), &[("p1", good(1))]));
    }
    assert_eq!(world.trials().len(), 0);
    world.later(500);
    assert_eq!(world.trials().len(), 4);
}

#[test]
fn a_trial_that_was_made_frees_its_place_and_success_closes() {
    let mut world = half_open();
    let first = world.trials()[0];
    world.tried(first, "p0", None);
    world.later(100);
    assert_eq!(world.trials().len(), 1);
    world.tried(first, "p0", None);
    assert_eq!(world.breaker("p0"), "closed");
}

#[test]
fn where_little_is_asked_the_last_to_ask_has_a_minute_for_its_trial() {
    let mut world = half_open();
    world.says(WorkerId(5), &[("p1", good(1))]);
    world.sent.clear();
    world.later(5_000);
    assert_eq!(world.trials(), [WorkerId(5)], "nobody used the chain in the last second");
    world.later(30_000);
    assert_eq!(world.trials().len(), 0, "it still has that one");
    world.tried(WorkerId(5), "p0", None);
    world.later(5_000);
    world.tried(WorkerId(5), "p0", None);
    assert_eq!(world.breaker("p0"), "closed");
}

#[test]
fn probes_that_are_switched_on_take_no_trial_back() {
    let mut world = half_open();
    world.later(5_000);
    world.fleet.set_probing(true, world.now);
    world.later(100);
    assert_eq!((world.breaker("p0"), world.status("p0").waits_for_probe), ("half-open", false));
}

#[test]
fn who_has_not_used_the_chain_for_a_minute_gets_no_trial() {
    let mut world = half_open();
    world.later(61_000);
    world.sent.clear();
    world.later(5_000);
    assert_eq!(world.trials().len(), 0);
    world.says(WorkerId(5), &[("p1", good(1))]);
    world.later(100);
    assert_eq!(world.trials(), [WorkerId(5)]);
}

#[test]
fn a_lease_says_what_for_and_how_long() {
    let world = half_open();
    let lease = world.sent.iter().flat_map(|(_, table)| &table.leases).next().unwrap();
    let opening = world.fleet.accounts[0].breaker.openings();
    assert_eq!(lease, &Lease { right: Right::Trial { channel: channel("p0"), opening }, left: Millis(2_000) });
}

/// Calls of a class, all of p0, for so long; whom exploring was leased for.
fn explored(world: &mut World, worker: WorkerId, method: &str, calls: u32, rounds: u32) -> Vec<String> {
    let mut explored = Vec::new();
    for _ in 0..rounds {
        world.says_of(method, worker, &[("p0", good(calls))]);
        world.later(1_000);
        for table in world.tables(worker) {
            for lease in table.leases {
                if let Right::Explore { channel, .. } = lease.right {
                    explored.push(channel.split('/').nth(1).unwrap().to_owned());
                }
            }
        }
    }
    explored
}

#[test]
fn quiet_channels_are_explored_for_one_call_in_two_hundred() {
    let mut world = World::of(&["p0", "p1", "p2"]);
    let worker = world.join(1, "a");
    let found = explored(&mut world, worker, "eth_chainId", 50, 40);
    assert!((8..=10).contains(&found.len()), "2,000 calls: {found:?}");
    assert!(found.iter().all(|provider| provider != "p0"));
    assert!(found.contains(&"p1".into()) && found.contains(&"p2".into()));
    assert_eq!(world.fleet.view(world.now).totals.explorations, found.len() as u64);
}

#[test]
fn five_seconds_lie_between_two_explorations_of_a_channel() {
    let mut world = World::of(&["p0", "p1"]);
    let worker = world.join(1, "a");
    let found = explored(&mut world, worker, "eth_chainId", 100_000, 30);
    assert!((5..=6).contains(&found.len()), "{found:?}");
}

#[test]
fn what_is_not_cheap_not_admitted_or_not_served_is_not_explored() {
    let mut world = World::of(&["p0", "p1"]);
    let worker = world.join(1, "a");
    assert!(explored(&mut world, worker, "eth_getLogs", 10_000, 10).is_empty(), "not cheap");
    let decision = event::Manual::Open;
    world.event(Event::Decided { channel: channel("p1"), decision });
    assert!(explored(&mut world, worker, "eth_chainId", 10_000, 10).is_empty(), "open");
    for change in [
        |spec: &mut CatalogSpec| spec.profiles[0].explore = false,
        |spec: &mut CatalogSpec| spec.profiles[0].chains[0].strategy = "priority".into(),
        |spec: &mut CatalogSpec| {
            let capabilities = &mut spec.profiles[0].chains[0].providers[1].capabilities;
            capabilities.unsupported_methods = vec!["eth_chain*".into()];
        },
    ] {
        let mut spec = spec(&["p0", "p1"]);
        change(&mut spec);
        let mut world = World::from(spec);
        let worker = world.join(1, "a");
        assert!(explored(&mut world, worker, "eth_chainId", 10_000, 10).is_empty());
    }
}

#[test]
fn a_pleasant_surprise_is_followed_up_at_once() {
    let mut world = World::of(&["p0", "p1"]);
    let worker = world.join(1, "a");
    world.says_of("eth_chainId", worker, &[("p0", slow(60, 20)), ("p1", slow(60, 200))]);
    let found = explored(&mut world, worker, "eth_chainId", 2_000, 7);
    assert_eq!(found, ["p1"]);
    world.says_of("eth_chainId", worker, &[("p1", slow(1, 5)), ("p0", good(1))]);
    world.later(100);
    let leases: usize = world.tables(worker).iter().map(|table| table.leases.len()).sum();
    assert_eq!(leases, 1);
}
