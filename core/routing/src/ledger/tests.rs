mod balance;
mod chains;
mod following;
mod reporting;
mod sockets;

use crate::breaker::{Category, State};
use crate::candidate::Because;
use crate::catalog::Catalog;
use crate::catalog::spec::{CatalogSpec, TransportSpec};
use crate::fixture::{DONE, LATEST, World, at, chain_spec, channel_spec, failed, marked, number, profile_spec, spec};
use crate::ledger::End;
use crate::outcome::{Mark, Verdict};
use crate::plan::Why;
use crate::time::{Micros, Millis};
use lasso_jsonrpc::method::Method;

/// The same providers in another order, of another generation.
fn reload(world: &mut World, providers: &[&str], generation: &str, change: impl FnOnce(&mut CatalogSpec)) {
    let mut spec = spec(providers);
    spec.generation = generation.into();
    change(&mut spec);
    world.catalog = Catalog::try_from(spec).unwrap();
    world.ledger.adopt(&world.catalog, world.now);
    world.asked("/rpc/ethereum");
}

#[test]
fn calls_in_flight_are_counted_until_they_end() {
    let mut world = World::of(&["a"]);
    let plan = world.plan("eth_call", LATEST).unwrap();
    let (one, two) = (world.begin(&plan, 0), world.begin(&plan, 0));
    assert_eq!(world.ledger.in_flight(world.channel("a")), 2);
    let method = Method::of("eth_call");
    for begun in [one, two] {
        let end = world.end(begun, &method, &LATEST, &DONE);
        world.ledger.settle(&end);
    }
    assert_eq!(world.ledger.in_flight(world.channel("a")), 0);
}

#[test]
fn a_new_catalog_keeps_what_was_learned_about_channels_that_stay() {
    let mut world = World::of(&["a", "b", "c"]);
    world.attempt_showing("b", "eth_blockNumber", &DONE, Some(1_000));
    world.learn("b", "debug_foo", LATEST, Mark::BanMethod(Millis::from_secs(300)));
    world.attempt("c", "eth_call", &marked(Mark::RateLimited(Some(Millis(60_000)))));
    world.silence("a");
    world.attempt("b", "eth_call", &DONE);

    reload(&mut world, &["c", "d", "b"], "2", |_| {});
    assert!(matches!(world.reason("b", "debug_foo", LATEST), Some(Because::LacksMethod { .. })));
    assert!(world.ledger.limited_until(world.channel("c"), world.now).is_some());
    assert_eq!(world.ledger.best_head(world.chain(), world.now), Some(1_000));
    assert_eq!(world.ledger.breaker_state(world.channel("d"), world.now), State::Closed);
    let desk = super::Desk {
        chain: world.chain(),
        class: lasso_jsonrpc::method::MethodClass::of(&Method::of("eth_call"), &LATEST),
    };
    let weight = |place| world.ledger.standing(desk, place, Millis(500), world.now).unwrap().n;
    assert!(weight(2) > 0.9 && weight(1) == 0.0);
    // What went and came back starts anew.
    reload(&mut world, &["a"], "3", |_| {});
    assert_eq!(world.ledger.breaker_state(world.channel("a"), world.now), State::Closed);
}

#[test]
fn an_attempt_that_began_before_a_reload_ends_where_its_channel_is_now() {
    let mut world = World::of(&["a", "b"]);
    let plan = world.plan("eth_call", LATEST).unwrap();
    let (a, b) = (world.begin(&plan, 0), world.begin(&plan, 1));
    for generation in ["2", "3"] {
        reload(&mut world, &["x", "b"], generation, |_| {});
    }
    reload(&mut world, &["b"], "4", |_| {});
    let method = Method::of("eth_call");
    let limited = marked(Mark::RateLimited(Some(Millis(60_000))));
    for begun in [a, b] {
        let end = world.end(begun, &method, &LATEST, &limited);
        world.ledger.settle(&end);
        world.ledger.learned(&end);
    }
    assert_eq!(world.ledger.in_flight(world.channel("b")), 0);
    assert!(world.ledger.limited_until(world.channel("b"), world.now).is_some());
    // And one that begins only now, under a plan of long ago.
    let late = world.ledger.begin(&plan.candidates[0], &plan, world.now);
    world.ledger.settle(&world.end(late, &method, &LATEST, &DONE));
    assert_eq!(world.ledger.in_flight(world.channel("b")), 0);
}

#[test]
fn another_key_is_tried_at_once_where_the_old_one_was_refused() {
    for (category, state) in [(Category::Auth, State::HalfOpen), (Category::Network, State::Open { until: at(0) })] {
        let mut world = World::of(&["a", "b"]);
        for method in ["eth_call", "eth_getBalance", "eth_call", "eth_getBalance"] {
            world.attempt("a", method, &failed(category));
            world.later(200);
        }
        assert!(matches!(world.ledger.breaker_state(world.channel("a"), world.now), State::Open { .. }));
        reload(&mut world, &["a", "b"], "2", |spec| spec.channels[0].path = "/v2/another".into());
        let found = world.ledger.breaker_state(world.channel("a"), world.now);
        assert_eq!(std::mem::discriminant(&found), std::mem::discriminant(&state), "{category:?}");
    }
}

#[test]
fn an_attempt_of_a_forgotten_era_is_ignored() {
    let mut world = World::of(&["a"]);
    let plan = world.plan("eth_call", LATEST).unwrap();
    let begun = world.begin(&plan, 0);
    for generation in 2..12 {
        reload(&mut world, &["a"], &generation.to_string(), |_| {});
    }
    let method = Method::of("eth_call");
    assert_eq!(world.ledger.settle(&world.end(begun, &method, &LATEST, &DONE)), None);
    assert_eq!(world.ledger.lost(), 1);
    let told = |world: &mut World| {
        let report = world.ledger.report(world.now).cloned()?;
        world.ledger.acked(report.seq);
        Some(report.dropped.lost)
    };
    assert_eq!((told(&mut world), told(&mut world)), (Some(1), None));
}

#[test]
fn planning_with_a_catalog_that_was_not_adopted_adopts_it() {
    let mut world = World::of(&["a"]);
    let mut spec = spec(&["b", "a"]);
    spec.generation = "2".into();
    world.catalog = Catalog::try_from(spec).unwrap();
    world.asked("/rpc/ethereum");
    assert_eq!(world.order("eth_call", LATEST), "b a");
}

#[test]
fn profiles_share_breakers_marks_and_heads_but_not_evidence() {
    let mut spec = spec(&["a", "b"]);
    spec.profiles.push(profile_spec("paid", vec![chain_spec("ethereum", 1, &["a", "b"])]));
    let mut world = World::from(spec);
    world.silence("a");
    world.attempt_showing("b", "eth_blockNumber", &DONE, Some(5));
    world.asked("/rpc/profile/paid/ethereum");
    assert_eq!(world.order("eth_blockNumber", LATEST), "b (a)");
    assert_eq!(world.ledger.best_head(world.chain(), world.now), Some(5));
    let desk = |world: &World| super::Desk {
        chain: world.chain(),
        class: lasso_jsonrpc::method::MethodClass::of(&Method::of("eth_blockNumber"), &LATEST),
    };
    let weight = |world: &World| world.ledger.standing(desk(world), 1, Millis(500), world.now).unwrap().n;
    assert_eq!(weight(&world), 0.0);
    world.asked("/rpc/ethereum");
    world.order("eth_blockNumber", LATEST);
    assert!(weight(&world) > 0.9);
}

#[test]
fn the_only_admitted_channel_opens_on_silence_only() {
    for (category, state) in [(Category::Server, "closed"), (Category::Billing, "closed"), (Category::Network, "open")]
    {
        let mut world = World::of(&["a"]);
        for _ in 0..30 {
            world.attempt("a", "eth_call", &failed(category));
            world.later(100);
        }
        assert_eq!(world.ledger.breaker_state(world.channel("a"), world.now).name(), state, "{category:?}");
    }
    let mut world = World::of(&["a", "b"]);
    world.attempt("a", "eth_call", &failed(Category::Billing));
    assert_eq!(world.ledger.breaker_state(world.channel("a"), world.now).name(), "open");
}

#[test]
fn what_one_transport_lacks_the_other_lacks_too() {
    let mut spec = spec(&["a", "b"]);
    spec.channels.push(channel_spec("ethereum", "a", TransportSpec::Ws));
    spec.profiles[0].chains[0].providers[0].channels.push("ethereum/a/ws".into());
    let mut world = World::from(spec);
    world.learn("a", "foo_bar", LATEST, Mark::BanMethod(Millis::from_secs(300)));
    let ws = world.catalog.channel_named("ethereum/a/ws").unwrap();
    assert!(world.ledger.look(ws, false, world.now).unwrap().limits.is_some());
    assert!(world.ledger.look(world.channel("b"), false, world.now).unwrap().limits.is_none());
}

#[test]
fn nothing_is_learned_of_a_channel_until_another_one_answered() {
    let mut world = World::of(&["a", "b"]);
    for mark in
        [Mark::BanMethod(Millis::from_secs(300)), Mark::LearnRange(Some(10)), Mark::LearnDepth, Mark::TagUnsupported]
    {
        world.attempt("a", "eth_getLogs", &marked(mark));
    }
    assert!(world.ledger.look(world.channel("a"), false, world.now).unwrap().limits.is_none());
    assert_eq!(world.order("eth_getLogs", LATEST), "a b");
}

#[test]
fn a_depth_without_a_head_is_not_learned() {
    let mut world = World::of(&["a", "b"]);
    world.learn("a", "eth_getBalance", number(5), Mark::LearnDepth);
    assert!(world.ledger.look(world.channel("a"), false, world.now).unwrap().limits.is_none());
}

#[test]
fn a_trials_permit_comes_back_whatever_it_brought() {
    let mut world = World::of(&["a", "b"]);
    world.silence("a");
    world.later(2_000);
    let method = Method::of("eth_call");
    for _ in 0..3 {
        let plan = world.plan("eth_call", LATEST).unwrap();
        assert_eq!((world.names(&plan.candidates).as_str(), plan.candidates[0].why), ("a b", Why::Trial));
        let begun = world.begin(&plan, 0);
        // While it runs, nobody else tries, unless all is lost.
        assert_eq!(world.order("eth_call", LATEST), "b (a)");
        let abandoned = Verdict { success: false, blame: crate::outcome::Blame::Ignored, ..DONE };
        world.ledger.settle(&world.end(begun, &method, &LATEST, &abandoned));
    }
}

#[test]
fn two_successful_trials_close_and_the_failures_are_forgotten() {
    let mut world = World::of(&["a", "b"]);
    world.silence("a");
    world.later(2_000);
    world.attempt("a", "eth_call", &DONE);
    assert_eq!(world.ledger.breaker_state(world.channel("a"), world.now), State::HalfOpen);
    world.attempt("a", "eth_call", &DONE);
    assert_eq!(world.ledger.breaker_state(world.channel("a"), world.now), State::Closed);
    let desk = super::Desk {
        chain: world.chain(),
        class: lasso_jsonrpc::method::MethodClass::of(&Method::of("eth_call"), &LATEST),
    };
    assert_eq!(world.ledger.standing(desk, 0, Millis(500), world.now).unwrap().p, 1.0);
}

#[test]
fn a_readable_block_proves_a_lone_leader() {
    let mut world = World::of(&["a", "b", "c"]);
    for (provider, head) in [("a", 1_000), ("b", 990), ("c", 990)] {
        world.attempt_showing(provider, "eth_blockNumber", &DONE, Some(head));
    }
    assert_eq!(world.ledger.best_head(world.chain(), world.now), Some(990));
    world.attempt_showing("a", "eth_getBlockByNumber", &DONE, Some(1_000));
    assert_eq!(world.ledger.best_head(world.chain(), world.now), Some(1_000));
    assert_eq!(world.order("eth_call", LATEST), "a");
}

#[test]
fn the_highest_head_among_candidates_is_found() {
    let mut world = World::of(&["a", "b", "c", "d"]);
    for (provider, head) in [("b", 1_000), ("c", 1_001), ("d", 1_001)] {
        world.attempt_showing(provider, "eth_blockNumber", &DONE, Some(head));
    }
    let plan = world.plan("eth_call", LATEST).unwrap();
    let highest =
        |world: &World, from: usize| world.ledger.highest_head(plan.chain, &plan.candidates[from..], world.now);
    assert_eq!((highest(&world, 0), highest(&world, 3), highest(&world, 4)), (Some(2), Some(0), None));
    world.later(60_000);
    assert_eq!(highest(&world, 0), Some(0));
}

#[test]
fn a_timeout_is_heard_by_the_percentiles_before_anybody_is_blamed() {
    let mut world = World::of(&["a", "b"]);
    let method = Method::of("eth_blockNumber");
    for _ in 0..60 {
        world.attempt("a", "eth_blockNumber", &DONE);
    }
    let per_try = |world: &mut World| world.later(200).plan("eth_blockNumber", LATEST).unwrap().per_try;
    assert_eq!(per_try(&mut world), Millis(500));
    for _ in 0..5 {
        let plan = world.plan("eth_blockNumber", LATEST).unwrap();
        let begun = world.begin(&plan, 0);
        let excused = Verdict { row: crate::outcome::Row::TimedOut, success: false, ..DONE };
        let end = End { latency: Micros(500_000), ..world.end(begun, &method, &LATEST, &excused) };
        world.ledger.settle(&end);
    }
    assert_eq!(per_try(&mut world), Millis(900));
    assert_eq!(world.ledger.breaker_state(world.channel("a"), world.now), State::Closed);
}

#[test]
fn a_ledger_without_a_catalog_answers_all_the_same() {
    let ledger = super::Ledger::new(1);
    let world = World::of(&["a"]);
    assert_eq!(ledger.best_head(world.chain(), at(5)), None);
    assert_eq!(ledger.breaker_state(world.channel("a"), at(5)), State::Closed);
    assert_eq!(ledger.in_flight(world.channel("a")), 0);
}

#[test]
fn an_old_plan_is_told_about_its_own_channels_under_a_new_catalog() {
    let mut world = World::of(&["a", "b", "c"]);
    world.attempt_showing("a", "eth_blockNumber", &DONE, Some(10));
    world.attempt_showing("b", "eth_blockNumber", &DONE, Some(10));
    world.attempt_showing("c", "eth_blockNumber", &DONE, Some(12));
    world.silence("b");
    let plan = world.plan("eth_call", LATEST).unwrap();
    let (b, candidates) = (world.channel("b"), plan.candidates.clone());
    let highest = world.names(&candidates).split(' ').position(|name| name == "c");
    let best = world.ledger.best_head_for(&plan, world.now);
    assert!(best.is_some());
    // Without a, the others stand elsewhere.
    let mut spec = spec(&["b", "c"]);
    spec.generation = "next".into();
    let catalog = Catalog::try_from(spec).unwrap();
    world.ledger.adopt(&catalog, world.now);
    assert_eq!(world.ledger.breaker_state_for(&plan, b, world.now).name(), "open");
    assert_eq!(world.ledger.highest_head_for(&plan, &candidates, world.now), highest);
    assert_eq!(world.ledger.best_head_for(&plan, world.now).is_some(), best.is_some());
}

#[test]
fn who_opened_since_the_plan_was_made_is_asked_last_and_not_forgotten() {
    let mut world = World::of(&["a", "b", "c"]);
    let mut plan = world.plan("eth_call", LATEST).unwrap();
    assert_eq!(world.names(&plan.candidates), "a b c");
    world.silence("b");
    world.ledger.put_shut_last(&mut plan, 1, world.now);
    assert_eq!(world.names(&plan.candidates), "a c b");
    world.silence("a");
    world.ledger.put_shut_last(&mut plan, 1, world.now);
    assert_eq!(world.names(&plan.candidates), "a c b", "who was asked already stays where it is");
}
