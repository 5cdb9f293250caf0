//! `round-robin`: rotation, per worker; each worker starts where its seed says, so that workers do not move in step.

use super::{Circumstances, Row};

pub(super) fn rank(rows: &mut [Row], circumstances: &mut Circumstances) {
    if let Some(turn) = circumstances.turn.checked_rem(rows.len() as u64) {
        rows.rotate_left(turn as usize);
    }
}
