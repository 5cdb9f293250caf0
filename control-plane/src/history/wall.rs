//! The wall clock.
//!
//! Duty: read it. Invariant: what is kept over restarts is dated by it, and nothing else is: it jumps.
//! Leaves to others: what a jump means (ages are never negative: `disk::age`).

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
