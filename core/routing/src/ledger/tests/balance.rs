//! Whatever happens, attempts and reports balance.

use std::collections::BTreeMap;

use lasso_jsonrpc::method::{Method, MethodClass};
use proptest::prelude::*;

use super::reload;
use crate::breaker::Category;
use crate::fixture::{DONE, LATEST, World, failed, marked};
use crate::ledger::{Begun, End};
use crate::outcome::{Blame, Mark, Row, Verdict};
use crate::report::{Lesson, Limit, Report, SeenHead, Shown};
use crate::table::{Barred, BreakerView, Cell, ChannelView, Lease, Right, Summary, Table};
use crate::time::{Micros, Millis};

const PROVIDERS: [&str; 4] = ["a", "b", "c", "d"];
const METHODS: [&str; 3] = ["eth_call", "eth_getLogs", "eth_sendRawTransaction"];

#[derive(Debug, Clone)]
enum Step {
    Ask { method: usize },
    End { which: usize, how: usize, latency: u64 },
    Report,
    Ack,
    Told(Box<Table>),
    Adopt { missing: usize },
    Later(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..METHODS.len()).prop_map(|method| Step::Ask { method }),
        6 => (any::<usize>(), 0..7_usize, 0..3_000_000_u64).prop_map(|(which, how, latency)| Step::End { which, how, latency }),
        2 => Just(Step::Report),
        2 => Just(Step::Ack),
        2 => table().prop_map(|table| Step::Told(Box::new(table))),
        1 => (0..=PROVIDERS.len()).prop_map(|missing| Step::Adopt { missing }),
        4 => prop_oneof![1..100_u64, 100..5_000_u64].prop_map(Step::Later),
    ]
}

fn id(provider: usize) -> Box<str> {
    format!("ethereum/{}/http", PROVIDERS.get(provider).unwrap_or(&"nobody")).into()
}

fn breaker() -> impl Strategy<Value = BreakerView> {
    let left = prop_oneof![Just(None), (0..5_000_u64).prop_map(|left| Some(Millis(left)))];
    prop_oneof![
        3 => Just(BreakerView::Closed),
        2 => left.prop_map(|left| BreakerView::Open { left }),
        2 => Just(BreakerView::HalfOpen),
    ]
}

fn view() -> impl Strategy<Value = ChannelView> {
    (0..5_usize, breaker(), 0..3_u32, prop::option::of(0..5_000_u64), prop::bool::weighted(0.05)).prop_map(
        |(provider, breaker, opening, limited, barred)| ChannelView {
            channel: id(provider),
            breaker,
            opening,
            limited: limited.map(Millis),
            barred: barred.then_some(Barred::WrongChain),
            connected: false,
        },
    )
}

fn cell() -> impl Strategy<Value = Cell> {
    let number = || prop_oneof![Just(f32::NAN), Just(f32::INFINITY), 0.0..1e7_f32];
    (0..5_usize, 0..METHODS.len(), number(), number(), 0..100_000_u64).prop_map(
        |(provider, method, mean, weight, age)| Cell {
            profile: "public".into(),
            chain: "ethereum".into(),
            channel: id(provider),
            class: MethodClass::of(&Method::of(METHODS[method]), &LATEST),
            summary: Summary { mean, weight, successes: weight, age: Millis(age), ..Summary::default() },
        },
    )
}

fn lease() -> impl Strategy<Value = Lease> {
    (0..5_usize, 0..3_u32, 0..3_000_u64, any::<bool>()).prop_map(|(provider, opening, left, trial)| {
        let channel = id(provider);
        let right = if trial {
            Right::Trial { channel, opening }
        } else {
            let class = MethodClass::of(&Method::of("eth_call"), &LATEST);
            Right::Explore { profile: "public".into(), chain: "ethereum".into(), channel, class }
        };
        Lease { right, left: Millis(left) }
    })
}

fn table() -> impl Strategy<Value = Table> {
    let head = (0..5_usize, 0..1_000_u64, 0..60_000_u64).prop_map(|(provider, number, age)| SeenHead {
        channel: id(provider),
        shown: Shown { number, proved: number / 2, first: Millis(age), last: Millis(age / 2) },
    });
    let lesson = (0..5_usize, 0..100_u64, 0..9_000_u64).prop_map(|(provider, blocks, left)| Lesson {
        channel: id(provider),
        limit: Limit::Range(blocks),
        left: Millis(left),
    });
    (
        (any::<bool>(), 0..10_u64, any::<bool>(), -1.0..2.0_f32),
        prop::collection::vec(cell(), 0..4),
        prop::collection::vec(view(), 0..4),
        prop::collection::vec(head, 0..3),
        prop::collection::vec(lesson, 0..3),
        prop::collection::vec(lease(), 0..3),
    )
        .prop_map(|((full, covers, set_aside, share), cells, channels, heads, lessons, leases)| Table {
            version: 1,
            full,
            covers,
            set_aside,
            share,
            cells,
            channels,
            heads,
            block_times: vec![(1, Millis(covers * 100))],
            lessons,
            leases,
        })
}

fn verdict(how: usize) -> Verdict {
    let category = [Category::Network, Category::Server, Category::Auth, Category::Billing];
    match how {
        0..=3 => failed(category[how]),
        4 => Verdict {
            row: Row::RateLimit,
            blame: Blame::None,
            mark: Mark::RateLimited(None),
            ..failed(Category::Server)
        },
        5 => marked(Mark::LearnRange(Some(7))),
        _ => DONE,
    }
}

/// Attempts by channel, as a report has them.
fn count(report: &Report, counted: &mut BTreeMap<String, u64>) {
    for tally in &report.tallies {
        *counted.entry(tally.channel.to_string()).or_default() += tally.sums.attempts();
    }
}

#[derive(Default)]
struct Books {
    running: Vec<(Begun, String)>,
    settled: BTreeMap<String, u64>,
    reported: BTreeMap<String, u64>,
    seq: u64,
    generation: u32,
}

impl Books {
    fn ask(&mut self, world: &mut World, method: usize) {
        let Ok(plan) = world.plan(METHODS[method], LATEST) else { return };
        let mut seen: Vec<_> = plan.candidates.iter().map(|candidate| candidate.channel).collect();
        seen.extend(plan.rejected.iter().map(|rejection| rejection.channel));
        seen.sort();
        let all: Vec<_> = world.catalog.chain(world.chain()).unwrap().channels().collect();
        assert_eq!(seen, all, "everybody is a candidate or rejected, once");
        let place = usize::from(plan.candidates.len() > 1 && method == 1);
        let id = world.catalog.channel(plan.candidates[place].channel).unwrap().id().to_owned();
        self.running.push((world.begin(&plan, place), id));
    }

    fn end(&mut self, world: &mut World, which: usize, how: usize, latency: u64) {
        if self.running.is_empty() {
            return;
        }
        let (begun, id) = self.running.swap_remove(which % self.running.len());
        let (method, verdict) = (Method::of("eth_getLogs"), verdict(how));
        let end =
            End { latency: Micros(latency), head: Some(latency % 50), ..world.end(begun, &method, &LATEST, &verdict) };
        world.ledger.settle(&end);
        world.ledger.learned(&end);
        *self.settled.entry(id).or_default() += 1;
    }

    fn report(&mut self, world: &mut World) {
        if let Some(report) = world.ledger.report(world.now) {
            self.seq += 1;
            assert_eq!(report.seq, self.seq);
            let (mut by_class, mut by_channel) = (BTreeMap::new(), 0);
            count(report, &mut by_class);
            by_channel += report.channels.iter().map(|tally| u64::from(tally.attempts)).sum::<u64>();
            assert!(by_channel <= by_class.values().sum());
        }
    }

    fn ack(&mut self, world: &mut World) {
        let again = world.ledger.unacked().cloned();
        assert_eq!(again.as_ref(), world.ledger.unacked(), "sent again as it is");
        if let Some(report) = again {
            count(&report, &mut self.reported);
            world.ledger.acked(report.seq);
        }
    }

    fn take(&mut self, world: &mut World, step: &Step) {
        match step {
            Step::Ask { method } => self.ask(world, *method),
            Step::End { which, how, latency } => self.end(world, *which, *how, *latency),
            Step::Report => self.report(world),
            Step::Ack => self.ack(world),
            Step::Told(table) => world.ledger.follow_table(table, world.now),
            Step::Adopt { missing } => {
                self.generation += 1;
                let left: Vec<_> =
                    PROVIDERS.iter().enumerate().filter(|(place, _)| place != missing).map(|(_, name)| *name).collect();
                reload(world, &left, &format!("g{}", self.generation), |_| {});
            }
            Step::Later(millis) => {
                world.later(*millis);
                world.ledger.tick(world.now);
            }
        }
    }
}

proptest! {
    #[test]
    fn every_settled_attempt_is_in_one_report(steps in prop::collection::vec(step(), 1..200)) {
        let mut world = World::with(&PROVIDERS, |chain| chain.strategy = "fastest".into());
        let mut books = Books::default();
        for step in &steps {
            books.take(&mut world, step);
        }
        books.ack(&mut world);
        books.report(&mut world);
        books.ack(&mut world);
        prop_assert!(world.ledger.report(world.now).is_none());
        let lost = world.ledger.lost();
        let (settled, reported) = (books.settled.values().sum::<u64>(), books.reported.values().sum::<u64>());
        prop_assert_eq!(settled, reported + lost);
        for (channel, settled) in &books.settled {
            let reported = books.reported.get(channel).copied().unwrap_or(0);
            prop_assert!(reported <= *settled && reported + lost >= *settled, "{} of {} on {}", reported, settled, channel);
        }
        let in_flight: u32 = world.catalog.channels().map(|(channel, _)| world.ledger.in_flight(channel)).sum();
        prop_assert!(in_flight as usize <= books.running.len() + lost as usize);
    }
}
