//! How channels were chosen and requests ended, by chain.

use super::*;
use crate::plan::{Question, plan_along};
use crate::report::{ChainTally, Selection, Stage};
use crate::target::Target;
use lasso_jsonrpc::block::Blocks;
use lasso_jsonrpc::method::MethodClass;

/// The tallies of the next report, acknowledged.
fn taken(world: &mut World) -> Vec<ChainTally> {
    let Some(report) = world.ledger.report(world.now).cloned() else { return Vec::new() };
    world.ledger.acked(report.seq);
    report.chains
}

/// What the next report has of the only chain, as `selected 2, trial 1`.
fn selections(world: &mut World) -> String {
    let tallies = taken(world);
    let named = |(selection, count): (&Selection, &u32)| (*count > 0).then(|| format!("{} {count}", selection.name()));
    let of = |tally: &ChainTally| Selection::ALL.iter().zip(&tally.counts.selections).filter_map(named).collect();
    let all: Vec<Vec<String>> = tallies.iter().map(of).collect();
    all.concat().join(", ")
}

#[track_caller]
fn check(providers: &[&str], happens: impl FnOnce(&mut World), expected: &str) {
    let mut world = World::of(providers);
    happens(&mut world);
    assert_eq!(selections(&mut world), expected);
    assert_eq!(selections(&mut world), "", "it is told once");
}

#[test]
fn a_plan_counts_as_what_it_is() {
    check(&["a", "b"], |world| drop(world.plan("eth_call", LATEST)), "selected 1");
    let open = |world: &mut World| {
        world.silence("a");
        world.silence("b");
    };
    check(
        &["a", "b"],
        |world| {
            open(world);
            world.order("eth_call", LATEST);
        },
        "selected 1, last_resort 1",
    );
    check(
        &["a", "b"],
        |world| {
            open(world);
            (0..3).for_each(|_| drop(world.order("eth_call", LATEST)));
        },
        "selected 2, fail_fast 1, last_resort 2",
    );
    check(
        &["a", "b"],
        |world| {
            world.silence("a");
            world.later(2_000);
            world.order("eth_call", LATEST);
        },
        "selected 1, trial 1",
    );
    check(
        &["a"],
        |world| {
            world.asked("/rpc/ethereum?exclude=a");
            world.order("eth_call", LATEST);
        },
        "selected 1, degraded 1",
    );
}

#[test]
fn a_plan_that_leaves_someone_out_for_its_head_counts_once() {
    let lags = |world: &mut World| {
        for (provider, head) in [("a", 1_000), ("b", 1_000), ("c", 900), ("d", 900)] {
            world.attempt_showing(provider, "eth_blockNumber", &DONE, Some(head));
        }
    };
    check(
        &["a", "b", "c", "d"],
        |world| {
            world.order("eth_call", LATEST);
            lags(world);
            world.order("eth_call", LATEST);
            world.order("eth_getBlockByNumber", number(950));
        },
        "selected 3, lag_excluded 2",
    );
}

#[test]
fn what_goes_along_counts_for_itself_and_spends_nothing() {
    check(
        &["a", "b"],
        |world| {
            world.silence("a");
            world.later(2_000);
            let lead = world.plan("eth_call", LATEST).unwrap();
            let method = Method::of("eth_getBalance");
            let question = Question {
                target: &world.target.clone(),
                method: &method,
                class: MethodClass::BATCH,
                blocks: &LATEST,
                sticky: None,
                seed: 1,
                now: world.now,
            };
            plan_along(&world.catalog, &mut world.ledger, &question, &lead).unwrap();
        },
        "selected 2, trial 1",
    );
}

#[test]
fn a_probe_is_no_selection() {
    check(
        &["a"],
        |world| {
            world.target = Target { probe: true, provider: Some(0), ..world.target.clone() };
            world.plan("eth_blockNumber", Blocks::None).unwrap();
        },
        "",
    );
}

#[test]
fn requests_and_failovers_count_where_their_chain_is_now_or_under_its_name() {
    let mut world = World::of(&["a", "b"]);
    let plan = world.plan("eth_call", LATEST).unwrap();
    let [one, other] = [0, 1].map(|_| world.ledger.started(world.target.chain));
    let base = |spec: &mut CatalogSpec| {
        spec.channels.push(channel_spec("base", "x", TransportSpec::Http));
        spec.profiles[0].chains.insert(0, chain_spec("base", 8_453, &["x"]));
    };
    reload(&mut world, &["a", "b"], "2", base);
    world.ledger.ended(&one, Stage::Answered);
    world.ledger.failed_over(&plan.candidates[1], &plan);
    let only_base = |spec: &mut CatalogSpec| {
        base(spec);
        spec.profiles[0].chains.truncate(1);
        spec.channels.retain(|channel| channel.id.starts_with("base/"));
    };
    let mut spec = spec(&["a"]);
    spec.generation = "3".into();
    only_base(&mut spec);
    world.catalog = Catalog::try_from(spec).unwrap();
    world.ledger.adopt(&world.catalog, world.now);
    world.ledger.ended(&other, Stage::Failed);
    let tallies = taken(&mut world);
    let [ChainTally { profile, chain, counts }] = &*tallies else { panic!("{tallies:?}") };
    assert_eq!((&**profile, &**chain, counts.requests), ("public", "ethereum", [2, 1, 1, 0, 0]));
    assert_eq!(counts.selections[Selection::Failover as usize], 1);
}
