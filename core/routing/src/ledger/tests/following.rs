//! What tables do.

use lasso_jsonrpc::method::{Method, MethodClass};

use crate::breaker::{Category, State};
use crate::candidate::Because;
use crate::catalog::ChainIdx;
use crate::fixture::{DONE, LATEST, World, at, failed, number, range};
use crate::ledger::{Desk, PATIENCE};
use crate::outcome::{Blame, Mark, Row, Verdict};
use crate::plan::Why;
use crate::report::{Lesson, Limit, SeenHead, Shown};
use crate::table::{Barred, BreakerView, Cell, ChannelView, Lease, Right, Summary, Table};
use crate::time::{Micros, Millis, Timestamp};

fn id(provider: &str) -> Box<str> {
    format!("ethereum/{provider}/http").into()
}

fn view(provider: &str, breaker: BreakerView) -> ChannelView {
    ChannelView { channel: id(provider), breaker, opening: 1, limited: None, barred: None }
}

const fn open(left: u64) -> BreakerView {
    BreakerView::Open { left: Some(Millis(left)) }
}

/// A table with these views that includes reports up to `covers`.
fn saying(covers: u64, channels: &[ChannelView]) -> Table {
    Table { covers, channels: channels.to_vec(), ..Table::default() }
}

fn trial(provider: &str, opening: u32, left: u64) -> Lease {
    Lease { right: Right::Trial { channel: id(provider), opening }, left: Millis(left) }
}

fn class(method: &str) -> MethodClass {
    MethodClass::of(&Method::of(method), &LATEST)
}

impl World {
    fn told(&mut self, table: &Table) -> &mut Self {
        self.ledger.follow_table(table, self.now);
        self
    }

    fn reported(&mut self) -> u64 {
        let seq = self.ledger.report(self.now).map(|report| report.seq).unwrap();
        self.ledger.acked(seq);
        seq
    }

    fn calls(&mut self) -> String {
        self.order("eth_call", LATEST)
    }

    fn state(&self, provider: &str) -> &'static str {
        self.ledger.breaker_state(self.channel(provider), self.now).name()
    }

    fn limited_for(&self, provider: &str) -> Option<Millis> {
        self.ledger.limited_until(self.channel(provider), self.now).map(|until| until.since(self.now))
    }

    /// Time passes, with a table now and then, so that nobody thinks himself alone.
    fn later_in_company(&mut self, millis: u64) -> &mut Self {
        for _ in 0..millis / 100 {
            self.later(100).told(&Table::default());
        }
        self
    }
}

#[test]
fn what_the_fleet_opened_is_left_alone() {
    let mut world = World::of(&["a", "b"]);
    world.told(&saying(0, &[view("a", open(5_000))]));
    assert_eq!((world.calls().as_str(), world.state("a")), ("b", "open"));
    assert_eq!(world.reason("a", "eth_call", LATEST), Some(Because::BreakerOpen { wait: Millis(5_000) }));
    // The deadline has passed, and nobody has said what follows: no stampede.
    world.later_in_company(5_000);
    assert_eq!(world.calls(), "b");
    assert_eq!(world.reason("a", "eth_call", LATEST), Some(Because::NoTrial));
    world.told(&saying(0, &[view("a", BreakerView::Closed)]));
    assert_eq!((world.calls().as_str(), world.state("a")), ("a b", "closed"));
}

#[test]
fn what_a_person_opened_is_no_last_resort_either() {
    let mut world = World::of(&["a"]);
    world.told(&saying(0, &[view("a", BreakerView::Open { left: None })]));
    assert_eq!(world.calls(), "nobody");
    assert_eq!(world.reason("a", "eth_call", LATEST), Some(Because::OpenedByHand));
    // Nor does it end with the control plane: a person said so.
    world.later(10_000).ledger.tick(at(1_010_000));
    assert_eq!((world.calls().as_str(), world.state("a")), ("nobody", "open"));
}

#[test]
fn a_trial_needs_a_lease_and_spends_it() {
    let mut world = World::of(&["a", "b"]);
    let half_open = saying(0, &[view("a", BreakerView::HalfOpen)]);
    world.told(&half_open);
    assert_eq!((world.calls().as_str(), world.state("a")), ("b", "half-open"));
    assert_eq!(world.reason("a", "eth_call", LATEST), Some(Because::NoTrial));
    world.told(&Table { leases: vec![trial("a", 1, 2_000)], ..half_open });
    // Not a write, which could not be asked of another.
    assert_eq!(world.order("eth_sendRawTransaction", LATEST), "b a");
    let plan = world.plan("eth_call", LATEST).unwrap();
    assert_eq!((world.names(&plan.candidates).as_str(), plan.candidates[0].why), ("a b", Why::Trial));
    assert_eq!(world.calls(), "b", "one plan has it in front, no other has");
    assert!(world.ledger.admits(&plan, &plan.candidates[0], world.now));
    let begun = world.begin(&plan, 0);
    assert!(!world.ledger.admits(&plan, &plan.candidates[0], world.now));
    assert_eq!(world.later(500).calls(), "b");
    let method = Method::of("eth_call");
    let end = world.end(begun, &method, &LATEST, &DONE);
    world.ledger.settle(&end);
    let report = world.ledger.report(world.now).unwrap();
    assert_eq!((report.channels[0].trials.opening, report.channels[0].trials.successes), (1, 1));
}

#[test]
fn a_lease_ends_and_belongs_to_one_opening() {
    let mut world = World::of(&["a", "b"]);
    let half_open = saying(0, &[view("a", BreakerView::HalfOpen)]);
    world.told(&Table { leases: vec![trial("a", 2, 2_000)], ..half_open.clone() });
    assert_eq!(world.calls(), "b", "another opening's");
    world.told(&Table { leases: vec![trial("a", 1, 300)], ..half_open.clone() });
    assert_eq!(world.later_in_company(400).calls(), "b", "it has ended");
    world.told(&Table { leases: vec![trial("a", 1, 300)], ..half_open });
    world.told(&Table {
        channels: vec![ChannelView { opening: 2, ..view("a", BreakerView::HalfOpen) }],
        ..Table::default()
    });
    assert_eq!(world.calls(), "b", "the next opening takes the leases of the one before");
}

#[test]
fn a_trial_that_no_attempt_began_goes_to_another_plan() {
    let mut world = World::of(&["a", "b"]);
    let half_open = saying(0, &[view("a", BreakerView::HalfOpen)]);
    world.told(&Table { leases: vec![trial("a", 1, 2_000)], ..half_open });
    assert_eq!(world.calls(), "a b");
    assert_eq!(world.later(249).calls(), "b");
    assert_eq!(world.later(1).calls(), "a b");
}

#[test]
fn a_breaker_that_the_fleet_does_not_share_keeps_its_own_schedule() {
    let mut world = World::of(&["a", "b"]);
    world.silence("a");
    let covers = world.reported();
    world.told(&saying(covers, &[view("a", BreakerView::Closed)]));
    assert_eq!((world.calls().as_str(), world.state("a")), ("b", "open"));
}

#[test]
fn where_the_fleet_governs_the_local_breaker_starts_anew_once_its_failures_are_known() {
    for (covered, after) in [(true, "a b"), (false, "b")] {
        let mut world = World::of(&["a", "b"]);
        world.silence("a");
        let covers = if covered { world.reported() } else { 0 };
        world.told(&saying(covers, &[view("a", open(300))]));
        assert_eq!(world.calls(), "b");
        // Forgotten by the fleet: what is left is the worker's own.
        world.told(&Table { full: true, covers, ..Table::default() });
        assert_eq!(world.calls(), after, "covered: {covered}");
    }
}

#[test]
fn the_fleets_closing_closes_here_unless_this_envoy_is_set_aside() {
    for (set_aside, after) in [(false, "a b"), (true, "b")] {
        let mut world = World::of(&["a", "b"]);
        let table = |views: &[ChannelView]| Table { set_aside, ..saying(0, views) };
        world.told(&table(&[view("a", BreakerView::HalfOpen)]));
        world.silence("a");
        world.told(&table(&[view("a", BreakerView::Closed)]));
        assert_eq!(world.calls(), after, "set aside: {set_aside}");
    }
}

#[test]
fn an_envoy_that_is_set_aside_keeps_its_own_breakers_and_heeds_the_fleets() {
    let mut world = World::of(&["a", "b", "c"]);
    world.silence("a");
    let covers = world.reported();
    world.told(&Table { set_aside: true, ..saying(covers, &[view("a", open(100)), view("b", open(100))]) });
    assert_eq!(world.calls(), "c");
    world.told(&Table { full: true, set_aside: true, covers, ..Table::default() });
    assert_eq!(world.calls(), "b c");
}

#[test]
fn a_last_resort_that_answers_opens_the_way_until_the_fleet_has_heard_of_it() {
    let mut world = World::of(&["a"]);
    world.told(&saying(0, &[view("a", open(60_000))]));
    let plan = world.plan("eth_call", LATEST).unwrap();
    assert_eq!(plan.candidates[0].why, Why::LastResort);
    assert!(world.ledger.admits(&plan, &plan.candidates[0], world.now));
    let begun = world.begin(&plan, 0);
    let method = Method::of("eth_call");
    let end = world.end(begun, &method, &LATEST, &DONE);
    world.ledger.settle(&end);
    assert_eq!(world.state("a"), "half-open");
    assert_eq!(world.plan("eth_call", LATEST).unwrap().candidates[0].why, Why::HalfOpen);
    let report = world.ledger.report(world.now).unwrap();
    assert_eq!(report.channels[0].last_resort_successes, 1);
    let seq = report.seq;
    // A table that was under way knows nothing yet.
    world.told(&saying(0, &[view("a", open(60_000))]));
    assert_eq!(world.state("a"), "half-open");
    world.told(&saying(seq, &[view("a", BreakerView::HalfOpen)]));
    assert_eq!(world.reason("a", "eth_call", LATEST), None, "a last resort again");
    assert_eq!(world.state("a"), "half-open");
}

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
    assert_eq!(world.calls(), "c", "as nobody else");
    world.told(&Table::default());
    assert_eq!(world.calls(), "c", "a delta forgets nothing");
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
    super::reload(&mut world, &["x", "a", "b"], "2", |_| {});
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
    assert_eq!(world.names(&plan.candidates), "b");
    assert_eq!(plan.candidates[0].why, Why::HalfOpen);
    world.begin(&plan, 0);
    let plan = world.plan("eth_call", LATEST).unwrap();
    assert_eq!(plan.candidates[0].why, Why::LastResort, "the only trial is taken");
    // The provider that heals is used again.
    world.later(8_000).attempt("a", "eth_call", &DONE);
    world.attempt("a", "eth_call", &DONE);
    assert_eq!(world.state("a"), "closed");
    world.told(&saying(0, &[view("a", open(10_000)), view("b", BreakerView::Closed)]));
    assert_eq!(world.calls(), "b");
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
