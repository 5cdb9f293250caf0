//! What a worker knows of ws channels.

use super::reload;
use crate::breaker::Category;
use crate::fixture::{DONE, LATEST, World, failed, spec, with_sockets};
use crate::ledger::PATIENCE;
use crate::table::Table;

/// Providers a and b; a has a live ws channel.
fn world() -> World {
    let mut world = World::from(with_sockets(spec(&["a", "b"]), &["a"]));
    world.sockets("a/ws", true);
    world
}

#[track_caller]
fn check(world: &mut World, order: &str) {
    assert_eq!(world.order("eth_call", LATEST), order);
}

#[test]
fn without_tables_the_last_word_holds() {
    let mut world = world();
    world.later(10 * PATIENCE.0);
    world.ledger.tick(world.now);
    assert!(world.ledger.is_alone(world.now));
    check(&mut world, "a b a/ws");
}

#[test]
fn a_full_table_that_does_not_name_it_says_that_it_has_no_socket() {
    let mut world = world();
    world.ledger.follow_table(&Table { full: true, ..Table::default() }, world.now);
    check(&mut world, "a b");
}

#[test]
fn a_delta_about_others_changes_nothing() {
    let mut world = world();
    world.ledger.follow_table(&Table::default(), world.now);
    check(&mut world, "a b a/ws");
}

#[test]
fn a_new_catalog_keeps_what_was_said_of_a_channel_that_stays() {
    let mut world = world();
    reload(&mut world, &["b", "a"], "0000000000000002", |spec| *spec = with_sockets(spec.clone(), &["a"]));
    check(&mut world, "b a a/ws");
    reload(&mut world, &["a", "b"], "0000000000000003", |_| {});
    reload(&mut world, &["a", "b"], "0000000000000004", |spec| *spec = with_sockets(spec.clone(), &["a"]));
    check(&mut world, "a b");
}

#[test]
fn a_channel_without_a_socket_is_no_company() {
    // The only admitted one opens on silence, and on nothing else.
    let opens = |connected: bool| {
        let mut world = World::from(with_sockets(spec(&["a"]), &["a"]));
        world.sockets("a/ws", connected);
        for _ in 0..8 {
            world.attempt("a", "eth_call", &failed(Category::Server));
            world.later(200);
        }
        world.ledger.breaker_state(world.channel("a"), world.now).name()
    };
    assert_eq!((opens(true), opens(false)), ("open", "closed"));
}

#[test]
fn a_ws_channel_that_showed_no_head_has_its_siblings() {
    let mut world = World::from(with_sockets(spec(&["a", "b"]), &["a"]));
    world.sockets("a/ws", true);
    world.attempt_showing("a", "eth_blockNumber", &DONE, Some(90));
    world.attempt_showing("b", "eth_getBlockByNumber", &DONE, Some(100));
    check(&mut world, "b");
    world.attempt_showing("a/ws", "eth_blockNumber", &DONE, Some(100));
    check(&mut world, "b a/ws");
    world.later(29_000).attempt_showing("b", "eth_getBlockByNumber", &DONE, Some(102));
    world.attempt_showing("a/ws", "eth_blockNumber", &DONE, Some(102));
    world.later(5_000);
    check(&mut world, "a b a/ws");
}

#[test]
fn two_transports_of_a_provider_are_one_voice() {
    let mut world = World::from(with_sockets(spec(&["a", "b", "c"]), &["a"]));
    for (provider, number) in [("a", 5_000), ("a/ws", 5_001), ("b", 100), ("c", 101)] {
        world.attempt_showing(provider, "eth_blockNumber", &DONE, Some(number));
    }
    assert_eq!(world.ledger.best_head(world.chain(), world.now), Some(101), "nobody but itself says so");
    world.attempt_showing("a/ws", "eth_getBlockByNumber", &DONE, Some(5_001));
    assert_eq!(world.ledger.best_head(world.chain(), world.now), Some(5_001));
    let mut alone = World::from(with_sockets(spec(&["a"]), &["a"]));
    alone.attempt_showing("a", "eth_blockNumber", &DONE, Some(7));
    alone.attempt_showing("a/ws", "eth_blockNumber", &DONE, Some(70));
    assert_eq!(alone.ledger.best_head(alone.chain(), alone.now), Some(70), "a single voice is taken as it is");
}
