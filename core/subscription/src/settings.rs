//! The numbers of a scope.

use lasso_routing::time::Millis;

/// What the configuration says of subscriptions to a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Fetch what was missed. Without it a gap ends the subscriptions at once.
    pub fill: bool,
    /// Longer gaps than this are not filled.
    pub max_fill_blocks: u64,
    /// A gap that is not closed by then ends the subscriptions; so does an outage.
    pub fill_timeout: Millis,
    /// A subscription that nobody took by then is refused.
    pub subscribe_timeout: Millis,
    /// A heads feed that is silent for this long moves; `None`: 3.5 block times, at least 5 s.
    pub stale_after: Option<Millis>,
    /// A feed without subscriptions is kept for this long.
    pub linger: Millis,
    /// A feed that is further behind moves; `None`: as many blocks as come in 3 s, at least 2.
    pub max_lag_blocks: Option<u64>,
    /// As configured. What is measured counts more.
    pub block_time: Millis,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            fill: true,
            max_fill_blocks: 256,
            fill_timeout: Millis::from_secs(30),
            subscribe_timeout: Millis::from_secs(10),
            stale_after: None,
            linger: Millis::from_secs(60),
            max_lag_blocks: None,
            block_time: Millis::from_secs(12),
        }
    }
}

impl Settings {
    /// How long heads may be silent.
    pub(crate) fn stale_after(&self, block_time: Millis) -> Millis {
        self.stale_after.unwrap_or_else(|| Millis(block_time.0.saturating_mul(7) / 2).max(Millis::from_secs(5)))
    }

    /// How far behind a feed may be.
    pub(crate) fn max_lag_blocks(&self, block_time: Millis) -> u64 {
        self.max_lag_blocks.unwrap_or_else(|| 3_000_u64.div_ceil(block_time.0.max(1)).max(2))
    }
}
