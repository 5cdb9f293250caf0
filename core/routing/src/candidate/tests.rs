use lasso_jsonrpc::block::{BlockRef, Blocks, Tag};

use super::*;
use crate::catalog::spec::ChainSpec;
use crate::fixture::{DONE, LATEST, World, marked, number, range, spec, with_sockets};
use crate::outcome::Mark;

const HASH: Blocks = Blocks::At(BlockRef::Hash([7; 32]));

/// Providers a and b at block 1,000,000, a changed like this.
fn world(change: impl FnOnce(&mut ChainSpec)) -> World {
    let mut world = World::with(&["a", "b"], change);
    for provider in ["a", "b"] {
        world.attempt_showing(provider, "eth_blockNumber", &DONE, Some(1_000_000));
    }
    world
}

/// Why a is not asked for that, while b is.
#[track_caller]
fn check(world: &mut World, method: &str, blocks: Blocks, because: Option<Because>) {
    assert_eq!(world.reason("a", method, blocks), because, "{method} {blocks:?}");
    assert!(world.order(method, blocks).contains('b'));
}

#[test]
fn an_unsupported_method_is_not_asked_for() {
    let mut world = world(|chain| chain.providers[0].capabilities.unsupported_methods = vec!["debug_*".into()]);
    check(&mut world, "debug_traceCall", LATEST, Some(Because::UnsupportedMethod));
    check(&mut world, "eth_call", LATEST, None);
}

#[test]
fn a_range_fits_the_declared_limit() {
    let mut world = world(|chain| chain.providers[0].capabilities.max_block_range = Some(100));
    let too_long = Some(Because::BlockRange { most: 100 });
    check(&mut world, "eth_getLogs", range(901, 1_000), None);
    check(&mut world, "eth_getLogs", range(900, 1_000), too_long);
    let to_latest = |from| Blocks::Range { from: BlockRef::Number(from), to: BlockRef::Tag(Tag::Latest) };
    check(&mut world, "eth_getLogs", to_latest(999_999), None);
    check(&mut world, "eth_getLogs", to_latest(5), too_long);
    check(&mut world, "eth_getLogs", Blocks::None, None);
    check(&mut world, "eth_getLogs", range(9, 5), None);
}

#[test]
fn an_old_block_fits_the_declared_age() {
    let mut world = world(|chain| chain.providers[0].capabilities.max_block_age = Some(1_000));
    check(&mut world, "eth_getLogs", range(999_000, 999_500), None);
    check(&mut world, "eth_getLogs", range(998_999, 999_500), Some(Because::BlockAge { most: 1_000 }));
    check(&mut world, "eth_getBalance", number(998_999), Some(Because::BlockAge { most: 1_000 }));
    check(&mut world, "eth_getBalance", LATEST, None);
}

#[test]
fn old_state_needs_an_archive() {
    let earliest = Blocks::At(BlockRef::Tag(Tag::Earliest));
    let mut world = world(|chain| chain.providers[0].archival = false);
    for (method, blocks, because) in [
        ("eth_getBalance", LATEST, None),
        ("eth_getBalance", number(999_872), None),
        ("eth_getBalance", number(999_871), Some(Because::NotArchival)),
        ("eth_getBalance", earliest, Some(Because::NotArchival)),
        ("eth_call", HASH, Some(Because::NotArchival)),
        // Blocks and logs are kept without an archive.
        ("eth_getBlockByNumber", number(5), None),
        ("eth_getBlockByHash", HASH, None),
        ("eth_getLogs", range(5, 6), None),
    ] {
        check(&mut world, method, blocks, because);
    }
}

#[test]
fn with_an_unknown_head_every_numbered_block_may_be_old() {
    let mut world = World::with(&["a", "b"], |chain| chain.providers[0].archival = false);
    check(&mut world, "eth_getBalance", number(999_999), Some(Because::NotArchival));
    check(&mut world, "eth_getBalance", LATEST, None);
}

#[test]
fn what_a_channel_showed_that_it_lacks_is_not_asked_for_until_it_ends() {
    let mut world = world(|_| {});
    world.learn("a", "eth_getLogs", range(1, 5_000), Mark::LearnRange(Some(1_000)));
    check(&mut world, "eth_getLogs", range(999_000, 1_000_000), Some(Because::LearnedRange { most: 1_000 }));
    check(&mut world, "eth_getLogs", range(999_001, 1_000_000), None);
    world.later(3_600_000);
    check(&mut world, "eth_getLogs", range(998_000, 1_000_000), None);
}

#[test]
fn a_missing_method_is_banned_by_its_own_name() {
    let mut world = world(|_| {});
    for name in ["debug_traceCall", "debug_unheardOf", "foo_bar"] {
        world.learn("a", name, Blocks::None, Mark::BanMethod(Millis::from_secs(300)));
        check(&mut world, name, Blocks::None, Some(Because::LacksMethod { wait: Millis::from_secs(300) }));
    }
    check(&mut world, "debug_other", Blocks::None, None);
    check(&mut world, "debug_traceTransaction", Blocks::None, None);
    world.later(300_000);
    check(&mut world, "foo_bar", Blocks::None, None);
    check(&mut world, "debug_traceCall", Blocks::None, None);
}

#[test]
fn the_names_that_are_remembered_are_bounded() {
    let mut world = world(|_| {});
    for count in 0..300 {
        world.learn("a", &format!("foo_{count}"), Blocks::None, Mark::BanMethod(Millis::from_secs(300)));
    }
    check(&mut world, "foo_0", Blocks::None, None);
    check(&mut world, "foo_299", Blocks::None, Some(Because::LacksMethod { wait: Millis::from_secs(300) }));
}

#[test]
fn missing_state_does_not_mean_missing_blocks() {
    let mut world = world(|_| {});
    world.learn("a", "eth_getBalance", number(990_000), Mark::LearnDepth);
    let learned = Some(Because::LearnedAge { most: 9_999 });
    check(&mut world, "eth_getBalance", number(990_000), learned);
    check(&mut world, "eth_getBalance", number(980_000), learned);
    check(&mut world, "eth_getBalance", number(990_001), None);
    check(&mut world, "eth_getBlockByNumber", number(990_000), None);
    world.learn("a", "eth_getBlockByNumber", number(500_000), Mark::LearnDepth);
    check(&mut world, "eth_getBlockByNumber", number(500_000), Some(Because::LearnedAge { most: 499_999 }));
    // Both were heard of at the start and again: heads are fresh for half a minute only.
    world.later(20_000);
    check(&mut world, "eth_getBalance", number(980_000), learned);
}

#[test]
fn an_unknown_tag_is_not_asked_for() {
    let finalized = Blocks::At(BlockRef::Tag(Tag::Finalized));
    let mut world = world(|_| {});
    world.learn("a", "eth_getBlockByNumber", finalized, Mark::TagUnsupported);
    check(&mut world, "eth_call", finalized, Some(Because::LacksTag));
    check(&mut world, "eth_call", LATEST, None);
}

#[test]
fn who_lags_is_out_until_its_silence_says_nothing() {
    let mut world = World::of(&["a", "b", "c"]);
    for (provider, head) in [("a", 997), ("b", 1_000), ("c", 1_000)] {
        world.attempt_showing(provider, "eth_blockNumber", &DONE, Some(head));
    }
    check(&mut world, "eth_call", LATEST, Some(Because::Lagging { by: 3 }));
    world.asked("/rpc/ethereum?max_lag_blocks=3");
    check(&mut world, "eth_call", LATEST, None);
    world.asked("/rpc/ethereum").later(30_001);
    check(&mut world, "eth_call", LATEST, None);
}

#[test]
fn one_liar_puts_nobody_out() {
    let mut world = World::of(&["a", "b", "c"]);
    for (provider, head) in [("a", 1_000), ("b", 1_000), ("c", 1_000_000)] {
        world.attempt_showing(provider, "eth_blockNumber", &DONE, Some(head));
    }
    assert_eq!(world.order("eth_call", LATEST), "a b c");
}

#[test]
fn a_block_is_asked_of_those_who_have_it() {
    let mut world = World::of(&["a", "b", "c"]);
    for (provider, head) in [("a", 999), ("b", 1_000), ("c", 1_000)] {
        world.attempt_showing(provider, "eth_blockNumber", &DONE, Some(head));
    }
    check(&mut world, "eth_getBlockByNumber", number(1_000), Some(Because::BlockAhead { block: 1_000, head: 999 }));
    check(&mut world, "eth_getBlockByNumber", number(999), None);
    // Twelve seconds later it has it, by the clock.
    world.later(12_000);
    check(&mut world, "eth_getBlockByNumber", number(1_000), None);
}

#[test]
fn a_block_that_nobody_has_is_asked_of_the_highest_first() {
    let mut world = World::of(&["a", "b", "c", "unheard"]);
    for (provider, head) in [("a", 998), ("b", 999), ("c", 1_000)] {
        world.attempt_showing(provider, "eth_blockNumber", &DONE, Some(head));
    }
    let plan = world.plan("eth_getBlockByNumber", number(1_005)).unwrap();
    assert_eq!(world.names(&plan.candidates), "c b a unheard");
    assert_eq!(plan.degraded, Some(Degraded::Head));
}

#[test]
fn a_missing_block_shows_who_is_behind() {
    let mut world = World::of(&["a", "b"]);
    for provider in ["a", "b"] {
        world.attempt_showing(provider, "eth_blockNumber", &DONE, Some(1_000));
    }
    world.learn("a", "eth_getBlockByNumber", number(1_000), Mark::Behind);
    check(&mut world, "eth_getBlockByNumber", number(1_000), Some(Because::BlockAhead { block: 1_000, head: 999 }));
}

#[test]
fn we_stay_under_a_providers_rate() {
    let mut world = world(|chain| chain.providers[0].requests_per_second = Some(2.0));
    // Both answers were asked for at the same moment as now: one of two is left.
    check(&mut world, "eth_call", LATEST, None);
    world.attempt("a", "eth_call", &DONE);
    check(&mut world, "eth_call", LATEST, Some(Because::BudgetSpent { wait: Millis(500) }));
    world.later(500);
    check(&mut world, "eth_call", LATEST, None);
}

#[test]
fn when_every_budget_is_spent_the_one_that_is_free_soonest_goes_first() {
    let mut world = World::with(&["a", "b"], |chain| {
        for (provider, rate) in chain.providers.iter_mut().zip([1.0, 4.0]) {
            provider.requests_per_second = Some(rate);
        }
    });
    world.attempt("a", "eth_call", &DONE);
    (0..4).for_each(|_| world.attempt("b", "eth_call", &DONE));
    let plan = world.plan("eth_call", LATEST).unwrap();
    assert_eq!((world.names(&plan.candidates).as_str(), plan.degraded), ("b a", Some(Degraded::Budget)));
}

#[test]
fn the_request_can_exclude_providers_but_not_all() {
    let mut world = world(|_| {});
    world.asked("/rpc/ethereum?exclude=a");
    check(&mut world, "eth_call", LATEST, Some(Because::Excluded));
    world.asked("/rpc/ethereum?exclude=a,b");
    let plan = world.plan("eth_call", LATEST).unwrap();
    assert_eq!((world.names(&plan.candidates).as_str(), plan.degraded), ("a b", Some(Degraded::Excluded)));
}

#[test]
fn of_the_bad_the_least_bad_are_kept() {
    let mut world = world(|chain| chain.providers[0].capabilities.unsupported_methods = vec!["eth_call".into()]);
    world.learn("b", "eth_call", LATEST, Mark::BanMethod(Millis::from_secs(300)));
    let plan = world.plan("eth_call", LATEST).unwrap();
    assert_eq!((world.names(&plan.candidates).as_str(), plan.degraded), ("b", Some(Degraded::Learned)));
    assert_eq!(plan.rejected.len(), 1);
}

#[test]
fn a_ws_channel_needs_a_live_connection() {
    let mut world = World::from(with_sockets(spec(&["a"]), &["a"]));
    let plan = world.plan("eth_call", LATEST).unwrap();
    let because: Vec<_> = plan.rejected.iter().map(|rejection| rejection.because).collect();
    assert_eq!(because, [Because::NotConnected]);
    world.asked("/rpc/ethereum?transport=ws");
    let none = world.plan("eth_call", LATEST).unwrap_err();
    let because: Vec<_> = none.reasons.iter().map(|rejection| rejection.because).collect();
    assert_eq!(because, [Because::OtherTransport, Because::NotConnected]);
    world.sockets("a/ws", true);
    assert_eq!(world.order("eth_call", LATEST), "a/ws");
    world.asked("/rpc/ethereum");
    assert_eq!(world.order("eth_call", LATEST), "a a/ws");
    world.asked("/rpc/ethereum?transport=http");
    assert_eq!(world.order("eth_call", LATEST), "a");
    world.asked("/rpc/ethereum").sockets("a/ws", false);
    assert_eq!(world.order("eth_call", LATEST), "a");
}

#[test]
fn a_ws_channel_is_turned_away_for_all_that_an_http_one_is() {
    let mut world = World::from(with_sockets(spec(&["a", "b"]), &["a"]));
    world.sockets("a/ws", true);
    world.learn("a", "eth_call", LATEST, Mark::BanMethod(Millis::from_secs(300)));
    assert_eq!(world.order("eth_call", LATEST), "b", "what one transport does not do, the other does not either");
    assert_eq!(world.order("eth_getBalance", LATEST), "a b a/ws");
    world.silence("a/ws");
    assert_eq!(world.order("eth_getBalance", LATEST), "a b (a/ws)");
    world.asked("/rpc/ethereum?exclude=a");
    assert_eq!(world.order("eth_getBalance", LATEST), "b");
}

#[test]
fn with_every_http_channel_open_calls_go_over_ws() {
    let mut world = World::from(with_sockets(spec(&["a", "b"]), &["b"]));
    world.sockets("b/ws", true);
    world.silence("a");
    world.silence("b");
    assert_eq!(world.order("eth_call", LATEST), "b/ws (a) (b)");
    world.silence("b/ws");
    world.sockets("b/ws", false);
    let none = world.plan("eth_call", LATEST);
    let last_resort = none.map(|plan| world.names(&plan.candidates)).unwrap_or_default();
    assert!(!last_resort.contains("ws"), "a channel without a socket is nobody's last resort: {last_resort}");
}

#[test]
fn an_open_breaker_is_never_looked_away_from_for_another_fault() {
    let mut world = world(|chain| chain.providers[1].capabilities.unsupported_methods = vec!["eth_call".into()]);
    world.silence("a");
    let plan = world.plan("eth_call", LATEST).unwrap();
    assert_eq!((world.names(&plan.candidates).as_str(), plan.degraded), ("b (a)", Some(Degraded::Capability)));
}

#[test]
fn a_mark_for_a_client_error_changes_nothing() {
    let mut world = world(|_| {});
    world.attempt("a", "eth_call", &marked(Mark::Sample));
    check(&mut world, "eth_call", LATEST, None);
}

#[test]
fn reasons_read_like_sentences() {
    for (because, text) in [
        (Because::BreakerOpen { wait: Millis(1_500) }, "breaker open for 1500ms"),
        (Because::Lagging { by: 7 }, "7 blocks behind"),
        (Because::BlockAhead { block: 9, head: 7 }, "at block 7, 9 is needed"),
        (Because::NotConnected, "ws needs a live connection"),
    ] {
        assert_eq!(because.to_string(), text);
    }
}
