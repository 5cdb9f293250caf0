//! `cheapest`: ascending price for the method, unknown prices last; equals are ranked by `fastest` among themselves.

use super::{Circumstances, Row, fastest};

pub(super) fn rank(rows: &mut [Row], circumstances: &mut Circumstances) {
    rows.sort_by(|a, b| a.cost.total_cmp(&b.cost));
    rows.chunk_by_mut(|a, b| a.cost.total_cmp(&b.cost).is_eq()).for_each(|equals| fastest::rank(equals, circumstances));
}
