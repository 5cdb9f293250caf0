//! `priority`: ascending `priority`, HTTP before WebSocket, then the order of the configuration.

use super::Row;

pub(super) fn rank(rows: &mut [Row]) {
    rows.sort_by_key(|row| (row.priority, row.transport, row.place));
}
