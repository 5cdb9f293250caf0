//! `load-balanced`: a uniform shuffle. Nothing is weighed, nothing is remembered.

use super::{Circumstances, Row, shuffle};

pub(super) fn rank(rows: &mut [Row], circumstances: &mut Circumstances) {
    shuffle(rows, &mut circumstances.chance);
}
