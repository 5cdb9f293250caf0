//! The fleet: each rule by a few workers that are only numbers.

mod breakers;
mod egress;
mod heads;
mod intake;
mod leases;
mod probes;
mod random;
mod restart;
mod sockets;
mod tables;

use lasso_jsonrpc::block::Blocks;
use lasso_jsonrpc::method::{Method, MethodClass};

use super::event::{Action, Event, Found, Hello, Notice, Order, Probe, WorkerId};
use super::*;
use crate::breaker::Category;
use crate::catalog::{Catalog, CatalogSpec};
use crate::evidence::bucket_of;
use crate::fixture;
use crate::report::{ChannelTally, Ending, Report, RunTally, SeenHead, Shown, Sums, Tally, Trials};
use crate::table::{BreakerView, Lease, Right, Table};
use crate::time::Micros;

/// What a test's worker saw on one channel since its last report.
#[derive(Debug, Clone, Copy, Default)]
struct Saw {
    successes: u32,
    failures: Option<(Category, u32)>,
    /// How long ago the first failure was.
    since: u64,
    millis: u64,
}

/// So many answers, of 20 ms.
const fn good(successes: u32) -> Saw {
    slow(successes, 20)
}

const fn slow(successes: u32, millis: u64) -> Saw {
    Saw { successes, failures: None, since: 0, millis }
}

/// So many failures in a row, the first of them half a second ago.
const fn bad(category: Category, failures: u32) -> Saw {
    Saw { successes: 0, failures: Some((category, failures)), since: 500, millis: 0 }
}

fn class(name: &str) -> MethodClass {
    MethodClass::of(&Method::of(name), &Blocks::None)
}

fn channel(provider: &str) -> Box<str> {
    fixture::id_of(provider).into()
}

impl Saw {
    fn sums(&self) -> Sums {
        let latency = Millis(self.millis).as_micros();
        let mut sums = Sums { latency: Micros(latency.0 * u64::from(self.successes)), ..Sums::default() };
        if self.successes > 0 {
            (sums.fastest, sums.slowest) = (latency, latency);
            sums.latencies = vec![(bucket_of(latency), self.successes)];
            sums.endings[Ending::Success as usize] = self.successes;
        }
        if let Some((category, failures)) = self.failures {
            sums.endings[Ending::from(category) as usize] = failures;
            sums.trailing_failures = failures;
        }
        sums
    }

    fn channel(&self, provider: &str) -> ChannelTally {
        let failures = self.failures.map_or(0, |(_, failures)| failures);
        let mut run = RunTally { age: Millis(self.since), ..RunTally::default() };
        if let Some((category, failures)) = self.failures {
            run.last = Some(category);
            match category {
                Category::Network | Category::Timeout => run.silent = failures,
                Category::Server => run.server = failures,
                Category::Auth => {
                    run.auth = failures;
                    run.auth_classes = [Some(class("eth_call")), Some(class("eth_getBalance"))];
                }
                Category::Billing => run.billing = true,
            }
        }
        ChannelTally {
            channel: channel(provider),
            attempts: self.successes + failures,
            failures,
            run,
            unbroken: self.successes == 0,
            ..ChannelTally::default()
        }
    }
}

/// A fleet, its workers, and all that it wanted done.
struct World {
    fleet: Fleet,
    now: Timestamp,
    /// Reports of each worker so far.
    seqs: BTreeMap<WorkerId, u64>,
    /// Workers that take no tables.
    deaf: Vec<WorkerId>,
    sent: Vec<(WorkerId, Table)>,
    /// Leases in these tables, and when they went out.
    leased: Vec<(Timestamp, WorkerId, Lease)>,
    notices: Vec<Notice>,
    orders: Vec<Order>,
    acks: Vec<(WorkerId, u64)>,
    refused: Vec<WorkerId>,
    saves: usize,
}

impl World {
    fn of(providers: &[&str]) -> Self {
        Self::from(spec(providers))
    }

    fn from(spec: CatalogSpec) -> Self {
        let mut fleet = Fleet::new(7);
        let now = Timestamp::from_millis(1_700_000_000_000);
        fleet.adopt(&Catalog::try_from(spec).unwrap(), now);
        Self {
            fleet,
            now,
            seqs: BTreeMap::new(),
            deaf: Vec::new(),
            sent: Vec::new(),
            leased: Vec::new(),
            notices: Vec::new(),
            orders: Vec::new(),
            acks: Vec::new(),
            refused: Vec::new(),
            saves: 0,
        }
    }

    fn event(&mut self, event: Event) {
        self.fleet.handle_event(event, self.now);
        self.act();
    }

    fn act(&mut self) {
        while let Some(action) = self.fleet.poll_action() {
            match action {
                Action::Ack(worker, seq) => self.acks.push((worker, seq)),
                Action::Send(worker, table) => {
                    if !self.deaf.contains(&worker) {
                        self.fleet.handle_event(Event::TableTaken(worker, table.version), self.now);
                    }
                    self.leased.extend(table.leases.iter().map(|lease| (self.now, worker, lease.clone())));
                    self.sent.push((worker, *table));
                }
                Action::Refuse(worker) => self.refused.push(worker),
                Action::Tell(notice) => self.notices.push(notice),
                Action::Probe(order) => self.orders.push(order),
                Action::Save => self.saves += 1,
            }
        }
    }

    /// Time passes, tick by tick.
    fn later(&mut self, millis: u64) {
        let end = self.now.plus(Millis(millis));
        while let Some(due) = self.fleet.poll_timeout().filter(|&due| due <= end) {
            self.now = self.now.max(due);
            self.fleet.handle_timeout(self.now);
            self.act();
        }
        self.now = end;
    }

    fn join(&mut self, id: u64, node: &str) -> WorkerId {
        let worker = WorkerId(id);
        let hello = Hello { node: node.into(), instance: id, generation: "g".into(), ..Hello::default() };
        self.event(Event::Joined(worker, hello));
        worker
    }

    fn report(&mut self, worker: WorkerId, report: Report) {
        let seq = self.seqs.entry(worker).or_default();
        *seq += 1;
        let seq = *seq;
        self.event(Event::Reported(worker, Box::new(Report { seq, ..report })));
    }

    /// A report of `eth_call` on some providers.
    fn says(&mut self, worker: WorkerId, saw: &[(&str, Saw)]) {
        self.says_of("eth_call", worker, saw);
    }

    fn says_of(&mut self, method: &str, worker: WorkerId, saw: &[(&str, Saw)]) {
        let tally = |(provider, saw): &(&str, Saw)| Tally {
            profile: "public".into(),
            chain: "ethereum".into(),
            channel: channel(provider),
            class: class(method),
            sums: saw.sums(),
        };
        let tallies = saw.iter().map(tally).collect();
        let channels = saw.iter().map(|(provider, saw)| saw.channel(provider)).collect();
        self.report(worker, Report { tallies, channels, ..Report::default() });
    }

    /// What a trial brought.
    fn tried(&mut self, worker: WorkerId, provider: &str, failure: Option<Category>) {
        let opening = self.fleet.accounts[self.fleet.channels[&channel(provider)]].breaker.openings();
        let trials = Trials { opening, successes: u32::from(failure.is_none()), failure };
        let channels = vec![ChannelTally { channel: channel(provider), trials, ..ChannelTally::default() }];
        self.report(worker, Report { channels, ..Report::default() });
    }

    fn shows(&mut self, worker: WorkerId, provider: &str, number: u64) {
        let shown = Shown { number, ..Shown::default() };
        let heads = vec![SeenHead { channel: channel(provider), shown }];
        self.report(worker, Report { heads, ..Report::default() });
    }

    fn found(&mut self, provider: &str, found: Found) {
        let (started, latency) = (Millis(20), Micros(20_000));
        self.event(Event::Probed(Probe { channel: channel(provider), started, latency, found }));
    }

    /// Answers every probe that was ordered: heads, chain ids and proofs are right.
    fn answer_probes(&mut self) {
        for order in std::mem::take(&mut self.orders) {
            let found = match order.ask {
                event::Ask::ChainId => Found::ChainId(1),
                event::Ask::Head => Found::Head(100),
                event::Ask::Block(number) => Found::Block(number),
                event::Ask::Method(_) => Found::Answered,
            };
            self.event(Event::Probed(Probe {
                channel: order.channel,
                started: Millis(20),
                latency: Micros(20_000),
                found,
            }));
        }
    }

    fn breaker(&self, provider: &str) -> &'static str {
        let status = self.fleet.view(self.now).channels.into_iter().find(|status| status.channel == channel(provider));
        match status.unwrap().breaker {
            BreakerView::Closed => "closed",
            BreakerView::Open { .. } => "open",
            BreakerView::HalfOpen => "half-open",
        }
    }

    fn status(&self, provider: &str) -> view::ChannelStatus {
        self.fleet.view(self.now).channels.into_iter().find(|status| status.channel == channel(provider)).unwrap()
    }

    /// Tables of a worker since this was last asked.
    fn tables(&mut self, worker: WorkerId) -> Vec<Table> {
        let (its, others) = std::mem::take(&mut self.sent).into_iter().partition(|(id, _)| *id == worker);
        self.sent = others;
        its.into_iter().map(|(_, table)| table).collect()
    }

    /// Who got a trial since this was last asked.
    fn trials(&mut self) -> Vec<WorkerId> {
        let trials =
            |table: &Table| table.leases.iter().filter(|lease| matches!(lease.right, Right::Trial { .. })).count();
        let holders = std::mem::take(&mut self.sent);
        holders.iter().flat_map(|(id, table)| vec![*id; trials(table)]).collect()
    }
}

fn spec(providers: &[&str]) -> CatalogSpec {
    let mut spec = fixture::spec(providers);
    spec.profiles[0].chains[0].strategy = "fastest".into();
    spec
}
