use lasso_jsonrpc::method::Method;
use proptest::prelude::{any, prop_assert, proptest};

use super::*;
use crate::breaker::{Category, State};
use crate::candidate::Because;
use crate::fixture::{DONE, LATEST, World, failed, marked, spec, with_sockets};
use crate::ledger::End;
use crate::outcome::Mark;

mod last_resorts;
mod transports;

const ELEVEN: [&str; 11] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"];

#[test]
fn at_most_ten_are_asked() {
    let mut world = World::of(&ELEVEN);
    assert_eq!(world.order("eth_call", LATEST), "a b c d e f g h i j");
}

#[test]
fn rate_limited_come_behind_closed_and_half_open_last_the_soonest_free_first() {
    let mut world = World::of(&["a", "b", "c", "d"]);
    world.silence("a");
    world.attempt("b", "eth_call", &marked(Mark::RateLimited(Some(Millis(9_000)))));
    world.attempt("c", "eth_call", &marked(Mark::RateLimited(Some(Millis(5_000)))));
    world.later(2_000);
    // A write is no trial: the half-open one stays where it is.
    let plan = world.plan("eth_sendRawTransaction", Blocks::None).unwrap();
    assert_eq!(world.names(&plan.candidates), "d c b a");
    let whys: Vec<_> = plan.candidates.iter().map(|candidate| candidate.why).collect();
    assert_eq!(whys, [Why::Ranked, Why::RateLimited, Why::RateLimited, Why::HalfOpen]);
    let plan = world.plan("eth_call", LATEST).unwrap();
    assert_eq!(world.names(&plan.candidates), "a d c b");
    assert_eq!(plan.reason, SelectionReason::Trial);
}

#[test]
fn a_trial_goes_in_front_only_when_a_closed_one_stands_behind_it() {
    let mut world = World::of(&["a", "b"]);
    world.silence("a");
    world.attempt("b", "eth_call", &marked(Mark::RateLimited(Some(Millis(9_000)))));
    world.later(2_000);
    assert_eq!(world.order("eth_call", LATEST), "b a");
}

fn along(world: &mut World, method: &str, blocks: Blocks, lead: &Plan) -> String {
    let question = Question {
        target: &world.target,
        method: &Method::of(method),
        class: MethodClass::BATCH,
        blocks: &blocks,
        sticky: None,
        seed: 1,
        now: world.now,
    };
    let plan = plan_along(&world.catalog, &mut world.ledger, &question, lead).unwrap();
    world.names(&plan.candidates)
}

#[test]
fn what_goes_along_takes_over_the_order_and_spends_nothing() {
    let mut world = World::with(&["a", "b", "c"], |chain| chain.strategy = "round-robin".into());
    let lead = world.plan("eth_call", LATEST).unwrap();
    let order = world.names(&lead.candidates);
    for _ in 0..4 {
        assert_eq!(along(&mut world, "eth_getBalance", LATEST, &lead), order);
    }
    let next = world.order("eth_call", LATEST);
    assert_eq!((&order[2..], &order[..1]), (&next[..3], &next[4..]), "one turn");
}

#[test]
fn what_goes_along_is_screened_for_itself() {
    let mut world = World::of(&["a", "b", "c"]);
    let lead = world.plan("eth_call", LATEST).unwrap();
    world.learn("a", "eth_getBalance", LATEST, Mark::BanMethod(Millis(9_000)));
    assert_eq!(along(&mut world, "eth_getBalance", LATEST, &lead), "b c");
    assert_eq!(along(&mut world, "eth_getCode", LATEST, &lead), "a b c");
}

#[test]
fn what_goes_along_shares_the_trial_and_the_last_resort() {
    let mut world = World::of(&["a", "b"]);
    world.silence("a");
    world.later(2_000);
    let lead = world.plan("eth_call", LATEST).unwrap();
    assert_eq!(
        (lead.reason, along(&mut world, "eth_getCode", LATEST, &lead).as_str()),
        (SelectionReason::Trial, "a b")
    );

    let mut world = World::of(&["a"]);
    world.silence("a");
    let lead = world.plan("eth_call", LATEST).unwrap();
    assert_eq!(lead.reason, SelectionReason::LastResort);
    assert_eq!(along(&mut world, "eth_getCode", LATEST, &lead), "a");
    assert!(world.plan("eth_call", LATEST).is_err(), "there was one slot, and it is gone");
}

#[test]
fn a_pinned_provider_is_asked_alone_unless_failover_is_allowed() {
    let mut world = World::of(&["a", "b", "c"]);
    world.asked("/rpc/ethereum/b");
    let plan = world.plan("eth_call", LATEST).unwrap();
    assert_eq!((world.names(&plan.candidates).as_str(), plan.reason), ("b", SelectionReason::Pinned));
    assert!(plan.rejected.is_empty());
    world.asked("/rpc/ethereum/b?allow_failover=true");
    assert_eq!(world.order("eth_call", LATEST), "b a c");
    world.silence("b");
    let plan = world.plan("eth_call", LATEST).unwrap();
    assert_eq!((world.names(&plan.candidates).as_str(), plan.reason), ("a c (b)", SelectionReason::Strategy));
}

#[test]
fn a_pinned_providers_breaker_applies() {
    let mut world = World::of(&["a", "b"]);
    world.asked("/rpc/ethereum/a");
    world.silence("a");
    let plan = world.plan("eth_call", LATEST).unwrap();
    assert_eq!(plan.reason, SelectionReason::LastResort);
    let none = world.plan("eth_call", LATEST).unwrap_err();
    assert_eq!(none.retry_after, Millis(250));
    let error = none.error(&world.catalog, "eth_call");
    assert_eq!((error.code, error.message.as_str()), (-32000, "no channel can serve eth_call on ethereum"));
    let data = error.data.unwrap();
    assert!(data["reasons"]["ethereum/a/http"].as_str().unwrap().starts_with("breaker open for"), "{data}");
    assert_eq!(data["retry_after_ms"], 250);
}

#[test]
fn a_filter_sticks_to_its_channel() {
    let mut world = World::of(&["a", "b"]);
    let sticky = Some(world.channel("b"));
    let plan = world.plan_stuck_to("eth_getFilterChanges", Blocks::None, sticky).unwrap();
    assert_eq!((world.names(&plan.candidates).as_str(), plan.reason), ("b", SelectionReason::Sticky));
    assert_eq!(plan.attempts, Attempts::Once);
}

#[test]
fn when_every_breaker_is_open_one_call_in_a_while_goes_all_the_same() {
    let mut world = World::of(&["a", "b"]);
    world.silence("a");
    world.silence("b");
    let plan = world.plan("eth_call", LATEST).unwrap();
    // The one whose opening ends first.
    assert_eq!((world.names(&plan.candidates).as_str(), plan.candidates[0].why), ("a", Why::LastResort));
    assert_eq!(world.order("eth_call", LATEST), "b");
    assert_eq!(world.order("eth_call", LATEST), "nobody");
    let begun = world.begin(&plan, 0);
    let method = Method::of("eth_call");
    world.ledger.settle(&world.end(begun, &method, &LATEST, &DONE));
    assert_eq!(world.ledger.breaker_state(world.channel("a"), world.now), State::HalfOpen);
    assert_eq!(world.order("eth_call", LATEST), "a (b)");
}

#[test]
fn a_failed_last_resort_changes_nothing() {
    let mut world = World::of(&["a"]);
    world.silence("a");
    let before = world.ledger.breaker_state(world.channel("a"), world.now);
    let plan = world.plan("eth_call", LATEST).unwrap();
    let begun = world.begin(&plan, 0);
    let method = Method::of("eth_call");
    let failure = failed(Category::Network);
    world.ledger.settle(&world.end(begun, &method, &LATEST, &failure));
    assert_eq!(world.ledger.breaker_state(world.channel("a"), world.now), before);
    assert_eq!(world.order("eth_call", LATEST), "nobody");
    world.later(250);
    assert_eq!(world.order("eth_call", LATEST), "a");
}

#[test]
fn the_request_then_the_method_then_the_chain_names_the_strategy() {
    let mut spec = spec(&["a", "b"]);
    spec.profiles[0].methods.strategies = [("eth_getLogs".to_owned(), "cheapest".to_owned())].into();
    let mut world = World::from(spec);
    let strategy = |world: &mut World, method: &str| world.plan(method, Blocks::None).unwrap().strategy;
    assert_eq!(strategy(&mut world, "eth_call"), Strategy::Priority);
    assert_eq!(strategy(&mut world, "eth_getLogs"), Strategy::Cheapest);
    world.asked("/rpc/fastest/ethereum");
    assert_eq!(strategy(&mut world, "eth_getLogs"), Strategy::Fastest);
}

#[test]
fn deadlines_and_attempts_are_the_methods() {
    let mut world = World::of(&["a", "b"]);
    for (method, deadline, per_try, attempts) in [
        ("eth_blockNumber", 3_000, 900, Attempts::Replay),
        ("eth_call", 5_000, 1_500, Attempts::Replay),
        ("eth_getLogs", 5_000, 2_250, Attempts::Heavy),
        ("debug_traceTransaction", 30_000, 13_500, Attempts::Heavy),
        ("eth_sendRawTransaction", 5_000, 5_000, Attempts::Once),
        ("foo_bar", 10_000, 10_000, Attempts::Once),
    ] {
        let plan = world.plan(method, Blocks::None).unwrap();
        assert_eq!(
            (plan.deadline, plan.per_try, plan.attempts),
            (Millis(deadline), Millis(per_try), attempts),
            "{method}"
        );
    }
}

#[test]
fn who_is_alone_gets_all_the_time_there_is() {
    let mut world = World::of(&["a"]);
    assert_eq!(world.plan("eth_call", LATEST).unwrap().per_try, Millis(5_000));
}

#[test]
fn round_robin_goes_round() {
    let mut world = World::with(&["a", "b", "c"], |chain| chain.strategy = "round-robin".into());
    let first: Vec<_> = (0..4).map(|_| world.order("eth_call", LATEST)).collect();
    assert_eq!(first[0], first[3]);
    let mut distinct = first[..3].to_vec();
    distinct.sort();
    assert_eq!(distinct, ["a b c", "b c a", "c a b"]);
}

/// Plans and answers so many `method`s, ten a second; how many explored, and whom.
fn explored(world: &mut World, method: &str, calls: u32) -> Vec<String> {
    let name = Method::of(method);
    let mut explored = Vec::new();
    for _ in 0..calls {
        let plan = world.plan(method, LATEST).unwrap();
        if plan.reason == SelectionReason::Explored {
            explored.push(world.provider(plan.candidates[0].channel).to_owned());
        }
        let begun = world.begin(&plan, 0);
        let slow = world.provider(begun.channel) != "a";
        let latency = crate::time::Micros(if slow { 200_000 } else { 10_000 });
        let end = End { latency, ..world.end(begun, &name, &LATEST, &DONE) };
        world.ledger.settle(&end);
        world.later(100);
    }
    explored
}

#[test]
fn quiet_channels_are_asked_now_and_then_within_half_a_percent() {
    let mut world = World::with(&["a", "b", "c"], |chain| chain.strategy = "fastest".into());
    let explored = explored(&mut world, "eth_blockNumber", 4_000);
    assert!((10..=20).contains(&explored.len()), "{explored:?}");
    assert!(explored.iter().any(|who| who == "b") && explored.iter().any(|who| who == "c"), "{explored:?}");
}

#[test]
fn nobody_is_explored_where_it_would_cost_or_teach_nothing() {
    for (strategy, method) in
        [("priority", "eth_blockNumber"), ("cheapest", "eth_blockNumber"), ("fastest", "eth_getLogs")]
    {
        let mut world = World::with(&["a", "b", "c"], |chain| chain.strategy = strategy.into());
        assert_eq!(explored(&mut world, method, 1_000), [""; 0], "{strategy} {method}");
    }
    let mut spec = spec(&["a", "b", "c"]);
    spec.profiles[0].explore = false;
    spec.profiles[0].chains[0].strategy = "fastest".into();
    assert_eq!(explored(&mut World::from(spec), "eth_blockNumber", 1_000), [""; 0]);
}

#[test]
fn a_chain_without_providers_has_nobody() {
    let mut world = World::of(&[]);
    let none = world.plan("eth_call", LATEST).unwrap_err();
    assert_eq!((none.reasons.len(), none.retry_after), (0, Millis(1_000)));
}

const METHODS: [&str; 6] =
    ["eth_call", "eth_blockNumber", "eth_getLogs", "eth_sendRawTransaction", "foo_bar", "eth_getBlockByNumber"];

proptest! {
    #[test]
    fn whatever_happened_candidates_are_distinct_and_everybody_is_accounted_for(
        steps in proptest::collection::vec((0..6_usize, 0..6_usize, 0..7_u8, 0..2_000_u64, any::<u16>()), 0..120),
        strategy in 0..6_usize,
    ) {
        const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
        let mut world = World::with(&NAMES, |chain| {
            chain.strategy = Strategy::ALL[strategy].name().into();
            chain.providers[0].requests_per_second = Some(3.0);
            chain.providers[1].capabilities.max_block_range = Some(10);
            chain.providers[2].archival = false;
        });
        for (who, what, how, wait, block) in steps {
            let verdict = match how {
                0 | 1 => DONE,
                2 => failed(Category::Network),
                3 => failed(Category::Server),
                4 => marked(Mark::RateLimited(None)),
                5 => marked(Mark::Behind),
                _ => failed(Category::Billing),
            };
            let head = (how == 1).then_some(u64::from(block));
            world.attempt_showing(NAMES[who], METHODS[what], &verdict, head);
            world.later(wait);
            match world.plan(METHODS[what], crate::fixture::number(u64::from(block))) {
                Ok(plan) => {
                    let mut channels: Vec<_> = plan.candidates.iter().map(|candidate| candidate.channel).collect();
                    channels.extend(plan.rejected.iter().map(|rejection| rejection.channel));
                    let all = channels.len();
                    channels.sort_unstable();
                    channels.dedup();
                    prop_assert!(!plan.candidates.is_empty());
                    prop_assert!(plan.per_try <= plan.deadline);
                    prop_assert!(channels.len() == all && all == NAMES.len());
                }
                Err(none) => prop_assert!(none.reasons.len() == NAMES.len() && none.retry_after > Millis::ZERO),
            }
        }
    }
}

#[test]
fn a_probe_is_planned_for_its_provider_alone_whatever_speaks_against_it() {
    let mut world = World::with(&["a", "b"], |chain| {
        chain.providers[0].capabilities.unsupported_methods = vec!["eth_blockNumber".into()];
        chain.providers[0].requests_per_second = Some(0.1);
    });
    world.silence("a");
    world.attempt("a", "eth_call", &marked(Mark::RateLimited(Some(Millis(9_000)))));
    world.asked("/rpc/ethereum/a?exclude=a");
    assert_eq!(world.plan("eth_blockNumber", LATEST).unwrap().reason, SelectionReason::LastResort);
    world.target.probe = true;
    let plan = world.plan("eth_blockNumber", LATEST).unwrap();
    assert_eq!((world.names(&plan.candidates).as_str(), plan.reason), ("a", SelectionReason::Pinned));
    assert_eq!((plan.deadline, plan.per_try), (PROBE_DEADLINE, PROBE_DEADLINE));
    let before = format!("{:?}", world.ledger);
    let _ = world.plan("eth_blockNumber", LATEST).unwrap();
    assert_eq!(format!("{:?}", world.ledger), before, "nothing is spent");
}
