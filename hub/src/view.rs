//! The feeds, for people.

use std::sync::Arc;

/// One feed. Ages are how long ago, in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedRow {
    /// Profile whose feed it is, the first of those that share it.
    pub profile: Arc<str>,
    /// Chain.
    pub chain: Arc<str>,
    /// The only provider that it may live on, when the client named one.
    pub provider: Option<Arc<str>>,
    /// `newHeads`, `logs`, `newPendingTransactions` or `syncing`.
    pub kind: &'static str,
    /// The params of its `eth_subscribe`, as JSON.
    pub params: String,
    /// `opening`, `live`, `filling`, `lost` or `lingering`.
    pub state: lasso_subscription::State,
    /// Where it lives.
    pub channel: Option<Arc<str>>,
    /// Whom it serves.
    pub subscribers: usize,
    /// Since when it lives there.
    pub bound_for_ms: Option<u64>,
    /// When its channel last sent an event.
    pub last_event_age_ms: Option<u64>,
    /// The newest block that was delivered.
    pub head: Option<u64>,
    /// Events that wait for something missing.
    pub buffered: usize,
    /// Gaps that were closed.
    pub fills: u64,
    /// Events that were fetched.
    pub filled: u64,
    /// How often it moved.
    pub failovers: u64,
    /// Events that had been delivered before.
    pub duplicates: u64,
    /// Events that were of no use.
    pub ignored: u64,
    /// Events that were delivered, each counted once.
    pub delivered: u64,
}
