//! Marks, bars, limits, shares, heads and block times of the fleet.

use super::*;

#[test]
fn a_channel_is_marked_as_long_as_anybody_says() {
    let refusal = |wait| Verdict {
        row: Row::RateLimit,
        blame: Blame::None,
        mark: Mark::RateLimited(Some(Millis(wait))),
        ..failed(Category::Server)
    };
    let marked = |limited| ChannelView { limited: Some(Millis(limited)), ..view("a", BreakerView::Closed) };
    let mut world = World::of(&["a", "b"]);
    world.told(&saying(0, &[marked(4_000)]));
    assert_eq!((world.calls().as_str(), world.limited_for("a")), ("b a", Some(Millis(4_000))));
    world.attempt("a", "eth_call", &refusal(9_000));
    assert_eq!(world.limited_for("a"), Some(Millis(9_000)));
    let covers = world.reported();
    world.told(&saying(covers - 1, &[marked(4_000)]));
    assert_eq!(world.limited_for("a"), Some(Millis(9_000)), "it does not know of the refusal");
    world.told(&saying(covers, &[marked(8_000)]));
    assert_eq!(world.limited_for("a"), Some(Millis(8_000)));
    world.told(&saying(covers, &[view("a", BreakerView::Closed)]));
    assert_eq!((world.calls().as_str(), world.limited_for("a")), ("a b", None));
}

#[test]
fn whoever_answers_for_another_chain_never_serves() {
    let barred = |provider| ChannelView { barred: Some(Barred::WrongChain), ..view(provider, BreakerView::Closed) };
    let mut world = World::of(&["a", "b"]);
    world.told(&saying(0, &[barred("a")]));
    assert_eq!(world.reason("a", "eth_call", LATEST), Some(Because::WrongChain));
    // Nobody else fits: the least bad are kept, and it is not among them.
    assert_eq!(world.asked("/rpc/ethereum?exclude=a,b").calls(), "b");
    world.asked("/rpc/ethereum").told(&saying(0, &[view("b", open(60_000))]));
    assert_eq!(world.calls(), "b", "the last resort");
    assert_eq!(world.later_in_company(100).calls(), "nobody");
    world.later(60_000).ledger.tick(at(2_000_000));
    assert_eq!(world.reason("a", "eth_call", LATEST), Some(Because::WrongChain), "alone as well");
}

#[test]
fn a_full_table_forgets_what_it_does_not_name() {
    let mut world = World::of(&["a", "b", "c"]);
    let lesson = Lesson { channel: id("c"), limit: Limit::Class(class("eth_call")), left: Millis(60_000) };
    let barred = ChannelView { barred: Some(Barred::WrongChain), ..view("b", BreakerView::Closed) };
    world.told(&Table { lessons: vec![lesson], ..saying(0, &[view("a", open(60_000)), barred]) });
    assert_eq!(world.calls(), "c (a)", "as nobody else");
    world.told(&Table::default());
    assert_eq!(world.calls(), "c (a)", "a delta forgets nothing");
    world.told(&Table { full: true, ..Table::default() });
    assert_eq!(world.calls(), "a b c");
}

#[test]
fn lessons_of_the_fleet_hold_as_long_as_it_says() {
    #[track_caller]
    fn check(limit: Limit, method: &str, blocks: &lasso_jsonrpc::block::Blocks, because: Because) {
        let mut world = World::of(&["a", "b"]);
        world.attempt_showing("b", "eth_getBlockByNumber", &DONE, Some(10_000));
        world.told(&Table {
            lessons: vec![Lesson { channel: id("a"), limit: limit.clone(), left: Millis(1_000) }],
            ..Table::default()
        });
        assert_eq!(world.reason("a", method, *blocks), Some(because), "{limit:?}");
        assert_eq!(world.later_in_company(1_000).reason("a", method, *blocks), None, "{limit:?}");
    }
    check(Limit::Range(10), "eth_getLogs", &range(9_000, 9_500), Because::LearnedRange { most: 10 });
    check(Limit::StateAge(100), "eth_getBalance", &number(9_000), Because::LearnedAge { most: 100 });
    check(Limit::Age(100), "eth_getLogs", &range(9_000, 9_000), Because::LearnedAge { most: 100 });
    let wait = Millis(1_000);
    check(Limit::Class(class("eth_call")), "eth_call", &LATEST, Because::LacksMethod { wait });
    check(Limit::Name("foo_bar".into()), "foo_bar", &LATEST, Because::LacksMethod { wait });
    let finalized = lasso_jsonrpc::block::Tag::Finalized;
    let blocks = lasso_jsonrpc::block::Blocks::At(lasso_jsonrpc::block::BlockRef::Tag(finalized));
    check(Limit::Tag(finalized), "eth_call", &blocks, Because::LacksTag);
}

#[test]
fn a_share_is_a_part_of_the_whole_limit() {
    // Four workers share 100 a second.
    let mut spec = crate::fixture::spec(&["a"]);
    spec.workers = 4;
    spec.profiles[0].chains[0].providers[0].requests_per_second = Some(100.0);
    let calls_in_a_burst = |world: &mut World| {
        let mut calls = 0;
        while world.plan("eth_call", LATEST).unwrap().degraded.is_none() && calls < 1_000 {
            world.attempt("a", "eth_call", &DONE);
            calls += 1;
        }
        calls
    };
    let mut world = World::from(spec);
    for (share, calls) in [(0.0, 25), (0.5, 50), (1.0, 100), (0.1, 10), (f32::NAN, 25), (9.0, 100)] {
        world.told(&Table { share, ..Table::default() });
        world.later_in_company(0);
        // Debt and savings are gone after a while.
        world.now = world.now.plus(Millis(1_900));
        assert_eq!(calls_in_a_burst(&mut world), calls, "{share}");
    }
    world.later(3_000);
    let now = world.now;
    world.ledger.tick(now);
    assert_eq!(calls_in_a_burst(&mut world), 25, "alone");
}

#[test]
fn whoever_heard_of_a_head_later_is_right() {
    let head = |number, last| SeenHead {
        channel: id("a"),
        shown: Shown { number, proved: 0, first: Millis(last), last: Millis(last) },
    };
    let mut world = World::of(&["a", "b"]);
    let best = |world: &World| world.ledger.best_head(world.chain(), world.now);
    world.told(&Table { heads: vec![head(100, 50)], ..Table::default() });
    assert_eq!(best(&world), Some(100));
    world.attempt_showing("a", "eth_blockNumber", &DONE, Some(102));
    world.later(500).told(&Table { heads: vec![head(101, 700)], ..Table::default() });
    assert_eq!(best(&world), Some(102), "it was heard of before");
    world.told(&Table { heads: vec![head(99, 100)], ..Table::default() });
    assert_eq!(best(&world), Some(99));
    // What the fleet said is not told to the fleet.
    world.attempt("a", "eth_call", &DONE);
    assert!(world.ledger.report(world.now).unwrap().heads.is_empty());
}

#[test]
fn block_times_of_the_fleet_count_where_none_was_measured() {
    let mut world = World::with(&["a", "b"], |chain| chain.block_time_ms = Some(12_000));
    world.told(&Table { block_times: vec![(1, Millis(1_000)), (7, Millis(5))], ..Table::default() });
    world.attempt_showing("a", "eth_blockNumber", &DONE, Some(100));
    world.later_in_company(3_000);
    assert_eq!(world.ledger.best_head(world.chain(), world.now), Some(103));
}
