//! What a plan costs: `cargo bench -p lasso-routing --bench rank` prints nanoseconds for each strategy over 10 channels, for a worker that
//! is alone and for one that follows the fleet's tables.

#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "a benchmark reads the clock")]
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::hint::black_box;
use std::time::Duration;

use lasso_jsonrpc::block::{BlockRef, Blocks, Tag};
use lasso_jsonrpc::method::{Method, MethodClass};
use lasso_routing::ledger::{End, Ledger};
use lasso_routing::outcome::{Blame, Mark, Next, Row, Verdict};
use lasso_routing::report::{Lesson, Limit};
use lasso_routing::table::{BreakerView, Cell, ChannelView, Summary, Table};
use lasso_routing::time::{Micros, Millis, Timestamp};
use lasso_routing::{Catalog, Question, Strategy, plan};

const CHANNELS: usize = 10;
const ROUNDS: u32 = 200_000;

fn catalog() -> Catalog {
    let channels: Vec<_> = (0..CHANNELS)
        .map(|n| {
            serde_json::json!({
                "id": format!("ethereum/p{n}/http"), "transport": "http", "cluster": format!("lasso/ethereum/p{n}/http"),
                "authority": "example.com", "path": "/",
            })
        })
        .collect();
    let providers: Vec<_> = (0..CHANNELS)
        .map(|n| {
            serde_json::json!({
                "id": format!("p{n}"), "channels": [format!("ethereum/p{n}/http")], "cost": {"*": 1.0, "eth_getLogs": 2.0},
                "capabilities": {"unsupported_methods": ["debug_*"], "max_block_range": 1_000},
            })
        })
        .collect();
    let chain = serde_json::json!({"id": "ethereum", "chain_id": 1, "strategy": "fastest", "providers": providers});
    let spec = serde_json::json!({
        "version": 1, "generation": "1", "channels": channels, "profiles": [{"id": "public", "chains": [chain]}],
    });
    let spec: lasso_routing::catalog::CatalogSpec = serde_json::from_value(spec).expect("the shape is right");
    Catalog::try_from(spec).expect("the catalog is right")
}

/// Of a busy machine's samples the middle one says most.
fn median(mut samples: Vec<Duration>) -> Duration {
    samples.sort_unstable();
    samples.get(samples.len() / 2).copied().unwrap_or_default()
}

/// What the fleet says of every channel: evidence, a breaker, a mark that has ended, a limit that is not in the way.
fn table(class: MethodClass) -> Table {
    let id = |n: usize| -> Box<str> { format!("ethereum/p{n}/http").into() };
    let summary =
        Summary { mean: 22_000.0, weight: 64.0, successes: 64.0, p99: Some(Micros(40_000)), ..Summary::default() };
    let cell = |n| Cell { profile: "public".into(), chain: "ethereum".into(), channel: id(n), class, summary };
    let view = |n| ChannelView {
        channel: id(n),
        breaker: BreakerView::Closed,
        opening: 3,
        limited: Some(Millis::ZERO),
        barred: None,
        connected: false,
    };
    let lesson = |n| Lesson { channel: id(n), limit: Limit::Range(1_000), left: Millis::from_secs(3_600) };
    Table {
        full: true,
        cells: (0..CHANNELS).map(cell).collect(),
        channels: (0..CHANNELS).map(view).collect(),
        lessons: (0..CHANNELS).map(lesson).collect(),
        ..Table::default()
    }
}

fn main() {
    let catalog = catalog();
    for follows in [false, true] {
        println!("{}", if follows { "following tables" } else { "alone" });
        rank(&catalog, follows);
    }
}

fn rank(catalog: &Catalog, follows: bool) {
    let method = Method::of("eth_blockNumber");
    let blocks = Blocks::At(BlockRef::Tag(Tag::Latest));
    let class = MethodClass::of(&method, &blocks);
    for strategy in Strategy::ALL {
        let path = format!("/rpc/{}/ethereum", strategy.name());
        let target = lasso_routing::target::resolve(catalog, "", &path, &|_| None).expect("the chain is there");
        let mut ledger = Ledger::new(1);
        let mut now = Timestamp::from_millis(1_000_000);
        let done = Verdict {
            row: Row::Result,
            next: Next::Stop,
            blame: Blame::None,
            mark: Mark::None,
            success: true,
            hash_is_result: false,
        };
        let (mut planning, mut whole) = (Vec::new(), Vec::new());
        for seed in 0..u64::from(ROUNDS) {
            let question =
                Question { target: &target, method: &method, class, blocks: &blocks, sticky: None, seed, now };
            if follows && seed % 100 == 0 {
                ledger.follow_table(&table(class), now);
            }
            let start = std::time::Instant::now();
            let Ok(plan) = plan(catalog, &mut ledger, black_box(&question)) else { continue };
            planning.push(start.elapsed());
            // Warm every channel, then follow the plan.
            let place = if seed < 1_000 { seed as usize % CHANNELS } else { 0 };
            let Some(candidate) = plan.candidates.get(place) else { continue };
            let begun = ledger.begin(candidate, &plan, now);
            let latency = Micros(20_000 + seed % 5_000);
            let head = Some(seed / 1_000);
            ledger.settle(&End { begun, method: &method, blocks: &blocks, latency, verdict: &done, head, now });
            whole.push(start.elapsed());
            now = now.plus(Millis(seed % 3));
        }
        // What reading the clock costs is taken off.
        let clock = median((0..ROUNDS).map(|_| std::time::Instant::now().elapsed()).collect());
        let planning = median(planning).saturating_sub(clock).as_nanos();
        let whole = median(whole).saturating_sub(clock * 2).as_nanos();
        println!("{:<17} plan {planning:>5} ns   plan + begin + settle {whole:>5} ns", strategy.name());
    }
}
