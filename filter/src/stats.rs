//! Counters, as Envoy stats.
//!
//! Duty: count in the VM and hand the sums to Envoy on the tick, so that a request pays an addition and no host call.
//! Invariant: the set of names is closed and small; nothing a client sends becomes a name.
//! Leaves to others: per-channel figures (Envoy's own `cluster.*` stats have them, one cluster a channel).

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counter {
    /// Requests under our routes, batches as one.
    Requests,
    /// Items of batches.
    BatchItems,
    /// Answered without a provider: `eth_chainId`, `net_version`.
    AnsweredLocally,
    /// Refused before a provider was asked: malformed, blocked, unknown chain.
    Refused,
    /// No channel was admitted.
    Unserved,
    /// Attempts started.
    Attempts,
    /// Attempts after the first of their request.
    Failovers,
    /// Attempts whose outcome counts against the channel.
    BlamedFailures,
    /// Attempts that the provider refused for its rate limit.
    RateLimited,
    /// Requests answered by sub-requests because Envoy had no host or overflowed.
    Relayed,
    /// Calls that ended with an error because no attempt was left.
    Exhausted,
    /// Writes whose fate is unknown.
    Indeterminate,
    /// Breakers opened by this worker.
    BreakersOpened,
    /// Streams to the control plane that are up.
    SyncConnected,
    /// Streams to the control plane that were opened again.
    SyncReconnects,
    /// Messages of the control plane that did not read.
    SyncErrors,
    /// Reports sent, those that were sent again included.
    ReportsSent,
    /// Reports that the control plane has.
    ReportsAcked,
    /// Routing tables of the control plane.
    TablesReceived,
    /// Attempts for which a report had no room of their own.
    OutcomesDropped,
}

impl Counter {
    /// Whether it goes down as well.
    #[must_use]
    pub const fn is_gauge(self) -> bool {
        matches!(self, Self::SyncConnected)
    }
}

/// Every counter with its Envoy name (`wasmcustom.` is put before it by Envoy).
pub const COUNTERS: [(Counter, &str); 20] = [
    (Counter::Requests, "lasso.requests"),
    (Counter::BatchItems, "lasso.batch_items"),
    (Counter::AnsweredLocally, "lasso.answered_locally"),
    (Counter::Refused, "lasso.refused"),
    (Counter::Unserved, "lasso.unserved"),
    (Counter::Attempts, "lasso.attempts"),
    (Counter::Failovers, "lasso.failovers"),
    (Counter::BlamedFailures, "lasso.blamed_failures"),
    (Counter::RateLimited, "lasso.rate_limited"),
    (Counter::Relayed, "lasso.relayed"),
    (Counter::Exhausted, "lasso.exhausted"),
    (Counter::Indeterminate, "lasso.indeterminate"),
    (Counter::BreakersOpened, "lasso.breakers_opened"),
    (Counter::SyncConnected, "lasso.sync_connected"),
    (Counter::SyncReconnects, "lasso.sync_reconnects"),
    (Counter::SyncErrors, "lasso.sync_errors"),
    (Counter::ReportsSent, "lasso.reports_sent"),
    (Counter::ReportsAcked, "lasso.reports_acked"),
    (Counter::TablesReceived, "lasso.tables_received"),
    (Counter::OutcomesDropped, "lasso.outcomes_dropped"),
];

/// Sums since the last flush.
#[derive(Debug, Default)]
pub struct Stats {
    sums: [i64; COUNTERS.len()],
}

impl Stats {
    /// Counts one.
    pub fn count(&mut self, counter: Counter) {
        self.add(counter, 1);
    }

    /// Counts `amount`.
    pub fn add(&mut self, counter: Counter, amount: i64) {
        if let Some(sum) = self.sums.get_mut(counter as usize) {
            *sum = sum.saturating_add(amount);
        }
    }

    /// The sums that are not zero, by index into [`COUNTERS`]; they start again at zero.
    pub fn take(&mut self) -> impl Iterator<Item = (usize, i64)> {
        std::mem::take(&mut self.sums).into_iter().enumerate().filter(|(_, sum)| *sum != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_stands_at_its_own_index() {
        for (index, (counter, name)) in COUNTERS.iter().enumerate() {
            assert_eq!(*counter as usize, index, "{name}");
        }
    }

    #[test]
    fn sums_are_given_once() {
        let mut stats = Stats::default();
        stats.count(Counter::Attempts);
        stats.add(Counter::Attempts, 2);
        assert_eq!(stats.take().collect::<Vec<_>>(), vec![(Counter::Attempts as usize, 3)]);
        assert_eq!(stats.take().count(), 0);
    }
}
