//! What a failed first attempt costs the client.
//!
//! Duty: a provider that answers each fourth call with -32603, a healthy one behind it, one call at a time: the calls that needed two
//! attempts beside those that needed one.
//! Invariant: the failing provider stays first throughout, else there was nothing to measure.

use std::time::Instant;

use anyhow::ensure;
use lasso_tests::{ChainConfig, Config, FilterKind};

use crate::{
    Effort,
    calls::{Calls, Load},
    connection::Connection,
    machine::Layout,
    mock::{Manner, Mock},
    numbers::{Middle, quantile},
    report::{Budget, Report},
    site::{AccessLog, Site},
};

const PATH: &str = "/rpc/failing";
/// Beyond one round trip to the next provider.
const BUDGET_MS: f64 = 2.0;

/// Measures and reports.
pub(crate) async fn measure(effort: &Effort, layout: Layout, report: &mut Report) -> anyhow::Result<()> {
    let (first, second) = (Mock::start(Manner::FailsEachFourth).await?, Mock::start(Manner::Healthy).await?);
    let chain = ChainConfig::new("failing", 1).provider("first", &first.url()).provider("second", &second.url());
    let site = Site::lasso(layout, FilterKind::Wasm, &Config::new().chain(chain), AccessLog::Off, PATH).await?;
    let mut client = Connection::open(site.address(), Calls::new(Load::Small, PATH, 0)).await?;
    let asked = first.asked();
    let (mut healthy, mut failed_over) = (Vec::new(), Vec::new());
    for _ in 0..effort.failovers * 4 {
        let started = Instant::now();
        let answered = client.ask().await?;
        let nanos = u32::try_from(started.elapsed().as_nanos()).unwrap_or(u32::MAX);
        ensure!(answered.whole, "a call failed although a healthy provider stood by");
        if answered.id.is_multiple_of(4) { &mut failed_over } else { &mut healthy }.push(nanos);
    }
    let asked = first.asked() - asked;
    ensure!(asked == u64::from(effort.failovers) * 4, "the failing provider was left alone: {asked} calls");
    let mut direct = Connection::open(second.address(), Calls::new(Load::Small, "/", 0)).await?;
    let mut round_trips = Vec::new();
    for _ in 0..500 {
        let started = Instant::now();
        direct.ask().await?;
        round_trips.push(u32::try_from(started.elapsed().as_nanos()).unwrap_or(u32::MAX));
    }
    let round_trip = quantile(&mut round_trips, 0.5)? / 1_000.0;
    for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
        let (one, two) = (quantile(&mut healthy, share)? / 1_000.0, quantile(&mut failed_over, share)? / 1_000.0);
        let budget = Budget::AtMost(round_trip + BUDGET_MS);
        report.row(&format!("failover: added by a bad first answer, {name}"), Middle::only(two - one), " ms", budget);
        report.figure(&format!("one call at a time, healthy, {name}"), Middle::only(one), " ms");
        report.figure(&format!("one call at a time, second attempt, {name}"), Middle::only(two), " ms");
    }
    report.figure("round trip to the mock", Middle::only(round_trip), " ms");
    Ok(())
}
