//! Plain Envoy and ours, side by side: processor time, throughput, latency at half load, calls upstream; for each kind of our filter.
//!
//! Duty: one start of both Envoys gives one ratio of each sort; the report takes the median over the starts, because two starts of
//! the same Envoy differ more than two windows of one.
//! Invariant: processor time is compared while both carry load at the same time on the same processor; what cannot be shared
//! (throughput, latency) is measured alone, in turn, in short windows.

use std::time::Duration;

use anyhow::ensure;
use lasso_tests::{ChainConfig, Config, FilterKind};

use crate::{
    Effort, calls,
    load::{Load, Order, Pace, run},
    machine::Layout,
    mock::{Manner, Mock},
    numbers::{Middle, quantile},
    report::{Budget, Report, named},
    site::{AccessLog, Site},
};

const PATH: &str = "/rpc/bench";
const PAIRED_CONNECTIONS: u64 = 32;
const ALONE_CONNECTIONS: u64 = 64;
/// Flat out, Envoy has its processor for itself, but for the start and the end of a window.
const UNDISTURBED: f64 = 0.85;

/// The same figure of the two.
#[derive(Debug, Clone, Copy)]
struct Two {
    plain: f64,
    lasso: f64,
}

impl Two {
    fn ratio(self) -> f64 {
        self.lasso / self.plain
    }
}

/// All that the starts gave.
#[derive(Debug)]
struct Measured {
    /// Of each kind of the filter.
    ours: Vec<(FilterKind, Beside)>,
    busy: Vec<f64>,
    direct: Vec<f64>,
}

/// One kind of the filter beside plain Envoy.
#[derive(Debug, Default)]
struct Beside {
    cpu_small: Vec<Two>,
    cpu_mix: Vec<Two>,
    cpu_logged: Vec<Two>,
    throughput_small: Vec<Two>,
    throughput_mix: Vec<Two>,
    p50: Vec<Two>,
    p99: Vec<Two>,
    rate: Vec<f64>,
    asked: u64,
    arrived: u64,
}

/// The Envoys of one start, and the providers.
#[derive(Debug)]
struct Pair {
    plain: Site,
    providers: Vec<Mock>,
}

/// An Envoy with our filter, and another that logs.
#[derive(Debug)]
struct Ours {
    lasso: Site,
    logged: Site,
}

/// Measures and reports.
pub(crate) async fn measure(
    effort: &Effort,
    layout: Layout,
    kinds: &[FilterKind],
    report: &mut Report,
) -> anyhow::Result<()> {
    let ours = kinds.iter().map(|kind| (*kind, Beside::default())).collect();
    let mut measured = Measured { ours, busy: Vec::new(), direct: Vec::new() };
    for _ in 0..effort.starts {
        let pair = Pair::start(layout).await?;
        measured.direct.push(pair.direct(effort).await?);
        for (kind, beside) in &mut measured.ours {
            let ours = pair.beside(layout, *kind).await?;
            pair.paired(&ours, effort, beside).await?;
            measured.busy.extend(pair.alone(&ours, effort, beside).await?);
            let awake = layout.stay_awake()?;
            pair.at_half_load(&ours, effort, beside).await?;
            awake.must_live()?;
        }
    }
    measured.report(report)
}

impl Pair {
    async fn start(layout: Layout) -> anyhow::Result<Self> {
        let mut providers = Vec::new();
        for _ in 0..4 {
            providers.push(Mock::start(Manner::Healthy).await?);
        }
        Ok(Self { plain: Site::plain(layout, providers[0].address()).await?, providers })
    }

    async fn beside(&self, layout: Layout, kind: FilterKind) -> anyhow::Result<Ours> {
        let mut chain = ChainConfig::new("bench", 1);
        for (id, provider) in ["one", "two", "three"].iter().zip(&self.providers[1..]) {
            chain = chain.provider(id, &provider.url());
        }
        let config = Config::new().strategy("fastest").exploring().chain(chain);
        let lasso = Site::lasso(layout, kind, &config, AccessLog::Off, PATH).await?;
        let logged = Site::lasso(layout, kind, &config, AccessLog::On, PATH).await?;
        Ok(Ours { lasso, logged })
    }

    async fn paired(&self, ours: &Ours, effort: &Effort, beside: &mut Beside) -> anyhow::Result<()> {
        let (plain, lasso) = (&self.plain, &ours.lasso);
        beside.cpu_small.push(cpu(plain, lasso, calls::Load::Small, effort).await?);
        beside.cpu_mix.push(cpu(plain, lasso, calls::Load::Mix, effort).await?);
        beside.cpu_logged.push(cpu(plain, &ours.logged, calls::Load::Small, effort).await?);
        Ok(())
    }

    /// The load straight on the mock.
    async fn direct(&self, effort: &Effort) -> anyhow::Result<f64> {
        let order = Order { path: "/", ..order(&self.plain, calls::Load::Small, ALONE_CONNECTIONS) };
        throughput(&Order { address: self.providers[0].address(), ..order }, effort).await
    }

    /// How busy plain Envoy's processor was with it, each time.
    async fn alone(&self, ours: &Ours, effort: &Effort, beside: &mut Beside) -> anyhow::Result<Vec<f64>> {
        let mut shares = Vec::new();
        let loads =
            [(calls::Load::Small, &mut beside.throughput_small), (calls::Load::Mix, &mut beside.throughput_mix)];
        for (load, pairs) in loads {
            for _ in 0..effort.rounds {
                let busy = self.plain.processor_time()?;
                let started = std::time::Instant::now();
                let plain = throughput(&order(&self.plain, load, ALONE_CONNECTIONS), effort).await?;
                let used = self.plain.processor_time()?.saturating_sub(busy);
                shares.push(used.as_secs_f64() / started.elapsed().as_secs_f64());
                let arrived = self.arrived();
                let order = order(&ours.lasso, load, ALONE_CONNECTIONS);
                let (lasso, asked) = counted_throughput(&order, effort).await?;
                beside.asked += asked;
                beside.arrived += self.arrived() - arrived;
                pairs.push(Two { plain, lasso });
            }
        }
        Ok(shares)
    }

    /// Calls that reached our three providers.
    fn arrived(&self) -> u64 {
        self.providers.iter().skip(1).map(Mock::asked).sum()
    }

    /// Both at the same rate: half of what ours can do.
    async fn at_half_load(&self, ours: &Ours, effort: &Effort, beside: &mut Beside) -> anyhow::Result<()> {
        let last = beside.throughput_small.last().map_or(0.0, |two| two.lasso);
        ensure!(last > 0.0, "no throughput was measured");
        let rate = last / 2.0;
        beside.rate.push(rate);
        for _ in 0..effort.rounds {
            let mut plain = at_rate(&self.plain, rate, effort).await?;
            let mut lasso = at_rate(&ours.lasso, rate, effort).await?;
            let mut two =
                |share| anyhow::Ok(Two { plain: quantile(&mut plain, share)?, lasso: quantile(&mut lasso, share)? });
            beside.p50.push(two(0.5)?);
            beside.p99.push(two(0.99)?);
        }
        Ok(())
    }
}

fn order(site: &Site, calls: calls::Load, connections: u64) -> Order {
    Order { address: site.address(), path: PATH, calls, connections, pace: Pace::FlatOut }
}

/// Microseconds of processor time a request, of both under load at the same time.
async fn cpu(plain: &Site, lasso: &Site, calls: calls::Load, effort: &Effort) -> anyhow::Result<Two> {
    let mut loads = [
        Load::start(&order(plain, calls, PAIRED_CONNECTIONS)).await?,
        Load::start(&order(lasso, calls, PAIRED_CONNECTIONS)).await?,
    ];
    run(&mut loads.each_mut(), effort.warm).await?;
    let seen = loads.each_ref().map(Load::seen);
    let used = [plain.processor_time()?, lasso.processor_time()?];
    run(&mut loads.each_mut(), effort.window).await?;
    let used = [plain.processor_time()?.saturating_sub(used[0]), lasso.processor_time()?.saturating_sub(used[1])];
    let now = loads.each_ref().map(Load::seen);
    for load in loads {
        let seen = load.finish().await?;
        ensure!(seen.failed == 0, "{} calls failed under load", seen.failed);
    }
    let mut each = [0.0; 2];
    for (each, ((now, seen), used)) in each.iter_mut().zip(now.iter().zip(seen).zip(used)) {
        ensure!(now.whole > seen.whole, "no call was answered");
        *each = used.as_secs_f64() * 1e6 / (now.whole - seen.whole) as f64;
    }
    Ok(Two { plain: each[0], lasso: each[1] })
}

/// Calls a second.
async fn throughput(order: &Order, effort: &Effort) -> anyhow::Result<f64> {
    Ok(counted_throughput(order, effort).await?.0)
}

/// Calls a second, and all that were sent, warm-up included.
async fn counted_throughput(order: &Order, effort: &Effort) -> anyhow::Result<(f64, u64)> {
    let mut load = Load::start(order).await?;
    run(&mut [&mut load], effort.warm).await?;
    let (seen, started) = (load.seen(), std::time::Instant::now());
    run(&mut [&mut load], effort.alone).await?;
    let (now, length) = (load.seen(), started.elapsed());
    let all = load.finish().await?;
    ensure!(all.failed == 0, "{} calls failed under load", all.failed);
    Ok(((now.whole - seen.whole) as f64 / length.as_secs_f64(), all.whole))
}

async fn at_rate(site: &Site, rate: f64, effort: &Effort) -> anyhow::Result<Vec<u32>> {
    let order = Order { pace: Pace::Rate(rate), ..order(site, calls::Load::Small, ALONE_CONNECTIONS) };
    let mut load = Load::start(&order).await?;
    run(&mut [&mut load], effort.warm.min(Duration::from_millis(300))).await?;
    load.record();
    run(&mut [&mut load], effort.alone).await?;
    let latencies = load.latencies();
    let seen = load.finish().await?;
    ensure!(seen.failed == 0, "{} calls failed at half load", seen.failed);
    Ok(latencies)
}

impl Measured {
    fn report(&self, report: &mut Report) -> anyhow::Result<()> {
        for (kind, beside) in &self.ours {
            let named = named(*kind);
            beside.report(named, report)?;
        }
        report.figure("throughput, the load straight on the mock", Middle::of(&self.direct)?, " /s");
        let share = Middle::of(&self.busy)?;
        report.figure("share of its processor that plain Envoy had while alone", share, "");
        if share.median < UNDISTURBED {
            report.doubt(format!("something else ran: flat out, Envoy had {:.2} of its processor", share.median));
        }
        Ok(())
    }
}

impl Beside {
    fn report(&self, named: &str, report: &mut Report) -> anyhow::Result<()> {
        let ratio = |pairs: &[Two]| Middle::of(&pairs.iter().map(|two| two.ratio()).collect::<Vec<_>>());
        let plain = |pairs: &[Two]| Middle::of(&pairs.iter().map(|two| two.plain).collect::<Vec<_>>());
        let lasso = |pairs: &[Two]| Middle::of(&pairs.iter().map(|two| two.lasso).collect::<Vec<_>>());
        let rows = [
            ("CPU a request / plain Envoy, small calls", &self.cpu_small, Budget::AtMost(1.40)),
            ("CPU a request / plain Envoy, mix", &self.cpu_mix, Budget::AtMost(1.40)),
            (
                "CPU a request / plain Envoy without a log, small calls, access log to a file",
                &self.cpu_logged,
                Budget::None,
            ),
            ("throughput / plain Envoy, small calls", &self.throughput_small, Budget::AtLeast(0.72)),
            ("throughput / plain Envoy, mix", &self.throughput_mix, Budget::AtLeast(0.72)),
            ("p99 at half load / plain Envoy", &self.p99, Budget::AtMost(1.3)),
        ];
        for (what, pairs, budget) in rows {
            report.row(&format!("{what}{named}"), ratio(pairs)?, "", budget);
        }
        let added: Vec<f64> = self.p99.iter().map(|two| (two.lasso - two.plain) / 1_000.0).collect();
        let what = format!("added to p99 at half load{named}");
        report.row(&what, Middle::of(&added)?, " ms", Budget::AtMost(2.0));
        let upstream = self.arrived as f64 / self.asked as f64;
        let what = format!("calls upstream a client's call, healthy{named}");
        report.row(&what, Middle::only(upstream), "", Budget::AtMost(1.02));
        let figures = [
            ("CPU a request, small calls", &self.cpu_small, " us"),
            ("CPU a request, mix", &self.cpu_mix, " us"),
            ("throughput, small calls", &self.throughput_small, " /s"),
            ("throughput, mix", &self.throughput_mix, " /s"),
            ("p50 at half load", &self.p50, " us"),
            ("p99 at half load", &self.p99, " us"),
        ];
        for (what, pairs, unit) in figures {
            report.figure(&format!("{what}, plain Envoy{}", beside(named)), plain(pairs)?, unit);
            report.figure(&format!("{what}, Envoy + Lasso{named}"), lasso(pairs)?, unit);
        }
        report.figure(&format!("half load{named}"), Middle::of(&self.rate)?, " /s");
        Ok(())
    }
}

/// Plain Envoy is measured with each kind again.
fn beside(named: &str) -> String {
    if named.is_empty() { String::new() } else { format!(" beside{}", named.trim_start_matches(',')) }
}
