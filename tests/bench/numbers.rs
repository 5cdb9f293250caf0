//! Order statistics.
//!
//! Invariant: an empty list has none, so a measurement that saw nothing cannot look like one that saw zero.

use anyhow::Context;

/// The middle, and the lowest and highest that it was taken from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Middle {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Middle {
    /// Of these.
    pub(crate) fn of(values: &[f64]) -> anyhow::Result<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (low, high) = sorted.first().copied().zip(sorted.last().copied()).context("nothing was measured")?;
        let middle = sorted.len() / 2;
        let median =
            if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) };
        Ok(Self { median, low, high })
    }

    /// Of one.
    pub(crate) fn only(value: f64) -> Self {
        Self { median: value, low: value, high: value }
    }
}

/// The middle one of a quantile in so many parts of as many calls, each later than the one before; sorts within them. What is in fewer than half of the parts
/// does not show, as pauses of the machine do not.
pub(crate) fn calm_quantile(latencies: &mut [u32], parts: usize, share: f64) -> anyhow::Result<f64> {
    let length = latencies.len().div_ceil(parts).max(1);
    let quantiles: Vec<f64> =
        latencies.chunks_mut(length).map(|part| quantile(part, share)).collect::<Result<_, _>>()?;
    Ok(Middle::of(&quantiles)?.median)
}

/// The value below which this share of the latencies lies, in microseconds; sorts them.
pub(crate) fn quantile(latencies: &mut [u32], share: f64) -> anyhow::Result<f64> {
    latencies.sort_unstable();
    let last = latencies.len().checked_sub(1).context("no latency was recorded")?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a length is a place in it")]
    let place = (last as f64 * share).round() as usize;
    Ok(f64::from(latencies[place.min(last)]) / 1_000.0)
}
