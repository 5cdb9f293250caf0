//! `latency-weighted`: everyone gets a share, the faster a larger one.
//!
//! An exponential race: each candidate draws `-ln(U)/w` with `w = (best/expected)^3`; ascending. There is no floor: a channel ten times
//! slower gets a thousandth, and exploring keeps its evidence alive. Channels whose evidence speaks against them (success under 0.75, a run
//! of three failures) do not race: they follow in ascending expected cost. One that nobody knows yet races with its prior.

use super::{Circumstances, Row};

pub(super) fn rank(rows: &mut [Row], circumstances: &mut Circumstances) {
    let best = rows.iter().filter(|row| !row.failing).map(|row| row.expected).fold(f32::INFINITY, f32::min);
    for row in rows.iter_mut() {
        if !row.failing {
            let share = best / row.expected;
            row.index = -(circumstances.chance.unit() as f32).ln() / (share * share * share);
        }
    }
    rows.sort_by(|a, b| {
        a.failing.cmp(&b.failing).then_with(|| key(a).total_cmp(&key(b))).then_with(|| a.place.cmp(&b.place))
    });
}

fn key(row: &Row) -> f32 {
    if row.failing { row.expected } else { row.index }
}
