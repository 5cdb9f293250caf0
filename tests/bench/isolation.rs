//! What a dead chain costs another one on the same worker.
//!
//! Duty: every provider of one chain takes connections and never answers, 64 clients ask it all the same; a second chain is asked at
//! a steady rate before and meanwhile.
//! Invariant: a fresh Envoy for each comparison, so that the breakers of the dead chain are closed when its clients come.

use std::{net::TcpListener, time::Duration};

use anyhow::ensure;
use lasso_tests::{ChainConfig, Config, FilterKind, loopback};

use crate::{
    Effort, calls,
    load::{Load, Order, Pace, run},
    machine::Layout,
    mock::{Manner, Mock},
    numbers::{Middle, calm_quantile, quantile},
    report::{Budget, Report, named},
    site::{AccessLog, Site},
};

const ALIVE: &str = "/rpc/alive";
const DEAD: &str = "/rpc/dead";
const DEAD_CONNECTIONS: u64 = 64;
/// Once every breaker is open the dead chain fails at once. Clients that ask again at that very moment would measure how fast we refuse; those in use
/// wait (viem 150 ms, then 300, then 600).
const DEAD_PAUSE: Duration = Duration::from_millis(500);
const ALIVE_CONNECTIONS: u64 = 16;
const ALIVE_RATE: f64 = 2_000.0;

/// Measures each kind of the filter and reports.
pub(crate) async fn measure(
    effort: &Effort,
    layout: Layout,
    kinds: &[FilterKind],
    report: &mut Report,
) -> anyhow::Result<()> {
    for kind in kinds {
        let named = named(*kind);
        measure_kind(effort, layout, *kind, named, report).await?;
    }
    Ok(())
}

async fn measure_kind(
    effort: &Effort,
    layout: Layout,
    kind: FilterKind,
    named: &str,
    report: &mut Report,
) -> anyhow::Result<()> {
    let (mut ratios, mut alone, mut beside) = (Vec::new(), Vec::new(), Vec::new());
    let (mut asked, mut whole, mut refused) = (0, 0, 0);
    let (awake, mut calm_ratios) = (layout.stay_awake()?, Vec::new());
    for _ in 0..effort.isolations {
        let holes = [black_hole()?, black_hole()?, black_hole()?];
        let healthy = Mock::start(Manner::Healthy).await?;
        let mut dead = ChainConfig::new("dead", 2);
        for (id, hole) in ["one", "two", "three"].iter().zip(&holes) {
            dead = dead.provider(id, &format!("http://{}/", hole.local_addr()?));
        }
        let alive = ChainConfig::new("alive", 1).provider("healthy", &healthy.url());
        let config = Config::new().strategy("fastest").exploring().chain(alive).chain(dead);
        let site = Site::lasso(layout, kind, &config, AccessLog::Off, ALIVE).await?;
        let order = |path, connections, pace| Order {
            address: site.address(),
            path,
            calls: calls::Load::Small,
            connections,
            pace,
        };
        let mut load = Load::start(&order(ALIVE, ALIVE_CONNECTIONS, Pace::Rate(ALIVE_RATE))).await?;
        run(&mut [&mut load], effort.warm).await?;
        load.record();
        run(&mut [&mut load], effort.isolation).await?;
        let mut latencies = load.latencies();
        let calm = calm_quantile(&mut latencies, effort.slices, 0.99)?;
        let quiet = quantile(&mut latencies, 0.99)?;
        let before = load.seen();
        let mut victims = Load::start(&order(DEAD, DEAD_CONNECTIONS, Pace::After(DEAD_PAUSE))).await?;
        run(&mut [&mut load, &mut victims], effort.isolation).await?;
        let mut latencies = load.latencies();
        calm_ratios.push(calm_quantile(&mut latencies, effort.slices, 0.99)? / calm);
        let busy = quantile(&mut latencies, 0.99)?;
        alone.push(quiet);
        beside.push(busy);
        let after = load.seen();
        ensure!(victims.seen().whole == 0, "a black hole gave a result");
        ratios.push(busy / quiet);
        whole += after.whole - before.whole;
        asked += after.whole + after.failed - before.whole - before.failed;
        refused += victims.seen().failed;
    }
    awake.must_live()?;
    ensure!(asked > 0, "the living chain was not asked");
    let share = whole as f64 / asked as f64;
    let of = |what: &str| format!("{what}{named}");
    let dead = |what: &str| format!("beside a dead chain: {what}{named}");
    report.row(&dead("share of calls with a result"), Middle::only(share), "", Budget::AtLeast(1.0));
    report.row(&dead("p99 / alone"), Middle::of(&ratios)?, "", Budget::AtMost(1.3));
    report.figure(&dead("p99 / alone, of the middle part of the calls"), Middle::of(&calm_ratios)?, "");
    report.figure(&of("p99 of the living chain, alone"), Middle::of(&alone)?, " us");
    report.figure(&of("p99 of the living chain, beside the dead one"), Middle::of(&beside)?, " us");
    report.figure(&of("calls that the dead chain refused"), Middle::only(f64::from(u32::try_from(refused)?)), "");
    Ok(())
}

/// The system accepts connections and what is sent on them; nobody reads it.
fn black_hole() -> anyhow::Result<TcpListener> {
    Ok(TcpListener::bind(loopback(0))?)
}
