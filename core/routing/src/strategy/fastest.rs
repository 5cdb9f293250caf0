//! `fastest`: ask whom we expect to answer soonest, without all asking the same one.
//!
//! The *near-best* are those whose index is within 1.25 of the smallest. Two of them are drawn; the one with fewer calls in flight here
//! goes first (for calls that read the head: the one with the higher head), the rest follow in ascending index. Two choices instead of
//! "the best" is what keeps equal providers evenly loaded and keeps workers from moving in step.
//! A channel that hardly anybody asked (weight under 3) leads only while none of its calls of the class is in flight, so that optimism about an unknown
//! channel costs one call at a time.

use super::{Circumstances, Row};

const NEAR_BEST: f32 = 1.25;
const SETTLED: f32 = 3.0;

pub(super) fn rank(rows: &mut [Row], circumstances: &mut Circumstances) {
    // At equal index the configuration's priority decides: without any data that is all we have.
    rows.sort_by(|a, b| {
        may_not_lead(a)
            .cmp(&may_not_lead(b))
            .then(a.index.total_cmp(&b.index))
            .then(a.priority.cmp(&b.priority))
            .then(a.place.cmp(&b.place))
    });
    let Some(best) = rows.first().map(|row| row.index) else { return };
    let near = rows.iter().take_while(|row| row.index <= best * NEAR_BEST && !may_not_lead(row)).count();
    if near > 1 {
        let leader = draw(rows, near, circumstances);
        rows[..=leader].rotate_right(1);
    }
}

fn may_not_lead(row: &Row) -> bool {
    row.weight < SETTLED && row.asking
}

/// Two distinct places under `near`; the one that should go first.
fn draw(rows: &[Row], near: usize, circumstances: &mut Circumstances) -> usize {
    let first = circumstances.chance.below(near);
    let other = (first + 1 + circumstances.chance.below(near - 1)) % near;
    let (a, b) = (&rows[first], &rows[other]);
    let by_head = if circumstances.reads_head { b.head.cmp(&a.head) } else { std::cmp::Ordering::Equal };
    let order = by_head.then(a.in_flight.cmp(&b.in_flight));
    if order.is_le() { first } else { other }
}
