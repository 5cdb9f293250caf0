//! `lasso-bench`: the budgets, measured as ratios within one run (`make bench`).
//!
//! Duty: put plain Envoy and Envoy with our filter in front of the same mock providers, load both, and compare. docs/performance.md
//! says how each row is taken.
//! Invariant: bounded in count and time, only on 127.0.0.1, every process ends with this one. It fails when something could not be
//! measured; a budget that does not hold is told, and fails the run only with `--enforce`.

mod bystanders;
mod calls;
mod connection;
mod failover;
mod fanout;
mod isolation;
mod load;
mod machine;
mod message;
mod mock;
mod numbers;
mod pair;
mod rank;
mod report;
mod site;

use std::{
    io::Write as _,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::{Parser, ValueEnum};
use lasso_tests::{FilterKind, tools};

use crate::{machine::Layout, report::Report};

/// Measures what Lasso costs over plain Envoy.
#[derive(Debug, Parser)]
#[command(name = "lasso-bench")]
struct Args {
    /// About a minute, and rougher.
    #[arg(long)]
    quick: bool,
    /// One part alone.
    #[arg(long)]
    only: Option<Part>,
    /// One kind of the filter alone beside plain Envoy.
    #[arg(long)]
    filter: Option<FilterKind>,
    /// Exit with 1 when a budget does not hold.
    #[arg(long)]
    enforce: bool,
    /// Where the report goes as JSON [default: target/bench.json].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Processor time, throughput and latency beside plain Envoy.
    Pair,
    /// A bad first answer.
    Failover,
    /// A dead chain beside a living one.
    Isolation,
    /// Ranking channels.
    Rank,
    /// One head, many sockets.
    Fanout,
}

/// How much of everything.
#[derive(Debug, Clone, Copy)]
struct Effort {
    /// Starts of the pair of Envoys.
    starts: u32,
    /// Rounds of what is measured alone and in turn, for each start.
    rounds: u32,
    /// Before each window.
    warm: Duration,
    /// Of the paired measurement.
    window: Duration,
    /// Of what is measured alone.
    alone: Duration,
    failovers: u32,
    /// Fresh Envoys for the dead chain.
    isolations: u32,
    /// Of the living chain, alone and again beside the dead one: long enough for calls that hang until their deadline, and for a chain whose breakers are open.
    isolation: Duration,
    /// Parts of a window whose latencies are taken each by itself.
    slices: usize,
    /// Of ten thousand plans.
    batches: u32,
    /// Clients' sockets that a head goes to, and such heads.
    sockets: usize,
    heads: u32,
}

const FULL: Effort = Effort {
    starts: 5,
    rounds: 2,
    warm: Duration::from_millis(300),
    window: Duration::from_millis(2_500),
    alone: Duration::from_millis(1_000),
    failovers: 1_000,
    isolations: 5,
    isolation: Duration::from_millis(10_000),
    slices: 16,
    batches: 50,
    sockets: 5_000,
    heads: 20,
};

const QUICK: Effort = Effort {
    starts: 2,
    rounds: 1,
    warm: Duration::from_millis(200),
    window: Duration::from_millis(1_000),
    alone: Duration::from_millis(700),
    failovers: 250,
    isolations: 1,
    isolation: Duration::from_millis(3_000),
    slices: 10,
    batches: 10,
    sockets: 1_000,
    heads: 8,
};

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let layout = Layout::take()?;
    let started = Instant::now();
    // One thread for load and mock: no lock between them, and no second thread to fight over their processor.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let effort = if args.quick { QUICK } else { FULL };
    let report = runtime.block_on(measure(&effort, layout, &args))?;
    let path = args.out.unwrap_or_else(|| tools::root().join("target/bench.json"));
    report.write(&path, args.quick, layout)?;
    let mut out = std::io::stdout().lock();
    write!(out, "{}", report.text(layout))?;
    writeln!(out, "{:.0} s; also in {}", started.elapsed().as_secs_f64(), path.display())?;
    Ok(if args.enforce && !report.holds() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn measure(effort: &Effort, layout: Layout, args: &Args) -> anyhow::Result<Report> {
    let (mut report, only) = (Report::default(), args.only);
    let kinds = args.filter.as_ref().map_or(FilterKind::value_variants(), std::slice::from_ref);
    for part in Part::value_variants().iter().filter(|part| only.is_none_or(|only| only == **part)) {
        match part {
            Part::Pair => pair::measure(effort, layout, kinds, &mut report).await?,
            Part::Failover => failover::measure(effort, layout, &mut report).await?,
            Part::Isolation => isolation::measure(effort, layout, kinds, &mut report).await?,
            Part::Rank => rank::measure(effort, &mut report)?,
            Part::Fanout => fanout::measure(effort, layout, &mut report).await?,
        }
    }
    Ok(report)
}
