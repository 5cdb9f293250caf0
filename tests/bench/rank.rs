//! What the core takes to rank ten channels, natively.
//!
//! Duty: a ledger that knows ten channels well, and plans of one `eth_call` after another by each strategy that weighs evidence.
//! Leaves to others: the same in wasm, which the processor time of Envoy contains.

use std::{collections::BTreeMap, hint::black_box, time::Instant};

use anyhow::{Context, anyhow};
use lasso_jsonrpc::{
    block::blocks_of,
    method::{Method, MethodClass},
};
use lasso_routing::{
    Catalog, Ledger, Target,
    catalog::spec::{
        CATALOG_VERSION, CapabilitiesSpec, CatalogSpec, ChainSpec, ChannelSpec, ProfileSpec, ProviderSpec,
        TransportSpec,
    },
    ledger::End,
    outcome::{Blame, Mark, Next, Row, Verdict},
    plan::{Question, plan},
    target::resolve,
    time::{Micros, Millis, Timestamp},
};

use crate::{
    Effort,
    numbers::Middle,
    report::{Budget, Report},
};

const CHANNELS: u64 = 10;
const BATCH: u32 = 10_000;
/// Plans a second and worker that the clock goes by.
const RATE: u64 = 10_000;
const SUCCESS: Verdict = Verdict {
    row: Row::Result,
    next: Next::Stop,
    blame: Blame::None,
    mark: Mark::None,
    success: true,
    hash_is_result: false,
};

/// Measures and reports.
pub(crate) fn measure(effort: &Effort, report: &mut Report) -> anyhow::Result<()> {
    for strategy in ["fastest", "latency-weighted", "load-balanced"] {
        let nanos = Middle::of(&time(strategy, effort.batches)?)?;
        let what = format!("rank {CHANNELS} channels, native, {strategy}");
        report.row(&what, nanos, " ns", Budget::AtMost(1_000.0));
    }
    Ok(())
}

/// Nanoseconds a plan, batch by batch.
fn time(strategy: &str, batches: u32) -> anyhow::Result<Vec<f64>> {
    let catalog = Catalog::try_from(spec())?;
    let path = format!("/rpc/{strategy}/bench");
    let target = resolve(&catalog, "localhost", &path, &|_| None).map_err(|error| anyhow!("{error:?}"))?;
    let mut ledger = Ledger::new(7);
    let mut clock = learn(&catalog, &mut ledger, &target)?;
    let method = Method::of("eth_call");
    let blocks = blocks_of(&method, Some(r#"[{"to":"0xaa"},"latest"]"#));
    let class = MethodClass::of(&method, &blocks);
    let mut nanos = Vec::new();
    for _ in 0..batches {
        let started = Instant::now();
        for _ in 0..BATCH {
            clock += 1;
            let question = Question {
                target: &target,
                method: &method,
                class,
                blocks: &blocks,
                sticky: None,
                seed: clock.wrapping_mul(0x9e37_79b9_7f4a_7c15),
                now: Timestamp::from_millis(clock * 1_000 / RATE),
            };
            let planned = plan(&catalog, &mut ledger, black_box(&question));
            black_box(planned.ok().context("nobody can serve it")?);
        }
        nanos.push(started.elapsed().as_secs_f64() * 1e9 / f64::from(BATCH));
    }
    Ok(nanos)
}

/// Some answers of every channel, each at its own speed. Gives the clock, in plans.
fn learn(catalog: &Catalog, ledger: &mut Ledger, target: &Target) -> anyhow::Result<u64> {
    let start = Timestamp::from_millis(1_000_000);
    ledger.adopt(catalog, start);
    let method = Method::of("eth_call");
    let blocks = blocks_of(&method, Some(r#"[{"to":"0xaa"},"latest"]"#));
    let class = MethodClass::of(&method, &blocks);
    for round in 0..50 {
        let now = start.plus(Millis(round * 10));
        let question = Question { target, method: &method, class, blocks: &blocks, sticky: None, seed: round, now };
        let planned = plan(catalog, ledger, &question).ok().context("nobody can serve it")?;
        for (place, candidate) in (1..).zip(&planned.candidates) {
            let begun = ledger.begin(candidate, &planned, now);
            let latency = Micros(place * 5_000);
            let head = Some(18_000_000);
            let end = End { begun, method: &method, blocks: &blocks, latency, verdict: &SUCCESS, head, now };
            ledger.settle(&end);
        }
    }
    Ok((start.as_millis() + 500) * RATE / 1_000)
}

fn spec() -> CatalogSpec {
    let ids: Vec<String> = (0..CHANNELS).map(|number| format!("p{number}")).collect();
    let id_of = |provider: &str| format!("bench/{provider}/http");
    let channels = ids.iter().map(|provider| ChannelSpec {
        id: id_of(provider),
        transport: TransportSpec::Http,
        cluster: format!("lasso/{}", id_of(provider)),
        authority: format!("{provider}.example"),
        path: "/".to_owned(),
        headers: BTreeMap::new(),
    });
    let providers = ids.iter().map(|provider| ProviderSpec {
        id: provider.clone(),
        channels: vec![id_of(provider)],
        priority: 100,
        cost: None,
        archival: true,
        requests_per_second: None,
        capabilities: CapabilitiesSpec::default(),
    });
    let chain = ChainSpec {
        id: "bench".to_owned(),
        chain_id: 1,
        aliases: Vec::new(),
        hosts: Vec::new(),
        strategy: "fastest".to_owned(),
        block_time_ms: Some(12_000),
        max_lag_blocks: None,
        archival_after_blocks: 128,
        breaker: Default::default(),
        providers: providers.collect(),
    };
    CatalogSpec {
        version: CATALOG_VERSION,
        generation: "0000000000000001".to_owned(),
        workers: 1,
        max_body_bytes: 8_000_000,
        max_batch: 1_000,
        max_meta_header_bytes: 4_096,
        sync: None,
        request_log: None,
        probe_token: None,
        channels: channels.collect(),
        profiles: vec![ProfileSpec {
            id: "public".to_owned(),
            methods: Default::default(),
            explore: true,
            chains: vec![chain],
        }],
    }
}
