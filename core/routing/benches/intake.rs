//! What taking reports in costs: `cargo bench -p lasso-routing --bench intake` prints outcomes a second on one core, and what a large
//! fleet's tables cost.

#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "a benchmark reads the clock")]
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::time::{Duration, Instant};

use lasso_jsonrpc::block::Blocks;
use lasso_jsonrpc::method::{Method, MethodClass};
use lasso_routing::Catalog;
use lasso_routing::evidence::bucket_of;
use lasso_routing::fleet::Fleet;
use lasso_routing::fleet::event::{Action, Event, Hello, WorkerId};
use lasso_routing::report::{ChannelTally, Ending, Report, SeenHead, Shown, Sums, Tally};
use lasso_routing::time::{Micros, Millis, Timestamp};

const METHODS: [&str; 10] = [
    "eth_blockNumber",
    "eth_call",
    "eth_chainId",
    "eth_estimateGas",
    "eth_gasPrice",
    "eth_getBalance",
    "eth_getBlockByNumber",
    "eth_getCode",
    "eth_getLogs",
    "eth_getTransactionReceipt",
];

/// Chains, and providers on each.
#[derive(Debug, Clone, Copy)]
struct Size {
    chains: usize,
    providers: usize,
}

fn channel(chain: usize, provider: usize) -> String {
    format!("chain{chain}/provider{provider}/http")
}

fn catalog(size: Size) -> Catalog {
    let Size { chains, providers } = size;
    let channels: Vec<_> = (0..chains)
        .flat_map(|chain| (0..providers).map(move |provider| channel(chain, provider)))
        .map(|id| serde_json::json!({"id": id, "transport": "http", "cluster": id, "authority": "example.com", "path": "/"}))
        .collect();
    let chains: Vec<_> = (0..chains)
        .map(|chain| {
            let providers: Vec<_> = (0..providers)
                .map(|provider| serde_json::json!({"id": format!("provider{provider}"), "channels": [channel(chain, provider)]}))
                .collect();
            serde_json::json!({"id": format!("chain{chain}"), "chain_id": chain + 1, "strategy": "fastest", "providers": providers})
        })
        .collect();
    let spec = serde_json::json!({
        "version": 1, "generation": "1", "channels": channels, "profiles": [{"id": "public", "chains": chains}],
    });
    let spec: lasso_routing::catalog::CatalogSpec = serde_json::from_value(spec).expect("the shape is right");
    Catalog::try_from(spec).expect("the catalog is right")
}

/// Numbers that look random and are the same each time.
fn mixed(number: u64) -> u64 {
    let mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 27)
}

/// What a worker reports after so many outcomes: half of each chain's calls go to one provider, most of the rest to a second, as `fastest`
/// has it; a hundredth fails.
fn report(size: Size, outcomes: usize, round: u64, now: Timestamp) -> Report {
    let mut sums: std::collections::BTreeMap<(usize, usize, usize), Sums> = std::collections::BTreeMap::new();
    for outcome in 0..outcomes as u64 {
        let random = mixed(outcome + round * 1_000_003);
        let (chain, class) = (random as usize % size.chains, (random >> 8) as usize % METHODS.len());
        let provider = match (random >> 12) % 20 {
            0..10 => chain % size.providers,
            10..18 => (chain + 1) % size.providers,
            other => (chain + other as usize) % size.providers,
        };
        let sums = sums.entry((chain, provider, class)).or_default();
        if (random >> 17).is_multiple_of(100) {
            sums.endings[Ending::Server as usize] += 1;
            sums.trailing_failures += 1;
            continue;
        }
        let latency = Micros(8_000 + (random >> 3) % 30_000);
        sums.endings[Ending::Success as usize] += 1;
        sums.trailing_failures = 0;
        sums.latency.0 += latency.0;
        sums.fastest = if sums.fastest.0 == 0 { latency } else { sums.fastest.min(latency) };
        sums.slowest = sums.slowest.max(latency);
        let bucket = bucket_of(latency);
        match sums.latencies.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
            Ok(place) => sums.latencies[place].1 += 1,
            Err(place) => sums.latencies.insert(place, (bucket, 1)),
        }
    }
    let mut channels: std::collections::BTreeMap<(usize, usize), ChannelTally> = std::collections::BTreeMap::new();
    for ((chain, provider, _), sums) in &sums {
        let tally = channels.entry((*chain, *provider)).or_default();
        tally.channel = channel(*chain, *provider).into();
        tally.attempts += sums.attempts() as u32;
        tally.failures += sums.failures() as u32;
        tally.in_flight = 1;
    }
    let heads = channels.values().map(|tally| SeenHead {
        channel: tally.channel.clone(),
        shown: Shown {
            number: now.as_millis() / 2_000,
            proved: 1_000,
            first: Millis(now.as_millis() % 2_000),
            last: Millis(10),
        },
    });
    Report {
        seq: round,
        heads: heads.collect(),
        channels: channels.into_values().collect(),
        tallies: sums
            .into_iter()
            .map(|((chain, provider, class), sums)| Tally {
                profile: "public".into(),
                chain: format!("chain{chain}").into(),
                channel: channel(chain, provider).into(),
                class: MethodClass::of(&Method::of(METHODS[class]), &Blocks::None),
                sums,
            })
            .collect(),
        ..Report::default()
    }
}

fn fleet(size: Size, nodes: u64, workers: u64) -> Fleet {
    let mut fleet = Fleet::new(1);
    fleet.adopt(&catalog(size), Timestamp::from_millis(1_700_000_000_000));
    for worker in 0..nodes * workers {
        let hello = Hello { node: format!("node{}", worker / workers).into(), instance: worker, ..Hello::default() };
        fleet.handle_event(Event::Joined(WorkerId(worker), hello), Timestamp::from_millis(1_700_000_000_000));
    }
    fleet
}

/// Time that this thread has had a core, where the system tells: other work on the machine must not count. Else the time of day.
fn spent() -> Duration {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let on_core = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = on_core.and_then(|text| text.split(' ').next()?.parse().ok());
    nanos.map_or_else(|| START.get_or_init(Instant::now).elapsed(), Duration::from_nanos)
}

/// Takes what the fleet wants done, as a shell that is always fast would; how many cells and heads its tables had.
fn drain(fleet: &mut Fleet, now: Timestamp) -> usize {
    let mut told = 0;
    while let Some(action) = fleet.poll_action() {
        if let Action::Send(worker, table) = action {
            told += table.cells.len() + table.heads.len();
            fleet.handle_event(Event::TableTaken(worker, table.version), now);
        }
    }
    told
}

fn intake(outcomes: usize) {
    const REPORTS: u64 = 2_000;
    let size = Size { chains: 10, providers: 10 };
    let mut fleet = fleet(size, 1, 2);
    let mut now = Timestamp::from_millis(1_700_000_000_000);
    let mut all = Duration::ZERO;
    let mut tallies = 0;
    for batch in 0..REPORTS / 100 {
        let reports: Vec<_> =
            (1..=100).map(|round| Box::new(report(size, outcomes, batch * 100 + round, now))).collect();
        tallies += reports.iter().map(|report| report.tallies.len()).sum::<usize>();
        let start = spent();
        for report in reports {
            fleet.handle_event(Event::Reported(WorkerId(report.seq % 2), report), now);
            now = now.plus(Millis(50));
            fleet.handle_timeout(now);
            drain(&mut fleet, now);
        }
        all += spent() - start;
    }
    let each = all.as_secs_f64() / REPORTS as f64;
    println!(
        "{outcomes:>5} outcomes in {:>4} tallies a report: {:>9.0} outcomes/s   {:>6.1} us a report, its part of the tables included",
        tallies as u64 / REPORTS,
        outcomes as f64 / each,
        each * 1e6
    );
}

/// 50 Envoys of 8 workers, 100 chains of 20 providers; each worker reports five times a second.
fn large() {
    const SECONDS: u64 = 20;
    let size = Size { chains: 100, providers: 20 };
    let mut fleet = fleet(size, 50, 8);
    let mut now = Timestamp::from_millis(1_700_000_000_000);
    let (mut intake, mut ticks, mut told) = (Duration::ZERO, Duration::ZERO, 0);
    for tick in 0..SECONDS * 10 {
        let workers = (0..400).filter(|worker| worker % 2 == tick % 2);
        let reports: Vec<_> =
            workers.map(|worker| (worker, Box::new(report(size, 100, tick * 400 + worker + 1, now)))).collect();
        let start = spent();
        for (worker, report) in reports {
            fleet.handle_event(Event::Reported(WorkerId(worker), report), now);
        }
        let taken = spent();
        now = now.plus(Millis(100));
        fleet.handle_timeout(now);
        told += drain(&mut fleet, now);
        intake += taken - start;
        ticks += spent() - taken;
    }
    let core = |spent: Duration| spent.as_secs_f64() / SECONDS as f64 * 100.0;
    println!(
        "400 workers, 2,000 channels, 200,000 outcomes/s: {:.0} % of a core for reports, {:.0} % for tables ({} cells and heads/s)",
        core(intake),
        core(ticks),
        told as u64 / SECONDS
    );
    let start = spent();
    let view = fleet.view(now);
    println!("a view of {} standings takes {:.1} ms", view.standings.len(), (spent() - start).as_secs_f64() * 1e3);
}

fn main() {
    intake(200);
    intake(2_000);
    large();
}
