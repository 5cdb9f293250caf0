//! Channels over WebSocket: what the hub tells of them, and what follows.

use super::*;
use crate::catalog::Transport;
use crate::fixture::with_sockets;
use crate::table::Barred;
use event::Ask;

/// Providers p0 and p1; p0 has a ws channel.
fn world() -> World {
    World::from(with_sockets(spec(&["p0", "p1"]), &["p0"]))
}

impl World {
    fn sockets(&mut self, provider: &str, connected: bool) {
        self.event(Event::Sockets { channel: channel(provider), connected });
    }

    fn head_came(&mut self, provider: &str, number: u64) {
        self.event(Event::HeadSeen { channel: channel(provider), number });
    }

    /// What tables said of it since this was last asked, and whether they were sent at once.
    fn told(&mut self, worker: WorkerId, provider: &str) -> Vec<bool> {
        let views = self.tables(worker).into_iter().flat_map(|table| table.channels);
        views.filter(|view| view.channel == channel(provider)).map(|view| view.connected).collect()
    }
}

#[test]
fn a_socket_that_comes_or_goes_is_told_at_once_and_once() {
    let mut world = world();
    let worker = world.join(1, "a");
    world.later(100);
    assert!(world.told(worker, "p0/ws").is_empty());
    world.sockets("p0/ws", true);
    assert_eq!(world.told(worker, "p0/ws"), [true]);
    world.sockets("p0/ws", true);
    world.later(500);
    assert!(world.told(worker, "p0/ws").is_empty());
    let late = world.join(2, "b");
    assert_eq!(world.told(late, "p0/ws"), [true]);
    world.sockets("p0/ws", false);
    assert_eq!(world.told(worker, "p0/ws"), [false]);
}

#[test]
fn a_socket_is_only_of_a_ws_channel_that_is_known() {
    let mut world = world();
    let worker = world.join(1, "a");
    world.later(100);
    world.tables(worker);
    for other in ["p0", "p9/ws"] {
        world.sockets(other, true);
        world.head_came(other, 5);
    }
    assert!(world.tables(worker).iter().all(|table| table.channels.is_empty()));
}

#[test]
fn a_new_catalog_keeps_the_sockets_of_channels_that_stay() {
    let mut world = world();
    world.sockets("p0/ws", true);
    let catalog = |providers: &[&str]| Catalog::try_from(with_sockets(spec(providers), &["p0"])).unwrap();
    world.fleet.adopt(&catalog(&["p1", "p0", "p2"]), world.now);
    let worker = world.join(1, "a");
    world.later(100);
    assert_eq!(world.told(worker, "p0/ws"), [true]);
    world.fleet.adopt(&Catalog::try_from(spec(&["p0"])).unwrap(), world.now);
    world.fleet.adopt(&catalog(&["p0"]), world.now);
    assert_eq!(world.status("p0/ws").connected, Some(false));
}

#[test]
fn people_see_which_ws_channels_are_connected() {
    let mut world = world();
    let shown = |world: &World, provider: &str| {
        let status = world.status(provider);
        (status.transport, status.connected, status.availability.name())
    };
    assert_eq!(shown(&world, "p0"), (Transport::Http, None, "up"));
    assert_eq!(shown(&world, "p0/ws"), (Transport::Ws, Some(false), "down"));
    world.sockets("p0/ws", true);
    assert_eq!(shown(&world, "p0/ws"), (Transport::Ws, Some(true), "up"));
}

#[test]
fn no_probe_goes_to_a_ws_channel_and_its_opening_ends_by_the_clock() {
    let mut world = world();
    world.fleet.set_probing(true, world.now);
    let worker = world.join(1, "a");
    world.sockets("p0/ws", true);
    world.says(worker, &[("p0/ws", good(10)), ("p0", good(10)), ("p1", good(10))]);
    world.later(1_000);
    world.says(worker, &[("p0/ws", bad(Category::Network, 3))]);
    assert_eq!(world.breaker("p0/ws"), "open");
    for _ in 0..15 {
        world.later(100);
        assert!(world.orders.iter().all(|order| order.channel != channel("p0/ws")), "{:?}", world.orders);
        world.answer_probes();
    }
    assert_eq!(world.breaker("p0/ws"), "half-open");
}

#[test]
fn trials_go_to_channels_with_a_socket() {
    let mut world = world();
    let worker = world.join(1, "a");
    world.sockets("p0/ws", true);
    world.says(worker, &[("p0/ws", good(10)), ("p0", good(10)), ("p1", good(10))]);
    world.later(1_000);
    world.says(worker, &[("p0/ws", bad(Category::Network, 3))]);
    world.sockets("p0/ws", false);
    world.later(3_000);
    world.says(worker, &[("p0", good(1))]);
    world.later(100);
    assert_eq!(world.trials(), []);
    world.sockets("p0/ws", true);
    world.later(100);
    assert_eq!(world.trials(), [worker]);
}

#[test]
fn a_channel_without_a_socket_is_not_explored() {
    let explored = |connected: bool| {
        let mut world = World::from(with_sockets(spec(&["p0"]), &["p0"]));
        let worker = world.join(1, "a");
        world.sockets("p0/ws", connected);
        for _ in 0..20 {
            world.says(worker, &[("p0", good(100))]);
            world.later(500);
        }
        let tables = world.tables(worker);
        let leases = tables.iter().flat_map(|table| &table.leases);
        leases
            .filter(|lease| matches!(&lease.right, Right::Explore { channel, .. } if **channel == *"ethereum/p0/ws"))
            .count()
    };
    assert!(explored(true) > 0);
    assert_eq!(explored(false), 0);
}

#[test]
fn a_ws_channel_is_company_while_it_has_a_socket() {
    // The only admitted one opens on silence, and on nothing else.
    let opened = |connected: bool| {
        let mut world = World::from(with_sockets(spec(&["p0"]), &["p0"]));
        let worker = world.join(1, "a");
        world.sockets("p0/ws", connected);
        world.says(worker, &[("p0", bad(Category::Server, 20))]);
        world.breaker("p0")
    };
    assert_eq!((opened(true), opened(false)), ("open", "closed"));
}

#[test]
fn a_ws_channel_that_answers_for_another_chain_is_barred_until_it_does_not() {
    let mut world = world();
    let worker = world.join(1, "a");
    world.sockets("p0/ws", true);
    world.later(100);
    world.tables(worker);
    world.found("p0/ws", Found::ChainId(137));
    assert_eq!((world.status("p0/ws").barred, world.status("p0").barred), (Some(Barred::WrongChain), None));
    assert!(matches!(world.notices.last(), Some(Notice::Barred { .. })), "{:?}", world.notices);
    assert!(world.tables(worker).iter().flat_map(|table| &table.channels).any(|view| view.barred.is_some()));
    world.head_came("p0/ws", 5_000);
    assert_eq!(world.status("p0/ws").head, None, "it speaks of another chain");
    world.found("p0/ws", Found::ChainId(1));
    assert_eq!(world.status("p0/ws").barred, None);
}

#[test]
fn what_the_hub_hears_says_nothing_about_the_way_of_probes() {
    let mut world = world();
    world.fleet.set_probing(true, world.now);
    for _ in 0..40 {
        world.later(100);
        for order in std::mem::take(&mut world.orders) {
            world.event(Event::Probed(Probe {
                channel: order.channel,
                started: Millis(20),
                latency: Micros(20_000),
                found: Found::NotSent,
            }));
        }
        world.found("p0/ws", Found::ChainId(1));
    }
    assert!(!world.fleet.prober.runs(world.now));
}

#[test]
fn new_heads_are_heads_and_spare_probes() {
    let heads = |live: bool| {
        let mut world = world();
        world.fleet.set_probing(true, world.now);
        let mut asked = [0, 0];
        for tick in 0..1_200_u64 {
            world.later(100);
            if live && tick % 120 == 0 {
                world.head_came("p0/ws", 100 + tick / 120);
            }
            for (count, provider) in asked.iter_mut().zip(["p0", "p1"]) {
                let its =
                    world.orders.iter().filter(|order| order.channel == channel(provider) && order.ask == Ask::Head);
                *count += its.count();
            }
            world.answer_probes();
        }
        (world, asked)
    };
    let (world, [own, other]) = heads(true);
    assert!((9..=11).contains(&other) && (3..=4).contains(&own), "{own} and {other} in 120 s of 12 s blocks");
    assert_eq!(world.status("p0/ws").head, Some(109));
    let (_, [own, _]) = heads(false);
    assert!((9..=11).contains(&own), "{own}");
}

#[test]
fn when_new_heads_end_heads_are_asked_for_as_before() {
    let mut world = world();
    world.fleet.set_probing(true, world.now);
    for block in 0..6 {
        world.head_came("p0/ws", 100 + block);
        for _ in 0..120 {
            world.later(100);
            world.answer_probes();
        }
    }
    let mut waited = 0;
    loop {
        world.later(100);
        waited += 100;
        if world.orders.iter().any(|order| order.channel == channel("p0") && order.ask == Ask::Head) {
            break;
        }
        world.answer_probes();
    }
    assert!(waited <= 26_000, "{waited} ms, two block times after the last head");
}

#[test]
fn a_lone_leader_over_ws_proves_its_head_over_http() {
    let mut world = World::from(with_sockets(spec(&["p0", "p1", "p2"]), &["p0"]));
    let worker = world.join(1, "a");
    world.fleet.set_probing(true, world.now);
    world.shows(worker, "p1", 100);
    world.shows(worker, "p2", 101);
    world.head_came("p0/ws", 1_100);
    assert_eq!(world.fleet.view(world.now).chains[0].best_head, Some(101));
    assert!(world.status("p0/ws").unproved);
    world.later(100);
    world.answer_probes();
    world.later(100);
    assert!(world.orders.contains(&Order { channel: channel("p0"), ask: Ask::Block(1_100) }), "{:?}", world.orders);
    world.found("p0", Found::Block(1_100));
    assert!(!world.status("p0/ws").unproved);
    assert_eq!(world.fleet.view(world.now).chains[0].best_head, Some(1_100));
}

#[test]
fn a_channel_that_was_not_heard_of_has_its_siblings_head() {
    let mut world = world();
    world.head_came("p0/ws", 100);
    assert_eq!((world.status("p0").head, world.status("p0").head_age), (Some(100), None));
    let mut world = self::world();
    let worker = world.join(1, "a");
    world.shows(worker, "p0", 100);
    assert_eq!(world.status("p0/ws").head, Some(100));
}
