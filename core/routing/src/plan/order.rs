//! What is done to a strategy's order, whatever the strategy: tiers, siblings, and who goes in front.

use crate::strategy::{Row, Tier};

/// Closed before rate-limited (soonest end first) before half-open; the strategy's order inside.
pub(super) fn tiers(rows: &mut [Row]) {
    rows.sort_by_key(|row| (row.tier, if row.tier == Tier::RateLimited { row.limited_until } else { 0 }));
}

/// Inside a tier, distinct providers come before the sibling transport of one that stands there already, unless the sibling's index is
/// better: when a provider fails, its other transport most likely does too.
pub(super) fn siblings(rows: &mut [Row]) {
    if !has_siblings(rows) {
        return;
    }
    for tier in rows.chunk_by_mut(|a, b| a.tier == b.tier) {
        for start in (1..tier.len()).rev() {
            if !is_sibling(tier, start) {
                continue;
            }
            let mut place = start;
            while place + 1 < tier.len() && !is_sibling(tier, place + 1) && tier[place].index >= tier[place + 1].index {
                tier.swap(place, place + 1);
                place += 1;
            }
        }
    }
}

/// Inside a tier, HTTP before WebSocket: for methods that the table does not have. Their evidence speaks of other methods as well, and some nodes know them
/// over HTTP only.
pub(super) fn http_first(rows: &mut [Row]) {
    for tier in rows.chunk_by_mut(|a, b| a.tier == b.tier) {
        tier.sort_by_key(|row| row.transport);
    }
}

fn has_siblings(rows: &[Row]) -> bool {
    let mut seen = 0_u128;
    rows.iter().any(|row| {
        // Providers beyond 128 share a bit with another: they are looked at more closely, that is all.
        let bit = 1_u128 << (row.provider % 128);
        let again = seen & bit != 0;
        seen |= bit;
        again
    })
}

fn is_sibling(rows: &[Row], place: usize) -> bool {
    rows[..place].iter().any(|row| row.provider == rows[place].provider)
}

/// The row at `place` goes in front, the others keep their order.
pub(super) fn lead(rows: &mut [Row], place: usize) {
    if let Some(front) = rows.get_mut(..=place) {
        front.rotate_right(1);
    }
}
