//! Evidence of the fleet, exploring, and what a worker does without tables.

use super::*;

#[test]
fn with_tables_exploring_takes_a_lease_and_alone_it_does_not() {
    let mut world = World::with(&["a", "b"], |chain| chain.strategy = "fastest".into());
    for _ in 0..300 {
        world.attempt("a", "eth_call", &DONE);
        world.calls();
    }
    let explored = |world: &mut World| {
        let plan = world.plan("eth_chainId", LATEST).unwrap();
        (plan.candidates[0].why == Why::Explored).then(|| world.provider(plan.candidates[0].channel).to_owned())
    };
    let lease = Lease {
        right: Right::Explore {
            profile: "public".into(),
            chain: "ethereum".into(),
            channel: id("b"),
            class: class("eth_chainId"),
        },
        left: Millis(2_000),
    };
    let slow = |provider: &str, mean| Cell {
        profile: "public".into(),
        chain: "ethereum".into(),
        channel: id(provider),
        class: class("eth_chainId"),
        summary: Summary { mean, weight: 60.0, successes: 60.0, ..Summary::default() },
    };
    let cells = vec![slow("a", 10_000.0), slow("b", 500_000.0)];
    world.told(&Table { cells, ..Table::default() });
    (0..500).for_each(|_| assert_eq!(explored(&mut world), None));
    world.told(&Table { leases: vec![lease], ..Table::default() });
    assert_eq!(explored(&mut world).as_deref(), Some("b"));
    assert_eq!(explored(&mut world), None, "spent");
    world.later(10_000);
    let now = world.now;
    world.ledger.tick(now);
    assert_eq!(explored(&mut world).as_deref(), Some("b"), "alone each explores for itself");
}

fn desk(chain: ChainIdx) -> Desk {
    Desk { chain, class: class("eth_call") }
}

#[test]
fn a_standing_is_the_tables_merged_with_what_it_does_not_include() {
    let cell = Cell {
        profile: "public".into(),
        chain: "ethereum".into(),
        channel: id("a"),
        class: class("eth_call"),
        summary: Summary { mean: 20_000.0, weight: 10.0, successes: 10.0, ..Summary::default() },
    };
    let table = |covers| Table { covers, cells: vec![cell.clone()], ..Table::default() };
    let mut world = World::of(&["a", "b"]);
    (0..3).for_each(|_| world.attempt("a", "eth_call", &DONE));
    let sent = world.ledger.report(world.now).unwrap().seq;
    (0..2).for_each(|_| world.attempt("a", "eth_call", &DONE));
    let weight =
        |world: &World, place| world.ledger.standing(desk(world.chain()), place, Millis(500), world.now).unwrap().n;
    assert_eq!(weight(&world, 0), 5.0);
    // 10 of the fleet, 3 sent, 2 not sent yet.
    world.told(&table(sent - 1));
    assert_eq!(weight(&world, 0), 15.0);
    world.told(&table(sent));
    assert_eq!(weight(&world, 0), 12.0);
    reload(&mut world, &["x", "a", "b"], "2", |_| {});
    world.told(&table(sent));
    assert_eq!(weight(&world, 1), 12.0, "a reload moves what was not sent");
    world.attempt("b", "eth_call", &DONE);
    world.told(&Table { full: true, ..table(sent) });
    assert_eq!(weight(&world, 2), 1.0, "of b the fleet knows nothing");
}

#[test]
fn names_that_do_not_exist_here_are_passed_over() {
    let mut world = World::of(&["a", "b"]);
    let nobody: Box<str> = "nobody".into();
    let explore = |profile: &str, chain: &str| Lease {
        right: Right::Explore {
            profile: profile.into(),
            chain: chain.into(),
            channel: nobody.clone(),
            class: class("eth_call"),
        },
        left: Millis(1_000),
    };
    world.told(&Table {
        full: true,
        channels: vec![ChannelView { channel: nobody.clone(), ..view("a", open(5)) }],
        heads: vec![SeenHead {
            channel: nobody.clone(),
            shown: Shown { number: 1, proved: 1, first: Millis(0), last: Millis(0) },
        }],
        lessons: vec![Lesson { channel: nobody.clone(), limit: Limit::Range(1), left: Millis(1) }],
        leases: vec![explore("public", "ethereum"), explore("x", "y"), trial("nobody", 1, 5)],
        ..Table::default()
    });
    assert_eq!(world.calls(), "a b");
}

#[test]
fn without_tables_a_worker_goes_by_itself_and_back_with_the_next() {
    let mut world = World::of(&["a", "b"]);
    assert!(world.ledger.is_alone(world.now));
    world.told(&saying(0, &[view("a", open(10_000)), view("b", BreakerView::HalfOpen)]));
    assert!(!world.ledger.is_alone(world.now.plus(Millis(PATIENCE.0 - 1))));
    world.later(PATIENCE.0);
    let now = world.now;
    assert!(world.ledger.is_alone(now));
    world.ledger.tick(now);
    // The deadline stands, here and now; what was half-open gets one trial of this worker's own.
    assert_eq!(world.ledger.breaker_state(world.channel("a"), now), State::Open { until: now.plus(Millis(8_000)) });
    let plan = world.plan("eth_call", LATEST).unwrap();
    assert_eq!(world.names(&plan.candidates), "b (a)");
    assert_eq!(plan.candidates[0].why, Why::HalfOpen);
    world.begin(&plan, 0);
    let plan = world.plan("eth_call", LATEST).unwrap();
    assert_eq!(plan.candidates[0].why, Why::LastResort, "the only trial is taken");
    // The provider that heals is used again.
    world.later(8_000).attempt("a", "eth_call", &DONE);
    world.attempt("a", "eth_call", &DONE);
    assert_eq!(world.state("a"), "closed");
    world.told(&saying(0, &[view("a", open(10_000)), view("b", BreakerView::Closed)]));
    assert_eq!(world.calls(), "b (a)");
}

#[test]
fn percentiles_of_the_fleet_decide_how_long_an_attempt_may_take_while_there_is_one() {
    let summary = Summary {
        mean: 20_000.0,
        weight: 64.0,
        successes: 64.0,
        p95: Some(Micros(200_000)),
        p99: Some(Micros(260_000)),
        ..Summary::default()
    };
    let cell = |provider: &str| Cell {
        profile: "public".into(),
        chain: "ethereum".into(),
        channel: id(provider),
        class: class("eth_blockNumber"),
        summary,
    };
    let mut world = World::of(&["a", "b"]);
    (0..60).for_each(|_| world.attempt("a", "eth_blockNumber", &DONE));
    let per_try = |world: &mut World| world.later(300).plan("eth_blockNumber", LATEST).unwrap().per_try;
    assert_eq!(per_try(&mut world), Millis(500));
    world.told(&Table { cells: vec![cell("a"), cell("b")], ..Table::default() });
    assert!(per_try(&mut world) > Millis(750));
    world.later(PATIENCE.0);
    let now: Timestamp = world.now;
    world.ledger.tick(now);
    assert_eq!(per_try(&mut world), Millis(500));
}
