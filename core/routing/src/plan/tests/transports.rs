//! Two ways to one provider: their order, and what each is asked.

use super::*;

#[test]
fn siblings_come_behind_other_providers_unless_their_index_is_better() {
    #[track_caller]
    fn check(rows: &[(u16, f32)], order: &[usize]) {
        let mut world = World::of(&ELEVEN);
        let plan = world.plan("eth_call", LATEST).unwrap();
        let mut ranked: Vec<Row> = rows
            .iter()
            .enumerate()
            .map(|(place, &(provider, index))| Row {
                channel: plan.candidates[place].channel,
                place: place as u16,
                provider,
                transport: crate::catalog::Transport::Http,
                tier: Tier::Closed,
                limited_until: 0,
                priority: 0,
                cost: 0.0,
                expected: index,
                index,
                weight: 64.0,
                failing: false,
                asking: false,
                in_flight: 0,
                head: 0,
                badness: 0,
            })
            .collect();
        order::siblings(&mut ranked);
        assert_eq!(ranked.iter().map(|row| usize::from(row.place)).collect::<Vec<_>>(), order, "{rows:?}");
    }
    check(&[(0, 1.0), (1, 2.0), (2, 3.0)], &[0, 1, 2]);
    check(&[(0, 0.0), (0, 0.0), (1, 0.0), (2, 0.0)], &[0, 2, 3, 1]);
    check(&[(0, 0.0), (0, 0.0), (1, 0.0), (1, 0.0)], &[0, 2, 1, 3]);
    check(&[(0, 1.0), (0, 2.0), (1, 3.0)], &[0, 1, 2]);
    check(&[(0, 1.0), (0, 2.0), (1, 1.5), (2, 3.0)], &[0, 2, 1, 3]);
}

/// Providers a and b, both over http and ws, with these latencies in milliseconds.
fn two_transports(strategy: &str, latencies: [(&str, u64); 4]) -> World {
    let mut spec = with_sockets(spec(&["a", "b"]), &["a", "b"]);
    spec.profiles[0].explore = false;
    spec.profiles[0].chains[0].strategy = strategy.into();
    let mut world = World::from(spec);
    world.sockets("a/ws", true).sockets("b/ws", true);
    let (method, channel) = (Method::of("eth_call"), |(name, _): &(&str, u64)| crate::fixture::id_of(name));
    for _ in 0..20 {
        let plan = world.plan("eth_call", LATEST).unwrap();
        for latency in &latencies {
            let its = world.catalog.channel_named(&channel(latency)).unwrap();
            let place = plan.candidates.iter().position(|candidate| candidate.channel == its).unwrap();
            let begun = world.begin(&plan, place);
            let end = End { latency: Millis(latency.1).as_micros(), ..world.end(begun, &method, &LATEST, &DONE) };
            world.ledger.settle(&end);
        }
        world.later(10);
    }
    world
}

#[test]
fn of_two_transports_the_faster_leads_and_the_slower_is_asked_after_the_others() {
    let mut world = two_transports("fastest", [("a", 50), ("a/ws", 5), ("b", 20), ("b/ws", 90)]);
    for _ in 0..50 {
        assert_eq!(world.order("eth_call", LATEST), "a/ws b a b/ws");
    }
    world.asked("/rpc/ethereum?transport=http");
    assert_eq!(world.order("eth_call", LATEST), "b a");
    let mut world = two_transports("fastest", [("a", 5), ("a/ws", 8), ("b", 20), ("b/ws", 90)]);
    assert_eq!(world.order("eth_call", LATEST), "a a/ws b b/ws", "a sibling whose index is better stays in front");
}

#[test]
fn a_method_that_the_table_does_not_have_goes_over_http_where_it_can() {
    let mut world = two_transports("fastest", [("a", 50), ("a/ws", 5), ("b", 20), ("b/ws", 90)]);
    assert!(world.order("eth_call", LATEST).starts_with("a/ws"));
    for method in ["acme_hello", "debug_setHead"] {
        let order = world.order(method, LATEST);
        assert!(order.split(' ').map(|name| name.ends_with("/ws")).is_sorted(), "{method}: {order}");
    }
    world.asked("/rpc/ethereum?transport=ws");
    assert!(world.order("acme_hello", LATEST).ends_with("/ws"));
}

#[test]
fn by_priority_every_provider_is_asked_over_http_before_any_is_asked_over_ws() {
    let mut spec = with_sockets(spec(&["a", "b"]), &["a", "b"]);
    spec.profiles[0].chains[0].providers[1].priority = 1;
    let mut world = World::from(spec);
    world.sockets("a/ws", true).sockets("b/ws", true);
    assert_eq!(world.order("eth_call", LATEST), "b a b/ws a/ws");
    world.asked("/rpc/ethereum/a");
    assert_eq!(world.order("eth_call", LATEST), "a a/ws");
}

#[test]
fn a_filter_made_over_ws_is_asked_for_over_ws() {
    let mut world = World::from(with_sockets(spec(&["a", "b"]), &["b"]));
    world.sockets("b/ws", true);
    let sticky = Some(world.channel("b/ws"));
    let plan = world.plan_stuck_to("eth_getFilterChanges", Blocks::None, sticky).unwrap();
    assert_eq!((world.names(&plan.candidates).as_str(), plan.reason), ("b/ws", SelectionReason::Sticky));
    world.sockets("b/ws", false);
    let none = world.plan_stuck_to("eth_getFilterChanges", Blocks::None, sticky).unwrap_err();
    assert_eq!(none.reasons.iter().map(|rejection| rejection.because).collect::<Vec<_>>(), [Because::NotConnected]);
}

#[test]
fn whoever_lost_its_sockets_since_the_plan_was_made_is_asked_last() {
    let mut world = World::from(with_sockets(spec(&["a", "b"]), &["a"]));
    world.sockets("a/ws", true);
    let mut plan = world.plan("eth_call", LATEST).unwrap();
    plan.candidates.reverse();
    assert_eq!(world.names(&plan.candidates), "a/ws b a");
    world.sockets("a/ws", false);
    world.ledger.put_shut_last(&mut plan, 0, world.now);
    assert_eq!(world.names(&plan.candidates), "b a a/ws");
}

#[test]
fn an_unknown_ws_channel_is_explored_like_any_other() {
    let mut spec = with_sockets(spec(&["a"]), &["a"]);
    spec.profiles[0].chains[0].strategy = "fastest".into();
    let mut world = World::from(spec);
    world.sockets("a/ws", true);
    let first = |world: &mut World| world.order("eth_call", LATEST).split(' ').next().map(str::to_owned);
    for _ in 0..20 {
        world.attempt("a", "eth_call", &DONE);
    }
    assert_eq!(first(&mut world).as_deref(), Some("a/ws"), "nobody knows it: it may be better");
    let plan = world.plan("eth_call", LATEST).unwrap();
    let begun = world.begin(&plan, 0);
    assert_eq!(first(&mut world).as_deref(), Some("a"), "one call at a time");
    let method = Method::of("eth_call");
    world.ledger.settle(&world.end(begun, &method, &LATEST, &DONE));
    assert_eq!(first(&mut world).as_deref(), Some("a/ws"));
}
