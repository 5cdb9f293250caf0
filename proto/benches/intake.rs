//! What reports weigh and what taking them in costs: `cargo bench -p lasso-proto --bench intake`.
//!
//! Two workers route a million attempts between them by `fastest`, at two rates, and report every 100 ms, as the filter does. Printed: bytes of reports
//! per second and how they grow with the rate; attempts that one core takes in, from the bytes of a report to the fleet.

#![expect(clippy::print_stdout, reason = "its output is its purpose")]

#[path = "../../core/routing/benches/shared/site.rs"]
mod site;

use std::time::{Duration, Instant};

use lasso_jsonrpc::block::{BlockRef, Blocks, Tag};
use lasso_jsonrpc::method::{Method, MethodClass};
use lasso_proto::sync::FromWorker;
use lasso_routing::fleet::Fleet;
use lasso_routing::fleet::event::{Event, Hello, WorkerId};
use lasso_routing::ledger::{End, Ledger};
use lasso_routing::report::Decision;
use lasso_routing::target::resolve;
use lasso_routing::time::{Micros, Millis, Timestamp};
use lasso_routing::{Catalog, Question, plan};

use site::{DONE, FAILED};

const ATTEMPTS: u64 = 1_000_000;
const WORKERS: u64 = 2;
const PROVIDERS: usize = 5;
/// Sampled decisions of requests that went well, in a report; those that failed come besides.
const SAMPLED: u64 = 16;
const TICK: Millis = Millis(100);

/// What is asked, and how often among a hundred.
const METHODS: [(&str, u64); 10] = [
    ("eth_call", 40),
    ("eth_getBalance", 15),
    ("eth_blockNumber", 12),
    ("eth_getTransactionReceipt", 10),
    ("eth_getBlockByNumber", 8),
    ("eth_getLogs", 5),
    ("eth_getTransactionCount", 4),
    ("eth_gasPrice", 3),
    ("eth_estimateGas", 2),
    ("eth_getCode", 1),
];

/// Chance, the same in every run.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Around one, with a tail: e to the power of something normal.
    fn spread(&mut self) -> f64 {
        let sum: u64 = (0..12).map(|_| self.below(1_000)).sum();
        ((sum as f64 - 5_994.0) / 1_000.0 * 0.25).exp()
    }
}

struct Worker {
    ledger: Ledger,
    dice: Dice,
}

impl Worker {
    /// One request, and its one attempt.
    fn route(&mut self, catalog: &Catalog, now: Timestamp) {
        let mut dice = self.dice.below(100);
        let (name, _) = METHODS
            .iter()
            .find(|(_, share)| {
                let here = dice < *share;
                dice = dice.saturating_sub(*share);
                here
            })
            .expect("a hundred");
        let method = Method::of(name);
        let blocks = Blocks::At(BlockRef::Tag(Tag::Latest));
        let class = MethodClass::of(&method, &blocks);
        let target = resolve(catalog, "", "/rpc/ethereum", &|_| None).expect("the chain is there");
        let seed = self.dice.next();
        let question = Question { target: &target, method: &method, class, blocks: &blocks, sticky: None, seed, now };
        let plan = plan(catalog, &mut self.ledger, &question).expect("somebody is there");
        let candidate = plan.candidates.first().expect("a plan has one");
        let begun = self.ledger.begin(candidate, &plan, now);
        let base = 15_000 + 6_000 * candidate.channel.index() as u64 + 700 * class.index() as u64;
        let latency = Micros((base as f64 * self.dice.spread()) as u64);
        let failed = self.dice.below(500) == 0;
        let verdict = if failed { &FAILED } else { &DONE };
        let head = Some(20_000_000 + now.as_millis() / 12_000);
        self.ledger.settle(&End { begun, method: &method, blocks: &blocks, latency, verdict, head, now });
        if failed {
            self.decided(class, latency);
        }
    }

    fn decided(&mut self, class: MethodClass, latency: Micros) {
        let request_id = self.dice.next();
        self.ledger.decided(Decision {
            request_id,
            profile: "public".into(),
            chain: "ethereum".into(),
            class,
            strategy: "fastest".into(),
            reason: "fastest".into(),
            candidates: PROVIDERS as u32,
            attempts: vec![("ethereum/provider-0/http".into(), "result".into(), latency)],
            answered: true,
            selection: Micros(3),
            total: Micros(latency.0 + 200),
        });
    }

    /// The bytes of the next report.
    fn report(&mut self, now: Timestamp) -> Vec<u8> {
        (0..SAMPLED).for_each(|_| self.decided(MethodClass::BATCH, Micros(20_000)));
        let report = self.ledger.report(now).cloned().expect("there is always something to say");
        self.ledger.acked(report.seq);
        FromWorker::Report(Box::new(report)).encode()
    }
}

/// All reports at this rate, in order, each with its worker and its time.
fn reports(catalog: &Catalog, per_second: u64) -> Vec<(WorkerId, Timestamp, Vec<u8>)> {
    let mut workers: Vec<_> = (0..WORKERS).map(|n| Worker { ledger: Ledger::new(n), dice: Dice(n + 1) }).collect();
    let (origin, mut reported) = (Timestamp::from_millis(1_000_000), Millis(0));
    let mut reports = Vec::new();
    for count in 0..ATTEMPTS {
        let since = Millis(count * 1_000 / per_second);
        let now = origin.plus(since);
        if since.0 >= reported.0 + TICK.0 {
            reported = since;
            let each = workers.iter_mut().zip(0..);
            reports.extend(each.map(|(worker, n)| (WorkerId(n), now, worker.report(now))));
        }
        let turn = (count % WORKERS) as usize;
        if let Some(worker) = workers.get_mut(turn) {
            worker.route(catalog, now);
        }
    }
    reports
}

/// How long one core needs for all of them.
fn take_in(catalog: &Catalog, reports: &[(WorkerId, Timestamp, Vec<u8>)]) -> Duration {
    let mut fleet = Fleet::new(1);
    let origin = Timestamp::from_millis(1_000_000);
    fleet.adopt(catalog, origin);
    for worker in (0..WORKERS).map(WorkerId) {
        fleet.handle_event(
            Event::Joined(worker, Hello { node: "envoy".into(), instance: worker.0 + 1, ..Hello::default() }),
            origin,
        );
    }
    let start = Instant::now();
    for (worker, now, bytes) in reports {
        let Ok(read) = FromWorker::decode(bytes) else { continue };
        let FromWorker::Report(report) = read.message else { continue };
        fleet.handle_event(Event::Reported(*worker, report), *now);
        if fleet.poll_timeout().is_some_and(|at| at <= *now) {
            fleet.handle_timeout(*now);
        }
        while fleet.poll_action().is_some() {}
    }
    let took = start.elapsed();
    let attempts = fleet.view(origin).totals.attempts;
    assert!(attempts > ATTEMPTS * 99 / 100, "{attempts} of {ATTEMPTS} attempts arrived");
    took
}

fn main() {
    let catalog = site::catalog(PROVIDERS);
    let mut before = None;
    for per_second in [2_000, 20_000] {
        let reports = reports(&catalog, per_second);
        let bytes: usize = reports.iter().map(|(_, _, bytes)| bytes.len()).sum();
        let a_second = bytes as u64 * per_second / ATTEMPTS;
        let took = take_in(&catalog, &reports);
        let intake = ATTEMPTS as f64 / took.as_secs_f64() / 1e6;
        println!(
            "at {per_second:>6} attempts/s   {:>5} bytes a report, {a_second:>6} bytes/s{}   {:>6.1} us to take one in: {intake:>5.1} M attempts/s a core",
            bytes / reports.len(),
            before.map_or(String::new(), |before: u64| format!(" (x {:.2})", a_second as f64 / before as f64)),
            took.as_secs_f64() * 1e6 / reports.len() as f64,
        );
        before = Some(a_second);
    }
}
