//! What tables do: breakers and trials here, what else the fleet knows and evidence beside.

mod evidence;
mod news;

use lasso_jsonrpc::method::{Method, MethodClass};

use super::reload;
use crate::breaker::{Category, State};
use crate::candidate::Because;
use crate::catalog::ChainIdx;
use crate::fixture::{DONE, LATEST, World, at, failed, number, range};
use crate::ledger::{Desk, PATIENCE, Passage};
use crate::outcome::{Blame, Mark, Row, Verdict};
use crate::plan::Why;
use crate::report::{Lesson, Limit, SeenHead, Shown};
use crate::table::{Barred, BreakerView, Cell, ChannelView, Lease, Right, Summary, Table};
use crate::time::{Micros, Millis, Timestamp};

fn id(provider: &str) -> Box<str> {
    format!("ethereum/{provider}/http").into()
}

fn view(provider: &str, breaker: BreakerView) -> ChannelView {
    ChannelView { channel: id(provider), breaker, opening: 1, limited: None, barred: None, connected: false }
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
    assert_eq!((world.calls().as_str(), world.state("a")), ("b (a)", "open"));
    assert_eq!(world.passage("a"), Passage::Rejected { until: world.now.plus(Millis(5_000)) });
    // The deadline has passed, and nobody has said what follows: no stampede, but for calls that are lost anyway.
    world.later_in_company(5_000);
    assert_eq!(world.calls(), "b (a)");
    assert_eq!(world.passage("a"), Passage::NoLease);
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
    assert_eq!((world.calls().as_str(), world.state("a")), ("b (a)", "half-open"));
    assert_eq!(world.passage("a"), Passage::NoLease);
    world.told(&Table { leases: vec![trial("a", 1, 2_000)], ..half_open });
    // Not a write, which could not be asked of another.
    assert_eq!(world.order("eth_sendRawTransaction", LATEST), "b a");
    let plan = world.plan("eth_call", LATEST).unwrap();
    assert_eq!((world.names(&plan.candidates).as_str(), plan.candidates[0].why), ("a b", Why::Trial));
    assert_eq!(world.calls(), "b (a)", "one plan has it in front, no other has");
    assert!(world.ledger.admits(&plan, &plan.candidates[0], world.now));
    let begun = world.begin(&plan, 0);
    assert!(!world.ledger.admits(&plan, &plan.candidates[0], world.now));
    assert_eq!(world.later(500).calls(), "b (a)");
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
    assert_eq!(world.calls(), "b (a)", "another opening's");
    world.told(&Table { leases: vec![trial("a", 1, 300)], ..half_open.clone() });
    assert_eq!(world.later_in_company(400).calls(), "b (a)", "it has ended");
    world.told(&Table { leases: vec![trial("a", 1, 300)], ..half_open });
    world.told(&Table {
        channels: vec![ChannelView { opening: 2, ..view("a", BreakerView::HalfOpen) }],
        ..Table::default()
    });
    assert_eq!(world.calls(), "b (a)", "the next opening takes the leases of the one before");
}

#[test]
fn a_trial_that_no_attempt_began_goes_to_another_plan() {
    let mut world = World::of(&["a", "b"]);
    let half_open = saying(0, &[view("a", BreakerView::HalfOpen)]);
    world.told(&Table { leases: vec![trial("a", 1, 2_000)], ..half_open });
    assert_eq!(world.calls(), "a b");
    assert_eq!(world.later(249).calls(), "b (a)");
    assert_eq!(world.later(1).calls(), "a b");
}

#[test]
fn a_breaker_that_the_fleet_does_not_share_keeps_its_own_schedule() {
    let mut world = World::of(&["a", "b"]);
    world.silence("a");
    let covers = world.reported();
    world.told(&saying(covers, &[view("a", BreakerView::Closed)]));
    assert_eq!((world.calls().as_str(), world.state("a")), ("b (a)", "open"));
}

#[test]
fn where_the_fleet_governs_the_local_breaker_starts_anew_once_its_failures_are_known() {
    for (covered, after) in [(true, "a b"), (false, "b (a)")] {
        let mut world = World::of(&["a", "b"]);
        world.silence("a");
        let covers = if covered { world.reported() } else { 0 };
        world.told(&saying(covers, &[view("a", open(300))]));
        assert_eq!(world.calls(), "b (a)");
        // Forgotten by the fleet: what is left is the worker's own.
        world.told(&Table { full: true, covers, ..Table::default() });
        assert_eq!(world.calls(), after, "covered: {covered}");
    }
}

#[test]
fn the_fleets_closing_closes_here_unless_this_envoy_is_set_aside() {
    for (set_aside, after) in [(false, "a b"), (true, "b (a)")] {
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
    assert_eq!(world.calls(), "c (b) (a)");
    world.told(&Table { full: true, set_aside: true, covers, ..Table::default() });
    assert_eq!(world.calls(), "b c (a)");
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
