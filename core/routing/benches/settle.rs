//! What an attempt costs after it was planned, reporting included: `cargo bench -p lasso-routing --bench settle`.
//!
//! Begin and settle, a thousand at a time so that reading the clock does not show, with a head in every reply and a failure now and then;
//! and the report that is made of it every 100 ms, at two rates.

#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "a benchmark reads the clock")]
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

#[path = "shared/site.rs"]
mod site;

use std::hint::black_box;
use std::time::{Duration, Instant};

use lasso_jsonrpc::block::{BlockRef, Blocks, Tag};
use lasso_jsonrpc::method::{Method, MethodClass};
use lasso_routing::ledger::{End, Ledger};
use lasso_routing::time::{Micros, Millis, Timestamp};
use lasso_routing::{Catalog, Plan, Question, plan};

use site::{DONE, FAILED};

const CHANNELS: usize = 10;
const BATCH: u32 = 1_000;
const BATCHES: usize = 500;
const METHODS: [&str; 4] = ["eth_call", "eth_blockNumber", "eth_getBalance", "eth_getTransactionReceipt"];

fn plan_of(catalog: &Catalog, ledger: &mut Ledger, method: &Method<'_>, now: Timestamp) -> Plan {
    let target = lasso_routing::target::resolve(catalog, "", "/rpc/ethereum", &|_| None).expect("the chain is there");
    let blocks = Blocks::At(BlockRef::Tag(Tag::Latest));
    let class = MethodClass::of(method, &blocks);
    let question = Question { target: &target, method, class, blocks: &blocks, sticky: None, seed: 1, now };
    plan(catalog, ledger, &question).expect("everybody is there")
}

fn median(mut samples: Vec<Duration>) -> Duration {
    samples.sort_unstable();
    samples.get(samples.len() / 2).copied().unwrap_or_default()
}

/// Attempts at this rate; what one of them costs, and what the report costs that is made every 100 ms.
fn run(catalog: &Catalog, per_second: u64) -> (Duration, Duration) {
    let mut ledger = Ledger::new(1);
    let origin = Timestamp::from_millis(1_000_000);
    let blocks = Blocks::At(BlockRef::Tag(Tag::Latest));
    let methods = METHODS.map(Method::of);
    let plans = methods.each_ref().map(|method| plan_of(catalog, &mut ledger, method, origin));
    let (mut settling, mut reporting) = (Vec::new(), Vec::new());
    let (mut count, mut reported) = (0_u64, origin);
    for _ in 0..BATCHES {
        let start = Instant::now();
        let mut between = Duration::ZERO;
        for _ in 0..BATCH {
            count += 1;
            let now = origin.plus(Millis(count * 1_000 / per_second));
            let turn = count as usize;
            let (method, plan) = (&methods[turn % METHODS.len()], &plans[turn % METHODS.len()]);
            let begun = ledger.begin(&plan.candidates[turn / 7 % plan.candidates.len()], plan, now);
            let verdict = if count.is_multiple_of(97) { &FAILED } else { &DONE };
            let latency = Micros(20_000 + count * 7_919 % 9_000);
            let head = Some(count / per_second);
            ledger.settle(black_box(&End { begun, method, blocks: &blocks, latency, verdict, head, now }));
            if now.since(reported) >= Millis(100) {
                reported = now;
                let start = Instant::now();
                let seq = black_box(ledger.report(now)).map_or(0, |report| report.seq);
                ledger.acked(seq);
                let took = start.elapsed();
                reporting.push(took);
                between += took;
            }
        }
        settling.push((start.elapsed() - between) / BATCH);
    }
    (median(settling), median(reporting))
}

fn main() {
    let catalog = site::catalog(CHANNELS);
    for per_second in [2_000, 20_000] {
        let (settling, reporting) = run(&catalog, per_second);
        let share = reporting.as_nanos() * 10 / u128::from(per_second);
        println!(
            "at {per_second:>6}/s   begin + settle {:>4} ns   a report {:>6} ns ten times a second: {share} ns an attempt",
            settling.as_nanos(),
            reporting.as_nanos(),
        );
    }
}
