//! What reports say.

use lasso_jsonrpc::method::{Method, MethodClass};

use super::reload;
use crate::breaker::Category;
use crate::evidence::bucket_of;
use crate::fixture::{DONE, LATEST, World, failed, marked};
use crate::ledger::End;
use crate::outcome::{Blame, Mark, Row, Verdict};
use crate::report::{
    ChannelTally, Decision, Ending, Limit, MOST_DECISIONS, MOST_TALLIES, Report, RunTally, Sums, Tally,
};
use crate::time::{Micros, Millis};

const LIMITED: Verdict =
    Verdict { row: Row::RateLimit, mark: Mark::RateLimited(Some(Millis(7_000))), ..failed(Category::Server) };

fn limited() -> Verdict {
    Verdict { blame: Blame::None, ..LIMITED }
}

/// The next report, acknowledged.
fn taken(world: &mut World) -> Report {
    let report = world.ledger.report(world.now).cloned().unwrap();
    world.ledger.acked(report.seq);
    report
}

fn of<'r>(report: &'r Report, provider: &str) -> &'r ChannelTally {
    let id = format!("ethereum/{provider}/http");
    report.channels.iter().find(|tally| *tally.channel == *id).unwrap()
}

fn class(method: &str) -> MethodClass {
    MethodClass::of(&Method::of(method), &LATEST)
}

fn decision(request_id: u64, answered: bool) -> Decision {
    Decision {
        request_id,
        profile: "public".into(),
        chain: "ethereum".into(),
        class: class("eth_call"),
        strategy: "fastest".into(),
        reason: "strategy".into(),
        candidates: 2,
        attempts: Vec::new(),
        answered,
        selection: Micros(1),
        total: Micros(2),
    }
}

#[test]
fn nothing_happened_nothing_is_said() {
    let mut world = World::of(&["a"]);
    assert_eq!(world.ledger.report(world.now), None);
    world.attempt("a", "eth_call", &DONE);
    taken(&mut world);
    assert_eq!(world.ledger.report(world.now), None);
}

#[test]
fn attempts_are_added_up_by_seat() {
    let mut world = World::of(&["a", "b"]);
    let late = Verdict { row: Row::TimedOut, ..failed(Category::Timeout) };
    for verdict in [DONE, failed(Category::Server), DONE, limited(), late, failed(Category::Network)] {
        world.attempt("a", "eth_call", &verdict);
    }
    world.attempt("a", "eth_getLogs", &DONE);
    let report = taken(&mut world);
    assert_eq!((report.seq, report.tallies.len(), report.channels.len()), (1, 2, 1));
    let Tally { profile, chain, channel, class: of_call, sums } =
        report.tallies.iter().find(|tally| tally.class == class("eth_call")).unwrap();
    assert_eq!((&**profile, &**chain, &**channel), ("public", "ethereum", "ethereum/a/http"));
    assert_eq!(*of_call, class("eth_call"));
    let mut endings = [0; Ending::COUNT];
    for ending in
        [Ending::Success, Ending::Success, Ending::Server, Ending::RateLimited, Ending::Timeout, Ending::Network]
    {
        endings[ending as usize] += 1;
    }
    let latency = Micros(20_000);
    let expected = Sums {
        endings,
        trailing_failures: 2,
        latency: Micros(40_000),
        fastest: latency,
        slowest: latency,
        latencies: vec![(bucket_of(latency), 3)],
    };
    assert_eq!(*sums, expected);
}

#[test]
fn one_report_at_a_time_and_it_stays_as_it_is() {
    let mut world = World::of(&["a"]);
    world.attempt("a", "eth_call", &DONE);
    let first = world.ledger.report(world.now).cloned().unwrap();
    world.attempt("a", "eth_call", &DONE);
    assert_eq!(world.ledger.report(world.now), None);
    assert_eq!(world.ledger.unacked(), Some(&first));
    world.ledger.acked(7);
    assert_eq!(world.ledger.unacked(), Some(&first), "another one's number");
    world.ledger.acked(1);
    assert_eq!(world.ledger.unacked(), None);
    let second = taken(&mut world);
    assert_eq!((second.seq, second.tallies[0].sums.attempts()), (2, 1));
}

/// Attempts on `a` as (started, ended, how), on a breaker that may have opened long ago, and the run they leave.
#[track_caller]
fn check_run(attempts: &[(u64, u64, Verdict)], expected: RunTally, unbroken: bool) {
    let mut world = World::of(&["a", "b"]);
    let (origin, method) = (world.now, Method::of("eth_call"));
    let plan = world.plan("eth_call", LATEST).unwrap();
    let mut ends: Vec<_> = attempts
        .iter()
        .map(|&(started, ended, verdict)| {
            world.now = origin.plus(Millis(started));
            (ended, world.begin(&plan, 0), verdict)
        })
        .collect();
    ends.sort_by_key(|(ended, ..)| *ended);
    for (ended, begun, verdict) in ends {
        world.now = origin.plus(Millis(ended));
        let end = world.end(begun, &method, &LATEST, &verdict);
        world.ledger.settle(&end);
    }
    let report = taken(&mut world);
    assert_eq!((of(&report, "a").run, of(&report, "a").unbroken), (expected, unbroken));
}

#[test]
fn failures_under_way_when_the_first_became_known_count_with_it() {
    let network = failed(Category::Network);
    let run = |silent, age| RunTally { silent, last: Some(Category::Network), age: Millis(age), ..RunTally::default() };
    check_run(&[(0, 10, network), (1, 11, network), (2, 30, network)], run(1, 20), true);
    check_run(&[(0, 10, network), (10, 20, network), (15, 30, network)], run(3, 20), true);
    check_run(&[(0, 10, DONE), (10, 20, network), (20, 30, network)], run(2, 10), false);
    check_run(&[(0, 10, network), (10, 20, DONE)], RunTally::default(), false);
    // Far more than opens the local breaker: its phase does not matter.
    let many: Vec<_> = (0..20).map(|step| (step * 100, step * 100 + 50, network)).collect();
    check_run(&many, run(20, 1_900), true);
}

#[test]
fn a_bill_counts_whatever_was_under_way() {
    let (network, billing) = (failed(Category::Network), failed(Category::Billing));
    let run =
        RunTally { silent: 1, billing: true, last: Some(Category::Billing), age: Millis(5), ..RunTally::default() };
    check_run(&[(0, 10, network), (0, 15, billing)], run, true);
}

#[test]
fn a_run_goes_on_from_report_to_report() {
    let mut world = World::of(&["a", "b"]);
    world.attempt("a", "eth_call", &failed(Category::Server));
    taken(&mut world);
    world.later(300).attempt("a", "eth_call", &failed(Category::Server));
    let report = taken(&mut world);
    let tally = of(&report, "a");
    assert_eq!((tally.run.server, tally.run.age, tally.unbroken), (1, Millis(300), true));
    world.attempt("a", "eth_call", &DONE);
    let report = taken(&mut world);
    assert_eq!((of(&report, "a").run, of(&report, "a").unbroken), (RunTally::default(), false));
}

#[test]
fn auth_failures_of_one_method_are_not_held_against_a_channel() {
    let mut world = World::of(&["a", "b"]);
    (0..3).for_each(|_| world.attempt("a", "eth_call", &failed(Category::Auth)));
    let report = taken(&mut world);
    assert_eq!((of(&report, "a").attempts, of(&report, "a").failures, of(&report, "a").run.auth), (3, 0, 3));
    world.attempt("a", "eth_gasPrice", &failed(Category::Auth));
    let report = taken(&mut world);
    assert_eq!((of(&report, "a").attempts, of(&report, "a").failures), (1, 1));
    assert_eq!(of(&report, "a").run.auth_classes, [Some(class("eth_call")), Some(class("eth_gasPrice"))]);
}

#[test]
fn calls_in_flight_are_told_until_there_are_none() {
    let mut world = World::of(&["a"]);
    let plan = world.plan("eth_call", LATEST).unwrap();
    let begun = world.begin(&plan, 0);
    assert_eq!(of(&taken(&mut world), "a").in_flight, 1);
    let method = Method::of("eth_call");
    let abandoned = Verdict { blame: Blame::Ignored, success: false, ..DONE };
    let end = world.end(begun, &method, &LATEST, &abandoned);
    world.ledger.settle(&end);
    let report = taken(&mut world);
    assert_eq!((of(&report, "a").in_flight, of(&report, "a").attempts), (0, 0));
    assert_eq!(report.tallies[0].sums.ended(Ending::Abandoned), 1);
}

#[test]
fn refusals_and_the_longest_wait_are_told() {
    let mut world = World::of(&["a"]);
    for wait in [Some(Millis(3_000)), None, Some(Millis(9_000))] {
        world.attempt("a", "eth_call", &Verdict { mark: Mark::RateLimited(wait), ..limited() });
    }
    let report = taken(&mut world);
    assert_eq!((of(&report, "a").refusals, of(&report, "a").told_to_wait), (3, Some(Millis(9_000))));
    assert_eq!(report.tallies[0].sums.ended(Ending::RateLimited), 3);
}

#[test]
fn heads_are_told_when_they_change_or_are_confirmed_after_a_while() {
    let mut world = World::of(&["a", "b"]);
    let told = |world: &mut World, number| {
        world.attempt_showing("a", "eth_blockNumber", &DONE, Some(number));
        taken(world).heads.iter().map(|head| (head.shown.number, head.shown.first.0)).collect::<Vec<_>>()
    };
    assert_eq!(told(&mut world, 100), [(100, 0)]);
    assert_eq!(told(world.later(100), 100), []);
    assert_eq!(told(world.later(100), 101), [(101, 0)]);
    assert_eq!(told(world.later(1_000), 101), [(101, 1_000)]);
}

#[test]
fn a_lesson_is_told_once_for_all_siblings() {
    let mut world = World::of(&["a", "b"]);
    world.learn("a", "eth_getLogs", LATEST, Mark::LearnRange(Some(500)));
    world.learn("a", "eth_getLogs", LATEST, Mark::LearnRange(Some(500)));
    world.learn("a", "foo_bar", LATEST, Mark::BanMethod(Millis(5_000)));
    world.later(1_000);
    let lessons: Vec<_> = taken(&mut world).lessons.into_iter().map(|lesson| (lesson.limit, lesson.left.0)).collect();
    assert_eq!(lessons, [(Limit::Range(500), 3_599_000), (Limit::Name("foo_bar".into()), 4_000)]);
}

#[test]
fn errors_come_first_among_decisions_and_the_rest_is_counted() {
    let mut world = World::of(&["a"]);
    (0..100).for_each(|id| world.ledger.decided(decision(id, id % 10 > 0)));
    assert!(!world.ledger.samples(true) && world.ledger.samples(false));
    let report = taken(&mut world);
    assert_eq!((report.decisions.len(), report.dropped.decisions), (MOST_DECISIONS, 37));
    assert!(report.decisions[..10].iter().all(|decision| !decision.answered));
    assert!(report.decisions[10..].iter().all(|decision| decision.answered));
}

#[test]
fn more_classes_than_a_report_holds_are_counted_under_other() {
    // 60 chains of 2 channels, and all the classes that there are.
    let chains: Vec<_> = (0..60).map(|id| crate::fixture::chain_spec(&format!("c{id}"), id + 1, &["a", "b"])).collect();
    let mut spec = crate::fixture::spec(&["a"]);
    spec.channels.extend(chains.iter().flat_map(|chain| {
        let of =
            |provider| crate::fixture::channel_spec(&chain.id, provider, crate::catalog::spec::TransportSpec::Http);
        [of("a"), of("b")]
    }));
    spec.profiles[0].chains.extend(chains);
    spec.profiles[0].chains[0].chain_id = 1_000;
    let mut world = World::from(spec);
    let (method, mut settled) = (Method::of("eth_call"), 0);
    for chain in 0..60 {
        world.asked(&format!("/rpc/c{chain}"));
        let plan = world.plan("eth_call", LATEST).unwrap();
        for class in MethodClass::all() {
            let plan = crate::plan::Plan { class, ..plan.clone() };
            for place in 0..2 {
                let begun = world.begin(&plan, place);
                let end = End { latency: Micros(1_000), ..world.end(begun, &method, &LATEST, &DONE) };
                world.ledger.settle(&end);
                settled += 1;
            }
        }
    }
    let (mut attempts, mut coarsened) = (0, 0);
    while let Some(report) = world.ledger.report(world.now).cloned() {
        world.ledger.acked(report.seq);
        assert!(report.tallies.len() <= MOST_TALLIES);
        let coarse = report.tallies.iter().filter(|tally| tally.sums.latencies.is_empty());
        assert!(coarse.clone().all(|tally| tally.class == MethodClass::OTHER && tally.sums.latency > Micros(0)));
        attempts += report.tallies.iter().map(|tally| tally.sums.attempts()).sum::<u64>();
        coarsened += report.dropped.coarsened;
    }
    assert!(settled > MOST_TALLIES as u64);
    assert_eq!((attempts, coarsened), (settled, settled - MOST_TALLIES as u64));
}

#[test]
fn what_was_not_reported_survives_a_reload_and_what_went_is_told_under_its_name() {
    let mut world = World::of(&["a", "b"]);
    let plan = world.plan("eth_call", LATEST).unwrap();
    let (on_a, on_b) = (world.begin(&plan, 0), world.begin(&plan, 1));
    world.attempt("a", "eth_call", &failed(Category::Server));
    world.attempt("b", "eth_call", &failed(Category::Server));
    reload(&mut world, &["x", "b"], "2", |_| {});
    let method = Method::of("eth_call");
    for begun in [on_a, on_b] {
        let end = world.end(begun, &method, &LATEST, &DONE);
        world.ledger.settle(&end);
    }
    world.attempt("b", "eth_call", &failed(Category::Server));
    let report = taken(&mut world);
    let attempts = |provider: &str| {
        let id = format!("ethereum/{provider}/http");
        let own = report.tallies.iter().filter(|tally| *tally.channel == *id);
        own.map(|tally| tally.sums.attempts()).sum::<u64>()
    };
    assert_eq!((attempts("a"), attempts("b")), (2, 3));
    assert_eq!((of(&report, "a").attempts, of(&report, "a").failures, of(&report, "a").unbroken), (2, 1, false));
    assert_eq!((of(&report, "b").attempts, of(&report, "b").run.server), (3, 1));
    assert_eq!(world.ledger.lost(), 0);
}

#[test]
fn news_of_a_channel_that_goes_again_joins_what_was_filed_when_it_went_before() {
    let mut world = World::of(&["a", "b"]);
    world.attempt("a", "eth_call", &DONE);
    world.attempt("a", "eth_call", &failed(Category::Server));
    reload(&mut world, &["b"], "2", |_| {});
    reload(&mut world, &["a", "b"], "3", |_| {});
    for verdict in [failed(Category::Server), limited(), failed(Category::Network)] {
        world.later(10).attempt("a", "eth_getLogs", &verdict);
    }
    reload(&mut world, &["b"], "4", |_| {});
    world.later(10);
    let report = taken(&mut world);
    let tally = of(&report, "a");
    assert_eq!(report.channels.len(), 1, "{report:?}");
    assert_eq!((tally.attempts, tally.failures, tally.refusals, tally.unbroken), (4, 3, 1, false));
    let run = RunTally { silent: 1, server: 2, last: Some(Category::Network), age: Millis(40), ..RunTally::default() };
    assert_eq!(tally.run, run, "one run over both");
    assert_eq!((tally.told_to_wait, tally.succeeded), (Some(Millis(7_000)), Some(Millis(40))));
}

#[test]
fn what_was_filed_comes_before_what_a_channel_that_came_back_did_since() {
    let mut world = World::of(&["a", "b"]);
    world.attempt("a", "eth_call", &failed(Category::Server));
    reload(&mut world, &["b"], "2", |_| {});
    reload(&mut world, &["a", "b"], "3", |_| {});
    let plan = world.plan("eth_call", LATEST).unwrap();
    world.begin(&plan, 0);
    let report = taken(&mut world);
    let told: Vec<_> = report.channels.iter().map(|tally| (tally.failures, tally.in_flight)).collect();
    assert_eq!(told, [(1, 0), (0, 1)]);
}

#[test]
fn an_attempt_whose_profile_went_still_ends_on_its_channel() {
    let mut spec = crate::fixture::spec(&["a"]);
    spec.profiles.push(crate::fixture::profile_spec("paid", vec![crate::fixture::chain_spec("ethereum", 1, &["a"])]));
    let mut world = World::from(spec);
    let plan = world.asked("/rpc/profile/paid/ethereum").plan("eth_call", LATEST).unwrap();
    let begun = world.begin(&plan, 0);
    reload(&mut world, &["a"], "2", |_| {});
    let method = Method::of("eth_call");
    let missing = marked(Mark::None);
    let end = world.end(begun, &method, &LATEST, &missing);
    world.ledger.settle(&end);
    assert_eq!(world.ledger.in_flight(world.channel("a")), 0);
    let report = taken(&mut world);
    assert_eq!((&*report.tallies[0].profile, report.tallies[0].sums.attempts()), ("paid", 1));
}
